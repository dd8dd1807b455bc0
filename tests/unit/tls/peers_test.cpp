// SPDX-License-Identifier: Apache-2.0
// Sessions that we begin, and clients that are asked for a certificate: whom each side trusts.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "served.hpp"
#include "tls/client_context.hpp"
#include "tls/trust_store.hpp"

namespace hyperway::tls {
namespace {

using namespace testing;

std::shared_ptr<const TrustStore> trustOf(const std::vector<std::string_view>& bundles) {
  auto store = TrustStore::create(bundles);
  REQUIRE_MESSAGE(store.has_value(), (store ? "" : store.error()));
  return *store;
}

std::shared_ptr<const ClientContext> clientOf(const std::string& bundle,
                                              const MadeCertificate* own = nullptr) {
  const KeyPair pair = own != nullptr ? own->pair() : KeyPair{};
  auto context = ClientContext::create(*trustOf({bundle}), own != nullptr ? &pair : nullptr);
  REQUIRE_MESSAGE(context.has_value(), (context ? "" : context.error()));
  return *context;
}

const MadeCertificate& authority() {
  static const MadeCertificate made = makeCertificate({.names = {"ca"}, .authority = true});
  return made;
}

/// Both sides of a connection, ours.
struct Pair {
  Pair(const std::shared_ptr<const Context>& served, const ClientContext& client_context,
       PeerName peer_name)
      : context(served), peer(std::move(peer_name)), ends(makeSockets()) {
    resolver.table = {{"*", context.get()}};
    server = Session::accept(ends.server.get(), resolver, shared);
    client = Session::connect(ends.client.get(), client_context, peer, shared);
    REQUIRE(server != nullptr);
    REQUIRE(client != nullptr);
    for (int round = 0; round < 20 && !settled(); ++round) {
      if (of_client.state == Io::WantRead) of_client = client->handshake();
      if (of_server.state == Io::WantRead) of_server = server->handshake();
    }
  }
  [[nodiscard]] bool settled() const {
    return of_client.state != Io::WantRead && of_server.state != Io::WantRead;
  }
  [[nodiscard]] bool fine() const { return of_client.state == Io::Ok && of_server.state == Io::Ok; }

