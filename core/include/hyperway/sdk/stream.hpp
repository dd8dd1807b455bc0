// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <vector>

#include "hyperway/abi/filter.h"
#include "hyperway/sdk/host.hpp"

namespace hyperway::sdk {

/// Verdict of a hook; see hw_flow for what each means.
enum class Flow : hw_flow {
  Continue = HW_FLOW_CONTINUE,
  Hold = HW_FLOW_HOLD,
  Pause = HW_FLOW_PAUSE,
  Responded = HW_FLOW_RESPONDED,
  Fault = HW_FLOW_FAULT,
};

/// Flags of a head or body hook.
struct Flags {
  std::uint32_t bits = 0;  ///< HW_END_OF_STREAM; others are to be ignored.
  /// Head: no body follows. Body: this is the last chunk.
  [[nodiscard]] bool endOfStream() const noexcept { return (bits & HW_END_OF_STREAM) != 0; }
};

/// A set of hooks, as HW_HOOK_* bits.
struct Hooks {
  std::uint32_t bits = 0;  ///< HW_HOOK_*.
  /// True if all bits of `hook` are in the set.
  [[nodiscard]] bool has(std::uint32_t hook) const noexcept { return (bits & hook) == hook; }
};

/// Why a stream ended; see HW_END_*.
enum class End : std::int32_t {
  Complete = HW_END_COMPLETE,
  Aborted = HW_END_ABORTED,
  ClientGone = HW_END_CLIENT_GONE,
  UpstreamLost = HW_END_UPSTREAM_LOST,
  Timeout = HW_END_TIMEOUT,
};

/// One header map of a stream: a request's or response's fields or trailers. A cheap view for the
/// hook's call. Values that are returned live until the next edit of the map. Worker.
class Headers {
 public:
  /// The map `map` (HW_MAP_*) of a stream.
  Headers(hw_stream* stream, const hw_stream_api* api, std::int32_t map) noexcept
      : stream_(stream), api_(api), map_(map) {}

  /// The first value of a name (any case), if there is one.
  [[nodiscard]] std::optional<std::string_view> get(std::string_view name) const noexcept {
    hw_bytes value{};
    if (api_->field_get(stream_, map_, bytesOf(name), &value) != HW_OK) return std::nullopt;
    return viewOf(value);
  }
  /// The first value of an interned name.
  [[nodiscard]] std::optional<std::string_view> get(HeaderName name) const noexcept {
    hw_bytes value{};
    if (api_->field_get_id(stream_, map_, name.id, &value) != HW_OK) return std::nullopt;
    return viewOf(value);
  }
  /// Makes `value` the only one of its name. HW_INVALID, HW_REFUSED, HW_WRONG_STATE.
  hw_status set(std::string_view name, std::string_view value) noexcept {
    return api_->field_set(stream_, map_, bytesOf(name), bytesOf(value));
  }
  /// Makes `value` the only one of its interned name.
  hw_status set(HeaderName name, std::string_view value) noexcept {
    return api_->field_set_id(stream_, map_, name.id, bytesOf(value));
  }
  /// Appends a field beside those of the same name.
  hw_status add(std::string_view name, std::string_view value) noexcept {
    return api_->field_add(stream_, map_, bytesOf(name), bytesOf(value));
  }
  /// Appends a field of an interned name.
  hw_status add(HeaderName name, std::string_view value) noexcept {
    return api_->field_add_id(stream_, map_, name.id, bytesOf(value));
  }
  /// Removes all fields of a name; HW_NOT_FOUND if there was none.
  hw_status remove(std::string_view name) noexcept {
    return api_->field_remove(stream_, map_, bytesOf(name));
  }
  /// Removes all fields of an interned name.
  hw_status remove(HeaderName name) noexcept {
    return api_->field_remove_id(stream_, map_, name.id);
  }
  /// Number of fields.
  [[nodiscard]] std::uint32_t size() const noexcept { return api_->field_count(stream_, map_); }
  /// Calls visit(name, value) for each field in order. No edits meanwhile.
  template <std::invocable<std::string_view, std::string_view> Visit>
  void forEach(Visit&& visit) const {
    const std::uint32_t count = size();
    for (std::uint32_t i = 0; i < count; ++i) {
      hw_field field{};
      if (api_->field_at(stream_, map_, i, &field) == HW_OK)
        visit(viewOf(field.name), viewOf(field.value));
    }
  }
  /// Calls visit(value) for each value of a name in order. No edits meanwhile.
  template <std::invocable<std::string_view> Visit>
  void forEachValue(std::string_view name, Visit&& visit) const {
    std::uint32_t cursor = 0;
    hw_bytes value{};
    while (api_->field_next(stream_, map_, bytesOf(name), &cursor, &value) == HW_OK)
      visit(viewOf(value));
  }

