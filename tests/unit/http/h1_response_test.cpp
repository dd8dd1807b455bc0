// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>

#include "base/bytes.hpp"
#include "message_harness.hpp"

using namespace hyperway;
using namespace hyperway::http;
using namespace std::string_view_literals;

namespace {

std::string okWith(std::string_view lines, std::string_view status = "HTTP/1.1 200 OK") {
  return std::string(status) + "\r\n" + std::string(lines) + "\r\n";
}

}  // namespace

TEST_CASE("A response head is taken apart into status, reason, fields and framing") {
  constexpr auto text =
      "HTTP/1.1 404 Not  Here \xe4\r\nServer: x\r\nSet-Cookie: a\r\nContent-Length: "
      "5\r\nset-cookie: "
      "b\r\nConnection: X-Gone\r\nX-Gone: 1\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\nTrailer: "
      "X\r\n\r\nhello"sv;
  const ParsedResponse response(text);
  REQUIRE(response.outcome() == "done");
  CHECK(response.parse.consumed == text.size() - 5);
  CHECK(response.head.status == 404);
  CHECK(response.head.reason == "Not  Here \xe4");
  CHECK(response.head.version == Version::Http11);
  CHECK(response.head.keep_alive);
  CHECK(response.head.framing.kind == BodyKind::Length);
  CHECK(response.head.framing.length == 5);
  CHECK(flat(response.head.fields) == "Server=x;Set-Cookie=a;set-cookie=b;");
}

TEST_CASE("RFC 9112 §4: a status line is version, three digits and a reason") {
  struct Row {
    std::string_view start, outcome;
  };
  for (const Row& row : {
           Row{"HTTP/1.1 200 OK\r\n", "done"},
           Row{"HTTP/1.1 200 \r\n", "done"},
           Row{"HTTP/1.1 200\r\n", "done"},
           Row{"HTTP/1.0 599 x\r\n", "done"},
           Row{"HTTP/1.1 100 x\r\n", "done"},
           Row{"HTTP/1.1 099 x\r\n", "bad_status_line"},
           Row{"HTTP/1.1 600 x\r\n", "bad_status_line"},
           Row{"HTTP/1.1 999 x\r\n", "bad_status_line"},
           Row{"HTTP/1.1 000 x\r\n", "bad_status_line"},
           Row{"HTTP/1.1 20 OK\r\n", "bad_status_line"},
           Row{"HTTP/1.1 2000 OK\r\n", "bad_status_line"},
           Row{"HTTP/1.1 +20 OK\r\n", "bad_status_line"},
           Row{"HTTP/1.1  200 OK\r\n", "bad_status_line"},
           Row{"HTTP/1.1\t200 OK\r\n", "bad_status_line"},
           Row{"HTTP/1.1 200\tOK\r\n", "bad_status_line"},
           Row{"HTTP/1.1 2x0 OK\r\n", "bad_status_line"},
           Row{"HTTP/1.2 200 OK\r\n", "bad_status_line"},
           Row{"HTTP/2.0 200 OK\r\n", "bad_status_line"},
           Row{"HTTP/0.9 200 OK\r\n", "bad_status_line"},
           Row{"HTTP/1 200 OK\r\n", "bad_status_line"},
           Row{"http/1.1 200 OK\r\n", "bad_status_line"},
           Row{"ICY 200 OK\r\n", "bad_status_line"},
           Row{"<html>\r\n", "bad_status_line"},
           Row{"\r\nHTTP/1.1 200 OK\r\n", "bad_status_line"},
           Row{" HTTP/1.1 200 OK\r\n", "bad_status_line"},
           Row{"HTTP/1.1 200 O\0K\r\n"sv, "bad_status_line"},
           Row{"HTTP/1.1 200 O\x1bK\r\n", "bad_status_line"},
           Row{"HTTP/1.1 200 OK\n", "bad_line_end"},
           Row{"HTTP/1.1 200\n", "bad_line_end"},
           Row{"HTTP/1.1 200 OK\rX: y\r\n", "bad_line_end"},
       }) {
    CAPTURE(row.start);
    const std::string text = std::string(row.start) + "Content-Length: 0\r\n\r\n";
    CHECK(ParsedResponse(text).outcome() == row.outcome);
  }
}

