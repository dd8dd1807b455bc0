// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/arena.hpp"
#include "http/head.hpp"
#include "route/filter_binding.hpp"

namespace hyperway::proxy {

/// Verdict of a filter hook; values equal the ABI's hw_flow. Anything else reads as Fault.
enum class Flow : std::int32_t { Continue = 0, Hold = 1, Pause = 2, Responded = 3, Fault = -1 };

/// Hooks as bits; values equal the ABI's HW_HOOK_*.
enum Hook : std::uint32_t {
  kRequestHead = 1U << 0,
  kRequestBody = 1U << 1,
  kRequestTrailers = 1U << 2,
  kResponseHead = 1U << 3,
  kResponseBody = 1U << 4,
  kResponseTrailers = 1U << 5,
  kRequestResize = 1U << 16,   ///< The request body hook may change the length.
  kResponseResize = 1U << 17,  ///< The response body hook may change the length.
  kPreflight = 1U << 18,       ///< Wants CORS preflights that no rule matches as they are.
};

/// Flag of head and body hooks: no body follows, or this is the last chunk.
inline constexpr std::uint32_t kEndOfStream = 1U << 0;

/// Why a stream ended; values equal the ABI's HW_END_*.
enum class StreamEnd : std::int32_t {
  Complete = 0,
  Aborted = 1,
  ClientGone = 2,
  UpstreamLost = 3,
  Timeout = 4
};

/// One chunk of a body on its way through the filters. Views memory of the connection's read buffer
/// until a filter edits it; edited bytes live in `owned`. [worker]
class BodyChunk {
 public:
  /// A chunk over bytes that stay valid for the hook's call.
  explicit BodyChunk(std::span<char> data) noexcept : data_(data) {}
  /// The bytes as they are now.
  [[nodiscard]] std::string_view data() const noexcept {
    return edited_ ? std::string_view(owned_) : std::string_view(data_.data(), data_.size());
  }
  /// The same bytes, for editing in place.
  [[nodiscard]] std::span<char> edit() noexcept {
    return edited_ ? std::span<char>(owned_) : data_;
  }
  /// Makes `bytes` the content; copies.
  void replace(std::string_view bytes) {
    std::string copy(bytes);  // `bytes` may view our own content
    owned_ = std::move(copy);
    edited_ = true;
  }
  /// Drops the first `count` bytes (at most all).
  void drain(std::size_t count) {
    count = count < data().size() ? count : data().size();
    if (edited_)
      owned_.erase(0, count);
    else
      data_ = data_.subspan(count);
  }
  /// Adds `bytes` at the end; copies.
  void append(std::string_view bytes) {
    if (!edited_) {
      owned_.assign(data_.data(), data_.size());
      edited_ = true;
    }
    owned_.append(bytes);
  }
  /// Moves the content out (copies it if it was not edited); the chunk is empty after that.
  [[nodiscard]] std::string release() {
    std::string out = edited_ ? std::move(owned_) : std::string(data_.data(), data_.size());
    owned_.clear();
    data_ = {};
    return out;
  }
  /// True once the content lies in memory of its own; drain() alone does not do that.
  [[nodiscard]] bool edited() const noexcept { return edited_; }

