// SPDX-License-Identifier: Apache-2.0
#include "net/bind_error.hpp"

#include <cerrno>
#include <system_error>

namespace hyperway::net {

std::string explainBind(const SocketAddress& at, int error, Transport transport) {
  const std::string port = std::to_string(at.port());
  const bool udp = transport == Transport::Udp;
  const std::string place = (udp ? "UDP port " : "port ") + port + " on " + at.ip();
  switch (error) {
    case EADDRINUSE:
      return place + " is in use by another process: stop it or choose another port (`ss -l" +
             (udp ? "u" : "t") + "np 'sport = :" + port + "'` names it)";
    case EACCES:
      return place +
             " needs a right that this process does not have: give it CAP_NET_BIND_SERVICE, or use "
             "an "
             "unprivileged target port (1024 and above)";
    case EADDRNOTAVAIL:
      return place +
             " cannot be bound, because no interface of this host has that address: add the "
             "address (`ip addr add`, or `ip route add local " +
             at.ip() + " dev lo`) or choose another";
    case EAFNOSUPPORT:
      return place + " cannot be bound, because this host has no " +
             (at.family() == AF_INET6 ? "IPv6" : "IPv4") + ": use an address of the other family";
    case EMFILE:
    case ENFILE:
      return place +
             " cannot be opened, because the limit of open files is reached: raise it "
             "(`ulimit -n`, LimitNOFILE= in the unit)";
    default: return place + " cannot be opened: " + std::generic_category().message(error);
  }
}

}  // namespace hyperway::net
