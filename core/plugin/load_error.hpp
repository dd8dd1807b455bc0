// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>

namespace hyperway::plugin {

/// Why a plugin is not loaded: one sentence that names the file and what to do. Thrown at start-up
/// and on reload; at start-up it ends the process, on reload the old version stays at work.
class LoadError : public std::runtime_error {
 public:
  /// `what` is read by an operator.
  explicit LoadError(const std::string& what) : std::runtime_error(what) {}
};

}  // namespace hyperway::plugin
