// SPDX-License-Identifier: Apache-2.0
// LINK: hw_codec
// Frames of a client, HPACK included: whatever request comes out of them must, written upstream as
// HTTP/1, read the same to a reader without leniency, and a body never ends unlike its length.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "codec/h2_server.hpp"
#include "http/websocket.hpp"
#include "strict_message.hpp"

using namespace hyperway;
using namespace hyperway::codec;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

/// A stream that judges what it is told, and answers in the way that the input chose.
class Stream final : public RequestEvents {
 public:
  Stream(ServerLink& link, unsigned mode) : link_(link), mode_(mode) {}

  http::RequestHead& requestHead() noexcept override { return head_; }
  Arena& arena() noexcept override { return arena_; }
  http::HeaderMap& requestTrailers() noexcept override { return trailers_; }
  void onRequestHead(bool end) noexcept override {
    require(!begun_ && !over_);
    begun_ = true;
    ended_ = end;
    judgeHead(end);
    if (end || (mode_ & 4) != 0) answer();
  }
  void onRequestBody(std::span<char> data, bool end) noexcept override {
    require(begun_ && !over_ && (!ended_ || tunnel_));
    bytes_ += data.size();
    if (kind_ == http::BodyKind::Length) require(bytes_ <= length_);
    if (kind_ == http::BodyKind::Length && end) require(bytes_ == length_);
    ended_ = end;
    if ((mode_ & 8) != 0 && !data.empty() && !end) {
      link_.setReading(false);
      link_.setReading(true);
    }
    if (end && !answered_) answer();
  }
  void onRequestTrailers(http::HeaderMap& trailers) noexcept override {
    require(begun_ && !over_ && !ended_);
    if (kind_ == http::BodyKind::Length) require(bytes_ == length_);
    ended_ = true;
    std::string text = "GET / HTTP/1.1\r\nHost: h\r\n";
    for (const http::Field& field : trailers.lines())
      text.append(field.name()).append(": ").append(field.value()).append("\r\n");
    const auto read = strict::readRequest(text + "\r\n");
    require(read.has_value() && read->fields.size() == trailers.count() + 1);
    require(read->body == strict::Body::None);
    if (!answered_) answer();
  }
  void onRequestFlush() noexcept override { require(!over_); }
  void onRequestBroken(Broken /*how*/, http::HttpError /*error*/) noexcept override {
    require(!over_);
    ended_ = broken_ = true;
    if (!answered_) answer();
  }
  void onRequestRefused(Broken /*how*/, http::HttpError error) noexcept override {
    require(!over_ && error != http::HttpError::None);
    over_ = true;
  }
  void onRequestRaw() noexcept override { std::abort(); }
  void onClientDrained() noexcept override { require(!over_); }
  void onClientGone() noexcept override {
    require(!over_);
    over_ = true;
  }
  /// Its head never came.
  void drop() {
    require(!begun_ && !over_);
    over_ = true;
  }

 private:
  void judgeHead(bool end) {
    kind_ = head_.framing.kind;
    length_ = head_.framing.length;
    if (end) require(kind_ == http::BodyKind::None);
    http::H1RequestOut out;
    out.authority = head_.authority;
    out.upgrade = head_.upgrade;
    out.expect_continue = head_.expect_continue;
    std::vector<char> room(http::requestHeadBound(head_, out));
    const std::string text(room.data(), http::writeRequestHead(head_, out, room.data()));
    const auto message = strict::readRequest(text + "BODY");
    require(message.has_value() && message->consumed == text.size());
    require(message->start[0] == head_.method);
    std::string target(head_.path);
    if (head_.has_query) target.append("?").append(head_.query);
    require(message->start[1] == target);
    require(message->all("host")[0] == head_.authority);
    for (const auto* name : {"te", "trailer", "keep-alive", "proxy-connection", "http2-settings"})
      require(message->all(name).empty());
    require(message->all("connection").size() == (head_.upgrade.empty() ? 0U : 1U));
    require(message->all("cookie").size() <= 1);
    switch (kind_) {
      case http::BodyKind::None: require(message->body == strict::Body::None); break;
      case http::BodyKind::Length:
        require(message->body == strict::Body::Length && message->length == length_);
        break;
      case http::BodyKind::Chunked: require(message->body == strict::Body::Chunked); break;
      default: std::abort();
    }
  }

