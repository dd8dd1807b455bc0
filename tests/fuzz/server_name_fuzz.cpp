// SPDX-License-Identifier: Apache-2.0
// LINK: hw_tls
// The body of a server_name extension, as a client sends it.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "tls/client_hello.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto name = hyperway::tls::parseServerName({data, size});
  if (!name || name->empty()) return 0;
  // A name lies inside the input and is fit to be looked up.
  const auto* begin = reinterpret_cast<const char*>(data);
  const bool inside = name->data() >= begin && name->data() + name->size() <= begin + size;
  if (!inside || name->size() > 255 || name->find('\0') != std::string_view::npos) std::abort();
  return 0;
}
