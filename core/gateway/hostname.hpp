// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hyperway::gateway {

/// True for a Hostname of the Gateway API: labels of letters, digits and '-' (RFC 1123), perhaps
/// "*." before them, 253 bytes at most, and no IP address. Case does not matter.
[[nodiscard]] bool isHostname(std::string_view text) noexcept;

/// True if some host is covered by both. Each is exact, "*.suffix" (one label or more before the
/// suffix) or empty for any; lower case. Source: Gateway API, HTTPRouteSpec.hostnames.
[[nodiscard]] bool hostnamesMeet(std::string_view a, std::string_view b) noexcept;

/// Those of a route's hostnames that meet a listener's (route::Attachment::hostnames): the same
/// text, not the intersection. One empty entry if the route has none. Empty if nothing meets.
[[nodiscard]] std::vector<std::string> meetingHostnames(const std::vector<std::string>& route,
                                                        std::string_view listener);

}  // namespace hyperway::gateway
