// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "codec/byte_buffer.hpp"
#include "http/field.hpp"

namespace hyperway::codec {

/// Writes "SIZE\r\n" in hexadecimal into `to` (at least 18 bytes) and returns its length (RFC 9112
/// §7.1).
[[nodiscard]] inline std::size_t writeChunkSize(std::size_t size, char* to) noexcept {
  char digits[16];
  std::size_t count = 0;
  do {
    digits[count++] = "0123456789abcdef"[size & 15];
    size >>= 4;
  } while (size != 0);
  for (std::size_t i = 0; i < count; ++i) to[i] = digits[count - 1 - i];
  to[count] = '\r';
  to[count + 1] = '\n';
  return count + 2;
}

/// Appends the live lines of `fields`, each as "name: value\r\n".
inline void appendFields(BlockPool& pool, ByteBuffer& out, const http::HeaderMap& fields) {
  for (const http::Field& field : fields.lines()) {
    if (field.removed) continue;
    out.append(pool, field.name());
    out.append(pool, ": ");
    out.append(pool, field.value());
    out.append(pool, "\r\n");
  }
}

}  // namespace hyperway::codec
