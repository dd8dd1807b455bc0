// SPDX-License-Identifier: Apache-2.0
#include "tls/client_hello.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

namespace hyperway::tls {
namespace {

std::string size16(std::size_t size) {
  return {static_cast<char>(size >> 8), static_cast<char>(size & 0xff)};
}

std::string entry(char type, const std::string& name) { return type + size16(name.size()) + name; }

std::string list(const std::string& entries) { return size16(entries.size()) + entries; }

std::optional<std::string> parsed(const std::string& body) {
  // On the heap in its exact size, so that a sanitizer sees a read past the end.
  const std::vector<unsigned char> bytes(body.begin(), body.end());
  const auto name = parseServerName(bytes);
  return name ? std::optional<std::string>(*name) : std::nullopt;
}

TEST_CASE("the host name of a server_name extension is found, other name types are passed over") {
  CHECK(parsed(list(entry(0, "demo.test"))) == "demo.test");
  CHECK(parsed(list(entry(7, "odd") + entry(0, "a"))) == "a");
  CHECK(parsed(list(entry(7, "odd"))) == "");
  CHECK(parsed(list(entry(0, std::string(255, 'a')))) == std::string(255, 'a'));
}

TEST_CASE("a malformed server_name extension is refused") {
  const std::string good = list(entry(0, "demo.test"));
  for (std::size_t size = 0; size < good.size(); ++size) {
    CAPTURE(size);
    CHECK(parsed(good.substr(0, size)) == std::nullopt);
  }
  CHECK(parsed(good + "x") == std::nullopt);
  CHECK(parsed(list("")) == std::nullopt);
  CHECK(parsed(list(entry(0, ""))) == std::nullopt);
  CHECK(parsed(list(entry(0, "a") + entry(0, "b"))) == std::nullopt);
  CHECK(parsed(list(entry(0, std::string("a\0b", 3)))) == std::nullopt);
  CHECK(parsed(list(entry(0, std::string(256, 'a')))) == std::nullopt);
}

}  // namespace
}  // namespace hyperway::tls
