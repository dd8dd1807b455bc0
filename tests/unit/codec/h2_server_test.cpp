// SPDX-License-Identifier: Apache-2.0
#include "codec/h2_server.hpp"

#include <doctest/doctest.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "frames.hpp"
#include "http/websocket.hpp"
#include "wire.hpp"

namespace hyperway::codec {
namespace {

using namespace test;

/// A stream that notes what it is told.
class Stream final : public RequestEvents {
 public:
  explicit Stream(ServerLink& the_link) : link(the_link) {}

  http::RequestHead& requestHead() noexcept override { return head; }
  Arena& arena() noexcept override { return memory_.arena; }
  http::HeaderMap& requestTrailers() noexcept override { return trailers_; }
  void onRequestHead(bool end) noexcept override {
    log += std::string(head.method) + ' ' + std::string(head.path) + (end ? " end;" : ";");
  }
  void onRequestBody(std::span<char> data, bool end) noexcept override {
    body.append(data.data(), data.size());
    if (end) log += "body end;";
    if (pause_after_data && !data.empty()) link.setReading(false);
  }
  void onRequestTrailers(http::HeaderMap& trailers) noexcept override {
    log += "trailers " + std::to_string(trailers.count()) + ';';
  }
  void onRequestFlush() noexcept override { ++flushes; }
  void onRequestBroken(Broken how, http::HttpError error) noexcept override {
    log += how == Broken::Protocol  ? std::string(http::nameOf(error)) + ';'
           : how == Broken::Timeout ? "timeout;"
                                    : "broken;";
  }
  void onRequestRefused(Broken how, http::HttpError error) noexcept override {
    log += how == Broken::Timeout ? "refused late;"
                                  : "refused " + std::string(http::nameOf(error)) + ';';
  }
  void onRequestRaw() noexcept override {}
  void onClientDrained() noexcept override { log += "drained;"; }
  void onClientGone() noexcept override { log += "gone;"; }

  /// Answers, and ends the stream.
  void answer(std::string_view text, bool keep = false) {
    http::ResponseHead& out = response();
    out.status = 200;
    out.framing = {text.empty() ? http::BodyKind::None : http::BodyKind::Length, text.size()};
    link.sendHead(out, text.empty());
    if (!text.empty()) link.sendBody(text, true);
    link.flush();
    if (!keep) link.streamDone();
  }
  /// A head to fill.
  http::ResponseHead& response() {
    response_ = http::ResponseHead(memory_.arena);
    return response_;
  }

  ServerLink& link;
  std::string log;
  std::string body;
  int flushes = 0;
  bool pause_after_data = false;

 private:
  test::StreamMemory memory_;

 public:
  http::RequestHead head{memory_.arena};

 private:
  http::ResponseHead response_{memory_.arena};
  http::HeaderMap trailers_{memory_.arena};
};

/// One server connection on a loop of its own, and what the client hears.
class Server final : public ServerHost {
 public:
  explicit Server(ServerTimeouts the_timeouts = {}, bool preface = true, bool drains = false)
      : ServerHost(loop_, pool_, scratch_, limits_, timeouts_),
        draining(drains),
        timeouts_(the_timeouts) {
    const int fd = wire.near.get();
    connection = new H2ServerConnection(*this, Transport(std::move(wire.near)), info_);
    REQUIRE(loop_.add(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, *connection));
    connection->start({}, false);
    if (preface) say(std::string(kPreface) + frame(kSettings, 0, 0) + frame(kSettings, kAck, 0));
  }
  ~Server() {
    if (connection != nullptr) connection->closeNow();
    loop_.turn(0);
  }
  RequestEvents* openStream(ServerLink& link) noexcept override {
    if (overloaded) return nullptr;
    return streams.emplace_back(std::make_unique<Stream>(link)).get();
  }
  void dropStream(RequestEvents& stream) noexcept override {
    ++dropped;
    static_cast<Stream&>(stream).log += "dropped;";
  }
  void onServerConnectionClosed(ServerConnection& closed) noexcept override {
    loop_.retire(&closed);
    connection = nullptr;
  }
  void onPreface(const ServerConnection& /*from*/, Transport /*transport*/,
                 std::span<char> /*read*/, bool /*readable*/) noexcept override {}
  void onMalformed() noexcept override { ++malformed; }
  void onFlood(Flood kind) noexcept override { floods.push_back(kind); }
  bool closing(const ConnectionInfo& /*connection*/) noexcept override { return draining; }

  /// Lets the client say something, and the connection read it.
  void say(std::string_view bytes) {
    wire.say(bytes);
    turn();
  }
  void turn(int wait = 0) { loop_.turn(wait); }
  /// Frames of one kind that came since the last call of hear().
  std::vector<Heard> hear(std::uint8_t type) {
    rest_ += wire.hear();
    for (Heard& one : parse(rest_)) heard.push_back(std::move(one));
    std::vector<Heard> out;
    for (const Heard& one : heard)
      if (one.type == type) out.push_back(one);
    return out;
  }
  /// All of a stream's DATA so far.
  std::string bodyOf(std::uint32_t stream) {
    std::string out;
    for (const Heard& one : hear(kData))
      if (one.stream == stream) out += one.payload;
    return out;
  }
  /// True if the last frame of a stream's answer carries END_STREAM.
  bool ended(std::uint32_t stream) {
    hear(kData);
    return std::any_of(heard.begin(), heard.end(), [&](const Heard& one) {
      return one.stream == stream && (one.type == kData || one.type == kHeaders) &&
             (one.flags & kEndStream) != 0;
    });
  }
  /// The code of a stream's RST_STREAM; -1: none.
  int resetOf(std::uint32_t stream) {
    for (const Heard& one : hear(kReset))
      if (one.stream == stream) return static_cast<int>(one.number());
    return -1;
  }
  /// The code of the last GOAWAY; -1: none.
  int goaway() {
    const auto all = hear(kGoaway);
    return all.empty() ? -1 : static_cast<int>(all.back().number(4));
  }

