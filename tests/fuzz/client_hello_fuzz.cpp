// SPDX-License-Identifier: Apache-2.0
// LINK: hw_tls
// The first bytes of a TLS connection, before anybody knows whose it is.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "tls/client_hello.hpp"

using hyperway::tls::ClientHello;

namespace {

ClientHello::State parsed(const std::uint8_t* data, std::size_t size) {
  std::vector<unsigned char> bytes(data, data + size);
  const ClientHello hello = hyperway::tls::parseClientHello(bytes);
  if (hello.server_name.empty()) return hello.state;
  // A name lies inside the input and is fit to be looked up.
  const auto* begin = reinterpret_cast<const char*>(bytes.data());
  const bool inside = hello.server_name.data() >= begin &&
                      hello.server_name.data() + hello.server_name.size() <= begin + size;
  const bool fit = hello.state == ClientHello::State::Complete && hello.server_name.size() <= 255 &&
                   hello.server_name.find('\0') == std::string_view::npos;
  if (!inside || !fit) std::abort();
  return hello.state;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ClientHello::State whole = parsed(data, size);
  if (whole == ClientHello::State::NeedMore && size >= hyperway::tls::kMaxClientHelloBytes)
    std::abort();
  // However the bytes come, the verdict is the same.
  for (std::size_t part = 0; part < std::min<std::size_t>(size, 64); ++part) {
    const ClientHello::State early = parsed(data, part);
    if (early != ClientHello::State::NeedMore && early != whole) std::abort();
  }
  return 0;
}
