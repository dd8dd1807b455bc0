// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http/field.hpp"
#include "http/h1.hpp"
#include "http/h1_hop.hpp"
#include "http/h1_scan.hpp"

/// What the parsers of request and response heads share. Internal to core/http.
namespace hyperway::http::h1 {

/// One attempt to read a head: the place in the input, and its field lines. Base of a parser, whose
/// steps return NeedMore, Bad (with the error set) or Done.
class HeadReader {
 public:
  /// Why a step was Bad.
  [[nodiscard]] HttpError error() const noexcept { return error_; }
  /// Bytes read so far; the size of the head once it is Done.
  [[nodiscard]] std::size_t consumed() const noexcept {
    return static_cast<std::size_t>(at_ - begin_);
  }

 protected:
  /// Input and limits outlive the reader; `fields` gets views into the input.
  HeadReader(std::string_view input, const H1Limits& limits, HeaderMap& fields) noexcept
      : begin_(input.data()),
        at_(input.data()),
        end_(input.data() + std::min(input.size(), limits.head_bytes)),
        limits_(limits),
        fields_(fields) {}

  /// Ends a step.
  H1Parse::State bad(HttpError why) noexcept {
    error_ = why;
    return H1Parse::State::Bad;
  }
  /// Ends a check.
  bool refuse(HttpError why) noexcept {
    error_ = why;
    return false;
  }

  /// Reads all field lines: those of one hop into hop_, the others into the fields. `accept(line)`
  /// says None, or why a line is bad.
  template <class Accept>
  H1Parse::State readFields(Accept&& accept) {
    FieldLine line;
    for (std::uint32_t count = 0;; ++count) {
      switch (readFieldLine(at_, end_, line, error_)) {
        case LineState::NeedMore: return H1Parse::State::NeedMore;
        case LineState::Bad: return H1Parse::State::Bad;
        case LineState::End: return H1Parse::State::Done;
        case LineState::Field: break;
      }
      if (count == limits_.fields) return bad(HttpError::TooManyFields);
      if (const HttpError why = accept(line); why != HttpError::None) return bad(why);
      const FieldId id = fieldId(line.name);
      if (id == FieldId::Other || !hop_.take(id, line.value))
        fields_.appendView(id, line.name, line.value);
    }
  }

  const char* begin_;
  const char* at_;
  const char* end_;
  const H1Limits& limits_;
  HeaderMap& fields_;
  HopFields hop_;
  HttpError error_ = HttpError::None;
};

/// Parses the head in `input` with a `Parser`, whose parse() gets `question`; clears `head` first.
/// See parseRequestHead() and parseResponseHead().
template <class Parser, class Head, class... Question>
[[nodiscard]] H1Parse parseHead(std::string_view input, const H1Limits& limits,
                                std::size_t& scanned, Head& head, const Question&... question) {
  const bool full = input.size() >= limits.head_bytes;
  if (!worthParsing(input, scanned) && !full) return {H1Parse::State::NeedMore, HttpError::None, 0};
  Arena& arena = head.fields.arena();
  head = Head(arena);
  Parser parser(input, limits, head);
  const H1Parse::State state = parser.parse(question...);
  if (state == H1Parse::State::Done) return {state, HttpError::None, parser.consumed()};
  if (state == H1Parse::State::Bad) return {state, parser.error(), 0};
  if (full) return {H1Parse::State::Bad, HttpError::HeadTooLarge, 0};
  return {state, HttpError::None, 0};
}

}  // namespace hyperway::http::h1
