// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/config_node.hpp"

namespace hyperway::app {

/// What the process is asked to do.
enum class Command : std::uint8_t {
  Run,
  Check,
  Explain,
  Status,
  Plugins,
  Upgrade,
  Version,
  Schema,
  Help
};

/// Under which name it was started.
enum class Program : std::uint8_t {
  Gateway,     ///< `hyperway`
  Controller,  ///< `hyperway_controller`: writes a RouteSnapshot and serves nothing.
};

/// The program that a path names; hyperway unless it ends in "hyperway_controller".
[[nodiscard]] Program programOf(const std::string& path);

/// The command line, read. Flags of CONTRACT.md and ours.
struct Options {
  Program program = Program::Gateway;  ///< Which of the two.
  Command command = Command::Run;      ///< Default: run.
  std::string config;                  ///< --config
  std::optional<unsigned> workers;     ///< --workers
  std::vector<std::string> manifests;  ///< --gateway-api-config-file, and paths behind `check`.
  bool k8s_sync = false;               ///< --gateway-api-k8s-sync
  std::string k8s_namespace;           ///< --gateway-api-k8s-namespace
  std::string k8s_poll_seconds;        ///< As written; empty: not given.
  std::string k8s_controller_name;     ///< --gateway-api-k8s-controller-name
  std::string snapshot_name;           ///< --gateway-api-snapshot-name
  std::string snapshot_namespace;      ///< --gateway-api-snapshot-namespace
  std::string snapshot_poll_seconds;   ///< As written; empty: not given.
  std::string log_dir;                 ///< --log-dir
  std::string log_file;                ///< --log-file
  std::string plugin_dir;              ///< --plugin-dir; default: beside the binary.
  std::string socket;                  ///< --socket
  bool strict = false;                 ///< --strict
  bool json = false;                   ///< --json
  std::string method;                  ///< explain METHOD
  std::string url;                     ///< explain URL
  std::vector<std::pair<std::string, std::string>> headers;  ///< explain -H "Name: value"
};

/// Reads the arguments behind the program's name. Problems are added for whatever is wrong: unknown
/// flags with the nearest one, missing values, two modes at once.
[[nodiscard]] Options parseOptions(const std::vector<std::string>& arguments,
                                   std::vector<ConfigProblem>& problems,
                                   Program program = Program::Gateway);

/// The text of `hyperway help`, or of `hyperway_controller help`.
[[nodiscard]] std::string usage(Program program = Program::Gateway);

}  // namespace hyperway::app
