// SPDX-License-Identifier: Apache-2.0
#include "test_client.hpp"

#include <doctest/doctest.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <utility>

namespace hyperway::tls::testing {

SocketEnds makeSockets(int buffer_bytes) {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
  SocketEnds out{net::Fd{ends[0]}, net::Fd{ends[1]}};
  if (buffer_bytes != 0) {
    REQUIRE(::setsockopt(out.server.get(), SOL_SOCKET, SO_SNDBUF, &buffer_bytes,
                         sizeof(buffer_bytes)) == 0);
  }
  return out;
}

TestClient::TestClient(net::Fd fd, const ClientOptions& options)
    : fd_(std::move(fd)), context_(SSL_CTX_new(TLS_client_method())) {
  // Old versions and SHA-1 are what some tests offer; the server must refuse them, not the client.
  SSL_CTX_set_security_level(context_.get(), 0);
  SSL_CTX_set_min_proto_version(context_.get(), options.min_version);
  SSL_CTX_set_max_proto_version(context_.get(), options.max_version);
  if (options.min_version < TLS1_2_VERSION) {
    REQUIRE(SSL_CTX_set_cipher_list(context_.get(), "ALL:@SECLEVEL=0") == 1);
  }
  if (!options.suites12.empty()) {
    REQUIRE(SSL_CTX_set_cipher_list(context_.get(), options.suites12.c_str()) == 1);
  }
  if (!options.signatures.empty()) {
    REQUIRE(SSL_CTX_set1_sigalgs_list(context_.get(), options.signatures.c_str()) == 1);
  }
  if (!options.groups.empty()) {
    REQUIRE(SSL_CTX_set1_groups_list(context_.get(), options.groups.c_str()) == 1);
  }
  std::string wire;
  for (const std::string& name : options.alpn) wire += static_cast<char>(name.size()) + name;
  ssl_.reset(SSL_new(context_.get()));
  if (!wire.empty()) {
    SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(wire.data()),
                        static_cast<unsigned>(wire.size()));
  }
  if (!options.sni.empty()) {
    REQUIRE(SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                     const_cast<char*>(options.sni.c_str())) == 1);
  }
  if (options.resume != nullptr) REQUIRE(SSL_set_session(ssl_.get(), options.resume) == 1);
  REQUIRE(SSL_set_fd(ssl_.get(), fd_.get()) == 1);
  SSL_set_connect_state(ssl_.get());
}

void TestClient::note(int outcome) {
  if (outcome > 0) return;
  const int kind = SSL_get_error(ssl_.get(), outcome);
  if (kind == SSL_ERROR_SSL) error_ = takeOpensslReason();
  if (kind == SSL_ERROR_SYSCALL) error_ = "system call";
  if (kind == SSL_ERROR_ZERO_RETURN) error_ = "close_notify";
  ERR_clear_error();
}

void TestClient::step() {
  if (error_.empty()) note(SSL_do_handshake(ssl_.get()));
}

void TestClient::write(std::string_view text) {
  std::size_t written = 0;
  REQUIRE(SSL_write_ex(ssl_.get(), text.data(), text.size(), &written) == 1);
  REQUIRE(written == text.size());
}

std::string TestClient::readAll() {
  std::string out;
  char buffer[16384];
  for (;;) {
    const int got = SSL_read(ssl_.get(), buffer, sizeof(buffer));
    if (got <= 0) {
      note(got);
      return out;
    }
    out.append(buffer, static_cast<std::size_t>(got));
  }
}

void TestClient::closeNotify() { note(SSL_shutdown(ssl_.get()) < 0 ? -1 : 1); }

void TestClient::endSocket() { REQUIRE(::shutdown(fd_.get(), SHUT_WR) == 0); }

std::string TestClient::serverName() const {
  const Owned<X509> certificate{SSL_get1_peer_certificate(ssl_.get())};
  if (!certificate) return {};
  char name[256] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName, name,
                            sizeof(name));
  return name;
}

int TestClient::chainLength() const { return sk_X509_num(SSL_get_peer_cert_chain(ssl_.get())); }

int TestClient::serverKeyKind() const {
  const Owned<X509> certificate{SSL_get1_peer_certificate(ssl_.get())};
  REQUIRE(certificate != nullptr);
  return EVP_PKEY_get_base_id(X509_get0_pubkey(certificate.get()));
}

std::string TestClient::alpn() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

IoResult shakeHands(Session& server, TestClient& client) {
  IoResult last{Io::WantRead};
  for (int round = 0; round < 20; ++round) {
    client.step();
    if (last.state == Io::WantRead) last = server.handshake();
    if (last.state == Io::Ok && client.done()) break;
    if (last.state == Io::Failed || last.state == Io::Closed) {
      client.step();
      // With TLS 1.3 the client may be done before it hears of the refusal.
      if (client.error().empty()) (void)client.readAll();
      break;
    }
  }
  return last;
}

}  // namespace hyperway::tls::testing
