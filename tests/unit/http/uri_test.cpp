// SPDX-License-Identifier: Apache-2.0
#include "http/uri.hpp"

#include <doctest/doctest.h>

#include <string>

#include "message_harness.hpp"

using namespace hyperway;
using namespace hyperway::http;

namespace {

std::string normal(std::string_view path) {
  TestArena arena;
  const auto result = normalisePath(path, *arena);
  return result ? std::string(*result) : std::string(nameOf(result.error()));
}

}  // namespace

TEST_CASE("A path is normalised: unreserved escapes decoded, others upper case, dots removed") {
  struct Row {
    std::string_view path, normal;
  };
  for (const Row& row : {
           Row{"/", "/"},
           Row{"/a/b", "/a/b"},
           // RFC 3986 §5.2.4 and §5.4, as far as they stay below the root.
           Row{"/a/b/c/./../../g", "/a/g"},
           Row{"/mid/content=5/../6", "/mid/6"},
           Row{"/b/c/./g", "/b/c/g"},
           Row{"/b/c/g/.", "/b/c/g/"},
           Row{"/b/c/g/..", "/b/c/"},
           Row{"/b/c/../..", "/"},
           Row{"/b/c/../../g", "/g"},
           Row{"/b/c/g.", "/b/c/g."},
           Row{"/b/c/.g", "/b/c/.g"},
           Row{"/b/c/g..", "/b/c/g.."},
           Row{"/b/c/..g", "/b/c/..g"},
           Row{"/b/c/g;x=1/./y", "/b/c/g;x=1/y"},
           Row{"/b/c/g;x=1/../y", "/b/c/y"},
           Row{"/.", "/"},
           Row{"/./", "/"},
           Row{"/a/./", "/a/"},
           Row{"/a/../", "/"},
           Row{"/...", "/..."},
           Row{"/a/.../b", "/a/.../b"},
           Row{"/a.b/c.d", "/a.b/c.d"},
           // Dots written as escapes are dots.
           Row{"/a/%2e/b", "/a/b"},
           Row{"/a/%2E%2e/b", "/b"},
           Row{"/a/.%2e", "/"},
           Row{"/a/%2e./b", "/b"},
           Row{"/a/%2e%2e%2e/b", "/a/.../b"},
           // Empty segments are segments.
           Row{"//", "//"},
           Row{"//a", "//a"},
           Row{"/a//b", "/a//b"},
           Row{"/a//../b", "/a/b"},
           Row{"/a//./b", "/a//b"},
           Row{"//..", "/"},
           Row{"/a/..//b", "//b"},
           // Escapes.
           Row{"/%41%7a%30%2D%5f%7E", "/Az0-_~"},
           Row{"/a%2fb", "/a%2Fb"},
           Row{"/a%2F..%2Fb", "/a%2F..%2Fb"},
           Row{"/%e4%bd%a0", "/%E4%BD%A0"},
           Row{"/%25%32%65", "/%252e"},
           Row{"/%252e%252e/a", "/%252e%252e/a"},
           Row{"/%3f%23", "/%3F%23"},
           Row{"/%20", "/%20"},
           Row{"/%0d%0a", "/%0D%0A"},
           // What RFC 3986 does not allow, but what is harmless and common.
           Row{"/a\"<>^`{|}", "/a\"<>^`{|}"},
           Row{"/a!$&'()*+,;=:@", "/a!$&'()*+,;=:@"},
           Row{"/a;..", "/a;.."},
           Row{"/..%3Bx", "/..%3Bx"},
       }) {
    CAPTURE(row.path);
    CHECK(normal(row.path) == row.normal);
    CHECK(normal(row.normal) == row.normal);
  }
}

TEST_CASE("A path that rises above the root, or is malformed, is refused") {
  for (const std::string_view path :
       {std::string_view(""),           std::string_view("a"),
        std::string_view("*"),          std::string_view("/.."),
        std::string_view("/../a"),      std::string_view("/a/../.."),
        std::string_view("/a/../../b"), std::string_view("/%2e%2e"),
        std::string_view("/.%2E/x"),    std::string_view("/./.."),
        std::string_view("/%"),         std::string_view("/%2"),
        std::string_view("/%2/"),       std::string_view("/%zz"),
        std::string_view("/%2g"),       std::string_view("/%g2"),
        std::string_view("/a%00"),      std::string_view("/a%5c"),
        std::string_view("/a%5Cb"),     std::string_view("/a\\b"),
        std::string_view("/a b"),       std::string_view("/a\tb"),
        std::string_view("/a\0b", 4),   std::string_view("/a\x7f"),
        std::string_view("/\x80"),      std::string_view("/\xc3\xa4"),
        std::string_view("/a#b"),       std::string_view("/a?b"),
        std::string_view("/a/..;/b"),   std::string_view("/..;"),
        std::string_view("/a/.;x/b"),   std::string_view("/%2e%2e;x/b"),
        std::string_view("/a/./%")}) {
    CAPTURE(path);
    CHECK(normal(path) == "bad_path");
  }
}

