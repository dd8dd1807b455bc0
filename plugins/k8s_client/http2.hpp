// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "k8s_client/api.hpp"
#include "k8s_client/tls_socket.hpp"

struct nghttp2_session;
struct nghttp2_option;

namespace hyperway::k8s_client {

/// One HTTP/2 connection to the API server: exchanges are named by the owner's ids. One thread;
/// never blocks. Half-open connections are found by PING.
class Http2Connection {
 public:
  /// How long the look-up, connecting and the handshake may take.
  static constexpr std::chrono::seconds kConnectLimit{5};
  /// Silence after which a PING is sent, and how long its answer may take. Together with a new
  /// connection they are less than the 5 s within which we are to be right again; a server that is
  /// only slow costs a handshake, and watches that go on from where they were.
  static constexpr std::chrono::seconds kPingAfter{2}, kPingLimit{2};

  /// What happens to exchanges. Called from within onReady().
  class Owner {
   public:
    virtual ~Owner() = default;
    /// Status and Retry-After of a final answer.
    virtual void onHead(std::uint64_t id, int status, std::string retry_after) = 0;
    /// Bytes of the answer's body.
    virtual void onData(std::uint64_t id, std::string_view bytes) = 0;
    /// An exchange ended. `whole`: by the server, in order. `refused`: it was certainly not worked
    /// on.
    virtual void onClose(std::uint64_t id, bool whole, bool refused) = 0;
  };

  /// `owner` outlives this.
  explicit Http2Connection(Owner& owner) : owner_(owner) {}
  Http2Connection(const Http2Connection&) = delete;
  Http2Connection& operator=(const Http2Connection&) = delete;
  ~Http2Connection();

  /// Begins to connect. False with a sentence in error().
  [[nodiscard]] bool begin(const ClusterConfig& config, Resolver& resolver, TimePoint now);
  /// Goes on after poll() found something, or due() has come. False: it is over, error() says why;
  /// exchanges that are still open had no onClose().
  [[nodiscard]] bool onReady(TimePoint now);
  /// When to look at it even if nothing was found: a PING is to be sent, or a limit is over.
  [[nodiscard]] TimePoint due() const noexcept;
  /// Sends what waits. False as in onReady().
  [[nodiscard]] bool flush();

  /// Fields of a request, in order; names in lower case.
  using Fields = std::vector<std::pair<std::string_view, std::string_view>>;
  /// Begins an exchange. The connection is open.
  [[nodiscard]] bool submit(std::uint64_t id, const Fields& fields, std::string body);
  /// Ends an exchange without a further call to the owner.
  void reset(std::uint64_t id);

  /// True once requests can be submitted: the server has said what it allows.
  [[nodiscard]] bool open() const noexcept { return settled_; }
  /// Exchanges that the server allows at once, as of now; what is more waits. While it is open.
  [[nodiscard]] std::size_t mostStreams() const noexcept;
  /// True if the server asked for no more requests (GOAWAY).
  [[nodiscard]] bool draining() const noexcept { return draining_; }
  /// Exchanges under way.
  [[nodiscard]] std::size_t streams() const noexcept { return by_id_.size(); }
  /// What failed.
  [[nodiscard]] const std::string& error() const noexcept { return error_; }
  /// For poll().
  [[nodiscard]] int fd() const noexcept { return socket_.fd(); }
  /// For poll().
  [[nodiscard]] short events() const noexcept;

 private:
  struct Body {
    std::string text;
    std::size_t sent = 0;
  };
  struct Stream {
    std::uint64_t id = 0;
    int status = 0;
    std::string retry_after;
    std::unique_ptr<Body> body;
    bool ended = false;  // END_STREAM was seen
  };
  struct Callbacks;
  struct SessionFree {
    void operator()(nghttp2_session* session) const noexcept;
  };

  [[nodiscard]] bool beginSession();
  [[nodiscard]] bool receive(TimePoint now);
  [[nodiscard]] bool checkAlive(TimePoint now);

  Owner& owner_;
  TlsSocket socket_;
  std::unique_ptr<nghttp2_session, SessionFree> session_;
  std::unordered_map<std::int32_t, Stream> streams_;
  std::unordered_map<std::uint64_t, std::int32_t> by_id_;
  std::string out_;
  std::size_t out_at_ = 0;
  std::string error_;
  TimePoint began_, heard_, pinged_;
  bool settled_ = false;  // SETTINGS were received
  bool ping_open_ = false;
  bool draining_ = false;
};

}  // namespace hyperway::k8s_client
