// SPDX-License-Identifier: Apache-2.0
#include "http/h2_response.hpp"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hyperway::http {
namespace {

using Fields = std::vector<std::pair<std::string_view, std::string_view>>;

struct Reader {
  std::array<std::byte, 4096> block;
  Arena arena{block};
  ResponseHead head{arena};
  H1Limits limits;
  H2ResponseReader reader;

  // "status kind length", or the name of the error.
  std::string read(const Fields& fields, bool end = false, Method method = Method::Get,
                   std::string_view tunnel = {}) {
    reader.beginHead(limits, head);
    for (const auto& [name, value] : fields)
      if (const HttpError error = reader.field(name, value); error != HttpError::None)
        return std::string(nameOf(error));
    const HttpError error = reader.finishHead(method, tunnel, end);
    if (error != HttpError::None) return std::string(nameOf(error));
    static constexpr std::string_view kKinds[] = {"none", "length", "chunked", "close", "tunnel"};
    return std::to_string(head.status) + ' ' +
           std::string(kKinds[static_cast<int>(head.framing.kind)]) + ' ' +
           std::to_string(head.framing.length);
  }
};

}  // namespace

TEST_CASE("RFC 9113 §8: a response head of fields is held to the rules of HTTP/1's") {
  struct Row {
    Fields fields;
    bool end;
    std::string_view outcome;
  };
  const std::pair<std::string_view, std::string_view> ok{":status", "200"};
  for (const Row& row : std::vector<Row>{
           Row{{ok}, false, "200 chunked 0"},
           Row{{ok}, true, "200 none 0"},
           Row{{ok, {"content-length", "5"}}, false, "200 length 5"},
           Row{{ok, {"content-length", "0"}}, false, "200 none 0"},
           Row{{ok, {"content-length", "5"}}, true, "truncated"},
           Row{{ok, {"content-length", "5"}, {"content-length", "5"}}, false, "conflicting_length"},
           Row{{ok, {"content-length", "5, 5"}}, false, "bad_content_length"},
           Row{{ok, {"content-length", "+5"}}, false, "bad_content_length"},
           Row{{{":status", "204"}}, true, "204 none 0"},
           Row{{{":status", "204"}, {"content-length", "1"}}, false, "bad_content_length"},
           Row{{{":status", "304"}, {"content-length", "7"}}, true, "304 none 8"},
           Row{{{":status", "103"}}, false, "103 none 0"},
           Row{{{":status", "103"}}, true, "truncated"},
           Row{{{":status", "101"}}, false, "bad_status_line"},
           Row{{{":status", "099"}}, false, "bad_status_line"},
           Row{{{":status", "600"}}, false, "bad_status_line"},
           Row{{{":status", "20"}}, false, "bad_status_line"},
           Row{{{":status", "2 0"}}, false, "bad_status_line"},
           Row{{{"x", "y"}, ok}, false, "bad_status_line"},
           Row{{ok, ok}, false, "bad_status_line"},
           Row{{}, false, "bad_status_line"},
           Row{{ok, {":path", "/"}}, false, "bad_field_name"},
           Row{{ok, {"X", "y"}}, false, "bad_field_name"},
           Row{{ok, {"", "y"}}, false, "bad_field_name"},
           Row{{ok, {"a b", "y"}}, false, "bad_field_name"},
           Row{{ok, {"a", "x\ny"}}, false, "bad_field_value"},
           Row{{ok, {"a", "x\ry"}}, false, "bad_field_value"},
           Row{{ok, {"a", std::string_view("x\0y", 3)}}, false, "bad_field_value"},
           Row{{ok, {"a", " x"}}, false, "bad_field_value"},
           Row{{ok, {"connection", "close"}}, false, "bad_connection"},
           Row{{ok, {"keep-alive", "1"}}, false, "bad_connection"},
           Row{{ok, {"proxy-connection", "1"}}, false, "bad_connection"},
           Row{{ok, {"transfer-encoding", "chunked"}}, false, "bad_connection"},
           Row{{ok, {"upgrade", "h2c"}}, false, "bad_connection"},
       }) {
    Reader reader;
    CAPTURE(row.outcome);
    CHECK(reader.read(row.fields, row.end) == row.outcome);
  }
}

TEST_CASE("RFC 9110 §9.3.2: an answer to HEAD has no content, and keeps the length that it names") {
  Reader reader;
  CHECK(reader.read({{":status", "200"}, {"content-length", "9"}}, true, Method::Head) ==
        "200 none 10");
  CHECK(reader.read({{":status", "200"}}, false, Method::Head) == "200 none 0");
}

TEST_CASE("RFC 8441: an accepted tunnel is what a 101 is to HTTP/1") {
  Reader reader;
  CHECK(reader.read({{":status", "200"}}, false, Method::Get, "websocket") == "101 tunnel 0");
  CHECK(reader.head.upgrade == "websocket");
  CHECK(reader.read({{":status", "200"}}, true, Method::Get, "websocket") == "unexpected_upgrade");
  CHECK(reader.read({{":status", "200"}, {"content-length", "4"}}, false, Method::Get, "x") ==
        "unexpected_upgrade");
  CHECK(reader.read({{":status", "403"}}, true, Method::Get, "websocket") == "403 none 0");
}

TEST_CASE("A response head from HTTP/2 has the bounds of one from HTTP/1") {
  Reader reader;
  reader.limits.fields = 3;
  CHECK(reader.read({{":status", "200"}, {"a", "b"}, {"c", "d"}}) == "200 chunked 0");
  CHECK(reader.read({{":status", "200"}, {"a", "b"}, {"c", "d"}, {"e", "f"}}) == "too_many_fields");
  reader.limits.head_bytes = 100;
  const std::string big(90, 'x');
  CHECK(reader.read({{":status", "200"}, {"a", big}}) == "head_too_large");
}

TEST_CASE(
    "Trailers from HTTP/2 lose what may not be one, and are refused where they are malformed") {
  Reader reader;
  HeaderMap trailers(reader.arena);
  reader.reader.beginTrailers(reader.limits, trailers);
  CHECK(reader.reader.field("grpc-status", "0") == HttpError::None);
  CHECK(reader.reader.field("content-length", "5") == HttpError::None);
  CHECK(reader.reader.field("x-forwarded-for", "1.2.3.4") == HttpError::None);
  CHECK(trailers.count() == 1);
  CHECK(reader.reader.field(":status", "200") == HttpError::BadStatusLine);
  CHECK(reader.reader.field("connection", "x") == HttpError::BadConnection);
  CHECK(reader.reader.field("a", "b\n") == HttpError::BadFieldValue);
}

}  // namespace hyperway::http