  test::Wire wire;
  H2ServerConnection* connection = nullptr;
  std::vector<std::unique_ptr<Stream>> streams;
  std::vector<Flood> floods;
  std::vector<Heard> heard;
  int malformed = 0;
  int dropped = 0;
  bool overloaded = false;
  bool draining = false;

 private:
  net::EventLoop loop_;
  BlockPool pool_;
  std::array<char, 16384> scratch_;
  http::H1Limits limits_;
  ServerTimeouts timeouts_;
  ConnectionInfo info_;
  std::string rest_;
};

}  // namespace

TEST_CASE("codec: a request of HTTP/2 reaches its stream whole wherever it is cut") {
  const std::string post = headers(1, request("POST", "/a?b", {{"content-length", "5"}}), false) +
                           data(1, "hel") + data(1, "lo", true);
  for (std::size_t cut = 1; cut < post.size(); cut += 3) {
    CAPTURE(cut);
    Server server;
    server.say(post.substr(0, cut));
    server.say(post.substr(cut));
    REQUIRE(server.streams.size() == 1);
    Stream& stream = *server.streams[0];
    CHECK(stream.log == "POST /a;body end;");
    CHECK(stream.body == "hello");
    CHECK(stream.flushes >= 1);
    stream.answer("ok");
    server.turn();
    const auto heads = server.hear(kHeaders);
    REQUIRE(heads.size() == 1);
    CHECK(heads[0].payload[0] == '\x88');  // :status 200, indexed
    CHECK(server.bodyOf(1) == "ok");
    CHECK(server.ended(1));
    CHECK(server.resetOf(1) == -1);
    CHECK(server.connection->idle());
  }
}

TEST_CASE("codec: our SETTINGS bound streams and heads, and offer extended CONNECT") {
  Server server;
  const auto all = server.hear(kSettings);
  REQUIRE(all.size() == 2);  // and an acknowledgement
  std::string seen;
  for (std::size_t at = 0; at + 6 <= all[0].payload.size(); at += 6)
    seen += std::to_string(static_cast<unsigned char>(all[0].payload[at + 1])) + '=' +
            std::to_string(all[0].number(at + 2)) + ' ';
  CHECK(seen == "3=128 4=65535 6=65536 8=1 ");
}

TEST_CASE("codec: streams of one connection are answered in any order") {
  Server server;
  server.say(headers(1, request("GET", "/1")) + headers(3, request("GET", "/3")) +
             headers(5, request("GET", "/5")));
  REQUIRE(server.streams.size() == 3);
  server.streams[2]->answer("five");
  server.streams[0]->answer("one");
  server.streams[1]->answer("");
  server.turn();
  CHECK(server.bodyOf(5) == "five");
  CHECK(server.bodyOf(1) == "one");
  CHECK(server.ended(3));
}

TEST_CASE("codec: nothing of a body is taken while its stream does not read, and others go on") {
  Server server;
  server.say(headers(1, request("POST", "/1"), false));
  server.streams[0]->pause_after_data = true;
  server.say(data(1, "a"));
  const std::string full(16384, 'b');
  for (int i = 0; i < 3; ++i) server.say(data(1, full));
  server.say(data(1, full.substr(0, 16382)));  // the stream's window is used up
  CHECK(server.streams[0]->body == "a");
  for (const Heard& one : server.hear(kWindow)) CHECK(one.stream == 0);
  server.say(headers(3, request("POST", "/3"), false) + data(3, "c", true));
  CHECK(server.streams[1]->body == "c");
  server.streams[0]->pause_after_data = false;
  server.streams[0]->link.setReading(true);
  server.turn();
  CHECK(server.streams[0]->body.size() == 1 + 3 * 16384 + 16382);
  std::uint32_t given = 0;
  for (const Heard& one : server.hear(kWindow))
    if (one.stream == 1) given += one.number();
  CHECK(given >= 32768);
  server.say(data(1, "", true));
  CHECK(server.streams[0]->log == "POST /1;body end;");
}

TEST_CASE("codec: a client that sends beyond a stream's window loses the stream") {
  Server server;
  server.say(headers(1, request("POST", "/1"), false));
  server.streams[0]->link.setReading(false);
  const std::string full(16384, 'b');
  for (int i = 0; i < 4; ++i) server.say(data(1, full));
  CHECK((server.resetOf(1) == 3 || server.goaway() == 3));  // FLOW_CONTROL_ERROR
  CHECK(server.streams[0]->log == "POST /1;refused bad_frame;");
}

TEST_CASE("codec: an answer waits at its stream while the client gives no window") {
  Server server;
  server.say(headers(1, request("GET", "/")));
  const std::string large(100000, 'x');
  http::ResponseHead& head = server.streams[0]->response();
  head.status = 200;
  head.framing = {http::BodyKind::Length, large.size()};
  ServerLink& link = server.streams[0]->link;
  link.sendHead(head, false);
  link.sendBody(large, false);
  link.flush();
  server.turn();
  CHECK(link.queued() == large.size() - 65535);
  CHECK(server.bodyOf(1).size() == 65535);
  server.say(window(1, 1 << 20) + window(0, 1 << 20));
  CHECK(link.queued() == 0);
  CHECK(server.streams[0]->log == "GET / end;drained;");
  link.sendBody({}, true);
  link.streamDone();
  server.turn();
  CHECK(server.bodyOf(1) == large);
  CHECK(server.ended(1));
}

TEST_CASE("codec: trailers of HTTP/2 go both ways") {
  Server server;
  server.say(headers(1, request("POST", "/"), false) + data(1, "x") +
             headers(1, {{"checksum", "1"}, {"other", "2"}}));
  REQUIRE(server.streams.size() == 1);
  CHECK(server.streams[0]->log == "POST /;trailers 2;");
  ServerLink& link = server.streams[0]->link;
  http::ResponseHead& head = server.streams[0]->response();
  head.status = 200;
  head.framing = {http::BodyKind::Chunked, 0};
  link.sendHead(head, false);
  link.sendBody("body", false);
  http::HeaderMap trailers(server.streams[0]->arena());
  trailers.add("Grpc-Status", "0");
  link.sendTrailers(trailers);
  link.streamDone();
  server.turn();
  const auto heads = server.hear(kHeaders);
  REQUIRE(heads.size() == 2);
  CHECK((heads[0].flags & kEndStream) == 0);
  CHECK((heads[1].flags & kEndStream) != 0);
  CHECK(server.bodyOf(1) == "body");
}

TEST_CASE("codec: forbidden trailers are a bad request") {
  Server server;
  server.say(headers(1, request("POST", "/"), false) + headers(1, {{"content-length", "3"}}));
  REQUIRE(server.streams.size() == 1);
  CHECK((server.streams[0]->log == "POST /;bad_trailer;" || server.resetOf(1) == 1));
}

TEST_CASE("codec: a cut answer is reset and never ends cleanly") {
  Server server;
  server.say(headers(1, request("GET", "/")));
  ServerLink& link = server.streams[0]->link;
  http::ResponseHead& head = server.streams[0]->response();
  head.status = 200;
  head.framing = {http::BodyKind::Chunked, 0};
  link.sendHead(head, false);
  link.sendBody("part", false);
  link.abort();
  server.turn();
  CHECK(server.bodyOf(1) == "part");
  CHECK(server.resetOf(1) == 2);
  CHECK_FALSE(server.ended(1));
  CHECK(server.floods.empty());
}

TEST_CASE("codec: an answer before the request's end is followed by RST_STREAM NO_ERROR") {
  Server server;
  server.say(headers(1, request("POST", "/"), false));
  server.streams[0]->answer("early");
  server.turn();
  CHECK(server.bodyOf(1) == "early");
  CHECK(server.resetOf(1) == 0);
  for (int i = 0; i < 100; ++i) server.say(data(1, std::string(16384, 'x')));
  std::uint32_t given = 0;  // what is thrown away must not use up the connection's window
  for (const Heard& one : server.hear(kWindow))
    if (one.stream == 0) given += one.number();
  CHECK(given > (1U << 20) - 65535);
  server.say(headers(3, request("GET", "/3")));
  CHECK(server.streams.size() == 2);
}

TEST_CASE("codec: malformed requests are stream errors and reach nobody") {
  struct Row {
    FieldLines lines;
    std::string_view told;  // what nghttp2 does not show has no better name
  };
  const std::vector<Row> rows = {
      {{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}}, "refused missing_host;"},
      {{{":method", "GET"}, {":scheme", "http"}, {":authority", "h"}}, "refused bad_target;"},
      {request("GET", "/", {{"Upper", "x"}}), "refused bad_frame;"},
      {request("GET", "/", {{"connection", "close"}}), "refused bad_frame;"},
      {request("GET", "/", {{"te", "gzip"}}), "refused bad_frame;"},
      {request("GET", "/", {{":path", "/2"}}), "refused bad_frame;"},
      {request("GET", "/", {{"a b", "x"}}), "refused bad_field_name;"},
      {request("GET", "/", {{"a", "b\r\nc: d"}}), "refused bad_field_value;"},
      {request("GET", "/", {{"content-length", "3"}}), "refused bad_content_length;"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.lines.back().first);
    Server server;
    server.say(headers(1, row.lines));
    CHECK(server.resetOf(1) == 1);
    REQUIRE(server.streams.size() == 1);
    CHECK(server.streams[0]->log == row.told);
    CHECK(server.malformed == 0);  // its stream counts it
    CHECK(server.dropped == 0);
    server.say(headers(3, request("GET", "/")));
    CHECK(server.streams.back()->log == "GET / end;");
  }
}

