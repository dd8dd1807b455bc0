// SPDX-License-Identifier: Apache-2.0
#include "tls/session.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "base/bytes.hpp"
#include "tls/client_hello.hpp"
#include "tls/openssl.hpp"
#include "tls/ticket.hpp"

namespace hyperway::tls {
namespace {

constexpr std::size_t kReadBytes = 64 * 1024;

// What one write() encrypts at most, and so about what a session keeps for a slow reader.
constexpr std::size_t kWriteBytes = 64 * 1024;
constexpr std::size_t kMaxRecord = SSL3_RT_MAX_PLAIN_LENGTH;

// A client can use a record only when all of it is here. The first window of a connection is some
// 14 KiB: small records in it are usable one after the other, a full one only a round trip later.
constexpr std::size_t kFirstRecord = 4 * 1024;
constexpr std::uint32_t kGrownAfter = 48 * 1024;

// Only a peer that makes OpenSSL answer without ever reading gets near it.
constexpr std::size_t kMaxUnsent = 256 * 1024;

}  // namespace

/// One BIO serves all sessions of a worker: it points to the session whose step is running. It
/// saves each of them an object, its lock and its reference counts.
struct SharedBuffers::Native {
  Owned<SSL_CTX> base;  // for connections whose name is not known yet
  Owned<BIO_METHOD> method;
  Owned<BIO> bio;
  Session* in_owner = nullptr;  // whose ciphertext lies in `in`, from in_begin to in_end
  std::size_t in_begin = 0;
  std::size_t in_end = 0;
};

struct Session::Callbacks {
  static Session& of(BIO* bio) noexcept { return *static_cast<Session*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* to, int size) noexcept {
    BIO_clear_retry_flags(bio);
    const int got = of(bio).readCiphertext(to, size);
    if (got < 0) BIO_set_retry_read(bio);
    return got;
  }

  static int write(BIO* bio, const char* from, int size) noexcept {
    BIO_clear_retry_flags(bio);
    return of(bio).writeCiphertext(from, size);
  }

  static long control(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) noexcept {
    return command == BIO_CTRL_FLUSH ? 1 : 0;  // what is gathered leaves at the end of the step
  }

  static int create(BIO* bio) noexcept {
    BIO_set_init(bio, 1);
    return 1;
  }

  // Runs once: after a HelloRetryRequest OpenSSL asks the chosen context, which has no callback.
  static int onClientHello(SSL* ssl, int* alert, void* /*argument*/) noexcept {
    Session& self = of(SSL_get_rbio(ssl));
    const unsigned char* body = nullptr;
    std::size_t size = 0;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &body, &size) == 1) {
      const auto name = parseServerName({body, size});
      if (!name) {
        *alert = SSL_AD_DECODE_ERROR;
        self.error_ = "malformed server name";
        return SSL_CLIENT_HELLO_ERROR;
      }
      self.sni_ = lowered(*name);
    }
    const Context* chosen = self.resolver_->chooseContext(self.sni_);
    if (chosen == nullptr) {
      *alert = SSL_AD_UNRECOGNIZED_NAME;
      self.error_ = "no certificate for this server name";
      return SSL_CLIENT_HELLO_ERROR;
    }
    if (!use(ssl, static_cast<SSL_CTX*>(chosen->native()))) {
      *alert = SSL_AD_INTERNAL_ERROR;
      self.error_ = "out of memory";
      return SSL_CLIENT_HELLO_ERROR;
    }
    return SSL_CLIENT_HELLO_SUCCESS;
  }

  static int takeAny(int /*good*/, X509_STORE_CTX* /*chain*/) noexcept { return 1; }

  // The trust store is that of the chosen context.
  static void askForCertificate(SSL* ssl, ClientCheck check) noexcept {
    if (check == ClientCheck::Required)
      SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    if (check == ClientCheck::Any) SSL_set_verify(ssl, SSL_VERIFY_PEER, takeAny);
  }

  // SSL_set_SSL_CTX() exchanges certificates, trust, ALPN and the session id context; options,
  // versions and what is asked of clients stay with the SSL and are set here.
  static bool use(SSL* ssl, SSL_CTX* context) noexcept {
    if (SSL_set_SSL_CTX(ssl, context) == nullptr) return false;
    const ContextSettings* settings = settingsOf(context);
    if (settings == nullptr) return false;
    askForCertificate(ssl, settings->clients);
    if (settings->min_tls13 && SSL_set_min_proto_version(ssl, TLS1_3_VERSION) != 1) return false;
    if (settings->tickets) {
      SSL_clear_options(ssl, SSL_OP_NO_TICKET);
      if (SSL_set_num_tickets(ssl, 1) != 1) return false;
    }
    return true;
  }

  // The answer to a server_name that was used (RFC 6066 §3).
  static int confirmName(SSL* /*ssl*/, int* /*alert*/, void* /*argument*/) noexcept {
    return SSL_TLSEXT_ERR_OK;
  }
};

