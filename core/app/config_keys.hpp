// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "app/config_node.hpp"

namespace hyperway::app {

/// What a key of the configuration file takes.
enum class KeyType : std::uint8_t {
  Integer,    ///< Within least..most.
  Boolean,    ///< true or false.
  Text,       ///< Any text; one of `values` if there are any.
  Duration,   ///< "1h30m", "500ms": Gateway API durations (GEP-2257).
  Path,       ///< A file or directory.
  Address,    ///< An IP address.
  Endpoint,   ///< "IP:port", IPv6 in brackets.
  Cidr,       ///< "10.0.0.0/8" or an IP address.
  Json,       ///< Anything; a plugin's own.
  Object,     ///< `members`.
  List,       ///< Of `members[0]`.
  OneOrMore,  ///< `members[0]`, or a list of it.
  Map,        ///< Any names, each with `members[0]`.
};

/// A key of the configuration file. The tree of keys is the one place that defines the file's form:
/// the check, the JSON Schema and the table in docs/configuration.md come from it.
struct Key {
  std::string name;                      ///< As written; empty for elements.
  KeyType type;                          ///< What it takes.
  std::string fallback;                  ///< The default, as text for documentation; empty: none.
  bool live = false;                     ///< A reload applies it; otherwise a restart is needed.
  std::string help;                      ///< One sentence.
  std::vector<Key> members = {};         ///< See KeyType.
  std::int64_t least = 0;                ///< Integer.
  std::int64_t most = 0;                 ///< Integer.
  std::vector<std::string> values = {};  ///< Text.
};

/// All keys, in the order in which documentation lists them.
[[nodiscard]] const std::vector<Key>& configKeys();

/// Checks a document against the keys; every problem is reported, unknown keys with the nearest
/// known one.
void checkConfig(const ConfigNode& document, const std::string& file,
                 std::vector<ConfigProblem>& problems);

/// The JSON Schema (2020-12) of the configuration file.
[[nodiscard]] std::string configSchema();

/// The table of keys of docs/configuration.md.
[[nodiscard]] std::string configTable();

}  // namespace hyperway::app
