// SPDX-License-Identifier: Apache-2.0
#include "proxy/proxy_header.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

#include "net/socket.hpp"

namespace hyperway::proxy {
namespace {

using Bytes = std::span<const unsigned char>;
using State = ProxyHeaderIn::State;

constexpr std::string_view kWord = "PROXY ";
constexpr std::size_t kMaxLine = 107;  // with CR LF
constexpr std::string_view kSignature{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::size_t kFixed = 16;  // signature, version and command, family, length
constexpr std::size_t kChecksumType = 3;
constexpr std::size_t kTlvHeader = 3;

ProxyHeaderIn bad() noexcept { return {State::Bad}; }

constexpr std::size_t number16(Bytes at) noexcept {
  return static_cast<std::size_t>(at[0]) << 8 | at[1];
}

/// CRC-32C (RFC 9260 appendix A), as its check wants it: the bytes of `hole` count as 0.
std::uint32_t checksum(Bytes bytes, std::size_t hole, std::size_t hole_size) noexcept {
  static constexpr auto kTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit)
        value = (value & 1) != 0 ? (value >> 1) ^ 0x82f63b78U : value >> 1;
      table[i] = value;
    }
    return table;
  }();
  std::uint32_t value = 0xffffffffU;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const unsigned char byte = i >= hole && i - hole < hole_size ? 0 : bytes[i];
    value = (value >> 8) ^ kTable[(value ^ byte) & 0xff];
  }
  return value ^ 0xffffffffU;
}

// ---- version 1 ----

