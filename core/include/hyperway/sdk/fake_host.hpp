// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hyperway/abi/draft/callout.h"
#include "hyperway/abi/filter.h"
#include "hyperway/abi/manifest.h"
#include "hyperway/abi/service/body.h"
#include "hyperway/abi/service/clock.h"
#include "hyperway/abi/service/log.h"
#include "hyperway/abi/service/metrics.h"
#include "hyperway/abi/service/stream.h"
#include "hyperway/abi/service/waker.h"
#include "hyperway/sdk/config.hpp"

/// A host for unit tests of plugins: runs one filter over scripted messages, without a gateway.
/// Keeps the rules of the real host (what may be edited when, what a verdict means), and time
/// stands still unless moved. For one test thread; wakers may fire on others. Misuse by the test
/// throws std::logic_error.
///
///   sdk::FakeHost host;
///   sdk::FakePlugin plugin(host, hyperway_plugin_v1);
///   auto filter = plugin.filter("my_filter", R"({"limit": 3})");
///   auto stream = filter.stream();
///   stream.request.add("x-user", "ann");
///   CHECK(stream.requestHead() == HW_FLOW_CONTINUE);
namespace hyperway::sdk {

class FakeStream;

/// Fields of a fake message, in order. Names compare without case.
class FakeFields {
 public:
  /// Appends a field.
  void add(std::string name, std::string value) {
    fields_.emplace_back(std::move(name), std::move(value));
  }
  /// All values of a name, in order.
  [[nodiscard]] std::vector<std::string> all(std::string_view name) const {
    std::vector<std::string> out;
    for (const auto& [other, value] : fields_)
      if (same(other, name)) out.push_back(value);
    return out;
  }
  /// The first value of a name, or "".
  [[nodiscard]] std::string get(std::string_view name) const {
    const auto values = all(name);
    return values.empty() ? std::string() : values.front();
  }
  /// True if there is such a field.
  [[nodiscard]] bool has(std::string_view name) const { return !all(name).empty(); }
  /// Removes all fields of a name; how many there were.
  std::size_t remove(std::string_view name) {
    return std::erase_if(fields_, [&](const auto& field) { return same(field.first, name); });
  }
  /// Name and value of each field.
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& list() const {
    return fields_;
  }
  /// Name and value of each field, to edit.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>>& list() { return fields_; }

  /// Compares names as HTTP does.
  [[nodiscard]] static bool same(std::string_view a, std::string_view b) {
    const auto lower = [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [&](char x, char y) { return lower(x) == lower(y); });
  }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

/// One line that a plugin logged.
struct FakeLogLine {
  std::int32_t level;   ///< HW_LOG_*.
  std::string message;  ///< As written.
  FakeFields pairs;     ///< Key/value pairs.
};

/// One problem that a plugin reported.
struct FakeProblem {
  std::int32_t severity;  ///< HW_SEVERITY_*.
  std::string pointer;    ///< JSON pointer.
  std::string message;    ///< As written.
};

/// An answer that a filter gave by itself.
struct FakeAnswer {
  int status = 0;     ///< HTTP status.
  FakeFields fields;  ///< Header fields.
  std::string body;   ///< Content.
};

/// A request that a filter sent to one of its backends, with what the test lets come of it.
struct FakeCallout {
  std::uint32_t backend = 0;                  ///< Place in the list of backends.
  std::uint32_t flags = 0;                    ///< HW_CALLOUT_REPEATABLE.
  std::uint32_t max_body = 0;                 ///< As asked.
  std::uint64_t token = 0;                    ///< For on_wake.
  std::string method, authority, path;        ///< As sent; the path with its query.
  FakeFields fields;                          ///< As sent.
  std::string body;                           ///< As sent.
  bool ended = false;                         ///< The filter wants nothing of it any more.
  std::int32_t outcome = HW_CALLOUT_PENDING;  ///< What came of it.
  FakeAnswer answer = {};                     ///< If HW_CALLOUT_ANSWERED.
  FakeFields trailers = {};                   ///< Likewise.
};

/// The process as a plugin sees it. Outlives the plugins that run on it.
class FakeHost {
 public:
  /// A host with all services and one worker.
  FakeHost() {
    host_.struct_size = sizeof host_;
    host_.abi_major = HW_ABI_MAJOR;
    host_.abi_minor = HW_ABI_MINOR;
    host_.name = "fake_host";
    host_.version = "0";
    host_.ctx = this;
    host_.get_service = &getService;
  }
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;

  std::uint64_t monotonic_ns = 1'000'000'000;        ///< The clock; move it by hand.
  std::int64_t unix_ns = 1'700'000'000'000'000'000;  ///< The wall clock.
  std::uint32_t workers = 1;                         ///< worker_count().
  std::map<std::string, bool> without;               ///< Services not offered: id -> true.
  std::vector<FakeLogLine> log;                      ///< What was logged.

  /// The handle for a plugin.
  [[nodiscard]] const hw_host* handle() const noexcept { return &host_; }
  /// The value of a metric by name, e.g. "limited_total"; labels are left out. 0 if there is none.
  [[nodiscard]] double metric(std::string_view name) const {
    const auto found = metric_ids_.find(std::string(name));
    return found == metric_ids_.end() ? 0 : metrics_[found->second - 1];
  }

