// SPDX-License-Identifier: Apache-2.0
#include "http/field.hpp"

#include <doctest/doctest.h>

#include "base/bytes.hpp"
#include "message_harness.hpp"

using namespace hyperway;
using namespace hyperway::http;

namespace {

struct Known {
  std::string_view name;
  FieldId id;
};

constexpr Known kKnown[] = {
    {"Host", FieldId::Host},
    {"Connection", FieldId::Connection},
    {"Content-Length", FieldId::ContentLength},
    {"Transfer-Encoding", FieldId::TransferEncoding},
    {"Upgrade", FieldId::Upgrade},
    {"Expect", FieldId::Expect},
    {"TE", FieldId::Te},
    {"Trailer", FieldId::Trailer},
    {"Keep-Alive", FieldId::KeepAlive},
    {"Proxy-Connection", FieldId::ProxyConnection},
    {"Proxy-Authenticate", FieldId::ProxyAuthenticate},
    {"Proxy-Authorization", FieldId::ProxyAuthorization},
    {"HTTP2-Settings", FieldId::Http2Settings},
    {"X-Forwarded-For", FieldId::XForwardedFor},
    {"X-Forwarded-Proto", FieldId::XForwardedProto},
    {"X-Forwarded-Host", FieldId::XForwardedHost},
    {"X-Request-Id", FieldId::XRequestId},
    {"traceparent", FieldId::Traceparent},
    {"tracestate", FieldId::Tracestate},
    {"Origin", FieldId::Origin},
    {"Access-Control-Request-Method", FieldId::AccessControlRequestMethod},
    {"Cookie", FieldId::Cookie},
    {"Content-Type", FieldId::ContentType},
    {"Content-Encoding", FieldId::ContentEncoding},
    {"Date", FieldId::Date},
    {"Server", FieldId::Server},
    {"Location", FieldId::Location},
    {"Sec-WebSocket-Key", FieldId::SecWebSocketKey},
};

std::string inverted(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') {
      c = static_cast<char>(c - 32);
    } else if (c >= 'A' && c <= 'Z') {
      c = static_cast<char>(c + 32);
    }
  }
  return out;
}

}  // namespace

TEST_CASE("Every known field name is found in any case") {
  CHECK(std::size(kKnown) == static_cast<std::size_t>(FieldId::SecWebSocketKey));
  for (const Known& known : kKnown) {
    CAPTURE(known.name);
    CHECK(fieldId(known.name) == known.id);
    CHECK(fieldId(inverted(known.name)) == known.id);
  }
}

TEST_CASE("A name that differs from a known one in any byte is not taken for it") {
  for (const Known& known : kKnown) {
    const std::string name(known.name);
    CAPTURE(name);
    CHECK(fieldId(name + "x") == FieldId::Other);
    CHECK(fieldId(name.substr(1)) == FieldId::Other);
    for (std::size_t i = 0; i < name.size(); ++i) {
      for (int c = 0; c < 256; ++c) {
        std::string other = name;
        other[i] = static_cast<char>(c);
        if (equalsIgnoreCase(other, name)) continue;
        CAPTURE(other);
        REQUIRE(fieldId(other) == FieldId::Other);
      }
    }
  }
  CHECK(fieldId("") == FieldId::Other);
  CHECK(fieldId(std::string(70'000, 'a')) == FieldId::Other);
}

TEST_CASE("Field names are tokens and field values hold no control bytes") {
  CHECK(isValidFieldName("X-A_b!#$%&'*+.^`|~9"));
  for (const std::string_view bad : {"", "a b", "a:", "a\r", "\xe4", "a(b)", "a/b", "a@b"}) {
    CAPTURE(bad);
    CHECK_FALSE(isValidFieldName(bad));
  }
  CHECK_FALSE(isValidFieldName(std::string(65'536, 'a')));
  CHECK(isValidFieldValue(""));
  CHECK(isValidFieldValue("a \t b\xe4\xff"));
  for (const std::string_view bad :
       {std::string_view("a\r\nb: c"), std::string_view("a\nb"), std::string_view("a\0b", 3),
        std::string_view("\x7f"), std::string_view(" a"), std::string_view("a\t"),
        std::string_view("\x1b[1m")}) {
    CAPTURE(bad);
    CHECK_FALSE(isValidFieldValue(bad));
  }
}

TEST_CASE("Lines keep their order and are found without regard to case") {
  TestArena arena;
  HeaderMap fields(*arena);
  fields.add("X-A", "1");
  fields.add("Cookie", "c");
  fields.add("x-a", "2");
  CHECK(flat(fields) == "X-A=1;Cookie=c;x-a=2;");
  REQUIRE(fields.find("X-a") != nullptr);
  CHECK(fields.find("X-a")->value() == "1");
  REQUIRE(fields.find(FieldId::Cookie) != nullptr);
  CHECK(fields.find("cookie") == fields.find(FieldId::Cookie));
  CHECK(fields.find("x-b") == nullptr);
  CHECK(fields.find(FieldId::Date) == nullptr);
  CHECK(fields.mayHave(FieldId::Cookie));
  CHECK_FALSE(fields.mayHave(FieldId::Date));
  CHECK(fields.count() == 3);
}

TEST_CASE("Setting a field replaces all its lines at the place of the first") {
  TestArena arena;
  HeaderMap fields(*arena);
  for (const auto* name : {"A", "B", "a", "C", "A"}) fields.add(name, "old");
  fields.set("a", "new");
  CHECK(flat(fields) == "a=new;B=old;C=old;");
  fields.set("Date", "today");
  CHECK(flat(fields) == "a=new;B=old;C=old;Date=today;");
  CHECK(fields.mayHave(FieldId::Date));
  fields.set("date", "tomorrow");
  CHECK(fields.find(FieldId::Date)->value() == "tomorrow");
  CHECK(fields.count() == 4);
}

TEST_CASE("Removed lines are gone for readers while indices stay valid") {
  TestArena arena;
  HeaderMap fields(*arena);
  fields.add("A", "1");
  fields.add("Date", "2");
  fields.add("a", "3");
  fields.add("date", "4");
  CHECK(fields.remove("a") == 2);
  CHECK(fields.remove("a") == 0);
  CHECK(flat(fields) == "Date=2;date=4;");
  CHECK(fields.remove(FieldId::Date) == 2);
  CHECK(fields.remove(FieldId::Cookie) == 0);
  CHECK(fields.count() == 0);
  CHECK(fields.lines().size() == 4);
  CHECK(fields.find("A") == nullptr);
  CHECK(fields.find(FieldId::Date) == nullptr);
  fields.set("A", "5");
  CHECK(flat(fields) == "A=5;");
  fields.clear();
  CHECK(fields.lines().empty());
  CHECK_FALSE(fields.mayHave(FieldId::Date));
}

TEST_CASE("A map grows past its first storage without losing lines") {
  TestArena arena;
  HeaderMap fields(*arena);
  std::string expected;
  for (int i = 0; i < 300; ++i) {
    const std::string name = "n" + std::to_string(i);
    fields.add(name, "v");
    expected += name + "=v;";
  }
  CHECK(flat(fields) == expected);
}
