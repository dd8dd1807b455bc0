// SPDX-License-Identifier: Apache-2.0
// Attempts of streams at backends that are not there.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "stream_world.hpp"

namespace hyperway::proxy {
namespace {

using stream_world::CreditLink;
using stream_world::World;

}  // namespace

TEST_CASE("an attempt whose time ends before its connection is up goes to another endpoint") {
  for (const http::Method method : {http::Method::Get, http::Method::Post}) {
    const std::string name = method == http::Method::Get ? "GET" : "POST";
    CAPTURE(name);
    // A queue that is full: connections to it stay on the way.
    const net::Fd full = *net::listenTcp(*net::SocketAddress::parse("127.0.0.1", 0), false, 0);
    const net::SocketAddress lost = net::localAddress(full.get());
    std::vector<net::Fd> fillers;
    for (int i = 0; i < 4; ++i) fillers.push_back(*net::connectTcp(lost));
    World world([&](route::ModelBatch& batch, route::Rule& rule) {
      rule.backend_timeout = std::chrono::milliseconds(200);
      auto& endpoints = batch.upstreams[0].endpoints;
      endpoints.push_back({"127.0.0.1", lost.port()});
      std::sort(endpoints.begin(), endpoints.end());
    });
    for (int i = 0; i < 4; ++i) {
      CreditLink link(1000);
      link.events = world.worker().openStream(link);
      http::RequestHead& head = link.events->requestHead();
      head.method = name;
      head.method_id = method;
      head.authority = head.host = "a.test";
      head.path = "/";
      link.events->onRequestHead(true);
      if (link.events != nullptr) link.events->onRequestFlush();
      std::string request;
      const net::Fd connection = world.accept(request);
      CHECK(request.starts_with(name + " / HTTP/1.1\r\n"));
      constexpr std::string_view kAnswer =
          "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
      CHECK(World::write(connection, kAnswer) == kAnswer.size());
      CHECK(world.until([&] { return link.complete; }));
      CHECK(link.status == 200);
    }
    CHECK(world.worker().counters().ejections.get() == 1);
  }
}

}  // namespace hyperway::proxy