 private:
  friend class FakeStream;

  static FakeHost& of(const hw_host* host) { return *static_cast<FakeHost*>(host->ctx); }
  static const void* getService(const hw_host* host, const char* id) noexcept;

  static std::int32_t logEnabled(const hw_host*, std::int32_t) noexcept { return 1; }
  static void logWrite(const hw_host* host, const hw_stream*, std::int32_t level, hw_bytes message,
                       const hw_field* pairs, std::uint32_t count) noexcept {
    FakeLogLine line{level, std::string(viewOf(message)), {}};
    for (std::uint32_t i = 0; i < count; ++i)
      line.pairs.add(std::string(viewOf(pairs[i].name)), std::string(viewOf(pairs[i].value)));
    of(host).log.push_back(std::move(line));
  }
  static hw_status metricDefine(const hw_host* host, const hw_metric_definition* definition,
                                hw_metric* metric) noexcept {
    FakeHost& self = of(host);
    const auto [entry, added] = self.metric_ids_.try_emplace(
        std::string(viewOf(definition->name)), static_cast<hw_metric>(self.metrics_.size() + 1));
    if (added) self.metrics_.push_back(0);
    *metric = entry->second;
    return HW_OK;
  }
  static void metricAdd(const hw_host* host, hw_metric metric, double amount) noexcept {
    if (metric != 0) of(host).metrics_[metric - 1] += amount;
  }
  static void metricSet(const hw_host* host, hw_metric metric, double value) noexcept {
    if (metric != 0) of(host).metrics_[metric - 1] = value;
  }
  static std::uint64_t clockMonotonic(const hw_host* host) noexcept {
    return of(host).monotonic_ns;
  }
  static std::int64_t clockUnix(const hw_host* host) noexcept { return of(host).unix_ns; }

  hw_host host_{};
  std::map<std::string, hw_metric> metric_ids_;
  std::vector<double> metrics_;
};

/// One request with its response, as the filter under test sees it. Set up `request`, texts and
/// numbers first, then call the message's parts in order. Ends with the filter's stream_destroy.
class FakeStream {
 public:
  /// For FakeFilter: a stream of `type` with `config`.
  FakeStream(const hw_filter_class& type, const void* config)
      : type_(type), link_(std::make_shared<Link>()) {
    texts_[HW_TEXT_METHOD] = "GET";
    texts_[HW_TEXT_SCHEME] = "http";
    texts_[HW_TEXT_AUTHORITY] = texts_[HW_TEXT_CLIENT_AUTHORITY] = "example.com";
    texts_[HW_TEXT_HOST] = "example.com";
    texts_[HW_TEXT_PATH] = "/";
    texts_[HW_TEXT_PROTOCOL] = "HTTP/1.1";
    texts_[HW_TEXT_PEER_ADDRESS] = "192.0.2.1";
    texts_[HW_TEXT_LISTENER] = "default/gateway/http";
    texts_[HW_TEXT_ROUTE] = "default/route";
    texts_[HW_TEXT_RULE] = "0";
    numbers_[HW_NUMBER_CLIENT_PORT] = 80;
    numbers_[HW_NUMBER_PEER_PORT] = 40000;
    numbers_[HW_NUMBER_STREAM_ID] = 1;
    link_->stream = this;
    config_ = config;
  }
  FakeStream(const FakeStream&) = delete;
  FakeStream& operator=(const FakeStream&) = delete;
  ~FakeStream() { end(HW_END_COMPLETE); }

  FakeFields request;                   ///< Request header fields, without Host.
  FakeFields response;                  ///< Response header fields.
  FakeFields request_trailers;          ///< Request trailers.
  FakeFields response_trailers;         ///< Response trailers.
  std::string request_body;             ///< What the filter let pass of the request body.
  std::string response_body;            ///< What it let pass of the response body.
  std::optional<FakeAnswer> answer;     ///< What it answered itself.
  std::size_t arena_limit = 64 * 1024;  ///< Bytes that alloc gives before it answers null.
  std::uint32_t backends = 0;           ///< How many backends of its own the filter has.
  std::deque<FakeCallout> callouts;     ///< What it sent to them.

  /// A text as it is now (HW_TEXT_*); "" if absent.
  [[nodiscard]] std::string text(std::int32_t what) const {
    const auto found = texts_.find(what);
    return found == texts_.end() ? "" : found->second;
  }
  /// Sets a text as the client or the gateway would.
  void setText(std::int32_t what, std::string value) { texts_[what] = std::move(value); }
  /// A number as it is now (HW_NUMBER_*), if there is one.
  [[nodiscard]] std::optional<std::int64_t> number(std::int32_t what) const {
    const auto found = numbers_.find(what);
    if (found == numbers_.end()) return std::nullopt;
    return found->second;
  }
  /// Sets a number as the gateway would.
  void setNumber(std::int32_t what, std::int64_t value) { numbers_[what] = value; }