  void answer() {
    answered_ = true;
    http::ResponseHead head(arena_);
    head.status = 200;
    if (!head_.upgrade.empty() && !broken_) {
      tunnel_ = true;
      ended_ = false;
      head.status = 101;
      head.framing = {http::BodyKind::Tunnel, 0};
      const auto accept = http::webSocketAccept(head_.fields.find("sec-websocket-key")->value());
      head.fields.add("sec-websocket-accept", {accept.data(), accept.size()});
      link_.sendHead(head, false);
      link_.flush();
      link_.setReading(true);
      return;
    }
    if ((mode_ & 3) == 0) {
      link_.sendHead(head, true);
    } else {
      head.framing = {http::BodyKind::Chunked, 0};
      link_.sendHead(head, false);
      const std::string body((mode_ & 2) != 0 ? 100000 : 10, 'x');
      if (!over_) link_.sendBody(body, (mode_ & 3) != 3);
      if (!over_ && (mode_ & 3) == 3) {
        if ((mode_ & 16) != 0) {
          over_ = true;
          return link_.abort();
        }
        http::HeaderMap trailers(arena_);
        trailers.add("sum", "1");
        link_.sendTrailers(trailers);
      }
    }
    if (over_) return;
    over_ = true;
    link_.flush();
    link_.streamDone();
  }

  ServerLink& link_;
  unsigned mode_;
  std::array<std::byte, 2048> memory_;
  Arena arena_{memory_};
  http::RequestHead head_{arena_};
  http::HeaderMap trailers_{arena_};
  http::BodyKind kind_ = http::BodyKind::None;
  std::uint64_t length_ = 0;
  std::uint64_t bytes_ = 0;
  bool begun_ = false;
  bool ended_ = false;
  bool broken_ = false;
  bool answered_ = false;
  bool tunnel_ = false;
  bool over_ = false;
};

class Server final : public ServerHost {
 public:
  explicit Server(unsigned mode)
      : ServerHost(loop_, pool_, scratch_, limits_, timeouts_), mode_(mode) {
    int ends[2];
    require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    far_ = net::Fd(ends[1]);
    connection_ = new H2ServerConnection(*this, Transport(net::Fd(ends[0])), info_);
    require(loop_.add(ends[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, *connection_));
  }
  ~Server() {
    if (connection_ != nullptr) connection_->closeNow();
    loop_.turn(0);
  }
  void run(std::string input, std::size_t cut) {
    connection_->start({input.data(), cut}, false);
    turn();
    for (std::size_t at = cut; connection_ != nullptr && at < input.size();) {
      const ssize_t put = ::send(far_.get(), input.data() + at, input.size() - at, MSG_NOSIGNAL);
      if (put <= 0) return;
      at += static_cast<std::size_t>(put);
      turn();
    }
    if (connection_ != nullptr && (mode_ & 32) != 0) {
      connection_->closeWhenIdle();
      turn();
    }
    if (connection_ == nullptr || (mode_ & 128) == 0) return;
    ::shutdown(far_.get(), SHUT_WR);  // the client sends no more
    turn();
  }

  RequestEvents* openStream(ServerLink& link) noexcept override {
    if ((mode_ & 64) != 0 && streams_.size() == 3) return nullptr;
    return streams_.emplace_back(std::make_unique<Stream>(link, mode_)).get();
  }
  void dropStream(RequestEvents& stream) noexcept override { static_cast<Stream&>(stream).drop(); }
  void onServerConnectionClosed(ServerConnection& closed) noexcept override {
    loop_.retire(&closed);
    connection_ = nullptr;
  }
  bool closing(const ConnectionInfo& /*connection*/) noexcept override { return false; }
  void onPreface(const ServerConnection& /*from*/, Transport /*transport*/,
                 std::span<char> /*read*/, bool /*readable*/) noexcept override {}
  void onMalformed() noexcept override {}
  void onFlood(Flood /*kind*/) noexcept override {}

 private:
  void turn() {
    loop_.turn(0);
    std::array<char, 65536> heard;
    while (::recv(far_.get(), heard.data(), heard.size(), 0) > 0) loop_.turn(0);
  }

  net::EventLoop loop_;
  BlockPool pool_;
  std::array<char, 4096> scratch_;
  http::H1Limits limits_{.head_bytes = 4096, .target_bytes = 1024, .fields = 32};
  ServerTimeouts timeouts_;
  ConnectionInfo info_;
  net::Fd far_;
  std::vector<std::unique_ptr<Stream>> streams_;
  H2ServerConnection* connection_ = nullptr;
  unsigned mode_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  // What follows the preface and an empty SETTINGS; the second byte says where the input is cut.
  std::string input = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  input.append("\0\0\0\4\0\0\0\0\0", 9);
  input.append(reinterpret_cast<const char*>(data + 2), size - 2);
  Server server(data[0]);
  server.run(input, input.size() * data[1] / 255);
  return 0;
}