 private:
  std::span<char> data_;
  std::string owned_;
  bool edited_ = false;
};

/// A waker's value: 16 bytes, copyable, harmless when its stream is gone.
struct Waker {
  std::uint64_t where = 0;   ///< Worker and slot of the stream; see WakerTable.
  std::uint64_t serial = 0;  ///< Which use of that slot; 0 never wakes anything.
};

/// What wakes streams from any thread. Implemented by the proxy, used by the host's waker service.
class WakeSink {
 public:
  virtual ~WakeSink() = default;
  /// Makes the stream's worker call on_wake with `token`, never before the running hook has
  /// returned. Does nothing if the stream is gone. [any]
  virtual void wake(Waker waker, std::uint64_t token) noexcept = 0;
};

/// Facts about a stream that filters may read. Views live as long as the stream.
struct StreamInfo {
  std::string_view scheme;            ///< "http" or "https", as the client sees it.
  std::string_view client_authority;  ///< As the client sent it; never changes.
  std::string_view client_host;       ///< Lower case, without port; never changes.
  std::string_view protocol;          ///< "HTTP/1.1", "HTTP/1.0", "HTTP/2".
  std::string_view peer_address;      ///< Text; trusted proxies taken off.
  std::string_view request_id;        ///< X-Request-Id as it goes out.
  std::string_view listener;          ///< Listener::key.
  std::string_view route;             ///< "namespace/name"; empty before the match.
  std::string_view rule;          ///< Rule name, else its index as text; empty before the match.
  std::uint16_t client_port = 0;  ///< Listener's port as the client sees it.
  std::uint16_t peer_port = 0;    ///< Of the client.
  std::int64_t prefix_size =
      -1;  ///< Bytes that a Prefix match covered; -1: the match was no prefix match.
  std::uint64_t stream_id = 0;     ///< Unique in the process.
  std::uint32_t worker_index = 0;  ///< Which worker owns the stream.
};

/// A header line of an answer that a filter gives itself.
struct AnswerField {
  std::string_view name;   ///< Field name.
  std::string_view value;  ///< Field value.
};

/// A request that a filter has sent to one of its backends. What it views is copied.
struct CalloutRequest {
  std::uint32_t backend = 0;             ///< Place among the filter's backends.
  bool repeatable = false;               ///< May be sent again, whatever its method.
  std::chrono::milliseconds timeout{0};  ///< From here to the end of the answer.
  std::size_t max_body = 0;              ///< Of the answer.
  std::uint64_t token = 0;               ///< For on_wake.
  std::string_view method;               ///< A token.
  std::string_view authority;            ///< Host, or host:port.
  std::string_view path;                 ///< Absolute, without query.
  std::string_view query;                ///< Without '?'.
  bool has_query = false;                ///< Tells "/a?" from "/a".
  std::span<const AnswerField> fields;   ///< Valid, and none that frames the message.
  std::string_view body;                 ///< Content.
};

/// What came of a callout; values equal the ABI's HW_CALLOUT_*.
enum class CalloutOutcome : std::int32_t {
  Answered = 0,
  Pending = 1,
  Unreachable = 2,
  Timeout = 3,
  Broken = 4,
  TooLarge = 5
};

/// An answer to a callout, as far as there is one. Views live until the callout ends.
struct CalloutAnswer {
  CalloutOutcome outcome = CalloutOutcome::Pending;  ///< What came of it.
  std::uint16_t status = 0;                          ///< 0 unless answered.
  const http::HeaderMap* fields = nullptr;           ///< Null unless answered.
  const http::HeaderMap* trailers = nullptr;         ///< Null unless answered.
  std::string_view body;                             ///< Empty unless answered.
};

/// Most callouts that a stream has at a time.
inline constexpr std::uint32_t kMaxCallouts = 8;

/// What one filter instance sees of its stream: the object behind the ABI's `hw_stream`.
/// Implemented by the filter chain. All calls [worker], from inside a hook unless noted.
class FilterContext {
 public:
  FilterContext() = default;
  FilterContext(const FilterContext&) = delete;
  FilterContext& operator=(const FilterContext&) = delete;

