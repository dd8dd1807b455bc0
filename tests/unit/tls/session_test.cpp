// SPDX-License-Identifier: Apache-2.0
// How bytes move once the handshake is done, and while it goes on.
#include "tls/session.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "served.hpp"

namespace hyperway::tls {
namespace {

using namespace testing;

std::string drain(int fd) {
  std::string out;
  char buffer[65536];
  for (;;) {
    const ssize_t got = ::read(fd, buffer, sizeof(buffer));
    if (got <= 0) return out;
    out.append(buffer, static_cast<std::size_t>(got));
  }
}

void put(int fd, std::string_view bytes) {
  REQUIRE(::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
}

// Plain sizes of the records in a piece of TLS 1.3 ciphertext: less 16 bytes of tag and one of
// type.
std::vector<std::size_t> recordSizes(std::string_view wire) {
  std::vector<std::size_t> out;
  while (wire.size() >= 5) {
    const auto high = static_cast<unsigned char>(wire[3]);
    const auto low = static_cast<unsigned char>(wire[4]);
    const std::size_t size = static_cast<std::size_t>(high) * 256 + low;
    REQUIRE(wire.size() >= 5 + size);
    out.push_back(size - 17);
    wire.remove_prefix(5 + size);
  }
  CHECK(wire.empty());
  return out;
}

// A connection whose ciphertext from the client passes through the test.
struct Relayed {
  explicit Relayed(Served& served, const ClientOptions& options = {}) {
    SocketEnds outer = makeSockets();
    SocketEnds inner = makeSockets();
    client_side = std::move(outer.server);
    server_side = std::move(inner.client);
    server_fd = std::move(inner.server);
    client = std::make_unique<TestClient>(std::move(outer.client), options);
    server = Session::accept(server_fd.get(), served.resolver, served.shared);
  }

  // Brings the server's bytes to the client and returns what the client has sent since.
  std::string exchange() {
    put(client_side.get(), drain(server_side.get()));
    client->step();
    return drain(client_side.get());
  }

  void establish() {
    IoResult last{Io::WantRead};
    while (last.state == Io::WantRead) {
      put(server_side.get(), exchange());
      last = server->handshake();
    }
    REQUIRE(last.state == Io::Ok);
    (void)exchange();
  }

  // Ciphertext of `text`.
  std::string encrypted(std::string_view text) {
    client->write(text);
    return drain(client_side.get());
  }

  net::Fd client_side, server_side, server_fd;
  std::unique_ptr<TestClient> client;
  std::unique_ptr<Session> server;
};

TEST_CASE("bytes that come one at a time make the same handshake and data") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(version);
    Served served;
    Relayed relayed{served, {.max_version = version}};
    IoResult last{Io::WantRead};
    for (int flight = 0; flight < 4 && last.state == Io::WantRead; ++flight) {
      for (const char byte : relayed.exchange()) {
        REQUIRE(last.state == Io::WantRead);
        put(relayed.server_side.get(), {&byte, 1});
        relayed.server->onReadable(false);
        last = relayed.server->handshake();
      }
    }
    REQUIRE(last.state == Io::Ok);
    CHECK(served.resolver.asked.size() == 1);
    (void)relayed.exchange();

    std::string wire = relayed.encrypted("GET / HTTP/1.1\r\n\r\n");
    wire += relayed.encrypted("body");
    std::string got;
    for (const char byte : wire) {
      put(relayed.server_side.get(), {&byte, 1});
      relayed.server->onReadable(false);
      Io end{};
      got += readAll(*relayed.server, end, 7);
      REQUIRE(end == Io::WantRead);
      CHECK_FALSE(relayed.server->hasPending());
    }
    CHECK(got == "GET / HTTP/1.1\r\n\r\nbody");
  }
}

TEST_CASE("a large answer passes through a small socket buffer, a piece at a time") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(version);
    Served served;
    auto [fd, server, client] = served.established({.max_version = version}, 4096);
    const std::string sent = pattern(3'000'000);
    std::string_view rest = sent;
    std::string got;
    int blocked = 0;
    while (!rest.empty() || server->wantsFlush()) {
      const IoResult result =
          rest.empty() ? server->flush() : server->write(rest.data(), rest.size());
      if (result.state == Io::WantWrite) {
        ++blocked;
        CHECK(result.bytes == 0);
        CHECK(server->wantsFlush());
        got += client->readAll();
        continue;
      }
      REQUIRE(result.state == Io::Ok);
      if (!rest.empty()) rest.remove_prefix(result.bytes);
    }
    got += client->readAll();
    CHECK(blocked > 10);
    CHECK(got.size() == sent.size());
    CHECK(got == sent);
  }
}

TEST_CASE("a handshake goes on when its flight does not fit into the socket buffer") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(version);
    Served served;
    std::string chain;
    for (int i = 0; i < 60; ++i) chain += served.made.chain;
    const auto context = contextOf({{chain, served.made.key}});
    served.resolver.table = {{"*", context.get()}};
    auto [fd, server, client] = served.connect({.max_version = version}, 4096);
    client->step();
    CHECK(server->handshake().state == Io::WantRead);
    CHECK(server->wantsFlush());
    CHECK(shakeHands(*server, *client).state == Io::Ok);
    CHECK(client->chainLength() == 60);
  }
}