SharedBuffers::SharedBuffers() : in(kReadBytes), native(std::make_unique<Native>()) {
  native->base = newServerContext();
  native->method.reset(BIO_meth_new(BIO_TYPE_SOURCE_SINK, "hyperway session"));
  BIO_METHOD* method = native->method.get();
  if (!native->base || method == nullptr) throw std::runtime_error(takeOpensslReason());
  BIO_meth_set_read(method, Session::Callbacks::read);
  BIO_meth_set_write(method, Session::Callbacks::write);
  BIO_meth_set_ctrl(method, Session::Callbacks::control);
  BIO_meth_set_create(method, Session::Callbacks::create);
  native->bio.reset(BIO_new(method));
  if (!native->bio) throw std::runtime_error(takeOpensslReason());
  SSL_CTX_set_client_hello_cb(native->base.get(), Session::Callbacks::onClientHello, nullptr);
  // The macro of this name has a C cast that our warnings refuse.
  SSL_CTX_callback_ctrl(native->base.get(), SSL_CTRL_SET_TLSEXT_SERVERNAME_CB,
                        reinterpret_cast<void (*)()>(Session::Callbacks::confirmName));
  useTicketKeysOfChosenContext(native->base.get());
  out.reserve(kWriteBytes + kWriteBytes / 16);
}

SharedBuffers::~SharedBuffers() = default;

Session::Session(int fd, SniResolver* resolver, SharedBuffers& shared) noexcept
    : resolver_(resolver), shared_(&shared), fd_(fd) {}

bool Session::open(void* context) noexcept {
  ssl_ = SSL_new(static_cast<SSL_CTX*>(context));
  if (ssl_ == nullptr) return false;
  BIO* bio = shared_->native->bio.get();
  BIO_up_ref(bio);
  SSL_set_bio(ssl_, bio, bio);  // takes one reference for both directions
  return true;
}

std::unique_ptr<Session> Session::accept(int fd, SniResolver& resolver, SharedBuffers& shared) {
  std::unique_ptr<Session> session{new Session(fd, &resolver, shared)};
  if (!session->open(shared.native->base.get())) return nullptr;
  SSL_set_accept_state(session->ssl_);
  return session;
}

std::unique_ptr<Session> Session::connect(int fd, const ClientContext& context,
                                          const PeerName& peer, SharedBuffers& shared, Alpn alpn) {
  std::unique_ptr<Session> session{new Session(fd, nullptr, shared)};
  if (!session->open(context.native())) return nullptr;
  SSL_set_connect_state(session->ssl_);
  // The macro of this name has a C cast that our warnings refuse.
  if (!expectPeer(session->ssl_, peer) ||
      SSL_ctrl(session->ssl_, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
               const_cast<char*>(peer.hostname.c_str())) != 1)
    return nullptr;
  constexpr unsigned char kHttp2[] = {2, 'h', '2'};
  if (alpn == Alpn::Http2 && SSL_set_alpn_protos(session->ssl_, kHttp2, sizeof kHttp2) != 0)
    return nullptr;
  if (alpn == Alpn::None && SSL_set_alpn_protos(session->ssl_, nullptr, 0) != 0) return nullptr;
  return session;
}