std::string_view takeWord(std::string_view& line) noexcept {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

std::optional<std::uint16_t> port(std::string_view text) noexcept {
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  std::uint16_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

ProxyHeaderIn parseLine(std::string_view text) noexcept {
  const std::size_t lf = text.substr(0, kMaxLine).find('\n');
  if (lf == std::string_view::npos) return {text.size() < kMaxLine ? State::NeedMore : State::Bad};
  if (text[lf - 1] != '\r') return bad();  // a line that two readers could end in two places
  const std::size_t end = lf - 1;
  ProxyHeaderIn header{State::Complete, end + 2};
  std::string_view line = text.substr(kWord.size(), end - kWord.size());
  const std::string_view family = takeWord(line);
  if (family == "UNKNOWN") return header;  // whatever else is in the line
  if (family != "TCP4" && family != "TCP6") return bad();
  const int wanted = family == "TCP4" ? AF_INET : AF_INET6;
  const std::string_view from = takeWord(line);
  const std::string_view to = takeWord(line);
  const auto from_port = port(takeWord(line));
  const bool is_last = line.find(' ') == std::string_view::npos && text[end - 1] != ' ';
  const auto to_port = port(takeWord(line));
  if (!from_port || !to_port || !is_last) return bad();
  // No zone: it means nothing on another machine.
  if (from.find('%') != std::string_view::npos || to.find('%') != std::string_view::npos)
    return bad();
  const auto source = net::SocketAddress::parse(from, *from_port);
  const auto destination = net::SocketAddress::parse(to, *to_port);
  if (!source || !destination || source->family() != wanted || destination->family() != wanted)
    return bad();
  header.has_addresses = true;
  header.source = *source;
  header.destination = *destination;
  return header;
}

// ---- version 2 ----

net::SocketAddress address4(Bytes ip, Bytes port_bytes) noexcept {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  std::memcpy(&address.sin_addr, ip.data(), 4);
  std::memcpy(&address.sin_port, port_bytes.data(), 2);
  return net::SocketAddress::from(reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

net::SocketAddress address6(Bytes ip, Bytes port_bytes) noexcept {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  std::memcpy(&address.sin6_addr, ip.data(), 16);
  std::memcpy(&address.sin6_port, port_bytes.data(), 2);
  return net::SocketAddress::from(reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

/// Extensions: type, length, content, one after the other up to the end of the header.
bool goodExtensions(Bytes header, std::size_t at) noexcept {
  while (at < header.size()) {
    if (header.size() - at < kTlvHeader) return false;
    const std::size_t size = number16(header.subspan(at + 1));
    if (header.size() - at - kTlvHeader < size) return false;
    if (header[at] == kChecksumType) {
      if (size != 4) return false;
      const Bytes said = header.subspan(at + kTlvHeader, 4);
      const auto value =
          static_cast<std::uint32_t>(number16(said) << 16 | number16(said.subspan(2)));
      if (checksum(header, at + kTlvHeader, 4) != value) return false;
    }
    at += kTlvHeader + size;
  }
  return true;
}

ProxyHeaderIn parseBinary(Bytes bytes) noexcept {
  if (bytes.size() > kSignature.size()) {
    const unsigned char version_command = bytes[kSignature.size()];
    if (version_command != 0x20 && version_command != 0x21) return bad();
  }
  if (bytes.size() < kFixed) return {State::NeedMore};
  const std::size_t size = kFixed + number16(bytes.subspan(14));
  if (size > kMaxProxyHeaderIn) return bad();
  if (bytes.size() < size) return {State::NeedMore};
  const Bytes header = bytes.first(size);
  const Bytes rest = header.subspan(kFixed);
  ProxyHeaderIn out{State::Complete, size};
  const bool is_local = (header[12] & 0xf) == 0;
  if (is_local) return out;  // the proxy's own connection; what it says of families is void
  std::size_t addresses = 0;
  switch (header[13]) {
    case 0x00: break;                   // unknown
    case 0x11: addresses = 12; break;   // TCP over IPv4
    case 0x21: addresses = 36; break;   // TCP over IPv6
    case 0x31: addresses = 216; break;  // Unix stream sockets: nothing that we could tell of
    default: return bad();
  }
  if (rest.size() < addresses || !goodExtensions(header, kFixed + addresses)) return bad();
  if (addresses == 12) {
    out.source = address4(rest, rest.subspan(8));
    out.destination = address4(rest.subspan(4), rest.subspan(10));
  } else if (addresses == 36) {
    out.source = address6(rest, rest.subspan(32));
    out.destination = address6(rest.subspan(16), rest.subspan(34));
  }
  out.has_addresses = addresses == 12 || addresses == 36;
  return out;
}

// ---- writing ----

void append(char*& to, std::string_view text) noexcept {
  std::memcpy(to, text.data(), text.size());
  to += text.size();
}

void appendNumber(char*& to, unsigned value) noexcept { to = std::to_chars(to, to + 5, value).ptr; }

std::size_t writeLine(const net::SocketAddress& source, const net::SocketAddress& destination,
                      bool is_ip4, char* const begin) noexcept {
  char* to = begin;
  append(to, is_ip4 ? "PROXY TCP4 " : "PROXY TCP6 ");
  to += source.writeIp(to);
  append(to, " ");
  to += destination.writeIp(to);
  append(to, " ");
  appendNumber(to, source.port());
  append(to, " ");
  appendNumber(to, destination.port());
  append(to, "\r\n");
  return static_cast<std::size_t>(to - begin);
}

std::size_t writeBinary(const net::SocketAddress& source, const net::SocketAddress& destination,
                        bool is_ip4, char* const begin) noexcept {
  char* to = begin;
  append(to, kSignature);
  append(to, is_ip4 ? std::string_view{"\x21\x11\x00\x0c", 4}
                    : std::string_view{"\x21\x21\x00\x24", 4});
  const std::size_t skipped = is_ip4 ? 12 : 0;  // of an IPv4-mapped address
  for (const net::SocketAddress* one : {&source, &destination}) {
    unsigned char ip[16];
    one->toBytes(ip);
    append(to, {reinterpret_cast<const char*>(ip) + skipped, sizeof ip - skipped});
  }
  for (const net::SocketAddress* one : {&source, &destination}) {
    *to++ = static_cast<char>(one->port() >> 8);
    *to++ = static_cast<char>(one->port() & 0xff);
  }
  return static_cast<std::size_t>(to - begin);
}

/// True for addresses of IPv4, mapped ones included.
bool isIp4(const net::SocketAddress& address) noexcept {
  static constexpr unsigned char kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  unsigned char ip[16];
  address.toBytes(ip);
  return std::memcmp(ip, kMapped, sizeof kMapped) == 0;
}

}  // namespace

ProxyHeaderIn parseProxyHeader(std::span<const unsigned char> bytes) noexcept {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto begins = [&](std::string_view with) {
    const std::size_t both = std::min(with.size(), text.size());
    return text.substr(0, both) == with.substr(0, both);
  };
  if (begins(kWord))
    return text.size() < kWord.size() ? ProxyHeaderIn{State::NeedMore} : parseLine(text);
  if (begins(kSignature))
    return text.size() < kSignature.size() ? ProxyHeaderIn{State::NeedMore} : parseBinary(bytes);
  return bad();
}

std::size_t writeProxyHeader(route::ProxyHeader version, const net::SocketAddress& source,
                             const net::SocketAddress& destination, char* to) noexcept {
  const bool is_ip4 = isIp4(source) && isIp4(destination);
  // One of each family cannot be told (and does not happen on sockets of one family).
  const bool is_mixed = isIp4(source) != isIp4(destination);
  switch (version) {
    case route::ProxyHeader::None: return 0;
    case route::ProxyHeader::V1: {
      if (!is_mixed) return writeLine(source, destination, is_ip4, to);
      char* at = to;
      append(at, "PROXY UNKNOWN\r\n");
      return static_cast<std::size_t>(at - to);
    }
    case route::ProxyHeader::V2: return writeBinary(source, destination, is_ip4, to);
  }
  return 0;
}

std::size_t writeProxyHeader(route::ProxyHeader version, const codec::ConnectionInfo& client,
                             char* to) noexcept {
  if (version == route::ProxyHeader::None) return 0;
  return writeProxyHeader(
      version, client.peer,
      client.has_destination ? client.destination : net::localAddress(client.fd), to);
}

}  // namespace hyperway::proxy
