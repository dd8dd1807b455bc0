// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/bytes.hpp"
#include "http/char_class.hpp"
#include "http/error.hpp"

/// Byte scanners and the field line reader that heads and trailers share. Internal to core/http.
namespace hyperway::http::h1 {

/// The first byte in [at, end) that may not stand in a field value: a control byte but HTAB, or
/// DEL. That is the CR of a well-formed line. `end` if there is none.
[[nodiscard]] inline const char* findControl(const char* at, const char* end) noexcept {
#if defined(__SSE2__)
  const __m128i limit = _mm_set1_epi8(0x1f);
  const __m128i del = _mm_set1_epi8(0x7f);
  const __m128i tab = _mm_set1_epi8('\t');
  for (; end - at >= 16; at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, limit), bytes);
    const __m128i control =
        _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), low), _mm_cmpeq_epi8(bytes, del));
    const auto found = static_cast<unsigned>(_mm_movemask_epi8(control));
    if (found != 0) return at + std::countr_zero(found);
  }
#endif
  while (at != end && isClass(*at, kFieldText)) ++at;
  return at;
}

/// The first byte in [at, end) that is no visible ASCII character; `end` if there is none.
[[nodiscard]] inline const char* findTargetEnd(const char* at, const char* end) noexcept {
#if defined(__SSE2__)
  // Signed comparison: bytes above 0x7f are negative and so count as low.
  const __m128i limit = _mm_set1_epi8(0x21);
  const __m128i del = _mm_set1_epi8(0x7f);
  for (; end - at >= 16; at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i stop = _mm_or_si128(_mm_cmplt_epi8(bytes, limit), _mm_cmpeq_epi8(bytes, del));
    const auto found = static_cast<unsigned>(_mm_movemask_epi8(stop));
    if (found != 0) return at + std::countr_zero(found);
  }
#endif
  while (at != end && *at > 0x20 && *at < 0x7f) ++at;
  return at;
}

/// The first byte in [at, end) that is no token character; `end` if there is none. The classes of
/// the bytes before it are added to `classes` (only kUnderscore is promised).
[[nodiscard]] inline const char* findTokenEnd(const char* at, const char* end,
                                              unsigned& classes) noexcept {
#if defined(__SSE2__)
  // Most names are letters, digits and '-': these are told by ranges, without a look per byte.
  if (end - at >= 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i folded = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
    const __m128i letter = _mm_sub_epi8(folded, _mm_set1_epi8('a'));
    const __m128i digit = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
    const __m128i plain =
        _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter),
                                  _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit)),
                     _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-')));
    const auto other = static_cast<unsigned>(_mm_movemask_epi8(plain)) ^ 0xffffU;
    if (other == 0) {
      at += 16;
    } else {
      at += std::countr_zero(other);
      if (*at == ':' || *at == ' ') return at;
    }
  }
#endif
  for (; at != end; ++at) {
    const unsigned bits = kCharClass[static_cast<unsigned char>(*at)];
    if ((bits & kToken) == 0) break;
    classes |= bits;
  }
  return at;
}

/// One field line as received, without surrounding white space.
struct FieldLine {
  std::string_view name;   ///< View into the input; a token, not empty.
  std::string_view value;  ///< View into the input.
  bool underscore;         ///< The name holds a '_'.
};

/// What readFieldLine() found.
enum class LineState : std::uint8_t {
  Field,     ///< A field line.
  End,       ///< The empty line that ends the fields.
  NeedMore,  ///< Neither is complete.
  Bad,       ///< Malformed.
};

/// Why a byte that is neither token character nor ':' after one makes a field line bad.
[[nodiscard]] inline HttpError nameError(const char* begin, const char* stop) noexcept {
  if (*stop == '\n' || *stop == '\r') return HttpError::BadLineEnd;
  if (*stop != ' ' && *stop != '\t') return HttpError::BadFieldName;
  return begin == stop ? HttpError::ObsoleteFold : HttpError::SpaceBeforeColon;
}

/// Reads the line at `at` (RFC 9112 §5) and moves `at` behind it. `error` is set if Bad.
[[nodiscard]] inline LineState readFieldLine(const char*& at, const char* end, FieldLine& line,
                                             HttpError& error) noexcept {
  const char* p = at;
  if (p == end) return LineState::NeedMore;
  const auto bad = [&error](HttpError why) {
    error = why;
    return LineState::Bad;
  };
  if (*p == '\r') {
    if (end - p < 2) return LineState::NeedMore;
    if (p[1] != '\n') return bad(HttpError::BadLineEnd);
    at = p + 2;
    return LineState::End;
  }
  unsigned classes = 0;
  const char* name_end = findTokenEnd(p, end, classes);
  if (name_end == end) return LineState::NeedMore;
  if (*name_end != ':') return bad(nameError(p, name_end));
  if (name_end == p) return bad(HttpError::BadFieldName);
  if (name_end - p > 0xffff) return bad(HttpError::HeadTooLarge);
  line.name = {p, static_cast<std::size_t>(name_end - p)};
  line.underscore = (classes & kUnderscore) != 0;

  p = name_end + 1;
  while (p != end && (*p == ' ' || *p == '\t')) ++p;
  const char* value_end = findControl(p, end);
  if (value_end == end) return LineState::NeedMore;
  if (*value_end == '\n') return bad(HttpError::BadLineEnd);
  if (*value_end != '\r') return bad(HttpError::BadFieldValue);
  if (end - value_end < 2) return LineState::NeedMore;
  if (value_end[1] != '\n') return bad(HttpError::BadLineEnd);
  at = value_end + 2;
  while (value_end != p && (value_end[-1] == ' ' || value_end[-1] == '\t')) --value_end;
  line.value = {p, static_cast<std::size_t>(value_end - p)};
  return LineState::Field;
}

/// Reads a field line without its CRLF, in which every byte is known to be field text: for
/// trailers, which come in pieces. Returns None or why the line is bad.
[[nodiscard]] inline HttpError splitFieldLine(std::string_view text, FieldLine& line) noexcept {
  unsigned classes = 0;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const char* const name_end = findTokenEnd(begin, end, classes);
  if (name_end == end) return HttpError::BadFieldName;
  if (*name_end != ':') return nameError(begin, name_end);
  if (name_end == begin) return HttpError::BadFieldName;
  line.name = {begin, static_cast<std::size_t>(name_end - begin)};
  line.value = trimOws(text.substr(line.name.size() + 1));
  line.underscore = (classes & kUnderscore) != 0;
  return HttpError::None;
}

/// Tells whether the head in `input` can be complete or is surely bad, given that the first
/// `scanned` bytes were neither: so a head that drips in is parsed twice at most. Moves `scanned`
/// on.
[[nodiscard]] bool worthParsing(std::string_view input, std::size_t& scanned) noexcept;

}  // namespace hyperway::http::h1