Session::~Session() {
  if (shared_->native->in_owner == this) shared_->native->in_owner = nullptr;
  begin();
  SSL_free(ssl_);
}

void Session::onReadable(bool peer_ended) noexcept {
  trust_edges_ = true;
  drained_ = false;
  peer_ended_ = peer_ended_ || peer_ended;
}

// --- Steps: every public call that enters OpenSSL is begin(), the work, finish(). ---

void Session::begin() noexcept {
  BIO_set_data(shared_->native->bio.get(), this);
  blocked_ = false;
}

IoResult Session::finish(IoResult result) noexcept {
  sendGathered();
  return result;
}

IoResult Session::failWith(const char* reason) noexcept {
  end_ = End::Failed;
  error_ = reason;
  return {Io::Failed};
}

/// Why OpenSSL did not do what it was asked to.
IoResult Session::explain(bool in_handshake) noexcept {
  if (blocked_) {
    if (!eof_) return {Io::WantRead};
    if (broken_) return failWith("connection reset");
    const bool clean = in_handshake ? !received_ : betweenRecords();
    if (!clean)
      return failWith(in_handshake ? "connection closed in the handshake" : "truncated record");
    end_ = End::Closed;
    return {Io::Closed};
  }
  if ((SSL_get_shutdown(ssl_) & SSL_RECEIVED_SHUTDOWN) != 0 && ERR_peek_error() == 0) {
    end_ = End::Closed;
    return {Io::Closed};
  }
  // The callbacks' own reasons say more than OpenSSL's "callback failed".
  const char* reason = takeOpensslReason();
  if (const long verdict = SSL_get_verify_result(ssl_); in_handshake && verdict != X509_V_OK) {
    peer_refused_ = true;
    reason = X509_verify_cert_error_string(verdict);
  }
  return failWith(*error_ != '\0' ? error_ : reason);
}

IoResult Session::handshake() noexcept {
  if (end_ != End::None) return {end_ == End::Closed ? Io::Closed : Io::Failed};
  if (wantsFlush()) (void)flush();
  if (end_ != End::None) return {Io::Failed};
  begin();
  ERR_clear_error();  // another library on this thread may have left something
  if (SSL_do_handshake(ssl_) == 1) return finish({Io::Ok});
  return finish(explain(true));
}

IoResult Session::read(char* to, std::size_t size) noexcept {
  if (end_ != End::None) return {end_ == End::Closed ? Io::Closed : Io::Failed};
  if (size == 0) return {Io::Ok, 0};
  begin();
  std::size_t total = 0;
  do {
    std::size_t got = 0;
    if (SSL_read_ex(ssl_, to + total, size - total, &got) != 1) {
      const IoResult reason = explain(false);  // an end is remembered for the next call
      return finish(total != 0 ? IoResult{Io::Ok, total} : reason);
    }
    total += got;
  } while (total < size && hasPending());
  return finish({Io::Ok, total});
}

bool Session::hasPending() const noexcept {
  return end_ == End::None && (SSL_pending(ssl_) > 0 || !ciphertext().empty());
}

IoResult Session::write(const char* from, std::size_t size) noexcept {
  const std::string_view pieces[] = {{from, size}};
  return write(pieces);
}