TEST_CASE("a large upload is read in pieces of any size") {
  for (const std::size_t step :
       {std::size_t{1}, std::size_t{1000}, std::size_t{16384}, std::size_t{65536}}) {
    CAPTURE(step);
    Served served;
    auto [fd, server, client] = served.established();
    const std::string sent = pattern(step == 1 ? 40'000 : 600'000);
    std::string got;
    for (std::size_t at = 0; at < sent.size(); at += 50'000) {
      client->write(std::string_view(sent).substr(at, 50'000));
      Io last{};
      got += readAll(*server, last, step);
      CHECK(last == Io::WantRead);
      CHECK_FALSE(server->hasPending());
    }
    CHECK(got == sent);
  }
}

TEST_CASE("sessions that take turns in the shared buffer keep their own bytes") {
  Served served;
  auto a = served.established();
  auto b = served.established();
  const std::string sent_a = pattern(60'000);
  const std::string sent_b = pattern(60'000).substr(7) + "1234567";
  a.client->write(sent_a);
  b.client->write(sent_b);
  std::string got_a;
  std::string got_b;
  char buffer[1000];
  for (bool more = true; more;) {
    more = false;
    for (auto [session, got] :
         {std::pair{a.server.get(), &got_a}, std::pair{b.server.get(), &got_b}}) {
      const IoResult result = session->read(buffer, sizeof(buffer));
      if (result.state != Io::Ok) continue;
      got->append(buffer, result.bytes);
      more = true;
    }
  }
  CHECK(got_a == sent_a);
  CHECK(got_b == sent_b);

  // One that ends while its bytes lie in the shared buffer leaves nothing to the next.
  a.client->write(sent_a);
  REQUIRE(a.server->read(buffer, sizeof(buffer)).state == Io::Ok);
  CHECK(a.server->hasPending());
  a.server.reset();
  b.client->write("after");
  Io last{};
  CHECK(readAll(*b.server, last) == "after");
}

TEST_CASE("a close is told from a truncation by where the end falls") {
  struct Row {
    const char* name;
    std::size_t kept;  // bytes of the last record that arrive
    bool close_notify;
    Io expected;
  };
  const Row rows[] = {{"close_notify", 0, true, Io::Closed},
                      {"end between records", 0, false, Io::Closed},
                      {"end inside a header", 3, false, Io::Failed},
                      {"end after a header", 5, false, Io::Failed},
                      {"end inside a body", 20, false, Io::Failed}};
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const Row& row : rows) {
      CAPTURE(version);
      CAPTURE(row.name);
      Served served;
      Relayed relayed{served, {.max_version = version}};
      relayed.establish();
      std::string wire = relayed.encrypted("complete");
      if (!row.close_notify) wire += relayed.encrypted("partial").substr(0, row.kept);
      if (row.close_notify) {
        relayed.client->closeNotify();
        wire += drain(relayed.client_side.get());
      }
      put(relayed.server_side.get(), wire);
      REQUIRE(::shutdown(relayed.server_side.get(), SHUT_WR) == 0);
      relayed.server->onReadable(true);
      Io last{};
      CHECK(readAll(*relayed.server, last) == "complete");
      CHECK(last == row.expected);
      if (row.expected == Io::Failed) CHECK(relayed.server->lastError() == "truncated record");
      char byte;
      CHECK(relayed.server->read(&byte, 1).state == row.expected);
      CHECK_FALSE(relayed.server->hasPending());
    }
  }
}

TEST_CASE("a record that was tampered with fails the session, and the peer is told") {
  Served served;
  Relayed relayed{served};
  relayed.establish();
  std::string wire = relayed.encrypted("authentic");
  wire.back() = static_cast<char>(wire.back() ^ 1);
  put(relayed.server_side.get(), wire);
  char buffer[64];
  CHECK(relayed.server->read(buffer, sizeof(buffer)).state == Io::Failed);
  CHECK(relayed.server->lastError() == "decryption failed or bad record mac");
  (void)relayed.exchange();
  (void)relayed.client->readAll();
  CHECK(relayed.client->error() == "sslv3 alert bad record mac");
  CHECK(relayed.server->write("x", 1).state == Io::Failed);
}

TEST_CASE("a reset connection fails reads and writes") {
  Served served;
  auto [fd, server, client] = served.established();
  REQUIRE(server->write("unread", 6).state == Io::Ok);
  client->closeSocket();  // with unread bytes: ECONNRESET
  char byte;
  CHECK(server->read(&byte, 1).state == Io::Failed);
  CHECK(server->lastError() == "connection reset");
  CHECK(server->write("x", 1).state == Io::Failed);
  CHECK(server->flush().state == Io::Failed);
}

TEST_CASE("after a short read the socket is left alone until its next event") {
  Served served;
  auto [fd, server, client] = served.established();
  Io last{};
  server->onReadable(false);
  client->write("one");
  CHECK(readAll(*server, last) == "one");
  client->write("two");
  CHECK(readAll(*server, last) == "");
  CHECK(last == Io::WantRead);
  server->onReadable(false);
  CHECK(readAll(*server, last) == "two");
}

TEST_CASE("without events a session asks the socket every time") {
  Served served;
  auto [fd, server, client] = served.established();
  Io last{};
  for (const char* text : {"one", "two"}) {
    client->write(text);
    CHECK(readAll(*server, last) == text);
    CHECK(last == Io::WantRead);
  }
}

TEST_CASE("an end that came with the last bytes is seen in the same wake-up") {
  Served served;
  auto [fd, server, client] = served.established();
  client->write("last words");
  client->endSocket();
  server->onReadable(true);
  Io last{};
  CHECK(readAll(*server, last) == "last words");
  CHECK(last == Io::Closed);
}

TEST_CASE("shutdown() sends close_notify, and reading goes on") {
  Served served;
  auto [fd, server, client] = served.established();
  server->shutdown();
  CHECK(client->readAll() == "");
  CHECK(client->error() == "close_notify");
  client->write("late");
  Io last{};
  CHECK(readAll(*server, last) == "late");
  Served::Connection fresh = served.connect();
  fresh.server->shutdown();  // before the handshake: nothing to end
  CHECK(drain(fresh.client->fd()) == "");
}

TEST_CASE("records are small at first and full later") {
  Served served;
  auto [fd, server, client] = served.established();
  const std::string sent = pattern(200'000);
  std::string_view rest = sent;
  std::vector<std::size_t> sizes;
  while (!rest.empty()) {
    const IoResult result = server->write(rest.data(), rest.size());
    REQUIRE(result.state == Io::Ok);
    CHECK(result.bytes <= 65536);
    rest.remove_prefix(result.bytes);
    for (const std::size_t size : recordSizes(drain(client->fd()))) sizes.push_back(size);
  }
  CHECK(sizes.front() == 4096);
  CHECK(sizes[11] == 4096);
  CHECK(sizes[12] == 16384);
  std::size_t total = 0;
  for (const std::size_t size : sizes) total += size;
  CHECK(total == sent.size());
}

TEST_CASE("pieces of a message share records, whatever their sizes") {
  const std::string big = pattern(70'000);
  const std::string_view head = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
  struct Row {
    const char* name;
    std::vector<std::string_view> pieces;
    std::size_t records;
  };
  const std::string_view view = big;
  const Row rows[] = {{"head and body", {head, "hello"}, 1},
                      {"one", {"hello"}, 1},
                      {"empty ones between", {"", head, "", "hello", ""}, 1},
                      {"nothing", {"", ""}, 0},
                      {"a record and a bit", {view.substr(0, 4096), "x"}, 2},
                      {"exactly a record", {view.substr(0, 4000), view.substr(4000, 96)}, 1},
                      {"head, then more than a record", {head, view.substr(0, 5000)}, 2},
                      {"more than one write takes", {head, view}, 0}};
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Served served;
    auto [fd, server, client] = served.established();
    std::string whole;
    for (const std::string_view piece : row.pieces) whole += piece;
    const IoResult result = server->write(row.pieces);
    REQUIRE(result.state == Io::Ok);
    CHECK(result.bytes == std::min<std::size_t>(whole.size(), 65536));
    if (row.records != 0) {
      char wire[70000];
      const ssize_t size = ::recv(client->fd(), wire, sizeof(wire), MSG_PEEK);
      REQUIRE(size > 0);
      CHECK(recordSizes({wire, static_cast<std::size_t>(size)}).size() == row.records);
    }
    CHECK(client->readAll() == whole.substr(0, result.bytes));
  }
}

TEST_CASE("one write leaves with one send, and one wake-up costs one receive") {
  // Sequenced packets keep the borders of sends. No client: the bytes themselves do not matter.
  Served served;
  Relayed relayed{served};
  relayed.establish();
  int packets[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, packets) == 0);
  const net::Fd ours{packets[0]};
  const net::Fd theirs{packets[1]};
  int large = 400'000;
  REQUIRE(::setsockopt(ours.get(), SOL_SOCKET, SO_SNDBUF, &large, sizeof(large)) == 0);
  REQUIRE(::dup2(ours.get(), relayed.server_fd.get()) == relayed.server_fd.get());
  const std::string body = pattern(60'000);
  const std::string_view pieces[] = {"head", body, "tail"};
  REQUIRE(relayed.server->write(pieces).bytes == body.size() + 8);
  char wire[100'000];
  const ssize_t size = ::recv(theirs.get(), wire, sizeof(wire), 0);
  CHECK(size > static_cast<ssize_t>(body.size()));
  CHECK(::recv(theirs.get(), wire, sizeof(wire), 0) == -1);

  // Two packets wait; a session that knows of one event takes one of them.
  const std::string first = relayed.encrypted("first");
  put(theirs.get(), first);
  put(theirs.get(), relayed.encrypted("second"));
  relayed.server->onReadable(false);
  Io last{};
  CHECK(readAll(*relayed.server, last) == "first");
  relayed.server->onReadable(false);
  CHECK(readAll(*relayed.server, last) == "second");
}

}  // namespace
}  // namespace hyperway::tls