TEST_CASE("Fields of a response are as strict as those of a request") {
  struct Row {
    std::string_view lines, outcome;
  };
  for (const Row& row : {
           Row{"X: y\r\n", "done"},
           Row{"X : y\r\n", "space_before_colon"},
           Row{": y\r\n", "bad_field_name"},
           Row{"X: y\r\n z\r\n", "obsolete_fold"},
           Row{" X: y\r\n", "obsolete_fold"},
           Row{"X: y\n", "bad_line_end"},
           Row{"X: y\rZ: 1\r\n", "bad_line_end"},
           Row{"X: a\0b\r\n"sv, "bad_field_value"},
           Row{"X y\r\n", "space_before_colon"},
           Row{"X_Forwarded_For: 1\r\n", "done"},
           Row{"Connection: Transfer-Encoding\r\n", "bad_connection"},
           Row{"Connection: Content-Length\r\n", "bad_connection"},
           Row{"Connection: (\r\n", "bad_connection"},
       }) {
    CAPTURE(row.lines);
    CHECK(ParsedResponse(okWith(row.lines)).outcome() == row.outcome);
  }
  H1Limits limits;
  limits.fields = 1;
  CHECK(ParsedResponse(okWith("A: 1\r\n"), Method::Get, {}, limits).outcome() == "done");
  CHECK(ParsedResponse(okWith("A: 1\r\nB: 1\r\n"), Method::Get, {}, limits).outcome() ==
        "too_many_fields");
  limits.head_bytes = 24;
  CHECK(ParsedResponse(okWith("A: 1\r\n"), Method::Get, {}, limits).outcome() == "head_too_large");
}

TEST_CASE("RFC 9112 §6.3: status, method and fields give a response one framing") {
  struct Row {
    std::string_view status, lines;
    Method request;
    std::string_view outcome;
    BodyKind kind = BodyKind::None;
    std::uint64_t length = 0;
    bool keep_alive = true;
  };
  constexpr auto kGet = Method::Get;
  constexpr auto kHead = Method::Head;
  constexpr std::string_view kOk = "HTTP/1.1 200 OK";
  for (const Row& row : {
           Row{kOk, "Content-Length: 7\r\n", kGet, "done", BodyKind::Length, 7},
           Row{kOk, "Content-Length: 0\r\n", kGet, "done"},
           Row{kOk, "Transfer-Encoding: chunked\r\n", kGet, "done", BodyKind::Chunked},
           Row{kOk, "", kGet, "done", BodyKind::UntilClose, 0, false},
           Row{kOk, "Connection: keep-alive\r\n", kGet, "done", BodyKind::UntilClose, 0, false},
           Row{kOk, "Content-Length: 7\r\nConnection: close\r\n", kGet, "done", BodyKind::Length, 7,
               false},
           Row{"HTTP/1.0 200 OK", "Content-Length: 7\r\n", kGet, "done", BodyKind::Length, 7,
               false},
           Row{"HTTP/1.0 200 OK", "Content-Length: 7\r\nConnection: keep-alive\r\n", kGet, "done",
               BodyKind::Length, 7, true},
           Row{"HTTP/1.0 200 OK", "Transfer-Encoding: chunked\r\n", kGet, "bad_transfer_encoding"},
           Row{kOk, "Content-Length: 7\r\nContent-Length: 7\r\n", kGet, "conflicting_length"},
           Row{kOk, "Content-Length: 7, 7\r\n", kGet, "bad_content_length"},
           Row{kOk, "Content-Length: -7\r\n", kGet, "bad_content_length"},
           Row{kOk, "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n", kGet,
               "conflicting_length"},
           Row{kOk, "Transfer-Encoding: gzip, chunked\r\n", kGet, "unsupported_transfer_encoding"},
           Row{kOk, "Transfer-Encoding: gzip\r\n", kGet, "bad_transfer_encoding"},
           Row{kOk, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", kGet,
               "bad_transfer_encoding"},
           // HEAD and 304 have no body, but keep a length that they name (stored plus one).
           Row{kOk, "Content-Length: 7\r\n", kHead, "done", BodyKind::None, 8},
           Row{kOk, "Content-Length: 0\r\n", kHead, "done", BodyKind::None, 1},
           Row{kOk, "", kHead, "done"},
           Row{kOk, "Transfer-Encoding: chunked\r\n", kHead, "done"},
           Row{kOk, "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n", kHead,
               "conflicting_length"},
           Row{"HTTP/1.1 304 x", "Content-Length: 7\r\n", kGet, "done", BodyKind::None, 8},
           Row{"HTTP/1.1 304 x", "", kGet, "done"},
           // 1xx and 204 end with their head; a promise of bytes would shift the next response.
           Row{"HTTP/1.1 204 x", "", kGet, "done"},
           Row{"HTTP/1.1 204 x", "Content-Length: 0\r\n", kGet, "done"},
           Row{"HTTP/1.1 204 x", "Content-Length: 7\r\n", kGet, "bad_content_length"},
           Row{"HTTP/1.1 204 x", "Transfer-Encoding: chunked\r\n", kGet, "bad_transfer_encoding"},
           Row{"HTTP/1.1 204 x", "Content-Length: 7\r\n", kHead, "bad_content_length"},
           Row{"HTTP/1.1 100 x", "", kGet, "done"},
           Row{"HTTP/1.1 103 x", "Link: y\r\n", kGet, "done"},
           Row{"HTTP/1.1 100 x", "Content-Length: 7\r\n", kGet, "bad_content_length"},
           Row{"HTTP/1.1 103 x", "Transfer-Encoding: chunked\r\n", kGet, "bad_transfer_encoding"},
           Row{"HTTP/1.1 205 x", "Content-Length: 0\r\n", kGet, "done"},
           Row{"HTTP/1.1 400 x", "", Method::Post, "done", BodyKind::UntilClose, 0, false},
       }) {
    CAPTURE(row.status);
    CAPTURE(row.lines);
    const std::string text = okWith(row.lines, row.status);
    const ParsedResponse response(text, row.request);
    CHECK(response.outcome() == row.outcome);
    if (!response.done()) continue;
    CHECK(response.head.framing.kind == row.kind);
    CHECK(response.head.framing.length == row.length);
    CHECK(response.head.keep_alive == row.keep_alive);
  }
}

