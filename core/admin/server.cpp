// SPDX-License-Identifier: Apache-2.0
#include "admin/server.hpp"

#include <Poco/Exception.h>
#include <Poco/Net/HTTPRequestHandler.h>
#include <Poco/Net/HTTPRequestHandlerFactory.h>
#include <Poco/Net/HTTPServer.h>
#include <Poco/Net/HTTPServerRequest.h>
#include <Poco/Net/HTTPServerResponse.h>
#include <Poco/Net/ServerSocket.h>
#include <Poco/Net/ServerSocketImpl.h>
#include <Poco/Net/SocketAddress.h>
#include <Poco/ThreadPool.h>
#include <Poco/URI.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "base/bytes.hpp"
#include "net/address.hpp"

namespace hyperway::admin {
namespace {

constexpr std::size_t kMaxBody = 64 * 1024;

// Why a request to a face on loopback is refused; empty if it is not. Other programs of this
// machine may ask; pages of other sites, which run in its browsers, may not.
std::string foreignCaller(const Poco::Net::HTTPServerRequest& request) {
  if (!isLocalAuthority(request.get("Host", "")))
    return "the Host of a request must be localhost or a loopback address\n";
  // A page of another port of this machine is another origin, though the same "site".
  const std::string origin = request.get("Origin", "");
  if (!origin.empty() && !equalsIgnoreCase(origin, "http://" + request.get("Host", "")))
    return "requests of other sites' pages are not answered\n";
  const std::string site = request.get("Sec-Fetch-Site", "");
  if ((site == "cross-site" || site == "same-site") && request.getURI() != "/")
    return "requests of other sites' pages are not answered\n";
  return {};
}

class Face final : public Poco::Net::HTTPRequestHandler {
 public:
  Face(const AdminServer::Handler& handler, Callers callers)
      : handler_(handler), callers_(callers) {}

  void handleRequest(Poco::Net::HTTPServerRequest& request,
                     Poco::Net::HTTPServerResponse& response) override {
    AdminAnswer answer = answerTo(request);
    response.setStatusAndReason(static_cast<Poco::Net::HTTPResponse::HTTPStatus>(answer.status));
    response.setContentType(answer.type);
    response.set("Cache-Control", "no-store");
    response.set("X-Content-Type-Options", "nosniff");
    if (callers_ == Callers::LocalNamesOnly)
      response.set("Content-Security-Policy", answer.policy.empty()
                                                  ? "default-src 'none'; frame-ancestors 'none'"
                                                  : answer.policy);
    if (callers_ == Callers::LocalNamesOnly) response.set("Referrer-Policy", "no-referrer");
    response.setKeepAlive(false);
    response.setContentLength64(static_cast<Poco::Int64>(answer.body.size()));
    if (request.getMethod() == "HEAD")
      response.send();
    else
      response.sendBuffer(answer.body.data(), answer.body.size());
  }

 private:
  AdminAnswer answerTo(Poco::Net::HTTPServerRequest& request) {
    if (callers_ == Callers::LocalNamesOnly)
      if (std::string why = foreignCaller(request); !why.empty())
        return {403, "text/plain", std::move(why)};
    AdminRequest out;
    out.method = request.getMethod() == "HEAD" ? "GET" : request.getMethod();
    try {
      const Poco::URI uri(request.getURI());
      out.path = uri.getPath();
      out.query = uri.getRawQuery();
    } catch (const Poco::Exception&) {
      return {400, "text/plain", "bad request target\n"};
    }
    char buffer[4096];
    while (request.stream().good() && out.body.size() <= kMaxBody) {
      request.stream().read(buffer, sizeof buffer);
      out.body.append(buffer, static_cast<std::size_t>(request.stream().gcount()));
    }
    if (out.body.size() > kMaxBody) return {413, "text/plain", "too large\n"};
    try {
      return handler_(out);
    } catch (const std::exception& error) {
      return {500, "text/plain", std::string(error.what()) + '\n'};
    }
  }

