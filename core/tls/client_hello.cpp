// SPDX-License-Identifier: Apache-2.0
#include "tls/client_hello.hpp"

#include <algorithm>
#include <cstring>

namespace hyperway::tls {
namespace {

using Bytes = std::span<const unsigned char>;

constexpr unsigned char kHostName = 0;
constexpr std::size_t kMaxNameBytes = 255;
constexpr unsigned char kHandshakeRecord = 22;
constexpr unsigned char kTlsMajor = 3;
constexpr std::size_t kRecordHeader = 5;
constexpr std::size_t kMaxFragment = 1U << 14;
constexpr unsigned char kClientHelloType = 1;
constexpr std::size_t kMessageHeader = 4;
constexpr std::size_t kVersionAndRandom = 2 + 32;
constexpr std::size_t kMaxSessionId = 32;
constexpr std::size_t kServerNameExtension = 0;

std::size_t number16(Bytes at) noexcept { return static_cast<std::size_t>(at[0]) << 8 | at[1]; }

// Takes a length of `width` bytes and that many bytes off the front of `rest`.
std::optional<Bytes> takeVector(Bytes& rest, std::size_t width = 2) noexcept {
  if (rest.size() < width) return std::nullopt;
  const std::size_t size = width == 1 ? rest[0] : number16(rest);
  if (rest.size() - width < size) return std::nullopt;
  const auto content = rest.subspan(width, size);
  rest = rest.subspan(width + size);
  return content;
}

constexpr ClientHello kBad{ClientHello::State::Bad};
constexpr ClientHello kNeedMore{ClientHello::State::NeedMore};

// A ClientHello's body, whole.
ClientHello parseBody(Bytes body) noexcept {
  if (body.size() < kVersionAndRandom || body[0] != kTlsMajor) return kBad;
  body = body.subspan(kVersionAndRandom);
  const auto session = takeVector(body, 1);
  if (!session || session->size() > kMaxSessionId) return kBad;
  const auto suites = takeVector(body);
  if (!suites || suites->empty() || suites->size() % 2 != 0) return kBad;
  const auto compressions = takeVector(body, 1);
  if (!compressions || compressions->empty()) return kBad;
  ClientHello hello{ClientHello::State::Complete};
  if (body.empty()) return hello;  // before TLS 1.2 there may be no extensions at all
  auto extensions = takeVector(body);
  if (!extensions || !body.empty()) return kBad;
  bool is_named = false;
  while (!extensions->empty()) {
    if (extensions->size() < 2) return kBad;
    const std::size_t type = number16(*extensions);
    *extensions = extensions->subspan(2);
    const auto content = takeVector(*extensions);
    if (!content) return kBad;
    if (type != kServerNameExtension) continue;
    // Whoever reads the other one of two would be someone else than we have chosen.
    const auto name = parseServerName(*content);
    if (is_named || !name) return kBad;
    is_named = true;
    hello.server_name = *name;
  }
  return hello;
}

}  // namespace

std::optional<std::string_view> parseServerName(std::span<const unsigned char> extension) noexcept {
  auto list = takeVector(extension);
  if (!list || !extension.empty() || list->empty()) return std::nullopt;
  std::string_view host;
  while (!list->empty()) {
    const unsigned char type = list->front();
    auto rest = list->subspan(1);
    const auto name = takeVector(rest);
    if (!name) return std::nullopt;
    *list = rest;
    if (type != kHostName) continue;
    if (!host.empty() || name->empty() || name->size() > kMaxNameBytes) return std::nullopt;
    host = {reinterpret_cast<const char*>(name->data()), name->size()};
    if (host.find('\0') != std::string_view::npos) return std::nullopt;
  }
  return host;
}

ClientHello parseClientHello(std::span<unsigned char> bytes) noexcept {
  const bool is_full = bytes.size() >= kMaxClientHelloBytes;
  bytes = bytes.first(std::min(bytes.size(), kMaxClientHelloBytes));
  std::size_t at = 0;     // of the next record's header
  std::size_t begin = 0;  // of the message, once there is a fragment
  std::size_t size = 0;   // of the message as far as it is here
  for (;;) {
    const auto header = bytes.subspan(at);
    if (!header.empty() && header[0] != kHandshakeRecord) return kBad;
    if (header.size() > 1 && header[1] != kTlsMajor) return kBad;
    if (header.size() < kRecordHeader) return is_full ? kBad : kNeedMore;
    const std::size_t fragment = number16(header.subspan(3));
    if (fragment == 0 || fragment > kMaxFragment) return kBad;
    at += kRecordHeader;
    const std::size_t here = std::min(fragment, bytes.size() - at);
    if (size == 0)
      begin = at;
    else
      std::memmove(bytes.data() + begin + size, bytes.data() + at, here);
    size += here;
    at += here;
    const Bytes message = Bytes(bytes).subspan(begin, size);
    if (!message.empty() && message[0] != kClientHelloType) return kBad;
    if (size >= kMessageHeader) {
      const std::size_t body =
          static_cast<std::size_t>(message[1]) << 16 | number16(message.subspan(2));
      if (body > kMaxClientHelloBytes - kMessageHeader) return kBad;
      if (size > kMessageHeader + body) return kBad;  // nothing may follow before our answer
      if (size == kMessageHeader + body && here == fragment)
        return parseBody(message.subspan(kMessageHeader));
    }
    if (here < fragment) return is_full ? kBad : kNeedMore;
  }
}

}  // namespace hyperway::tls
