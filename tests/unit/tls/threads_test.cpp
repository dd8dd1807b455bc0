// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "served.hpp"

namespace hyperway::tls {
namespace {

using namespace testing;

TEST_CASE("workers share one context, each with buffers of its own") {
  const MadeCertificate made = makeCertificate();
  ContextOptions options;
  options.tickets = true;
  std::shared_ptr<const Context> context = contextOf({made.pair()}, options);
  constexpr int kHandshakes = 20;
  std::atomic<int> served{0};
  std::thread workers[2];
  for (auto& worker : workers) {
    worker = std::thread{[&served, context] {
      SharedBuffers shared;
      TableResolver resolver;
      resolver.table = {{"*", context.get()}};
      for (int i = 0; i < kHandshakes; ++i) {
        SocketEnds ends = makeSockets();
        const auto server = Session::accept(ends.server.get(), resolver, shared);
        TestClient client{std::move(ends.client), {.alpn = {"http/1.1"}}};
        if (shakeHands(*server, client).state != Io::Ok) continue;
        if (server->write("x", 1).state == Io::Ok && client.readAll() == "x") ++served;
      }
    }};
  }
  context.reset();  // the workers' copies are the last
  for (auto& worker : workers) worker.join();
  CHECK(served == 2 * kHandshakes);
}

}  // namespace
}  // namespace hyperway::tls
