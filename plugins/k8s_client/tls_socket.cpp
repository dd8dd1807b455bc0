// SPDX-License-Identifier: Apache-2.0
#include "k8s_client/tls_socket.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace hyperway::k8s_client {
namespace {

struct BioFree {
  void operator()(BIO* bio) const noexcept { BIO_free(bio); }
};
struct CertificateFree {
  void operator()(X509* certificate) const noexcept { X509_free(certificate); }
};
struct KeyFree {
  void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
};
using Bio = std::unique_ptr<BIO, BioFree>;
using Certificate = std::unique_ptr<X509, CertificateFree>;

Bio bioOf(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string lastSslError(const char* what) {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
  return std::string(what) + (reason != nullptr ? std::string(": ") + reason : std::string());
}

bool addAuthorities(SSL_CTX* context, const std::string& pem, std::string& error) {
  const Bio bio = bioOf(pem);
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  int count = 0;
  while (true) {
    const Certificate one(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (!one) break;
    if (X509_STORE_add_cert(store, one.get()) == 1) ++count;
  }
  ERR_clear_error();  // The end of the text is an error to OpenSSL.
  if (count == 0) error = "the API server's CA has no certificate in it";
  return count > 0;
}

// No password can be asked for: an encrypted key is refused instead of prompting on a terminal.
int noPassword(char*, int, int, void*) { return 0; }

bool useCertificate(SSL_CTX* context, const std::string& chain, const std::string& key_pem,
                    std::string& error) {
  const Bio bio = bioOf(chain);
  const Certificate leaf(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  const Bio key_bio = bioOf(key_pem);
  const std::unique_ptr<EVP_PKEY, KeyFree> key(
      PEM_read_bio_PrivateKey(key_bio.get(), nullptr, noPassword, nullptr));
  if (!leaf || !key || SSL_CTX_use_certificate(context, leaf.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    error = lastSslError("the client certificate cannot be used");
    return false;
  }
  while (X509* more = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr))
    if (SSL_CTX_add0_chain_cert(context, more) != 1) X509_free(more);
  ERR_clear_error();
  return true;
}

}  // namespace

void TlsSocket::ContextFree::operator()(ssl_ctx_st* context) const noexcept {
  SSL_CTX_free(context);
}
void TlsSocket::SslFree::operator()(ssl_st* ssl) const noexcept { SSL_free(ssl); }

TlsSocket::TlsSocket() = default;

TlsSocket::~TlsSocket() {
  ssl_.reset();
  if (fd_ >= 0) ::close(fd_);
}

bool TlsSocket::begin(const ClusterConfig& config, Resolver& resolver, std::string& error) {
  if (!makeContext(config, error)) return false;
  lookup_ = resolver.lookUp(config.host, config.port);
  if (lookup_->done()) return connectFirst(error);
  error = config.host + ": the name is not resolved in time";
  return true;
}

bool TlsSocket::connectFirst(std::string& error) {
  error = lookup_->error();
  next_ = lookup_->addresses();
  return connectNext(error);
}

bool TlsSocket::makeContext(const ClusterConfig& config, std::string& error) {
  context_.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* context = context_.get();
  if (context == nullptr) return error = lastSslError("TLS"), false;
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  static constexpr unsigned char kProtocols[] = {2, 'h', '2'};
  SSL_CTX_set_alpn_protos(context, kProtocols, sizeof kProtocols);
  SSL_CTX_set_verify(context, config.insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  name_ = config.server_name.empty() ? config.host : config.server_name;
  if (!config.insecure) {
    const auto ca = config.ca.read(error);
    if (!ca) return false;
    if (config.ca.absent())
      SSL_CTX_set_default_verify_paths(context);
    else if (!addAuthorities(context, *ca, error))
      return false;
  }
  if (config.certificate.absent()) return true;
  const auto chain = config.certificate.read(error);
  const auto key = chain ? config.key.read(error) : std::nullopt;
  return key && useCertificate(context, *chain, *key, error);
}

bool TlsSocket::connectNext(std::string& error) {
  while (next_ != nullptr) {
    const addrinfo* address = next_;
    next_ = next_->ai_next;
    if (fd_ >= 0) ::close(fd_);
    fd_ = ::socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) {
      error = std::string("socket: ") + std::strerror(errno);
      continue;
    }
    const int on = 1;
    (void)::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // Slower without, no more.
    wants_write_ = true;
    if (::connect(fd_, address->ai_addr, address->ai_addrlen) == 0 || errno == EINPROGRESS)
      return true;
    error = std::string("connect: ") + std::strerror(errno);
  }
  if (error.empty()) error = "no address";
  return false;
}

bool TlsSocket::beginTls(std::string& error) {
  ssl_.reset(SSL_new(context_.get()));
  SSL* ssl = ssl_.get();
  if (ssl == nullptr || SSL_set_fd(ssl, fd_) != 1) return error = lastSslError("TLS"), false;
  SSL_set_connect_state(ssl);
  X509_VERIFY_PARAM* check = SSL_get0_param(ssl);
  const bool named = isAddress(name_) ? X509_VERIFY_PARAM_set1_ip_asc(check, name_.c_str()) == 1
                                      : X509_VERIFY_PARAM_set1_host(check, name_.c_str(), 0) == 1;
  if (!named) return error = lastSslError("TLS"), false;
  // SSL_set_tlsext_host_name() without its C cast; OpenSSL copies the name.
  if (!isAddress(name_))
    SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
             const_cast<char*>(name_.c_str()));
  return true;
}

TlsSocket::Progress TlsSocket::advance(std::string& error) {
  if (fd_ < 0) {
    if (!lookup_->done()) return Progress::Waiting;
    return connectFirst(error) ? Progress::Waiting : Progress::Failed;
  }
  if (!ssl_) {
    int failed = 0;
    socklen_t size = sizeof failed;
    ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &failed, &size);
    sockaddr_storage peer{};
    socklen_t peer_size = sizeof peer;
    if (failed == 0 && ::getpeername(fd_, reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0)
      return Progress::Waiting;
    if (failed != 0) {
      error = std::string("connect: ") + std::strerror(failed);
      return connectNext(error) ? Progress::Waiting : Progress::Failed;
    }
    if (!beginTls(error)) return Progress::Failed;
  }
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_.get());
  if (done == 1) {
    wants_write_ = false;
    const unsigned char* protocol = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &protocol, &size);
    if (size == 2 && std::memcmp(protocol, "h2", 2) == 0) return Progress::Open;
    error = "the server does not speak HTTP/2";
    return Progress::Failed;
  }
  switch (SSL_get_error(ssl_.get(), done)) {
    case SSL_ERROR_WANT_READ: wants_write_ = false; return Progress::Waiting;
    case SSL_ERROR_WANT_WRITE: wants_write_ = true; return Progress::Waiting;
    default: break;
  }
  const long verdict = SSL_get_verify_result(ssl_.get());
  error = verdict != X509_V_OK ? std::string("TLS: the server's certificate: ") +
                                     X509_verify_cert_error_string(verdict)
                               : lastSslError("TLS handshake");
  ERR_clear_error();
  return Progress::Failed;
}

std::ptrdiff_t TlsSocket::result(int returned, std::string& error) {
  if (returned > 0) return returned;
  const int system = errno;
  switch (SSL_get_error(ssl_.get(), returned)) {
    case SSL_ERROR_WANT_READ: return 0;
    case SSL_ERROR_WANT_WRITE: wants_write_ = true; return 0;
    case SSL_ERROR_ZERO_RETURN: error = "closed by the server"; return -1;
    case SSL_ERROR_SYSCALL:
      error = system != 0 ? std::strerror(system) : "closed by the server";
      ERR_clear_error();
      return -1;
    default: error = lastSslError("TLS"); return -1;
  }
}

std::ptrdiff_t TlsSocket::read(char* data, std::size_t size, std::string& error) {
  ERR_clear_error();
  errno = 0;
  return result(SSL_read(ssl_.get(), data, static_cast<int>(size)), error);
}

std::ptrdiff_t TlsSocket::write(const char* data, std::size_t size, std::string& error) {
  ERR_clear_error();
  errno = 0;
  wants_write_ = false;
  return result(SSL_write(ssl_.get(), data, static_cast<int>(size)), error);
}

}  // namespace hyperway::k8s_client
