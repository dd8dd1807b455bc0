// SPDX-License-Identifier: Apache-2.0
// LINK: hw_proxy hw_route hw_codec hw_net
// Whatever clients and backends send, and whatever becomes of routes, endpoints and listeners
// meanwhile: every datagram that a client hears is an answer to it, sessions stay within their
// bound, and none is left behind. An input is a list of steps, a byte or two each.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "../unit/proxy/udp_world.hpp"

using namespace hyperway;
using proxy::udp_world::Peer;
using proxy::udp_world::World;

namespace {

constexpr std::size_t kClients = 5, kBackends = 3, kMostSessions = 3, kMostSteps = 200;

void require(bool held) {
  if (!held) std::abort();
}

class Play {
 public:
  Play() : world_(settings()) {
    world_.service("s", all());
    world_.route("r", {{"s", 1}});
  }

  void step(std::uint8_t what, std::uint8_t how) {
    Peer& backend = backends_[how % kBackends];
    switch (what % 12) {
      case 0:
      case 1: ask(how % kClients, how); break;
      case 2:
      case 3:
      case 4:
        ask(how % kClients, how);
        answer(backend, static_cast<unsigned>(how / kBackends));
        break;
      case 5: backend.close(); break;
      case 6: backend.reopen(); break;
      case 7: world_.service("s", some(how)); break;
      case 8:
        if (how % 4 == 0)
          world_.route("r", {});
        else
          world_.route("r", {{"s", how % 3}, {"gone", how % 2}});
        break;
      case 9:
        open_ ? world_.close() : world_.open();
        open_ = !open_;
        break;
      default: turn();
    }
    require(world_.counters().udp_sessions.get() <= kMostSessions);
    require(world_.worker().udp().sessions() == world_.counters().udp_sessions.get());
    hear();
    forget();
  }

  void end() {
    turn();
    world_.worker().killAll();
    require(world_.counters().udp_sessions.get() == 0);
    world_.turn();
    hear();
  }

 private:
  static proxy::ProxySettings settings() {
    proxy::ProxySettings out;
    out.udp_sessions = kMostSessions;
    out.udp_idle = std::chrono::milliseconds(20);
    return out;
  }
  std::vector<const Peer*> all() const { return some(7); }
  std::vector<const Peer*> some(unsigned which) const {
    std::vector<const Peer*> out;
    for (std::size_t i = 0; i < kBackends; ++i)
      if ((which >> i & 1) != 0) out.push_back(&backends_[i]);
    return out;
  }
  void turn() { world_.turn(); }

  // Its own number in front, so that whoever hears an echo knows whose it is.
  void ask(std::size_t client, std::size_t size) {
    (void)clients_[client].send(std::string(1 + size, static_cast<char>('0' + client)),
                                world_.address());
    if (size % 3 == 0) turn();
  }
  void answer(const Peer& backend, unsigned times) {
    turn();
    if (!backend.open()) return;
    net::SocketAddress from;
    while (const auto got = backend.take(&from)) {
      require(!got->empty());
      for (unsigned i = 0; i <= times % 3; ++i) (void)backend.send(*got, from);
    }
    turn();
  }
  // What is answered later might find another session at the same port of ours: so it is with UDP.
  void forget() {
    turn();
    for (const Peer& backend : backends_)
      while (backend.open() && backend.take()) {
      }
  }
  void hear() {
    for (std::size_t i = 0; i < kClients; ++i) {
      net::SocketAddress from;
      while (const auto got = clients_[i].take(&from)) {
        require(from == world_.address());
        require(!got->empty() && got->front() == static_cast<char>('0' + i));
      }
    }
  }

  World world_;
  std::vector<Peer> clients_ = std::vector<Peer>(kClients);
  std::vector<Peer> backends_ = std::vector<Peer>(kBackends);
  bool open_ = true;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Play play;
  for (std::size_t i = 0; i + 1 < size && i / 2 < kMostSteps; i += 2)
    play.step(data[i], data[i + 1]);
  play.end();
  return 0;
}
