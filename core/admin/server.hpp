// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "net/fd.hpp"

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

/// Who may ask an admin face.
enum class Callers : std::uint8_t {
  Any,             ///< Whoever reaches it.
  LocalNamesOnly,  ///< Requests to local names, and not of other sites' pages; see onLoopback().
};

/// When an admin face begins to answer.
enum class Begin : std::uint8_t {
  Now,    ///< At once.
  Later,  ///< With AdminServer::begin(); until then connections wait in the kernel's queue.
};

/// One admin face: a small HTTP server on threads of its own, far from the workers. Requests are
/// bounded in size, time and number; a slow client holds a thread, never the process.
class AdminServer {
 public:
  /// Answers a request; may be called by several threads at once; exceptions become 500.
  using Handler = std::function<AdminAnswer(const AdminRequest&)>;

  /// Serves on a TCP address. Throws std::runtime_error if it cannot be bound.
  [[nodiscard]] static std::unique_ptr<AdminServer> onAddress(const std::string& ip,
                                                              std::uint16_t port, Handler handler,
                                                              Begin begin = Begin::Now);
  /// Serves on an address of the loopback interface, for this machine's own browsers: requests with
  /// another Host than isLocalAuthority(), or that a page of another origin makes, get 403, and
  /// answers may not be framed; AdminAnswer::policy says what a page may do. Throws
  /// std::runtime_error if the address is another or cannot be bound.
  [[nodiscard]] static std::unique_ptr<AdminServer> onLoopback(const std::string& ip,
                                                               std::uint16_t port, Handler handler,
                                                               Begin begin = Begin::Now);
  /// Serves on a Unix socket with mode 0600, which it makes; one that nobody listens on is
  /// replaced. Throws std::runtime_error if somebody does, or if it cannot be made.
  [[nodiscard]] static std::unique_ptr<AdminServer> onSocket(const std::string& path,
                                                             Handler handler,
                                                             Begin begin = Begin::Now);
  /// Serves on a socket that another process opened, later. `path` is that of a Unix socket, else
  /// empty; its file stays the other process's until begin().
  [[nodiscard]] static std::unique_ptr<AdminServer> onInherited(net::Fd socket, std::string path,
                                                                Callers callers, Handler handler);
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;
  /// Stops; a socket's file is removed. Requests under way are cut, or awaited for 2 s after
  /// letGo().
  ~AdminServer();

  /// Begins to answer, if it has not.
  void begin();
  /// Accepts no more from now on: another process does. A socket's file is that one's, too.
  void letGo();
  /// A duplicate of the listening socket; nothing if no descriptor is left.
  [[nodiscard]] net::Fd duplicateSocket() const;

  /// The port that is bound; 0 for a Unix socket.
  [[nodiscard]] std::uint16_t port() const;

 private:
  struct State;
  AdminServer(std::unique_ptr<State> state, Begin begin);
  std::unique_ptr<State> state_;
};

}  // namespace hyperway::admin
