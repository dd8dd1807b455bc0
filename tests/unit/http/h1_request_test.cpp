// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>

#include "message_harness.hpp"

using namespace hyperway;
using namespace hyperway::http;
using namespace std::string_view_literals;

namespace {

struct Case {
  std::string_view text;  // A whole head, or lines put behind "GET / HTTP/1.1" and a Host line.
  std::string_view outcome;
};

std::string withLines(std::string_view lines, std::string_view start = "GET / HTTP/1.1") {
  return std::string(start) + "\r\nHost: a\r\n" + std::string(lines) + "\r\n";
}

}  // namespace

TEST_CASE("A request head is taken apart into method, target, host, fields and framing") {
  constexpr auto text =
      "POST /a/../b?x=1&y HTTP/1.1\r\nhOST: WWW.Example.com:8080\r\nX-One:1\r\nX-Two: \t two words "
      "\t\r\nX-Empty:\r\ncontent-length: 12\r\nX-One: again\r\n\r\nbody"sv;
  const ParsedRequest request(text);
  REQUIRE(request.outcome() == "done");
  CHECK(request.parse.consumed == text.size() - 4);
  CHECK(request.head.method == "POST");
  CHECK(request.head.method_id == Method::Post);
  CHECK(request.head.version == Version::Http11);
  CHECK(request.head.target_form == TargetForm::Origin);
  CHECK(request.head.authority == "WWW.Example.com:8080");
  CHECK(request.head.host == "www.example.com");
  CHECK(request.head.path == "/b");
  CHECK(request.head.has_query);
  CHECK(request.head.query == "x=1&y");
  CHECK(request.head.keep_alive);
  CHECK_FALSE(request.head.expect_continue);
  CHECK(request.head.upgrade.empty());
  CHECK(request.head.framing.kind == BodyKind::Length);
  CHECK(request.head.framing.length == 12);
  CHECK(flat(request.head.fields) == "X-One=1;X-Two=two words;X-Empty=;X-One=again;");
}

