// SPDX-License-Identifier: Apache-2.0
#ifndef HYPERWAY_API_KEY_SHA256_H
#define HYPERWAY_API_KEY_SHA256_H

#include <stddef.h>
#include <stdint.h>

/// Writes the SHA-256 digest (FIPS 180-4) of `size` bytes to `digest`. Any thread.
void api_key_sha256(const uint8_t *data, size_t size, uint8_t digest[32]);

#endif
