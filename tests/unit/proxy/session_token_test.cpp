// SPDX-License-Identifier: Apache-2.0
#include "proxy/session_token.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "http/field.hpp"

namespace hyperway::proxy {
namespace {

SessionToken tokenOf(std::string_view address, std::uint16_t port) {
  SessionToken token;
  token.backend = 0x123456789abcdef0;
  token.endpoint = *net::SocketAddress::parse(address, port);
  token.begun = 1'700'000'000'123;
  token.seen = 1'700'000'999'999;
  return token;
}

std::string textOf(std::string_view scope, const SessionToken& token) {
  tls::TokenCipher cipher;
  std::string text(kSessionTokenSize, '\0');
  REQUIRE(writeSessionToken(cipher, scope, token, text.data()));
  return text;
}

}  // namespace

TEST_CASE("A session's token comes back as it went out, to whichever replica") {
  tls::TokenCipher cipher;
  for (const SessionToken& token :
       {tokenOf("10.1.2.3", 8080), tokenOf("2001:db8::1", 65535), tokenOf("::1", 1)}) {
    const std::string text = textOf("scope", token);
    const auto read = readSessionToken(cipher, "scope", text);
    REQUIRE(read.has_value());
    CHECK(read->backend == token.backend);
    CHECK(read->endpoint == token.endpoint);
    CHECK(read->begun == token.begun);
    CHECK(read->seen == token.seen);
    CHECK(text == textOf("scope", token));
  }
}

TEST_CASE("A session's token is a cookie's value, and any other text is none") {
  tls::TokenCipher cipher;
  const std::string text = textOf("scope", tokenOf("10.1.2.3", 8080));
  CHECK(std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_';
  }));
  CHECK_FALSE(readSessionToken(cipher, "another", text));
  CHECK_FALSE(readSessionToken(cipher, "scope", text.substr(1)));
  CHECK_FALSE(readSessionToken(cipher, "scope", text + "A"));
  CHECK_FALSE(readSessionToken(cipher, "scope", ""));
  CHECK_FALSE(readSessionToken(cipher, "scope", std::string(kSessionTokenSize, '=')));
  CHECK_FALSE(readSessionToken(cipher, "scope", std::string(kSessionTokenSize, '\xff')));
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    CAPTURE(i);
    CHECK_FALSE(readSessionToken(cipher, "scope", changed));
  }
}

}  // namespace hyperway::proxy