  std::shared_ptr<const Context> context;
  PeerName peer;
  SocketEnds ends;
  TableResolver resolver;
  SharedBuffers shared;
  std::unique_ptr<Session> server, client;
  IoResult of_client{Io::WantRead}, of_server{Io::WantRead};
};

TEST_CASE("a session that we begin asks for the name and finds it in the certificate") {
  struct Row {
    std::vector<std::string> names, uris;
    PeerName peer;
    bool good;
  };
  const std::string id = "spiffe://a.test/b";
  for (const Row& row : {Row{{"a.test"}, {}, {"a.test", {}, {}}, true},
                         Row{{"A.Test"}, {}, {"a.test", {}, {}}, true},
                         Row{{"b.test", "a.test"}, {}, {"a.test", {}, {}}, true},
                         Row{{"*.c.test"}, {}, {"a.c.test", {}, {}}, true},
                         Row{{"*.c.test"}, {}, {"b.a.c.test", {}, {}}, false},
                         Row{{"*.c.test"}, {}, {"c.test", {}, {}}, false},
                         Row{{"a*.c.test"}, {}, {"ab.c.test", {}, {}}, false},
                         Row{{"*.test"}, {}, {"a.test", {}, {}}, false},
                         Row{{"b.test"}, {}, {"a.test", {}, {}}, false},
                         Row{{"b.test"}, {}, {"a.test", {"b.test"}, {}}, true},
                         Row{{"a.test"}, {}, {"a.test", {"b.test"}, {}}, false},
                         Row{{"*.c.test"}, {}, {"a.test", {"*.c.test"}, {}}, true},
                         Row{{"b.c.test"}, {}, {"a.test", {"*.c.test"}, {}}, false},
                         Row{{}, {id}, {"a.test", {}, {id}}, true},
                         Row{{"a.test"}, {id + "c"}, {"a.test", {}, {id}}, false},
                         Row{{"a.test"}, {}, {"a.test", {}, {"a.test"}}, false},
                         Row{{"c.test"}, {"x:y", id}, {"a.test", {"b.test"}, {id}}, true}}) {
    CAPTURE(row.peer.hostname);
    CAPTURE(row.good);
    const auto made =
        makeCertificate({.names = row.names, .uris = row.uris, .issuer = &authority()});
    Pair pair(contextOf({made.pair()}), *clientOf(authority().chain), row.peer);
    CAPTURE(pair.client->lastError());
    CHECK(pair.fine() == row.good);
    CHECK(pair.server->sni() == row.peer.hostname);
    CHECK(pair.client->peerRefused() != row.good);
    if (!row.good) CHECK(pair.client->lastError() == "hostname mismatch");
    if (row.good) CHECK(pair.client->alpn() == "http/1.1");
  }
}

TEST_CASE("the common name of a certificate is no name of a host") {
  const auto made = makeCertificate({.names = {}, .common_name = "a.test", .issuer = &authority()});
  Pair pair(contextOf({made.pair()}), *clientOf(authority().chain), {"a.test", {}, {}});
  CHECK_FALSE(pair.fine());
}

TEST_CASE("a certificate is good if it leads to an anchor in time; each anchor counts by itself") {
  const auto other = makeCertificate({.names = {"other"}, .authority = true});
  const auto middle =
      makeCertificate({.names = {"middle"}, .authority = true, .issuer = &authority()});
  const auto direct = makeCertificate({.names = {"a.test"}, .issuer = &authority()});
  const auto deep = makeCertificate({.names = {"a.test"}, .issuer = &middle});
  const auto ended =
      makeCertificate({.names = {"a.test"}, .not_after_seconds = -60, .issuer = &authority()});
  const auto alone = makeCertificate({.names = {"a.test"}});
  const std::string with_chain = deep.chain + middle.chain;
  struct Row {
    const char* what;
    KeyPair served;
    std::string bundle;
    const char* error;
  };
  for (const Row& row :
       {Row{"direct", direct.pair(), authority().chain, ""},
        Row{"one of two", direct.pair(), other.chain + authority().chain, ""},
        Row{"chain", {with_chain, deep.key}, authority().chain, ""},
        Row{"chain not sent", deep.pair(), authority().chain,
            "unable to get local issuer certificate"},
        Row{"anchor in the middle", deep.pair(), middle.chain, ""},
        Row{"the leaf itself", direct.pair(), direct.chain, ""},
        Row{"self-signed, known", alone.pair(), alone.chain, ""},
        Row{"self-signed, unknown", alone.pair(), authority().chain, "self-signed certificate"},
        Row{"other", direct.pair(), other.chain, "unable to get local issuer certificate"},
        Row{"ended", ended.pair(), authority().chain, "certificate has expired"}}) {
    CAPTURE(row.what);
    Pair pair(contextOf({row.served}), *clientOf(row.bundle), {"a.test", {}, {}});
    CHECK(pair.fine() == std::string_view(row.error).empty());
    CHECK(pair.client->lastError() == row.error);
  }
}

TEST_CASE("clients are asked for a certificate as the listener says") {
  const auto served = makeCertificate({.names = {"a.test"}});
  const auto good = makeCertificate({.names = {"me"}, .issuer = &authority()});
  const auto ended =
      makeCertificate({.names = {"me"}, .not_after_seconds = -60, .issuer = &authority()});
  const auto stranger = makeCertificate({.names = {"me"}});
  struct Row {
    const MadeCertificate* own;
    bool required, fine;
  };
  for (const Row& row :
       {Row{nullptr, true, false}, Row{&good, true, true}, Row{&ended, true, false},
        Row{&stranger, true, false}, Row{nullptr, false, true}, Row{&good, false, true},
        Row{&ended, false, true}, Row{&stranger, false, true}}) {
    CAPTURE(row.required);
    CAPTURE(row.fine);
    ContextOptions options;
    options.client_trust = trustOf({authority().chain});
    options.client_required = row.required;
    Pair pair(contextOf({served.pair()}, options), *clientOf(served.chain, row.own),
              {"a.test", {}, {}});
    CHECK((pair.of_server.state == Io::Ok) == row.fine);
    // The client of TLS 1.3 learns of it behind its handshake.
    char byte = 0;
    if (!row.fine) CHECK(pair.client->read(&byte, 1).state == Io::Failed);
  }
}

TEST_CASE("a client that passed is judged again by the rules that came later") {
  const auto served = makeCertificate({.names = {"a.test"}});
  const auto good = makeCertificate({.names = {"me"}, .issuer = &authority()});
  const auto other = makeCertificate({.names = {"other"}, .authority = true});
  const auto rules = [&](const std::string& bundle, bool required) {
    ContextOptions options;
    options.client_trust = trustOf({bundle});
    options.client_required = required;
    return contextOf({served.pair()}, options);
  };
  const auto first = rules(authority().chain, true);
  Pair pair(first, *clientOf(served.chain, &good), {"a.test", {}, {}});
  REQUIRE(pair.fine());
  CHECK(pair.server->clientSatisfies(*first));
  CHECK(pair.server->clientSatisfies(*rules(other.chain + authority().chain, true)));
  CHECK_FALSE(pair.server->clientSatisfies(*rules(other.chain, true)));
  CHECK(pair.server->clientSatisfies(*rules(other.chain, false)));
  CHECK(pair.server->clientSatisfies(*contextOf({served.pair()})));
  Pair bare(contextOf({served.pair()}), *clientOf(served.chain), {"a.test", {}, {}});
  REQUIRE(bare.fine());
  CHECK_FALSE(bare.server->clientSatisfies(*first));
}

TEST_CASE("data passes both ways, and a peer's close_notify is told from an end without one") {
  const auto served = makeCertificate({.names = {"a.test"}});
  for (const bool notify : {true, false}) {
    Pair pair(contextOf({served.pair()}), *clientOf(served.chain), {"a.test", {}, {}});
    REQUIRE(pair.fine());
    Io last{};
    REQUIRE(pair.client->write("ping", 4).state == Io::Ok);
    CHECK(readAll(*pair.server, last) == "ping");
    const std::string blob = pattern(60'000);
    REQUIRE(pair.server->write(blob.data(), blob.size()).state == Io::Ok);
    CHECK(readAll(*pair.client, last) == blob);
    CHECK_FALSE(pair.client->endedByPeer());
    if (notify) pair.server->shutdown();
    pair.ends.server.reset();
    CHECK(readAll(*pair.client, last).empty());
    CHECK(last == Io::Closed);
    CHECK(pair.client->endedByPeer() == notify);
  }
}

TEST_CASE("what is no trust anchor is refused with the reason") {
  CHECK(checkAuthorities(authority().chain).empty());
  CHECK(checkAuthorities(authority().chain + authority().chain).empty());
  CHECK(checkAuthorities("").find("no certificate") != std::string::npos);
  CHECK(checkAuthorities(authority().key).find("no certificate") != std::string::npos);
  CHECK(checkAuthorities(authority().chain.substr(0, 100)).find("cannot be read") !=
        std::string::npos);
  CHECK_FALSE(TrustStore::create({}).has_value());
}

TEST_CASE("a certificate for backends that cannot be shown is refused") {
  const auto good = makeCertificate();
  const auto other = makeCertificate();
  const KeyPair mixed{good.chain, other.key};
  const auto context = ClientContext::create(*trustOf({good.chain}), &mixed);
  REQUIRE_FALSE(context.has_value());
  CHECK(context.error().find("does not belong") != std::string::npos);
}

}  // namespace
}  // namespace hyperway::tls
