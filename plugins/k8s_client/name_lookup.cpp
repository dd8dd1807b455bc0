// SPDX-License-Identifier: Apache-2.0
#include "k8s_client/name_lookup.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <system_error>
#include <thread>
#include <utility>

namespace hyperway::k8s_client {

void AddressFree::operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }

Addresses systemResolve(const std::string& host, std::uint16_t port, std::string& error) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (failed == 0) return Addresses(list);
  error = host + ": " + ::gai_strerror(failed);
  return nullptr;
}

bool isAddress(const std::string& text) noexcept {
  unsigned char buffer[sizeof(in6_addr)];
  return ::inet_pton(AF_INET, text.c_str(), buffer) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), buffer) == 1;
}

NameLookup::NameLookup() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

NameLookup::~NameLookup() {
  if (fd_ >= 0) ::close(fd_);
}

std::shared_ptr<const NameLookup> NameLookup::begin(const std::string& host, std::uint16_t port,
                                                    const Resolve& resolve) {
  const std::shared_ptr<NameLookup> out(new NameLookup());
  if (isAddress(host)) {
    out->run(host, port, systemResolve);
    return out;
  }
  try {
    // Detached: a plugin's code stays where it is until the process ends, and this thread has all
    // that it needs.
    std::thread([out, host, port, resolve] { out->run(host, port, resolve); }).detach();
  } catch (const std::system_error& error) {
    out->run(host, port, [&](const auto&, auto, std::string& why) {
      why = host + ": " + error.what();
      return Addresses();
    });
  }
  return out;
}

void NameLookup::run(const std::string& host, std::uint16_t port, const Resolve& resolve) {
  addresses_ = resolve(host, port, error_);
  done_.store(true, std::memory_order_release);
  const std::uint64_t one = 1;
  if (::write(fd_, &one, sizeof one) < 0) return;  // Nobody can wait for it, but for a time limit.
}

std::shared_ptr<const NameLookup> Resolver::lookUp(const std::string& host, std::uint16_t port) {
  if (!last_ || last_->done() || host != host_ || port != port_) {
    last_ = NameLookup::begin(host, port, resolve_);
    host_ = host;
    port_ = port;
  }
  return last_;
}

}  // namespace hyperway::k8s_client
