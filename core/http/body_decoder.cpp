// SPDX-License-Identifier: Apache-2.0
#include "http/body_decoder.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"
#include "http/char_class.hpp"
#include "http/h1_hop.hpp"
#include "http/h1_scan.hpp"

namespace hyperway::http {

/// Where the decoder stands in the chunked coding (RFC 9112 §7.1); the rest of a body needs no
/// state.
enum class BodyDecoder::State : std::uint8_t {
  Size,               // In the digits of a chunk size.
  ExtensionSpace,     // BWS before ';'.
  ExtensionName,      // After ';' (with BWS) or in a name.
  ExtensionNameEnd,   // BWS behind a name.
  ExtensionValue,     // After '=' (with BWS).
  ExtensionToken,     // In a token value.
  ExtensionQuoted,    // In a quoted value.
  ExtensionEscape,    // Behind '\' in a quoted value.
  ExtensionValueEnd,  // Behind a quoted value.
  SizeLf,             // The CR behind a size was read.
  Data,               // In chunk data.
  DataCr,             // Chunk data is over.
  DataLf,             // The CR behind chunk data was read.
  Trailer,            // In a trailer line.
  TrailerLf,          // The CR behind a trailer line was read.
  Failed,
};

namespace {

constexpr std::uint8_t kMaxSizeDigits = 16;

bool isBadSpace(char c) noexcept { return c == ' ' || c == '\t'; }

}  // namespace

void BodyDecoder::begin(const Framing& framing) noexcept {
  *this = BodyDecoder();
  kind_ = framing.kind;
  done_ = kind_ == BodyKind::None;
  state_ = State::Size;
  if (kind_ == BodyKind::Length) remaining_ = framing.length;
}

BodyDecoder::Step BodyDecoder::next(std::string_view input, HeaderMap& trailers) {
  if (done_) return {Event::End, 0, {}, HttpError::None};
  if (kind_ == BodyKind::Chunked) return nextChunked(input, trailers);
  if (kind_ == BodyKind::Length) {
    if (remaining_ == 0) {
      done_ = true;
      return {Event::End, 0, {}, HttpError::None};
    }
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(input.size(), remaining_));
    remaining_ -= size;
    input = input.substr(0, size);
  }
  return {input.empty() ? Event::NeedMore : Event::Data, input.size(), input, HttpError::None};
}

void BodyDecoder::skip(std::uint64_t bytes) noexcept {
  if (kind_ != BodyKind::Length) return;
  HW_ASSERT(bytes <= remaining_);
  remaining_ -= bytes;
}

bool BodyDecoder::closeIsEnd() const noexcept {
  return done_ || kind_ == BodyKind::UntilClose || kind_ == BodyKind::Tunnel ||
         (kind_ == BodyKind::Length && remaining_ == 0);
}

BodyDecoder::Step BodyDecoder::bad(HttpError why, std::size_t consumed) noexcept {
  state_ = State::Failed;
  return {Event::Bad, consumed, {}, why};
}

BodyDecoder::Step BodyDecoder::nextChunked(std::string_view input, HeaderMap& trailers) {
  std::size_t at = 0;
  while (at < input.size()) {
    HttpError error = HttpError::None;
    if (state_ == State::Data) {
      const auto size =
          static_cast<std::size_t>(std::min<std::uint64_t>(input.size() - at, remaining_));
      remaining_ -= size;
      if (remaining_ == 0) state_ = State::DataCr;
      return {Event::Data, at + size, input.substr(at, size), HttpError::None};
    }
    if (state_ == State::Trailer) {
      const char* const begin = input.data() + at;
      const char* const stop = h1::findControl(begin, input.data() + input.size());
      const std::string_view text(begin, static_cast<std::size_t>(stop - begin));
      at += text.size();
      // A line that is here in full, after nothing partial, is read where it stands.
      const bool whole = line_bytes_ == 0 && input.size() - at >= 2;
      error = takeTrailerText(whole ? std::string_view() : text, trailers);
      if (error == HttpError::None && at < input.size()) {
        if (input[at] != '\r') {
          error = input[at] == '\n' ? HttpError::BadLineEnd : HttpError::BadTrailer;
        } else if (!whole) {
          state_ = State::TrailerLf;
        } else if (input[at + 1] != '\n') {
          error = HttpError::BadLineEnd;
        } else {
          at += 1;
          error = endTrailerLine(text, trailers);
        }
        at += 1;
      }
    } else if (state_ == State::TrailerLf) {
      error = input[at] == '\n' ? endTrailerLine({line_, line_bytes_}, trailers)
                                : HttpError::BadLineEnd;
      ++at;
    } else {
      error = takeControl(input[at]);
      ++at;
    }
    if (error != HttpError::None) return bad(error, at);
    if (done_) return {Event::End, at, {}, HttpError::None};
  }
  return {Event::NeedMore, at, {}, HttpError::None};
}

HttpError BodyDecoder::takeControl(char c) noexcept {
  switch (state_) {
    case State::Size: return takeSize(c);
    case State::SizeLf:
      if (c != '\n') return HttpError::BadLineEnd;
      state_ = remaining_ == 0 ? State::Trailer : State::Data;
      digits_ = 0;
      return HttpError::None;
    case State::DataCr:
      state_ = State::DataLf;
      return c == '\r' ? HttpError::None : HttpError::BadChunk;
    case State::DataLf:
      state_ = State::Size;
      return c == '\n' ? HttpError::None : HttpError::BadLineEnd;
    case State::Failed: return HttpError::BadChunk;
    default: return takeExtension(c);
  }
}

