// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

namespace hyperway::tls {

/// Seals small texts that clients carry for us: nobody without the key reads them, makes them or
/// changes them. AES-SIV (RFC 5297), which needs no random number and so says the same for the same
/// text: whoever has the key, which is made of a text that all replicas know, can open what another
/// one sealed. Not thread-safe; each worker has its own.
class TokenCipher {
 public:
  /// Bytes that sealing adds.
  static constexpr std::size_t kOverhead = 16;

  /// Costs nothing until it is used.
  TokenCipher() noexcept;
  TokenCipher(const TokenCipher&) = delete;
  TokenCipher& operator=(const TokenCipher&) = delete;
  ~TokenCipher();

  /// Seals `text` under the key that is made of `scope` into `out`, which has room for kOverhead
  /// more bytes, and no others. False if OpenSSL cannot.
  [[nodiscard]] bool seal(std::string_view scope, std::span<const std::byte> text,
                          std::span<std::byte> out) noexcept;
  /// Opens what seal() made under the same scope. False for anything else; `out` has kOverhead
  /// bytes less, and is of no use then.
  [[nodiscard]] bool open(std::string_view scope, std::span<const std::byte> sealed,
                          std::span<std::byte> out) noexcept;

 private:
  struct State;
  [[nodiscard]] bool begin(std::string_view scope, bool sealing) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace hyperway::tls
