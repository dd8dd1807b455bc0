// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "../ascii.hpp"
#include "hyperway/sdk/config.hpp"

namespace hyperway::cors {

/// An origin taken apart: lower case, the scheme's own port left out.
struct Origin {
  std::string scheme;  ///< "http" or "https".
  std::string host;    ///< In patterns perhaps with a '*' in front.
  std::string port;    ///< Empty: the scheme's own.

  /// Reads "scheme://host[:port]"; an empty scheme says that it is none.
  [[nodiscard]] static Origin parse(std::string_view text) {
    Origin out;
    const auto colon = text.find("://");
    if (colon == std::string_view::npos) return out;
    std::string_view rest = text.substr(colon + 3);
    const auto bracket = rest.rfind(']');
    const auto port = rest.rfind(':');
    if (port != std::string_view::npos && (bracket == std::string_view::npos || port > bracket)) {
      out.port = rest.substr(port + 1);
      rest = rest.substr(0, port);
    }
    out.scheme = filters::lowered(text.substr(0, colon));
    out.host = filters::lowered(rest);
    const bool own =
        (out.scheme == "https" && out.port == "443") || (out.scheme == "http" && out.port == "80");
    if (own) out.port.clear();
    if (rest.empty()) out.scheme.clear();
    return out;
  }
};

/// Gateway API HTTPCORSFilter.allowOrigins: exact origins, hosts with a leading '*' that stands for
/// any number of labels, or "*" alone for every origin. Constant after reading.
class OriginList {
 public:
  explicit OriginList(const sdk::ConfigNode& list) {
    for (const sdk::ConfigNode& node : list.items()) {
      const std::string text = node.text();
      if (text == "*") {
        any_ = true;
        continue;
      }
      Origin origin = Origin::parse(text);
      if (!isSound(origin))
        node.error(
            "must be \"*\" or scheme://host[:port] with http or https; a '*' may stand at the "
            "beginning of the host only");
      else
        origins_.push_back(std::move(origin));
    }
    if (any_ && list.items().size() > 1) list.error("\"*\" does not go with other origins");
  }

  /// True if every origin is allowed.
  [[nodiscard]] bool any() const noexcept { return any_; }

  /// True if the Origin field's value is allowed. "null" is no origin that could be named.
  [[nodiscard]] bool allows(std::string_view text) const {
    if (any_) return true;
    const Origin origin = Origin::parse(text);
    return !origin.scheme.empty() &&
           std::any_of(origins_.begin(), origins_.end(),
                       [&](const Origin& pattern) { return covers(pattern, origin); });
  }

 private:
  static bool isSound(const Origin& origin) {
    const bool scheme = origin.scheme == "http" || origin.scheme == "https";
    const bool port = std::all_of(origin.port.begin(), origin.port.end(),
                                  [](char c) { return c >= '0' && c <= '9'; }) &&
                      origin.port.size() <= 5;
    const bool host = !origin.host.empty() &&
                      origin.host.find_first_of("/?#@ ") == std::string::npos &&
                      origin.host.find('*', 1) == std::string::npos;
    return scheme && port && host;
  }
  static bool covers(const Origin& pattern, const Origin& origin) {
    if (pattern.scheme != origin.scheme || pattern.port != origin.port) return false;
    if (pattern.host.front() != '*') return pattern.host == origin.host;
    const std::string_view suffix = std::string_view(pattern.host).substr(1);
    return origin.host.size() > suffix.size() && origin.host.ends_with(suffix);
  }

  bool any_ = false;
  std::vector<Origin> origins_;
};

}  // namespace hyperway::cors
