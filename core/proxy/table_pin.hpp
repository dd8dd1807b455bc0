// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "route/table.hpp"

namespace hyperway::proxy {

/// One worker's hold on one table: a plain count, no lock. When the last stream lets go of a table
/// that is no longer the worker's current one, the table goes back to the control thread to die
/// there. [worker]
struct TablePin {
  std::shared_ptr<const route::RouteTable> table;  ///< Never null.
  std::uint32_t streams = 0;                       ///< Streams that look into it.
};

}  // namespace hyperway::proxy
