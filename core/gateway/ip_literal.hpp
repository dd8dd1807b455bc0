// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace hyperway::gateway {

/// True for an IPv4 or IPv6 address without brackets, zone or port.
[[nodiscard]] bool isIpLiteral(std::string_view text) noexcept;

/// The usual spelling of an address (RFC 5952 for IPv6), so that equal addresses are equal text;
/// empty if `text` is no address. An IPv4-mapped IPv6 address stays IPv6.
[[nodiscard]] std::string canonicalIp(std::string_view text);

/// True for "0.0.0.0" and "::".
[[nodiscard]] bool isWildcardIp(std::string_view canonical) noexcept;

/// True if `canonical` is an IPv6 address.
[[nodiscard]] bool isIpv6(std::string_view canonical) noexcept;

/// True for addresses that reach the gateway's own machine or link and nothing else: loopback,
/// unspecified, link-local, multicast and broadcast, also when mapped or translated into IPv6 (RFC
/// 4291 §2.5.5.2, RFC 6052, RFC 3056). Anything that is no address counts as well, so that a caller
/// who forgets to check fails closed.
[[nodiscard]] bool isLocalIp(std::string_view text) noexcept;

}  // namespace hyperway::gateway
