// SPDX-License-Identifier: Apache-2.0
// LINK: hw_http
// A chunked body decodes to the same however it is cut, and to the same again after it was
// re-encoded; and a decoder without any leniency, written for this test, agrees with each accepted
// body.
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/body_decoder.hpp"
#include "strict_message.hpp"

using namespace hyperway;
using namespace hyperway::http;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

struct Decoded {
  bool end = false;
  bool bad = false;
  std::string data;
  std::string trailers;
  std::size_t consumed = 0;
};

Decoded decode(std::string_view input, std::size_t piece) {
  Arena arena({});
  HeaderMap trailers(arena);
  BodyDecoder decoder;
  decoder.begin({BodyKind::Chunked, 0});
  Decoded out;
  while (true) {
    // Memory of exactly the piece's size lets ASan see a read past it.
    const std::string_view part = input.substr(out.consumed, piece);
    const std::vector<char> bytes(part.begin(), part.end());
    const auto step = decoder.next({bytes.data(), bytes.size()}, trailers);
    require(step.consumed <= bytes.size());
    out.consumed += step.consumed;
    out.data += step.data;
    if (step.event == BodyDecoder::Event::Data) continue;
    out.end = step.event == BodyDecoder::Event::End;
    out.bad = step.event == BodyDecoder::Event::Bad;
    if (out.end || out.bad) break;
    require(step.consumed == bytes.size());
    if (out.consumed == input.size()) break;
  }
  require(decoder.done() == out.end && decoder.closeIsEnd() == out.end);
  for (const Field& field : trailers.lines())
    out.trailers.append(field.name()).append(": ").append(field.value()).append("\r\n");
  return out;
}

// The whole of RFC 9112 §7.1 by find(): an accepted body has no bare LF or CR outside chunk data.
std::optional<Decoded> decodeStrictly(std::string_view input) {
  Decoded out;
  while (true) {
    const std::size_t end = input.find("\r\n", out.consumed);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view line = input.substr(out.consumed, end - out.consumed);
    if (line.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos)
      return std::nullopt;
    const std::size_t digits =
        std::min(line.find_first_not_of("0123456789abcdefABCDEF"), line.size());
    std::uint64_t size = 0;
    const auto parsed = std::from_chars(line.data(), line.data() + digits, size, 16);
    if (digits == 0 || digits > 16 || parsed.ec != std::errc{}) return std::nullopt;
    const std::size_t semicolon = line.find_first_not_of(" \t", digits);
    if (digits != line.size() && (semicolon == std::string_view::npos || line[semicolon] != ';'))
      return std::nullopt;
    out.consumed = end + 2;
    if (size == 0) break;
    if (input.size() - out.consumed < 2 || input.size() - out.consumed - 2 < size)
      return std::nullopt;
    out.data += input.substr(out.consumed, size);
    out.consumed += size;
    if (input.substr(out.consumed, 2) != "\r\n") return std::nullopt;
    out.consumed += 2;
  }
  std::size_t used = 0;
  const auto lines = strict::linesOf(input.substr(out.consumed), used);
  if (!lines) return std::nullopt;
  for (const std::string& line : *lines)
    if (!strict::isToken(line.substr(0, line.find(':')))) return std::nullopt;
  out.consumed += used;
  out.end = true;
  return out;
}

std::string encode(const Decoded& body, std::size_t chunk) {
  std::string out;
  for (std::size_t at = 0; at < body.data.size(); at += chunk) {
    const std::string part = body.data.substr(at, chunk);
    char size[17];
    const auto end = std::to_chars(size, size + 16, part.size(), 16);
    out.append(size, end.ptr).append("\r\n").append(part).append("\r\n");
  }
  return out + "0\r\n" + body.trailers + "\r\n";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = std::size_t{1} + data[0];
  const std::string_view input(reinterpret_cast<const char*>(data + 1), size - 1);
  const Decoded whole = decode(input, input.size() + 1);
  const Decoded pieces = decode(input, piece);
  require(whole.end == pieces.end && whole.bad == pieces.bad);
  if (!whole.bad) {
    require(whole.data == pieces.data && whole.consumed == pieces.consumed);
    require(whole.trailers == pieces.trailers);
  }
  if (!whole.end) return 0;
  const auto strictly = decodeStrictly(input);
  require(strictly.has_value());
  require(strictly->data == whole.data && strictly->consumed == whole.consumed);
  const std::string again_text = encode(whole, piece);
  const Decoded again = decode(again_text, piece);
  require(again.end && again.consumed == again_text.size());
  require(again.data == whole.data && again.trailers == whole.trailers);
  return 0;
}
