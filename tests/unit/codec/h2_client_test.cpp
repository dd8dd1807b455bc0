// SPDX-License-Identifier: Apache-2.0
#include "codec/h2_client.hpp"

#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "h2_frames.hpp"
#include "wire.hpp"

namespace hyperway::codec {
namespace {

using namespace test;  // frames

/// One exchange that notes what it is told.
class Exchange final : public ResponseEvents {
 public:
  Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange() {  // the link is in our memory
    if (link != nullptr) link->cancel();
  }
  http::ResponseHead& responseHead() noexcept override { return head_; }
  Arena& arena() noexcept override { return memory_.arena; }
  http::HeaderMap& responseTrailers() noexcept override { return trailers_; }
  void onInterimResponse() noexcept override {
    log += "interim " + std::to_string(head_.status) + ';';
  }
  void onResponseHead(bool end) noexcept override {
    log += std::to_string(head_.status) + (end ? " end;" : ";");
    if (end) link = nullptr;
  }
  void onResponseBody(std::span<char> data, bool end) noexcept override {
    body.append(data.data(), data.size());
    if (pause) link->setReading(false);
    if (!end) return;
    log += "body end;";
    link = nullptr;
  }
  void onResponseTrailers(http::HeaderMap& trailers) noexcept override {
    log += "trailers " + std::to_string(trailers.count()) + ';';
    link = nullptr;
  }
  void onResponseFlush() noexcept override { ++flushes; }
  void onResponseBroken(Broken how, http::HttpError error) noexcept override {
    log += how == Broken::Protocol      ? "protocol " + std::string(http::nameOf(error)) + ";"
           : how == Broken::Truncated   ? "truncated;"
           : how == Broken::Stale       ? "stale;"
           : how == Broken::Unprocessed ? "unprocessed;"
           : how == Broken::Reset       ? "reset;"
           : how == Broken::Timeout     ? "timeout;"
                                        : "broken;";
    link = nullptr;
  }
  void onUpstreamDrained() noexcept override { ++drained; }
  void onResponseRaw() noexcept override {}

  [[nodiscard]] std::string field(std::string_view name) const {
    const http::Field* const found = head_.fields.find(name);
    return found != nullptr ? std::string(found->value()) : "(none)";
  }

  std::string log;
  std::string body;
  int flushes = 0;
  int drained = 0;
  bool pause = false;
  ClientLink* link = nullptr;

 private:
  StreamMemory memory_;
  http::ResponseHead head_{memory_.arena};
  http::HeaderMap trailers_{memory_.arena};
};

/// One client connection on a loop of its own.
class Client final : public ClientHost {
 public:
  explicit Client(std::string_view greeting = settings())
      : ClientHost(loop_, pool_, scratch_, limits_, timeouts_) {
    connection = new H2ClientConnection(*this, std::move(wire.near), this);
    REQUIRE(connection->start());
    turn();
    if (!greeting.empty()) say(std::string(greeting) + frame(kSettings, kAck, 0));
    hear();
  }
  ~Client() {
    if (connection != nullptr) connection->closeNow();
    turn();
  }
  void onClientConnectionIdle(ClientConnection&) noexcept override {}
  void onClientConnectionRoom(ClientConnection&, bool exchange_over) noexcept override {
    over += exchange_over ? 1 : 0;
  }
  void onClientConnectionClosed(ClientConnection& closed, bool /*connected*/) noexcept override {
    loop_.retire(&closed);
    connection = nullptr;
  }
  void onClientHttp2Failed(ClientConnection&, std::string_view why) noexcept override {
    failure = why;
  }

