// SPDX-License-Identifier: Apache-2.0
#include "scalar.hpp"

#include <charconv>
#include <cstdint>

namespace hyperway::file_source {
namespace {

bool isDigit(char c) { return c >= '0' && c <= '9'; }

std::string_view withoutSign(std::string_view text) {
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  return text;
}

bool allDigits(std::string_view text) {
  for (const char c : text)
    if (!isDigit(c)) return false;
  return !text.empty();
}

bool allIn(std::string_view text, std::string_view set) {
  return !text.empty() && text.find_first_not_of(set) == std::string_view::npos;
}

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
bool isReal(std::string_view text) {
  text = withoutSign(text);
  std::size_t at = 0;
  while (at < text.size() && isDigit(text[at])) ++at;
  const bool whole = at > 0;
  if (at < text.size() && text[at] == '.') {
    const std::size_t point = at++;
    while (at < text.size() && isDigit(text[at])) ++at;
    if (!whole && at == point + 1) return false;
  } else if (!whole) {
    return false;
  }
  if (at == text.size()) return true;
  if (text[at] != 'e' && text[at] != 'E') return false;
  return allDigits(withoutSign(text.substr(at + 1)));
}

// "007" -> "7", "" -> "0": JSON allows no leading zeros.
std::string_view withoutZeros(std::string_view digits) {
  while (digits.size() > 1 && digits.front() == '0') digits.remove_prefix(1);
  return digits.empty() ? "0" : digits;
}

void appendReal(std::string& out, std::string_view text) {
  if (text.front() == '-') out += '-';
  text = withoutSign(text);
  const std::size_t exponent = text.find_first_of("eE");
  const std::string_view mantissa = text.substr(0, exponent);
  const std::size_t point = mantissa.find('.');
  out += withoutZeros(mantissa.substr(0, point));
  if (point != std::string_view::npos && point + 1 < mantissa.size()) {
    out += '.';
    out += mantissa.substr(point + 1);
  }
  if (exponent != std::string_view::npos) out += text.substr(exponent);
}

void appendInteger(std::string& out, std::string_view text) {
  const int base = text.starts_with("0x") ? 16 : text.starts_with("0o") ? 8 : 10;
  if (base == 10) {
    if (text.front() == '-') out += '-';
    out += withoutZeros(withoutSign(text));
    return;
  }
  std::uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data() + 2, text.data() + text.size(), value, base);
  if (error == std::errc{})
    out += std::to_string(value);
  else
    appendString(out, text);  // beyond 64 bits nothing of ours reads it as a number
}

}  // namespace

ScalarType resolveScalar(std::string_view text) noexcept {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL")
    return ScalarType::Null;
  if (text == "true" || text == "True" || text == "TRUE" || text == "false" || text == "False" ||
      text == "FALSE")
    return ScalarType::Boolean;
  const char first = text.front();
  if (!isDigit(first) && first != '-' && first != '+' && first != '.') return ScalarType::String;
  if (allDigits(withoutSign(text))) return ScalarType::Integer;
  if (text.starts_with("0o") && allIn(text.substr(2), "01234567")) return ScalarType::Integer;
  if (text.starts_with("0x") && allIn(text.substr(2), "0123456789abcdefABCDEF"))
    return ScalarType::Integer;
  const std::string_view bare = withoutSign(text);
  if (bare == ".inf" || bare == ".Inf" || bare == ".INF" || text == ".nan" || text == ".NaN" ||
      text == ".NAN")
    return ScalarType::NotFinite;
  return isReal(text) ? ScalarType::Real : ScalarType::String;
}

void appendScalar(std::string& out, ScalarType type, std::string_view text) {
  switch (type) {
    case ScalarType::Null:
    case ScalarType::NotFinite: out += "null"; return;
    case ScalarType::Boolean:
      out += text.front() == 't' || text.front() == 'T' ? "true" : "false";
      return;
    case ScalarType::Integer: appendInteger(out, text); return;
    case ScalarType::Real: appendReal(out, text); return;
    case ScalarType::String: appendString(out, text); return;
  }
}

void appendString(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  std::size_t done = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, done, i - done);
    done = i + 1;
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\t': out += "\\t"; break;
      case '\r': out += "\\r"; break;
      default:
        out += "\\u00";
        out += kHex[c >> 4];
        out += kHex[c & 0xF];
    }
  }
  out.append(text, done, text.size() - done);
  out += '"';
}

}  // namespace hyperway::file_source
