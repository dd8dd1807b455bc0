// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "k8s_client/api.hpp"

namespace hyperway::k8s_client {

/// Shares lists out among reflectors that follow one kind between them, object by object: lists
/// that are needed go at once, some at a time; polls beside the watches go one by one, all of them
/// in turn, however many reflectors there are. The loop's thread.
class ListTurns {
 public:
  /// Names a turn; 0 names none.
  using Id = std::uint64_t;
  /// Makes the list. False: it is not wanted any more, and somebody else may have the turn.
  using Begin = std::function<bool()>;
  /// How many, how often.
  struct Options {
    std::size_t parallel = 16;                 ///< Lists that are needed, under way at once.
    std::chrono::milliseconds poll_gap{5000};  ///< At least, between two polls.
  };

  /// `api` outlives this, and this outlives all turns.
  explicit ListTurns(Api& api) : ListTurns(api, Options()) {}
  /// As above, with bounds of one's own.
  ListTurns(Api& api, Options options) : api_(api), options_(options) {}
  ListTurns(const ListTurns&) = delete;
  ListTurns& operator=(const ListTurns&) = delete;
  ~ListTurns();

  /// Asks for a list without which nothing is known. `begin` may be called from within this call,
  /// and from within others' end().
  [[nodiscard]] Id need(Begin begin);
  /// Asks for a list as a safety net, likewise.
  [[nodiscard]] Id poll(Begin begin);
  /// The list is over, or is wanted no more.
  void end(Id id);

 private:
  void pump();
  void pollNext();

  Api& api_;
  const Options options_;
  std::map<Id, Begin> needed_, polls_;  // oldest first
  std::set<Id> under_way_;              // of those that were needed
  std::optional<TimePoint> last_poll_;
  Api::Id timer_ = 0;
  Id last_id_ = 0;
};

}  // namespace hyperway::k8s_client
