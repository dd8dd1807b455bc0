// SPDX-License-Identifier: Apache-2.0
#include "plugin/sha256.hpp"

#include <doctest/doctest.h>

#include <span>
#include <string>
#include <string_view>

namespace hyperway::plugin {
namespace {

std::string of(std::string_view text) {
  return sha256Hex(std::as_bytes(std::span(text.data(), text.size())));
}

TEST_CASE("SHA-256 gives the examples of FIPS 180-4") {
  CHECK(of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(of(std::string(1'000'000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("SHA-256 of pieces is that of the whole") {
  Sha256 hash;
  for (const std::string_view piece : {"", "ab", "c"})
    hash.add(std::as_bytes(std::span(piece.data(), piece.size())));
  CHECK(hash.hex() == of("abc"));
}

}  // namespace
}  // namespace hyperway::plugin
