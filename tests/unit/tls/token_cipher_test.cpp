// SPDX-License-Identifier: Apache-2.0
#include "tls/token_cipher.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace hyperway::tls {
namespace {

std::vector<std::byte> bytesOf(std::string_view text) {
  std::vector<std::byte> out(text.size());
  std::memcpy(out.data(), text.data(), text.size());
  return out;
}

std::vector<std::byte> sealed(std::string_view scope, std::string_view text) {
  TokenCipher cipher;
  std::vector<std::byte> out(text.size() + TokenCipher::kOverhead);
  REQUIRE(cipher.seal(scope, bytesOf(text), out));
  return out;
}

}  // namespace

TEST_CASE("What one process seals, another one opens: the same scope is all it takes") {
  TokenCipher other;
  for (const std::string_view text : {"x", "sixteen bytes ..", "an address and a port, and more"}) {
    const auto token = sealed("route 1", text);
    CHECK(token == sealed("route 1", text));
    for (int again = 0; again < 2; ++again) {
      std::vector<std::byte> out(text.size());
      REQUIRE(other.open("route 1", token, out));
      CHECK(out == bytesOf(text));
      std::vector<std::byte> sealed_again(token.size());
      REQUIRE(other.seal("route 1", bytesOf(text), sealed_again));
      CHECK(sealed_again == token);
    }
  }
}

TEST_CASE("What was sealed shows nothing, and nobody else's or changed text is opened") {
  const std::string text = "10.0.0.1:8080 10.0.0.1:8080 10.0.0.1:8080";
  const auto token = sealed("route 1", text);
  const std::string_view seen(reinterpret_cast<const char*>(token.data()), token.size());
  CHECK(seen.find("10.0") == std::string_view::npos);
  CHECK(token != sealed("route 2", text));
  TokenCipher cipher;
  std::vector<std::byte> out(text.size());
  CHECK_FALSE(cipher.open("route 2", token, out));
  for (std::size_t i = 0; i < token.size(); ++i) {
    auto changed = token;
    changed[i] ^= std::byte{1};
    CAPTURE(i);
    CHECK_FALSE(cipher.open("route 1", changed, out));
  }
  CHECK(cipher.open("route 1", token, out));
  CHECK_FALSE(cipher.open("route 1", std::span(token).first(TokenCipher::kOverhead), {}));
  CHECK_FALSE(cipher.open("route 1", {}, {}));
  CHECK_FALSE(cipher.open("route 1", token, std::span(out).first(3)));
}

}  // namespace hyperway::tls
