// SPDX-License-Identifier: Apache-2.0
#include "external_auth/check_message.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "external_auth/query_edit.hpp"

namespace hyperway::external_auth {
namespace {

using namespace std::string_literals;

std::string field(int number, std::string_view content) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(content.size())}.append(
      content);
}
std::string number(int field, char value) { return {static_cast<char>(field << 3), value}; }
std::string header(std::string_view name, std::string_view value, std::string_view more = "") {
  return field(1, field(1, name) + field(2, value)).append(more);
}

TEST_CASE("ext_authz: allowed is only what says so, and nothing else beside it") {
  const std::string ok = field(1, "");
  struct Row {
    std::string bytes;
    bool allowed;
  };
  for (const Row& row :
       {Row{ok, true}, Row{field(1, number(1, 0)), true}, Row{field(3, ""), true},
        Row{ok + field(3, ""), true}, Row{ok + field(4, "x"), true}, Row{"", false},
        Row{field(1, number(1, 7)), false}, Row{ok + field(2, ""), false},
        Row{ok + field(3, "") + field(2, ""), false}, Row{ok + field(5, ""), false},
        Row{field(4, "x"), false}, Row{field(1, number(1, 7)) + field(3, ""), false},
        // 2^32, which is 0 to whoever keeps 32 bits
        Row{field(1, "\x08\x80\x80\x80\x80\x10"), false}}) {
    CAPTURE(row.bytes);
    const auto verdict = decodeCheckResponse(row.bytes);
    REQUIRE(verdict.has_value());
    CHECK(verdict->allowed == row.allowed);
    CHECK(verdict->status == 403);
  }
}

TEST_CASE("ext_authz: what is no CheckResponse is nothing") {
  const std::string ok = field(1, "");
  for (const std::string& bytes :
       {"\x0a"s, "\x0a\x05"s, "\xff"s, ok + "\x00\x00"s, ok + "\x0b\x0c"s, "\x08\x01"s,
        "\x0d\x01\x02\x03\x04"s, ok + std::string(11, '\xff'), ok + field(3, field(2, "\x0a\x09")),
        ok + field(3, field(2, field(1, field(2, "v")))),
        ok + field(3, field(2, header("a", "b", number(3, 9)))),
        ok + field(3, field(7, field(2, "no name")))}) {
    CAPTURE(bytes);
    CHECK_FALSE(decodeCheckResponse(bytes).has_value());
  }
  std::string many = ok;
  for (std::size_t i = 0; i <= kMostChanges; ++i) many += field(3, field(5, "x"));
  CHECK_FALSE(decodeCheckResponse(many).has_value());
}

TEST_CASE("ext_authz: edits of an allowing answer, with what no word about them means") {
  using How = HeaderChange::How;
  const auto verdict = decodeCheckResponse(
      field(1, "") +
      field(3, field(2, header("a", "1")) + field(2, header("b", "2", field(2, number(1, 1)))) +
                   field(2, header("c", "3", field(2, ""))) +
                   field(2, header("d", "4", number(3, 1))) +
                   field(2, header("e", "5", number(3, 3))) +
                   field(2, field(1, field(1, "f") + field(3, "\xff"))) + field(5, "gone") +
                   field(6, header("out", "6")) + field(7, field(1, "q") + field(2, "v")) +
                   field(8, "token")));
  REQUIRE(verdict.has_value());
  REQUIRE(verdict->allowed);
  REQUIRE(verdict->request.size() == 6);
  const How hows[] = {How::Set, How::Add, How::Set, How::AddIfAbsent, How::SetIfPresent, How::Set};
  for (std::size_t i = 0; i < 6; ++i) CHECK(verdict->request[i].how == hows[i]);
  CHECK(verdict->request[5].value == "\xff");
  CHECK(verdict->removed == std::vector<std::string>{"gone"});
  REQUIRE(verdict->response.size() == 1);
  CHECK(verdict->response[0].how == How::Add);
  CHECK(verdict->query_set.at(0) == std::pair<std::string, std::string>("q", "v"));
  CHECK(verdict->query_removed.at(0) == "token");
}

TEST_CASE("ext_authz: a denying answer has status, fields and body") {
  const auto verdict =
      decodeCheckResponse(field(1, number(1, 16)) +
                          field(2, field(1, "\x08\x91\x03") + field(2, header("a", "1")) +
                                       field(2, header("a", "2")) + field(3, "who are you?")));
  REQUIRE(verdict.has_value());
  CHECK_FALSE(verdict->allowed);
  CHECK(verdict->status == 401);
  CHECK(verdict->response.size() == 2);
  CHECK(verdict->body == "who are you?");
  // Statuses that no answer can have are 403.
  CHECK(decodeCheckResponse(field(1, number(1, 16)) + field(2, field(1, number(1, 99))))->status ==
        403);
}

TEST_CASE("ext_authz: one whole message that is not compressed, or none") {
  CHECK(grpcMessage(grpcFrame("abc")) == "abc");
  CHECK(grpcMessage(grpcFrame("")) == "");
  for (const std::string& body : {""s, "\0\0\0\0"s, "\1\0\0\0\0"s, grpcFrame("abc") + "x",
                                  grpcFrame("a") + grpcFrame("b"), grpcFrame("abc").substr(0, 7)})
    CHECK_FALSE(grpcMessage(body).has_value());
}

TEST_CASE("ext_authz: texts are UTF-8, and what is not is replaced as Envoy does") {
  CHECK(isUtf8("gr\xc3\xbcn \xe2\x82\xac \xf0\x9f\x98\x80"));
  for (const std::string_view bad :
       {"\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80"}) {
    CHECK_FALSE(isUtf8(bad));
    CHECK(isUtf8(asUtf8(bad)));
  }
  CHECK(asUtf8("caf\xe9!") == "caf!!");
}

TEST_CASE("ext_authz: a request is written as the protocol's fields") {
  CheckRequest request;
  request.method = "GET";
  request.path = "/a?b";
  request.host = "h";
  request.peer_address = "1.2.3.4";
  request.peer_port = 5;
  request.size = 3;
  request.body = "\xff";
  request.headers = {{"a", "b"}};
  const std::string http = field(2, "GET") + field(3, field(1, "a") + field(2, "b")) +
                           field(4, "/a?b") + field(5, "h") + number(9, 3) + field(12, "\xff");
  const std::string peer = field(1, field(1, field(1, field(2, "1.2.3.4") + number(3, 5))));
  const std::string server = field(2, field(1, field(1, "")));
  CHECK(encodeCheckRequest(request) ==
        field(1, peer + server + field(4, field(1, "") + field(2, http))));
}

TEST_CASE("ext_authz: query parameters are taken out and set by their decoded name") {
  CHECK(editQuery("token=1&keep=%41&tok%65n=2&x", {"token"}, {}) == "keep=%41&x");
  CHECK(editQuery("a=1&b=2", {}, {{"a", "x y&="}}) == "b=2&a=x%20y%26%3D");
  CHECK(editQuery("", {"a"}, {{"n", ""}}) == "n=");
  CHECK(editQuery("a", {"a"}, {}).empty());
}

}  // namespace
}  // namespace hyperway::external_auth
