// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tls/client_context.hpp"
#include "tls/context.hpp"

struct ssl_st;  // OpenSSL's SSL

namespace hyperway::tls {

class Session;

/// What a session that we begin offers by ALPN (RFC 7301).
enum class Alpn : std::uint8_t {
  Http1,  ///< What its context says: http/1.1.
  Http2,  ///< h2, and nothing else.
  None,   ///< Nothing: nobody knows what will be spoken.
};

/// Outcome of one TLS step.
enum class Io : std::uint8_t {
  Ok,         ///< Done; `bytes` were moved.
  WantRead,   ///< The socket has nothing more now.
  WantWrite,  ///< The socket takes nothing more now.
  Closed,     ///< The peer closed properly (close_notify) or the socket ended between records.
  Failed,     ///< Protocol error, truncation or a reset; see Session::lastError().
};

/// What one step did.
struct IoResult {
  Io state;               ///< How it went.
  std::size_t bytes = 0;  ///< Plain bytes read or written, if Ok.
};

/// What all sessions of one worker share, so that an idle session owns no buffer: the ciphertext
/// buffers, and OpenSSL's objects that a connection needs before its name is known. Outlives the
/// sessions. [worker]
struct SharedBuffers {
  /// Throws std::runtime_error if OpenSSL cannot be used at all.
  SharedBuffers();
  SharedBuffers(const SharedBuffers&) = delete;
  SharedBuffers& operator=(const SharedBuffers&) = delete;
  ~SharedBuffers();

  std::vector<char> in;   ///< Ciphertext just read from a socket; 64 KiB.
  std::vector<char> out;  ///< Ciphertext of one step before it is sent; 68 KiB, kept.

  /// Of the session layer only.
  struct Native;
  std::unique_ptr<Native> native;  ///< Of the session layer only.
};

/// Chooses the context for a name, during the handshake. [worker]
class SniResolver {
 public:
  SniResolver() = default;
  SniResolver(const SniResolver&) = delete;
  SniResolver& operator=(const SniResolver&) = delete;
  virtual ~SniResolver() = default;
  /// Called once for each handshake that gets as far as a well-formed ClientHello. `sni` is lower
  /// case, empty if the client sent none. Null refuses the handshake (unrecognized_name). The
  /// result need only live through the call: the session keeps a reference on what it needs.
  [[nodiscard]] virtual const Context* chooseContext(std::string_view sni) noexcept = 0;
};

/// One TLS connection, of either side, on a non-blocking socket. Reads the socket in large steps
/// through the worker's shared buffer (one recv per wake-up, not one per record part); keeps what
/// is left over itself. Writes are gathered and leave with one send. Not thread-safe; belongs to
/// one worker.
class Session {
 public:
  /// `fd` is borrowed. `resolver` and `shared` outlive the session. Null if OpenSSL is out of
  /// memory.
  [[nodiscard]] static std::unique_ptr<Session> accept(int fd, SniResolver& resolver,
                                                       SharedBuffers& shared);
  /// The side that begins: `peer` is whom it must find, and lives until the handshake is over.
  /// Nothing is sent before handshake().
  [[nodiscard]] static std::unique_ptr<Session> connect(int fd, const ClientContext& context,
                                                        const PeerName& peer, SharedBuffers& shared,
                                                        Alpn alpn = Alpn::Http1);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  /// The socket had an event. From the first call on, a read that got less than it asked for is not
  /// followed by one that would only say EAGAIN, until the next call: for edge-triggered sockets.
  /// `peer_ended` (EPOLLRDHUP, EPOLLHUP or EPOLLERR is among the events) makes the session read up
  /// to the end: no further edge would tell of it.
  void onReadable(bool peer_ended = true) noexcept;

