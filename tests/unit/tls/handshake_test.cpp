// SPDX-License-Identifier: Apache-2.0
// What a handshake accepts and refuses.
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string_view>

#include "served.hpp"

namespace hyperway::tls {
namespace {

using namespace testing;

TEST_CASE("TLS 1.2 and 1.3 handshakes end with data both ways") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(version);
    Served served;
    auto [fd, server, client] =
        served.established({.min_version = version, .max_version = version});
    CHECK(server->version() == (version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3"));
    CHECK(server->sni() == "demo.test");
    CHECK(server->alpn() == "");
    CHECK(client->serverName() == "demo.test");
    client->write("ping");
    Io last{};
    CHECK(readAll(*server, last) == "ping");
    CHECK(last == Io::WantRead);
    const IoResult written = server->write("pong", 4);
    CHECK(written.state == Io::Ok);
    CHECK(written.bytes == 4);
    CHECK_FALSE(server->wantsFlush());
    CHECK(client->readAll() == "pong");
  }
}

TEST_CASE("versions below the least are refused: TLS 1.1 always, TLS 1.2 where 1.3 is asked for") {
  struct Row {
    int version;
    bool min_tls13;
    bool served;
  };
  for (const Row& row : {Row{TLS1_1_VERSION, false, false}, Row{TLS1_VERSION, false, false},
                         Row{TLS1_2_VERSION, false, true}, Row{TLS1_2_VERSION, true, false},
                         Row{TLS1_3_VERSION, true, true}}) {
    CAPTURE(row.version);
    CAPTURE(row.min_tls13);
    ContextOptions options;
    options.min_tls13 = row.min_tls13;
    Served served{options};
    auto [fd, server, client] =
        served.connect({.min_version = row.version, .max_version = row.version});
    const IoResult result = shakeHands(*server, *client);
    CHECK(result.state == (row.served ? Io::Ok : Io::Failed));
    if (row.served) continue;
    CHECK(client->error() == "tlsv1 alert protocol version");
    CHECK(server->lastError() == "unsupported protocol");
  }
}

TEST_CASE("the name decides about the certificate, in any case, and is asked for once") {
  Served served;
  const MadeCertificate other = makeCertificate({.names = {"other.test"}});
  const auto other_context = contextOf({other.pair()});
  const MadeCertificate fallback = makeCertificate({.names = {"default.test"}});
  const auto default_context = contextOf({fallback.pair()});
  served.resolver.table = {{"demo.test", served.context.get()},
                           {"other.test", other_context.get()},
                           {"", default_context.get()}};
  struct Row {
    const char* sni;
    const char* asked;
    const char* certificate;
  };
  // X25519 is in the first flight; P-521 first costs a HelloRetryRequest and a second ClientHello.
  for (const char* groups : {"X25519", "P-521:X25519"}) {
    for (const Row& row :
         {Row{"demo.test", "demo.test", "demo.test"}, Row{"OTHER.Test", "other.test", "other.test"},
          Row{"", "", "default.test"}}) {
      CAPTURE(groups);
      CAPTURE(row.sni);
      served.resolver.asked.clear();
      auto [fd, server, client] = served.connect({.sni = row.sni, .groups = groups});
      CHECK(shakeHands(*server, *client).state == Io::Ok);
      CHECK(served.resolver.asked == std::vector<std::string>{row.asked});
      CHECK(server->sni() == row.asked);
      CHECK(client->serverName() == row.certificate);
    }
  }
}

TEST_CASE("a name without certificate is refused with unrecognized_name") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const char* sni : {"unknown.test", ""}) {
      CAPTURE(version);
      CAPTURE(sni);
      Served served;
      served.resolver.table = {{"demo.test", served.context.get()}};
      auto [fd, server, client] = served.connect({.sni = sni, .max_version = version});
      CHECK(shakeHands(*server, *client).state == Io::Failed);
      CHECK(client->error() == "tlsv1 unrecognized name");
      CHECK(server->lastError() == "no certificate for this server name");
      CHECK(served.resolver.asked.size() == 1);
      CHECK(server->handshake().state == Io::Failed);
    }
  }
}

