// SPDX-License-Identifier: Apache-2.0
#include "proxy/callout.hpp"

#include <algorithm>
#include <utility>

#include "proxy/proxy_header.hpp"
#include "proxy/stream.hpp"
#include "proxy/worker.hpp"

namespace hyperway::proxy {
namespace {

constexpr std::uint8_t kAttempts = 3;

}  // namespace

Callout::Callout(Worker& worker, const Place& place, const CalloutRequest& request,
                 std::size_t most) noexcept
    : worker_(worker),
      stream_(place.stream),
      chain_(&place.chain),
      filter_(place.filter),
      token_(request.token),
      arena_({}),
      request_(arena_),
      response_(arena_),
      trailers_(arena_),
      body_out_(request.body),
      most_(most),
      late_(*this),
      id_(place.id),
      slot_(place.slot),
      identity_(place.identity),
      repeatable_(request.repeatable) {
  request_.method = arena_.copy(request.method);
  request_.method_id = http::methodId(request_.method);
  request_.authority = arena_.copy(request.authority);
  request_.path = arena_.copy(request.path);
  request_.query = arena_.copy(request.query);
  request_.has_query = request.has_query;
  request_.framing = {http::BodyKind::Length, body_out_.size()};
  for (const AnswerField& field : request.fields) request_.fields.add(field.name, field.value);
  char header[kMaxProxyHeaderOut];
  preface_.assign(header,
                  writeProxyHeader(worker_.upstreams().proxyHeader(slot_), place.client, header));
  worker_.counters().callouts.add();
  late_.set(worker_.loop.timers(), worker_.loop.now() + request.timeout);
  attempt();
}

Callout::~Callout() {
  if (up_ != nullptr) std::exchange(up_, nullptr)->cancel();
  worker_.forgetCallout(*this);
}

void Callout::attempt() noexcept {
  ++attempts_;
  EndpointState* const endpoint = worker_.upstreams().choose(slot_, identity_, endpoint_);
  if (endpoint == nullptr) return over(CalloutOutcome::Unreachable);
  endpoint_ = endpoint;
  response_.fields.clear();
  trailers_.clear();
  body_.clear();
  codec::ClientLink* const link =
      worker_.upstreams().connect(*endpoint, *this, attempts_ > 1, preface_);
  if (link == nullptr) return over(CalloutOutcome::Unreachable);
  up_ = link;
  http::H1RequestOut options;
  options.authority = request_.authority;
  const bool end = body_out_.empty();
  up_->sendHead(request_, options, end);
  if (up_ == link && !end) up_->sendBody(body_out_, true);
  if (up_ == link) up_->flush();
}

/// True if nothing was said for it, or it does no harm to say it again.
bool Callout::mayRepeat(codec::Broken how) const noexcept {
  if (outcome_ != CalloutOutcome::Pending || attempts_ >= kAttempts) return false;
  switch (how) {
    case codec::Broken::Refused:
    case codec::Broken::Unreachable:
    case codec::Broken::Handshake:
    case codec::Broken::Untrusted:
    case codec::Broken::Unprocessed: return true;
    case codec::Broken::Stale: return repeatable_ || http::isIdempotent(request_.method_id);
    default: return false;
  }
}

void Callout::onResponseHead(bool end) noexcept {
  if (end) {
    up_ = nullptr;
    return over(CalloutOutcome::Answered);
  }
  // What is sure to be too much need not come first.
  if (response_.framing.kind == http::BodyKind::Length && response_.framing.length > most_)
    over(CalloutOutcome::TooLarge);
}

void Callout::onResponseBody(std::span<char> data, bool end) noexcept {
  if (end) up_ = nullptr;
  if (outcome_ != CalloutOutcome::Pending) return;
  if (data.size() > most_ - body_.size()) return over(CalloutOutcome::TooLarge);
  body_.append(data.data(), data.size());
  if (end) over(CalloutOutcome::Answered);
}

void Callout::onResponseTrailers(http::HeaderMap& trailers) noexcept {
  up_ = nullptr;
  if (&trailers != &trailers_) trailers_ = trailers;
  over(CalloutOutcome::Answered);
}

void Callout::onResponseBroken(codec::Broken how, http::HttpError) noexcept {
  up_ = nullptr;
  if (mayRepeat(how)) return attempt();
  switch (how) {
    case codec::Broken::Timeout: return over(CalloutOutcome::Timeout);
    case codec::Broken::Refused:
    case codec::Broken::Unreachable:
    case codec::Broken::Handshake:
    case codec::Broken::Untrusted:
    case codec::Broken::Unprocessed: return over(CalloutOutcome::Unreachable);
    default: return over(CalloutOutcome::Broken);
  }
}

void Callout::onLate() noexcept { over(CalloutOutcome::Timeout); }

void Callout::over(CalloutOutcome outcome) noexcept {
  if (outcome_ != CalloutOutcome::Pending) return;
  outcome_ = outcome;
  late_.cancel();
  if (outcome != CalloutOutcome::Answered) worker_.counters().callouts_failed.add();
  if (up_ != nullptr) std::exchange(up_, nullptr)->cancel();
  worker_.calloutOver(*this);
}

CalloutAnswer Callout::answer() const noexcept {
  CalloutAnswer out;
  out.outcome = outcome_;
  if (outcome_ == CalloutOutcome::Answered)
    out = {outcome_, response_.status, &response_.fields, &trailers_, body_};
  return out;
}

void Callout::tell() noexcept { stream_.wake(*chain_, filter_, token_); }

}  // namespace hyperway::proxy