TEST_CASE("codec: what nghttp2 lets pass and HTTP/1 would not is a bad request") {
  Server server;
  server.say(headers(1, request("GET", "/../..")) +
             headers(3, request("GET", "/", {{"x_forwarded_for", "1"}})) +
             headers(5, request("CONNECT", "/")));
  REQUIRE(server.streams.size() >= 2);
  CHECK(server.streams[0]->log == "bad_path;");
  CHECK(server.streams[1]->log == "bad_field_name;");
}

TEST_CASE("codec: a body unlike its content-length never looks complete") {
  for (const std::string& body : {data(1, "123456"), data(1, "1234", true), data(1, "", true)}) {
    Server server;
    server.say(headers(1, request("POST", "/", {{"content-length", "5"}}), false) + body);
    CHECK(server.resetOf(1) == 1);
    CHECK(server.streams[0]->log == "POST /;refused bad_content_length;");
  }
}

TEST_CASE("codec: streams and heads that end a connection are told as refused, too") {
  Server server;
  server.say(headers(1, request("GET", "/")) + frame(kHeaders, 5, 3, "\x80"));  // an index of zero
  CHECK(server.goaway() == 9);
  REQUIRE(server.streams.size() == 2);
  CHECK(server.streams[1]->log == "refused bad_frame;");
  Server trailers;
  trailers.say(headers(1, request("POST", "/"), false) + headers(1, {{"Upper", "1"}}));
  CHECK(trailers.streams[0]->log == "POST /;refused bad_trailer;");
  Server full;
  std::string begun;
  for (std::uint32_t i = 0; i <= H2ServerConnection::kMaxStreams; ++i)
    begun += headers(2 * i + 1, request("POST", "/"), false);
  full.say(begun);
  CHECK(full.streams.size() == H2ServerConnection::kMaxStreams);
  CHECK(full.malformed == 1);
}

