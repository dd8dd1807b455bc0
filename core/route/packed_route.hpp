// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "route/boxed.hpp"
#include "route/model.hpp"

namespace hyperway::route {

/// A route of the model as it is kept where it is seldom looked at: one block of some hundred bytes
/// where the model's own form takes a dozen of more than a thousand. Bindings of filters are kept
/// beside it.
class PackedRoute {
 public:
  /// Nothing; not to be unpacked.
  PackedRoute() = default;
  /// Packs every field of `route`.
  explicit PackedRoute(const Route& route);
  /// The route that was packed. Cost grows with its size.
  [[nodiscard]] Route unpack() const;
  /// True if a rule or a backend of the route has filters.
  [[nodiscard]] bool hasFilters() const noexcept { return bindings_.has_value(); }

 private:
  std::string bytes_;
  Boxed<std::vector<FilterBindingPtr>> bindings_;  // of all filters, in order; absent: none
};

}  // namespace hyperway::route