  /// Runs the request head hook. Verdicts are as the host reads them: unknown ones are
  /// HW_FLOW_FAULT.
  hw_flow requestHead(bool end_of_stream = true) {
    return run(HW_HOOK_REQUEST_HEAD, [&] {
      return type_.on_request_head(filter_, handle(), end_of_stream ? HW_END_OF_STREAM : 0);
    });
  }
  /// Runs the request body hook with a chunk; what was held before comes in front of it.
  hw_flow requestBody(std::string_view chunk, bool last = false) {
    return body(HW_HOOK_REQUEST_BODY, chunk, last);
  }
  /// Runs the request trailers hook.
  hw_flow requestTrailers() {
    return run(HW_HOOK_REQUEST_TRAILERS,
               [&] { return type_.on_request_trailers(filter_, handle()); });
  }
  /// Runs the response head hook with the backend's status.
  hw_flow responseHead(int status, bool end_of_stream = true) {
    numbers_[HW_NUMBER_STATUS] = status;
    return run(HW_HOOK_RESPONSE_HEAD, [&] {
      return type_.on_response_head(filter_, handle(), end_of_stream ? HW_END_OF_STREAM : 0);
    });
  }
  /// Runs the response body hook with a chunk.
  hw_flow responseBody(std::string_view chunk, bool last = false) {
    return body(HW_HOOK_RESPONSE_BODY, chunk, last);
  }
  /// Runs the response trailers hook.
  hw_flow responseTrailers() {
    return run(HW_HOOK_RESPONSE_TRAILERS,
               [&] { return type_.on_response_trailers(filter_, handle()); });
  }
  /// Delivers the wakes that have come; how many.
  std::size_t deliverWakes() {
    std::deque<std::uint64_t> tokens;
    {
      const std::lock_guard lock(link_->mutex);
      tokens.swap(link_->tokens);
    }
    for (const std::uint64_t token : tokens)
      if (filter_made_ && type_.on_wake != nullptr)
        type_.on_wake(filter_, handle(), paused_, token);
    return tokens.size();
  }
  /// Lets the last callout be answered, and the filter be told; false if it does not wait any more.
  bool answerCallout(FakeAnswer content, FakeFields trailers = {}) {
    callouts.back().answer = std::move(content);
    callouts.back().trailers = std::move(trailers);
    return endCallout(HW_CALLOUT_ANSWERED);
  }
  /// Lets the last callout come to that end (HW_CALLOUT_*).
  bool endCallout(std::int32_t outcome) {
    FakeCallout& last = callouts.back();
    if (last.ended || last.outcome != HW_CALLOUT_PENDING) return false;
    last.outcome = outcome;
    if (type_.on_wake != nullptr) type_.on_wake(filter_, handle(), paused_, last.token);
    return true;
  }
  /// Hooks that are paused (HW_HOOK_* bits).
  [[nodiscard]] std::uint32_t paused() const noexcept { return paused_; }
  /// Verdict that the last resume of `hook` gave; absent if it was not resumed.
  [[nodiscard]] std::optional<hw_flow> resumed(std::uint32_t hook) const {
    const auto found = resumed_.find(hook);
    if (found == resumed_.end()) return std::nullopt;
    return found->second;
  }
  /// Hooks that the filter gave up (HW_HOOK_* bits).
  [[nodiscard]] std::uint32_t ignored() const noexcept { return ignored_; }
  /// Bytes of the body that the filter holds back.
  [[nodiscard]] std::size_t held() const noexcept { return held_.size(); }
  /// Ends the stream now; further calls of hooks are misuse.
  void end(std::int32_t reason) {
    if (ended_) return;
    ended_ = true;
    {
      const std::lock_guard lock(link_->mutex);
      link_->stream = nullptr;
    }
    if (filter_made_ && type_.stream_create != nullptr) type_.stream_destroy(filter_, reason);
  }

 private:
  friend class FakeHost;

  /// What wakers point to; survives the stream.
  struct Link {
    std::mutex mutex;
    FakeStream* stream = nullptr;
    std::deque<std::uint64_t> tokens;
  };
  struct Chunk {
    std::string bytes;
    bool resizable;
    bool last;
  };

  hw_stream* handle() { return reinterpret_cast<hw_stream*>(this); }
  static FakeStream& of(const hw_stream* stream) {
    return *reinterpret_cast<FakeStream*>(const_cast<hw_stream*>(stream));
  }
  static Chunk& of(const hw_body* chunk) {
    return *reinterpret_cast<Chunk*>(const_cast<hw_body*>(chunk));
  }

  bool create() {
    if (std::exchange(filter_made_, true)) return filter_sound_;
    if (type_.stream_create == nullptr) {
      filter_ = const_cast<void*>(config_);
      return filter_sound_ = true;
    }
    filter_sound_ = type_.stream_create(config_, handle(), &filter_) == HW_OK;
    filter_made_ = filter_sound_;
    return filter_sound_;
  }

  template <class Hook>
  hw_flow run(std::uint32_t hook, Hook&& call) {
    if (ended_) throw std::logic_error("FakeStream: the stream has ended");
    if ((paused_ & hook) != 0) throw std::logic_error("FakeStream: the hook is paused");
    if ((type_.interest & hook) == 0 || (ignored_ & hook) != 0) return HW_FLOW_CONTINUE;
    if (!create()) return HW_FLOW_FAULT;
    running_ = hook;
    hw_flow verdict = call();
    running_ = 0;
    if (verdict < HW_FLOW_CONTINUE || verdict > HW_FLOW_RESPONDED) verdict = HW_FLOW_FAULT;
    if (verdict == HW_FLOW_RESPONDED && !answer) verdict = HW_FLOW_FAULT;
    if (verdict == HW_FLOW_PAUSE) paused_ |= hook;
    return verdict;
  }

