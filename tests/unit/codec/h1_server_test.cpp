// SPDX-License-Identifier: Apache-2.0
#include "codec/h1_server.hpp"

#include <doctest/doctest.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wire.hpp"

namespace hyperway::codec {
namespace {

/// A stream that notes what it is told.
class Stream final : public RequestEvents {
 public:
  explicit Stream(ServerLink& the_link) : link(the_link) {}

  http::RequestHead& requestHead() noexcept override { return head_; }
  Arena& arena() noexcept override { return memory_.arena; }
  http::HeaderMap& requestTrailers() noexcept override { return trailers_; }
  void onRequestHead(bool end) noexcept override {
    log += std::string(head_.method) + ' ' + std::string(head_.path) + (end ? " end;" : ";");
    if (answer_at_once) answer();
  }
  void onRequestBody(std::span<char> data, bool end) noexcept override {
    body.append(data.data(), data.size());
    if (end) log += "body end;";
    if (pause_after_data && !data.empty()) link.setReading(false);
  }
  void onRequestTrailers(http::HeaderMap& trailers) noexcept override {
    log += "trailers " + std::to_string(trailers.count()) + ';';
  }
  void onRequestFlush() noexcept override {}
  void onRequestBroken(Broken how, http::HttpError /*error*/) noexcept override {
    log += how == Broken::Protocol    ? "protocol;"
           : how == Broken::Truncated ? "truncated;"
           : how == Broken::Timeout   ? "timeout;"
                                      : "broken;";
  }
  void onRequestRefused(Broken /*how*/, http::HttpError /*error*/) noexcept override {
    FAIL_CHECK("HTTP/1 answers");
  }
  void onRequestRaw() noexcept override {}
  void onClientDrained() noexcept override { log += "drained;"; }
  void onClientGone() noexcept override { log += "gone;"; }

  /// Answers, and ends the stream.
  void answer(std::uint16_t status, std::string_view text, http::BodyKind kind) {
    http::ResponseHead out(memory_.arena);
    out.status = status;
    out.framing = {text.empty() ? http::BodyKind::None : kind,
                   kind == http::BodyKind::Length ? text.size() : 0};
    link.sendHead(out, text.empty());
    if (!text.empty()) link.sendBody(text, true);
    link.flush();
    link.streamDone();
  }
  void answer(std::uint16_t status = 200, std::string_view text = "ok") {
    answer(status, text, http::BodyKind::Length);
  }

  ServerLink& link;
  std::string log;
  std::string body;
  bool pause_after_data = false;
  bool answer_at_once = false;

 private:
  test::StreamMemory memory_;
  http::RequestHead head_{memory_.arena};
  http::HeaderMap trailers_{memory_.arena};
};

/// One server connection on a loop of its own.
class Server final : public ServerHost {
 public:
  Server() : ServerHost(loop_, pool_, scratch_, limits_, timeouts_) {
    const int fd = wire.near.get();
    connection = new H1ServerConnection(*this, Transport(std::move(wire.near)), info_);
    REQUIRE(loop_.add(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, *connection));
    connection->start(false);
  }
  ~Server() {
    if (connection != nullptr) connection->closeNow();
    loop_.turn(0);
  }
  RequestEvents* openStream(ServerLink& link) noexcept override {
    if (overloaded) return nullptr;
    streams.emplace_back(std::make_unique<Stream>(link))->answer_at_once = answer_at_once;
    return streams.back().get();
  }
  void dropStream(RequestEvents& /*stream*/) noexcept override { streams.pop_back(); }
  void onServerConnectionClosed(ServerConnection& closed) noexcept override {
    loop_.retire(&closed);
    connection = nullptr;
  }
  void onPreface(const ServerConnection& /*from*/, Transport transport, std::span<char> read,
                 bool /*readable*/) noexcept override {
    preface.assign(read.data(), read.size());
    handed_over = transport.fd() >= 0;
  }
  void onMalformed() noexcept override {}
  void onFlood(Flood /*kind*/) noexcept override {}
  bool closing(const ConnectionInfo& /*connection*/) noexcept override { return draining; }

  /// Lets the client say something, and the connection read it.
  void say(std::string_view bytes) {
    wire.say(bytes);
    loop_.turn(0);
  }
  void turn() { loop_.turn(0); }

  test::Wire wire;
  H1ServerConnection* connection = nullptr;
  std::vector<std::unique_ptr<Stream>> streams;
  bool overloaded = false;
  bool answer_at_once = false;
  bool draining = false;
  std::string preface;
  bool handed_over = false;

