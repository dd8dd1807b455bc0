// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "codec/message_link.hpp"
#include "http/head.hpp"
#include "proxy/member_timer.hpp"

namespace hyperway::proxy {

class Worker;

/// A copy of a request on its way to a mirror. The answer is thrown away; one that lags more than
/// 64 KiB, or is not done a while after the original, is cut: the original never waits. Owns itself
/// once begun. [worker]
class Mirror final : public codec::ResponseEvents {
 public:
  /// Begins a copy of `head` (as the rule's filters left it) towards the upstream with this slot,
  /// as the listener with this identity, in front of `others`; returns the new head of the list, or
  /// `others` if there is no endpoint.
  [[nodiscard]] static Mirror* begin(Worker& worker, std::uint32_t slot, std::uint32_t identity,
                                     const http::RequestHead& head,
                                     const codec::ConnectionInfo& client, Mirror* others) noexcept;
  /// Copies body bytes to all mirrors of the list.
  static void body(Mirror* list, std::string_view data, bool end) noexcept;
  /// The original has ended: mirrors that have the whole request finish by themselves, others are
  /// cut.
  static void detach(Mirror*& list) noexcept;

  http::ResponseHead& responseHead() noexcept override;
  Arena& arena() noexcept override { return arena_; }
  http::HeaderMap& responseTrailers() noexcept override { return trailers_; }
  void onInterimResponse() noexcept override {}
  void onResponseHead(bool end) noexcept override;
  void onResponseBody(std::span<char> data, bool end) noexcept override;
  void onResponseTrailers(http::HeaderMap& trailers) noexcept override;
  void onResponseFlush() noexcept override {}
  void onResponseBroken(codec::Broken how, http::HttpError error) noexcept override;
  void onUpstreamDrained() noexcept override {}
  void onResponseRaw() noexcept override {}

 private:
  explicit Mirror(Worker& worker) noexcept;
  ~Mirror() = default;
  void send(std::string_view data, bool end) noexcept;
  void answered() noexcept;
  void cut() noexcept;
  void onLate() noexcept;
  void release() noexcept;

  Worker& worker_;
  codec::ClientLink* up_ = nullptr;
  Mirror* next_ = nullptr;
  Arena arena_;
  http::ResponseHead response_;
  http::HeaderMap trailers_;
  MemberTimer<Mirror, &Mirror::onLate> late_;
  bool request_done_ = false;
  bool attached_ = true;  // the original still feeds us
};

}  // namespace hyperway::proxy