TEST_CASE("ALPN: the server's order counts, no overlap is refused, none offered is fine") {
  struct Row {
    std::vector<std::string> ours, theirs;
    const char* chosen;  // null: refused
  };
  const Row rows[] = {
      {{"h2", "http/1.1"}, {"http/1.1", "h2"}, "h2"},
      {{"h2", "http/1.1"}, {"http/1.1"}, "http/1.1"},
      {{"http/1.1"}, {"h2", "http/1.1"}, "http/1.1"},
      {{"http/1.1"}, {"h2"}, nullptr},
      {{"http/1.1"}, {"http/1.0", "http/1.1x"}, nullptr},
      {{"http/1.1"}, {}, ""},
      {{}, {"h2"}, ""},
  };
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const Row& row : rows) {
      CAPTURE(version);
      CAPTURE(row.chosen);
      ContextOptions options;
      options.alpn = row.ours;
      Served served{options};
      auto [fd, server, client] = served.connect({.alpn = row.theirs, .max_version = version});
      const IoResult result = shakeHands(*server, *client);
      CHECK(result.state == (row.chosen != nullptr ? Io::Ok : Io::Failed));
      if (row.chosen != nullptr) {
        CHECK(server->alpn() == row.chosen);
        CHECK(client->alpn() == row.chosen);
      } else {
        CHECK(client->error() == "tlsv1 alert no application protocol");
        CHECK(server->lastError() == "no application protocol");
      }
    }
  }
}

TEST_CASE("RSA-only and ECDSA-only clients are served from one context, ECDSA first") {
  Served served;
  const MadeCertificate rsa = makeCertificate({.kind = "RSA-2048"});
  const auto both = contextOf({rsa.pair(), served.made.pair()});
  served.resolver.table = {{"*", both.get()}};
  struct Row {
    int version;
    const char* signatures;
    const char* suites12;
    int kind;
  };
  for (const Row& row : {
           Row{TLS1_3_VERSION, "rsa_pss_rsae_sha256", "", EVP_PKEY_RSA},
           Row{TLS1_3_VERSION, "ecdsa_secp256r1_sha256", "", EVP_PKEY_EC},
           Row{TLS1_3_VERSION, "rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256", "", EVP_PKEY_EC},
           Row{TLS1_2_VERSION, "RSA+SHA256", "ECDHE-RSA-AES128-GCM-SHA256", EVP_PKEY_RSA},
           Row{TLS1_2_VERSION, "ECDSA+SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256", EVP_PKEY_EC},
           Row{TLS1_2_VERSION, "", "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256",
               EVP_PKEY_EC},
       }) {
    CAPTURE(row.version);
    CAPTURE(row.signatures);
    auto [fd, server, client] = served.connect(
        {.max_version = row.version, .signatures = row.signatures, .suites12 = row.suites12});
    const IoResult result = shakeHands(*server, *client);
    CAPTURE(server->lastError());
    REQUIRE(result.state == Io::Ok);
    CHECK(client->serverKeyKind() == row.kind);
  }
}

TEST_CASE("certificates of every supported kind shake hands, and the chain is sent") {
  for (const char* kind : {"RSA-2048", "P-256", "P-384", "P-521", "ED25519"}) {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      CAPTURE(kind);
      CAPTURE(version);
      Served served;
      const MadeCertificate leaf = makeCertificate({.kind = kind});
      const auto context = contextOf({{leaf.chain + served.made.chain, leaf.key}});
      served.resolver.table = {{"*", context.get()}};
      auto [fd, server, client] = served.connect({.max_version = version});
      const IoResult result = shakeHands(*server, *client);
      CAPTURE(server->lastError());
      REQUIRE(result.state == Io::Ok);
      CHECK(client->chainLength() == 2);
    }
  }
}

TEST_CASE("weak suites and SHA-1 signatures are refused") {
  struct Row {
    const char* signatures;
    const char* suites12;
    const char* reason;
  };
  for (const Row& row :
       {Row{"RSA+SHA1:ECDSA+SHA1", "", "no shared signature algorithms"},
        Row{"", "AES128-SHA:AES128-GCM-SHA256", "no shared cipher"},
        Row{"", "ECDHE-ECDSA-AES128-SHA256:DHE-RSA-AES128-GCM-SHA256", "no shared cipher"}}) {
    CAPTURE(row.reason);
    Served served;
    auto [fd, server, client] = served.connect(
        {.max_version = TLS1_2_VERSION, .signatures = row.signatures, .suites12 = row.suites12});
    CHECK(shakeHands(*server, *client).state == Io::Failed);
    CHECK(server->lastError() == row.reason);
  }
}