  const AdminServer::Handler& handler_;
  Callers callers_;
};

class Faces final : public Poco::Net::HTTPRequestHandlerFactory {
 public:
  Faces(const AdminServer::Handler& handler, Callers callers)
      : handler_(handler), callers_(callers) {}
  Poco::Net::HTTPRequestHandler* createRequestHandler(
      const Poco::Net::HTTPServerRequest& /*request*/) override {
    return new Face(handler_, callers_);  // Poco's interface: the server deletes it
  }

 private:
  const AdminServer::Handler& handler_;
  Callers callers_;
};

Poco::Net::HTTPServerParams::Ptr parameters() {
  Poco::Net::HTTPServerParams::Ptr out(new Poco::Net::HTTPServerParams);
  out->setTimeout(Poco::Timespan(2, 0));
  out->setKeepAlive(false);
  out->setMaxThreads(64);
  out->setMaxQueued(64);
  return out;
}

Poco::Net::ServerSocket bound(const std::string& ip, std::uint16_t port) {
  try {
    Poco::Net::ServerSocket socket;
    // Without SO_REUSEPORT, which Poco would set too: a second process on the port must be refused.
    socket.bind(Poco::Net::SocketAddress(ip, port), true, false);
    socket.listen(64);
    return socket;
  } catch (const Poco::Exception& error) {
    throw std::runtime_error("admin address " + ip + ':' + std::to_string(port) +
                             " cannot be bound: " + error.displayText());
  }
}

// Poco knows no listening socket that it did not open itself.
class Inherited final : public Poco::Net::ServerSocketImpl {
 public:
  explicit Inherited(net::Fd socket) { reset(socket.release()); }
};

class InheritedSocket final : public Poco::Net::ServerSocket {
 public:
  explicit InheritedSocket(net::Fd socket)
      : Poco::Net::ServerSocket(new Inherited(std::move(socket)), true) {}
};

// A socket's file outlives its process; only one that nobody answers on may be replaced.
void removeStale(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return;
  if (!S_ISSOCK(info.st_mode)) throw std::runtime_error(path + " exists and is no socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), std::min(path.size(), sizeof address.sun_path - 1));
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool taken =
      ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  if (probe >= 0) ::close(probe);
  if (taken) throw std::runtime_error(path + " is in use by another process");
  ::unlink(path.c_str());
}

}  // namespace

bool isLocalAuthority(std::string_view authority) {
  std::string_view host = authority;
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    if (end == std::string_view::npos) return false;
    const std::string_view port = host.substr(end + 1);
    if (!port.empty() && !port.starts_with(':')) return false;
    host = host.substr(1, end - 1);
  } else {
    host = host.substr(0, host.find(':'));
  }
  if (equalsIgnoreCase(host, "localhost")) return true;
  constexpr std::string_view kBelow = ".localhost";
  if (host.size() > kBelow.size() &&
      equalsIgnoreCase(host.substr(host.size() - kBelow.size()), kBelow))
    return true;
  const auto address = net::SocketAddress::parse(host, 0);
  return address && address->isLoopback();
}

struct AdminServer::State {
  State(Handler face, const Poco::Net::ServerSocket& listening, std::string file, Callers callers)
      : handler(std::move(face)),
        socket(listening),
        path(std::move(file)),
        pool("admin", 1, 64, 30, 128 * 1024),
        server(new Faces(handler, callers), pool, socket, parameters()) {
    // Two processes may wait for one connection: the slower one must not be stuck in accept().
    socket.setBlocking(false);
  }
  ~State() {
    if (let_go) finish();
    server.stopAll(true);
    pool.joinAll();
    if (!path.empty() && ours && !let_go) ::unlink(path.c_str());
  }
  // Waits for what was accepted. A connection that is between two of Poco's lists is in none of
  // them; so twice nothing counts.
  void finish() {
    using namespace std::chrono_literals;
    const auto end = std::chrono::steady_clock::now() + 2s;
    for (int quiet = 0; quiet < 2 && std::chrono::steady_clock::now() < end;) {
      std::this_thread::sleep_for(20ms);
      quiet = server.queuedConnections() + server.currentConnections() == 0 ? quiet + 1 : 0;
    }
  }