  /// Goes on with the handshake, waiting ciphertext first; Ok when it is done. Closed: the peer
  /// went without having sent a byte. wantsFlush() may be true after any outcome.
  [[nodiscard]] IoResult handshake() noexcept;
  /// Reads plain bytes, from as many records as are here and fit.
  [[nodiscard]] IoResult read(char* to, std::size_t size) noexcept;
  /// True if read() may give bytes without the socket becoming readable. False once read() said
  /// WantRead.
  [[nodiscard]] bool hasPending() const noexcept;
  /// Encrypts up to 64 KiB and sends as much as the socket takes; the rest of its ciphertext is
  /// kept (wantsFlush()). On WantWrite nothing of `from` was taken, because earlier ciphertext
  /// still waits; call again later with the same bytes or others (the buffer may move). Records are
  /// small at first and grow (latency, then throughput).
  [[nodiscard]] IoResult write(const char* from, std::size_t size) noexcept;
  /// As above for the concatenation of `pieces`. Small neighbours share a record, and all leave
  /// with one send. `bytes` counts over the pieces.
  [[nodiscard]] IoResult write(std::span<const std::string_view> pieces) noexcept;
  /// True if ciphertext waits for the socket to become writable; then call flush().
  [[nodiscard]] bool wantsFlush() const noexcept { return out_begin_ != out_.size(); }
  /// Sends waiting ciphertext; Ok when none is left.
  [[nodiscard]] IoResult flush() noexcept;
  /// Sends close_notify, best effort; does not wait.
  void shutdown() noexcept;

  /// Name the client asked for, lower case; empty if none. Valid once chooseContext was called.
  [[nodiscard]] std::string_view sni() const noexcept { return sni_; }
  /// Negotiated ALPN protocol; empty if the client offered none.
  [[nodiscard]] std::string_view alpn() const noexcept;
  /// "TLSv1.3" or "TLSv1.2".
  [[nodiscard]] std::string_view version() const noexcept;
  /// True if the peer said that it ends (close_notify): what it sent is complete.
  [[nodiscard]] bool endedByPeer() const noexcept;
  /// True if the handshake failed because of the peer's certificate.
  [[nodiscard]] bool peerRefused() const noexcept { return peer_refused_; }
  /// True if the client's certificate is good enough for `context`: the one that the handshake used
  /// may be out of date.
  [[nodiscard]] bool clientSatisfies(const Context& context) const noexcept;
  /// Short reason of the last Failed, for logs and metrics; static text.
  [[nodiscard]] std::string_view lastError() const noexcept { return error_; }

 private:
  friend struct SharedBuffers;
  struct Callbacks;  // what OpenSSL calls
  enum class End : std::uint8_t { None, Closed, Failed };
  enum class Recv : std::uint8_t { Got, Blocked, Ended };

  Session(int fd, SniResolver* resolver, SharedBuffers& shared) noexcept;
  [[nodiscard]] bool open(void* context) noexcept;
  void begin() noexcept;
  IoResult finish(IoResult result) noexcept;
  IoResult explain(bool in_handshake) noexcept;
  IoResult failWith(const char* reason) noexcept;
  [[nodiscard]] bool betweenRecords() const noexcept;
  [[nodiscard]] std::string_view ciphertext() const noexcept;
  void consume(std::size_t bytes) noexcept;
  Recv receive() noexcept;
  void keepRest() noexcept;
  int readCiphertext(char* to, int size) noexcept;
  int writeCiphertext(const char* from, int size) noexcept;
  bool encrypt(std::string_view plain) noexcept;
  [[nodiscard]] std::size_t recordRoom() const noexcept;
  void sendGathered() noexcept;
  [[nodiscard]] std::size_t sendSome(const char* from, std::size_t size) noexcept;

  ssl_st* ssl_ = nullptr;
  SniResolver* resolver_;
  SharedBuffers* shared_;
  const char* error_ = "";
  std::string sni_;
  std::unique_ptr<char[]> rest_;  // ciphertext that had to leave the shared buffer undecrypted
  std::uint32_t rest_begin_ = 0;
  std::uint32_t rest_end_ = 0;
  std::vector<char> out_;  // ciphertext that the socket did not take, from out_begin_ on
  std::size_t out_begin_ = 0;
  int fd_;
  std::uint32_t written_ = 0;  // plain bytes, up to where records have grown to their full size
  End end_ = End::None;
  bool trust_edges_ = false;
  bool drained_ = false;  // a short read since the last onReadable()
  bool peer_ended_ = false;
  bool received_ = false;  // any byte at all
  bool eof_ = false;
  bool blocked_ = false;  // OpenSSL was told that nothing is here, in this step
  bool broken_ = false;   // the socket refuses what we send
  bool peer_refused_ = false;
};

}  // namespace hyperway::tls
