// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "k8s_client/config.hpp"
#include "k8s_client/name_lookup.hpp"

struct ssl_st;
struct ssl_ctx_st;

namespace hyperway::k8s_client {

/// A TLS client connection to the API server that speaks HTTP/2 (ALPN "h2"), without blocking.
/// Certificates and keys are read when it is made. One thread.
class TlsSocket {
 public:
  TlsSocket();
  TlsSocket(const TlsSocket&) = delete;
  TlsSocket& operator=(const TlsSocket&) = delete;
  ~TlsSocket();

  /// Reads what TLS needs and begins to look the host up, or, if it is an address, to connect.
  /// False with a sentence in `error`.
  [[nodiscard]] bool begin(const ClusterConfig& config, Resolver& resolver, std::string& error);

  /// How far it is.
  enum class Progress : std::uint8_t { Waiting, Open, Failed };
  /// Goes on with the look-up, connecting and the handshake. Failed: `error` says why; Waiting: if
  /// it has something in it, that is what went wrong so far.
  [[nodiscard]] Progress advance(std::string& error);

  /// Reads; 0: nothing there now; negative: ended or failed, `error` says how.
  [[nodiscard]] std::ptrdiff_t read(char* data, std::size_t size, std::string& error);
  /// Writes; results as read().
  [[nodiscard]] std::ptrdiff_t write(const char* data, std::size_t size, std::string& error);

  /// The descriptor to wait for; -1 between two addresses.
  [[nodiscard]] int fd() const noexcept { return fd_ < 0 && lookup_ ? lookup_->fd() : fd_; }
  /// True if it waits until it can send, as TLS or connecting needs it.
  [[nodiscard]] bool wantsWrite() const noexcept { return wants_write_; }

 private:
  struct ContextFree {
    void operator()(ssl_ctx_st* context) const noexcept;
  };
  struct SslFree {
    void operator()(ssl_st* ssl) const noexcept;
  };

  [[nodiscard]] bool makeContext(const ClusterConfig& config, std::string& error);
  [[nodiscard]] bool connectFirst(std::string& error);
  [[nodiscard]] bool connectNext(std::string& error);
  [[nodiscard]] bool beginTls(std::string& error);
  [[nodiscard]] std::ptrdiff_t result(int returned, std::string& error);

  std::string name_;  // what the certificate must name; empty: not checked
  std::shared_ptr<const NameLookup> lookup_;
  const addrinfo* next_ = nullptr;  // of its addresses, to be tried
  std::unique_ptr<ssl_ctx_st, ContextFree> context_;
  std::unique_ptr<ssl_st, SslFree> ssl_;
  int fd_ = -1;
  bool wants_write_ = false;
};

}  // namespace hyperway::k8s_client
