// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hyperway::app {

/// Something wrong with a configuration file or a manifest, as `check` prints it.
struct ConfigProblem {
  std::string file;      ///< Empty: the command line.
  std::size_t line = 0;  ///< From 1; 0: the file as a whole.
  std::string pointer;   ///< JSON pointer of the value; may be empty.
  std::string message;   ///< In the user's words.
  bool warning = false;  ///< Informs only.

  /// "file:line: message (at /pointer)".
  [[nodiscard]] std::string text() const;
};

/// A YAML document as a tree with lines: what the configuration file is read into. A value.
struct ConfigNode {
  /// What a node is; scalars by the YAML 1.2 core schema.
  enum class Type : std::uint8_t { Null, Boolean, Integer, Real, Text, List, Map };
  struct Member;

  Type type = Type::Null;         ///< What it is.
  std::string text;               ///< Scalars: as written, quotes taken off.
  std::size_t line = 0;           ///< From 1.
  std::vector<ConfigNode> items;  ///< List.
  std::vector<Member> members;    ///< Map, in the order of the file.

  /// True for everything that is one value.
  [[nodiscard]] bool isScalar() const noexcept { return type != Type::List && type != Type::Map; }
  /// The member of that name, or null.
  [[nodiscard]] const ConfigNode* find(std::string_view name) const noexcept;
  /// The node as JSON.
  [[nodiscard]] std::string json() const;
};

/// A member of a map.
struct ConfigNode::Member {
  std::string name;      ///< Unique in its map.
  std::size_t line = 0;  ///< Of the name.
  ConfigNode value;      ///< Anything.
};

/// Parses YAML (and so JSON) text. `${config_dir}` in a scalar becomes `config_dir`. On an error an
/// empty map, with at least one problem. `file` is for messages.
[[nodiscard]] ConfigNode parseConfigText(std::string_view text, const std::string& file,
                                         const std::string& config_dir,
                                         std::vector<ConfigProblem>& problems);

}  // namespace hyperway::app
