// SPDX-License-Identifier: Apache-2.0
#include "net/address.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string>

namespace hyperway::net {
namespace {

SocketAddress at(std::string_view ip, std::uint16_t port = 80) {
  const auto address = SocketAddress::parse(ip, port);
  REQUIRE_MESSAGE(address.has_value(), ip);
  return *address;
}

TEST_CASE("an address reads and prints as its canonical literal") {
  struct Row {
    std::string_view in, ip, text;
    int family;
  };
  for (const Row& row : {
           Row{"10.0.0.1", "10.0.0.1", "10.0.0.1:80", AF_INET},
           Row{"255.255.255.255", "255.255.255.255", "255.255.255.255:80", AF_INET},
           Row{"0.0.0.0", "0.0.0.0", "0.0.0.0:80", AF_INET},
           Row{"::", "::", "[::]:80", AF_INET6},
           Row{"::1", "::1", "[::1]:80", AF_INET6},
           Row{"2001:DB8:0:0::1", "2001:db8::1", "[2001:db8::1]:80", AF_INET6},
           Row{"::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1:80", AF_INET6},
           Row{"fe80::1%2", "fe80::1", "[fe80::1]:80", AF_INET6},
           Row{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
               "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:80", AF_INET6},
       }) {
    CAPTURE(row.in);
    const SocketAddress address = at(row.in);
    CHECK(address.family() == row.family);
    CHECK(address.port() == 80);
    CHECK(address.ip() == row.ip);
    CHECK(address.text() == row.text);
    char buffer[46];
    CHECK(std::string(buffer, address.writeIp(buffer)) == row.ip);
  }
}

TEST_CASE("what is no IP literal is refused") {
  using std::string_view_literals::operator""sv;
  for (const std::string_view text :
       {""sv,           "localhost"sv,
        "10.0.0"sv,     "10.0.0.1.2"sv,
        "10.0.0.256"sv, "010.0.0.1"sv,
        "0x7f.0.0.1"sv, " 10.0.0.1"sv,
        "10.0.0.1 "sv,  "[::1]"sv,
        ":::"sv,        "::1%"sv,
        "::1%eth0"sv,   "fe80::1%-1"sv,
        "10.0.0.1%2"sv, "%2"sv,
        "::g"sv,        "10.0.0.1\0"sv,
        "::1\0x"sv,     "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa"sv}) {
    CAPTURE(text);
    CHECK_FALSE(SocketAddress::parse(text, 1).has_value());
  }
}

TEST_CASE("loopback is 127/8 and ::1, mapped or not") {
  for (const char* ip : {"127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"}) {
    CAPTURE(ip);
    CHECK(at(ip).isLoopback());
  }
  for (const char* ip : {"128.0.0.1", "10.127.0.1", "::", "::2", "::ffff:10.0.0.1", "::7f00:1"}) {
    CAPTURE(ip);
    CHECK_FALSE(at(ip).isLoopback());
  }
}

TEST_CASE("addresses are equal in family, address, port and scope") {
  CHECK(at("10.0.0.1") == at("10.0.0.1"));
  CHECK_FALSE(at("10.0.0.1") == at("10.0.0.2"));
  CHECK_FALSE(at("10.0.0.1", 80) == at("10.0.0.1", 81));
  CHECK_FALSE(at("10.0.0.1") == at("::ffff:10.0.0.1"));
  CHECK_FALSE(at("fe80::1%1") == at("fe80::1%2"));
}

TEST_CASE("kernel addresses of other families and short ones read as unspecified") {
  sockaddr_storage storage{};
  const SocketAddress v6 = at("2001:db8::7", 443);
  std::memcpy(&storage, v6.data(), v6.size());
  const auto* raw = reinterpret_cast<const sockaddr*>(&storage);
  CHECK(SocketAddress::from(raw, v6.size()) == v6);
  CHECK(SocketAddress::from(raw, v6.size() - 1).text() == "0.0.0.0:0");
  CHECK(SocketAddress::from(nullptr, 0).text() == "0.0.0.0:0");
  storage.ss_family = AF_UNIX;
  CHECK(SocketAddress::from(raw, sizeof(storage)).text() == "0.0.0.0:0");
}

TEST_CASE("a set of networks contains an address by its leading bits") {
  struct Row {
    std::string_view network, ip;
    bool contained;
  };
  for (const Row& row : {
           Row{"10.0.0.0/8", "10.255.1.2", true},
           Row{"10.0.0.0/8", "11.0.0.0", false},
           Row{"10.1.2.3/8", "10.9.9.9", true},
           Row{"10.0.0.0/9", "10.128.0.0", false},
           Row{"10.0.0.1", "10.0.0.1", true},
           Row{"10.0.0.1", "10.0.0.0", false},
           Row{"10.0.0.0/31", "10.0.0.1", true},
           Row{"0.0.0.0/0", "203.0.113.9", true},
           Row{"0.0.0.0/0", "::1", false},
           Row{"10.0.0.0/8", "::ffff:10.1.1.1", true},
           Row{"::ffff:10.0.0.0/104", "10.1.1.1", true},
           Row{"2001:db8::/32", "2001:db8:ffff::1", true},
           Row{"2001:db8::/32", "2001:db9::1", false},
           Row{"::1", "::1", true},
           Row{"::/0", "2001:db8::1", true},
           Row{"::/0", "10.0.0.1", false},
           Row{"::/0", "::ffff:10.0.0.1", false},
           Row{"2001:db8::/33", "2001:db8:8000::", false},
       }) {
    CAPTURE(row.network);
    CAPTURE(row.ip);
    CidrSet set;
    REQUIRE(set.add(row.network));
    CHECK_FALSE(set.empty());
    CHECK(set.contains(at(row.ip)) == row.contained);
  }
  CHECK_FALSE(CidrSet{}.contains(at("10.0.0.1")));
}

TEST_CASE("what is no network is refused and changes nothing") {
  CidrSet set;
  for (const char* text :
       {"", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/8 ",
        "10.0.0.0/+8", "10.0.0/8", "fe80::%1/64", "any", "10.0.0.0/99999999999"}) {
    CAPTURE(text);
    CHECK_FALSE(set.add(text));
  }
  CHECK(set.empty());
}

}  // namespace
}  // namespace hyperway::net