TEST_CASE("codec: the last bytes of an announced length wait for the stream's end") {
  Server server;
  server.say(headers(1, request("POST", "/", {{"content-length", "5"}}), false) + data(1, "123") +
             data(1, "45"));
  CHECK(server.streams[0]->body == "123");
  server.say(data(1, "6", true));
  CHECK(server.resetOf(1) == 1);
  CHECK(server.streams[0]->body == "123");
  server.say(headers(3, request("POST", "/", {{"content-length", "5"}}), false) + data(3, "12345") +
             data(3, "", true));
  CHECK(server.streams[1]->body == "12345");
  CHECK(server.streams[1]->log == "POST /;body end;");
}

TEST_CASE("codec: frames behind a stream's end end the connection, late ones of a reset do not") {
  struct Row {
    std::string_view name;
    std::string late;
    int code;
  };
  for (const Row& row :
       {Row{"data", data(1, "x"), 5}, Row{"headers", headers(1, request("GET", "/")), 5},
        Row{"a number that goes back", headers(3, request("GET", "/")), 1}}) {
    CAPTURE(row.name);
    Server server;
    server.say(headers(1, request("GET", "/")) + headers(5, request("GET", "/5")));
    server.streams[0]->answer("1");
    server.streams[1]->answer("5");
    server.turn();
    server.say(row.late);
    CHECK(server.goaway() == row.code);
  }
  Server server;
  server.say(headers(1, request("POST", "/"), false));
  server.streams[0]->answer("early");
  server.turn();
  server.say(data(1, "on its way") + headers(1, {{"sum", "1"}}));
  server.say(headers(3, request("GET", "/3")));
  CHECK(server.streams.size() == 2);
  CHECK(server.goaway() == -1);
}

TEST_CASE("codec: late frames of as many streams as there may be end no connection") {
  Server server;
  std::string begun;
  for (std::uint32_t i = 0; i < H2ServerConnection::kMaxStreams; ++i)
    begun += headers(2 * i + 1, request("POST", "/"), false);
  server.say(begun);
  REQUIRE(server.streams.size() == H2ServerConnection::kMaxStreams);
  for (const auto& stream : server.streams) stream->answer("early");
  server.turn();
  std::string late;
  for (std::uint32_t i = 0; i < H2ServerConnection::kMaxStreams; ++i)
    late += data(2 * i + 1, "on its way") + headers(2 * i + 1, {{"sum", "1"}});
  server.say(late);
  CHECK(server.goaway() == -1);
  CHECK(server.floods.empty());
}

TEST_CASE("codec: a turn takes its share of what a client sends, however much is there") {
  Server server;
  std::string all;
  for (const std::uint32_t stream : {1, 3}) {
    all += headers(stream, request("POST", "/"), false);
    for (int i = 0; i < 6; ++i) all += data(stream, std::string(10000, 'x'));
  }
  server.say(all);
  const auto taken = [&] {
    std::size_t sum = 0;
    for (const auto& stream : server.streams) sum += stream->body.size();
    return sum;
  };
  CHECK(taken() < 70000);
  server.turn();
  CHECK(taken() == 120000);
}

TEST_CASE("codec: PINGs add up to a flood only where they come fast") {
  FloodWatch watch;
  net::TimePoint now{};
  for (int i = 0; i < 10000; ++i, now += std::chrono::seconds{10}) REQUIRE(watch.idleFrame(now));
  now += std::chrono::hours{1};
  for (std::uint32_t i = 0; i < FloodWatch::kIdleFrames; ++i) REQUIRE(watch.idleFrame(now));
  CHECK_FALSE(watch.idleFrame(now));
}

