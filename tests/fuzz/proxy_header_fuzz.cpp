// SPDX-License-Identifier: Apache-2.0
// LINK: hw_proxy
// The first bytes of a connection from a proxy.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "proxy/proxy_header.hpp"

using hyperway::proxy::parseProxyHeader;
using hyperway::proxy::ProxyHeaderIn;
using hyperway::route::ProxyHeader;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ProxyHeaderIn found = parseProxyHeader({data, size});
  // However the bytes come, the verdict is the same.
  for (std::size_t part = 0; part < std::min<std::size_t>(size, 128); ++part) {
    const ProxyHeaderIn early = parseProxyHeader({data, part});
    if (early.state != ProxyHeaderIn::State::NeedMore && early.state != found.state) std::abort();
  }
  if (found.state == ProxyHeaderIn::State::NeedMore && size >= hyperway::proxy::kMaxProxyHeaderIn)
    std::abort();
  if (found.state != ProxyHeaderIn::State::Complete) return 0;
  if (found.size > size || found.size > hyperway::proxy::kMaxProxyHeaderIn) std::abort();
  if (!found.has_addresses) return 0;
  // What was understood can be told on, and says the same.
  for (const ProxyHeader version : {ProxyHeader::V1, ProxyHeader::V2}) {
    std::vector<char> out(hyperway::proxy::kMaxProxyHeaderOut);
    const std::size_t written =
        hyperway::proxy::writeProxyHeader(version, found.source, found.destination, out.data());
    const ProxyHeaderIn again =
        parseProxyHeader({reinterpret_cast<const unsigned char*>(out.data()), written});
    if (again.state != ProxyHeaderIn::State::Complete || again.size != written) std::abort();
    if (!again.has_addresses) continue;  // one address of each family, in version 1
    if (again.source.port() != found.source.port() || again.source.ip() != found.source.ip())
      std::abort();
  }
  return 0;
}
