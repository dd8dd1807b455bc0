// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/object_reader.hpp"
#include "gateway/objects.hpp"

namespace hyperway::gateway {

/// The decoder's buffers, and what several kinds have in common. For objects*.cpp only.
class ObjectDecoder::Impl {
 public:
  /// What some kinds use of metadata beside Meta; null: not read.
  struct Extras {
    Labels* labels = nullptr;       ///< metadata.labels.
    Labels* annotations = nullptr;  ///< metadata.annotations.
    std::string* uid = nullptr;     ///< metadata.uid.
  };
  /// Calls `on_field(key, node)` for each member of the document but metadata, which is read into
  /// `meta` (and its labels into `labels`, if given). False if the document is not JSON or a
  /// problem was reported that no part of the object took.
  template <class OnField>
  bool read(std::string_view json, Meta& meta, Labels* labels, Problems& problems,
            OnField&& on_field) {
    return read(json, meta, Extras{labels, nullptr, nullptr}, problems,
                std::forward<OnField>(on_field));
  }
  /// The same, with more of metadata.
  template <class OnField>
  bool read(std::string_view json, Meta& meta, const Extras& extras, Problems& problems,
            OnField&& on_field) {
    std::vector<std::string> lines;
    JsonTrouble trouble{&lines, &lines};
    if (simdjson::ondemand::value root; open(json, root, lines)) {
      JsonNode node(root, {}, trouble);
      node.fields([&](std::string_view key, JsonNode& member) {
        if (key == "metadata")
          readMeta(member, meta, extras);
        else
          on_field(key, member);
      });
      if (lines.empty() && document_.current_location().error() == simdjson::SUCCESS)
        lines.emplace_back(": text follows the object");
    }
    return report(lines, problems);
  }

 private:
  bool open(std::string_view json, simdjson::ondemand::value& root,
            std::vector<std::string>& lines);
  static bool report(const std::vector<std::string>& lines, Problems& problems);
  static void readMeta(JsonNode& node, Meta& meta, const Extras& extras);

  simdjson::ondemand::parser parser_;
  simdjson::ondemand::document document_;
  std::vector<char> buffer_;
};

/// Reads an object of text members, as labels are.
void readLabels(JsonNode& node, Labels& labels);
/// Reads a ParametersReference.
void readParameters(JsonNode& node, ParametersRef& parameters);
/// Reads a backend that a filter sends requests of its own to.
void readCallout(JsonNode& node, CalloutSpec& callout);
/// Reads a ParentReference.
void readParent(JsonNode& node, ParentRef& parent);
/// SecretObjectReference or ObjectReference: group, kind, namespace and a name, which must be
/// there.
template <class Ref>
void readObjectRef(JsonNode& node, Ref& ref) {
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "group") member.read(ref.group);
    if (key == "kind") member.read(ref.kind);
    if (key == "namespace") member.read(ref.name_space);
    if (key == "name") member.read(ref.name);
  });
  if (ref.name.empty()) node.problem("needs a name");
}

/// Reads a list of filters, of a rule, a backend or a listener.
void readFilters(JsonNode& node, std::vector<FilterSpec>& filters);

}  // namespace hyperway::gateway
