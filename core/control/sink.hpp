// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/translate.hpp"
#include "route/model.hpp"

namespace hyperway::control {

/// What a sink did with a generation.
struct SinkReport {
  std::uint64_t generation = 0;  ///< The highest generation that is in force.
  bool refused = false;          ///< The batch as a whole was refused; `reason` says why.
  std::string reason;            ///< In the user's words.
  std::vector<gateway::ListenerReport> listeners;  ///< Listeners whose state changed.
  std::vector<gateway::GatewayReport> gateways;    ///< Gateways whose state changed.
  std::optional<std::string> trouble = {};  ///< What does not work beside; empty: all is well.
};

/// Puts a model to use: the proxy, a snapshot writer. Owned by the pipeline's owner.
class Sink {
 public:
  /// Called with each report, from any thread; set before the first apply().
  using Acknowledge = std::function<void(SinkReport)>;

  virtual ~Sink() = default;
  /// The id that the configuration file names.
  [[nodiscard]] virtual std::string_view id() const noexcept = 0;
  /// Where reports go. [control]
  virtual void onAcknowledge(Acknowledge acknowledge) = 0;
  /// Takes a change; does not wait. False: it lost its place and needs a full batch next. [control]
  [[nodiscard]] virtual bool apply(std::uint64_t generation, const route::ModelBatch& batch) = 0;
  /// Statuses of objects that changed; for a sink that passes them on. [control]
  virtual void tell(const gateway::StatusBatch& batch) { (void)batch; }
  /// Ends; after it returns no report comes. [control]
  virtual void stop() = 0;
};

}  // namespace hyperway::control