  hw_flow body(std::uint32_t hook, std::string_view bytes, bool last) {
    const bool is_request = hook == HW_HOOK_REQUEST_BODY;
    const std::uint32_t resize =
        is_request ? HW_INTEREST_REQUEST_RESIZE : HW_INTEREST_RESPONSE_RESIZE;
    Chunk chunk{held_ + std::string(bytes), (type_.interest & resize) != 0, last};
    held_.clear();
    auto* handle_of_chunk = reinterpret_cast<hw_body*>(&chunk);
    const std::uint32_t flags = last ? HW_END_OF_STREAM : 0;
    const hw_flow verdict = run(hook, [&] {
      return is_request ? type_.on_request_body(filter_, handle(), handle_of_chunk, flags)
                        : type_.on_response_body(filter_, handle(), handle_of_chunk, flags);
    });
    if (verdict == HW_FLOW_HOLD && !last)
      held_ = chunk.bytes;
    else if (verdict == HW_FLOW_CONTINUE || verdict == HW_FLOW_HOLD || verdict == HW_FLOW_PAUSE)
      (is_request ? request_body : response_body) += chunk.bytes;
    return verdict;
  }

  // ---- stream/1

  FakeFields* map(std::int32_t which) {
    switch (which) {
      case HW_MAP_REQUEST: return &request;
      case HW_MAP_RESPONSE: return &response;
      case HW_MAP_REQUEST_TRAILERS: return &request_trailers;
      case HW_MAP_RESPONSE_TRAILERS: return &response_trailers;
      default: return nullptr;
    }
  }
  [[nodiscard]] bool mayEdit(std::int32_t which) const {
    switch (which) {
      case HW_MAP_REQUEST:
        return (running_ & (HW_HOOK_REQUEST_HEAD | HW_HOOK_REQUEST_BODY)) != 0 || running_ == 0;
      case HW_MAP_RESPONSE: return number(HW_NUMBER_STATUS).has_value();
      case HW_MAP_REQUEST_TRAILERS: return running_ == HW_HOOK_REQUEST_TRAILERS;
      case HW_MAP_RESPONSE_TRAILERS: return running_ == HW_HOOK_RESPONSE_TRAILERS;
      default: return false;
    }
  }
  static bool isToken(std::string_view name) {
    constexpr std::string_view kAlso = "!#$%&'*+-.^_`|~";
    return !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             kAlso.find(c) != std::string_view::npos;
    });
  }
  static bool isValue(std::string_view value) {
    return std::all_of(value.begin(), value.end(), [](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return (byte >= 0x20 && byte != 0x7f) || c == '\t';
    });
  }
  static bool isHostOwned(std::string_view name) {
    for (const std::string_view owned :
         {"connection", "content-length", "expect", "http2-settings", "keep-alive",
          "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"})
      if (FakeFields::same(name, owned)) return true;
    return false;
  }
  hw_status checkEdit(std::int32_t which, std::string_view name, std::string_view value) {
    if (map(which) == nullptr) return HW_UNSUPPORTED;
    if (!isToken(name) || !isValue(value)) return HW_INVALID;
    if (isHostOwned(name)) return HW_REFUSED;
    return mayEdit(which) ? HW_OK : HW_WRONG_STATE;
  }
  hw_status get(std::int32_t which, std::string_view name, hw_bytes* value) {
    if (map(which) == nullptr) return HW_UNSUPPORTED;
    if (which == HW_MAP_REQUEST && FakeFields::same(name, "host"))
      return *value = bytesOf(texts_[HW_TEXT_AUTHORITY]), HW_OK;
    for (const auto& [other, content] : map(which)->list())
      if (FakeFields::same(other, name)) return *value = bytesOf(content), HW_OK;
    return HW_NOT_FOUND;
  }
  hw_status set(std::int32_t which, std::string_view name, std::string_view value) {
    if (const hw_status status = checkEdit(which, name, value); status != HW_OK) return status;
    if (which == HW_MAP_REQUEST && FakeFields::same(name, "host"))
      return texts_[HW_TEXT_AUTHORITY] = value, HW_OK;
    auto& fields = map(which)->list();
    const auto first = std::find_if(fields.begin(), fields.end(), [&](const auto& field) {
      return FakeFields::same(field.first, name);
    });
    if (first == fields.end()) return fields.emplace_back(name, value), HW_OK;
    first->second = value;
    fields.erase(std::remove_if(first + 1, fields.end(),
                                [&](const auto& f) { return FakeFields::same(f.first, name); }),
                 fields.end());
    return HW_OK;
  }
  hw_status add(std::int32_t which, std::string_view name, std::string_view value) {
    if (const hw_status status = checkEdit(which, name, value); status != HW_OK) return status;
    if (which == HW_MAP_REQUEST && FakeFields::same(name, "host")) return HW_REFUSED;
    map(which)->add(std::string(name), std::string(value));
    return HW_OK;
  }
  hw_status remove(std::int32_t which, std::string_view name) {
    if (const hw_status status = checkEdit(which, name, ""); status != HW_OK) return status;
    if (which == HW_MAP_REQUEST && FakeFields::same(name, "host")) return HW_REFUSED;
    return map(which)->remove(name) != 0 ? HW_OK : HW_NOT_FOUND;
  }