IoResult Session::write(std::span<const std::string_view> pieces) noexcept {
  if (end_ == End::Failed || broken_) return {Io::Failed};
  if (wantsFlush()) {
    const IoResult flushed = flush();
    if (flushed.state != Io::Ok) return flushed;
  }
  begin();
  char joined[kMaxRecord];
  std::size_t joined_size = 0;
  std::size_t total = 0;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const bool is_last = i + 1 == pieces.size();
    std::string_view rest = pieces[i].substr(0, kWriteBytes - total);
    total += rest.size();
    while (!rest.empty()) {
      const std::string_view part = rest.substr(0, recordRoom() - joined_size);
      rest.remove_prefix(part.size());
      // A record of one piece is encrypted from where it lies; only one of several is put together.
      const bool fills_record = joined_size + part.size() == recordRoom();
      if (joined_size == 0 && (fills_record || (is_last && rest.empty()))) {
        if (!encrypt(part)) return finish(explain(false));
        continue;
      }
      std::memcpy(joined + joined_size, part.data(), part.size());
      joined_size += part.size();
      if (!fills_record) continue;
      if (!encrypt({joined, joined_size})) return finish(explain(false));
      joined_size = 0;
    }
  }
  if (joined_size != 0 && !encrypt({joined, joined_size})) return finish(explain(false));
  return finish({Io::Ok, total});
}

std::size_t Session::recordRoom() const noexcept {
  return written_ < kGrownAfter ? kFirstRecord : kMaxRecord;
}

bool Session::encrypt(std::string_view plain) noexcept {
  std::size_t written = 0;
  if (SSL_write_ex(ssl_, plain.data(), plain.size(), &written) != 1) return false;
  written_ = std::min(written_ + static_cast<std::uint32_t>(written), kGrownAfter);
  return true;
}

void Session::shutdown() noexcept {
  if (end_ == End::Failed || broken_ || SSL_is_init_finished(ssl_) != 1) return;
  begin();
  if (SSL_shutdown(ssl_) < 0) ERR_clear_error();
  sendGathered();
}

// --- Ciphertext in ---

std::string_view Session::ciphertext() const noexcept {
  if (rest_) return {rest_.get() + rest_begin_, rest_end_ - rest_begin_};
  const SharedBuffers::Native& native = *shared_->native;
  if (native.in_owner != this) return {};
  return {shared_->in.data() + native.in_begin, native.in_end - native.in_begin};
}

void Session::consume(std::size_t bytes) noexcept {
  if (rest_) {
    rest_begin_ += static_cast<std::uint32_t>(bytes);
    if (rest_begin_ == rest_end_) rest_.reset();
  } else {
    shared_->native->in_begin += bytes;
  }
}

/// Moves what was not decrypted yet out of the shared buffer, which another session needs.
void Session::keepRest() noexcept {
  const std::string_view left = ciphertext();
  if (!left.empty()) {
    auto rest = std::make_unique_for_overwrite<char[]>(left.size());
    left.copy(rest.get(), left.size());
    rest_ = std::move(rest);
    rest_begin_ = 0;
    rest_end_ = static_cast<std::uint32_t>(left.size());
  }
  shared_->native->in_owner = nullptr;
}

Session::Recv Session::receive() noexcept {
  if (eof_) return Recv::Ended;
  if (drained_) return Recv::Blocked;
  SharedBuffers::Native& native = *shared_->native;
  if (native.in_owner != nullptr && native.in_owner != this) native.in_owner->keepRest();
  for (;;) {
    const ssize_t got = ::recv(fd_, shared_->in.data(), shared_->in.size(), MSG_DONTWAIT);
    if (got > 0) {
      native.in_owner = this;
      native.in_begin = 0;
      native.in_end = static_cast<std::size_t>(got);
      received_ = true;
      drained_ = trust_edges_ && !peer_ended_ && native.in_end < shared_->in.size();
      return Recv::Got;
    }
    if (got == 0) {
      eof_ = true;
      return Recv::Ended;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      drained_ = trust_edges_ && !peer_ended_;
      return Recv::Blocked;
    }
    eof_ = true;
    broken_ = true;
    return Recv::Ended;
  }
}

