// SPDX-License-Identifier: Apache-2.0
// Stream: session persistence (GEP-1619). A client brings back a token that names its endpoint;
// nothing is kept of sessions here.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <new>
#include <type_traits>

#include "base/bytes.hpp"
#include "http/cookie.hpp"
#include "proxy/session_token.hpp"
#include "proxy/stream.hpp"
#include "proxy/worker.hpp"

namespace hyperway::proxy {
namespace {

constexpr int kMostTokens = 4;  // of one request that are opened: each costs a key

using std::chrono::milliseconds;

/// True if a time that is limited is over. A clock that stands before it is not held against it.
bool isOver(const std::optional<milliseconds>& limit, std::uint64_t since,
            std::uint64_t now) noexcept {
  return limit && now > since && now - since >= static_cast<std::uint64_t>(limit->count());
}

/// Text that is put together in memory of a known size.
class Text {
 public:
  Text(Arena& arena, std::size_t room) : begin_(static_cast<char*>(arena.allocate(room, 1))) {}
  Text& add(std::string_view text) noexcept {
    std::copy(text.begin(), text.end(), begin_ + size_);
    size_ += text.size();
    return *this;
  }
  Text& add(std::uint64_t number) noexcept {
    const auto end = std::to_chars(begin_ + size_, begin_ + size_ + 20, number).ptr;
    size_ = static_cast<std::size_t>(end - begin_);
    return *this;
  }
  [[nodiscard]] std::string_view view() const noexcept { return {begin_, size_}; }

 private:
  char* begin_;
  std::size_t size_ = 0;
};

/// The attributes of the cookie. SameSite and the others by GEP-1619, Cookie Attributes.
std::string_view cookieOf(const route::Session& session, std::string_view token, bool secure,
                          std::uint64_t age_left_ms, Arena& arena) {
  constexpr std::size_t kAttributes = 128;
  Text text(arena, session.name.size() + token.size() + session.path.size() + kAttributes);
  text.add(session.name).add("=").add(token).add("; Path=").add(session.path);
  if (session.permanent) text.add("; Max-Age=").add((age_left_ms + 999) / 1000);
  text.add("; HttpOnly; SameSite=Strict");
  if (secure) text.add("; Secure");
  return text.view();
}

}  // namespace

/// What a stream knows of its client's session.
struct Stream::Session {
  SessionToken token;     // brought by the client; only if `resumed`
  SessionToken used;      // of the attempt under way: backend and endpoint
  std::uint64_t now = 0;  // wall clock, milliseconds
  bool resumed = false;   // the client has a session that is not over
  bool keeps = false;     // the next attempt goes to its endpoint
  bool secure = false;    // the client speaks TLS, to us or to a proxy that we trust
};

/// Looks for the client's token, before filters may take it out of the request.
void Stream::beginSession() noexcept {
  static_assert(std::is_trivially_destructible_v<Session>);
  session_ = new (arena_.allocate(sizeof(Session), alignof(Session))) Session;
  const route::Session& model = rule_->session->model;
  session_->now = static_cast<std::uint64_t>(worker_.wallUs()) / 1000;
  const http::Field* const proto = request_.fields.find(http::FieldId::XForwardedProto);
  session_->secure = proto != nullptr && equalsIgnoreCase(proto->value(), "https");
  int left = kMostTokens;
  const auto take = [&](std::string_view text) {
    if (text.size() != kSessionTokenSize || left-- <= 0) return;
    const auto token = readSessionToken(worker_.tokens(), model.scope, text);
    if (!token || isOver(model.absolute_timeout, token->begun, session_->now) ||
        isOver(model.idle_timeout, token->seen, session_->now))
      return;
    session_->token = *token;
    session_->resumed = session_->keeps = true;
  };
  for (const http::Field& line : request_.fields.lines()) {
    if (line.removed || session_->resumed) continue;
    if (model.header) {
      if (equalsIgnoreCase(line.name(), model.name)) take(line.value());
      continue;
    }
    if (line.id != http::FieldId::Cookie) continue;
    std::string_view pairs = line.value();
    while (!session_->resumed && left > 0) {
      const std::string_view value = http::nextCookie(pairs, model.name);
      if (value.data() == nullptr) break;
      take(value);
    }
  }
}

/// The backend of the client's session, whatever its weight is now (GEP-1619 up to v1.6,
/// Traffic Splitting: so it was for sessions of rules).
/// False if there is none, or if its endpoint cannot be had: the session moves.
bool Stream::drawSession() noexcept {
  if (!session_->keeps) return false;
  const auto serves = [&](const route::CompiledBackend& backend) {
    if (backend.refused || !backend.upstream ||
        fnv1a(backend.upstream->key()) != session_->token.backend)
      return false;
    backend_ = &backend;
    return sessionEndpoint() != nullptr;
  };
  const auto among = [&](const std::vector<route::CompiledBackend>& backends) {
    return std::any_of(backends.begin(), backends.end(), serves);
  };
  session_->keeps = among(rule_->backends) || among(rule_->session->parked);
  return session_->keeps;
}

/// The endpoint of the client's session; null if the next attempt may go anywhere.
EndpointState* Stream::sessionEndpoint() noexcept {
  if (!session_->keeps) return nullptr;
  return worker_.upstreams().find(backend_->upstream_number, identity_, session_->token.endpoint);
}

/// An attempt failed that the backend did not answer: the next one goes elsewhere.
void Stream::moveSession() noexcept { session_->keeps = false; }

/// True if the next attempt would go to a backend of weight 0 without a session that it has.
bool Stream::leavesParked() const noexcept {
  return !session_->keeps && rule_->isParked(*backend_);
}

/// Notes where the attempt goes: the endpoint itself may be gone when the answer's head goes out.
void Stream::noteSession() noexcept {
  session_->used.backend = fnv1a(backend_->upstream->key());
  session_->used.endpoint = endpoint_->address;
}

/// Gives the client a token, if it has none, if its session moved, or if the token says when it was
/// last used.
void Stream::offerSession() noexcept {
  const route::Session& model = rule_->session->model;
  SessionToken& token = session_->used;
  const bool stays = session_->resumed && token.backend == session_->token.backend &&
                     token.endpoint == session_->token.endpoint;
  if (stays ? !model.idle_timeout : rule_->isParked(*backend_)) return;
  if (model.absolute_timeout) token.begun = stays ? session_->token.begun : session_->now;
  if (model.idle_timeout) token.seen = session_->now;
  const std::span<char> text = arena_.array<char>(kSessionTokenSize);
  if (!writeSessionToken(worker_.tokens(), model.scope, token, text.data())) return;
  const std::string_view value(text.data(), text.size());
  if (model.header) return response_.fields.set(model.name, value);
  const auto most = static_cast<std::uint64_t>(
      model.absolute_timeout.value_or(std::chrono::milliseconds::zero()).count());
  const std::uint64_t age = session_->now > token.begun ? session_->now - token.begun : 0;
  response_.fields.appendView(
      http::FieldId::Other, "set-cookie",
      cookieOf(model, value, session_->secure, most > age ? most - age : 0, arena_));
}

}  // namespace hyperway::proxy