TEST_CASE("A 101 is taken only for the protocol that was offered") {
  struct Row {
    std::string_view status, lines, offered, outcome;
  };
  constexpr std::string_view kSwitch = "HTTP/1.1 101 Switching Protocols";
  for (const Row& row : {
           Row{kSwitch, "Connection: Upgrade\r\nUpgrade: websocket\r\n", "websocket", "done"},
           Row{kSwitch, "Connection: upgrade\r\nUpgrade: WebSocket\r\n", "websocket", "done"},
           Row{kSwitch, "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n",
               "websocket", "done"},
           Row{kSwitch, "Connection: upgrade\r\nUpgrade: websocket\r\n", "", "unexpected_upgrade"},
           Row{kSwitch, "Connection: upgrade\r\nUpgrade: h2c\r\n", "websocket",
               "unexpected_upgrade"},
           Row{kSwitch, "Connection: upgrade\r\nUpgrade: websocket, x\r\n", "websocket",
               "unexpected_upgrade"},
           Row{kSwitch, "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n",
               "websocket", "unexpected_upgrade"},
           Row{kSwitch, "Connection: upgrade\r\nUpgrade:\r\n", "", "unexpected_upgrade"},
           Row{kSwitch, "Upgrade: websocket\r\n", "websocket", "unexpected_upgrade"},
           Row{kSwitch, "Connection: upgrade\r\n", "websocket", "unexpected_upgrade"},
           Row{kSwitch, "", "websocket", "unexpected_upgrade"},
           Row{"HTTP/1.0 101 x", "Connection: upgrade\r\nUpgrade: websocket\r\n", "websocket",
               "unexpected_upgrade"},
           Row{kSwitch, "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n",
               "websocket", "unexpected_upgrade"},
           Row{kSwitch,
               "Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: "
               "chunked\r\n",
               "websocket", "unexpected_upgrade"},
       }) {
    CAPTURE(row.lines);
    const std::string text = okWith(row.lines, row.status);
    const ParsedResponse response(text, Method::Get, row.offered);
    CHECK(response.outcome() == row.outcome);
    if (!response.done()) continue;
    CHECK(response.head.framing.kind == BodyKind::Tunnel);
    CHECK(equalsIgnoreCase(response.head.upgrade, "websocket"));
    CHECK_FALSE(response.head.keep_alive);
  }
}

TEST_CASE("An offered upgrade that the backend ignores leaves an ordinary response") {
  const ParsedResponse response(
      "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\n",
      Method::Get, "websocket");
  REQUIRE(response.outcome() == "done");
  CHECK(response.head.upgrade.empty());
  CHECK(response.head.framing.kind == BodyKind::Length);
  CHECK(flat(response.head.fields).empty());
}