  // Interned names are the process's, as with the real host.
  struct Names {
    std::mutex mutex;
    std::deque<std::string> list;
  };
  static Names& names() {
    static Names table;
    return table;
  }
  static hw_header_id intern(const hw_host*, hw_bytes name) noexcept {
    if (!isToken(viewOf(name))) return 0;
    Names& table = names();
    const std::lock_guard lock(table.mutex);
    const auto found = std::find(table.list.begin(), table.list.end(), viewOf(name));
    if (found != table.list.end()) return static_cast<hw_header_id>(found - table.list.begin()) + 1;
    table.list.emplace_back(viewOf(name));
    return static_cast<hw_header_id>(table.list.size());
  }
  static std::string nameOf(hw_header_id id) {
    Names& table = names();
    const std::lock_guard lock(table.mutex);
    return id == 0 || id > table.list.size() ? std::string() : table.list[id - 1];
  }

  static hw_stream_api makeStreamApi();
  static hw_callout_api makeCalloutApi();
  [[nodiscard]] FakeCallout* callout(hw_callout id) {
    return id == 0 || id > callouts.size() || callouts[id - 1].ended ? nullptr : &callouts[id - 1];
  }
  static hw_body_api makeBodyApi();
  static hw_waker wakerGet(hw_stream* stream) noexcept {
    const auto link = of(stream).link_;
    Links& all = links();
    const std::lock_guard lock(all.mutex);
    all.list.push_back(link);
    return {{all.list.size(), 0}};
  }
  static void wakerWake(hw_waker waker, std::uint64_t token) noexcept {
    std::shared_ptr<Link> link;
    {
      Links& all = links();
      const std::lock_guard lock(all.mutex);
      if (waker.opaque[0] == 0 || waker.opaque[0] > all.list.size()) return;
      link = all.list[waker.opaque[0] - 1];
    }
    const std::lock_guard lock(link->mutex);
    if (link->stream != nullptr) link->tokens.push_back(token);
  }
  struct Links {
    std::mutex mutex;
    std::vector<std::shared_ptr<Link>> list;
  };
  static Links& links() {
    static Links table;
    return table;
  }

  hw_status setTextFromPlugin(std::int32_t what, std::string_view value) {
    if (what < HW_TEXT_METHOD || what > HW_TEXT_RULE) return HW_UNSUPPORTED;
    if (what != HW_TEXT_AUTHORITY && what != HW_TEXT_PATH && what != HW_TEXT_QUERY)
      return HW_REFUSED;
    if (!mayEdit(HW_MAP_REQUEST)) return HW_WRONG_STATE;
    if (!isValue(value) || value.find(' ') != std::string_view::npos) return HW_INVALID;
    if (what == HW_TEXT_PATH && !value.starts_with('/')) return HW_INVALID;
    if (what == HW_TEXT_QUERY && value.empty())
      texts_.erase(what);
    else
      texts_[what] = value;
    return HW_OK;
  }

  hw_status respondFromPlugin(std::int32_t status, const hw_field* fields, std::uint32_t count,
                              std::string_view content) {
    if (status < 200 || status > 599) return HW_INVALID;
    FakeAnswer out{status, {}, std::string(content)};
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::string_view name = viewOf(fields[i].name);
      const std::string_view value = viewOf(fields[i].value);
      if (!isToken(name) || !isValue(value)) return HW_INVALID;
      if (isHostOwned(name)) return HW_REFUSED;
      out.fields.add(std::string(name), std::string(value));
    }
    answer = std::move(out);
    return HW_OK;
  }

  void* allocate(std::size_t size, std::size_t alignment) {
    if (alignment == 0 || alignment > 16 || (alignment & (alignment - 1)) != 0) return nullptr;
    if (size > arena_limit) return nullptr;
    arena_limit -= size;
    arena_.push_back(std::make_unique<Block[]>(size / sizeof(Block) + 1));
    return arena_.back().get();
  }
  struct alignas(16) Block {
    std::array<unsigned char, 16> bytes;
  };

  const hw_filter_class& type_;
  const void* config_ = nullptr;
  std::shared_ptr<Link> link_;
  void* filter_ = nullptr;
  bool filter_made_ = false;
  bool filter_sound_ = false;
  bool ended_ = false;
  std::uint32_t running_ = 0;
  std::uint32_t paused_ = 0;
  std::uint32_t ignored_ = 0;
  std::map<std::uint32_t, hw_flow> resumed_;
  std::map<std::int32_t, std::string> texts_;
  std::map<std::int32_t, std::int64_t> numbers_;
  std::string held_;
  std::vector<std::unique_ptr<Block[]>> arena_;
};

