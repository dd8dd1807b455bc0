// SPDX-License-Identifier: Apache-2.0
#include "masker.hpp"

#include <algorithm>
#include <utility>

#include "../ascii.hpp"

namespace hyperway::json_mask {
namespace {

bool isSpace(char byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }

bool isScalarByte(char byte) {
  return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || byte == 'E' ||
         byte == '-' || byte == '+' || byte == '.';
}

bool startsScalar(char byte) {
  return (byte >= '0' && byte <= '9') || byte == '-' || byte == 't' || byte == 'f' || byte == 'n';
}

}  // namespace

Masker::Masker(const MaskRules& rules) : rules_(rules) {
  for (const std::string& field : rules.fields) longest_ = std::max(longest_, field.size());
  name_.reserve(longest_ + 8);
}

bool Masker::feed(std::string_view piece, std::string& out) {
  std::size_t from = 0;  // What is passed on is copied in runs.
  for (std::size_t i = 0; i < piece.size(); ++i) {
    drop_ = masking();
    replace_ = false;
    if (!step(piece[i])) return false;
    if (replace_) {
      out.append(piece.substr(from, i - from));
      out.append(rules_.replacement);
    }
    if (drop_) {
      if (!replace_) out.append(piece.substr(from, i - from));
      from = i + 1;
    }
  }
  out.append(piece.substr(from));
  return true;
}

bool Masker::step(char byte) {
  switch (state_) {
    case State::Value: return isSpace(byte) || beginValue(byte);
    case State::FirstItem: return isSpace(byte) || (byte == ']' ? close(byte) : beginValue(byte));
    case State::FirstMember: return isSpace(byte) || (byte == '}' ? close(byte) : beginName(byte));
    case State::Member: return isSpace(byte) || beginName(byte);
    case State::Colon:
      if (byte == ':') state_ = State::Value;
      return isSpace(byte) || byte == ':';
    case State::After: return isSpace(byte) || afterValue(byte);
    case State::Name: return inName(byte);
    case State::NameEscape: return escapeInName(byte);
    case State::NameHex: return hexInName(byte);
    case State::Text:
      if (byte == '"')
        endValue();
      else if (byte == '\\')
        state_ = State::TextEscape;
      return static_cast<unsigned char>(byte) >= 0x20;
    case State::TextEscape: state_ = State::Text; return static_cast<unsigned char>(byte) >= 0x20;
    case State::Scalar:
      if (isScalarByte(byte)) return true;
      // This byte ended the scalar and is not part of it.
      endValue();
      drop_ = masking();
      return isSpace(byte) || (depth_ > 0 && afterValue(byte));
  }
  return false;
}

bool Masker::beginValue(char byte) {
  if (std::exchange(next_is_masked_, false) && !masking()) {
    mask_depth_ = depth_;
    drop_ = replace_ = true;
  }
  if (byte == '{' || byte == '[') return open(byte);
  if (byte == '"')
    state_ = State::Text;
  else if (startsScalar(byte))
    state_ = State::Scalar;
  else
    return false;
  return true;
}

bool Masker::beginName(char byte) {
  name_.clear();
  high_surrogate_ = 0;
  state_ = State::Name;
  return byte == '"';
}

bool Masker::open(char byte) {
  if (depth_ == kMaxDepth) return false;
  objects_[depth_++] = byte == '{';
  state_ = byte == '{' ? State::FirstMember : State::FirstItem;
  return true;
}

bool Masker::close(char byte) {
  if (depth_ == 0 || objects_[depth_ - 1] != (byte == '}')) return false;
  --depth_;
  endValue();
  return true;
}

void Masker::endValue() {
  // The byte in hand is the last one of the value and is dropped with it.
  if (mask_depth_ == depth_) mask_depth_ = kNotMasking;
  state_ = depth_ == 0 ? State::Value : State::After;
}

bool Masker::afterValue(char byte) {
  if (byte == '}' || byte == ']') return close(byte);
  state_ = inObject() ? State::Member : State::Value;
  return byte == ',';
}

bool Masker::inName(char byte) {
  if (byte == '"') {
    const auto& fields = rules_.fields;
    next_is_masked_ = std::find(fields.begin(), fields.end(), name_) != fields.end();
    state_ = State::Colon;
    return true;
  }
  if (byte == '\\') {
    state_ = State::NameEscape;
    return true;
  }
  high_surrogate_ = 0;
  if (name_.size() <= longest_) name_ += byte;
  return static_cast<unsigned char>(byte) >= 0x20;
}

bool Masker::escapeInName(char byte) {
  if (byte == 'u') {
    hex_ = 0;
    hex_digits_ = 0;
    state_ = State::NameHex;
    return true;
  }
  constexpr std::string_view kFrom = "\"\\/bfnrt";
  constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
  const auto found = kFrom.find(byte);
  if (found == std::string_view::npos) return false;
  high_surrogate_ = 0;
  appendToName(static_cast<unsigned char>(kTo[found]));
  state_ = State::Name;
  return true;
}

bool Masker::hexInName(char byte) {
  const int value = filters::hexValue(byte);
  if (value < 0) return false;
  hex_ = hex_ << 4 | static_cast<std::uint32_t>(value);
  if (++hex_digits_ < 4) return true;
  state_ = State::Name;
  if (hex_ >= 0xD800 && hex_ < 0xDC00) {
    high_surrogate_ = hex_;
    return true;
  }
  if (hex_ >= 0xDC00 && hex_ < 0xE000 && high_surrogate_ != 0)
    hex_ = 0x10000 + ((high_surrogate_ - 0xD800) << 10) + (hex_ - 0xDC00);
  high_surrogate_ = 0;
  appendToName(hex_);
  return true;
}

// Encodes as UTF-8. Beyond the longest field name nothing is kept: it cannot match any more.
void Masker::appendToName(std::uint32_t code) {
  if (name_.size() > longest_) return;
  const auto tail = [&](unsigned shift) {
    name_ += static_cast<char>(0x80 | ((code >> shift) & 0x3F));
  };
  if (code < 0x80) {
    name_ += static_cast<char>(code);
  } else if (code < 0x800) {
    name_ += static_cast<char>(0xC0 | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    name_ += static_cast<char>(0xE0 | (code >> 12));
    tail(6), tail(0);
  } else {
    name_ += static_cast<char>(0xF0 | (code >> 18));
    tail(12), tail(6), tail(0);
  }
}

}  // namespace hyperway::json_mask