 private:
  hw_stream* stream_;
  const hw_stream_api* api_;
  std::int32_t map_;
};

/// Wakes a paused stream from any thread; a value to copy at will, harmless after the stream's end.
class Waker {
 public:
  /// A waker that does nothing.
  Waker() = default;
  /// Wraps a host's waker.
  Waker(hw_waker waker, const hw_waker_api* api) noexcept : waker_(waker), api_(api) {}

  /// Makes the worker call onWake(token) soon. Any thread.
  void wake(std::uint64_t token = 0) const noexcept {
    if (api_ != nullptr) api_->wake(waker_, token);
  }

 private:
  hw_waker waker_{};
  const hw_waker_api* api_ = nullptr;
};

/// A stream as its filter sees it: a cheap view for the hook's call. Worker.
class Stream {
 public:
  /// The handle that the host passed to a hook.
  Stream(hw_stream* stream, const Services& services) noexcept
      : stream_(stream), services_(&services) {}

  /// The request's fields, editable until the request head has left.
  [[nodiscard]] Headers request() const noexcept { return headers(HW_MAP_REQUEST); }
  /// The response's fields, editable in the response head hook and while it holds.
  [[nodiscard]] Headers response() const noexcept { return headers(HW_MAP_RESPONSE); }
  /// The request's trailers, in their hook.
  [[nodiscard]] Headers requestTrailers() const noexcept {
    return headers(HW_MAP_REQUEST_TRAILERS);
  }
  /// The response's trailers, in their hook.
  [[nodiscard]] Headers responseTrailers() const noexcept {
    return headers(HW_MAP_RESPONSE_TRAILERS);
  }
  /// The first value of a request header, or an empty view.
  [[nodiscard]] std::string_view requestHeader(std::string_view name) const noexcept {
    return request().get(name).value_or(std::string_view());
  }
  /// The first value of a response header, or an empty view.
  [[nodiscard]] std::string_view responseHeader(std::string_view name) const noexcept {
    return response().get(name).value_or(std::string_view());
  }

  /// A text of the stream (HW_TEXT_*), if there is one.
  [[nodiscard]] std::optional<std::string_view> text(std::int32_t what) const noexcept {
    hw_bytes value{};
    if (api()->text(stream_, what, &value) != HW_OK) return std::nullopt;
    return viewOf(value);
  }
  /// Sets a text (HW_TEXT_AUTHORITY, _PATH or _QUERY) in the request head hook.
  hw_status setText(std::int32_t what, std::string_view value) noexcept {
    return api()->set_text(stream_, what, bytesOf(value));
  }
  /// A number of the stream (HW_NUMBER_*), if there is one.
  [[nodiscard]] std::optional<std::int64_t> number(std::int32_t what) const noexcept {
    std::int64_t value = 0;
    if (api()->number(stream_, what, &value) != HW_OK) return std::nullopt;
    return value;
  }
  /// Sets a number (HW_NUMBER_STATUS) in the response head hook.
  hw_status setNumber(std::int32_t what, std::int64_t value) noexcept {
    return api()->set_number(stream_, what, value);
  }
  /// The request method.
  [[nodiscard]] std::string_view method() const noexcept { return orEmpty(HW_TEXT_METHOD); }
  /// The request path, normalised, without query.
  [[nodiscard]] std::string_view path() const noexcept { return orEmpty(HW_TEXT_PATH); }
  /// The response's status, or 0 before there is one.
  [[nodiscard]] int status() const noexcept {
    return static_cast<int>(number(HW_NUMBER_STATUS).value_or(0));
  }

