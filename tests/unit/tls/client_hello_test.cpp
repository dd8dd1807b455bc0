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

// ---- whole ClientHellos ----

std::string extension(unsigned type, const std::string& body) {
  return size16(type) + size16(body.size()) + body;
}

std::string named(const std::string& name) { return extension(0, list(entry(0, name))); }

/// The handshake message; `extensions` null: none at all, as TLS 1.1 allows.
std::string message(const std::string* extensions) {
  std::string body = "\x03\x03" + std::string(32, 'r');
  body += std::string(1, '\x20') + std::string(32, 's');
  body += size16(4) + "\x13\x01\x0a\x0a";
  body += std::string("\x01\x00", 2);
  if (extensions != nullptr) body += size16(extensions->size()) + *extensions;
  return std::string("\x01\x00", 2) + size16(body.size()) + body;
}

std::string record(const std::string& fragment) {
  return "\x16\x03\x01" + size16(fragment.size()) + fragment;
}

/// The same message in records of at most `most` bytes.
std::string records(const std::string& whole, std::size_t most) {
  std::string out;
  for (std::size_t at = 0; at < whole.size(); at += most) out += record(whole.substr(at, most));
  return out;
}

struct Found {
  ClientHello::State state;
  std::string name;
  friend bool operator==(const Found&, const Found&) = default;
};

Found found(const std::string& sent) {
  std::vector<unsigned char> bytes(sent.begin(), sent.end());
  const ClientHello hello = parseClientHello(bytes);
  return {hello.state, std::string(hello.server_name)};
}

const Found kMore{ClientHello::State::NeedMore, ""};
const Found kNone{ClientHello::State::Complete, ""};
const Found kBadOne{ClientHello::State::Bad, ""};

TEST_CASE("the name of a ClientHello is found among extensions that nobody knows") {
  // GREASE (RFC 8701), Encrypted Client Hello's outer one (its public name counts), ALPN.
  const std::string grease = extension(0x1a1a, "") + extension(0xfafa, "x");
  const std::string ech = extension(0xfe0d, std::string(200, 'e'));
  const std::string alpn = extension(16, list("\x02h2"));
  struct Row {
    std::string extensions;
    std::string name;
  };
  for (const Row& row :
       {Row{named("a.test"), "a.test"}, Row{grease + named("A.Test") + alpn, "A.Test"},
        Row{grease + ech + named("public.test"), "public.test"}, Row{alpn + grease, ""},
        Row{"", ""}, Row{extension(0, list(entry(7, "odd"))), ""}}) {
    CAPTURE(row.name);
    CHECK(found(record(message(&row.extensions))) == Found{ClientHello::State::Complete, row.name});
  }
  CHECK(found(record(message(nullptr))) == kNone);
}

TEST_CASE("a ClientHello may come byte by byte, in any number of records, and with what follows") {
  const std::string extensions = named("a.test") + extension(21, std::string(300, '\0'));
  const std::string whole = message(&extensions);
  const Found good{ClientHello::State::Complete, "a.test"};
  for (const std::size_t most : {std::size_t{1}, std::size_t{3}, std::size_t{100}, whole.size()}) {
    CAPTURE(most);
    const std::string sent = records(whole, most);
    for (std::size_t size = 0; size < sent.size(); ++size)
      REQUIRE(found(sent.substr(0, size)) == kMore);
    CHECK(found(sent) == good);
    CHECK(found(sent + std::string("\x17\x03\x03\0\1x", 6)) == good);  // early data
  }
}

TEST_CASE("what is no ClientHello, or not exactly one, is refused") {
  const std::string extensions = named("a.test");
  const std::string whole = message(&extensions);
  const std::string good = record(whole);
  struct Row {
    const char* what;
    std::string sent;
  };
  const std::string twice = named("a.test") + named("b.test");
  const std::string cut = extensions.substr(0, extensions.size() - 1);
  const std::string empty_name = extension(0, list(entry(0, "")));
  const auto changed = [&](std::size_t at, char to) {
    std::string other = good;
    other[at] = to;
    return other;
  };
  for (const Row& row : {
           Row{"plain HTTP", "GET / HTTP/1.1\r\n\r\n"},
           Row{"one byte of it", "G"},
           Row{"another version", changed(1, 2)},
           Row{"another record", changed(0, 23)},
           Row{"a ServerHello", changed(5, 2)},
           Row{"a message version from elsewhere", changed(9, 2)},
           Row{"two names", record(message(&twice))},
           Row{"an extension cut short", record(message(&cut))},
           Row{"an empty name", record(message(&empty_name))},
           Row{"a longer session id", changed(5 + 4 + 34, 33)},
           Row{"a byte behind it in its record", record(whole + "x")},
           Row{"an empty record", "\x16\x03\x01" + size16(0) + good},
           Row{"a record beyond 16 KiB", "\x16\x03\x01" + size16(16385)},
           Row{"a message beyond 16 KiB", record(std::string("\x01\x01\x00\x00", 4))},
           Row{"another record between", records(whole, 50).substr(0, 55) + "\x15\x03\x01"},
       }) {
    CAPTURE(row.what);
    CHECK(found(row.sent) == kBadOne);
  }
}

TEST_CASE("a ClientHello ends within 16 KiB of records, whatever it says") {
  const std::string padding = named("a.test") + extension(21, std::string(16000, '\0'));
  const std::string whole = message(&padding);
  CHECK(found(record(whole)) == Found{ClientHello::State::Complete, "a.test"});
  const std::string dripped = records(whole, 40);
  REQUIRE(dripped.size() > kMaxClientHelloBytes);
  CHECK(found(dripped.substr(0, kMaxClientHelloBytes - 1)) == kMore);
  CHECK(found(dripped) == kBadOne);
}

}  // namespace
}  // namespace hyperway::tls
