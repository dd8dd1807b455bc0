// SPDX-License-Identifier: Apache-2.0
// Stream: from the request head to its rule, and through the rule's filters.
#include <charconv>
#include <cstring>

#include "base/bytes.hpp"
#include "http/uri.hpp"
#include "proxy/mirror.hpp"
#include "proxy/stream.hpp"
#include "proxy/stream_guard.hpp"
#include "proxy/worker.hpp"

namespace hyperway::proxy {
namespace {

constexpr std::size_t kMaxRequestId = 128;

/// True for an id worth keeping: visible ASCII without separators that logs could trip over.
bool isGoodId(std::string_view id) noexcept {
  if (id.empty() || id.size() > kMaxRequestId) return false;
  for (const char c : id)
    if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\') return false;
  return true;
}

/// True for a traceparent of version 00 (W3C Trace Context §3.2.2).
bool isGoodTraceparent(std::string_view value) noexcept {
  if (value.size() != 55 || value.substr(0, 3) != "00-" || value[35] != '-' || value[52] != '-')
    return false;
  const auto hex = [](std::string_view text) {
    bool any = false;
    for (const char c : text) {
      if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
      any = any || c != '0';
    }
    return any;
  };
  const std::string_view flags = value.substr(53);
  const auto digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  return hex(value.substr(3, 32)) && hex(value.substr(36, 16)) && digit(flags[0]) &&
         digit(flags[1]);
}

void writeHex(std::uint64_t value, char* to) noexcept {
  for (int i = 15; i >= 0; --i, value >>= 4) to[i] = "0123456789abcdef"[value & 15];
}

}  // namespace

void Stream::route(bool end) noexcept {
  pin_ = worker_.pin();
  client_path_ = request_.path;
  client_query_ = request_.query;
  client_authority_ = request_.authority;
  // Only protocols that are known to leave HTTP for good may open a tunnel; others are asked for in
  // vain.
  if (equalsIgnoreCase(request_.upgrade, "websocket")) upgrade_ = request_.upgrade;
  const std::uint64_t limit = worker_.settings().body_bytes;
  if (!selectListener()) return;
  if (limit != 0 && request_.framing.kind == http::BodyKind::Length &&
      request_.framing.length > limit)
    return respondLocal(413, "body_too_large");
  if (listener_->hasFilters()) return startListener(end);
  selectRule(end);
}

/// The listener's filters see the request before it is matched (GEP-5224); those of its rule come
/// behind them, into the same chain.
void Stream::startListener(bool end) noexcept {
  setForwarded();
  if (listener_->refused()) return respondLocal(500, "filter_refused");
  const std::chrono::milliseconds limit = worker_.settings().request;
  if (limit.count() > 0) request_timer_.set(worker_.loop.timers(), worker_.loop.now() + limit);
  const auto& filters = listener_->filters()->bindings;
  rule_chain_.emplace(*this, filters);
  listener_filter_count_ = static_cast<std::uint32_t>(filters.size());
  frame(*rule_chain_, request_);
  rule_chain_->requestHead(end);
}

bool Stream::selectListener() noexcept {
  const codec::ConnectionInfo& connection = down_->connection();
  const route::BindGroup* const group = worker_.group(connection.bind);
  listener_ = group != nullptr ? group->listenerFor(request_.host) : nullptr;
  const auto spoken = connection.secure ? route::Protocol::Https : route::Protocol::Http;
  if (group != nullptr && group->protocol() != spoken) {
    listener_ = nullptr;  // the listener's protocol changed under this connection
    respondLocal(421, "misdirected");
    return false;
  }
  if (listener_ == nullptr) {
    worker_.counters().no_route.add();
    respondLocal(404, "no_listener");
    return false;
  }
  listener_key_ = listener_->model().key;
  identity_ = listener_->identity();
  if (!connection.secure) return true;
  const route::CompiledListener* const by_name =
      connection.sni.empty() ? group->fallback() : group->listenerFor(connection.sni);
  if (by_name == listener_) return mayStay(connection);
  respondLocal(421, "misdirected");  // RFC 9110 §15.5.20; Gateway API, misdirected requests
  return false;
}

/// What the listener asks of clients may have changed since the handshake, or another listener may
/// have taken the place of the one that was shaken hands with: who would no longer pass is not
/// served any more, and others are until the end of this response (ARCHITECTURE 4.14).
bool Stream::mayStay(const codec::ConnectionInfo& connection) noexcept {
  if (!listener_->tlsSlot()) return true;
  const std::uint32_t slot = listener_->tlsSlot()->number();
  if (slot == connection.tls_slot && connection.security == worker_.security(slot)) return true;
  const tls::Context* const context = worker_.tlsContext(slot);
  if (context != nullptr && connection.session->clientSatisfies(*context)) return true;
  respondLocal(421, "client_certificate");
  return false;
}

void Stream::selectRule(bool end) noexcept {
  // "OPTIONS *" asks about the server as a whole: the route of its root speaks for it (RFC 9110
  // §9.3.7).
  const std::string_view path = request_.path;
  if (request_.target_form == http::TargetForm::Asterisk) request_.path = "/";
  route::MatchResult match = listener_->match(request_, request_.method);
  request_.path = path;
  if (match.rule == nullptr && request_.method_id == http::Method::Options &&
      request_.fields.mayHave(http::FieldId::AccessControlRequestMethod)) {
    const http::Field* const asked =
        request_.fields.find(http::FieldId::AccessControlRequestMethod);
    if (asked != nullptr && request_.fields.find(http::FieldId::Origin) != nullptr) {
      match = listener_->match(request_, asked->value());
      preflight_ = true;
    }
  }
  if (match.rule == nullptr) {
    if (worker_.environment().data_port_answer) {
      if (const auto answer = worker_.environment().data_port_answer(request_.path)) {
        const AnswerField type{"content-type", "text/plain; version=0.0.4; charset=utf-8"};
        if (storeAnswer(200, {&type, 1}, *answer)) {
          local_ = response_begun_ = true;
          return sendStored(nullptr, std::nullopt);
        }
      }
    }
    worker_.counters().no_route.add();
    return respondLocal(404, "no_route");
  }
  rule_ = match.rule;
  prefix_size_ = match.prefix_size;
  if (pin_ != nullptr) {
    rule_slot_ = match.holder;
  } else {  // the listener's filters took their time
    rule_ref_ = *match.holder;
    listener_ = nullptr;
    worker_.environment().reclaim(std::move(listener_ref_));
  }
  rule_->prefetchBehind();
  if (info_ != nullptr) noteRule(*info_);
  startRule(end);
}

void Stream::setRequestId(bool trusted) noexcept {
  if (trusted) {
    const http::Field* const given = request_.fields.find(http::FieldId::XRequestId);
    if (given != nullptr && isGoodId(given->value())) {
      request_id_ = given->value();
      return;
    }
  }
  if (request_.fields.mayHave(http::FieldId::XRequestId))
    request_.fields.remove(http::FieldId::XRequestId);
  auto* const text = static_cast<char*>(arena_.allocate(32, 1));
  writeHex(worker_.random(), text);
  writeHex(worker_.random(), text + 16);
  request_id_ = {text, 32};
  request_.fields.appendView(http::FieldId::XRequestId, "x-request-id", request_id_);
}

/// Tells the backend who asked, how and for what: replaced from a peer that we do not know,
/// extended from one we trust.
void Stream::setForwarded() noexcept {
  using http::FieldId;
  http::HeaderMap& fields = request_.fields;
  const codec::ConnectionInfo& connection = down_->connection();
  const std::string_view peer(connection.peer_text, connection.peer_text_size);
  const net::CidrSet& set = worker_.settings().trusted;
  const bool trusted = !set.empty() && set.contains(connection.peer);
  std::string_view chain = arena_.copy(peer);
  if (fields.mayHave(FieldId::XForwardedFor)) {
    if (trusted) {
      std::size_t size = peer.size();
      for (const http::Field& line : fields.lines())
        if (!line.removed && line.id == FieldId::XForwardedFor) size += line.value_size + 2U;
      auto* const joined = static_cast<char*>(arena_.allocate(size, 1));
      char* at = joined;
      for (const http::Field& line : fields.lines()) {
        if (line.removed || line.id != FieldId::XForwardedFor || line.value_size == 0) continue;
        std::memcpy(at, line.value_data, line.value_size);
        at += line.value_size;
        *at++ = ',';
        *at++ = ' ';
      }
      std::memcpy(at, peer.data(), peer.size());
      at += peer.size();
      chain = {joined, static_cast<std::size_t>(at - joined)};
    }
    fields.remove(FieldId::XForwardedFor);
  }
  fields.appendView(FieldId::XForwardedFor, "x-forwarded-for", chain);
  const auto put = [&](FieldId id, std::string_view name, std::string_view value) {
    if (fields.mayHave(id)) {
      if (trusted && fields.find(id) != nullptr) return;
      fields.remove(id);
    }
    fields.appendView(id, name, value);
  };
  put(FieldId::XForwardedProto, "x-forwarded-proto", connection.secure ? "https" : "http");
  put(FieldId::XForwardedHost, "x-forwarded-host", request_.authority);
  setRequestId(trusted);
  if (fields.mayHave(FieldId::Traceparent)) {
    const http::Field* const given = fields.find(FieldId::Traceparent);
    if (given != nullptr && isGoodTraceparent(given->value())) return;
    fields.remove(FieldId::Traceparent);  // a trace that starts anew must not carry the old state
    fields.remove(FieldId::Tracestate);
  }
  if (!worker_.settings().trace_context) return;
  auto* const text = static_cast<char*>(arena_.allocate(55, 1));
  std::memcpy(text, "00-", 3);
  writeHex(worker_.random(), text + 3);
  writeHex(worker_.random() | 1, text + 19);
  text[35] = '-';
  writeHex(worker_.random() | 1, text + 36);
  std::memcpy(text + 52, "-01", 3);
  fields.appendView(FieldId::Traceparent, "traceparent", {text, 55});
}

void Stream::startRule(bool end) noexcept {
  if (!rule_chain_) setForwarded();
  worker_.counters().prefetchRule(rule_->stats_number);
  if (rule_->refused) return respondLocal(500, "filter_refused");
  may_retry_ = rule_->retry.has_value();
  if (rule_->has_session) beginSession();
  const std::chrono::milliseconds limit =
      rule_->request_timeout >= std::chrono::milliseconds::zero() ? rule_->request_timeout
                                                                  : worker_.settings().request;
  if (limit.count() > 0)
    request_timer_.set(worker_.loop.timers(), worker_.loop.now() + limit);
  else
    request_timer_.cancel();  // of the listener's filters
  if (!rule_->has_filters) {
    if (preflight_) return respondLocal(404, "no_route");
    return headReady();
  }
  std::size_t from = 0;
  if (rule_chain_)
    from = rule_chain_->append(rule_->filters);
  else
    rule_chain_.emplace(*this, rule_->filters);
  frame(*rule_chain_, request_);
  rule_chain_->requestHead(end, preflight_, from);
}

/// A length is not to be promised where filters may change it.
void Stream::frame(const FilterChain& chain, http::RequestHead& head) noexcept {
  if ((chain.interest() & kRequestResize) != 0 && head.framing.kind == http::BodyKind::Length)
    head.framing = {http::BodyKind::Chunked, 0};
}

void Stream::requestHeadThrough(FilterChain& chain) noexcept {
  if (finished_ || response_begun_) return;
  if (backend_chain_ && &chain == &*backend_chain_) return sendAttempt();
  if (rule_ == nullptr) {
    // Neither Host nor :authority may be changed before the match (Gateway API, ListenerFilters).
    request_.authority = client_authority_;
    // Routes are matched by paths in one form: what a filter took out of a body may have dot
    // segments.
    if (request_.path.data() != client_path_.data()) {
      const auto path = http::normalisePath(request_.path, arena_);
      if (!path) return respondLocal(http::statusOf(path.error()), http::nameOf(path.error()));
      request_.path = *path;
    }
    return selectRule(request_.framing.kind == http::BodyKind::None);
  }
  if (preflight_) return respondLocal(404, "no_route");  // no CORS filter answered
  headReady();
}

void Stream::requestBodyThrough(FilterChain& chain, std::span<char> data, bool end) noexcept {
  if (finished_ || (local_ && response_begun_)) return;
  if (backend_chain_ && &chain == &*backend_chain_)
    return upstreamBody({data.data(), data.size()}, end);
  attemptBody(data, end);
}

void Stream::requestTrailersThrough(FilterChain& chain, http::HeaderMap& trailers) noexcept {
  if (finished_ || (local_ && response_begun_)) return;
  if (backend_chain_ && &chain == &*backend_chain_) {
    if (up_ != nullptr) up_->sendTrailers(trailers);
    return;
  }
  attemptTrailers(trailers);
}

void Stream::headReady() noexcept {
  head_through_ = true;
  if (rule_->has_mirrors) startMirrors();
  draw();
}

}  // namespace hyperway::proxy
