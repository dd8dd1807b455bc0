// SPDX-License-Identifier: Apache-2.0
#include "app/handover.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "net/address.hpp"
#include "net/socket.hpp"

namespace hyperway::app {
namespace {

template <class T>
std::optional<T> number(std::string_view text) {
  T out{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return out;
}

// Sends one kind's sockets, in several messages if there are many.
class Sender {
 public:
  explicit Sender(const net::MessageSocket& to) : to_(to) {}

  void add(const std::string& what, const std::vector<int>& fds) {
    for (std::size_t at = 0; at < fds.size() && problem_.empty();) {
      const std::size_t count = std::min(net::MessageSocket::kMaxDescriptors, fds.size() - at);
      const auto begin = fds.begin() + static_cast<std::ptrdiff_t>(at);
      tell(what, {begin, begin + static_cast<std::ptrdiff_t>(count)});
      at += count;
      sent_ += count;
    }
  }
  void add(const std::string& kind, const HandedFace& face) {
    if (face.socket) add(kind + ' ' + textOf(face.bind), {face.socket.get()});
  }
  void add(const proxy::HandedListener& listener) {
    std::vector<int> fds;
    for (const net::Fd& socket : listener.sockets) fds.push_back(socket.get());
    add((listener.bind.udp ? "udp " : "listener ") + textOf(listener.bind), fds);
  }
  [[nodiscard]] Result<void, std::string> done() const {
    if (!problem_.empty()) return fail(problem_);
    return {};
  }
  Result<void, std::string> end() {
    if (problem_.empty()) tell("end " + std::to_string(sent_), {});
    return done();
  }
  static std::string textOf(const route::Bind& bind) {
    return std::to_string(bind.port) + ' ' + bind.address;
  }

 private:
  void tell(const std::string& text, const std::vector<int>& fds) {
    if (const auto done = to_.send(text, fds); !done) problem_ = done.error();
  }
  const net::MessageSocket& to_;
  std::size_t sent_ = 0;
  std::string problem_;
};

bool listens(int fd) {
  int on = 0;
  socklen_t size = sizeof on;
  return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &size) == 0 && on != 0;
}

bool takesDatagrams(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_DGRAM;
}

// "PORT ADDRESS" of sockets that listen there; the port must be the socket's own.
std::optional<route::Bind> bindOf(std::string_view text, bool udp,
                                  const std::vector<net::Fd>& sockets) {
  const Words words = wordsOf(text);
  const auto port = number<std::uint16_t>(words.first);
  if (!port || !net::SocketAddress::parse(words.rest, *port)) return std::nullopt;
  for (const net::Fd& socket : sockets)
    if (!(udp ? takesDatagrams(socket.get()) : listens(socket.get())) ||
        net::localAddress(socket.get()).port() != *port)
      return std::nullopt;
  return route::Bind{std::string(words.rest), *port, udp};
}

// Adds what one message brings; false if it is not what it says.
bool take(net::Message& message, HandedSockets& out) {
  const Words words = wordsOf(message.text);
  if (words.first == "socket") {
    if (message.fds.size() != 1 || words.rest.empty() || !listens(message.fds.front().get()))
      return false;
    out.admin_path = words.rest;
    out.admin_socket = std::move(message.fds.front());
    return true;
  }
  const bool udp = words.first == "udp";
  const bool listener = udp || words.first == "listener";
  if (!listener && words.first != "probes" && words.first != "loopback") return true;
  auto bind = bindOf(words.rest, udp, message.fds);
  if (!bind || message.fds.empty()) return false;
  if (listener) {
    out.listeners.push_back({std::move(*bind), std::move(message.fds)});
  } else {
    if (message.fds.size() != 1) return false;
    HandedFace& face = words.first == "probes" ? out.probes : out.loopback;
    face = {std::move(*bind), std::move(message.fds.front())};
  }
  return true;
}

}  // namespace

Words wordsOf(std::string_view message) noexcept {
  const std::size_t space = message.find(' ');
  if (space == std::string_view::npos) return {message, {}};
  return {message.substr(0, space), message.substr(space + 1)};
}

Result<void, std::string> sendSockets(const net::MessageSocket& to, const HandedSockets& sockets) {
  Sender sender(to);
  for (const proxy::HandedListener& listener : sockets.listeners) sender.add(listener);
  sender.add("probes", sockets.probes);
  sender.add("loopback", sockets.loopback);
  if (sockets.admin_socket)
    sender.add("socket " + sockets.admin_path, {sockets.admin_socket.get()});
  return sender.end();
}

Result<void, std::string> sendListeners(const net::MessageSocket& to,
                                        const std::vector<proxy::HandedListener>& listeners) {
  Sender sender(to);
  for (const proxy::HandedListener& listener : listeners) sender.add(listener);
  return sender.done();
}

Result<HandedSockets, std::string> receiveSockets(const net::MessageSocket& from,
                                                  std::chrono::milliseconds limit) {
  HandedSockets out;
  for (std::size_t received = 0;;) {
    auto message = from.wait(limit);
    if (!message) return fail(std::move(message).error());
    const Words words = wordsOf(message->text);
    if (words.first == "cancel") return fail(std::string(words.rest));
    if (words.first == "end") {
      if (number<std::size_t>(words.rest) == received) return out;
      return fail(std::to_string(received) + " sockets came, and should be " +
                  std::string(words.rest));
    }
    received += message->fds.size();
    if (!take(*message, out))
      return fail("what came is not what it says: \"" + message->text.substr(0, 100) + '"');
  }
}

Result<std::unique_ptr<Successor>, std::string> Successor::ofEnvironment() {
  const char* const value = std::getenv(kHandoverVariable);
  if (value == nullptr) return std::unique_ptr<Successor>();
  const auto fd = number<int>(value);
  ::unsetenv(kHandoverVariable);
  if (!fd || *fd <= STDERR_FILENO)
    return hyperway::fail(std::string(kHandoverVariable) + " names no descriptor");
  auto socket = net::MessageSocket::adopt(net::Fd{*fd}, ::geteuid());
  if (!socket)
    return hyperway::fail("what " + std::string(kHandoverVariable) + " names " + socket.error());
  return std::make_unique<Successor>(std::move(*socket));
}

Result<HandedSockets, std::string> Successor::takeSockets(const std::string& version,
                                                          std::chrono::milliseconds limit) {
  if (auto sent = socket_.send("hello " + std::to_string(kHandoverVersion) + ' ' +
                               std::to_string(::getpid()) + ' ' + version);
      !sent)
    return hyperway::fail(sent.error());
  return receiveSockets(socket_, limit);
}

void Successor::fail(std::string_view reason) const {
  // If nobody hears it, the end of this process says as much.
  (void)socket_.send("failed " + std::string(reason.substr(0, 1000)));
}

void Successor::tellReady() const { (void)socket_.send("ready"); }  // next() tells if it is gone

void Successor::tellServing() {
  serving_ = true;
  (void)socket_.send("serving");  // whoever has gone does not accept any more either
}

Successor::Word Successor::next() {
  auto message = socket_.receive();
  if (!message) {
    over_ = true;
    return serving_ ? Word::Closed : Word::End;
  }
  if (!*message) return Word::Nothing;
  const std::string_view first = wordsOf((*message)->text).first;
  // What is not what it says is closed, and opened anew.
  if ((first == "listener" || first == "udp") && !serving_) (void)take(**message, late_);
  if (first == "go") return Word::Go;
  if (first == "closed") return Word::Closed;
  if (first == "cancel" && !serving_) return Word::End;
  return Word::Nothing;
}

}  // namespace hyperway::app
