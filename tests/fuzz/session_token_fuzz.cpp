// SPDX-License-Identifier: Apache-2.0
// LINK: hw_proxy
// A Cookie field of a client, and tokens of sessions that were changed.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "http/cookie.hpp"
#include "proxy/session_token.hpp"

using namespace hyperway;

namespace {

constexpr std::string_view kName = "s";
constexpr std::string_view kScope = "6b8f1f3e-5f0c-4d43-9d0e-0a5b6c7d8e9f HTTPRoute default/web/0";

/// A token of bytes that the input chose.
proxy::SessionToken tokenOf(std::string_view bytes) {
  proxy::SessionToken token;
  const auto take = [&](std::size_t size) {
    std::uint64_t number = 0;
    for (; size > 0; --size) {
      number = number << 8 | (bytes.empty() ? 0U : static_cast<unsigned char>(bytes.front()));
      bytes.remove_prefix(bytes.empty() ? 0 : 1);
    }
    return number;
  };
  token.backend = take(8);
  const bool v4 = (take(1) & 1) != 0;
  token.endpoint = *net::SocketAddress::parse(v4 ? "10.1.2.3" : "2001:db8::1",
                                              static_cast<std::uint16_t>(take(2)));
  token.begun = take(8);
  token.seen = take(8);
  return token;
}

void expect(bool fine) {
  if (!fine) std::abort();
}

/// What nextCookie() finds lies in the field, in its order; no value of it is a token: the key is
/// not in the input.
void readField(tls::TokenCipher& cipher, std::string_view field) {
  std::string_view pairs = field;
  const char* last = field.data();
  for (;;) {
    const std::size_t before = pairs.size();
    const std::string_view value = http::nextCookie(pairs, kName);
    if (value.data() == nullptr) break;
    expect(pairs.size() < before);
    expect(value.data() > last && value.data() + value.size() <= field.data() + field.size());
    expect(value.find(';') == std::string_view::npos);
    last = value.data();
    expect(!proxy::readSessionToken(cipher, kScope, value));
  }
  expect(pairs.empty());
}

/// A good token comes back, also out of a field; a changed one never does.
void changeToken(tls::TokenCipher& cipher, std::string_view bytes) {
  const proxy::SessionToken token = tokenOf(bytes);
  std::string text(proxy::kSessionTokenSize, ' ');
  expect(proxy::writeSessionToken(cipher, kScope, token, text.data()));
  const std::string field = "x=1; " + std::string(kName) + "=" + text + "; y";
  std::string_view pairs = field;
  const auto read = proxy::readSessionToken(cipher, kScope, http::nextCookie(pairs, kName));
  expect(read && read->backend == token.backend && read->endpoint == token.endpoint &&
         read->begun == token.begun && read->seen == token.seen);
  expect(!proxy::readSessionToken(cipher, std::string(kScope) + '0', text));
  // The rest of the input says which characters change, and how.
  std::string changed = text;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    char& at = changed[static_cast<unsigned char>(bytes[i]) % changed.size()];
    at = static_cast<char>(at ^ bytes[i + 1]);
  }
  expect(changed == text || !proxy::readSessionToken(cipher, kScope, changed));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static tls::TokenCipher cipher;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  readField(cipher, bytes);
  changeToken(cipher, bytes);
  return 0;
}
