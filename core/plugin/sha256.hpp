// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

struct evp_md_ctx_st;  // OpenSSL's

namespace hyperway::plugin {

/// SHA-256 (FIPS 180-4), piece by piece. By OpenSSL, which uses the CPU's instructions: files of
/// plugins are hashed at every start, and with their debug information they are large. Throws
/// LoadError where OpenSSL does not compute it.
class Sha256 {
 public:
  Sha256();
  /// Goes on with these bytes.
  void add(std::span<const std::byte> bytes);
  /// 64 lower-case hex digits, of all that was added. Once.
  [[nodiscard]] std::string hex();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const noexcept;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

/// The same of one piece of memory.
[[nodiscard]] std::string sha256Hex(std::span<const std::byte> bytes);

}  // namespace hyperway::plugin
