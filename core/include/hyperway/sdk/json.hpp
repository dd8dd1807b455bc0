// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

namespace hyperway::sdk::json {

struct Member;

/// A JSON document as a tree, for configurations: small, strict, copied out of the text. Reading a
/// value as another type than it has gives that type's empty value; ask type() first.
class Value {
 public:
  /// What a value is. Integer: a number without fraction or exponent that fits 64 bits.
  enum class Type : std::uint8_t { Null, Boolean, Integer, Real, String, Array, Object };

  /// The value null.
  Value() noexcept;
  /// true or false.
  explicit Value(bool boolean);
  /// An integer.
  explicit Value(std::int64_t integer);
  /// Any other number.
  explicit Value(double real);
  /// A string, UTF-8.
  explicit Value(std::string text);
  /// An array.
  explicit Value(std::vector<Value> items);
  /// An object, in the order of the text; names are unique.
  explicit Value(std::vector<Member> members);
  /// A copy of the whole tree.
  Value(const Value&);
  /// Takes the tree over.
  Value(Value&&) noexcept;
  /// A copy of the whole tree.
  Value& operator=(const Value&);
  /// Takes the tree over.
  Value& operator=(Value&&) noexcept;
  ~Value();

  /// What this value is.
  [[nodiscard]] Type type() const noexcept { return static_cast<Type>(data_.index()); }
  /// The boolean, or false.
  [[nodiscard]] bool boolean() const noexcept { return get<bool>(); }
  /// The integer, or 0.
  [[nodiscard]] std::int64_t integer() const noexcept { return get<std::int64_t>(); }
  /// The number, integer or not, or 0.
  [[nodiscard]] double real() const noexcept {
    return type() == Type::Integer ? static_cast<double>(integer()) : get<double>();
  }
  /// The string, or an empty one.
  [[nodiscard]] const std::string& text() const noexcept {
    static const std::string empty;
    const auto* found = std::get_if<std::string>(&data_);
    return found != nullptr ? *found : empty;
  }
  /// The elements of an array, or none.
  [[nodiscard]] const std::vector<Value>& items() const noexcept {
    static const std::vector<Value> empty;
    const auto* found = std::get_if<std::vector<Value>>(&data_);
    return found != nullptr ? *found : empty;
  }
  /// The members of an object, or none.
  [[nodiscard]] const std::vector<Member>& members() const noexcept;
  /// The member `name` of an object, or null.
  [[nodiscard]] const Value* find(std::string_view name) const noexcept;

 private:
  template <class T>
  T get() const noexcept {
    const T* found = std::get_if<T>(&data_);
    return found != nullptr ? *found : T{};
  }

  std::variant<std::monostate, bool, std::int64_t, double, std::string, std::vector<Value>,
               std::vector<Member>>
      data_;
};

/// One member of an object.
struct Member {
  std::string name;  ///< Unescaped.
  Value value;       ///< Anything.
};

// Defined here because a Member has to be complete wherever the variant is made or destroyed.
inline Value::Value() noexcept = default;
inline Value::Value(bool boolean) : data_(boolean) {}
inline Value::Value(std::int64_t integer) : data_(integer) {}
inline Value::Value(double real) : data_(real) {}
inline Value::Value(std::string text) : data_(std::move(text)) {}
inline Value::Value(std::vector<Value> items) : data_(std::move(items)) {}
inline Value::Value(std::vector<Member> members) : data_(std::move(members)) {}
inline Value::Value(const Value&) = default;
inline Value::Value(Value&&) noexcept = default;
inline Value& Value::operator=(const Value&) = default;
inline Value& Value::operator=(Value&&) noexcept = default;
inline Value::~Value() = default;

inline const std::vector<Member>& Value::members() const noexcept {
  static const std::vector<Member> empty;
  const auto* found = std::get_if<std::vector<Member>>(&data_);
  return found != nullptr ? *found : empty;
}

inline const Value* Value::find(std::string_view name) const noexcept {
  for (const Member& member : members())
    if (member.name == name) return &member.value;
  return nullptr;
}

/// Appends one reference token to a JSON pointer (RFC 6901 §3), escaped.
inline std::string pointerTo(std::string_view parent, std::string_view name) {
  std::string out(parent);
  out += '/';
  for (const char c : name) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  }
  return out;
}

