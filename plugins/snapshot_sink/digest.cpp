// SPDX-License-Identifier: Apache-2.0
#include "digest.hpp"

#include <openssl/evp.h>

#include <stdexcept>

namespace hyperway::snapshot_sink {

Digest::Digest(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  if (EVP_Digest(text.data(), text.size(), bytes.data(), nullptr, EVP_sha256(), nullptr) != 1)
    throw std::runtime_error("SHA-256 failed");
  // By bytes, so that machines of either order come to the same.
  for (std::size_t i = 0; i < 16; ++i) lanes_[i / 8] = lanes_[i / 8] << 8 | bytes[i];
}

Digest& Digest::operator+=(const Digest& other) noexcept {
  for (std::size_t i = 0; i < lanes_.size(); ++i) lanes_[i] += other.lanes_[i];
  return *this;
}

Digest& Digest::operator-=(const Digest& other) noexcept {
  for (std::size_t i = 0; i < lanes_.size(); ++i) lanes_[i] -= other.lanes_[i];
  return *this;
}

std::string Digest::hex() const {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out(32, '0');
  for (std::size_t i = 0; i < 32; ++i) out[i] = kHex[lanes_[i / 16] >> (60 - 4 * (i % 16)) & 15];
  return out;
}

}  // namespace hyperway::snapshot_sink
