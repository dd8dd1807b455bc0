// SPDX-License-Identifier: Apache-2.0
#include "proxy/mirror.hpp"

#include <new>
#include <utility>

#include "proxy/proxy_header.hpp"
#include "proxy/worker.hpp"

namespace hyperway::proxy {
namespace {

constexpr std::size_t kMaxLag = 64 * 1024;
constexpr std::chrono::seconds kLate{10};  // behind the original's end

}  // namespace

Mirror::Mirror(Worker& worker) noexcept
    : worker_(worker), arena_({}), response_(arena_), trailers_(arena_), late_(*this) {}

Mirror* Mirror::begin(Worker& worker, std::uint32_t slot, std::uint32_t identity,
                      const http::RequestHead& head, const codec::ConnectionInfo& client,
                      Mirror* others) noexcept {
  EndpointState* const endpoint = worker.upstreams().choose(slot, identity, nullptr);
  if (endpoint == nullptr) return others;
  worker.counters().mirrors.add();
  auto* const mirror = new Mirror(worker);
  mirror->next_ = others;
  char header[kMaxProxyHeaderOut];
  const std::size_t header_size =
      writeProxyHeader(worker.upstreams().proxyHeader(slot), client, header);
  mirror->up_ = worker.upstreams().connect(*endpoint, *mirror, false, {header, header_size});
  if (mirror->up_ == nullptr) {
    delete mirror;
    return others;
  }
  http::H1RequestOut options;
  options.authority = head.authority;
  mirror->request_done_ = head.framing.kind == http::BodyKind::None;
  mirror->up_->sendHead(head, options, mirror->request_done_);
  mirror->up_->flush();
  return mirror;
}

void Mirror::body(Mirror* list, std::string_view data, bool end) noexcept {
  for (Mirror* mirror = list; mirror != nullptr; mirror = mirror->next_) mirror->send(data, end);
}

void Mirror::send(std::string_view data, bool end) noexcept {
  if (up_ == nullptr || request_done_) return;
  up_->sendBody(data, end);
  request_done_ = end;
  if (up_ != nullptr) up_->flush();
  if (up_ != nullptr && up_->queued() > kMaxLag) cut();
}

void Mirror::cut() noexcept {
  worker_.counters().mirrors_cut.add();
  std::exchange(up_, nullptr)->cancel();
}

void Mirror::onLate() noexcept {
  if (up_ != nullptr) cut();
  release();
}

void Mirror::detach(Mirror*& list) noexcept {
  for (Mirror* mirror = std::exchange(list, nullptr); mirror != nullptr;) {
    Mirror* const next = mirror->next_;
    mirror->attached_ = false;
    if (mirror->up_ != nullptr && !mirror->request_done_) mirror->cut();
    if (mirror->up_ != nullptr)
      mirror->late_.set(mirror->worker_.loop.timers(), mirror->worker_.loop.now() + kLate);
    mirror->release();
    mirror = next;
  }
}

/// Deletes a mirror that neither its original nor its connection knows any more.
void Mirror::release() noexcept {
  if (!attached_ && up_ == nullptr) delete this;
}

http::ResponseHead& Mirror::responseHead() noexcept { return response_; }

void Mirror::answered() noexcept {
  up_ = nullptr;
  release();
}

void Mirror::onResponseHead(bool end) noexcept {
  if (end) answered();
}

void Mirror::onResponseBody(std::span<char>, bool end) noexcept {
  if (end) answered();
}

void Mirror::onResponseTrailers(http::HeaderMap&) noexcept { answered(); }

void Mirror::onResponseBroken(codec::Broken, http::HttpError) noexcept { answered(); }

}  // namespace hyperway::proxy