TEST_CASE("codec: windows given back for a large answer are no flood") {
  Server server;
  server.say(window(0, 1 << 30) + frame(kSettings, 0, 0, std::string("\0\4", 2) + word(1 << 30)));
  server.say(headers(1, request("GET", "/")));
  server.streams[0]->answer(std::string(4 << 20, 'x'), true);
  for (int i = 0; i < 100; ++i) {
    server.turn();
    server.hear(kData);
  }
  CHECK(server.bodyOf(1).size() == 4 << 20);
  std::string updates;
  for (int i = 0; i < 1500; ++i) updates += window(0, 4096);
  server.say(updates);
  CHECK(server.floods.empty());
  CHECK(server.goaway() == -1);
}

TEST_CASE("codec: a reset by the client ends its stream, whatever waits") {
  Server server;
  server.say(headers(1, request("POST", "/"), false) + data(1, "x") + reset(1, 8));
  CHECK(server.streams[0]->log == "POST /;gone;");
  CHECK(server.connection->idle());
}

/// Answers an upgrade to WebSocket as its backend does, and reads.
void acceptTunnel(Stream& stream) {
  http::ResponseHead& head = stream.response();
  head.status = 101;
  head.framing = {http::BodyKind::Tunnel, 0};
  head.upgrade = "websocket";
  const auto accept = http::webSocketAccept(stream.head.fields.find("sec-websocket-key")->value());
  head.fields.add("Sec-WebSocket-Accept", {accept.data(), accept.size()});
  stream.link.sendHead(head, false);
  stream.link.flush();
  stream.link.setReading(true);
}

TEST_CASE("codec: a WebSocket by extended CONNECT is an upgrade inside, and 200 outside") {
  Server server;
  server.say(headers(1, request("CONNECT", "/ws", {{"sec-websocket-version", "13"}}), false));
  CHECK(server.resetOf(1) == 1);  // without :protocol a CONNECT has no path
  FieldLines lines = request("CONNECT", "/ws", {{"sec-websocket-version", "13"}});
  lines.insert(lines.begin(), {":protocol", "websocket"});
  server.say(headers(3, lines, false) + data(3, "hasty"));
  Stream& stream = *server.streams.back();
  CHECK(stream.log == "GET /ws end;");
  CHECK(stream.head.upgrade == "websocket");
  REQUIRE(stream.head.fields.find("sec-websocket-key") != nullptr);
  CHECK(stream.head.fields.find("sec-websocket-key")->value().size() == 24);
  CHECK(stream.body.empty());
  acceptTunnel(stream);
  CHECK(stream.body == "hasty");
  server.turn();
  const auto heads = server.hear(kHeaders);
  REQUIRE(heads.size() == 1);
  CHECK(heads[0].payload == "\x88");  // :status 200 alone
  stream.link.sendBody("down", false);
  server.say(data(3, "up") + data(3, "", true));
  CHECK(stream.body == "hastyup");
  CHECK(stream.log == "GET /ws end;body end;");
  CHECK(server.bodyOf(3) == "down");
  stream.link.sendBody({}, true);
  stream.link.streamDone();
  server.turn();
  CHECK(server.ended(3));
  CHECK(server.connection->idle());
}

/// A tunnel on stream 1 that both sides have opened.
Stream& openTunnel(Server& server) {
  FieldLines lines = request("CONNECT", "/ws");
  lines.insert(lines.begin(), {":protocol", "websocket"});
  server.say(headers(1, lines, false));
  Stream& stream = *server.streams.back();
  acceptTunnel(stream);
  server.turn();
  return stream;
}

TEST_CASE("codec: a tunnel whose backend ends first goes on until its client ends or resets it") {
  for (const bool resets : {false, true}) {
    CAPTURE(resets);
    Server server;
    Stream& stream = openTunnel(server);
    stream.link.sendBody("bye", true);
    stream.link.flush();
    server.turn();
    CHECK(server.bodyOf(1) == "bye");
    CHECK(server.ended(1));
    CHECK(server.resetOf(1) == -1);
    CHECK(stream.log == "GET /ws end;");
    if (resets) {
      server.say(reset(1, 8));
      CHECK(stream.log == "GET /ws end;gone;");
    } else {
      server.say(data(1, "last words") + data(1, "", true));
      CHECK(stream.body == "last words");
      CHECK(stream.log == "GET /ws end;body end;");
      stream.link.streamDone();
    }
    server.turn();
    CHECK(server.connection->idle());
  }
}

TEST_CASE("codec: trailers in a tunnel reset it and reach nobody") {
  for (const bool open : {true, false}) {
    CAPTURE(open);
    Server server;
    if (open) {
      openTunnel(server);
    } else {
      FieldLines lines = request("CONNECT", "/ws");
      lines.insert(lines.begin(), {":protocol", "websocket"});
      server.say(headers(1, lines, false));
    }
    server.say(headers(1, {{"x", "1"}}));
    CHECK(server.resetOf(1) == 1);
    CHECK(server.streams[0]->log == "GET /ws end;refused bad_trailer;");
  }
}

