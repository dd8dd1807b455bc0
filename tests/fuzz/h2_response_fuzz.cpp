// SPDX-License-Identifier: Apache-2.0
// LINK: hw_codec hw_http hw_net hw_tls hw_base
// Whatever frames a backend sends, each exchange is told of one end at most, of a complete answer
// only if it is one, and of nothing behind that.
//
// Input: records of a kind and a size, then that many bytes. Kind 0: bytes as they are. 1 to 10:
// the payload of a frame of type kind - 1, whose flags and stream are its first two bytes. 11:
// something that a stream does, by its first two bytes.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "codec/h2_client.hpp"
#include "http/field.hpp"

using namespace hyperway;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

class Exchange final : public codec::ResponseEvents {
 public:
  explicit Exchange(bool tunnel) : tunnel_(tunnel) {}
  http::ResponseHead& responseHead() noexcept override { return head_; }
  Arena& arena() noexcept override { return arena_; }
  http::HeaderMap& responseTrailers() noexcept override { return trailers_; }
  void onInterimResponse() noexcept override {
    check();
    require(head_.status >= 100 && head_.status < 200 && head_.status != 101);
    require(!begun_);
  }
  void onResponseHead(bool end) noexcept override {
    check();
    require(!begun_);
    require(head_.status == 101 ? tunnel_ : head_.status >= 200 && head_.status < 600);
    checkFields(head_.fields);
    require((head_.framing.kind == http::BodyKind::None) == end);
    begun_ = true;
    if (end) over();
  }
  void onResponseBody(std::span<char> data, bool end) noexcept override {
    check();
    require(begun_);
    bytes_ += data.size();
    const bool known = head_.framing.kind == http::BodyKind::Length;
    require(!known || bytes_ <= head_.framing.length);
    if (!end) return;
    require(!known || bytes_ == head_.framing.length);
    if (head_.framing.kind != http::BodyKind::Tunnel) over();
  }
  void onResponseTrailers(http::HeaderMap& trailers) noexcept override {
    check();
    require(begun_ && head_.framing.kind != http::BodyKind::Tunnel);
    require(head_.framing.kind != http::BodyKind::Length || bytes_ == head_.framing.length);
    checkFields(trailers);
    over();
  }
  void onResponseFlush() noexcept override { check(); }
  void onResponseBroken(codec::Broken, http::HttpError) noexcept override {
    check();
    over();
  }
  void onUpstreamDrained() noexcept override { check(); }
  void onResponseRaw() noexcept override { std::abort(); }

  void act(unsigned what, std::string_view bytes) {
    if (link == nullptr) return;
    switch (what % 5) {
      case 0: return link->setReading(false);
      case 1: return link->setReading(true);
      case 2: return link->sendBody(bytes, false);
      case 3: return link->sendBody(bytes, true);
      default: link->cancel(); over();
    }
  }

  codec::ClientLink* link = nullptr;

 private:
  void check() const { require(link != nullptr); }
  void over() { link = nullptr; }
  static void checkFields(const http::HeaderMap& fields) {
    for (const http::Field& field : fields.lines()) {
      require(http::isValidFieldName(field.name()) && http::isValidFieldValue(field.value()));
      for (const char c : field.name()) require(c < 'A' || c > 'Z');
      require(field.id != http::FieldId::Connection && field.id != http::FieldId::ContentLength &&
              field.id != http::FieldId::TransferEncoding && field.id != http::FieldId::Upgrade);
    }
  }

  std::array<std::byte, 12 * 1024> memory_;
  Arena arena_{memory_};
  http::ResponseHead head_{arena_};
  http::HeaderMap trailers_{arena_};
  std::uint64_t bytes_ = 0;
  bool tunnel_;
  bool begun_ = false;
};

class Client final : public codec::ClientHost {
 public:
  Client() : ClientHost(loop_, pool_, scratch_, limits_, timeouts_) {
    int ends[2];
    require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    far_ = net::Fd(ends[1]);
    connection_ = new codec::H2ClientConnection(*this, net::Fd(ends[0]), this);
    require(connection_->start());
    loop_.turn(0);
    for (std::size_t i = 0; i < exchanges_.size(); ++i) {
      exchanges_[i] = std::make_unique<Exchange>(i == 3);
      ask(*exchanges_[i], i);
    }
    loop_.turn(0);
  }
  ~Client() {
    if (connection_ != nullptr) connection_->fail();
    for (const auto& exchange : exchanges_) exchange->act(4, {});
    loop_.turn(0);
  }
  void onClientConnectionIdle(codec::ClientConnection&) noexcept override {}
  void onClientConnectionClosed(codec::ClientConnection& closed, bool) noexcept override {
    loop_.retire(&closed);
    connection_ = nullptr;
  }

  void say(std::string_view bytes) {
    if (bytes.empty() || connection_ == nullptr) return;
    require(::send(far_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(bytes.size()));
    loop_.turn(0);
    while (::recv(far_.get(), scratch_.data(), scratch_.size(), 0) > 0) {
    }
    loop_.turn(0);
  }
  void act(unsigned which, unsigned what, std::string_view bytes) {
    exchanges_[which % exchanges_.size()]->act(what, bytes);
    loop_.turn(0);
  }

 private:
  void ask(Exchange& exchange, std::size_t number) {
    exchange.link = &connection_->begin(exchange);
    static constexpr std::string_view kMethods[] = {"GET", "POST", "HEAD", "GET"};
    auto* const head = new (exchange.arena().allocate(sizeof(http::RequestHead)))
        http::RequestHead(exchange.arena());
    head->method = kMethods[number];
    head->method_id = http::methodId(head->method);
    head->path = "/";
    if (number == 1) head->framing.kind = http::BodyKind::Chunked;
    http::H1RequestOut options;
    options.authority = "h";
    if (number == 3) options.upgrade = "websocket";
    exchange.link->sendHead(*head, options, number != 1);
  }

  net::EventLoop loop_;
  codec::BlockPool pool_;
  std::array<char, 16384> scratch_;
  http::H1Limits limits_;
  codec::ClientTimeouts timeouts_;
  net::Fd far_;
  codec::H2ClientConnection* connection_ = nullptr;
  std::array<std::unique_ptr<Exchange>, 4> exchanges_;
};

std::string frame(unsigned type, std::string_view rest) {
  if (rest.size() < 2) return {};
  const std::string_view payload = rest.substr(2);
  std::string out{'\0', static_cast<char>(payload.size() >> 8), static_cast<char>(payload.size())};
  out += static_cast<char>(type);
  out += rest[0];
  out.append(3, '\0').append(1, rest[1]).append(payload);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(bytes), size);
  Client client;
  while (input.size() >= 2) {
    const auto kind = static_cast<unsigned char>(input[0]) % 12U;
    const std::size_t length =
        std::min<std::size_t>(static_cast<unsigned char>(input[1]), input.size() - 2);
    const std::string_view record = input.substr(2, length);
    input.remove_prefix(2 + length);
    if (kind == 0)
      client.say(record);
    else if (kind <= 10)
      client.say(frame(kind - 1, record));
    else if (record.size() >= 2)
      client.act(static_cast<unsigned char>(record[0]), static_cast<unsigned char>(record[1]),
                 record.substr(2));
  }
  return 0;
}
