// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "route/host_table.hpp"
#include "route/route_record.hpp"

namespace hyperway::route {

/// A route before and after a batch; null where it is not there.
struct RouteChange {
  std::shared_ptr<const RouteRecord> before;  ///< Null: new.
  std::shared_ptr<const RouteRecord> after;   ///< Null: removed.
};

/// What one change does to one listener. Views are packed host lists
/// (RouteRecord::forEachAttachment) in the records.
struct HostEdit {
  std::uint32_t change = 0;  ///< Index of the RouteChange.
  std::string_view before;   ///< Hosts at which the route was.
  std::string_view after;    ///< Hosts at which it is now.

  /// Same effect.
  friend bool operator==(const HostEdit&, const HostEdit&) = default;
};

/// Applies one batch of changes to the host tables of all listeners. Where two listeners start from
/// one table and change alike, they end with one table; where they differ, the second starts from
/// the first's result if that is the shorter way. So routes that serve on ports 80 and 443 are kept
/// once. [control]
class TableEdit {
 public:
  /// `changes` must outlive this.
  explicit TableEdit(const std::vector<RouteChange>& changes) : changes_(changes) {}

  /// `base` (may be null: empty) after `edits`, which are in order of `change`, each change at most
  /// once.
  [[nodiscard]] std::shared_ptr<const HostTable> apply(std::shared_ptr<const HostTable> base,
                                                       std::vector<HostEdit> edits);

 private:
  struct Done {
    std::shared_ptr<const HostTable> base;
    std::vector<HostEdit> edits;
    std::shared_ptr<const HostTable> result;
  };

  /// A host's paths, and how a change that was made before left them.
  using MemoKey = std::tuple<const HostPaths*, const RouteRecord*, const RouteRecord*, std::string>;
  struct Memo {
    Ref<HostPaths> before;  // keeps the address in the key from being used again
    Ref<HostPaths> after;
  };

  void forward(HostTable& table, const HostEdit& edit);
  void backward(HostTable& table, const HostEdit& edit);
  void replace(HostTable& table, const std::shared_ptr<const RouteRecord>& before,
               std::string_view before_hosts, const std::shared_ptr<const RouteRecord>& after,
               std::string_view after_hosts);

  const std::vector<RouteChange>& changes_;
  std::vector<Done> done_;
  std::map<MemoKey, Memo> memo_;
  bool remember_ = false;
};

}  // namespace hyperway::route