TEST_CASE("codec: a backend that is no WebSocket server opens no tunnel over HTTP/2") {
  for (const std::string_view accept : {"", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}) {
    Server server;
    FieldLines lines = request("CONNECT", "/ws");
    lines.insert(lines.begin(), {":protocol", "websocket"});
    server.say(headers(1, lines, false));
    Stream& stream = *server.streams.back();
    http::ResponseHead& head = stream.response();
    head.status = 101;
    head.framing = {http::BodyKind::Tunnel, 0};
    if (!accept.empty()) head.fields.add("Sec-WebSocket-Accept", accept);
    stream.link.sendHead(head, false);
    server.turn();
    CHECK(server.resetOf(1) == 10);
    CHECK(server.hear(kHeaders).empty());
    CHECK(stream.log == "GET /ws end;gone;");
  }
}

TEST_CASE("codec: HTTP/2 floods end with GOAWAY ENHANCE_YOUR_CALM, and are told apart") {
  struct Row {
    std::string_view name;
    Flood kind;
    std::string (*next)(std::uint32_t i);
  };
  for (const Row& row :
       {Row{"rapid reset", Flood::Resets,
            [](std::uint32_t i) {
              return headers(2 * i + 1, request("GET", "/")) + reset(2 * i + 1, 8);
            }},
        Row{"made you reset", Flood::Resets,
            [](std::uint32_t i) {
              return headers(2 * i + 1, request("GET", "/", {{"Upper", "x"}}));
            }},
        Row{"ping", Flood::Frames, [](std::uint32_t) { return frame(kPing, 0, 0, "12345678"); }},
        Row{"settings", Flood::Frames, [](std::uint32_t) { return frame(kSettings, 0, 0); }},
        Row{"priority", Flood::Frames,
            [](std::uint32_t) { return frame(kPriority, 0, 1, word(0) + "x"); }},
        Row{"window", Flood::Frames, [](std::uint32_t) { return window(0, 1); }},
        Row{"unknown", Flood::Frames, [](std::uint32_t) { return frame(99, 0, 0, "x"); }},
        Row{"empty data", Flood::Frames,
            [](std::uint32_t i) {
              return i == 0 ? headers(1, request("POST", "/"), false) : data(1, "");
            }},
        Row{"continuation", Flood::Headers, [](std::uint32_t i) {
              return i == 0 ? frame(kHeaders, 0, 1, block(request("GET", "/")))
                            : frame(kContinuation, 0, 1, block({{"a", "b"}}));
            }}}) {
    CAPTURE(row.name);
    Server server;
    for (std::uint32_t i = 0; i < 1100 && server.floods.empty(); ++i) {
      server.say(row.next(i));
      server.hear(kPing);
    }
    REQUIRE(server.floods.size() == 1);
    CHECK(server.floods[0] == row.kind);
    CHECK(server.goaway() == 11);
    CHECK(server.streams.size() <= 201);
  }
}

TEST_CASE(
    "codec: a head far beyond its limit ends the connection, a little beyond gets an answer") {
  const std::string line(4000, 'x');
  Server server;
  FieldLines lines = request("GET", "/");
  for (int i = 0; i < 17; ++i) lines.emplace_back("a", line);
  const std::string all = block(lines);
  const auto send = [&](Server& to, std::string_view whole) {
    for (std::size_t at = 0; at < whole.size(); at += 16384)
      to.say(frame(at == 0 ? kHeaders : kContinuation,
                   static_cast<std::uint8_t>((at == 0 ? kEndStream : 0) |
                                             (at + 16384 >= whole.size() ? kEndHeaders : 0)),
                   1, whole.substr(at, 16384)));
  };
  send(server, all);
  REQUIRE(server.streams.size() == 1);
  CHECK(server.streams[0]->log == "head_too_large;");
  Server bombed;
  // One line in the dynamic table, named again and again by one byte each.
  std::string bomb = block(request("GET", "/"));
  bomb += '\x40';
  bomb += hpackText("a") + hpackText(std::string(4000, 'x'));
  bomb += std::string(100, '\xbe');
  send(bombed, bomb);
  CHECK(bombed.goaway() == 11);
  REQUIRE(bombed.floods.size() == 1);
  CHECK(bombed.floods[0] == Flood::Headers);
}

TEST_CASE("codec: a drain says GOAWAY twice, serves what was begun and closes") {
  Server server;
  server.say(headers(1, request("GET", "/1")));
  server.connection->closeWhenIdle();
  server.turn();
  auto said = server.hear(kGoaway);
  REQUIRE(said.size() == 1);
  CHECK(said[0].number(0) == 0x7fffffff);
  server.say(headers(3, request("GET", "/3")));  // on its way while the client did not know
  CHECK(server.streams.size() == 2);
  const auto pings = server.hear(kPing);
  REQUIRE(pings.size() == 1);
  server.say(frame(kPing, kAck, 0, pings[0].payload));
  said = server.hear(kGoaway);
  REQUIRE(said.size() == 2);
  CHECK(said[1].number(0) == 3);
  CHECK(said[1].number(4) == 0);
  server.say(headers(5, request("GET", "/5")));
  CHECK(server.streams.size() == 2);
  server.streams[0]->answer("1");
  server.streams[1]->answer("3");
  server.turn();
  CHECK(server.bodyOf(1) == "1");
  CHECK(server.bodyOf(3) == "3");
  CHECK(server.wire.ended);
}

