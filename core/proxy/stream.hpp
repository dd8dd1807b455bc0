// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "codec/message_link.hpp"
#include "net/timer.hpp"
#include "proxy/filter_chain.hpp"
#include "proxy/member_timer.hpp"
#include "proxy/splice_pipe.hpp"
#include "proxy/table_pin.hpp"
#include "proxy/upstream/upstream_set.hpp"
#include "route/table.hpp"

namespace hyperway::proxy {

class Worker;
class Callout;
class Mirror;

/// One request with its response, from the first byte to the access log line: matching, filters,
/// endpoint choice, attempts, flow control. Knows no protocol: codecs on both sides speak through
/// links. Lives in a block of the worker together with the first part of its arena. Whatever ends
/// it reaches finish(). [worker]
class Stream final : public codec::RequestEvents,
                     public codec::ResponseEvents,
                     public FilterChainOwner {
 public:
  /// A stream for a request that is about to be read from `link`; `room` is the arena's first
  /// block.
  Stream(Worker& worker, codec::ServerLink& link, std::span<std::byte> room) noexcept;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream();

  /// Trades the pin on a whole table for a reference on this stream's rule (ARCHITECTURE 4.4).
  void unpin() noexcept;
  /// Ends the stream at once: the drain's deadline is over.
  void kill() noexcept;
  /// Routes a request that waited for the end of the turn (Worker::routeLater).
  void routeNow() noexcept;
  /// The routes among which its request will be looked up; null if it has no listener.
  [[nodiscard]] const route::HostTable* hostTable() const noexcept;
  /// A waker of one of its filters fired.
  void wake(FilterChain& chain, std::size_t index, std::uint64_t token) noexcept;
  /// The pin, for the worker's bookkeeping; null once traded.
  [[nodiscard]] const TablePin* pin() const noexcept { return pin_; }
  /// Membership in the worker's list of streams.
  Stream* prev = nullptr;
  /// Membership in the worker's list of streams.
  Stream* next = nullptr;

  http::RequestHead& requestHead() noexcept override { return request_; }
  Arena& arena() noexcept override { return arena_; }
  http::HeaderMap& requestTrailers() noexcept override { return request_trailers_; }
  http::HeaderMap& responseTrailers() noexcept override { return response_trailers_; }
  void onRequestHead(bool end) noexcept override;
  void onRequestBody(std::span<char> data, bool end) noexcept override;
  void onRequestTrailers(http::HeaderMap& trailers) noexcept override;
  void onRequestFlush() noexcept override;
  void onRequestRefused(codec::Broken how, http::HttpError error) noexcept override;
  void onRequestBroken(codec::Broken how, http::HttpError error) noexcept override;
  void onRequestRaw() noexcept override;
  void onClientDrained() noexcept override;
  void onClientGone() noexcept override;

  http::ResponseHead& responseHead() noexcept override;
  void onInterimResponse() noexcept override;
  void onResponseHead(bool end) noexcept override;
  void onResponseBody(std::span<char> data, bool end) noexcept override;
  void onResponseTrailers(http::HeaderMap& trailers) noexcept override;
  void onResponseFlush() noexcept override;
  void onResponseBroken(codec::Broken how, http::HttpError error) noexcept override;
  void onUpstreamDrained() noexcept override;
  void onResponseRaw() noexcept override;

 private:
  class Guard;
  struct Session;
  void requestHeadThrough(FilterChain& chain) noexcept override;
  void requestBodyThrough(FilterChain& chain, std::span<char> data, bool end) noexcept override;
  void requestTrailersThrough(FilterChain& chain, http::HeaderMap& trailers) noexcept override;
  void responseHeadThrough(FilterChain& chain, bool end) noexcept override;
  void responseBodyThrough(FilterChain& chain, std::span<char> data, bool end) noexcept override;
  void responseTrailersThrough(FilterChain& chain, http::HeaderMap& trailers) noexcept override;
  void pauseRequest(bool paused) noexcept override;
  void pauseResponse(bool paused) noexcept override;
  void requestHeadHeld() noexcept override;
  void answered(FilterChain& chain, std::size_t index) noexcept override;
  void filterFailed(FilterChain& chain, std::uint16_t status,
                    std::string_view plugin) noexcept override;
  http::RequestHead& filterRequestHead(FilterChain& chain) noexcept override;
  bool requestHeadEditable(FilterChain& chain) noexcept override;
  http::ResponseHead* filterResponseHead() noexcept override;
  bool responseHeadEditable() noexcept override;
  const StreamInfo& filterInfo() noexcept override;
  Arena& filterArena() noexcept override { return arena_; }
  bool storeAnswer(std::uint16_t status, std::span<const AnswerField> fields,
                   std::string_view body) noexcept override;
  Waker makeWaker(FilterChain& chain, std::size_t index) noexcept override;
  std::size_t holdLimit() noexcept override;
  std::uint32_t calloutBackends(const FilterChain& chain, std::size_t index) noexcept override;
  std::uint32_t beginCallout(FilterChain& chain, std::size_t index,
                             const CalloutRequest& request) noexcept override;
  bool calloutAnswer(const FilterChain& chain, std::size_t index, std::uint32_t callout,
                     CalloutAnswer& answer) noexcept override;
  bool endCallout(const FilterChain& chain, std::size_t index,
                  std::uint32_t callout) noexcept override;
  [[nodiscard]] std::span<const route::SlotMap::SlotPtr> calloutSlots(
      const FilterChain& chain, std::size_t index) const noexcept;
  void endCallouts(const FilterChain* chain) noexcept;

  // routing
  void route(bool end) noexcept;
  [[nodiscard]] bool selectListener() noexcept;
  [[nodiscard]] bool mayStay(const codec::ConnectionInfo& connection) noexcept;
  void startListener(bool end) noexcept;
  void selectRule(bool end) noexcept;
  void setForwarded() noexcept;
  void setRequestId(bool trusted) noexcept;
  void startRule(bool end) noexcept;
  static void frame(const FilterChain& chain, http::RequestHead& head) noexcept;
  void noteRule(StreamInfo& info) const noexcept;
  // towards the backend
  void headReady() noexcept;
  void draw() noexcept;
  void startAttempt() noexcept;
  void sendAttempt() noexcept;
  void attemptBody(std::span<char> data, bool end) noexcept;
  void upstreamBody(std::string_view data, bool end) noexcept;
  void keepForReplay(std::string_view data) noexcept;
  void attemptTrailers(http::HeaderMap& trailers) noexcept;
  [[nodiscard]] bool retryAfter(codec::Broken how) noexcept;
  [[nodiscard]] bool retryStatus(std::uint16_t status) noexcept;
  void scheduleRetry() noexcept;
  void dropAttempt() noexcept;
  void endBackendChain() noexcept;
  void onAttemptTimer() noexcept;
  void onRequestTimer() noexcept;
  void startMirrors() noexcept;
  // sessions of clients that stay with an endpoint
  void beginSession() noexcept;
  [[nodiscard]] bool drawSession() noexcept;
  [[nodiscard]] EndpointState* sessionEndpoint() noexcept;
  void moveSession() noexcept;
  [[nodiscard]] bool leavesParked() const noexcept;
  void noteSession() noexcept;
  void offerSession() noexcept;
  // towards the client
  void respondLocal(std::uint16_t status, std::string_view why) noexcept;
  void closeTunnel() noexcept;
  [[nodiscard]] bool isGrpc() const noexcept;
  void storeGrpcAnswer(std::uint16_t status, std::string_view message) noexcept;
  void sendStored(FilterChain* chain, std::optional<std::size_t> index) noexcept;
  void clientHead(bool end) noexcept;
  void clientBody(std::span<char> data, bool end) noexcept;
  void responseEnded() noexcept;
  void failResponse(std::string_view why) noexcept;
  // bodies that go past us, by splice
  void trySpliceRequest() noexcept;
  void trySpliceResponse() noexcept;
  void pumpRequest() noexcept;
  void pumpResponse() noexcept;

  void updateReading() noexcept;
  void finish(StreamEnd reason) noexcept;
  void account(StreamEnd reason) noexcept;

  Worker& worker_;
  codec::ServerLink* down_;
  codec::ClientLink* up_ = nullptr;
  Arena arena_;
  http::RequestHead request_;
  http::ResponseHead response_;
  http::HeaderMap request_trailers_;
  http::HeaderMap response_trailers_;
  TablePin* pin_ = nullptr;
  const route::CompiledListener* listener_ = nullptr;  // until unpinned, or until rule_ is known
  std::shared_ptr<const void> listener_ref_;           // unpinned before that: keeps listener_
  std::shared_ptr<const route::ListenerFilters> listener_filters_;  // once unpinned, if there are
  std::string_view listener_key_;
  const std::shared_ptr<const route::CompiledRule>* rule_slot_ = nullptr;  // in the pinned table
  std::shared_ptr<const route::CompiledRule> rule_ref_;                    // once unpinned
  const route::CompiledRule* rule_ = nullptr;
  const route::CompiledBackend* backend_ = nullptr;
  EndpointState* endpoint_ = nullptr;
  std::string_view endpoint_text_;
  std::optional<FilterChain> rule_chain_;
  std::optional<FilterChain> backend_chain_;
  http::RequestHead* attempt_head_ =
      nullptr;  // what goes to the backend: request_, or this attempt's copy
  StreamInfo* info_ = nullptr;
  std::string_view client_path_;  // as matched; rewrites do not change it
  std::string_view client_query_;
  std::string_view client_authority_;
  std::string_view request_id_;
  std::string_view upgrade_;
  std::string_view why_;
  std::string_view answer_body_;
  codec::ByteBuffer replay_;  // request body so far, for another attempt
  std::optional<http::HeaderMap>
      pending_trailers_;  // of the request, while there is no attempt to take them
  Mirror* mirrors_ = nullptr;
  Callout* callouts_ = nullptr;
  Session* session_ = nullptr;  // in the arena; null: its rule has no session persistence
  std::unique_ptr<SplicePipe> request_pipe_;
  std::unique_ptr<SplicePipe> response_pipe_;
  MemberTimer<Stream, &Stream::onRequestTimer> request_timer_;
  MemberTimer<Stream, &Stream::onAttemptTimer> attempt_timer_;
  net::TimePoint begun_;
  std::uint64_t id_;
  std::uint64_t request_bytes_ = 0;
  std::uint64_t response_bytes_ = 0;
  std::uint32_t wakers_ = 0xffffffff;  // WakeTable::kNone
  std::uint32_t callout_ids_ = 0;
  std::uint32_t listener_filter_count_ = 0;  // of rule_chain_; those of the rule come behind them
  std::uint32_t prefix_size_ = 0;
  std::uint32_t identity_ = 0;  // what its listener shows to backends
  std::uint16_t attempts_ = 0;
  std::uint16_t free_retries_ = 0;
  std::uint16_t status_ = 0;
  std::uint16_t answers_ = 0;  // that took the place of another response, or of none
  int depth_ = 0;
  std::uint8_t request_pauses_ = 0;
  std::uint8_t response_pauses_ = 0;
  bool waits_ = false;            // parsed, and to be routed at the end of the turn
  bool may_retry_ = false;        // the rule says what of an answer is retried
  bool preflight_ = false;        // a CORS preflight that only a CORS filter may answer
  bool bypass_filters_ = false;   // a filter failed: what follows goes past all of them
  bool defer_flush_ = false;      // the codec tells when its batch is over
  bool request_ended_ = false;    // the client's request is complete
  bool request_through_ = false;  // it is complete behind the rule filters
  bool head_through_ = false;     // the head is behind the rule filters
  bool replayable_ = true;
  bool keep_replay_ = false;
  bool connect_failed_ = false;  // at once; dealt with by the attempt timer
  bool body_fed_ = false;        // the backend's filters have the body so far
  bool backoff_ = false;         // waiting to try again
  bool response_begun_ = false;  // a final head was accepted, from a backend or ourselves
  bool response_sent_ = false;   // its head is with the client's codec
  bool response_ended_ = false;
  bool local_ = false;  // the response is our own or a filter's
  bool tunnel_ = false;
  bool expect_forwarded_ = false;
  bool client_gone_ = false;
  bool finished_ = false;
};

}  // namespace hyperway::proxy
