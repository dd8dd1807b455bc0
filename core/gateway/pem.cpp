// SPDX-License-Identifier: Apache-2.0
#include "gateway/pem.hpp"

#include "gateway/base64.hpp"

namespace hyperway::gateway {

bool hasPemBlock(std::string_view pem, std::string_view label) {
  constexpr std::string_view kBegin = "-----BEGIN ", kEnd = "-----END ", kDashes = "-----";
  for (std::size_t at = pem.find(kBegin); at != std::string_view::npos; at = pem.find(kBegin, at)) {
    at += kBegin.size();
    const std::size_t dashes = pem.find(kDashes, at);
    if (dashes == std::string_view::npos) return false;
    const std::string_view name = pem.substr(at, dashes - at);
    at = dashes + kDashes.size();
    if (!name.ends_with(label)) continue;
    const std::size_t end = pem.find(kEnd, at);
    if (end == std::string_view::npos) return false;
    std::string_view body = pem.substr(at, end - at);
    // Legacy encryption headers ("Proc-Type: …") stand before an empty line.
    if (body.find(':') != std::string_view::npos) return true;
    const auto decoded = decodeBase64(body);
    return decoded && !decoded->empty();
  }
  return false;
}

}  // namespace hyperway::gateway
