// SPDX-License-Identifier: Apache-2.0
#include "app/config_values.hpp"

#include <charconv>

#include "net/address.hpp"

namespace hyperway::app {

std::optional<std::chrono::milliseconds> parseDuration(std::string_view text) {
  constexpr std::size_t kMaxDigits = 5;
  std::int64_t total = 0;
  int parts = 0;
  while (!text.empty()) {
    std::size_t digits = 0;
    std::int64_t number = 0;
    while (digits < text.size() && digits <= kMaxDigits && text[digits] >= '0' &&
           text[digits] <= '9')
      number = number * 10 + (text[digits++] - '0');
    if (digits == 0 || digits > kMaxDigits || ++parts > 4) return std::nullopt;
    text.remove_prefix(digits);
    if (text.starts_with("ms")) {
      text.remove_prefix(2);
      total += number;
      continue;
    }
    const char unit = text.empty() ? '\0' : text.front();
    const std::int64_t scale = unit == 'h'   ? 3'600'000
                               : unit == 'm' ? 60'000
                               : unit == 's' ? 1000
                                             : 0;
    if (scale == 0) return std::nullopt;
    text.remove_prefix(1);
    total += number * scale;
  }
  if (parts == 0) return std::nullopt;
  return std::chrono::milliseconds(total);
}

std::optional<std::uint16_t> parsePort(std::string_view text) {
  std::uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc{} || stop != end || port == 0) return std::nullopt;
  return port;
}

std::optional<route::Bind> parseEndpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const auto port = parsePort(text.substr(colon + 1));
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  // Without brackets "::1:80" could be either.
  if (!port || (host.find(':') != std::string_view::npos) != bracketed) return std::nullopt;
  const auto address = net::SocketAddress::parse(host, *port);
  if (!address) return std::nullopt;
  return route::Bind{std::string(host), *port};
}

bool isServicePort(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::size_t colon = text.rfind(':');
  return slash != std::string_view::npos && slash > 0 && colon != std::string_view::npos &&
         colon > slash + 1 && parsePort(text.substr(colon + 1)).has_value();
}

}  // namespace hyperway::app