  void ask(Exchange& exchange, std::string_view method = "GET",
           http::Framing framing = {http::BodyKind::None, 0}, std::string_view upgrade = {}) {
    exchange.link = &connection->begin(exchange);
    auto* const head = new (exchange.arena().allocate(sizeof(http::RequestHead)))
        http::RequestHead(exchange.arena());
    head->method = method;
    head->method_id = http::methodId(method);
    head->path = "/a";
    head->query = "q=1";
    head->has_query = true;
    head->framing = framing;
    for (const auto& [name, value] : fields) head->fields.add(name, value);
    http::H1RequestOut options;
    options.authority = "h:80";
    options.upgrade = upgrade;
    exchange.link->sendHead(*head, options, framing.kind == http::BodyKind::None);
    turn();
  }
  void say(std::string_view bytes) {
    wire.say(bytes);
    turn();
  }
  void turn() { loop_.turn(0); }
  /// A turn in which something happens behind its events.
  void inTurn(std::function<void()> what) {
    loop_.post(std::move(what));
    turn();
  }
  /// Frames that came at the backend.
  std::vector<FrameReader::Frame> hear() { return reader.read(wire.hear()); }
  /// Of these, those of that type.
  std::vector<FrameReader::Frame> hear(std::uint8_t type) {
    std::vector<FrameReader::Frame> out;
    for (FrameReader::Frame& each : hear())
      if (each.type == type) out.push_back(std::move(each));
    return out;
  }

  Wire wire;
  FrameReader reader;
  H2ClientConnection* connection = nullptr;
  int over = 0;
  std::string failure;
  std::vector<std::pair<std::string, std::string>> fields;

