// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "hyperway/sdk/json.hpp"
#include "k8s_client/api.hpp"
#include "k8s_client/object_text.hpp"

namespace hyperway::k8s_source {

/// Brings statuses into objects: only what differs, only while we are the one who writes, each
/// object by itself. A change that comes while an object is being written, or shortly after, waits
/// and goes with the next write. What is refused is tried again ever more seldom. Of what we may
/// not write (403) one object of a kind is tried all the time, and each write of that kind that
/// succeeds lets two others go at once: rights that are given back are noticed within seconds, and
/// those that lack for some objects only cost no more than what is written. The loop's thread.
class StatusWriter {
 public:
  /// An object whose status is written.
  struct ObjectId {
    std::string kind, name_space, name;
    /// "Kind/namespace/name".
    [[nodiscard]] std::string key() const { return kind + '/' + name_space + '/' + name; }
  };
  /// What became of a write.
  enum class Result : std::uint8_t { Written, Conflict, Refused, Failed };
  /// What it needs to know.
  struct Options {
    std::string controller_name;  ///< Whose entries are ours.
    /// Path of an object; empty if its kind is not served, or the object is not there.
    std::function<std::string(const ObjectId&)> path;
    /// The time as metav1.Time has it.
    std::function<std::string()> now;
    /// Told of each attempt to write; `error` says why it was not Written. `known`: that is what
    /// was told of this object before, and it was not written since.
    std::function<void(const ObjectId&, Result, const k8s_client::Error& error, bool known)> report;
    std::size_t parallel = 16;                      ///< Objects under way at once.
    std::chrono::milliseconds rest{0};              ///< Before the first write of an object.
    std::chrono::milliseconds first_gap{100};       ///< Between two writes of an object …
    std::chrono::milliseconds most_gap{2000};       ///< … which doubles up to this.
    std::chrono::milliseconds first_refused{1000};  ///< Until a refused write is tried again …
    std::chrono::milliseconds most_refused{30000};  ///< … which doubles up to this.
    std::chrono::milliseconds most_denied{3000};  ///< Likewise, for one object of a kind after 403.
  };

  /// `api` outlives this.
  StatusWriter(k8s_client::Api& api, Options options);
  StatusWriter(const StatusWriter&) = delete;
  StatusWriter& operator=(const StatusWriter&) = delete;
  ~StatusWriter();

  /// Whether we are the one who writes.
  void setActive(bool active);
  /// The status that the object should have. Nothing: it is no longer ours; what we wrote into
  /// lists that we share with others is taken back. An object that is not there is forgotten then.
  void desire(const ObjectId& id, std::optional<std::string> status);
  /// The status that the object has, as JSON (empty: none), and its resourceVersion: who is to be
  /// written next is not read before, if this was among the last to come. Empty: always read.
  void observe(const ObjectId& id, std::string_view status, std::string_view version = {});
  /// The object is gone.
  void forget(const ObjectId& id);
  /// Objects whose status differs from what it should be.
  [[nodiscard]] std::size_t pending() const noexcept { return pending_; }
  /// Objects that are remembered.
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

 private:
  // How the schema wants supportedFeatures: v1.2 and newer, v1.1, or not at all.
  enum class Features : std::uint8_t { Objects, Names, None };
  struct Entry {
    ObjectId id;
    std::string desired;             // JSON; empty: nothing is wanted
    std::uint64_t wanted_print = 0;  // of `desired`
    std::uint64_t seen_print = 0;    // of what the server has
    std::uint64_t kept_print = 0;    // what the server made of our last write; 0: none
    std::uint64_t watched = 0;       // resourceVersion that the watch showed last; 0: unknown
    bool wanted = false;
    bool seen = false;
    bool busy = false;
    bool gone = false;  // while it was busy
    bool news = false;  // the watch showed it while it was busy
    bool queued = false;
    bool denied = false;  // in denied_
    Features features = Features::Objects;
    unsigned failures = 0;  // in a row, that may pass
    unsigned refusals = 0;  // in a row
    std::size_t told = 0;   // fingerprint of why it is not written
    unsigned burst = 0;     // writes in quick succession
    k8s_client::TimePoint last_write{};
    k8s_client::Api::Id timer = 0;
  };

  // What the watch said of an object a moment ago.
  struct Recent {
    std::string version, status;
  };

  // Objects of a kind that we may not write.
  struct Denied {
    std::deque<std::string> keys;  // the next to be tried first
    unsigned failures = 0;
    k8s_client::Api::Id timer = 0;
  };

  [[nodiscard]] static sdk::json::Value withFeatures(const sdk::json::Value& status,
                                                     Features features);
  [[nodiscard]] bool differs(const Entry& entry) const;
  void consider(Entry& entry);
  void enqueue(const std::string& key, k8s_client::Duration delay);
  void pump();
  void begin(Entry& entry);
  void remember(const std::string& key, std::string_view version, std::string_view status);
  std::uint64_t see(Entry& entry, const k8s_client::ObjectText& object);
  void onRead(const std::string& key, k8s_client::Reply reply);
  void write(Entry& entry, std::string_view version, std::string_view status);
  void onWritten(const std::string& key, k8s_client::Reply reply);
  void tell(Entry& entry, Result result, const k8s_client::Error& error);
  void retry(Entry& entry);
  void retryRefused(Entry& entry, const k8s_client::Error& error);
  void again(Entry& entry, k8s_client::Duration wait);
  void deny(Entry& entry);
  void tryOneLater(Denied& denied);
  void letGo(Denied& denied, unsigned count);
  void drop(Entry& entry);
  void finish(Entry& entry);
  void count();

  k8s_client::Api& api_;
  const Options options_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // answers may come after our end
  std::unordered_map<std::string, Entry> entries_;
  std::unordered_map<std::string, Denied> denied_;  // by kind, for ever
  std::deque<std::string> queue_;
  std::unordered_map<std::string, Recent> recent_;  // of some entries
  std::deque<std::string> recent_keys_;             // the oldest first; some are used or gone
  std::size_t under_way_ = 0;
  std::size_t pending_ = 0;
  bool active_ = false;
  k8s_client::ObjectText object_;
};

}  // namespace hyperway::k8s_source