TEST_CASE("RFC 9112 §3: a request line is method, target and version, one space apart") {
  for (const Case& row : {
           Case{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "done"},
           Case{"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "done"},
           Case{"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_line"},
           Case{"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_line_end"},
           Case{"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_line_end"},
           Case{" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_method"},
           Case{"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_line"},
           Case{"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "bad_version"},
           Case{"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "bad_method"},
           Case{"GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", "bad_target"},
           Case{"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "bad_version"},
           Case{"GET / HTTP/1.1\nHost: a\r\n\r\n", "bad_line_end"},
           Case{"GET / HTTP/1.1\rHost: a\r\n\r\n", "bad_line_end"},
           Case{"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", "bad_line_end"},
           Case{"GET /\r\nHost: a\r\n\r\n", "bad_request_line"},
           Case{"GET /\n", "bad_line_end"},
           Case{"GET\r\n\r\n", "bad_request_line"},
           Case{"GET / \r\n\r\n", "bad_request_line"},
           Case{"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_method"},
           Case{"G\0T / HTTP/1.1\r\nHost: a\r\n\r\n"sv, "bad_method"},
           Case{": / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_method"},
           Case{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"sv, "bad_method"},
           Case{"M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", "done"},
           Case{"GET / http/1.1\r\nHost: a\r\n\r\n", "bad_version"},
           Case{"GET / HTTP/1.\r\nHost: a\r\n\r\n", "bad_version"},
           Case{"GET / HTTP/1,1\r\nHost: a\r\n\r\n", "bad_version"},
           Case{"GET / HTTP/11\r\nHost: a\r\n\r\n", "bad_version"},
           Case{"GET / HTTP/1.10\r\nHost: a\r\n\r\n", "bad_version"},
           Case{"GET / HTTP/01.1\r\nHost: a\r\n\r\n", "bad_version"},
           Case{"GET / HTTQ/1.1\r\nHost: a\r\n\r\n", "bad_version"},
           Case{"GET / HTTP/1\r\n\r\n", "bad_version"},
           Case{"GET / HTTP/1\n\n", "bad_line_end"},
           Case{"GET / HTTP/0.9\r\nHost: a\r\n\r\n", "unsupported_version"},
           Case{"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "unsupported_version"},
           Case{"GET / HTTP/3.0\r\nHost: a\r\n\r\n", "unsupported_version"},
           Case{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "unsupported_version"},
           Case{"GET / HTTP/1.2\r\nHost: a\r\n\r\n", "done"},
           Case{"GET / HTTP/1.9\r\n\r\n", "missing_host"},
       }) {
    CAPTURE(row.text);
    CHECK(ParsedRequest(row.text).outcome() == row.outcome);
  }
  const std::string long_method = std::string(65, 'M') + " / HTTP/1.1\r\nHost: a\r\n\r\n";
  CHECK(ParsedRequest(long_method).outcome() == "bad_method");
  CHECK(ParsedRequest(std::string_view(long_method).substr(1)).outcome() == "done");
}

TEST_CASE("RFC 9112 §3.2: a target is a path, an http or https URI, or * for OPTIONS") {
  struct Row {
    std::string_view start, outcome;
    std::string_view path = {};
    std::string_view host = {};
    std::string_view query = {};
    TargetForm form = TargetForm::Origin;
  };
  for (const Row& row : {
           Row{"GET /x HTTP/1.1", "done", "/x", "a", ""},
           Row{"GET /x? HTTP/1.1", "done", "/x", "a", ""},
           Row{"GET /x?y?z HTTP/1.1", "done", "/x", "a", "y?z"},
           Row{"GET //b/x HTTP/1.1", "done", "//b/x", "a", ""},
           Row{"GET http://a/x?q HTTP/1.1", "done", "/x", "a", "q", TargetForm::Absolute},
           Row{"GET HTTPS://A/x HTTP/1.1", "done", "/x", "a", "", TargetForm::Absolute},
           Row{"GET http://a HTTP/1.1", "done", "/", "a", "", TargetForm::Absolute},
           Row{"GET http://a?q HTTP/1.1", "done", "/", "a", "q", TargetForm::Absolute},
           Row{"GET http://a:80/ HTTP/1.1", "done", "/", "a", "", TargetForm::Absolute},
           Row{"GET https://a:443/ HTTP/1.1", "done", "/", "a", "", TargetForm::Absolute},
           Row{"OPTIONS http://a HTTP/1.1", "done", "*", "a", "", TargetForm::Absolute},
           Row{"OPTIONS * HTTP/1.1", "done", "*", "a", "", TargetForm::Asterisk},
           Row{"OPTIONS / HTTP/1.1", "done", "/", "a", ""},
           Row{"GET * HTTP/1.1", "bad_target"},
           Row{"OPTIONS *x HTTP/1.1", "bad_target"},
           Row{"OPTIONS *?x HTTP/1.1", "bad_target"},
           Row{"GET x HTTP/1.1", "bad_target"},
           Row{"GET a:80 HTTP/1.1", "bad_target"},
           Row{"GET a/x HTTP/1.1", "bad_target"},
           Row{"GET ?x HTTP/1.1", "bad_target"},
           Row{"GET ftp://a/ HTTP/1.1", "bad_target"},
           Row{"GET http:/a/ HTTP/1.1", "bad_target"},
           Row{"GET http://a#x HTTP/1.1", "bad_target"},
           Row{"GET http:///x HTTP/1.1", "bad_target"},
           Row{"GET http://u@a/ HTTP/1.1", "bad_target"},
           Row{"GET http://a\\b/ HTTP/1.1", "bad_target"},
           Row{"GET http://b/ HTTP/1.1", "host_mismatch"},
           Row{"GET http://a:8080/ HTTP/1.1", "host_mismatch"},
           Row{"GET https://a:80/ HTTP/1.1", "host_mismatch"},
           Row{"GET http://a.b/ HTTP/1.1", "host_mismatch"},
           Row{"GET /x#y HTTP/1.1", "bad_path"},
           Row{"GET /x\\y HTTP/1.1", "bad_path"},
           Row{"GET /%00 HTTP/1.1", "bad_path"},
           Row{"GET /.. HTTP/1.1", "bad_path"},
           Row{"GET http://a/../ HTTP/1.1", "bad_path"},
           Row{"GET /?a#b HTTP/1.1", "bad_target"},
           Row{"GET /?% HTTP/1.1", "bad_target"},
           Row{"GET /\xc3\xa4 HTTP/1.1", "bad_target"},
           Row{"GET /\x7f HTTP/1.1", "bad_target"},
           Row{"CONNECT a:443 HTTP/1.1", "method_not_supported"},
           Row{"CONNECT / HTTP/1.1", "method_not_supported"},
           Row{"TRACE / HTTP/1.1", "done", "/", "a", ""},
       }) {
    CAPTURE(row.start);
    const std::string text = withLines("", row.start);
    const ParsedRequest request(text);
    CHECK(request.outcome() == row.outcome);
    if (!request.done()) continue;
    CHECK(request.head.path == row.path);
    CHECK(request.head.host == row.host);
    CHECK(request.head.query == row.query);
    CHECK(request.head.target_form == row.form);
  }
}

TEST_CASE("RFC 9112 §3.2: HTTP/1.1 has exactly one valid Host, HTTP/1.0 at most one") {
  for (const Case& row : {
           Case{"GET / HTTP/1.1\r\n\r\n", "missing_host"},
           Case{"GET http://a/ HTTP/1.1\r\n\r\n", "missing_host"},
           Case{"GET / HTTP/1.1\r\nHost:\r\n\r\n", "bad_host"},
           Case{"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "duplicate_host"},
           Case{"GET / HTTP/1.1\r\nHost: a\r\nhOsT: b\r\n\r\n", "duplicate_host"},
           Case{"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "bad_host"},
           Case{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "bad_host"},
           Case{"GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", "bad_host"},
           Case{"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "bad_host"},
           Case{"GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n", "bad_host"},
           Case{"GET http://a/ HTTP/1.1\r\nHost: a/\r\n\r\n", "bad_host"},
           Case{"GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n", "bad_host"},
           Case{"GET / HTTP/1.0\r\n\r\n", "done"},
           Case{"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "duplicate_host"},
           Case{"GET / HTTP/1.0\r\nHost: a b\r\n\r\n", "bad_host"},
       }) {
    CAPTURE(row.text);
    CHECK(ParsedRequest(row.text).outcome() == row.outcome);
  }
  const ParsedRequest old("GET / HTTP/1.0\r\n\r\n");
  CHECK(old.head.authority.empty());
  CHECK(old.head.host.empty());
  const ParsedRequest old_absolute("GET http://B:81/ HTTP/1.0\r\n\r\n");
  CHECK(old_absolute.head.authority == "B:81");
  CHECK(old_absolute.head.host == "b");
}

TEST_CASE("RFC 9112 §5: a field line is a token, a colon and a value, and ends with CRLF") {
  for (const Case& row : {
           Case{"X: y\r\n", "done"},
           Case{"X:\xff\x80 y\tz\r\n", "done"},
           Case{"X : y\r\n", "space_before_colon"},
           Case{"X\t: y\r\n", "space_before_colon"},
           Case{"X Y: y\r\n", "space_before_colon"},
           Case{": y\r\n", "bad_field_name"},
           Case{"X\r\n", "bad_line_end"},
           Case{"X(: y\r\n", "bad_field_name"},
           Case{"X\0: y\r\n"sv, "bad_field_name"},
           Case{"X\xe4: y\r\n", "bad_field_name"},
           Case{"X\x0b: y\r\n", "bad_field_name"},
           Case{"\"X\": y\r\n", "bad_field_name"},
           Case{" X: y\r\n", "obsolete_fold"},
           Case{"X: y\r\n z\r\n", "obsolete_fold"},
           Case{"X: y\r\n\tz\r\n", "obsolete_fold"},
           Case{"X:\r\n y\r\n", "obsolete_fold"},
           Case{"X: y\n", "bad_line_end"},
           Case{"X: y\nZ: 1\r\n", "bad_line_end"},
           Case{"X: y\rZ: 1\r\n", "bad_line_end"},
           Case{"X: y\r\r\n", "bad_line_end"},
           Case{"X: y\0z\r\n"sv, "bad_field_value"},
           Case{"X: y\x7fz\r\n", "bad_field_value"},
           Case{"X: y\x0bz\r\n", "bad_field_value"},
           Case{"X: y\x0cz\r\n", "bad_field_value"},
           Case{"X: y\x1fz\r\n", "bad_field_value"},
           Case{"X: y\x08\r\n", "bad_field_value"},
           Case{"\n", "bad_line_end"},
           Case{"\rX: y\r\n", "bad_line_end"},
       }) {
    CAPTURE(row.text);
    CHECK(ParsedRequest(withLines(row.text)).outcome() == row.outcome);
  }
}

TEST_CASE("A control byte is found at every place of a value, near the end of the input too") {
  for (std::size_t size = 1; size < 70; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      std::string value(size, 'v');
      value[at] = '\x01';
      const std::string text = withLines("X:" + value + "\r\n");
      REQUIRE(ParsedRequest(text).outcome() == "bad_field_value");
    }
  }
}

TEST_CASE("A byte that is no token character is found at every place of a name") {
  for (std::size_t size = 1; size < 40; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      std::string name(size, 'n');
      name[at] = '/';
      REQUIRE(ParsedRequest(withLines(name + ":v\r\n")).outcome() == "bad_field_name");
      name[at] = '!';
      const std::string text = withLines(name + ":v\r\n");
      const ParsedRequest good(text);
      REQUIRE(good.outcome() == "done");
      REQUIRE(good.head.fields.lines()[0].name() == name);
    }
  }
}

TEST_CASE("RFC 9112 §6.3: a request has one framing that nobody can read in two ways") {
  struct Row {
    std::string_view lines, outcome;
    BodyKind kind = BodyKind::None;
    std::uint64_t length = 0;
  };
  for (const Row& row : {
           Row{"", "done"},
           Row{"Content-Length: 0\r\n", "done"},
           Row{"Content-Length: 10\r\n", "done", BodyKind::Length, 10},
           Row{"Content-Length: 0010\r\n", "done", BodyKind::Length, 10},
           Row{"Content-Length: 9223372036854775807\r\n", "done", BodyKind::Length,
               9223372036854775807U},
           Row{"Content-Length: 9223372036854775808\r\n", "bad_content_length"},
           Row{"Content-Length: 18446744073709551616\r\n", "bad_content_length"},
           Row{"Content-Length: 00000000000000000000\r\n", "bad_content_length"},
           Row{"Content-Length:\r\n", "bad_content_length"},
           Row{"Content-Length: +1\r\n", "bad_content_length"},
           Row{"Content-Length: -1\r\n", "bad_content_length"},
           Row{"Content-Length: 1 1\r\n", "bad_content_length"},
           Row{"Content-Length: 0x1\r\n", "bad_content_length"},
           Row{"Content-Length: 1.0\r\n", "bad_content_length"},
           Row{"Content-Length: 1e1\r\n", "bad_content_length"},
           Row{"Content-Length: 1,1\r\n", "bad_content_length"},
           Row{"Content-Length: 1, 1\r\n", "bad_content_length"},
           Row{"Content-Length: 1,\r\n", "bad_content_length"},
           Row{"Content-Length: \xb2\r\n", "bad_content_length"},
           Row{"Content-Length: 1\r\nContent-Length: 1\r\n", "conflicting_length"},
           Row{"Content-Length: 1\r\nContent-Length: 2\r\n", "conflicting_length"},
           Row{"Content-Length: 0\r\ncontent-length: 0\r\n", "conflicting_length"},
           Row{"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "conflicting_length"},
           Row{"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", "conflicting_length"},
           Row{"Transfer-Encoding: x\r\nContent-Length: 4\r\n", "conflicting_length"},
           Row{"Transfer-Encoding:\r\nContent-Length: 4\r\n", "conflicting_length"},
           Row{"Transfer-Encoding: chunked\r\n", "done", BodyKind::Chunked},
           Row{"TRANSFER-ENCODING:\tCHUNKED \r\n", "done", BodyKind::Chunked},
           Row{"Transfer-Encoding:\r\n", "bad_transfer_encoding"},
           Row{"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
               "bad_transfer_encoding"},
           Row{"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
               "bad_transfer_encoding"},
           Row{"Transfer-Encoding: chunked, chunked\r\n", "bad_transfer_encoding"},
           Row{"Transfer-Encoding: chunked, identity\r\n", "bad_transfer_encoding"},
           Row{"Transfer-Encoding: identity\r\n", "bad_transfer_encoding"},
           Row{"Transfer-Encoding: gzip\r\n", "bad_transfer_encoding"},
           Row{"Transfer-Encoding: gzip, chunked\r\n", "unsupported_transfer_encoding"},
           Row{"Transfer-Encoding: identity, chunked\r\n", "unsupported_transfer_encoding"},
           Row{"Transfer-Encoding: ,chunked\r\n", "bad_transfer_encoding"},
           Row{"Transfer-Encoding: chunked,\r\n", "bad_transfer_encoding"},
           Row{"Transfer-Encoding: \"chunked\"\r\n", "bad_transfer_encoding"},
           Row{"Transfer-Encoding: 'chunked'\r\n", "bad_transfer_encoding"},
           Row{"Transfer-Encoding: chunked;q=1\r\n", "bad_transfer_encoding"},
           Row{"Transfer-Encoding: xchunked\r\n", "bad_transfer_encoding"},
           Row{"Transfer-Encoding: chunked x\r\n", "bad_transfer_encoding"},
           Row{"Transfer-Encoding: \x0b"
               "chunked\r\n",
               "bad_field_value"},
           Row{"Transfer-Encoding : chunked\r\n", "space_before_colon"},
           Row{"Transfer-Encoding:\r\n chunked\r\n", "obsolete_fold"},
           Row{"Transfer_Encoding: chunked\r\n", "bad_field_name"},
           Row{"Content_Length: 4\r\n", "bad_field_name"},
       }) {
    CAPTURE(row.lines);
    const std::string text = withLines(row.lines, "POST / HTTP/1.1");
    const ParsedRequest request(text);
    CHECK(request.outcome() == row.outcome);
    if (!request.done()) continue;
    CHECK(request.head.framing.kind == row.kind);
    CHECK(request.head.framing.length == row.length);
    CHECK(request.head.fields.count() == 0);
  }
  CHECK(ParsedRequest(withLines("Transfer-Encoding: chunked\r\n", "POST / HTTP/1.0")).outcome() ==
        "bad_transfer_encoding");
  CHECK(ParsedRequest(withLines("Content-Length: 1\r\n", "TRACE / HTTP/1.1")).outcome() ==
        "method_not_supported");
}

TEST_CASE("A name whose '_' hides a field that we own is refused, other underscores pass") {
  for (const std::string_view name :
       {"X_Forwarded_For", "x-forwarded_proto", "X_FORWARDED-HOST", "X_Forwarded_Port",
        "Content_Type", "Content_Disposition", "Host_", "X_Real_IP", "Sec_WebSocket_Key",
        "Proxy_Authorization", "X_Request_Id"}) {
    CAPTURE(name);
    const bool ours = name != "Host_";
    CHECK(ParsedRequest(withLines(std::string(name) + ": 1\r\n")).outcome() ==
          (ours ? "bad_field_name" : "done"));
  }
  CHECK(ParsedRequest(withLines("my_field: 1\r\n_: 2\r\n")).outcome() == "done");
}

TEST_CASE("RFC 9110 §7.6.1: fields of one hop and those that Connection names are not forwarded") {
  const std::string text = withLines(
      "Connection: keep-alive, X-Gone,, TE\r\nX-Gone: 1\r\nX-Stays: 2\r\nx-gone: 3\r\nKeep-Alive: "
      "5\r\nProxy-Connection: close\r\nTE: trailers\r\nTrailer: X\r\nUpgrade: "
      "h2c\r\nHTTP2-Settings: AAMA\r\nconnection: x-also\r\nX-Also: 4\r\nExpect: 100-continue\r\n");
  const ParsedRequest request(text);
  REQUIRE(request.outcome() == "done");
  CHECK(flat(request.head.fields) == "X-Stays=2;");
  CHECK(request.head.keep_alive);
}

TEST_CASE("Connection may not name a field that others rely on") {
  for (const std::string_view name : {"Host",
                                      "Content-Length",
                                      "Transfer-Encoding",
                                      "Authorization",
                                      "Cookie",
                                      "X-Forwarded-For",
                                      "x-forwarded-port",
                                      "Forwarded",
                                      "X-Real-IP",
                                      "Content-Type",
                                      "Expect",
                                      "Origin",
                                      "Proxy-Authorization",
                                      "Traceparent",
                                      "Cache-Control",
                                      "Sec-WebSocket-Key",
                                      "X_Forwarded_For",
                                      "a b",
                                      "a:",
                                      "\"x\"",
                                      "(",
                                      "\xe4"}) {
    CAPTURE(name);
    CHECK(ParsedRequest(withLines("Connection: close, " + std::string(name) + "\r\n")).outcome() ==
          "bad_connection");
  }
  const std::string line = "Connection: close\r\n";
  CHECK(ParsedRequest(withLines(line + line + line + line)).outcome() == "done");
  CHECK(ParsedRequest(withLines(line + line + line + line + line)).outcome() == "bad_connection");
}

TEST_CASE("RFC 9112 §9.3: a connection stays open as version and Connection say") {
  struct Row {
    std::string_view start, lines;
    bool keep_alive;
  };
  for (const Row& row : {
           Row{"GET / HTTP/1.1", "", true},
           Row{"GET / HTTP/1.1", "Connection: close\r\n", false},
           Row{"GET / HTTP/1.1", "Connection: keep-alive, Close\r\n", false},
           Row{"GET / HTTP/1.1", "Connection: x\r\nConnection: close\r\n", false},
           Row{"GET / HTTP/1.1", "Connection: closed\r\n", true},
           Row{"GET / HTTP/1.1", "Proxy-Connection: close\r\n", true},
           Row{"GET / HTTP/1.0", "", false},
           Row{"GET / HTTP/1.0", "Connection: Keep-Alive\r\n", true},
           Row{"GET / HTTP/1.0", "Connection: keep-alive, close\r\n", false},
           Row{"GET / HTTP/1.0", "Proxy-Connection: keep-alive\r\n", false},
       }) {
    CAPTURE(row.start);
    CAPTURE(row.lines);
    const std::string text = withLines(row.lines, row.start);
    const ParsedRequest request(text);
    REQUIRE(request.outcome() == "done");
    CHECK(request.head.keep_alive == row.keep_alive);
  }
}

TEST_CASE(
    "RFC 9110 §7.8: an upgrade is one token, named by Connection once, on a GET without body") {
  struct Row {
    std::string_view start, lines, outcome, token;
  };
  for (const Row& row : {
           Row{"GET / HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "done",
               "websocket"},
           Row{"GET / HTTP/1.1", "Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n",
               "done", "WebSocket"},
           Row{"GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: a/1.0\r\n", "done", "a/1.0"},
           Row{"GET / HTTP/1.1",
               "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: "
               "0\r\n",
               "done", "websocket"},
           Row{"GET / HTTP/1.1", "Upgrade: websocket\r\n", "done", ""},
           Row{"GET / HTTP/1.1", "Connection: close\r\nUpgrade: websocket\r\n", "done", ""},
           Row{"GET / HTTP/1.1", "Connection: upgrade\r\n", "done", ""},
           Row{"GET / HTTP/1.0", "Connection: upgrade\r\nUpgrade: websocket\r\n", "done", ""},
           Row{"GET / HTTP/1.1",
               "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: "
               "h2c\r\nHTTP2-Settings: A\r\n",
               "done", ""},
           Row{"POST / HTTP/1.1", "Connection: upgrade\r\nUpgrade: H2C\r\nContent-Length: 1\r\n",
               "done", ""},
           Row{"GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: h2c, websocket\r\n", "done",
               "websocket"},
           Row{"GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: websocket, x\r\n", "bad_upgrade",
               ""},
           Row{"GET / HTTP/1.1",
               "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: "
               "websocket\r\n",
               "bad_upgrade", ""},
           Row{"GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n",
               "bad_upgrade", ""},
           Row{"GET / HTTP/1.1", "Connection: upgrade, upgrade\r\nUpgrade: websocket\r\n",
               "bad_upgrade", ""},
           Row{"GET / HTTP/1.1",
               "Connection: upgrade\r\nConnection: upgrade\r\nUpgrade: "
               "websocket\r\n",
               "bad_upgrade", ""},
           Row{"GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: web socket\r\n", "bad_upgrade",
               ""},
           Row{"GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: a/\r\n", "bad_upgrade", ""},
           Row{"POST / HTTP/1.1", "Connection: upgrade\r\nUpgrade: websocket\r\n", "bad_upgrade",
               ""},
           Row{"GET / HTTP/1.1",
               "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: "
               "1\r\n",
               "bad_upgrade", ""},
           Row{"GET / HTTP/1.1",
               "Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: "
               "chunked\r\n",
               "bad_upgrade", ""},
       }) {
    CAPTURE(row.start);
    CAPTURE(row.lines);
    const std::string text = withLines(row.lines, row.start);
    const ParsedRequest request(text);
    CHECK(request.outcome() == row.outcome);
    if (!request.done()) continue;
    CHECK(request.head.upgrade == row.token);
    CHECK(request.head.fields.count() == 0);
  }
}

TEST_CASE("RFC 9110 §10.1.1: only 100-continue may be expected, and only with a body") {
  struct Row {
    std::string_view start, lines, outcome;
    bool expects;
  };
  for (const Row& row : {
           Row{"POST / HTTP/1.1", "Expect: 100-Continue\r\nContent-Length: 1\r\n", "done", true},
           Row{"POST / HTTP/1.1", "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", "done",
               true},
           Row{"POST / HTTP/1.1", "Expect: 100-continue\r\nContent-Length: 0\r\n", "done", false},
           Row{"GET / HTTP/1.1", "Expect: 100-continue\r\n", "done", false},
           Row{"POST / HTTP/1.0", "Expect: 100-continue\r\nContent-Length: 1\r\n", "done", false},
           Row{"POST / HTTP/1.0", "Expect: anything\r\nContent-Length: 1\r\n", "done", false},
           Row{"POST / HTTP/1.1", "Expect: 100-continue, x\r\nContent-Length: 1\r\n", "bad_expect",
               false},
           Row{"POST / HTTP/1.1", "Expect:\r\nContent-Length: 1\r\n", "bad_expect", false},
           Row{"POST / HTTP/1.1", "Expect: 100 continue\r\nContent-Length: 1\r\n", "bad_expect",
               false},
           Row{"POST / HTTP/1.1",
               "Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n",
               "bad_expect", false},
       }) {
    CAPTURE(row.lines);
    const std::string text = withLines(row.lines, row.start);
    const ParsedRequest request(text);
    CHECK(request.outcome() == row.outcome);
    if (request.done()) CHECK(request.head.expect_continue == row.expects);
  }
}

TEST_CASE("A head within the limits passes, one byte or one field more does not") {
  const std::string text = withLines("A: 1\r\nB: 2\r\n", "GET /1234567 HTTP/1.1");
  H1Limits limits;
  limits.head_bytes = text.size();
  limits.target_bytes = 8;
  limits.fields = 3;
  CHECK(ParsedRequest(text, limits).outcome() == "done");
  CHECK(ParsedRequest(text + "body of any size", limits).outcome() == "done");

  H1Limits fewer_bytes = limits;
  fewer_bytes.head_bytes -= 1;
  CHECK(ParsedRequest(text, fewer_bytes).outcome() == "head_too_large");
  CHECK(ParsedRequest(std::string_view(text).substr(0, fewer_bytes.head_bytes), fewer_bytes)
            .outcome() == "head_too_large");
  CHECK(ParsedRequest(std::string_view(text).substr(0, fewer_bytes.head_bytes - 1), fewer_bytes)
            .outcome() == "more");
  H1Limits fewer_fields = limits;
  fewer_fields.fields -= 1;
  CHECK(ParsedRequest(text, fewer_fields).outcome() == "too_many_fields");
  H1Limits shorter_target = limits;
  shorter_target.target_bytes -= 1;
  CHECK(ParsedRequest(text, shorter_target).outcome() == "uri_too_long");
  CHECK(ParsedRequest("GET /1234567", shorter_target).outcome() == "uri_too_long");
}

TEST_CASE("A head that never ends is refused at its limit, whatever it is made of") {
  H1Limits limits;
  limits.head_bytes = 300;
  limits.target_bytes = 100;
  struct Row {
    std::string start, more, outcome;
  };
  for (const Row& row : {Row{"GET / HTTP/1.1\r\nX: ", "y", "head_too_large"},
                         Row{"GET / HTTP/1.1\r\n", "y", "head_too_large"},
                         Row{"GET / HTTP/1.1\r\n", "A: b\r\n", "head_too_large"},
                         Row{"GET /", "y", "uri_too_long"}, Row{"", "y", "bad_method"}}) {
    CAPTURE(row.start);
    std::string text = row.start;
    TestArena arena;
    RequestHead head(*arena);
    std::size_t scanned = 0;
    H1Parse parse{};
    while (text.size() < 1000) {
      parse = parseRequestHead(text, limits, scanned, head);
      if (parse.state != H1Parse::State::NeedMore) break;
      text += row.more;
    }
    CHECK(parse.state == H1Parse::State::Bad);
    CHECK(nameOf(parse.error) == row.outcome);
    CHECK(text.size() <= limits.head_bytes + row.more.size());
  }
}

TEST_CASE("A bare LF is told at once, without waiting for an end that will not come") {
  TestArena arena;
  RequestHead head(*arena);
  std::size_t scanned = 0;
  const H1Limits limits;
  std::string text = "GET / HTTP/1.1\r\nHost: a";
  CHECK(parseRequestHead(text, limits, scanned, head).state == H1Parse::State::NeedMore);
  text += "\n\n";
  const H1Parse parse = parseRequestHead(text, limits, scanned, head);
  CHECK(parse.state == H1Parse::State::Bad);
  CHECK(parse.error == HttpError::BadLineEnd);
}