HttpError BodyDecoder::takeSize(char c) noexcept {
  const unsigned digit = hexValue(c);
  if (digit < 16) {
    if (digits_ == kMaxSizeDigits) return HttpError::BadChunk;
    ++digits_;
    remaining_ = remaining_ * 16 + digit;  // 16 digits fit exactly.
    return HttpError::None;
  }
  if (digits_ == 0) return c == '\n' ? HttpError::BadLineEnd : HttpError::BadChunk;
  // The sum of a large size and what came before must not wrap around anywhere.
  if (remaining_ > INT64_MAX) return HttpError::BadChunk;
  if (c == '\r') {
    state_ = State::SizeLf;
    return HttpError::None;
  }
  state_ = State::ExtensionSpace;
  return takeExtension(c);
}

// RFC 9112 §7.1.1: *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] ).
HttpError BodyDecoder::takeExtension(char c) noexcept {
  if (c == '\n') return HttpError::BadLineEnd;
  if (++extension_bytes_ > kMaxExtensionBytes) return HttpError::BadChunk;
  if (!isClass(c, kFieldText) && c != '\r') return HttpError::BadChunk;
  return takeExtensionText(c);
}

HttpError BodyDecoder::takeExtensionText(char c) noexcept {
  const bool token = isClass(c, kToken);
  const auto go = [this](State state) {
    state_ = state;
    digits_ = 0;  // From here on: 1 if the name or value has begun.
    return HttpError::None;
  };
  switch (state_) {
    case State::ExtensionSpace:
      if (c == ';') return go(State::ExtensionName);
      return isBadSpace(c) ? HttpError::None : HttpError::BadChunk;
    case State::ExtensionName:
      if (token) {
        digits_ = 1;
        return HttpError::None;
      }
      if (digits_ == 0) return isBadSpace(c) ? HttpError::None : HttpError::BadChunk;
      if (c == '\r') return go(State::SizeLf);
      [[fallthrough]];
    case State::ExtensionNameEnd:
      if (c == '=') return go(State::ExtensionValue);
      if (c == ';') return go(State::ExtensionName);
      return isBadSpace(c) ? go(State::ExtensionNameEnd) : HttpError::BadChunk;
    case State::ExtensionValue:
      if (token) return go(State::ExtensionToken);
      if (c == '"') return go(State::ExtensionQuoted);
      return isBadSpace(c) ? HttpError::None : HttpError::BadChunk;
    case State::ExtensionToken:
      if (token) return HttpError::None;
      [[fallthrough]];
    case State::ExtensionValueEnd:
      if (c == '\r') return go(State::SizeLf);
      if (c == ';') return go(State::ExtensionName);
      return isBadSpace(c) ? go(State::ExtensionSpace) : HttpError::BadChunk;
    case State::ExtensionQuoted:
      if (c == '"') return go(State::ExtensionValueEnd);
      if (c == '\r') return HttpError::BadChunk;
      return c == '\\' ? go(State::ExtensionEscape) : HttpError::None;
    case State::ExtensionEscape:
      return c == '\r' ? HttpError::BadChunk : go(State::ExtensionQuoted);
    default: return HttpError::BadChunk;
  }
}

// Keeps a piece of a trailer line that is not here in full.
HttpError BodyDecoder::takeTrailerText(std::string_view text, HeaderMap& trailers) {
  if (text.size() > kMaxTrailerBytes - std::min(line_bytes_, kMaxTrailerBytes))
    return HttpError::BadTrailer;
  if (text.empty()) return HttpError::None;
  const auto bytes = line_bytes_ + static_cast<std::uint32_t>(text.size());
  if (bytes > line_capacity_) {
    const std::uint32_t capacity = std::max<std::uint32_t>(bytes * 2, 128);
    char* const room = trailers.arena().array<char>(capacity).data();
    if (line_bytes_ != 0) std::memcpy(room, line_, line_bytes_);
    line_ = room;
    line_capacity_ = capacity;
  }
  std::memcpy(line_ + line_bytes_, text.data(), text.size());
  line_bytes_ = bytes;
  return HttpError::None;
}

HttpError BodyDecoder::endTrailerLine(std::string_view line, HeaderMap& trailers) {
  line_bytes_ = 0;
  state_ = State::Trailer;
  if (line.empty()) {
    done_ = true;
    return HttpError::None;
  }
  if (line.size() > kMaxTrailerBytes - std::min(trailer_bytes_, kMaxTrailerBytes) ||
      ++trailer_count_ > kMaxTrailerFields)
    return HttpError::BadTrailer;
  trailer_bytes_ += static_cast<std::uint32_t>(line.size());
  h1::FieldLine field;
  const HttpError error = h1::splitFieldLine(line, field);
  if (error != HttpError::None) return error;
  if (h1::isForbiddenTrailer(field.name)) return HttpError::BadTrailer;
  trailers.add(field.name, field.value);
  return HttpError::None;
}

}  // namespace hyperway::http
