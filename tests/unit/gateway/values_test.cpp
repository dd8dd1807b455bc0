// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "gateway/base64.hpp"
#include "gateway/duration.hpp"
#include "gateway/hostname.hpp"
#include "gateway/ip_literal.hpp"

namespace hyperway::gateway {

TEST_CASE("Durations are one to four numbers with units, as in GEP-2257") {
  struct Row {
    std::string_view text;
    std::int64_t milliseconds;  // -1: refused
  };
  for (const Row& row : {Row{"0s", 0}, Row{"10s", 10'000}, Row{"1h2m3s4ms", 3'723'004},
                         Row{"500ms", 500}, Row{"99999h", 359'996'400'000}, Row{"1s1s1s1s", 4000},
                         Row{"1m30s", 90'000}, Row{"", -1}, Row{"1", -1}, Row{"s", -1},
                         Row{"1.5s", -1}, Row{"-1s", -1}, Row{"1d", -1}, Row{"100000s", -1},
                         Row{"1s1s1s1s1s", -1}, Row{" 1s", -1}, Row{"1s ", -1}, Row{"1us", -1}}) {
    CAPTURE(row.text);
    const auto value = parseDuration(row.text);
    CHECK((value ? value->count() : -1) == row.milliseconds);
  }
}

TEST_CASE("Host names are labels with perhaps a wildcard before them, and never addresses") {
  struct Row {
    std::string_view text;
    bool fine;
  };
  const std::string long_name = std::string(250, 'a') + ".com";
  for (const Row& row :
       {Row{"example.com", true}, Row{"*.example.com", true}, Row{"a", true}, Row{"A-1.b2", true},
        Row{"", false}, Row{"*", false}, Row{"*.", false}, Row{"a..b", false}, Row{".a", false},
        Row{"a.", false}, Row{"-a.b", false}, Row{"a-.b", false}, Row{"a.*.b", false},
        Row{"*a.b", false}, Row{"a_b.c", false}, Row{"1.2.3.4", false}, Row{"::1", false},
        Row{"a:80", false}, Row{long_name, false}}) {
    CAPTURE(row.text);
    CHECK(isHostname(row.text) == row.fine);
  }
}

TEST_CASE("Host names meet where some host is covered by both") {
  struct Row {
    std::string_view a, b;
    bool meet;
  };
  for (const Row& row : {Row{"", "a.com", true}, Row{"a.com", "a.com", true},
                         Row{"a.com", "b.com", false}, Row{"*.a.com", "x.a.com", true},
                         Row{"*.a.com", "x.y.a.com", true}, Row{"*.a.com", "a.com", false},
                         Row{"*.a.com", "xa.com", false}, Row{"*.a.com", "*.b.a.com", true},
                         Row{"*.a.com", "*.b.com", false}, Row{"*.a.com", "*.a.com", true}}) {
    CAPTURE(row.a);
    CAPTURE(row.b);
    CHECK(hostnamesMeet(row.a, row.b) == row.meet);
    CHECK(hostnamesMeet(row.b, row.a) == row.meet);
  }
}

TEST_CASE("A route keeps its own host names that meet the listener's, not the intersection") {
  using Names = std::vector<std::string>;
  CHECK(meetingHostnames({}, "a.com") == Names{""});
  CHECK(meetingHostnames({"*.example.com"}, "foo.example.com") == Names{"*.example.com"});
  CHECK(meetingHostnames({"a.com", "x.b.com"}, "*.b.com") == Names{"x.b.com"});
  CHECK(meetingHostnames({"a.com"}, "b.com").empty());
}

TEST_CASE("Addresses of the machine itself and of its link are local, however they are written") {
  for (const char* text : {"127.0.0.1",
                           "127.255.0.3",
                           "0.0.0.0",
                           "0.1.2.3",
                           "169.254.169.254",
                           "224.0.0.1",
                           "255.255.255.255",
                           "::1",
                           "::",
                           "fe80::1",
                           "ff02::1",
                           "::ffff:127.0.0.1",
                           "::ffff:169.254.1.1",
                           "::7f00:1",
                           "64:ff9b::7f00:1",
                           "2002:7f00:1::",
                           "example.com",
                           "",
                           "127.1",
                           "0x7f000001",
                           "2130706433",
                           "fe80::1%eth0"}) {
    CAPTURE(text);
    CHECK(isLocalIp(text));
  }
  for (const char* text :
       {"10.0.0.1", "192.168.1.1", "8.8.8.8", "2001:db8::1", "::ffff:8.8.8.8", "fd00::1"}) {
    CAPTURE(text);
    CHECK_FALSE(isLocalIp(text));
  }
}

TEST_CASE("Equal addresses have one spelling") {
  CHECK(canonicalIp("2001:DB8:0:0:0:0:0:1") == "2001:db8::1");
  CHECK(canonicalIp("10.0.0.1") == "10.0.0.1");
  for (const char* text : {"", "10.0.0", "10.0.0.01x", "[::1]", "::1%lo", "example.com"}) {
    CAPTURE(text);
    CHECK(canonicalIp(text).empty());
  }
}

TEST_CASE("Base64 is decoded with its padding, and nothing else is") {
  CHECK(decodeBase64("") == "");
  CHECK(decodeBase64("YQ==") == "a");
  CHECK(decodeBase64("YWI=") == "ab");
  CHECK(decodeBase64("YWJj") == "abc");
  CHECK(decodeBase64("YW\nJj\n") == "abc");
  CHECK(decodeBase64("+/8=") == std::string("\xfb\xff"));
  for (const char* text : {"Y", "YQ", "YQ=", "YQ===", "YWI", "YW=I", "Y*==", "-_8=", "==="}) {
    CAPTURE(text);
    CHECK_FALSE(decodeBase64(text).has_value());
  }
}

}  // namespace hyperway::gateway
