// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "certificates.hpp"
#include "test_client.hpp"

namespace hyperway::tls::testing {

/// A context for the test, or the test fails.
[[nodiscard]] inline std::shared_ptr<const Context> contextOf(const std::vector<KeyPair>& pairs,
                                                              const ContextOptions& options = {}) {
  auto context = Context::create(pairs, options);
  REQUIRE_MESSAGE(context.has_value(), (context ? "" : context.error()));
  return *context;
}

/// A server with one certificate for every name, and connections to it.
struct Served {
  /// One ECDSA certificate for "demo.test", as all names get it.
  explicit Served(const ContextOptions& options = {}) : made(makeCertificate()) {
    context = contextOf({made.pair()}, options);
    resolver.table = {{"*", context.get()}};
  }

  /// One connection. The client's end may be taken away before the client is made.
  struct Connection {
    net::Fd server_fd;
    std::unique_ptr<Session> server;
    std::unique_ptr<TestClient> client;
  };

  /// A connection whose handshake has not begun.
  [[nodiscard]] Connection connect(const ClientOptions& options = {}, int buffer_bytes = 0) {
    SocketEnds ends = makeSockets(buffer_bytes);
    Connection out;
    out.server = Session::accept(ends.server.get(), resolver, shared);
    REQUIRE(out.server != nullptr);
    out.server_fd = std::move(ends.server);
    out.client = std::make_unique<TestClient>(std::move(ends.client), options);
    return out;
  }

  /// A connection whose handshake is done on both sides.
  [[nodiscard]] Connection established(const ClientOptions& options = {}, int buffer_bytes = 0) {
    Connection out = connect(options, buffer_bytes);
    REQUIRE(shakeHands(*out.server, *out.client).state == Io::Ok);
    return out;
  }

  MadeCertificate made;
  std::shared_ptr<const Context> context;
  TableResolver resolver;
  SharedBuffers shared;
};

/// Reads until there is no more; `last` is the outcome that ended it.
[[nodiscard]] inline std::string readAll(Session& session, Io& last, std::size_t step = 4096) {
  std::string out;
  std::vector<char> buffer(step);
  for (;;) {
    const IoResult result = session.read(buffer.data(), buffer.size());
    last = result.state;
    if (result.state != Io::Ok) return out;
    out.append(buffer.data(), result.bytes);
  }
}

/// Bytes that repeat late enough to show a block that is lost, doubled or out of place.
[[nodiscard]] inline std::string pattern(std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>((i * 2654435761U) >> 13);
  return out;
}

}  // namespace hyperway::tls::testing
