// SPDX-License-Identifier: Apache-2.0
#include "codec/h1_client.hpp"

#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "wire.hpp"

namespace hyperway::codec {
namespace {

/// One exchange that notes what it is told.
class Exchange final : public ResponseEvents {
 public:
  http::ResponseHead& responseHead() noexcept override {
    head_.fields.clear();
    return head_;
  }
  Arena& arena() noexcept override { return memory_.arena; }
  http::HeaderMap& responseTrailers() noexcept override { return trailers_; }
  void onInterimResponse() noexcept override {
    log += "interim " + std::to_string(head_.status) + ';';
  }
  void onResponseHead(bool end) noexcept override {
    log += std::to_string(head_.status) + (end ? " end;" : ";");
  }
  void onResponseBody(std::span<char> data, bool end) noexcept override {
    body.append(data.data(), data.size());
    if (end) log += "body end;";
  }
  void onResponseTrailers(http::HeaderMap& trailers) noexcept override {
    log += "trailers " + std::to_string(trailers.count()) + ';';
  }
  void onResponseFlush() noexcept override {}
  void onResponseBroken(Broken how, http::HttpError /*error*/) noexcept override {
    log += how == Broken::Protocol    ? "protocol;"
           : how == Broken::Truncated ? "truncated;"
           : how == Broken::Stale     ? "stale;"
                                      : "broken;";
  }
  void onUpstreamDrained() noexcept override {}
  void onResponseRaw() noexcept override {}

  std::string log;
  std::string body;

 private:
  test::StreamMemory memory_;
  http::ResponseHead head_{memory_.arena};
  http::HeaderMap trailers_{memory_.arena};
};

/// One client connection on a loop of its own.
class Client final : public ClientHost {
 public:
  Client() : ClientHost(loop_, pool_, scratch_, limits_, timeouts_) {
    connection = new H1ClientConnection(*this, std::move(wire.near), this);
    REQUIRE(connection->start());
  }
  ~Client() {
    if (connection != nullptr) connection->closeNow();
    loop_.turn(0);
  }
  void onClientConnectionIdle(ClientConnection& /*connection*/) noexcept override { ++idle; }
  void onClientConnectionClosed(ClientConnection& closed, bool /*connected*/) noexcept override {
    loop_.retire(&closed);
    connection = nullptr;
  }

  /// Asks on a new or idle connection; `end`: without body.
  void ask(Exchange& exchange, std::string_view method = "GET",
           http::Framing framing = {http::BodyKind::None, 0}) {
    connection->begin(exchange);
    http::RequestHead head(memory_.arena);
    head.method = method;
    head.method_id = http::methodId(method);
    head.path = "/a";
    head.framing = framing;
    http::H1RequestOut options;
    options.authority = "h";
    connection->sendHead(head, options, framing.kind == http::BodyKind::None);
    connection->flush();
    loop_.turn(0);
  }
  /// Lets the backend say something, and the connection read it.
  void say(std::string_view bytes) {
    wire.say(bytes);
    loop_.turn(0);
  }
  void turn() { loop_.turn(0); }

  test::Wire wire;
  H1ClientConnection* connection = nullptr;
  int idle = 0;

