// SPDX-License-Identifier: Apache-2.0
#include "plugin/sha256.hpp"

#include <openssl/evp.h>

#include <array>

#include "plugin/load_error.hpp"

namespace hyperway::plugin {

std::string sha256Hex(std::span<const std::byte> bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1)
    throw LoadError("OpenSSL of this system does not compute SHA-256");
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (unsigned int i = 0; i < size; ++i) {
    out += kDigits[digest[i] >> 4];
    out += kDigits[digest[i] & 15];
  }
  return out;
}

}  // namespace hyperway::plugin
