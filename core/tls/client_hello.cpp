// SPDX-License-Identifier: Apache-2.0
#include "tls/client_hello.hpp"

namespace hyperway::tls {
namespace {

constexpr unsigned char kHostName = 0;
constexpr std::size_t kMaxNameBytes = 255;

// Takes a 16-bit length and that many bytes off the front of `rest`.
std::optional<std::span<const unsigned char>> takeVector(
    std::span<const unsigned char>& rest) noexcept {
  if (rest.size() < 2) return std::nullopt;
  const std::size_t size = static_cast<std::size_t>(rest[0]) << 8 | rest[1];
  if (rest.size() - 2 < size) return std::nullopt;
  const auto content = rest.subspan(2, size);
  rest = rest.subspan(2 + size);
  return content;
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

}  // namespace hyperway::tls