TEST_CASE("codec: a host that closes says GOAWAY at the next request") {
  Server server;
  server.draining = true;
  server.say(headers(1, request("GET", "/1")));
  CHECK(server.streams[0]->log == "GET /1 end;");
  CHECK(server.goaway() == 0);
}

TEST_CASE("codec: a connection that begins in a drain hears of it at once, and is served once") {
  Server server({}, true, true);
  const auto said = server.hear(kGoaway);
  REQUIRE(said.size() == 1);
  CHECK(said[0].number(0) == 0x7fffffff);
  std::string order;
  for (const Heard& one : server.heard)
    if (one.type == kGoaway || one.type == kPing) order += one.type == kPing ? "ping;" : "goaway;";
  CHECK(order == "goaway;ping;");  // who answers the PING has heard the GOAWAY
  server.say(headers(1, request("GET", "/")));
  REQUIRE(server.streams.size() == 1);
  server.say(frame(kPing, kAck, 0, server.hear(kPing).at(0).payload));
  REQUIRE(server.hear(kGoaway).size() == 2);
  CHECK(server.hear(kGoaway)[1].number(0) == 1);
  server.streams[0]->answer("served");
  server.turn();
  CHECK(server.bodyOf(1) == "served");
  CHECK(server.wire.ended);
}

TEST_CASE(
    "codec: a connection that has ended lingers for all of its time, whatever was due before") {
  using namespace std::chrono_literals;
  Server server(ServerTimeouts{.idle = 30ms, .linger = 10min});
  server.connection->closeWhenIdle();
  server.turn();
  server.say(frame(kPing, kAck, 0, server.hear(kPing).at(0).payload));
  server.hear(kGoaway);
  REQUIRE(server.wire.ended);
  for (const auto end = std::chrono::steady_clock::now() + 60ms;
       std::chrono::steady_clock::now() < end;)
    server.turn(10);
  CHECK(server.connection != nullptr);
  server.wire.finish();
  server.turn();
  CHECK(server.connection == nullptr);
}

TEST_CASE("codec: HTTP/2 clients that are silent, drip or take nothing are cut") {
  using namespace std::chrono_literals;
  const ServerTimeouts brief{
      .head = 40ms, .idle = 80ms, .body = 60ms, .write = 60ms, .linger = 40ms};
  const auto wait = [](Server& server, auto what) {
    for (int i = 0; i < 200 && !what(); ++i) server.turn(10);
    return what();
  };
  SUBCASE("idle") {
    Server server(brief);
    CHECK(wait(server, [&] { return server.goaway() == 0; }));
    CHECK(wait(server, [&] { return server.connection == nullptr; }));
  }
  SUBCASE("no preface") {
    Server server(brief, false);
    CHECK(wait(server, [&] { return server.connection == nullptr; }));
  }
  SUBCASE("a head that drips") {
    Server server(brief);
    server.say(frame(kHeaders, kEndStream, 1, block(request("GET", "/"))));
    CHECK(wait(server, [&] { return server.goaway() == 11; }));
    CHECK(wait(server, [&] { return server.connection == nullptr; }));
    CHECK(server.streams[0]->log == "refused late;");
  }
  SUBCASE("a body that stalls") {
    Server server(brief);
    server.say(headers(1, request("POST", "/"), false));
    CHECK(wait(server, [&] { return server.streams[0]->log == "POST /;timeout;"; }));
    server.streams[0]->answer("late");
    server.turn();
    CHECK(server.resetOf(1) == 0);
  }
  SUBCASE("a body that is all there, and whose end stalls") {
    Server server(brief);
    server.say(headers(1, request("POST", "/", {{"content-length", "5"}}), false) +
               data(1, "12345"));
    CHECK(wait(server, [&] { return server.streams[0]->log == "POST /;timeout;"; }));
    CHECK(server.streams[0]->body.empty());
  }
  SUBCASE("an answer that is not taken") {
    Server server(brief);
    server.say(headers(1, request("GET", "/")));
    server.streams[0]->answer(std::string(100000, 'x'), true);
    CHECK(wait(server, [&] { return server.resetOf(1) == 8; }));
    CHECK(server.streams[0]->log == "GET / end;gone;");
  }
}

TEST_CASE("codec: a call of gRPC may be as silent as a tunnel, other requests may not") {
  using namespace std::chrono_literals;
  const ServerTimeouts brief{.body = 60ms, .tunnel = 500ms};
  const FieldLines grpc = {{"content-type", "application/grpc+proto"}};
  Server server(brief);
  const auto pass = [&](std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) server.turn(10);
  };
  SUBCASE("before and behind the answer's head, while messages come down") {
    server.say(headers(1, request("POST", "/", grpc), false) + data(1, "asked"));
    Stream& call = *server.streams[0];
    pass(200ms);
    http::ResponseHead& head = call.response();
    head.status = 200;
    head.framing = {http::BodyKind::Chunked, 0};
    call.link.sendHead(head, false);
    for (int i = 0; i < 8; ++i) {  // longer than a tunnel may be silent
      call.link.sendBody("x", false);
      call.link.flush();
      pass(100ms);
    }
    CHECK(call.log == "POST /;");
    CHECK(server.bodyOf(1) == "xxxxxxxx");
    pass(800ms);  // and no longer
    CHECK(call.log == "POST /;timeout;");
  }
  SUBCASE("not where its length is known") {
    FieldLines lines = grpc;
    lines.emplace_back("content-length", "9");
    server.say(headers(1, request("POST", "/", lines), false) + data(1, "asked"));
    pass(200ms);
    CHECK(server.streams[0]->log == "POST /;timeout;");
  }
  SUBCASE("nor of other types") {
    server.say(headers(1, request("POST", "/", {{"content-type", "application/grpc-web"}}), false));
    pass(200ms);
    CHECK(server.streams[0]->log == "POST /;timeout;");
  }
}

