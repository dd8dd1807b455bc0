// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

struct addrinfo;

namespace hyperway::k8s_client {

/// Frees a list of addresses.
struct AddressFree {
  /// See freeaddrinfo().
  void operator()(addrinfo* list) const noexcept;
};
/// Addresses, in the order in which they are to be tried.
using Addresses = std::unique_ptr<addrinfo, AddressFree>;

/// Finds the addresses of a host name, however long it takes. None: `error` says why. Any thread.
using Resolve =
    std::function<Addresses(const std::string& host, std::uint16_t port, std::string& error)>;

/// The system's resolver: getaddrinfo().
[[nodiscard]] Addresses systemResolve(const std::string& host, std::uint16_t port,
                                      std::string& error);

/// True if `text` is an IPv4 or IPv6 address, and no name.
[[nodiscard]] bool isAddress(const std::string& text) noexcept;

/// A look-up of a host name, on a thread of its own: the system's resolver cannot be told to wait
/// no longer, and whoever waits for it has better things to do. It may be let go at any time; the
/// thread then ends when the resolver lets it, and touches nothing of ours.
class NameLookup {
 public:
  /// Begins; an address needs no thread, and is there at once.
  [[nodiscard]] static std::shared_ptr<const NameLookup> begin(const std::string& host,
                                                               std::uint16_t port,
                                                               const Resolve& resolve);
  NameLookup(const NameLookup&) = delete;
  NameLookup& operator=(const NameLookup&) = delete;
  ~NameLookup();

  /// True once it is over.
  [[nodiscard]] bool done() const noexcept { return done_.load(std::memory_order_acquire); }
  /// Readable once it is over, for all who wait; for poll().
  [[nodiscard]] int fd() const noexcept { return fd_; }
  /// Once it is over: what was found, or null. Lives as long as this.
  [[nodiscard]] const addrinfo* addresses() const noexcept { return addresses_.get(); }
  /// Once it is over: why nothing was found.
  [[nodiscard]] const std::string& error() const noexcept { return error_; }

 private:
  NameLookup();
  void run(const std::string& host, std::uint16_t port, const Resolve& resolve);

  int fd_;
  std::atomic<bool> done_{false};
  Addresses addresses_;
  std::string error_;
};

/// Look-ups of one client: who asks for what is being looked up already waits with the others, so
/// that a resolver that hangs holds one thread. One thread.
class Resolver {
 public:
  /// `resolve` is what look-ups call.
  explicit Resolver(Resolve resolve) : resolve_(std::move(resolve)) {}
  /// A look-up, begun now or under way.
  [[nodiscard]] std::shared_ptr<const NameLookup> lookUp(const std::string& host,
                                                         std::uint16_t port);

 private:
  const Resolve resolve_;
  std::string host_;
  std::uint16_t port_ = 0;
  std::shared_ptr<const NameLookup> last_;
};

}  // namespace hyperway::k8s_client