inline hw_body_api FakeStream::makeBodyApi() {
  hw_body_api api{};
  api.struct_size = sizeof api;
  api.data = [](const hw_body* chunk) noexcept { return bytesOf(of(chunk).bytes); };
  api.edit = [](hw_body* chunk) noexcept -> std::uint8_t* {
    std::string& bytes = of(chunk).bytes;
    return bytes.empty() ? nullptr : reinterpret_cast<std::uint8_t*>(bytes.data());
  };
  api.replace = [](hw_body* chunk, hw_bytes bytes) noexcept -> hw_status {
    if (!of(chunk).resizable && bytes.size != of(chunk).bytes.size()) return HW_REFUSED;
    of(chunk).bytes = std::string(viewOf(bytes));
    return HW_OK;
  };
  api.drain = [](hw_body* chunk, std::size_t size) noexcept -> hw_status {
    if (size != 0 && !of(chunk).resizable) return HW_REFUSED;
    if (size > of(chunk).bytes.size()) return HW_INVALID;
    of(chunk).bytes.erase(0, size);
    return HW_OK;
  };
  api.append = [](hw_body* chunk, hw_bytes bytes) noexcept -> hw_status {
    if (bytes.size != 0 && !of(chunk).resizable) return HW_REFUSED;
    of(chunk).bytes += viewOf(bytes);
    return HW_OK;
  };
  api.is_last = [](const hw_body* chunk) noexcept { return of(chunk).last ? 1 : 0; };
  return api;
}

inline hw_stream_api FakeStream::makeStreamApi() {
  hw_stream_api api{};
  api.struct_size = sizeof api;
  api.intern = &intern;
  api.field_count = [](const hw_stream* s, std::int32_t which) noexcept {
    const FakeFields* fields = of(s).map(which);
    return fields == nullptr ? 0U : static_cast<std::uint32_t>(fields->list().size());
  };
  api.field_at = [](const hw_stream* s, std::int32_t which, std::uint32_t index,
                    hw_field* field) noexcept -> hw_status {
    const FakeFields* fields = of(s).map(which);
    if (fields == nullptr) return HW_UNSUPPORTED;
    if (index >= fields->list().size()) return HW_INVALID;
    *field = {bytesOf(fields->list()[index].first), bytesOf(fields->list()[index].second)};
    return HW_OK;
  };
  api.field_get = [](const hw_stream* s, std::int32_t which, hw_bytes name,
                     hw_bytes* value) noexcept { return of(s).get(which, viewOf(name), value); };
  api.field_get_id = [](const hw_stream* s, std::int32_t which, hw_header_id id,
                        hw_bytes* value) noexcept -> hw_status {
    const std::string name = nameOf(id);
    return name.empty() ? hw_status{HW_INVALID} : of(s).get(which, name, value);
  };
  api.field_next = [](const hw_stream* s, std::int32_t which, hw_bytes name, std::uint32_t* cursor,
                      hw_bytes* value) noexcept -> hw_status {
    const FakeFields* fields = of(s).map(which);
    if (fields == nullptr) return HW_UNSUPPORTED;
    for (; *cursor < fields->list().size(); ++*cursor) {
      const auto& [other, content] = fields->list()[*cursor];
      if (!FakeFields::same(other, viewOf(name))) continue;
      *value = bytesOf(content);
      ++*cursor;
      return HW_OK;
    }
    return HW_NOT_FOUND;
  };
  api.field_set = [](hw_stream* s, std::int32_t which, hw_bytes name, hw_bytes value) noexcept {
    return of(s).set(which, viewOf(name), viewOf(value));
  };
  api.field_set_id = [](hw_stream* s, std::int32_t which, hw_header_id id,
                        hw_bytes value) noexcept {
    return of(s).set(which, nameOf(id), viewOf(value));
  };
  api.field_add = [](hw_stream* s, std::int32_t which, hw_bytes name, hw_bytes value) noexcept {
    return of(s).add(which, viewOf(name), viewOf(value));
  };
  api.field_add_id = [](hw_stream* s, std::int32_t which, hw_header_id id,
                        hw_bytes value) noexcept {
    return of(s).add(which, nameOf(id), viewOf(value));
  };
  api.field_remove = [](hw_stream* s, std::int32_t which, hw_bytes name) noexcept {
    return of(s).remove(which, viewOf(name));
  };
  api.field_remove_id = [](hw_stream* s, std::int32_t which, hw_header_id id) noexcept {
    return of(s).remove(which, nameOf(id));
  };
  api.text = [](const hw_stream* s, std::int32_t what, hw_bytes* value) noexcept -> hw_status {
    if (what < HW_TEXT_METHOD || what > HW_TEXT_RULE) return HW_UNSUPPORTED;
    const auto found = of(s).texts_.find(what);
    if (found == of(s).texts_.end()) return HW_NOT_FOUND;
    *value = bytesOf(found->second);
    return HW_OK;
  };
  api.set_text = [](hw_stream* s, std::int32_t what, hw_bytes value) noexcept {
    return of(s).setTextFromPlugin(what, viewOf(value));
  };
  api.number = [](const hw_stream* s, std::int32_t what,
                  std::int64_t* value) noexcept -> hw_status {
    if (what < HW_NUMBER_STATUS || what > HW_NUMBER_RESPONSE_LENGTH) return HW_UNSUPPORTED;
    const auto found = of(s).number(what);
    if (!found) return HW_NOT_FOUND;
    *value = *found;
    return HW_OK;
  };
  api.set_number = [](hw_stream* s, std::int32_t what, std::int64_t value) noexcept -> hw_status {
    if (what < HW_NUMBER_STATUS || what > HW_NUMBER_RESPONSE_LENGTH) return HW_UNSUPPORTED;
    if (what != HW_NUMBER_STATUS) return HW_REFUSED;
    if (!of(s).number(what)) return HW_WRONG_STATE;
    if (value < 200 || value > 599) return HW_INVALID;
    of(s).numbers_[what] = value;
    return HW_OK;
  };
  api.respond = [](hw_stream* s, std::int32_t status, const hw_field* fields, std::uint32_t count,
                   hw_bytes content) noexcept {
    return of(s).respondFromPlugin(status, fields, count, viewOf(content));
  };
  api.alloc = [](hw_stream* s, std::size_t size, std::size_t alignment) noexcept {
    return of(s).allocate(size, alignment);
  };
  api.resume = [](hw_stream* s, std::uint32_t hook, hw_flow verdict) noexcept -> hw_status {
    if ((of(s).paused_ & hook) == 0) return HW_WRONG_STATE;
    of(s).paused_ &= ~hook;
    of(s).resumed_[hook] = verdict;
    return HW_OK;
  };
  api.ignore = [](hw_stream* s, std::uint32_t hooks) noexcept { of(s).ignored_ |= hooks; };
  api.worker_count = [](const hw_host* host) noexcept { return FakeHost::of(host).workers; };
  api.worker_index = [](const hw_stream*) noexcept { return 0U; };
  return api;
}