TEST_CASE("codec: an overloaded host refuses a stream, and the connection lives") {
  Server server;
  server.overloaded = true;
  server.say(headers(1, request("GET", "/")));
  CHECK(server.resetOf(1) == 7);
  server.overloaded = false;
  server.say(headers(3, request("GET", "/")));
  CHECK(server.streams.size() == 1);
}

TEST_CASE("codec: an HTTP/2 connection that breaks tells all of its streams once") {
  Server server;
  server.say(headers(1, request("GET", "/")) + headers(3, request("POST", "/"), false) +
             frame(kHeaders, 0, 5, block(request("GET", "/"))));
  server.wire.far.reset();
  server.turn();
  CHECK(server.connection == nullptr);
  REQUIRE(server.streams.size() == 3);
  CHECK(server.streams[0]->log == "GET / end;gone;");
  CHECK(server.streams[1]->log == "POST /;gone;");
  CHECK(server.streams[2]->log == "dropped;");
}

TEST_CASE("codec: an HTTP/2 client that sends no more gets what it asked for completely") {
  Server server;
  FieldLines tunnel = request("CONNECT", "/ws");
  tunnel.insert(tunnel.begin(), {":protocol", "websocket"});
  server.say(headers(1, request("GET", "/1")) + headers(3, request("POST", "/3"), false) +
             data(3, "part") + headers(5, request("POST", "/5"), false) + data(5, "all", true) +
             headers(7, tunnel, false) + frame(kHeaders, 0, 9, block(request("GET", "/9"))));
  server.wire.finish();
  server.turn();
  REQUIRE(server.connection != nullptr);
  CHECK(server.goaway() == 0);  // no more streams, and a client that is gone would reset
  REQUIRE(server.streams.size() == 5);
  CHECK(server.streams[0]->log == "GET /1 end;");
  CHECK(server.streams[1]->log == "POST /3;broken;");
  CHECK(server.streams[2]->log == "POST /5;body end;");
  CHECK(server.streams[3]->log == "GET /ws end;gone;");
  CHECK(server.streams[4]->log == "dropped;");
  CHECK(server.resetOf(7) == 10);
  server.streams[1]->answer("bad");
  server.streams[2]->answer("five");
  server.turn();
  CHECK(server.bodyOf(3) == "bad");
  CHECK(server.bodyOf(5) == "five");
  REQUIRE(server.connection != nullptr);  // one more to come
  server.streams[0]->answer("one");
  server.turn();
  CHECK(server.bodyOf(1) == "one");
  CHECK(server.ended(1));
  CHECK(server.wire.ended);
  CHECK(server.connection == nullptr);
}

TEST_CASE("codec: a client that sent all and ended in one go is answered, and nothing spins") {
  Server server;
  server.wire.say(headers(1, request("GET", "/")));
  server.wire.finish();
  server.turn();
  REQUIRE(server.streams.size() == 1);
  REQUIRE(server.connection != nullptr);
  const int before = server.streams[0]->flushes;
  const auto began = std::chrono::steady_clock::now();
  server.turn(30);  // nothing is to be done, so it waits
  CHECK(std::chrono::steady_clock::now() - began >= std::chrono::milliseconds{20});
  CHECK(server.streams[0]->flushes == before);
  server.streams[0]->answer(std::string(50000, 'x'));
  server.turn();
  CHECK(server.bodyOf(1).size() == 50000);
  CHECK(server.wire.ended);
}

TEST_CASE("codec: a client that ended between its requests is let go at once") {
  Server server;
  server.say(headers(1, request("GET", "/")));
  server.streams[0]->answer("done");
  server.turn();
  server.wire.finish();
  server.turn();
  CHECK(server.connection == nullptr);
  CHECK(server.goaway() == -1);
}

TEST_CASE("codec: an answer beyond the windows of a client that ended is cut by its time limit") {
  using namespace std::chrono_literals;
  Server server(
      ServerTimeouts{.head = 40ms, .idle = 80ms, .body = 60ms, .write = 60ms, .linger = 40ms});
  server.say(headers(1, request("GET", "/")));
  server.wire.finish();
  server.turn();
  server.streams[0]->answer(std::string(100000, 'x'), true);
  for (int i = 0; i < 200 && server.connection != nullptr; ++i) server.turn(10);
  CHECK(server.connection == nullptr);
  CHECK(server.streams[0]->log == "GET / end;gone;");
  CHECK(server.resetOf(1) == 8);
}

}  // namespace hyperway::codec
