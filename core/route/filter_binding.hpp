// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

namespace hyperway::route {

/// A filter's parsed configuration, bound to the code that runs it. The route layer only carries it
/// from the translator to the compiled rule; the proxy knows the derived class
/// (proxy::FilterBinding's one subclass family) and calls it. Created and destroyed on the control
/// thread.
class FilterBinding {
 public:
  FilterBinding() = default;
  FilterBinding(const FilterBinding&) = delete;
  FilterBinding& operator=(const FilterBinding&) = delete;
  virtual ~FilterBinding() = default;
};

/// Shared by the model, every table that holds the rule, and streams that outlive a table.
using FilterBindingPtr = std::shared_ptr<const FilterBinding>;

}  // namespace hyperway::route
