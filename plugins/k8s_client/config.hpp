// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace hyperway::k8s_client {

/// A PEM text that is given in place, or lies in a file that is read anew whenever it is needed,
/// because files rotate. Both empty: absent.
struct Material {
  std::string pem;   ///< The text itself.
  std::string file;  ///< Where it is, if `pem` is empty.

  /// True if neither is set.
  [[nodiscard]] bool absent() const noexcept { return pem.empty() && file.empty(); }
  /// The text as it is now; nothing, with a sentence in `error`, if the file cannot be read.
  [[nodiscard]] std::optional<std::string> read(std::string& error) const;
};

/// How an API server is reached and who we are there. A value. The server speaks HTTP/2 over TLS.
struct ClusterConfig {
  std::string host;           ///< Name or IP address, IPv6 without brackets.
  std::uint16_t port = 443;   ///< TCP port.
  std::string prefix;         ///< Path before every path; empty or "/like/this".
  std::string server_name;    ///< What its certificate is checked against; empty: `host`.
  bool insecure = false;      ///< Its certificate is not checked at all. Only if said so.
  Material ca;                ///< Its certificate authorities; absent: the system's.
  Material certificate, key;  ///< Client certificate; both or none.
  Material token;             ///< Bearer token; absent: none.
  std::string name_space;     ///< Namespace of the context or of our own Pod; may be empty.

  /// "https://host:port/prefix", for logs.
  [[nodiscard]] std::string url() const;
  /// "host:port" with brackets around IPv6: the :authority of requests.
  [[nodiscard]] std::string authority() const;
};

/// Reads an environment variable; nothing if it is not set.
using Environment = std::function<std::optional<std::string>(const char* name)>;

/// The process's own environment.
[[nodiscard]] Environment processEnvironment();

/// Where the kubelet puts a Pod's service account.
inline constexpr std::string_view kServiceAccountDirectory =
    "/var/run/secrets/kubernetes.io/serviceaccount";

/// The configuration of a Pod: KUBERNETES_SERVICE_HOST and _PORT, token, ca.crt and namespace in
/// `directory`. Nothing, with a sentence in `error`, outside of a Pod.
[[nodiscard]] std::optional<ClusterConfig> inCluster(const Environment& environment,
                                                     const std::string& directory,
                                                     std::string& error);

/// Reads a kubeconfig. `context` empty: its current-context. Relative paths in it are relative to
/// its directory. Nothing, with a sentence in `error`, if it cannot be used: exec plugins,
/// auth providers, passwords and plain http are refused.
[[nodiscard]] std::optional<ClusterConfig> fromKubeconfig(const std::string& path,
                                                          const std::string& context,
                                                          std::string& error);

/// fromKubeconfig() if `kubeconfig` or else KUBECONFIG names a file, otherwise inCluster().
[[nodiscard]] std::optional<ClusterConfig> loadConfig(const std::string& kubeconfig,
                                                      const std::string& context,
                                                      const Environment& environment,
                                                      std::string& error);

}  // namespace hyperway::k8s_client
