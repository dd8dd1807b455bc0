// SPDX-License-Identifier: Apache-2.0
#include "http/h1_scan.hpp"

#include <cstring>

namespace hyperway::http::h1 {

bool worthParsing(std::string_view input, std::size_t& scanned) noexcept {
  // Nothing is known yet: most heads come whole, and a parse tells as much as a search would.
  if (scanned == 0) {
    scanned = input.size();
    return true;
  }
  while (scanned < input.size()) {
    const auto* found =
        static_cast<const char*>(std::memchr(input.data() + scanned, '\n', input.size() - scanned));
    if (found == nullptr) {
      scanned = input.size();
      return false;
    }
    const auto at = static_cast<std::size_t>(found - input.data());
    scanned = at + 1;
    // A bare LF is an error that the parse will name; CRLF after LF is the end of the head.
    if (at == 0 || input[at - 1] != '\r') return true;
    if (at >= 2 && input[at - 2] == '\n') return true;
  }
  return false;
}

}  // namespace hyperway::http::h1
