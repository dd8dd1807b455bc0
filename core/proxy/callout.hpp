// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "codec/message_link.hpp"
#include "http/head.hpp"
#include "proxy/filter.hpp"
#include "proxy/member_timer.hpp"

namespace hyperway::proxy {

class FilterChain;
class Stream;
class Worker;
struct EndpointState;

/// A request that a filter had the gateway send to a backend (abi/draft/callout.h), with its
/// answer. Owned by the stream, whose filter is told at the end of the turn in which it is over:
/// never inside a hook, and never inside a call of the connection that brought the answer. [worker]
class Callout final : public codec::ResponseEvents {
 public:
  /// Whose it is, and where it goes.
  struct Place {
    Stream& stream;                       ///< Owns it.
    FilterChain& chain;                   ///< Of the filter.
    std::size_t filter = 0;               ///< Its index there.
    std::uint32_t id = 0;                 ///< Unique in the stream.
    std::uint32_t slot = 0;               ///< Of the upstream.
    std::uint32_t identity = 0;           ///< What the stream's listener shows to backends.
    const codec::ConnectionInfo& client;  ///< For a PROXY header; looked at now only.
  };

  /// Sends `request`, copied, at once; at most `most` bytes of an answer's body are kept.
  Callout(Worker& worker, const Place& place, const CalloutRequest& request,
          std::size_t most) noexcept;
  Callout(const Callout&) = delete;
  Callout& operator=(const Callout&) = delete;
  /// Cancels what is under way.
  ~Callout();

  /// True if it is the callout `id` of that filter.
  [[nodiscard]] bool is(const FilterChain& chain, std::size_t filter,
                        std::uint32_t id) const noexcept {
    return chain_ == &chain && filter_ == filter && id_ == id;
  }
  /// The chain of its filter.
  [[nodiscard]] const FilterChain* chain() const noexcept { return chain_; }
  /// What came of it.
  [[nodiscard]] CalloutAnswer answer() const noexcept;
  /// Tells its filter that it is over. It may be gone after that.
  void tell() noexcept;

  Callout* next = nullptr;  ///< In the stream's list.

  http::ResponseHead& responseHead() noexcept override { return response_; }
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
  void attempt() noexcept;
  [[nodiscard]] bool mayRepeat(codec::Broken how) const noexcept;
  void over(CalloutOutcome outcome) noexcept;
  void onLate() noexcept;

  Worker& worker_;
  Stream& stream_;
  FilterChain* chain_;
  std::size_t filter_;
  std::uint64_t token_;
  codec::ClientLink* up_ = nullptr;
  EndpointState* endpoint_ = nullptr;  // of the last attempt
  Arena arena_;
  http::RequestHead request_;
  http::ResponseHead response_;
  http::HeaderMap trailers_;
  std::string preface_;
  std::string body_out_;
  std::string body_;
  std::size_t most_;
  MemberTimer<Callout, &Callout::onLate> late_;
  CalloutOutcome outcome_ = CalloutOutcome::Pending;
  std::uint32_t id_;
  std::uint32_t slot_;
  std::uint32_t identity_;
  std::uint8_t attempts_ = 0;
  bool repeatable_;
};

}  // namespace hyperway::proxy