 private:
  net::EventLoop loop_;
  BlockPool pool_;
  std::array<char, 16384> scratch_;
  http::H1Limits limits_;
  ClientTimeouts timeouts_;
};

constexpr http::Framing kChunked{http::BodyKind::Chunked, 0};

}  // namespace

TEST_CASE(
    "codec: an HTTP/2 request is pseudo fields and what is not of a connection, in lower case") {
  Client client;
  client.fields = {
      {"X-Up", "1"},        {"Host", "no"},          {"Connection", "no"},
      {"TE", "no"},         {"Cookie", "a=b"},       {"Upgrade", "no"},
      {"Keep-Alive", "no"}, {"Content-Length", "9"}, {"Content-Type", "application/grpc+proto"}};
  Exchange exchange;
  client.ask(exchange, "POST", {http::BodyKind::Length, 3});
  const auto heads = client.hear(kHeaders);
  REQUIRE(heads.size() == 1);
  CHECK(heads[0].stream == 1);
  CHECK(heads[0].flags == kEndHeaders);
  CHECK(heads[0].payload ==
        ":method: POST\n:scheme: http\n:authority: h:80\n:path: /a?q=1\nx-up: 1\ncookie: a=b\n"
        "content-type: application/grpc+proto\ncontent-length: 3\nte: trailers\n");
}

TEST_CASE("codec: a head of any length that a client may send goes on to HTTP/2") {
  Client client;
  for (int i = 0; i < 20; ++i)
    client.fields.emplace_back("x-" + std::to_string(i), std::string(3500, 'a'));
  Exchange exchange;
  client.ask(exchange);
  client.turn();
  int continuations = 0;
  for (const auto& each : client.hear()) continuations += each.type == kContinuation ? 1 : 0;
  CHECK(continuations >= 2);
  CHECK(exchange.log.empty());
}

TEST_CASE("codec: many exchanges share a connection, and each gets its own answer") {
  Client client;
  Exchange one, two, three;
  client.ask(one);
  client.ask(two);
  client.ask(three);
  CHECK(client.connection->exchanges() == 3);
  client.say(headers(5, {{":status", "204"}}, kEndStream) +
             headers(1, {{":status", "200"}, {"content-length", "4"}}) + data(1, "ab") +
             headers(3, {{":status", "200"}, {"x", "y"}}) + data(3, "zz"));
  client.say(data(1, "cd", kEndStream) + headers(3, {{"grpc-status", "0"}}, kEndStream));
  CHECK(one.log == "200;body end;");
  CHECK(one.body == "abcd");
  CHECK(two.log == "200;trailers 1;");
  CHECK(two.body == "zz");
  CHECK(two.field("x") == "y");
  CHECK(three.log == "204 end;");
  CHECK(client.connection->exchanges() == 0);
  CHECK(client.over == 3);
  CHECK(client.hear(kReset).empty());
}

TEST_CASE("codec: both directions of an exchange go on by themselves, with trailers") {
  Client client;
  Exchange exchange;
  client.ask(exchange, "POST", kChunked);
  client.say(headers(1, {{":status", "200"}, {"content-type", "application/grpc"}}) +
             data(1, "hi"));
  CHECK(exchange.log == "200;");
  exchange.link->sendBody("ping", false);
  client.turn();
  client.say(data(1, "pong"));
  CHECK(exchange.body == "hipong");
  http::HeaderMap trailers(exchange.arena());
  trailers.add("X-Sum", "7");
  exchange.link->sendTrailers(trailers);
  client.turn();
  const auto frames = client.hear();
  REQUIRE(frames.size() >= 3);
  CHECK(frames[1].payload == "ping");
  CHECK(frames.back().type == kHeaders);
  CHECK(frames.back().flags == (kEndHeaders | kEndStream));
  CHECK(frames.back().payload == "x-sum: 7\n");
  client.say(headers(1, {{"grpc-status", "0"}, {"host", "left out"}}, kEndStream));
  CHECK(exchange.log == "200;trailers 1;");
  CHECK(client.hear(kReset).empty());
}

TEST_CASE("codec: an answer that is complete before its request is passed on, and the rest cut") {
  Client client;
  Exchange exchange;
  client.ask(exchange, "POST", kChunked);
  client.say(headers(1, {{":status", "413"}}, kEndStream) + reset(1, 0));
  CHECK(exchange.log == "413 end;");
  CHECK(client.connection->exchanges() == 0);
  Exchange next;
  client.ask(next, "POST", kChunked);
  client.say(headers(3, {{":status", "200"}}) + data(3, "x", kEndStream));
  CHECK(next.log == "200;body end;");
  const auto resets = client.hear(kReset);
  REQUIRE(!resets.empty());
  CHECK(resets.back().stream == 3);
  CHECK(resets.back().payload == number(8, 4));
}

TEST_CASE("codec: what a backend may not answer with breaks that exchange and no other") {
  struct Row {
    std::string answer;
    std::string_view log;
  };
  const std::string good = headers(1, {{":status", "200"}, {"content-length", "2"}});
  const std::string big(400, 'x');
  std::string many;
  for (int i = 0; i < 200; ++i) many += block({{"a", "b"}});
  for (const Row& row : std::vector<Row>{
           {headers(1, {{":status", "101"}}), "protocol"},
           {headers(1, {{":status", "20"}}), "protocol"},
           {headers(1, {{":status", "2000"}}), "protocol"},
           {headers(1, {{"x", "y"}}), "protocol"},
           {headers(1, {{":status", "200"}, {":status", "200"}}), "protocol"},
           {headers(1, {{"x", "y"}, {":status", "200"}}), "protocol"},
           {headers(1, {{":status", "200"}, {":path", "/"}}), "protocol"},
           {headers(1, {{":status", "200"}, {"X-Upper", "y"}}), "protocol"},
           {headers(1, {{":status", "200"}, {"connection", "close"}}), "protocol"},
           {headers(1, {{":status", "200"}, {"transfer-encoding", "chunked"}}), "protocol"},
           {headers(1, {{":status", "200"}, {"upgrade", "x"}}), "protocol"},
           {headers(1, {{":status", "200"}, {"x", "a\r\nb"}}), "protocol"},
           {headers(1, {{":status", "200"}, {"x", std::string_view("a\0b", 3)}}), "protocol"},
           {headers(1, {{":status", "200"}, {"x y", "a"}}), "protocol"},
           {headers(1, {{":status", "200"}, {"content-length", "1"}, {"content-length", "1"}}),
            "protocol"},
           {headers(1, {{":status", "200"}, {"content-length", "-1"}}), "protocol"},
           {headers(1, {{":status", "200"}, {"content-length", "5"}}, kEndStream), "protocol"},
           {headers(1, {{":status", "204"}, {"content-length", "5"}}), "protocol"},
           {headers(1, {{":status", "100"}}, kEndStream), "protocol"},
           {good + data(1, "abc", kEndStream), "200;protocol"},
           {good + data(1, "a", kEndStream), "200;protocol"},
           {good + data(1, "a") + headers(1, {{"t", "v"}}, kEndStream), "200;protocol"},
           {good + headers(1, {{"t", "v"}}), "200;protocol"},
           {good + headers(1, {{":status", "200"}}, kEndStream), "200;protocol"},
           {good + reset(1, 0), "200;reset;"},
           {good + data(1, "ab") + reset(1, 2), "200;reset;"},
           {good + data(1, "a") + data(1, "b") + reset(1, 0), "200;reset;"},
           {reset(1, 7), "unprocessed;"},
           {frame(kHeaders, kEndHeaders, 1, block({{":status", "200"}}) + many), "protocol"}}) {
    CAPTURE(row.log);
    CAPTURE(row.answer);
    Client client;
    Exchange bad, other;
    client.ask(bad);
    client.ask(other);
    client.say(row.answer);
    CHECK(bad.log.starts_with(row.log));
    CHECK(bad.body.size() < 2);  // never all of it
    client.say(headers(3, {{":status", "200"}}, kEndStream));
    CHECK(other.log == "200 end;");
    CHECK(client.failure.empty());
  }
}

TEST_CASE("codec: a backend that breaks the rules of the connection loses it") {
  struct Row {
    std::string_view name;
    std::string bytes;
  };
  std::string pings, sets, empties, continued = frame(kHeaders, 0, 1, block({{":status", "200"}}));
  for (int i = 0; i < 2000; ++i) {
    pings += frame(kPing, 0, 0, "12345678");
    sets += settings();
    empties += data(1, "");
    if (i < 200) continued += frame(kContinuation, 0, 1, block({{"a", "b"}}));
  }
  for (const Row& row : std::vector<Row>{
           {"HTTP/1", "HTTP/1.1 400 Bad Request\r\n\r\n"},
           {"no SETTINGS first", frame(kPing, 0, 0, "12345678")},
           {"DATA for nobody", settings() + data(99, "x")},
           {"HEADERS for nobody", settings() + headers(2, {{":status", "200"}})},
           {"PUSH_PROMISE", settings() + frame(kPush, kEndHeaders, 1, number(2, 4) + block({}))},
           {"bad HPACK", settings() + frame(kHeaders, kEndHeaders, 1, "\xff\xff\xff\xff\xff\xff")},
           {"frame too large", settings() + number(20000, 3) + std::string(6, '\0')},
           {"CONTINUATION alone", settings() + frame(kContinuation, 4, 1, "")},
           {"bad SETTINGS", frame(kSettings, 0, 0, "12345")},
           {"window overflow", settings() + frame(kWindow, 0, 0, number(0x7fffffff, 4))},
           {"PING flood", settings() + pings},
           {"SETTINGS flood", sets},
           {"empty DATA flood", settings() + headers(1, {{":status", "200"}}) + empties},
           {"CONTINUATION flood", settings() + continued}}) {
    CAPTURE(row.name);
    Client client("");
    Exchange one, two;
    client.ask(one);
    client.ask(two);
    client.say(row.bytes);
    client.turn();
    CHECK(one.log.find("protocol bad_frame;") != std::string::npos);
    CHECK(two.log == "protocol bad_frame;");
    CHECK(client.connection == nullptr);
    CHECK(!client.failure.empty());
  }
}

TEST_CASE("codec: GOAWAY ends what was not processed and lets the rest go on") {
  Client client;
  Exchange one, two;
  client.ask(one);
  client.ask(two);
  client.say(goaway(1, 0));
  CHECK(one.log.empty());
  CHECK(two.log == "unprocessed;");
  REQUIRE(client.connection != nullptr);
  CHECK_FALSE(client.connection->hasRoom());
  client.say(headers(1, {{":status", "200"}}) + data(1, "x", kEndStream));
  CHECK(one.log == "200;body end;");
  CHECK(client.connection == nullptr);
}

TEST_CASE("codec: a lost connection tells every exchange, and one that had gone is stale") {
  Client client;
  Exchange one;
  client.ask(one);
  client.say(headers(1, {{":status", "200"}}, kEndStream));
  Exchange stale, beside;
  client.ask(stale);
  client.ask(beside);
  client.wire.finish();
  client.turn();
  CHECK(stale.log == "stale;");
  CHECK(beside.log == "truncated;");
  CHECK(client.connection == nullptr);
}

TEST_CASE("codec: as many exchanges as the backend's SETTINGS allow") {
  Client client(settings({{3, 2}}));
  Exchange one, two;
  CHECK(client.connection->hasRoom());
  client.ask(one);
  CHECK(client.connection->hasRoom());
  client.ask(two);
  CHECK_FALSE(client.connection->hasRoom());
  client.say(headers(1, {{":status", "200"}}, kEndStream));
  CHECK(client.connection->hasRoom());
  client.say(settings({{3, 1}}));
  CHECK_FALSE(client.connection->hasRoom());
}

TEST_CASE("codec: a cancelled exchange resets its stream, and the connection lives on") {
  Client client;
  Exchange gone, other;
  client.ask(gone, "POST", kChunked);
  client.ask(other);
  gone.link->sendBody("never", false);
  std::exchange(gone.link, nullptr)->cancel();
  client.turn();
  const auto resets = client.hear(kReset);
  REQUIRE(resets.size() == 1);
  CHECK(resets[0].stream == 1);
  CHECK(resets[0].payload == number(8, 4));
  client.say(headers(1, {{":status", "200"}}) + data(1, "late") +
             headers(3, {{":status", "200"}}, kEndStream));
  CHECK(gone.log.empty());
  CHECK(other.log == "200 end;");
}

TEST_CASE("codec: who does not read is given no more than a window, and keeps nobody waiting") {
  Client client;
  Exchange slow, fast;
  client.ask(slow);
  client.ask(fast);
  client.say(headers(1, {{":status", "200"}}) + data(1, "first"));
  slow.link->setReading(false);
  const std::string chunk(16000, 'x');
  for (int i = 0; i < 10; ++i) client.say(data(1, chunk));
  client.say(data(1, "last", kEndStream) + headers(3, {{":status", "200"}}, kEndStream));
  CHECK(slow.body == "first");
  CHECK(slow.log == "200;");
  CHECK(fast.log == "200 end;");
  for (const auto& update : client.hear(kWindow)) CHECK(update.stream != 1);
  slow.pause = true;  // whoever has enough gets no more of what waits
  slow.link->setReading(true);
  CHECK(slow.body.size() <= 5 + 16 * 1024);
  slow.pause = false;
  slow.link->setReading(true);
  CHECK(slow.log == "200;body end;");
  CHECK(slow.body.size() == 5 + 160000 + 4);
}

TEST_CASE("codec: a complete answer that waits for its reader outlives the connection") {
  Client client;
  Exchange slow;
  client.ask(slow);
  client.say(headers(1, {{":status", "200"}}) + data(1, "a"));
  ClientLink* const link = slow.link;
  link->setReading(false);
  client.say(data(1, "b") + headers(1, {{"t", "v"}}, kEndStream));
  client.wire.finish();
  client.turn();
  CHECK(client.connection == nullptr);
  CHECK(slow.log == "200;");
  link->setReading(true);
  CHECK(slow.log == "200;trailers 1;");
  CHECK(slow.body == "ab");
}

TEST_CASE("codec: a request waits for the backend's windows, and is told when it goes on") {
  Client client(settings({{4, 10}}));
  Exchange exchange;
  client.ask(exchange, "POST", kChunked);
  exchange.link->sendBody("0123456789abcdef", false);
  client.turn();
  CHECK(exchange.link->queued() == 6);
  std::string sent;
  for (const auto& each : client.hear(kData)) sent += each.payload;
  CHECK(sent == "0123456789");
  exchange.drained = 0;
  client.say(frame(kWindow, 0, 1, number(100, 4)));
  CHECK(exchange.drained == 1);
  CHECK(exchange.link->queued() == 0);
  exchange.link->sendBody({}, true);
  client.turn();
  const auto frames = client.hear(kData);
  REQUIRE(frames.size() == 2);
  CHECK(frames[0].payload == "abcdef");
  CHECK(frames[1].flags == kEndStream);
}

TEST_CASE("codec: a request that the socket held back is told, whoever finds room in it first") {
  Client client(settings({{4, 1 << 30}}) + frame(kWindow, 0, 0, number(1 << 30, 4)));
  Exchange exchange;
  client.ask(exchange, "POST", kChunked);
  const std::string chunk(16000, 'x');
  while (exchange.link->queued() == 0) {
    exchange.link->sendBody(chunk, false);
    client.turn();
  }
  exchange.drained = 0;
  // Room comes after the loop has asked for events and before the end of its turn.
  client.inTurn([&] {
    client.hear();
    exchange.link->sendBody("y", false);
  });
  client.turn();
  CHECK(exchange.drained == 1);
  CHECK(exchange.link->queued() == 0);
}

TEST_CASE("codec: a WebSocket to HTTP/2 is an extended CONNECT, where the backend offers it") {
  {
    Client client(settings({{8, 1}}));
    client.fields = {{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
                     {"Sec-WebSocket-Version", "13"}};
    Exchange exchange;
    client.ask(exchange, "GET", {}, "WebSocket");
    const auto heads = client.hear(kHeaders);
    REQUIRE(heads.size() == 1);
    CHECK(heads[0].flags == kEndHeaders);
    CHECK(heads[0].payload ==
          ":method: CONNECT\n:protocol: websocket\n:scheme: http\n:authority: h:80\n:path: /a?q=1\n"
          "sec-websocket-version: 13\n");
    client.say(headers(1, {{":status", "200"}}) + data(1, "hello"));
    CHECK(exchange.log == "101;");
    CHECK(exchange.field("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    CHECK(exchange.body == "hello");
    exchange.link->sendBody("hi", false);
    exchange.link->sendBody({}, true);
    client.turn();
    const auto frames = client.hear(kData);
    REQUIRE(frames.size() == 2);
    CHECK(frames[0].payload == "hi");
    ClientLink* const link = exchange.link;
    client.say(data(1, "bye", kEndStream));
    CHECK(exchange.log == "101;body end;");
    CHECK(exchange.body == "hellobye");
    link->cancel();
  }
  {
    Client client;
    Exchange exchange;
    client.ask(exchange, "GET", {}, "websocket");
    client.turn();
    CHECK(exchange.log == "protocol bad_upgrade;");
  }
  {
    Client client("");
    Exchange exchange;
    client.ask(exchange, "GET", {}, "websocket");
    CHECK(client.hear(kHeaders).empty());
    client.say(settings({{8, 1}}));
    CHECK(client.hear(kHeaders).size() == 1);
    client.say(headers(1, {{":status", "403"}}, kEndStream));
    CHECK(exchange.log == "403 end;");
  }
}

TEST_CASE("codec: the last byte of a known length waits for the end of the answer") {
  Client client;
  Exchange empty, trailers, slow;
  client.ask(empty);
  client.ask(trailers);
  client.ask(slow);
  for (const std::uint32_t stream : {1U, 3U, 5U})
    client.say(headers(stream, {{":status", "200"}, {"content-length", "2"}}) + data(stream, "ab"));
  CHECK(empty.body == "a");
  ClientLink* const link = slow.link;
  link->setReading(false);
  client.say(data(1, "", kEndStream) + headers(3, {{"t", "v"}}, kEndStream) +
             headers(5, {{"t", "v"}}, kEndStream));
  CHECK(empty.log + empty.body == "200;body end;ab");
  CHECK(trailers.log + trailers.body == "200;trailers 1;ab");
  CHECK(slow.log + slow.body == "200;a");
  link->setReading(true);
  CHECK(slow.log + slow.body == "200;trailers 1;ab");
}

TEST_CASE("codec: an answer without content ends with its head, whatever frame says so") {
  Client client;
  Exchange head, none, left;
  client.ask(head, "HEAD");
  client.ask(none);
  client.ask(left);
  client.say(headers(1, {{":status", "200"}, {"content-length", "10"}}) + data(1, "", kEndStream));
  CHECK(head.log == "200 end;");
  client.say(headers(3, {{":status", "304"}}) + headers(3, {{"t", "v"}}, kEndStream));
  CHECK(none.log == "304 end;");
  client.say(headers(5, {{":status", "103"}, {"link", "x"}}) +
             headers(5, {{":status", "200"}, {"content-length", "0"}}) + data(5, "x"));
  CHECK(left.log.starts_with("interim 103;protocol"));
}

}  // namespace hyperway::codec