inline hw_callout_api FakeStream::makeCalloutApi() {
  hw_callout_api api{};
  api.struct_size = sizeof api;
  api.begin = [](hw_stream* s, const hw_callout_request* asked, hw_callout* id) noexcept {
    if (asked->backend >= of(s).backends) return hw_status{HW_NOT_FOUND};
    const std::string_view path = viewOf(asked->path);
    if (!isToken(viewOf(asked->method)) || !path.starts_with('/') || asked->timeout_ms == 0)
      return hw_status{HW_INVALID};
    FakeCallout out;
    out.backend = asked->backend;
    out.flags = asked->flags;
    out.max_body = asked->max_body;
    out.token = asked->token;
    out.method = viewOf(asked->method);
    out.authority = viewOf(asked->authority);
    out.path = path;
    out.body = viewOf(asked->body);
    for (std::uint32_t i = 0; i < asked->field_count; ++i) {
      const std::string_view name = viewOf(asked->fields[i].name);
      const std::string_view value = viewOf(asked->fields[i].value);
      if (!isToken(name) || !isValue(value)) return hw_status{HW_INVALID};
      if (isHostOwned(name) || FakeFields::same(name, "host")) return hw_status{HW_REFUSED};
      out.fields.add(std::string(name), std::string(value));
    }
    of(s).callouts.push_back(std::move(out));
    *id = static_cast<hw_callout>(of(s).callouts.size());
    return hw_status{HW_OK};
  };
  api.answer = [](const hw_stream* s, hw_callout id, hw_callout_answer* out) noexcept {
    const FakeCallout* found = of(s).callout(id);
    if (found == nullptr) return hw_status{HW_NOT_FOUND};
    out->outcome = found->outcome;
    if (found->outcome != HW_CALLOUT_ANSWERED) return hw_status{HW_OK};
    out->status = found->answer.status;
    out->field_count = static_cast<std::uint32_t>(found->answer.fields.list().size());
    out->trailer_count = static_cast<std::uint32_t>(found->trailers.list().size());
    out->body = bytesOf(found->answer.body);
    return hw_status{HW_OK};
  };
  api.field_at = [](const hw_stream* s, hw_callout id, std::int32_t which, std::uint32_t index,
                    hw_field* field) noexcept {
    const FakeCallout* found = of(s).callout(id);
    if (found == nullptr) return hw_status{HW_NOT_FOUND};
    const auto& list = (which == HW_CALLOUT_FIELDS ? found->answer.fields : found->trailers).list();
    if (index >= list.size()) return hw_status{HW_INVALID};
    *field = {bytesOf(list[index].first), bytesOf(list[index].second)};
    return hw_status{HW_OK};
  };
  api.end = [](hw_stream* s, hw_callout id) noexcept {
    FakeCallout* found = of(s).callout(id);
    if (found == nullptr) return hw_status{HW_NOT_FOUND};
    found->ended = true;
    return hw_status{HW_OK};
  };
  api.backend_count = [](const hw_stream* s) noexcept { return of(s).backends; };
  return api;
}

