// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/fd.hpp"
#include "tls/openssl.hpp"
#include "tls/session.hpp"

/// The other side of a Session: OpenSSL's own client on the far end of a socket pair.
namespace hyperway::tls::testing {

/// What the client asks for.
struct ClientOptions {
  std::string sni = "demo.test";       ///< Empty: sends none.
  std::vector<std::string> alpn = {};  ///< Empty: sends none.
  int min_version = TLS1_2_VERSION;    ///< Least version.
  int max_version = TLS1_3_VERSION;    ///< Greatest version.
  std::string signatures = {};         ///< Signature algorithms; empty: OpenSSL's.
  std::string suites12 = {};           ///< TLS 1.2 cipher list; empty: OpenSSL's.
  std::string groups = {};             ///< Groups, the first gets the key share; empty: OpenSSL's.
  SSL_SESSION* resume = nullptr;       ///< Session to resume.
};

/// Both ends of a connected, non-blocking stream socket pair.
struct SocketEnds {
  net::Fd server, client;
};

/// Makes a pair; `buffer_bytes` other than 0 sets SO_SNDBUF of the server's end.
[[nodiscard]] SocketEnds makeSockets(int buffer_bytes = 0);

/// A TLS client that never blocks. Step it and the server in turns.
class TestClient {
 public:
  /// Takes the descriptor.
  TestClient(net::Fd fd, const ClientOptions& options);

  /// Goes on with the handshake.
  void step();
  /// True once the client's handshake is done.
  [[nodiscard]] bool done() const { return SSL_is_init_finished(ssl_.get()) == 1; }
  /// Writes all of `text`, or fails the test.
  void write(std::string_view text);
  /// Everything that is here now.
  [[nodiscard]] std::string readAll();
  /// Sends close_notify.
  void closeNotify();
  /// Closes the descriptor, with or without close_notify.
  void closeSocket() { fd_.reset(); }
  /// Ends the sending direction of the socket.
  void endSocket();
  /// The last alert or error the client saw, e.g. "tlsv1 alert no application protocol".
  [[nodiscard]] const std::string& error() const { return error_; }
  /// Common name of the server's certificate.
  [[nodiscard]] std::string serverName() const;
  /// Number of certificates that the server sent.
  [[nodiscard]] int chainLength() const;
  /// EVP_PKEY_RSA and the like, of the server's certificate.
  [[nodiscard]] int serverKeyKind() const;
  /// The ALPN protocol that the server chose.
  [[nodiscard]] std::string alpn() const;
  /// OpenSSL's object.
  [[nodiscard]] SSL* native() const { return ssl_.get(); }
  /// The descriptor.
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  void note(int outcome);
  net::Fd fd_;
  Owned<SSL_CTX> context_;
  Owned<SSL> ssl_;
  std::string error_;
};

/// Serves one context for some names. Counts the questions.
class TableResolver : public SniResolver {
 public:
  /// Names and what they get; the name "*" matches any, also none.
  std::vector<std::pair<std::string, const Context*>> table;
  /// Names that were asked for.
  std::vector<std::string> asked;

  [[nodiscard]] const Context* chooseContext(std::string_view sni) noexcept override {
    asked.emplace_back(sni);
    for (const auto& [name, context] : table)
      if (name == "*" || name == sni) return context;
    return nullptr;
  }
};

/// Steps both sides until the server is done or failed and the client has seen it.
[[nodiscard]] IoResult shakeHands(Session& server, TestClient& client);

}  // namespace hyperway::tls::testing
