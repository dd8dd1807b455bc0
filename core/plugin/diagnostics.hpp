// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "base/json_pointer.hpp"
#include "hyperway/abi/base.h"
#include "plugin/abi_bytes.hpp"

namespace hyperway::plugin {

/// Collects what a plugin reports through an hw_diag. Valid for one call into the plugin.
class Diagnostics {
 public:
  /// Problems go to `problems`, notes to `note` below.
  explicit Diagnostics(Problems& problems) : problems_(problems) {
    diag_.struct_size = sizeof diag_;
    diag_.ctx = this;
    diag_.report = &report;
  }
  Diagnostics(const Diagnostics&) = delete;
  Diagnostics& operator=(const Diagnostics&) = delete;

  /// What goes to the plugin.
  [[nodiscard]] const hw_diag* handle() const noexcept { return &diag_; }
  /// The first note's message; empty if there is none.
  [[nodiscard]] const std::string& note() const noexcept { return note_; }

  /// Runs `call`, which returns an hw_status, and says whether the plugin accepted: it returned
  /// HW_OK, threw nothing and reported no error. If not, there is an error in the problems; one is
  /// added that begins with `who` if the plugin gave none.
  template <class Call>
  [[nodiscard]] bool accepted(std::string_view who, Call&& call) {
    const std::string name(who);
    try {
      const hw_status status = call();
      if (status == HW_OK && !problems_.failed()) return true;
      if (!problems_.failed())
        problems_.add(JsonPointer(), name + " refused it without a reason (status " +
                                         std::to_string(status) + ")");
    } catch (const std::exception& error) {
      problems_.add(JsonPointer(), name + " failed: " + error.what());
    } catch (...) {
      problems_.add(JsonPointer(), name + " failed with an unknown exception");
    }
    return false;
  }

 private:
  static void report(void* ctx, std::int32_t severity, hw_bytes pointer,
                     hw_bytes message) noexcept {
    auto& self = *static_cast<Diagnostics*>(ctx);
    const JsonPointer where{std::string(viewOf(pointer))};
    if (severity == HW_SEVERITY_NOTE) {
      if (self.note_.empty()) self.note_ = viewOf(message);
    } else if (severity == HW_SEVERITY_WARNING) {
      self.problems_.warn(where, std::string(viewOf(message)));
    } else {
      self.problems_.add(where, std::string(viewOf(message)));
    }
  }

  Problems& problems_;
  hw_diag diag_{};
  std::string note_;
};

}  // namespace hyperway::plugin