 private:
  net::EventLoop loop_;
  BlockPool pool_;
  std::array<char, 16384> scratch_;
  http::H1Limits limits_;
  ClientTimeouts timeouts_;
  test::StreamMemory memory_;
};

}  // namespace

TEST_CASE("codec: an exchange that ended exactly leaves a connection for the next") {
  Client client;
  for (int round = 0; round < 3; ++round) {
    Exchange exchange;
    client.ask(exchange);
    CHECK(client.connection->reused() == (round > 0));
    const std::string asked = client.wire.hear();
    CHECK(asked.starts_with("GET /a HTTP/1.1\r\n"));
    CHECK(asked.ends_with("\r\n\r\n"));
    client.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo");
    client.say("dy");
    CHECK(exchange.log == "200;body end;");
    CHECK(exchange.body == "body");
    CHECK(client.idle == round + 1);
  }
}

TEST_CASE("codec: chunks, trailers and interim answers are told as such") {
  Client client;
  Exchange exchange;
  client.ask(exchange);
  client.say(
      "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: "
      "chunked\r\n\r\n1\r\na\r\n0\r\n"
      "X-Sum: 1\r\n\r\n");
  CHECK(exchange.log == "interim 103;200;trailers 1;");
  CHECK(exchange.body == "a");
  CHECK(client.idle == 1);
}

TEST_CASE("codec: a connection with bytes behind its answer is not used again") {
  Client client;
  Exchange exchange;
  client.ask(exchange);
  client.say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\n\r\n");
  CHECK(exchange.log == "200;body end;");
  CHECK(client.idle == 0);
  CHECK(client.connection == nullptr);
}

TEST_CASE("codec: an idle connection closes when its backend speaks or ends") {
  for (const bool speaks : {false, true}) {
    Client client;
    Exchange exchange;
    client.ask(exchange);
    client.say("HTTP/1.1 204 No\r\n\r\n");
    CHECK(exchange.log == "204 end;");
    REQUIRE(client.idle == 1);
    if (speaks)
      client.say("HTTP/1.1 200 OK\r\n\r\n");
    else
      client.wire.finish();
    client.turn();
    CHECK(client.connection == nullptr);
  }
}

TEST_CASE("codec: no answer on a kept connection is told apart from one on a new connection") {
  Client fresh;
  Exchange first;
  fresh.ask(first);
  fresh.wire.finish();
  fresh.turn();
  CHECK(first.log == "truncated;");
  Client kept;
  Exchange before, stale;
  kept.ask(before);
  kept.say("HTTP/1.1 204 No\r\n\r\n");
  kept.ask(stale);
  kept.wire.finish();
  kept.turn();
  CHECK(stale.log == "stale;");
}

TEST_CASE("codec: an answer that is cut or no HTTP is never complete") {
  struct Row {
    std::string_view bytes, log;
  };
  for (const Row& row :
       {Row{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbod", "200;truncated;"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", "200;truncated;"},
        {"HTTP/1.1 2", "truncated;"},
        {"SSH-2.0-x\r\n\r\n", "protocol;"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "200;protocol;"}}) {
    CAPTURE(row.bytes);
    Client client;
    Exchange exchange;
    client.ask(exchange);
    client.wire.say(row.bytes);
    client.wire.finish();
    client.turn();
    CHECK(exchange.log == row.log);
    CHECK(client.idle == 0);
    CHECK(client.connection == nullptr);
  }
}

TEST_CASE("codec: an answer until the end of the connection is complete with it, and the last") {
  Client client;
  Exchange exchange;
  client.ask(exchange);
  client.say("HTTP/1.1 200 OK\r\n\r\nall ");
  client.wire.say("of it");
  client.wire.finish();
  client.turn();
  CHECK(exchange.log == "200;body end;");
  CHECK(exchange.body == "all of it");
  CHECK(client.connection == nullptr);
}

TEST_CASE(
    "codec: a connection whose request is unfinished when the answer ends is not used again") {
  Client client;
  Exchange exchange;
  client.ask(exchange, "POST", {http::BodyKind::Length, 10});
  client.connection->sendBody("half", false);
  client.connection->flush();
  CHECK(client.wire.hear().ends_with("\r\n\r\nhalf"));
  client.say("HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n");
  CHECK(exchange.log == "413 end;");
  CHECK(client.idle == 0);
}

TEST_CASE("codec: interim answers are bounded") {
  Client client;
  Exchange exchange;
  client.ask(exchange);
  for (int i = 0; i < 20 && client.connection != nullptr; ++i)
    client.say("HTTP/1.1 103 Early\r\n\r\n");
  CHECK(exchange.log.ends_with("protocol;"));
  CHECK(client.connection == nullptr);
}

TEST_CASE("codec: a cancelled exchange ends its connection and is told nothing more") {
  Client client;
  Exchange exchange;
  client.ask(exchange);
  client.connection->cancel();
  client.turn();
  CHECK(exchange.log.empty());
  CHECK(client.connection == nullptr);
  CHECK(client.idle == 0);
}

}  // namespace hyperway::codec