TEST_CASE("plain HTTP and noise on a TLS port fail with a reason") {
  using std::string_view_literals::operator""sv;
  struct Row {
    std::string_view sent;
    std::string_view reason;
  };
  for (const Row& row : {Row{"GET / HTTP/1.1\r\nHost: a\r\n\r\n"sv, "http request"},
                         Row{"SSH-2.0-OpenSSH_9.2\r\n"sv, "wrong version number"},
                         Row{"\x16\x03\x01\x00\x04\x02\x00\x00\x00"sv, "unexpected message"}}) {
    CAPTURE(row.reason);
    Served served;
    const SocketEnds ends = makeSockets();
    const auto server = Session::accept(ends.server.get(), served.resolver, served.shared);
    const auto size = static_cast<ssize_t>(row.sent.size());
    REQUIRE(::write(ends.client.get(), row.sent.data(), row.sent.size()) == size);
    CHECK(server->handshake().state == Io::Failed);
    CHECK(server->lastError() == row.reason);
    CHECK(served.resolver.asked.empty());
  }
}

TEST_CASE(
    "a peer that goes before its first byte is Closed, one that goes amid the handshake Failed") {
  Served served;
  SUBCASE("nothing sent") {
    auto [fd, server, client] = served.connect();
    CHECK(server->handshake().state == Io::WantRead);
    client->closeSocket();
    CHECK(server->handshake().state == Io::Closed);
    CHECK(server->handshake().state == Io::Closed);
  }
  SUBCASE("after the ClientHello") {
    auto [fd, server, client] = served.connect();
    client->step();
    CHECK(server->handshake().state == Io::WantRead);
    client->endSocket();
    CHECK(server->handshake().state == Io::Failed);
    CHECK(server->lastError() == "connection closed in the handshake");
  }
}

TEST_CASE("renegotiation is refused") {
  Served served;
  auto [fd, server, client] = served.established({.max_version = TLS1_2_VERSION});
  REQUIRE(SSL_renegotiate(client->native()) == 1);
  client->step();
  char buffer[64];
  CHECK(server->read(buffer, sizeof(buffer)).state != Io::Ok);
  client->step();
  CHECK(client->error() == "no renegotiation");
  CHECK(served.resolver.asked.size() == 1);
}

// The session that a client could resume, once it has read what follows the handshake.
SSL_SESSION* sessionOf(Served::Connection& connection) {
  REQUIRE(connection.server->write("x", 1).state == Io::Ok);
  CHECK(connection.client->readAll() == "x");
  connection.client->write("y");
  Io last{};
  CHECK(readAll(*connection.server, last) == "y");
  return SSL_get1_session(connection.client->native());
}

TEST_CASE("nothing is resumed unless tickets are allowed") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const bool tickets : {false, true}) {
      CAPTURE(version);
      CAPTURE(tickets);
      ContextOptions options;
      options.tickets = tickets;
      Served served{options};
      auto first = served.established({.max_version = version});
      SSL_SESSION* session = sessionOf(first);
      auto second = served.established({.max_version = version, .resume = session});
      CHECK(SSL_session_reused(second.client->native()) == (tickets ? 1 : 0));
      CHECK(served.resolver.asked.size() == 2);
      SSL_SESSION_free(session);
    }
  }
}

TEST_CASE("a ticket is good for the context that gave it and no other") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(version);
    ContextOptions options;
    options.tickets = true;
    options.session_id_context = "listener-a";
    Served served{options};
    const auto rotated = contextOf({served.made.pair()}, options);
    options.session_id_context = "listener-b";
    const auto other = contextOf({served.made.pair()}, options);
    options.tickets = false;
    const auto without = contextOf({served.made.pair()}, options);
    auto first = served.established({.max_version = version});
    SSL_SESSION* session = sessionOf(first);
    for (const Context* context : {rotated.get(), other.get(), without.get()}) {
      served.resolver.table = {{"*", context}};
      auto next = served.established({.max_version = version, .resume = session});
      CHECK(SSL_session_reused(next.client->native()) == 0);
    }
    SSL_SESSION_free(session);
  }
}

TEST_CASE("a context that is replaced goes on for the sessions that have it") {
  ContextOptions options;
  options.alpn = {"http/1.1"};
  Served served{options};
  auto live = served.established();

  // The other one has sent a ClientHello that costs a second one, when its context goes.
  auto halfway = served.connect({.alpn = {"http/1.1"}, .groups = "P-521:X25519"});
  halfway.client->step();
  REQUIRE(halfway.server->handshake().state == Io::WantRead);
  served.resolver.table.clear();
  served.context.reset();

  CHECK(shakeHands(*halfway.server, *halfway.client).state == Io::Ok);
  CHECK(halfway.server->alpn() == "http/1.1");
  for (auto* connection : {&live, &halfway}) {
    connection->client->write("still here");
    Io last{};
    CHECK(readAll(*connection->server, last) == "still here");
    REQUIRE(connection->server->write("yes", 3).state == Io::Ok);
    CHECK(connection->client->readAll() == "yes");
  }
}

}  // namespace
}  // namespace hyperway::tls