  /// Sets an answer and returns the verdict to give; a fault if the host refused it.
  Flow respond(int status, std::string_view body, std::initializer_list<Pair> headers = {}) {
    std::array<hw_field, 16> fields{};
    std::uint32_t count = 0;
    for (const auto& [name, value] : headers) {
      if (count == fields.size()) return Flow::Fault;
      fields[count++] = {bytesOf(name), bytesOf(value)};
    }
    return respond(status, body, fields.data(), count);
  }
  /// The same with a prepared list of headers.
  Flow respond(int status, std::string_view body, const hw_field* fields, std::uint32_t count) {
    const hw_status done = api()->respond(stream_, status, fields, count, bytesOf(body));
    return done == HW_OK ? Flow::Responded : Flow::Fault;
  }

  /// A waker for this filter; one that does nothing if the host has none.
  [[nodiscard]] Waker waker() const noexcept {
    if (services_->waker == nullptr) return {};
    return {services_->waker->get(stream_), services_->waker};
  }
  /// Ends a pause of one hook (HW_HOOK_*) with the verdict it would have given.
  hw_status resume(std::uint32_t hook, Flow verdict) noexcept {
    return api()->resume(stream_, hook, static_cast<hw_flow>(verdict));
  }
  /// Drops hooks (HW_HOOK_* bits) of this filter for the rest of the stream.
  void ignore(std::uint32_t hooks) noexcept { api()->ignore(stream_, hooks); }

  /// Memory that ends with the stream; null if its budget is used up.
  [[nodiscard]] void* alloc(std::size_t size, std::size_t alignment) noexcept {
    return api()->alloc(stream_, size, alignment);
  }
  /// Index of this worker, below Setup::workerCount().
  [[nodiscard]] std::uint32_t workerIndex() const noexcept { return api()->worker_index(stream_); }
  /// Writes a log line with this stream's id.
  void log(Level level, std::string_view message,
           std::initializer_list<Pair> pairs = {}) const noexcept {
    Log(*services_).write(level, message, pairs, stream_);
  }
  /// The host's services.
  [[nodiscard]] const Services& services() const noexcept { return *services_; }
  /// The handle, for direct use of the ABI.
  [[nodiscard]] hw_stream* handle() const noexcept { return stream_; }

 private:
  [[nodiscard]] const hw_stream_api* api() const noexcept { return services_->stream; }
  [[nodiscard]] Headers headers(std::int32_t map) const noexcept { return {stream_, api(), map}; }
  [[nodiscard]] std::string_view orEmpty(std::int32_t what) const noexcept {
    return text(what).value_or(std::string_view());
  }

  hw_stream* stream_;
  const Services* services_;
};

/// A body chunk as its hook sees it. Edits that change the size need the filter to say so
/// (kResizesRequestBody, kResizesResponseBody). Worker, for the hook's call.
class Body {
 public:
  /// The chunk that the host passed to a hook.
  Body(hw_body* chunk, const hw_body_api* api) noexcept : chunk_(chunk), api_(api) {}

  /// The bytes, until the next edit.
  [[nodiscard]] std::string_view view() const noexcept { return viewOf(api_->data(chunk_)); }
  /// The bytes for editing in place, until the next edit; null if empty.
  [[nodiscard]] char* edit() noexcept { return reinterpret_cast<char*>(api_->edit(chunk_)); }
  /// Number of bytes.
  [[nodiscard]] std::size_t size() const noexcept { return api_->data(chunk_).size; }
  /// Replaces the whole chunk.
  hw_status replace(std::string_view bytes) noexcept {
    return api_->replace(chunk_, bytesOf(bytes));
  }
  /// Removes the first `size` bytes.
  hw_status drain(std::size_t size) noexcept { return api_->drain(chunk_, size); }
  /// Appends bytes.
  hw_status append(std::string_view bytes) noexcept { return api_->append(chunk_, bytesOf(bytes)); }

 private:
  hw_body* chunk_;
  const hw_body_api* api_;
};

}  // namespace hyperway::sdk