 private:
  net::EventLoop loop_;
  BlockPool pool_;
  std::array<char, 16384> scratch_;
  http::H1Limits limits_;
  ServerTimeouts timeouts_;
  ConnectionInfo info_;
};

constexpr std::string_view kPost =
    "POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";

}  // namespace

TEST_CASE("codec: a request reaches its stream whole wherever it is cut, and one answer leaves") {
  for (std::size_t cut = 1; cut < kPost.size(); ++cut) {
    CAPTURE(cut);
    Server server;
    server.say(kPost.substr(0, cut));
    server.say(kPost.substr(cut));
    REQUIRE(server.streams.size() == 1);
    Stream& stream = *server.streams[0];
    CHECK(stream.log == "POST /a;body end;");
    CHECK(stream.body == "hello");
    stream.answer();
    const std::string heard = server.wire.hear();
    CHECK(heard.starts_with("HTTP/1.1 200 "));
    CHECK(heard.ends_with("\r\n\r\nok"));
    CHECK_FALSE(server.wire.ended);
    CHECK(server.connection->idle());
  }
}

TEST_CASE("codec: pipelined requests are streams one after the other, in order") {
  Server server;
  server.say(std::string(kPost) +
             "GET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
  REQUIRE(server.streams.size() == 1);
  server.streams[0]->answer(200, "1");
  REQUIRE(server.streams.size() == 2);
  CHECK(server.streams[1]->log == "GET /2 end;");
  server.streams[1]->answer(200, "2");
  REQUIRE(server.streams.size() == 3);
  server.streams[2]->answer(200, "3");
  const std::string heard = server.wire.hear();
  CHECK(heard.find("\r\n\r\n1HTTP/1.1 200 ") < heard.find("\r\n\r\n2HTTP/1.1 200 "));
  CHECK(heard.ends_with("\r\n\r\n3"));
}

TEST_CASE("codec: requests that are answered at once take their share of a turn, and all are") {
  // The first number fits one read: then no byte is left that the socket could tell of.
  for (const std::size_t count : {100, 1000}) {
    CAPTURE(count);
    Server server;
    server.answer_at_once = true;
    std::string all;
    for (std::size_t i = 0; i < count; ++i) all += "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    server.say(all);
    CHECK(server.streams.size() == 64);
    server.turn();
    CHECK(server.streams.size() == std::min<std::size_t>(count, 128));
    std::string heard;
    for (std::size_t i = 0; i < count / 64; ++i) {
      heard += server.wire.hear();
      server.turn();
    }
    heard += server.wire.hear();
    CHECK(server.streams.size() == count);
    std::size_t answers = 0;
    for (std::size_t at = 0; (at = heard.find("HTTP/1.1 200", at)) != std::string::npos; ++at)
      ++answers;
    CHECK(answers == count);
  }
}

TEST_CASE("codec: chunks are joined, and trailers end the request") {
  Server server;
  server.say(
      "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;x=y\r\ncde\r\n");
  server.say("0\r\nX-Sum: 1\r\n\r\n");
  CHECK(server.streams.at(0)->body == "abcde");
  CHECK(server.streams.at(0)->log == "PUT /;trailers 1;");
}

TEST_CASE("codec: what is no request is told to the stream, whose answer ends the connection") {
  for (const char* bytes : {"nonsense\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
                            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: "
                            "chunked\r\n\r\n0\r\n\r\n"}) {
    CAPTURE(bytes);
    Server server;
    server.say(bytes);
    REQUIRE(server.streams.size() == 1);
    CHECK(server.streams[0]->log == "protocol;");
    server.streams[0]->answer(400, "bad");
    CHECK(server.wire.hear().find("onnection: close\r\n") != std::string::npos);
    CHECK(server.wire.ended);
  }
}

TEST_CASE("codec: a client that ends inside a body is told, inside a head nobody is answered") {
  Server cut_body;
  cut_body.say(kPost.substr(0, kPost.size() - 1));
  cut_body.wire.finish();
  cut_body.turn();
  CHECK(cut_body.streams.at(0)->log == "POST /a;truncated;");
  Server cut_head;
  cut_head.say("GET / HT");
  cut_head.wire.finish();
  cut_head.turn();
  CHECK(cut_head.connection == nullptr);
  CHECK(cut_head.wire.hear().empty());
}

TEST_CASE("codec: no body is read while the stream takes none") {
  Server server;
  server.say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\n");
  Stream& stream = *server.streams.at(0);
  stream.pause_after_data = true;
  server.say("abc");
  server.say("def");
  CHECK(stream.body == "abc");
  stream.pause_after_data = false;
  stream.link.setReading(true);
  server.turn();
  CHECK(stream.body == "abcdef");
  CHECK(stream.log == "POST /;body end;");
}

TEST_CASE("codec: an answer before the request's end, and one while draining, say close") {
  Server early;
  early.say(kPost.substr(0, kPost.size() - 2));
  early.streams.at(0)->answer(413, "no");
  CHECK(early.wire.hear().find("onnection: close\r\n") != std::string::npos);
  Server draining;
  draining.draining = true;
  draining.say(kPost);
  draining.streams.at(0)->answer();
  CHECK(draining.wire.hear().find("onnection: close\r\n") != std::string::npos);
  CHECK(draining.wire.ended);
}

TEST_CASE(
    "codec: a body of unknown length is chunked, for HTTP/1.0 until the end of the connection") {
  Server modern;
  modern.say("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  modern.streams.at(0)->answer(200, "text", http::BodyKind::UntilClose);
  CHECK(modern.wire.hear().ends_with("\r\n\r\n4\r\ntext\r\n0\r\n\r\n"));
  CHECK_FALSE(modern.wire.ended);
  Server old;
  old.say("GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
  old.streams.at(0)->answer(200, "text", http::BodyKind::Chunked);
  CHECK(old.wire.hear().ends_with("\r\n\r\ntext"));
  CHECK(old.wire.ended);
}

TEST_CASE("codec: a request that waits ends with its client's reset, not with the end it sent") {
  for (const bool body : {false, true}) {  // one that a filter reads slowly waits, too
    CAPTURE(body);
    for (const bool gone : {false, true}) {
      CAPTURE(gone);
      Server server;
      server.say(body ? kPost.substr(0, kPost.size() - 1) : "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
      Stream& stream = *server.streams.at(0);
      stream.link.setReading(false);
      const std::string before = stream.log;
      if (gone)
        server.wire.far.reset();
      else
        server.wire.finish();
      server.turn();
      CHECK(stream.log == before + (gone ? "gone;" : ""));
      CHECK((server.connection == nullptr) == gone);
      if (gone) continue;
      stream.answer();
      CHECK(server.wire.hear().find("200") != std::string::npos);
    }
  }
}

TEST_CASE("codec: without room for a stream the connection closes") {
  Server server;
  server.overloaded = true;
  server.say(kPost);
  CHECK(server.connection == nullptr);
}

TEST_CASE("codec: a connection that should end goes when idle, or after its answer") {
  Server idle;
  idle.say(kPost);
  idle.connection->closeWhenIdle();
  CHECK(idle.connection != nullptr);
  idle.streams.at(0)->answer();
  CHECK(idle.wire.hear().find("onnection: close\r\n") != std::string::npos);
  CHECK(idle.wire.ended);
}

TEST_CASE("codec: HTTP/2's preface as first bytes hands the connection over, wherever it is cut") {
  constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  for (std::size_t cut = 1; cut < kPreface.size(); ++cut) {
    CAPTURE(cut);
    Server server;
    server.say(kPreface.substr(0, cut));
    CHECK_FALSE(server.handed_over);
    server.say(std::string(kPreface.substr(cut)) + "more");
    CHECK(server.handed_over);
    CHECK(server.preface == std::string(kPreface) + "more");
    CHECK(server.streams.empty());
    CHECK(server.connection == nullptr);
  }
}

TEST_CASE("codec: what begins like no HTTP at all is closed without an answer") {
  Server server;
  server.say("INVALID CONNECTION PREFACE\r\n\r\n");
  CHECK(server.wire.hear().empty());
  CHECK(server.wire.ended);
  CHECK(server.streams.empty());
  CHECK(server.connection == nullptr);
}

TEST_CASE("codec: HTTP/2's preface behind a request, or unlike it, is a bad request") {
  for (const std::string_view bytes :
       {"PRI * HTTP/2.0\r\n\r\nSMS\r\n\r\n", "PRI * HTTP/2.0\r\nHost: a\r\n\r\n"}) {
    Server server;
    server.say(bytes);
    CHECK_FALSE(server.handed_over);
    REQUIRE(server.streams.size() == 1);
    CHECK(server.streams[0]->log == "protocol;");
  }
  Server server;
  server.say("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  server.streams[0]->answer();
  server.say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  CHECK_FALSE(server.handed_over);
  REQUIRE(server.streams.size() == 2);
  CHECK(server.streams[1]->log == "protocol;");
}

}  // namespace hyperway::codec