  /// The request head as the filters before left it. In backend filters: the attempt's copy.
  [[nodiscard]] virtual http::RequestHead& requestHead() noexcept = 0;
  /// True while edits of the request head still take effect.
  [[nodiscard]] virtual bool requestHeadEditable() const noexcept = 0;
  /// The response head; null before there is one.
  [[nodiscard]] virtual http::ResponseHead* responseHead() noexcept = 0;
  /// True while edits of the response head still take effect.
  [[nodiscard]] virtual bool responseHeadEditable() const noexcept = 0;
  /// Trailers of the request; null before they came or if there are none.
  [[nodiscard]] virtual http::HeaderMap* requestTrailers() noexcept = 0;
  /// Trailers of the response; null likewise.
  [[nodiscard]] virtual http::HeaderMap* responseTrailers() noexcept = 0;
  /// Facts about the stream.
  [[nodiscard]] virtual const StreamInfo& info() const noexcept = 0;
  /// Memory that ends with the stream.
  [[nodiscard]] virtual Arena& arena() noexcept = 0;
  /// Sets this filter's own answer, to be followed by Flow::Responded. Copies. False once a
  /// response head is out.
  [[nodiscard]] virtual bool respond(std::uint16_t status, std::span<const AnswerField> fields,
                                     std::string_view body) = 0;
  /// Ends a pause of `hook` (one bit) with the verdict that it would have given. The message goes
  /// on after the calling hook has returned. False if that hook is not paused.
  [[nodiscard]] virtual bool resume(std::uint32_t hook, Flow verdict) noexcept = 0;
  /// Drops hooks (bits) of this filter for the rest of the stream.
  virtual void ignore(std::uint32_t hooks) noexcept = 0;
  /// A waker for this filter instance.
  [[nodiscard]] virtual Waker waker() noexcept = 0;
  /// Number of backends that the filter may send requests to.
  [[nodiscard]] virtual std::uint32_t calloutBackends() const noexcept { return 0; }
  /// Sends a request to one of them; on_wake follows when it is over. 0: the stream has too many.
  [[nodiscard]] virtual std::uint32_t beginCallout(const CalloutRequest&) noexcept { return 0; }
  /// What came of a callout of this filter. False: there is none of that number.
  [[nodiscard]] virtual bool calloutAnswer(std::uint32_t, CalloutAnswer&) const noexcept {
    return false;
  }
  /// Ends a callout of this filter; no on_wake comes of it any more. False: there is none.
  [[nodiscard]] virtual bool endCallout(std::uint32_t) noexcept { return false; }

 protected:
  ~FilterContext() = default;
};

/// A filter class with one parsed configuration, as the chain calls it. Implemented over the C ABI
/// in core/plugin and, in tests, directly. Immutable; hooks are called by many workers at once.
class FilterBinding : public route::FilterBinding {
 public:
  /// Which hooks to call (Hook bits). No bit, no cost. Constant.
  [[nodiscard]] std::uint32_t interest() const noexcept { return interest_; }
  /// The plugin's id, for logs and counters. Lives as long as the binding.
  [[nodiscard]] virtual std::string_view pluginId() const noexcept = 0;
  /// Makes an instance for a stream; false: the filter is broken, answer 500. `*filter` may be
  /// null.
  [[nodiscard]] virtual bool create(FilterContext& context, void** filter) const noexcept = 0;
  /// The request head is complete.
  [[nodiscard]] virtual Flow onRequestHead(void* filter, FilterContext& context,
                                           std::uint32_t flags) const noexcept = 0;
  /// A chunk of the request body; with kEndOfStream it may be empty.
  [[nodiscard]] virtual Flow onRequestBody(void* filter, FilterContext& context, BodyChunk& chunk,
                                           std::uint32_t flags) const noexcept = 0;
  /// The request's trailers.
  [[nodiscard]] virtual Flow onRequestTrailers(void* filter,
                                               FilterContext& context) const noexcept = 0;
  /// The final response head.
  [[nodiscard]] virtual Flow onResponseHead(void* filter, FilterContext& context,
                                            std::uint32_t flags) const noexcept = 0;
  /// A chunk of the response body.
  [[nodiscard]] virtual Flow onResponseBody(void* filter, FilterContext& context, BodyChunk& chunk,
                                            std::uint32_t flags) const noexcept = 0;
  /// The response's trailers.
  [[nodiscard]] virtual Flow onResponseTrailers(void* filter,
                                                FilterContext& context) const noexcept = 0;
  /// A waker fired; `paused` names the hooks that are paused.
  virtual void onWake(void* filter, FilterContext& context, std::uint32_t paused,
                      std::uint64_t token) const noexcept = 0;
  /// Ends the instance; called exactly once for each successful create().
  virtual void destroy(void* filter, StreamEnd reason) const noexcept = 0;

 protected:
  /// For derived classes: the hooks that the class wants.
  explicit FilterBinding(std::uint32_t interest) noexcept : interest_(interest) {}

 private:
  std::uint32_t interest_;
};

}  // namespace hyperway::proxy
