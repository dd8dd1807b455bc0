// SPDX-License-Identifier: Apache-2.0
// A message means the same however the network cuts it.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "message_harness.hpp"

using namespace hyperway;
using namespace hyperway::http;

namespace {

// Everything that a request and its body came to, as one comparable text.
struct Outcome {
  std::string text;
  std::size_t consumed = 0;
};

std::string describe(const RequestHead& head) {
  H1RequestOut out;
  out.authority = head.authority;
  out.upgrade = head.upgrade;
  out.expect_continue = head.expect_continue;
  std::string text(requestHeadBound(head, out), '\0');
  text.resize(static_cast<std::size_t>(writeRequestHead(head, out, text.data()) - text.data()));
  text += "host " + std::string(head.host) + (head.keep_alive ? " keep" : " close");
  return text;
}

std::string describe(const ResponseHead& head) {
  std::string text(responseHeadBound(head), '\0');
  text.resize(static_cast<std::size_t>(writeResponseHead(head, {}, text.data()) - text.data()));
  return text + (head.keep_alive ? " keep" : " close");
}

// Makes `bytes` more of `text` visible, in memory of exactly that size, so that ASan sees a read
// too far. Then goes on as a connection would: the head from its start, the body as it comes.
class Feeder {
 public:
  Feeder(std::string_view text, bool response) : text_(text), response_(response) {}

  Outcome run(const std::vector<std::size_t>& cuts) {
    TestArena arena;
    HeaderMap trailers(*arena);
    RequestHead request(*arena);
    ResponseHead reply(*arena);
    BodyDecoder decoder;
    Outcome outcome;
    std::size_t scanned = 0;
    std::size_t body_at = 0;
    for (const std::size_t cut : cuts) {
      const std::vector<char> seen(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(cut));
      const std::string_view input(seen.data(), seen.size());
      if (body_at == 0) {
        const H1Parse parse =
            response_ ? parseResponseHead(input, {}, Method::Get, "websocket", scanned, reply)
                      : parseRequestHead(input, {}, scanned, request);
        if (parse.state == H1Parse::State::NeedMore) continue;
        if (parse.state == H1Parse::State::Bad) return {std::string(nameOf(parse.error)), 0};
        outcome.text = response_ ? describe(reply) : describe(request);
        decoder.begin(response_ ? reply.framing : request.framing);
        body_at = parse.consumed;
        outcome.consumed = parse.consumed;
      }
      while (true) {
        const auto step = decoder.next(input.substr(outcome.consumed), trailers);
        outcome.consumed += step.consumed;
        outcome.text += step.data;
        if (step.event == BodyDecoder::Event::Data) continue;
        if (step.event == BodyDecoder::Event::NeedMore) break;
        outcome.text += step.event == BodyDecoder::Event::End ? " end " : " bad ";
        outcome.text += nameOf(step.error);
        outcome.text += flat(trailers);
        return outcome;
      }
    }
    outcome.text += " open";
    return outcome;
  }

 private:
  std::string_view text_;
  bool response_;
};

void checkAllCuts(std::string_view text, bool response) {
  CAPTURE(text);
  Feeder feeder(text, response);
  const Outcome whole = feeder.run({text.size()});
  std::vector<std::size_t> bytes;
  for (std::size_t cut = 0; cut <= text.size(); ++cut) bytes.push_back(cut);
  const Outcome dripped = feeder.run(bytes);
  CHECK(dripped.text == whole.text);
  CHECK(dripped.consumed == whole.consumed);
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    CAPTURE(cut);
    const Outcome split = feeder.run({cut, text.size()});
    REQUIRE(split.text == whole.text);
    REQUIRE(split.consumed == whole.consumed);
  }
}

}  // namespace

TEST_CASE("A request means the same in one piece, in two at every place, and byte by byte") {
  for (const std::string_view text : {
           "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
           "\r\nGET /a/%2e./b?c HTTP/1.1\r\nHost: WWW.Example.com\r\nAccept: */*\r\n\r\nGET / HTTP",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhelloGET / "
           "HTTP/1.1\r\n",
           "POST /u HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: "
           "100-continue\r\n\r\n5;e=\"x\"\r\nhello\r\n1\r\n!\r\n0\r\nX: 1\r\nY:\r\n\r\nGET ",
           "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, X\r\nUpgrade: websocket\r\nX: "
           "1\r\n\r\n\x81\x85",
           "GET http://a:80/x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
           // Refused ones: a whole head is refused for the same reason in every cut.
           "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
           "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
           "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
           "GET /\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
           "chunked\r\n\r\n5;a\nhello\r\n0\r\n\r\n",
       }) {
    checkAllCuts(text, false);
  }
}

TEST_CASE("A response means the same in one piece, in two at every place, and byte by byte") {
  for (const std::string_view text : {
           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200",
           "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nServer: x\r\n\r\nA\r\n0123456789\r\n0\r\n"
           "Digest: x\r\n\r\nHTTP",
           "HTTP/1.0 200 OK\r\nA: b\r\n\r\nuntil close\r\n\r\n",
           "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 7\r\n\r\nHTTP/1.1",
           "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: "
           "websocket\r\n\r\n\x81\x01x",
           "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
           "HTTP/1.1 20\r\n\r\n",
           "HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\n",
       }) {
    checkAllCuts(text, true);
  }
}

TEST_CASE("A head that drips in is searched once: the search never goes back") {
  std::string text = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  text += std::string(2000, 'x') + "\r\n\r\n";
  TestArena arena;
  RequestHead head(*arena);
  std::size_t scanned = 0;
  std::size_t last = 0;
  for (std::size_t size = 1; size < text.size(); ++size) {
    const auto parse = parseRequestHead(std::string_view(text).substr(0, size), {}, scanned, head);
    REQUIRE(parse.state == H1Parse::State::NeedMore);
    REQUIRE(scanned == size);
    REQUIRE(scanned > last);
    last = scanned;
  }
  CHECK(parseRequestHead(text, {}, scanned, head).state == H1Parse::State::Done);
}