/// What OpenSSL reads from. An end of the stream looks to it like "nothing now": it would take
/// every end without close_notify for an attack, but only we know whether it fell between two
/// records. Returns -1 for that.
int Session::readCiphertext(char* to, int size) noexcept {
  std::string_view here = ciphertext();
  if (here.empty()) {
    if (receive() != Recv::Got) {
      blocked_ = true;
      return -1;
    }
    here = ciphertext();
  }
  const std::size_t taken = std::min(here.size(), static_cast<std::size_t>(size));
  std::memcpy(to, here.data(), taken);
  consume(taken);
  return static_cast<int>(taken);
}

/// OpenSSL reads the five bytes of a record's header and then its body, never across; so both are
/// visible in its state.
bool Session::betweenRecords() const noexcept {
  return SSL_has_pending(ssl_) == 0 && std::strcmp(SSL_rstate_string(ssl_), "RH") == 0;
}

// --- Ciphertext out ---

int Session::writeCiphertext(const char* from, int size) noexcept {
  std::vector<char>& gathered = shared_->out;
  if (out_.size() - out_begin_ + gathered.size() > kMaxUnsent) {
    failWith("peer reads nothing");
    return 0;
  }
  gathered.insert(gathered.end(), from, from + size);
  return size;
}

/// Sends what this step has gathered; keeps what the socket does not take.
void Session::sendGathered() noexcept {
  std::vector<char>& gathered = shared_->out;
  if (gathered.empty()) return;
  std::size_t sent = 0;
  if (!wantsFlush()) sent = sendSome(gathered.data(), gathered.size());
  if (sent < gathered.size() && !broken_) {
    out_.insert(out_.end(), gathered.begin() + static_cast<std::ptrdiff_t>(sent), gathered.end());
  }
  gathered.clear();
}

/// Bytes that the socket took now.
std::size_t Session::sendSome(const char* from, std::size_t size) noexcept {
  std::size_t total = 0;
  while (total < size && !broken_) {
    const ssize_t sent = ::send(fd_, from + total, size - total, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      // A short send says that the buffer is full: another would say EAGAIN.
      return total + static_cast<std::size_t>(sent);
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) broken_ = true;
    break;
  }
  return total;
}

IoResult Session::flush() noexcept {
  if (broken_) return failWith("connection reset");
  if (!wantsFlush()) return {Io::Ok};
  out_begin_ += sendSome(out_.data() + out_begin_, out_.size() - out_begin_);
  if (broken_) return failWith("connection reset");
  if (wantsFlush()) return {Io::WantWrite};
  out_ = {};
  out_begin_ = 0;
  return {Io::Ok};
}

std::string_view Session::alpn() const noexcept {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

bool Session::endedByPeer() const noexcept {
  return (SSL_get_shutdown(ssl_) & SSL_RECEIVED_SHUTDOWN) != 0;
}

bool Session::clientSatisfies(const Context& context) const noexcept {
  auto* const native = static_cast<SSL_CTX*>(context.native());
  const ContextSettings* const settings = settingsOf(native);
  if (settings == nullptr) return false;
  if (settings->clients != ClientCheck::Required) return true;
  X509* const leaf = SSL_get0_peer_certificate(ssl_);
  if (leaf == nullptr) return false;
  X509_STORE_CTX* const check = X509_STORE_CTX_new();
  bool good = check != nullptr &&
              X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(native), leaf,
                                  SSL_get_peer_cert_chain(ssl_)) == 1 &&
              X509_STORE_CTX_set_default(check, "ssl_client") == 1;
  if (good) {
    X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(check),
                                     SSL_CTX_get_security_level(native));
    good = X509_verify_cert(check) == 1;
  }
  X509_STORE_CTX_free(check);
  ERR_clear_error();
  return good;
}

std::string_view Session::version() const noexcept { return SSL_get_version(ssl_); }

}  // namespace hyperway::tls
