// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/status.hpp"
#include "gateway/translate.hpp"

namespace hyperway::control {

/// Where a source hands over what it sees. Implemented by the pipeline. All calls [any]; everything
/// is copied.
class SourcePort {
 public:
  virtual ~SourcePort() = default;

  /// Flags of publish(); values equal the ABI's HW_PUBLISH_*.
  enum Flags : std::uint32_t {
    kBegin = 1U << 0,   ///< A re-list of the scope starts.
    kEnd = 1U << 1,     ///< Objects in scope that were not named since kBegin are gone.
    kSynced = 1U << 2,  ///< The first list of everything is complete.
  };
  /// What a re-list covers; empty parts mean all.
  struct Scope {
    std::string group, kind, name_space;
  };

  /// Hands over upserts and removals. `sequence` is the source's own, rising; it comes back with
  /// statuses.
  virtual void publish(std::uint32_t flags, const Scope& scope, std::uint64_t sequence,
                       std::vector<gateway::ObjectChange> changes) = 0;
  /// Tells how the source itself is: healthy, or degraded with the reason, in the user's words.
  virtual void health(bool healthy, std::string_view reason) = 0;
};

/// Something that says what the cluster wants. Owned by the pipeline's owner; all calls [control].
class Source {
 public:
  virtual ~Source() = default;
  /// The id that the configuration file names.
  [[nodiscard]] virtual std::string_view id() const noexcept = 0;
  /// Begins to publish; returns at once. False with a reason in `error` if it cannot begin at all.
  [[nodiscard]] virtual bool start(std::string& error) = 0;
  /// Statuses that changed; `sequence` is the highest of this source's own that is included.
  virtual void reportStatus(std::uint64_t sequence, const gateway::StatusBatch& batch) = 0;
  /// File and line of a JSON pointer in an object ("Kind/namespace/name"), for `check`; empty if
  /// unknown.
  [[nodiscard]] virtual std::string locate(std::string_view object_key,
                                           std::string_view json_pointer) = 0;
  /// Ends; after it returns the source calls its port no more.
  virtual void stop() = 0;
};

}  // namespace hyperway::control
