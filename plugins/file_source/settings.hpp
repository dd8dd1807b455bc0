// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "hyperway/sdk/host.hpp"

namespace hyperway::file_source {

/// The source's part of the configuration file.
struct Settings {
  /// A directory with tls.crt and tls.key, or whose directories have them.
  struct CertificateDirectory {
    std::string directory;               ///< Where.
    std::string name_space = "default";  ///< Of the Secrets.
    std::string name;  ///< Of the pair in the directory itself; default: the directory's name.
  };
  /// A certificate made by us.
  struct SelfSigned {
    std::string name_space = "hyperway-system";  ///< Of the Secret.
    std::string name = "self-signed";            ///< Of the Secret.
    std::vector<std::string> hosts = {"localhost", "127.0.0.1",
                                      "::1"};  ///< DNS names and addresses; at least one.
    std::string directory;  ///< Where tls.crt and tls.key are kept; empty: made anew at each start.
    int days = 365;         ///< How long it is valid; renewed at a start within the last tenth.
  };

  std::vector<std::string> paths;  ///< Files and directories.
  bool recursive = false;          ///< Also directories in directories, at most 16 deep.
  std::vector<CertificateDirectory> certificates;  ///< Secrets from files.
  bool has_self_signed = false;                    ///< Whether to make one.
  SelfSigned self_signed;                          ///< How.
  std::string status_file;                         ///< Where statuses are written; empty: nowhere.
  std::chrono::seconds poll{30};  ///< Full look at all files, as a safety net beside inotify.
};

/// Reads the settings; problems are reported in place.
[[nodiscard]] Settings readSettings(sdk::Setup& setup);

}  // namespace hyperway::file_source
