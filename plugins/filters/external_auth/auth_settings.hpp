// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hyperway/sdk/host.hpp"

namespace hyperway::external_auth {

/// Names of headers, in lower case.
class NameSet {
 public:
  /// No names.
  NameSet() = default;
  /// Those of a list, which has to hold valid names.
  NameSet(sdk::Setup& setup, const sdk::ConfigNode& list);
  /// True if it has none.
  [[nodiscard]] bool empty() const noexcept { return names_.empty(); }
  /// True if it has that name, in any case.
  [[nodiscard]] bool has(std::string_view name) const noexcept;
  /// The names.
  [[nodiscard]] const std::vector<std::string>& list() const noexcept { return names_; }

 private:
  std::vector<std::string> names_;
};

/// Gateway API HTTPExternalAuthFilter: {"protocol", "backendRef", "http": {"path",
/// "allowedHeaders", "allowedResponseHeaders"}, "grpc": {"allowedHeaders"}, "forwardBody":
/// {"maxSize"}}. The host resolves the backend; of its reference only the name is of use here.
struct AuthSettings {
  /// Reads and checks it.
  explicit AuthSettings(sdk::Setup& setup);

  bool grpc = false;            ///< Envoy's ext_authz by gRPC; else HTTP.
  std::string path;             ///< HTTP: what stands in front of the client's path; no final '/'.
  NameSet request_headers;      ///< What the server gets; HTTP: besides Authorization.
  NameSet response_headers;     ///< HTTP: what of its answer the backend gets; empty: all.
  std::uint32_t body_size = 0;  ///< Largest body that the server gets; 0: it gets none.
  std::string authority;        ///< gRPC: the server's name.
};

}  // namespace hyperway::external_auth
