// SPDX-License-Identifier: Apache-2.0
#include "route/conditions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "base/bytes.hpp"
#include "route/query_text.hpp"

namespace hyperway::route {

namespace {

using http::Field;
using http::FieldId;
using http::RequestHead;

bool isNamed(const Field& line, const ValueCondition& wanted) noexcept {
  if (line.removed || line.id != wanted.id) return false;
  return wanted.id != FieldId::Other || equalsIgnoreCase(line.name(), wanted.name);
}

/// The lines of one name as one value: several lines are one list, joined by ", " (RFC 9110 §5.3).
class HeaderValue {
 public:
  HeaderValue(const RequestHead& head, const ValueCondition& wanted) noexcept
      : head_(head), wanted_(wanted) {
    if (wanted.id == FieldId::Host) {  // not among the lines: framing owns it
      first_ = head.authority;
      count_ = head.authority.empty() ? 0 : 1;
      return;
    }
    for (const Field& line : head.fields.lines()) {
      if (!isNamed(line, wanted)) continue;
      if (count_ == 0) first_ = line.value();
      size_ += line.value_size + (count_ == 0 ? 0 : 2);
      ++count_;
    }
  }

  [[nodiscard]] bool present() const noexcept { return count_ != 0; }

  /// Compares piece by piece, so that nothing has to be joined.
  [[nodiscard]] bool equals(std::string_view text) const noexcept {
    if (count_ <= 1) return first_ == text;
    if (size_ != text.size()) return false;
    bool first = true;
    for (const Field& line : head_.fields.lines()) {
      if (!isNamed(line, wanted_)) continue;
      if (!first) {
        if (!text.starts_with(", ")) return false;
        text.remove_prefix(2);
      }
      first = false;
      if (!text.starts_with(line.value())) return false;
      text.remove_prefix(line.value_size);
    }
    return text.empty();
  }

  /// Calls `use` with the whole value in one piece.
  template <class Use>
  auto joined(Use&& use) const {
    if (count_ <= 1) return use(first_);
    std::array<char, 1024> small;
    char* buffer = small.data();
    if (size_ > small.size()) buffer = static_cast<char*>(head_.fields.arena().allocate(size_, 1));
    char* out = buffer;
    bool first = true;
    for (const Field& line : head_.fields.lines()) {
      if (!isNamed(line, wanted_)) continue;
      if (!first) out = std::copy_n(", ", 2, out);
      first = false;
      out = std::copy_n(line.value_data, line.value_size, out);
    }
    return use(std::string_view(buffer, size_));
  }

 private:
  const RequestHead& head_;
  const ValueCondition& wanted_;
  std::string_view first_;
  std::size_t count_ = 0;
  std::size_t size_ = 0;
};

/// A pattern that RE2 refused: its rule answers 500, whatever the request has (see
/// Conditions::compile).
bool cannotBeTested(const ValueCondition& wanted) noexcept {
  return wanted.regex && !wanted.regex->valid();
}

bool headerHolds(const ValueCondition& wanted, const RequestHead& head) noexcept {
  if (cannotBeTested(wanted)) return true;
  const HeaderValue value(head, wanted);
  if (!value.present()) return false;
  if (!wanted.regex) return value.equals(wanted.value);
  return value.joined([&](std::string_view text) { return wanted.regex->matches(text); });
}

bool queryHolds(const ValueCondition& wanted, const RequestHead& head) noexcept {
  if (cannotBeTested(wanted)) return true;
  const std::optional<std::string_view> raw = findQueryParameter(head.query, wanted.name);
  if (!raw) return false;
  if (!wanted.regex) return queryTextEquals(*raw, wanted.value);
  std::array<char, 256> small;
  char* buffer = small.data();
  if (raw->size() > small.size()) {
    buffer = static_cast<char*>(head.fields.arena().allocate(raw->size(), 1));
  }
  return wanted.regex->matches(decodeQueryText(*raw, buffer));
}

std::vector<ValueCondition> compileValues(const std::vector<ValueMatch>& values, bool headers,
                                          RegexCache& cache, std::vector<std::string>& problems) {
  std::vector<ValueCondition> out;
  out.reserve(values.size());
  for (const ValueMatch& value : values) {
    ValueCondition condition;
    condition.name = headers ? lowered(value.name) : value.name;
    if (headers) condition.id = http::fieldId(condition.name);
    condition.value = value.value;
    if (value.kind == MatchKind::Regex) {
      condition.regex = cache.get(value.value);
      if (!condition.regex->valid()) {
        problems.push_back(fmt::format("{} \"{}\": regular expression \"{}\" is not valid: {}",
                                       headers ? "header" : "query parameter", value.name,
                                       value.value, condition.regex->error()));
      }
    }
    out.push_back(std::move(condition));
  }
  return out;
}

std::string wantedText(const ValueCondition& wanted) {
  return wanted.regex ? fmt::format("needs to match \"{}\"", wanted.value)
                      : fmt::format("needs \"{}\"", wanted.value);
}

}  // namespace

Ref<Conditions> Conditions::compile(const Match& match, RegexCache& cache,
                                    std::vector<std::string>& problems) {
  if (match.method.empty() && match.headers.empty() && match.query.empty()) return {};
  Ref<Conditions> made(new Conditions);
  made->method_ = match.method;
  made->headers_ = compileValues(match.headers, true, cache, problems);
  made->query_ = compileValues(match.query, false, cache, problems);
  return made;
}

bool Conditions::hold(const RequestHead& head, std::string_view method) const noexcept {
  if (!method_.empty() && method_ != method) return false;
  for (const ValueCondition& wanted : headers_)
    if (!headerHolds(wanted, head)) return false;
  for (const ValueCondition& wanted : query_)
    if (!queryHolds(wanted, head)) return false;
  return true;
}

std::string Conditions::whyNot(const RequestHead& head, std::string_view method) const {
  if (!method_.empty() && method_ != method) {
    return fmt::format("method is {}, needs {}", method, method_);
  }
  for (const ValueCondition& wanted : headers_) {
    if (headerHolds(wanted, head)) continue;
    const HeaderValue value(head, wanted);
    if (!value.present()) {
      return fmt::format("header \"{}\" is absent, {}", wanted.name, wantedText(wanted));
    }
    return value.joined([&](std::string_view text) {
      return fmt::format("header \"{}\" is \"{}\", {}", wanted.name, text, wantedText(wanted));
    });
  }
  for (const ValueCondition& wanted : query_) {
    if (queryHolds(wanted, head)) continue;
    const std::optional<std::string_view> raw = findQueryParameter(head.query, wanted.name);
    if (!raw) {
      return fmt::format("query parameter \"{}\" is absent, {}", wanted.name, wantedText(wanted));
    }
    std::string text(raw->size(), '\0');
    text.resize(decodeQueryText(*raw, text.data()).size());
    return fmt::format("query parameter \"{}\" is \"{}\", {}", wanted.name, text,
                       wantedText(wanted));
  }
  return {};
}

}  // namespace hyperway::route
