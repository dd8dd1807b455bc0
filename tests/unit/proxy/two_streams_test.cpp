// SPDX-License-Identifier: Apache-2.0
// ARCHITECTURE decision 16: the stream layer is written for many streams on one connection with
// flow control. Shown here with a codec that exists for this test only: two interleaved streams,
// each with credits of its own.
#include <doctest/doctest.h>
#include <sys/socket.h>

#include <string>
#include <utility>

#include "stream_world.hpp"

namespace hyperway::proxy {
namespace {

using stream_world::CreditLink;
using stream_world::World;

constexpr std::string_view kSmall = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

TEST_CASE("a stream without credits does not hold up the other one on its connection") {
  World world;
  CreditLink a(1000);
  CreditLink b(1000);
  world.open(a, "/a");
  world.open(b, "/b");
  std::string request_a;
  std::string request_b;
  net::Fd first = world.accept(request_a);
  net::Fd second = world.accept(request_b);
  CHECK(request_a.starts_with("GET /a HTTP/1.1\r\n"));
  CHECK(request_b.starts_with("GET /b HTTP/1.1\r\n"));

  const std::string body(5'000'000, 'x');
  std::string answer =
      "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  std::size_t written = World::write(first, answer);
  CHECK(world.until([&] { return a.queued() > 0; }));
  CHECK(World::write(second, kSmall) == kSmall.size());
  CHECK(world.until([&] { return b.complete; }));
  CHECK(b.received == "ok");
  CHECK_FALSE(a.complete);
  CHECK(a.received.size() == 1000);

  // While A has no credits its backend is not read either: what waits is bounded, and written bytes
  // stop somewhere.
  std::size_t before = 0;
  do {
    before = written;
    for (int i = 0; i < 20; ++i) world.worker().loop.turn(1);
    written += World::write(first, std::string_view(answer).substr(written));
  } while (written != before);
  CHECK(written < answer.size());
  CHECK(a.most_queued <= 64 * 1024);

  CHECK(world.until([&] {
    a.grant(100'000);
    written += World::write(first, std::string_view(answer).substr(written));
    return a.complete;
  }));
  CHECK(a.received == body);
  CHECK(a.most_queued <= 64 * 1024);
  CHECK(a.events == nullptr);
}

TEST_CASE("one stream that breaks off leaves the other alone") {
  World world;
  CreditLink a(1000);
  CreditLink b(1000);
  world.open(a, "/a");
  world.open(b, "/b");
  std::string request;
  net::Fd first = world.accept(request);
  request.clear();
  net::Fd second = world.accept(request);
  CHECK(World::write(first, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf") > 0);
  CHECK(world.until([&] { return a.received == "half"; }));
  first.reset();
  CHECK(world.until([&] { return a.aborted; }));
  CHECK_FALSE(a.complete);
  CHECK(World::write(second, kSmall) == kSmall.size());
  CHECK(world.until([&] { return b.complete; }));
  CHECK(b.status == 200);
  CHECK_FALSE(b.aborted);
}

TEST_CASE("requests of one turn are routed at its end, whatever happened to them until then") {
  World world;
  CreditLink gone(1000);
  CreditLink stays(1000);
  CreditLink lost(1000);
  world.open(gone, "/gone");
  world.open(stays, "/stays");
  world.open(lost, "/lost");
  CHECK(stays.events != nullptr);
  std::exchange(gone.events, nullptr)->onClientGone();
  world.replaceTable();  // what was looked up ahead lies in the table that goes
  std::exchange(lost.events, nullptr)->onClientGone();
  std::string request;
  net::Fd connection = world.accept(request);
  CHECK(request.starts_with("GET /stays HTTP/1.1\r\n"));
  CHECK(World::write(connection, kSmall) == kSmall.size());
  CHECK(world.until([&] { return stays.complete; }));
  CHECK(stays.received == "ok");
  CHECK(world.worker().busy() == 0);
}

TEST_CASE("a client stream that goes away takes only its own exchange along") {
  World world;
  CreditLink a(1000);
  CreditLink b(1000);
  world.open(a, "/a");
  world.open(b, "/b");
  std::string request;
  net::Fd first = world.accept(request);
  request.clear();
  net::Fd second = world.accept(request);
  std::exchange(a.events, nullptr)->onClientGone();
  char byte = 0;
  CHECK(world.until(
      [&] { return ::recv(first.get(), &byte, 1, 0) == 0; }));  // its backend connection is closed
  CHECK(World::write(second, kSmall) == kSmall.size());
  CHECK(world.until([&] { return b.complete; }));
}

}  // namespace
}  // namespace hyperway::proxy