  Handler handler;
  Poco::Net::ServerSocket socket;
  std::string path;
  Poco::ThreadPool pool;
  Poco::Net::HTTPServer server;
  bool begun = false;
  bool ours = true;  // the socket's file
  bool let_go = false;
  net::Fd other_end;  // of what is in the listening socket's place after letGo()
};

AdminServer::AdminServer(std::unique_ptr<State> state, Begin begin) : state_(std::move(state)) {
  if (begin == Begin::Now) this->begin();
}
AdminServer::~AdminServer() = default;

void AdminServer::begin() {
  state_->ours = true;
  if (!std::exchange(state_->begun, true)) state_->server.start();
}

void AdminServer::letGo() {
  state_->let_go = true;
  // Poco's thread polls the descriptor until it is told to stop, which would drop what it has just
  // accepted. From now on that number is a socket on which nothing ever happens.
  int silent[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, silent) != 0) return;
  state_->other_end = net::Fd{silent[0]};
  const net::Fd quiet{silent[1]};
  (void)::dup3(quiet.get(), state_->socket.impl()->sockfd(), O_CLOEXEC);
}

net::Fd AdminServer::duplicateSocket() const {
  return net::Fd{::fcntl(state_->socket.impl()->sockfd(), F_DUPFD_CLOEXEC, 0)};
}

std::unique_ptr<AdminServer> AdminServer::onAddress(const std::string& ip, std::uint16_t port,
                                                    Handler handler, Begin begin) {
  return std::unique_ptr<AdminServer>(new AdminServer(
      std::make_unique<State>(std::move(handler), bound(ip, port), "", Callers::Any), begin));
}

std::unique_ptr<AdminServer> AdminServer::onLoopback(const std::string& ip, std::uint16_t port,
                                                     Handler handler, Begin begin) {
  const auto address = net::SocketAddress::parse(ip, port);
  if (!address || !address->isLoopback())
    throw std::runtime_error("admin address " + ip + " is not on the loopback interface");
  return std::unique_ptr<AdminServer>(new AdminServer(
      std::make_unique<State>(std::move(handler), bound(ip, port), "", Callers::LocalNamesOnly),
      begin));
}

std::unique_ptr<AdminServer> AdminServer::onSocket(const std::string& path, Handler handler,
                                                   Begin begin) {
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    throw std::runtime_error("admin socket " + path + ": the path is longer than 107 bytes");
  removeStale(path);
  // The mode must be right from the first moment, not after a chmod.
  const mode_t before = ::umask(0177);
  try {
    Poco::Net::ServerSocket socket;
    socket.bind(Poco::Net::SocketAddress(Poco::Net::AddressFamily::UNIX_LOCAL, path), false);
    ::umask(before);
    socket.listen(64);
    return std::unique_ptr<AdminServer>(new AdminServer(
        std::make_unique<State>(std::move(handler), socket, path, Callers::Any), begin));
  } catch (const Poco::Exception& error) {
    ::umask(before);
    throw std::runtime_error("admin socket " + path + " cannot be made: " + error.displayText());
  }
}

std::unique_ptr<AdminServer> AdminServer::onInherited(net::Fd socket, std::string path,
                                                      Callers callers, Handler handler) {
  auto state = std::make_unique<State>(std::move(handler), InheritedSocket(std::move(socket)),
                                       std::move(path), callers);
  state->ours = false;
  return std::unique_ptr<AdminServer>(new AdminServer(std::move(state), Begin::Later));
}

std::uint16_t AdminServer::port() const { return state_->path.empty() ? state_->server.port() : 0; }

}  // namespace hyperway::admin
