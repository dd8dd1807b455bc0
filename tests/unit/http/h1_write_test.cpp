// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>

#include "message_harness.hpp"

using namespace hyperway;
using namespace hyperway::http;

TEST_CASE("A request is written in origin form as HTTP/1.1 with framing rebuilt") {
  struct Row {
    std::string_view received, sent;
  };
  for (const Row& row : {
           Row{"GET /a/./b?c HTTP/1.1\r\nHost: A:1\r\nX: 1\r\n\r\n",
               "GET /a/b?c HTTP/1.1\r\nHost: A:1\r\nX: 1\r\n\r\n"},
           Row{"GET /a? HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a? HTTP/1.1\r\nHost: a\r\n\r\n"},
           Row{"GET http://a/x HTTP/1.0\r\n\r\n", "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"},
           Row{"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: \r\n\r\n"},
           Row{"GET / HTTP/1.9\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
           Row{"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"},
           Row{"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n",
               "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"},
           Row{"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\nX: 1\r\nKeep-Alive: "
               "1\r\nTE: trailers\r\n\r\n",
               "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
           Row{"POST / HTTP/1.1\r\nTransfer-Encoding:  CHUNKED\r\nHost: a\r\n\r\n",
               "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"},
           Row{"PROPFIND / HTTP/1.1\r\nHost: a\r\nContent-Length: 0042\r\n\r\n",
               "PROPFIND / HTTP/1.1\r\nHost: a\r\nContent-Length: 42\r\n\r\n"},
           Row{"POST / HTTP/1.1\r\nHost: a\r\n\r\n",
               "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"},
           Row{"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
               "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"},
           Row{"PATCH / HTTP/1.1\r\nHost: a\r\n\r\n",
               "PATCH / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"},
           Row{"DELETE / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
               "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n"},
           Row{"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-CONTINUE\r\nContent-Length: "
               "9223372036854775807\r\n\r\n",
               "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\nExpect: "
               "100-continue\r\n\r\n"},
           Row{"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: "
               "websocket\r\nSec-WebSocket-Key: k\r\n\r\n",
               "GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: k\r\nConnection: "
               "upgrade\r\nUpgrade: websocket\r\n\r\n"},
       }) {
    CAPTURE(row.received);
    const ParsedRequest request(row.received);
    REQUIRE(request.outcome() == "done");
    CHECK(request.written() == row.sent);
  }
}

TEST_CASE("A request that closes says so") {
  const ParsedRequest request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  H1RequestOut out;
  out.authority = "b";
  out.close = true;
  std::string text(requestHeadBound(request.head, out), '\0');
  text.resize(
      static_cast<std::size_t>(writeRequestHead(request.head, out, text.data()) - text.data()));
  CHECK(text == "GET / HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n");
}

TEST_CASE("A response is written as HTTP/1.1 with framing for its client") {
  struct Row {
    std::string_view received;
    Method request;
    H1ResponseOut out;
    std::string_view sent;
  };
  constexpr auto kGet = Method::Get;
  constexpr H1ResponseOut kNew{};
  constexpr H1ResponseOut kClose{.keep_alive = false};
  constexpr H1ResponseOut kHead{.head_request = true};
  constexpr H1ResponseOut kOld{.client = Version::Http10};
  constexpr H1ResponseOut kOldHead{.client = Version::Http10, .head_request = true};
  constexpr std::string_view kChunked =
      "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n";
  constexpr std::string_view kLength = "HTTP/1.0 200 Fine\r\nContent-Length: 5\r\nA:b\r\n\r\n";
  constexpr std::string_view kUntilClose = "HTTP/1.1 200 OK\r\n\r\n";
  for (const Row& row : {
           Row{kChunked, kGet, kNew,
               "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n"},
           Row{kChunked, kGet, kClose,
               "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\nConnection: "
               "close\r\n\r\n"},
           Row{kChunked, kGet, kOld, "HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\n"},
           Row{kChunked, Method::Head, kHead, "HTTP/1.1 200 OK\r\nA: b\r\n\r\n"},
           Row{kLength, kGet, kNew, "HTTP/1.1 200 Fine\r\nA: b\r\nContent-Length: 5\r\n\r\n"},
           Row{kLength, kGet, kOld,
               "HTTP/1.1 200 Fine\r\nA: b\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n"},
           Row{kLength, Method::Head, kHead,
               "HTTP/1.1 200 Fine\r\nA: b\r\nContent-Length: 5\r\n\r\n"},
           Row{kUntilClose, kGet, kNew, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"},
           Row{kUntilClose, Method::Head, kHead, "HTTP/1.1 200 OK\r\n\r\n"},
           Row{kUntilClose, Method::Head, kOldHead,
               "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n"},
           Row{"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", kGet, kNew,
               "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
           Row{"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", Method::Head, kHead,
               "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
           Row{"HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n", kGet, kNew,
               "HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n"},
           Row{"HTTP/1.1 304 x\r\n\r\n", kGet, kNew, "HTTP/1.1 304 x\r\n\r\n"},
           Row{"HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n", kGet, kNew, "HTTP/1.1 204 x\r\n\r\n"},
           Row{"HTTP/1.1 204 x\r\n\r\n", kGet, kClose,
               "HTTP/1.1 204 x\r\nConnection: close\r\n\r\n"},
           Row{"HTTP/1.1 103 x\r\nLink: y\r\nConnection: close\r\n\r\n", kGet, kClose,
               "HTTP/1.1 103 x\r\nLink: y\r\n\r\n"},
           Row{"HTTP/1.1 599 \r\nContent-Length: 1\r\n\r\n", kGet, kNew,
               "HTTP/1.1 599 \r\nContent-Length: 1\r\n\r\n"},
       }) {
    CAPTURE(row.received);
    const ParsedResponse response(row.received, row.request);
    REQUIRE(response.outcome() == "done");
    CHECK(response.written(row.out) == row.sent);
  }
}

TEST_CASE("A 101 is written with Connection and Upgrade of our own") {
  const ParsedResponse response(
      "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade, X\r\nX: 1\r\nY: 2\r\n\r\n",
      Method::Get, "websocket");
  REQUIRE(response.outcome() == "done");
  CHECK(response.written({.keep_alive = false}) ==
        "HTTP/1.1 101 x\r\nY: 2\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
}

TEST_CASE("Removed lines are not written, changed ones are") {
  ParsedRequest request("GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n");
  request.head.fields.remove("b");
  request.head.fields.set("c", "4");
  request.head.fields.add("D", "");
  CHECK(request.written() == "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nc: 4\r\nD: \r\n\r\n");
}

TEST_CASE("What is written stays within its bound, with the largest framing too") {
  ParsedRequest request("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n");
  request.head.framing.length = UINT64_MAX;
  H1RequestOut out;
  out.authority = "a";
  out.expect_continue = true;
  out.upgrade = "websocket";
  std::string text(requestHeadBound(request.head, out), '\0');
  CHECK(writeRequestHead(request.head, out, text.data()) <= text.data() + text.size());
  ParsedResponse response("HTTP/1.1 200\r\nContent-Length: 1\r\n\r\n");
  response.head.framing.length = UINT64_MAX;
  response.head.status = 511;
  response.head.reason = {};
  std::string answer(responseHeadBound(response.head), '\0');
  CHECK(writeResponseHead(response.head, {.client = Version::Http10}, answer.data()) <=
        answer.data() + answer.size());
}