TEST_CASE("A path in normal form is returned without a copy") {
  TestArena arena;
  const std::string_view path = "/a/b.c/d..e/";
  const auto result = normalisePath(path, *arena);
  REQUIRE(result.has_value());
  CHECK(result->data() == path.data());
}

TEST_CASE("A Host value gives the host in lower case and the port") {
  struct Row {
    std::string_view text, host;
    unsigned port;
  };
  const std::string label(63, 'a');
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'b');
  for (const Row& row : {
           Row{"example.com", "example.com", 0},
           Row{"EXAMPLE.Com:8080", "example.com", 8080},
           Row{"example.com.", "example.com", 0},
           Row{"example.com.:1", "example.com", 1},
           Row{"a_b-c.d", "a_b-c.d", 0},
           Row{"localhost", "localhost", 0},
           Row{"xn--bcher-kva.example", "xn--bcher-kva.example", 0},
           Row{"192.0.2.1:65535", "192.0.2.1", 65535},
           Row{"[::1]", "::1", 0},
           Row{"[::]:443", "::", 443},
           Row{"[2001:DB8::1]:80", "2001:db8::1", 80},
           Row{"[1:2:3:4:5:6:7:8]", "1:2:3:4:5:6:7:8", 0},
           Row{"[1:2:3:4:5:6:7::]", "1:2:3:4:5:6:7::", 0},
           Row{"[::2:3:4:5:6:7:8]", "::2:3:4:5:6:7:8", 0},
           Row{"[::ffff:192.0.2.1]", "::ffff:192.0.2.1", 0},
           Row{"[1:2:3:4:5:6:192.0.2.1]", "1:2:3:4:5:6:192.0.2.1", 0},
           Row{longest, longest, 0},
       }) {
    CAPTURE(row.text);
    TestArena arena;
    const auto authority = parseAuthority(row.text, *arena);
    REQUIRE(authority.has_value());
    CHECK(authority->host == row.host);
    CHECK(authority->port == row.port);
  }
}

TEST_CASE("A Host value that is not strictly a host with a port is refused") {
  const std::string label(64, 'a');
  const std::string long_host = std::string(63, 'a') + "." + std::string(63, 'a') + "." +
                                std::string(63, 'a') + "." + std::string(62, 'b');
  for (const std::string_view text : {
           std::string_view(""),
           std::string_view("."),
           std::string_view(".a"),
           std::string_view("a..b"),
           std::string_view("a.."),
           std::string_view(":80"),
           std::string_view("a:"),
           std::string_view("a:0"),
           std::string_view("a:080"),
           std::string_view("a:65536"),
           std::string_view("a:123456"),
           std::string_view("a:8o"),
           std::string_view("a:+80"),
           std::string_view("a:80:80"),
           std::string_view("a b"),
           std::string_view("a,b"),
           std::string_view("a/b"),
           std::string_view("a?b"),
           std::string_view("a#b"),
           std::string_view("a@b"),
           std::string_view("u:p@b"),
           std::string_view("a%41"),
           std::string_view("a\\b"),
           std::string_view("a\"b"),
           std::string_view("\xc3\xa4.de"),
           std::string_view("a\0b", 3),
           std::string_view("*"),
           std::string_view("::1"),
           std::string_view("[::1"),
           std::string_view("[]"),
           std::string_view("[::1]x"),
           std::string_view("[::1]:"),
           std::string_view("[:1]"),
           std::string_view("[1:]"),
           std::string_view("[:::]"),
           std::string_view("[1::2::3]"),
           std::string_view("[1:2:3:4:5:6:7]"),
           std::string_view("[1:2:3:4:5:6:7:8:9]"),
           std::string_view("[1:2:3:4:5:6:7:8::]"),
           std::string_view("[12345::]"),
           std::string_view("[g::]"),
           std::string_view("[::1%25eth0]"),
           std::string_view("[v1.a]"),
           std::string_view("[::1.2.3]"),
           std::string_view("[::1.2.3.256]"),
           std::string_view("[::1.2.3.04]"),
           std::string_view("[::1.2.3.4.5]"),
           std::string_view("[192.0.2.1]"),
           std::string_view("[1:2:3:4:5:6:7:1.2.3.4]"),
           std::string_view("[1g2::]"),
           std::string_view(label),
           std::string_view(long_host),
       }) {
    CAPTURE(text);
    TestArena arena;
    CHECK_FALSE(parseAuthority(text, *arena).has_value());
  }
}

TEST_CASE("A query has visible characters and well-formed escapes only") {
  for (const std::string_view good : {"", "a=b&c=%20", "?/?", "a\\b", "%e4%BD", "a=\"<>\""}) {
    CAPTURE(good);
    CHECK(isValidQuery(good));
  }
  for (const std::string_view bad :
       {std::string_view("a b"), std::string_view("a#b"), std::string_view("%"),
        std::string_view("%4"), std::string_view("%zz"), std::string_view("a\r"),
        std::string_view("\xe4"), std::string_view("a\0", 2), std::string_view("\x7f")}) {
    CAPTURE(bad);
    CHECK_FALSE(isValidQuery(bad));
  }
}
