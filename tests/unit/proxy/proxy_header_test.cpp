// SPDX-License-Identifier: Apache-2.0
#include "proxy/proxy_header.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace hyperway::proxy {
namespace {

using State = ProxyHeaderIn::State;

ProxyHeaderIn parsed(std::string_view text) {
  // On the heap in its exact size, so that a sanitizer sees a read past the end.
  const std::vector<unsigned char> bytes(text.begin(), text.end());
  return parseProxyHeader(bytes);
}

net::SocketAddress at(const char* ip, std::uint16_t port) {
  return *net::SocketAddress::parse(ip, port);
}

std::string written(route::ProxyHeader version, const net::SocketAddress& source,
                    const net::SocketAddress& destination) {
  char to[kMaxProxyHeaderOut];
  return {to, writeProxyHeader(version, source, destination, to)};
}

/// A header of version 2 from its parts.
std::string binary(char version_command, char family, const std::string& rest) {
  return std::string("\r\n\r\n\0\r\nQUIT\n", 12) + version_command + family +
         static_cast<char>(rest.size() >> 8) + static_cast<char>(rest.size() & 0xff) + rest;
}

const std::string kAddresses4{"\xc0\x00\x02\x01\x0a\x00\x00\x01\x30\x39\x01\xbb", 12};

TEST_CASE("what we write is read back, whole and never before its last byte") {
  struct Row {
    route::ProxyHeader version;
    net::SocketAddress source, destination;
  };
  for (const Row& row : {
           Row{route::ProxyHeader::V1, at("192.0.2.1", 12345), at("10.0.0.1", 443)},
           Row{route::ProxyHeader::V1, at("2001:db8::1", 1), at("::1", 65535)},
           Row{route::ProxyHeader::V2, at("192.0.2.1", 12345), at("10.0.0.1", 443)},
           Row{route::ProxyHeader::V2, at("2001:db8::1", 1), at("::1", 65535)},
       }) {
    const std::string header = written(row.version, row.source, row.destination);
    CAPTURE(header);
    for (std::size_t size = 0; size < header.size(); ++size)
      REQUIRE(parsed(header.substr(0, size)).state == State::NeedMore);
    const ProxyHeaderIn back = parsed(header + "GET /");
    CHECK(back.state == State::Complete);
    CHECK(back.size == header.size());
    CHECK(back.has_addresses);
    CHECK(back.source == row.source);
    CHECK(back.destination == row.destination);
  }
}

TEST_CASE("version 1 is the line that everybody writes") {
  CHECK(written(route::ProxyHeader::V1, at("192.0.2.1", 12345), at("10.0.0.1", 443)) ==
        "PROXY TCP4 192.0.2.1 10.0.0.1 12345 443\r\n");
  CHECK(written(route::ProxyHeader::V1, at("2001:db8::1", 1), at("::1", 2)) ==
        "PROXY TCP6 2001:db8::1 ::1 1 2\r\n");
  CHECK(written(route::ProxyHeader::V1, at("2001:db8::1", 1), at("10.0.0.1", 2)) ==
        "PROXY UNKNOWN\r\n");
  const std::string longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
  CHECK(written(route::ProxyHeader::V1, at(longest.c_str(), 65535), at(longest.c_str(), 65535))
            .size() <= kMaxProxyHeaderOut);
  CHECK(written(route::ProxyHeader::None, at("::1", 1), at("::1", 2)).empty());
}

TEST_CASE("version 2 is as its specification draws it") {
  CHECK(written(route::ProxyHeader::V2, at("192.0.2.1", 12345), at("10.0.0.1", 443)) ==
        binary(0x21, 0x11, kAddresses4));
}

TEST_CASE("a proxy that does not say for whom it speaks is believed, without addresses") {
  for (const std::string& header :
       {std::string("PROXY UNKNOWN\r\n"), std::string("PROXY UNKNOWN ::1 ::1 1 2\r\n"),
        binary(0x20, 0x00, ""), binary(0x20, 0x11, kAddresses4), binary(0x20, 0x77, "anything"),
        binary(0x21, 0x00, ""), binary(0x21, 0x31, std::string(216, 'u'))}) {
    CAPTURE(header);
    const ProxyHeaderIn found = parsed(header);
    CHECK(found.state == State::Complete);
    CHECK(found.size == header.size());
    CHECK_FALSE(found.has_addresses);
  }
}

TEST_CASE("extensions are passed over, and a checksum must be right") {
  const std::string alpn{"\x01\x00\x02h2", 5};
  CHECK(parsed(binary(0x21, 0x11, kAddresses4 + alpn)).state == State::Complete);
  const std::string with_sum =
      binary(0x21, 0x11, kAddresses4 + std::string("\x03\x00\x04\x4c\x74\x47\xa8", 7));
  CHECK(parsed(with_sum).state == State::Complete);
  std::string wrong = with_sum;
  wrong[16] = '\xc1';
  CHECK(parsed(wrong).state == State::Bad);
  for (const std::string& bad :
       {std::string("\x01", 1), std::string("\x01\x00", 2), std::string("\x01\x00\x03h2", 5),
        std::string("\x03\x00\x03sum", 6)})
    CHECK(parsed(binary(0x21, 0x11, kAddresses4 + bad)).state == State::Bad);
}

TEST_CASE("what is no header, or not exactly one, is refused") {
  for (const std::string& bad : {
           std::string("GET / HTTP/1.1\r\n"),
           std::string("proxy TCP4 192.0.2.1 10.0.0.1 1 2\r\n"),
           std::string("PROXY  TCP4 192.0.2.1 10.0.0.1 1 2\r\n"),
           std::string("PROXY TCP4  192.0.2.1 10.0.0.1 1 2\r\n"),
           std::string("PROXY TCP4 192.0.2.1 10.0.0.1 1 2 \r\n"),
           std::string("PROXY TCP4 192.0.2.1 10.0.0.1 1 2 3\r\n"),
           std::string("PROXY TCP4 192.0.2.1 10.0.0.1 1\r\n"),
           std::string("PROXY TCP4 192.0.2.1 10.0.0.1 1 2\n"),
           std::string("PROXY UNKNOWN a\nb\r\n"),
           std::string("PROXY TCP4 192.0.2.1 10.0.0.1 01 2\r\n"),
           std::string("PROXY TCP4 192.0.2.1 10.0.0.1 +1 2\r\n"),
           std::string("PROXY TCP4 192.0.2.1 10.0.0.1 1 65536\r\n"),
           std::string("PROXY TCP4 192.0.2.256 10.0.0.1 1 2\r\n"),
           std::string("PROXY TCP4 ::1 10.0.0.1 1 2\r\n"),
           std::string("PROXY TCP6 192.0.2.1 10.0.0.1 1 2\r\n"),
           std::string("PROXY TCP6 fe80::1%1 ::1 1 2\r\n"),
           std::string("PROXY UDP4 192.0.2.1 10.0.0.1 1 2\r\n"),
           std::string("PROXY \r\n"),
           "PROXY TCP4 " + std::string(100, '1'),
           binary(0x11, 0x11, kAddresses4),
           binary(0x22, 0x11, kAddresses4),
           binary(0x21, 0x12, kAddresses4),
           binary(0x21, 0x11, kAddresses4.substr(1)),
           binary(0x21, 0x21, kAddresses4),
           binary(0x21, 0x11, std::string(4081, 'x')),
       }) {
    CAPTURE(bad);
    CHECK(parsed(bad).state == State::Bad);
  }
}

}  // namespace
}  // namespace hyperway::proxy
