// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "route/model.hpp"
#include "route/table.hpp"

namespace hyperway::route {

class RouteRecord;  // a compiled route: route_record.hpp

/// Turns model changes into tables. Keeps the current table's parts, so that an edit costs what it
/// touches and not what there is. [control]; must outlive every table it made (it owns the slot
/// numbers).
class Compiler {
 public:
  Compiler();
  Compiler(const Compiler&) = delete;
  Compiler& operator=(const Compiler&) = delete;
  ~Compiler();

  /// What a batch came to.
  struct Outcome {
    std::shared_ptr<const RouteTable> table;  ///< Null if listeners and routes did not change.
    /// Upstreams that changed and that a slot exists for, now or through this batch: post these
    /// before the table. Without those that went and that no route names any more: requests under
    /// the table before may still be on their way there, until its number is free
    /// (SlotMap::onFree).
    std::vector<std::pair<SlotMap::SlotPtr, std::shared_ptr<const Upstream>>> upstreams;
    /// Keys of listeners whose certificates or client validation changed or which are new: rebuild
    /// their TLS contexts.
    std::vector<std::string> tls_listeners;
    std::vector<std::string> certificates;  ///< Keys of certificates that changed or went.
    /// Rules that could not be compiled (regular expression refused by RE2, …): rule id and reason.
    /// They answer 500.
    std::vector<std::pair<std::string, std::string>> problems;
  };

  /// Applies a batch. Parts that are the same as before (by value) change nothing.
  [[nodiscard]] Outcome apply(const ModelBatch& batch);
  /// The current table; never null.
  [[nodiscard]] const std::shared_ptr<const RouteTable>& current() const noexcept;
  /// The stored certificate, or null.
  [[nodiscard]] std::shared_ptr<const Certificate> certificate(const std::string& key) const;
  /// The stored upstream, or null.
  [[nodiscard]] std::shared_ptr<const Upstream> upstream(const std::string& key) const;
  /// The compiled route with this key ("HTTPRoute/namespace/name"), or null.
  [[nodiscard]] std::shared_ptr<const RouteRecord> route(std::string_view key) const;
  /// Shows each route, in no order.
  void forEachRoute(const std::function<void(const RouteRecord&)>& visit) const;
  /// Number of routes.
  [[nodiscard]] std::size_t routeCount() const noexcept;
  /// Numbers of upstreams.
  [[nodiscard]] SlotMap& upstreamSlots() noexcept;
  /// The same, to look at.
  [[nodiscard]] const SlotMap& upstreamSlots() const noexcept;
  /// Numbers of listeners' TLS contexts.
  [[nodiscard]] SlotMap& tlsSlots() noexcept;
  /// Numbers of certificates that backends get to see; CompiledListener::identity() is one more.
  [[nodiscard]] SlotMap& identitySlots() noexcept;
  /// The same, to look at.
  [[nodiscard]] const SlotMap& identitySlots() const noexcept;
  /// Numbers of rules' statistics.
  [[nodiscard]] SlotMap& statsSlots() noexcept;
  /// The same, to look at.
  [[nodiscard]] const SlotMap& statsSlots() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hyperway::route
