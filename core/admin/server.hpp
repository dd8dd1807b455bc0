// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace hyperway::admin {

/// A request to an admin face.
struct AdminRequest {
  std::string method;  ///< "GET"
  std::string path;    ///< Decoded, without query.
  std::string query;   ///< Raw, without '?'.
  std::string body;    ///< At most 64 KiB; longer ones are refused with 413.
};

/// An answer of an admin face.
struct AdminAnswer {
  int status = 200;                                ///< HTTP status.
  std::string type = "text/plain; charset=utf-8";  ///< Content-Type.
  std::string body;                                ///< Whole.
  /// Content-Security-Policy on a face for browsers; empty: nothing may run or be loaded.
  std::string policy = {};
};

/// True if a Host or Origin value names the machine itself: `localhost`, `NAME.localhost` or a
/// loopback address, with or without port. A browser that was led to a loopback address by another
/// name (DNS rebinding) says that name.
[[nodiscard]] bool isLocalAuthority(std::string_view authority);

/// One admin face: a small HTTP server on threads of its own, far from the workers. Requests are
/// bounded in size, time and number; a slow client holds a thread, never the process.
class AdminServer {
 public:
  /// Answers a request; may be called by several threads at once; exceptions become 500.
  using Handler = std::function<AdminAnswer(const AdminRequest&)>;

  /// Serves on a TCP address. Throws std::runtime_error if it cannot be bound.
  [[nodiscard]] static std::unique_ptr<AdminServer> onAddress(const std::string& ip,
                                                              std::uint16_t port, Handler handler);
  /// Serves on an address of the loopback interface, for this machine's own browsers: requests with
  /// another Host than isLocalAuthority(), or that a page of another origin makes, get 403, and
  /// answers may not be framed; AdminAnswer::policy says what a page may do. Throws
  /// std::runtime_error if the address is another or cannot be bound.
  [[nodiscard]] static std::unique_ptr<AdminServer> onLoopback(const std::string& ip,
                                                               std::uint16_t port, Handler handler);
  /// Serves on a Unix socket with mode 0600, which it makes; one that nobody listens on is
  /// replaced. Throws std::runtime_error if somebody does, or if it cannot be made.
  [[nodiscard]] static std::unique_ptr<AdminServer> onSocket(const std::string& path,
                                                             Handler handler);
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;
  /// Stops; a socket's file is removed.
  ~AdminServer();

  /// The port that is bound; 0 for a Unix socket.
  [[nodiscard]] std::uint16_t port() const;

 private:
  struct State;
  explicit AdminServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hyperway::admin
