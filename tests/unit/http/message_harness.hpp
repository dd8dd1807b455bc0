// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/arena.hpp"
#include "http/body_decoder.hpp"
#include "http/h1.hpp"

namespace hyperway::http {

/// Memory of one message under test; whatever is parsed lives as long as this object.
class TestArena {
 public:
  TestArena() : arena_(memory_) {}
  Arena& operator*() { return arena_; }

 private:
  alignas(16) std::array<std::byte, 4096> memory_{};
  Arena arena_;
};

/// A request head parsed from `text`, which must outlive it.
struct ParsedRequest {
  explicit ParsedRequest(std::string_view text, const H1Limits& limits = {}) : head(*arena) {
    std::size_t scanned = 0;
    parse = parseRequestHead(text, limits, scanned, head);
  }
  /// True if the head is complete and accepted.
  [[nodiscard]] bool done() const { return parse.state == H1Parse::State::Done; }
  /// True if more bytes are needed.
  [[nodiscard]] bool needsMore() const { return parse.state == H1Parse::State::NeedMore; }
  /// The error's name; "done" or "more" if there is none.
  [[nodiscard]] std::string_view outcome() const {
    return done() ? "done" : needsMore() ? "more" : nameOf(parse.error);
  }
  /// What we would send upstream for it.
  [[nodiscard]] std::string written() const {
    H1RequestOut out;
    out.authority = head.authority;
    out.upgrade = head.upgrade;
    out.expect_continue = head.expect_continue;
    std::string text(requestHeadBound(head, out), '\0');
    const char* end = writeRequestHead(head, out, text.data());
    text.resize(static_cast<std::size_t>(end - text.data()));
    return text;
  }

  TestArena arena;
  RequestHead head;
  H1Parse parse;
};

/// A response head parsed from `text`, which must outlive it.
struct ParsedResponse {
  explicit ParsedResponse(std::string_view text, Method request = Method::Get,
                          std::string_view upgrade_offered = {}, const H1Limits& limits = {})
      : head(*arena) {
    std::size_t scanned = 0;
    parse = parseResponseHead(text, limits, request, upgrade_offered, scanned, head);
  }
  /// True if the head is complete and accepted.
  [[nodiscard]] bool done() const { return parse.state == H1Parse::State::Done; }
  /// The error's name; "done" or "more" if there is none.
  [[nodiscard]] std::string_view outcome() const {
    if (parse.state == H1Parse::State::NeedMore) return "more";
    return done() ? "done" : nameOf(parse.error);
  }
  /// What we would send to the client for it.
  [[nodiscard]] std::string written(const H1ResponseOut& out = {}) const {
    std::string text(responseHeadBound(head), '\0');
    const char* end = writeResponseHead(head, out, text.data());
    text.resize(static_cast<std::size_t>(end - text.data()));
    return text;
  }

  TestArena arena;
  ResponseHead head;
  H1Parse parse;
};

/// A body decoded to its end or to an error.
struct DecodedBody {
  /// Feeds `text` in pieces of at most `piece` bytes.
  DecodedBody(std::string_view text, const Framing& framing, std::size_t piece = 1 << 20)
      : trailers(*arena) {
    BodyDecoder decoder;
    decoder.begin(framing);
    while (true) {
      const std::string_view part = text.substr(consumed, piece);
      const auto step = decoder.next(part, trailers);
      data += step.data;
      consumed += step.consumed;
      error = step.error;
      event = step.event;
      const bool stuck = step.event == BodyDecoder::Event::NeedMore && consumed == text.size();
      if (step.event == BodyDecoder::Event::End || step.event == BodyDecoder::Event::Bad || stuck)
        break;
    }
    done = decoder.done();
    close_is_end = decoder.closeIsEnd();
  }
  /// The error's name; "end" or "more" if there is none.
  [[nodiscard]] std::string_view outcome() const {
    if (event == BodyDecoder::Event::Bad) return nameOf(error);
    return event == BodyDecoder::Event::End ? "end" : "more";
  }

  TestArena arena;
  HeaderMap trailers;
  std::string data;
  std::size_t consumed = 0;
  HttpError error = HttpError::None;
  BodyDecoder::Event event = BodyDecoder::Event::NeedMore;
  bool done = false;
  bool close_is_end = false;
};

/// The live lines as "name=value;" in order.
inline std::string flat(const HeaderMap& fields) {
  std::string out;
  for (const Field& field : fields.lines()) {
    if (field.removed) continue;
    out.append(field.name()).append("=").append(field.value()).append(";");
  }
  return out;
}

}  // namespace hyperway::http