/// Why a text is not JSON.
struct ParseError {
  std::size_t offset = 0;  ///< Bytes from the start of the text.
  std::string pointer;     ///< JSON pointer of the value that was being read.
  std::string message;     ///< One sentence without a full stop.
};

/// Strict parser (RFC 8259): no comments, no trailing commas, no duplicate names, no invalid UTF-8,
/// no unpaired surrogates, nothing behind the document. Depth is bounded by kMaxDepth, so that the
/// stack is.
class Parser {
 public:
  /// Deepest nesting that is read.
  static constexpr int kMaxDepth = 64;

  /// Parses `text` as one document.
  [[nodiscard]] static std::variant<Value, ParseError> parse(std::string_view text) {
    Parser parser(text);
    Value value;
    parser.skipSpace();
    if (!parser.readValue(value, 0)) return parser.error_;
    parser.skipSpace();
    if (parser.at_ != text.size()) {
      (void)parser.failAt("there is something after the document");  // The error is in error_.
      return parser.error_;
    }
    return value;
  }

 private:
  explicit Parser(std::string_view text) : text_(text) {}

  bool failAt(std::string message) {
    if (error_.message.empty()) error_ = {at_, pointer_, std::move(message)};
    return false;
  }
  [[nodiscard]] bool atEnd() const { return at_ >= text_.size(); }
  [[nodiscard]] char peek() const { return atEnd() ? '\0' : text_[at_]; }
  bool take(char c) {
    if (peek() != c || atEnd()) return false;
    ++at_;
    return true;
  }
  void skipSpace() {
    while (!atEnd() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos)
      ++at_;
  }
  bool takeWord(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  bool readValue(Value& out, int depth) {
    if (depth > kMaxDepth) return failAt("nested too deeply");
    switch (peek()) {
      case '{': return readObject(out, depth);
      case '[': return readArray(out, depth);
      case '"': {
        std::string text;
        if (!readString(text)) return false;
        out = Value(std::move(text));
        return true;
      }
      case 't': return readWord("true", Value(true), out);
      case 'f': return readWord("false", Value(false), out);
      case 'n': return readWord("null", Value(), out);
      default: return readNumber(out);
    }
  }

  bool readWord(std::string_view word, Value value, Value& out) {
    if (!takeWord(word)) return failAt("expected a JSON value");
    out = std::move(value);
    return true;
  }

  bool readObject(Value& out, int depth) {
    std::vector<Member> members;
    ++at_;
    skipSpace();
    if (take('}')) return out = Value(std::move(members)), true;
    const std::size_t parent = pointer_.size();
    for (;;) {
      skipSpace();
      Member member;
      if (peek() != '"') return failAt("expected a member name in double quotes");
      if (!readString(member.name)) return false;
      pointer_ = pointerTo(pointer_, member.name);
      for (const Member& other : members)
        if (other.name == member.name) return failAt("the name occurs twice in its object");
      skipSpace();
      if (!take(':')) return failAt("expected ':' after the member name");
      skipSpace();
      if (!readValue(member.value, depth + 1)) return false;
      members.push_back(std::move(member));
      pointer_.resize(parent);
      skipSpace();
      if (take('}')) break;
      if (!take(',')) return failAt("expected ',' or '}'");
    }
    out = Value(std::move(members));
    return true;
  }

  bool readArray(Value& out, int depth) {
    std::vector<Value> items;
    ++at_;
    skipSpace();
    if (take(']')) return out = Value(std::move(items)), true;
    const std::size_t parent = pointer_.size();
    for (;;) {
      skipSpace();
      pointer_ += '/' + std::to_string(items.size());
      Value item;
      if (!readValue(item, depth + 1)) return false;
      items.push_back(std::move(item));
      pointer_.resize(parent);
      skipSpace();
      if (take(']')) break;
      if (!take(',')) return failAt("expected ',' or ']'");
    }
    out = Value(std::move(items));
    return true;
  }

  bool readNumber(Value& out) {
    const std::size_t start = at_;
    bool integer = true;
    (void)take('-');  // The sign is optional.
    if (take('0')) {
      // A leading zero stands alone.
    } else if (!takeDigits()) {
      at_ = start;
      return failAt("expected a JSON value");
    }
    if (take('.')) {
      integer = false;
      if (!takeDigits()) return failAt("a digit must follow the decimal point");
    }
    if (peek() == 'e' || peek() == 'E') {
      integer = false;
      ++at_;
      if (!take('+')) (void)take('-');  // The sign is optional.
      if (!takeDigits()) return failAt("a digit must follow the exponent");
    }
    const std::string_view digits = text_.substr(start, at_ - start);
    const char* end = digits.data() + digits.size();
    std::int64_t whole = 0;
    if (integer && std::from_chars(digits.data(), end, whole).ec == std::errc{})
      return out = Value(whole), true;
    double real = 0;
    if (std::from_chars(digits.data(), end, real).ec != std::errc{})
      return failAt("the number is out of range");
    out = Value(real);
    return true;
  }
  bool takeDigits() {
    const std::size_t start = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return at_ != start;
  }

  bool readString(std::string& out) {
    ++at_;
    for (;;) {
      if (atEnd()) return failAt("the string does not end");
      const auto c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') return ++at_, true;
      if (c < 0x20) return failAt("a control character in a string must be escaped");
      if (c == '\\') {
        if (!readEscape(out)) return false;
      } else if (c < 0x80) {
        out += text_[at_++];
      } else if (!readMultibyte(out)) {
        return failAt("the text is not valid UTF-8");
      }
    }
  }

  bool readEscape(std::string& out) {
    ++at_;
    constexpr std::string_view kFrom = "\"\\/bfnrt";
    constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
    if (const auto found = kFrom.find(peek()); !atEnd() && found != std::string_view::npos) {
      out += kTo[found];
      ++at_;
      return true;
    }
    std::uint32_t code = 0;
    if (!take('u') || !readHex(code)) return failAt("unknown escape in a string");
    if (code >= 0xDC00 && code < 0xE000) return failAt("unpaired surrogate in a string");
    if (code >= 0xD800 && code < 0xDC00) {
      std::uint32_t low = 0;
      if (!takeWord("\\u") || !readHex(low) || low < 0xDC00 || low >= 0xE000)
        return failAt("unpaired surrogate in a string");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    appendUtf8(out, code);
    return true;
  }

  bool readHex(std::uint32_t& code) {
    const std::string_view digits = text_.substr(at_, 4);
    const char* end = digits.data() + digits.size();
    if (digits.size() != 4 || std::from_chars(digits.data(), end, code, 16).ptr != end)
      return false;
    at_ += 4;
    return true;
  }

  static void appendUtf8(std::string& out, std::uint32_t code) {
    const auto tail = [&](unsigned shift) {
      out += static_cast<char>(0x80 | ((code >> shift) & 0x3F));
    };
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else if (code < 0x800) {
      out += static_cast<char>(0xC0 | (code >> 6));
      tail(0);
    } else if (code < 0x10000) {
      out += static_cast<char>(0xE0 | (code >> 12));
      tail(6), tail(0);
    } else {
      out += static_cast<char>(0xF0 | (code >> 18));
      tail(12), tail(6), tail(0);
    }
  }

  // One sequence of two to four bytes: shortest form, no surrogates, at most U+10FFFF (RFC 3629).
  bool readMultibyte(std::string& out) {
    const auto lead = static_cast<unsigned char>(text_[at_]);
    const int size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 0;
    if (size == 0 || text_.size() - at_ < static_cast<std::size_t>(size)) return false;
    std::uint32_t code = lead & (0xFFu >> (size + 1));
    for (int i = 1; i < size; ++i) {
      const auto next = static_cast<unsigned char>(text_[at_ + static_cast<std::size_t>(i)]);
      if ((next & 0xC0) != 0x80) return false;
      code = (code << 6) | (next & 0x3Fu);
    }
    constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kLeast[size] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return false;
    out.append(text_.substr(at_, static_cast<std::size_t>(size)));
    at_ += static_cast<std::size_t>(size);
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string pointer_;
  ParseError error_;
};

}  // namespace hyperway::sdk::json
