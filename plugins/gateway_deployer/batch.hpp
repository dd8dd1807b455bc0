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

/// An object that a Gateway, or its class, names as parameters.
struct Parameters {
  std::string owner;       ///< "GatewayClass NAME"; empty: the Gateway itself.
  std::string group;       ///< Empty: the core API.
  std::string kind;        ///< Of the object.
  std::string name_space;  ///< Of the object.
  std::string name;        ///< Of the object.

  /// "namespace/name".
  [[nodiscard]] std::string key() const { return name_space + '/' + name; }
  /// True if it is of the one kind that may be named.
  [[nodiscard]] bool isConfigMap() const { return group.empty() && kind == "ConfigMap"; }
};

/// A Gateway as the host describes it (abi/draft/sink.h).
struct Gateway {
  std::string name_space;                          ///< Its namespace.
  std::string name;                                ///< Its name.
  std::string uid;                                 ///< Its uid; may be empty.
  std::int64_t created = 0;                        ///< Seconds since the epoch.
  bool accepted = true;                            ///< False: nothing new for it.
  bool cluster_only = false;                       ///< It wants addresses of the cluster alone.
  std::map<std::string, std::string> labels;       ///< spec.infrastructure.labels.
  std::map<std::string, std::string> annotations;  ///< spec.infrastructure.annotations.
  std::vector<std::string> addresses;              ///< Addresses that it asks for.
  std::vector<Port> ports;                         ///< Sorted.
  std::vector<Parameters> parameters;              ///< Later ones go over earlier ones.

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