inline const void* FakeHost::getService(const hw_host* host, const char* id) noexcept {
  static const hw_stream_api stream = FakeStream::makeStreamApi();
  static const hw_body_api body = FakeStream::makeBodyApi();
  static const hw_waker_api waker = {sizeof(hw_waker_api), 0, &FakeStream::wakerGet,
                                     &FakeStream::wakerWake};
  static const hw_log_api log = {sizeof(hw_log_api), 0, &logEnabled, &logWrite};
  static const hw_metrics_api metrics = {
      sizeof(hw_metrics_api), 0, &metricDefine, &metricAdd, &metricSet, &metricAdd};
  static const hw_callout_api callout = FakeStream::makeCalloutApi();
  static const hw_clock_api clock = {sizeof(hw_clock_api), 0, &clockMonotonic, &clockUnix};
  if (of(host).without.contains(id)) return nullptr;
  const std::string_view wanted = id;
  if (wanted == HW_STREAM_SERVICE) return &stream;
  if (wanted == HW_BODY_SERVICE) return &body;
  if (wanted == HW_WAKER_SERVICE) return &waker;
  if (wanted == HW_LOG_SERVICE) return &log;
  if (wanted == HW_METRICS_SERVICE) return &metrics;
  if (wanted == HW_CLOCK_SERVICE) return &clock;
  if (wanted == HW_CALLOUT_SERVICE) return &callout;
  return nullptr;
}

/// A filter class with a configuration, or the problems that kept it from having one.
class FakeFilter {
 public:
  /// For FakePlugin: lets `type` read `json`.
  FakeFilter(FakeHost& host, const hw_filter_class& type, std::string_view json) : type_(type) {
    const hw_diag diag{sizeof(hw_diag), 0, this, &report};
    status_ = type.config_create(host.handle(), bytesOf(json), &diag, &config_);
  }
  FakeFilter(const FakeFilter&) = delete;
  FakeFilter& operator=(const FakeFilter&) = delete;
  ~FakeFilter() {
    if (status_ == HW_OK && type_.config_destroy != nullptr) type_.config_destroy(config_);
  }

  /// True if the configuration was taken.
  [[nodiscard]] bool accepted() const noexcept { return status_ == HW_OK; }
  /// What config_create returned.
  [[nodiscard]] hw_status status() const noexcept { return status_; }
  /// What was reported.
  [[nodiscard]] const std::vector<FakeProblem>& problems() const noexcept { return problems_; }
  /// JSON pointers of the reported errors, in order, separated by spaces: easy to compare.
  [[nodiscard]] std::string pointers() const {
    std::string out;
    for (const FakeProblem& problem : problems_) {
      if (!out.empty()) out += ' ';
      out += problem.pointer.empty() ? "(root)" : problem.pointer;
    }
    return out;
  }
  /// The class.
  [[nodiscard]] const hw_filter_class& type() const noexcept { return type_; }
  /// A new stream. The filter outlives it.
  [[nodiscard]] FakeStream stream() {
    if (!accepted()) throw std::logic_error("FakeFilter: the configuration was refused");
    return FakeStream(type_, config_);
  }

 private:
  static void report(void* ctx, std::int32_t severity, hw_bytes pointer, hw_bytes message) {
    static_cast<FakeFilter*>(ctx)->problems_.push_back(
        {severity, std::string(viewOf(pointer)), std::string(viewOf(message))});
  }

  const hw_filter_class& type_;
  void* config_ = nullptr;
  hw_status status_ = HW_FAILED;
  std::vector<FakeProblem> problems_;
};

/// A plugin on a fake host: init and start when made, stop and deinit at the end.
class FakePlugin {
 public:
  /// Starts the plugin; throws std::logic_error with what it reported if it refuses.
  FakePlugin(FakeHost& host, const hw_plugin_manifest& manifest, std::string_view json = "")
      : host_(host), manifest_(manifest) {
    std::string problems;
    const hw_diag diag{sizeof(hw_diag), 0, &problems, &report};
    if (manifest.init(host.handle(), bytesOf(json), &diag) != HW_OK)
      throw std::logic_error("init was refused:" + problems);
    if (manifest.start != nullptr && manifest.start() != HW_OK)
      throw std::logic_error("start failed");
  }
  FakePlugin(const FakePlugin&) = delete;
  FakePlugin& operator=(const FakePlugin&) = delete;
  ~FakePlugin() {
    if (manifest_.stop != nullptr) manifest_.stop();
    if (manifest_.deinit != nullptr) manifest_.deinit();
  }

  /// The filter class `id` with a configuration. The plugin outlives it.
  [[nodiscard]] FakeFilter filter(std::string_view id, std::string_view json) {
    const auto* factory = static_cast<const hw_factory*>(manifest_.get_factory(HW_FILTER_FACTORY));
    for (std::uint32_t i = 0; factory != nullptr && i < factory->count; ++i) {
      const auto& type = *static_cast<const hw_filter_class*>(factory->classes[i]);
      if (id == type.id) return FakeFilter(host_, type, json);
    }
    throw std::logic_error("the plugin has no filter class " + std::string(id));
  }

 private:
  static void report(void* ctx, std::int32_t, hw_bytes pointer, hw_bytes message) {
    auto& out = *static_cast<std::string*>(ctx);
    out += ' ';
    out += viewOf(pointer);
    out += ' ';
    out += viewOf(message);
  }

  FakeHost& host_;
  const hw_plugin_manifest& manifest_;
};

}  // namespace hyperway::sdk
