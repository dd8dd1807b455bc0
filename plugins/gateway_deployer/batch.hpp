// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hyperway::gateway_deployer {

/// A port that clients connect to.
struct Port {
  std::uint16_t number = 0;  ///< 1 to 65535.
  std::string protocol;      ///< TCP or UDP.
  /// Field-wise order.
  friend auto operator<=>(const Port&, const Port&) = default;
};

/// A Gateway as the host describes it (abi/draft/sink.h).
struct Gateway {
  std::string name_space;                          ///< Its namespace.
  std::string name;                                ///< Its name.
  std::string uid;                                 ///< Its uid; may be empty.
  std::int64_t created = 0;                        ///< Seconds since the epoch.
  bool accepted = true;                            ///< False: nothing new for it.
  std::map<std::string, std::string> labels;       ///< spec.infrastructure.labels.
  std::map<std::string, std::string> annotations;  ///< spec.infrastructure.annotations.
  std::vector<std::string> addresses;              ///< Addresses that it asks for.
  std::vector<Port> ports;                         ///< Sorted.

  /// "namespace/name".
  [[nodiscard]] std::string key() const { return name_space + '/' + name; }
};

/// What a batch says of Gateways.
struct Batch {
  std::vector<Gateway> gateways;     ///< New or changed.
  std::vector<std::string> removed;  ///< Keys.
};

/// Reads a batch; nothing, with a sentence in `error`, if it is none.
[[nodiscard]] std::optional<Batch> readBatch(std::string_view json, std::string& error);

}  // namespace hyperway::gateway_deployer
