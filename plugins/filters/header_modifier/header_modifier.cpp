// SPDX-License-Identifier: Apache-2.0
// Gateway API HTTPHeaderFilter, as RequestHeaderModifier and ResponseHeaderModifier.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../ascii.hpp"
#include "hyperway/sdk/plugin.hpp"

namespace hyperway::header_modifier {

/// The edits of one HTTPHeaderFilter: {"set": [{name, value}], "add": [...], "remove": [name]}.
/// Names compare without case; a name occurs once in a list. Source: Gateway API HTTPHeaderFilter.
class Edits {
 public:
  explicit Edits(sdk::Setup& setup) {
    const sdk::ConfigNode root = setup.config();
    if (!root.isObject()) return;
    root.only({"set", "add", "remove"});
    readFields(setup, root["set"], Edit::Set, set_);
    readFields(setup, root["add"], Edit::Add, add_);
    for (const sdk::ConfigNode& node : atMost16(root["remove"])) {
      const sdk::HeaderName name = setup.header(node);
      if (allowed(node, Edit::Remove)) remove_.push_back(name);
    }
  }

  /// Applies set, then add, then remove. Whatever the host refuses leaves the field as it was;
  /// names and values were checked when the configuration was read.
  void apply(sdk::Headers headers) const noexcept {
    for (const auto& [name, value] : set_) headers.set(name, value);
    for (const auto& [name, value] : add_) headers.add(name, value);
    for (const sdk::HeaderName name : remove_) headers.remove(name);
  }

 private:
  enum class Edit { Set, Add, Remove };
  struct Field {
    sdk::HeaderName name;
    std::string value;
  };

  static std::vector<sdk::ConfigNode> atMost16(const sdk::ConfigNode& list) {
    auto items = list.items();
    if (items.size() > 16) list.error("has more than 16 entries, the Gateway API's limit");
    return items;
  }

  // What frames a message is not a route's to edit, and would be refused on each request.
  static bool allowed(const sdk::ConfigNode& node, Edit edit) {
    if (!node.present()) return false;  // Reported already.
    const std::string& name = node.value()->text();
    if (edit != Edit::Set && filters::sameName(name, "host")) {
      node.error("a request has exactly one Host: it can be set, not added or removed");
      return false;
    }
    for (const std::string_view owned :
         {"connection", "content-length", "expect", "http2-settings", "keep-alive",
          "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}) {
      if (!filters::sameName(name, owned)) continue;
      node.error("\"" + name + "\" belongs to the connection and cannot be edited");
      return false;
    }
    return true;
  }
  static void readFields(sdk::Setup& setup, const sdk::ConfigNode& list, Edit edit,
                         std::vector<Field>& out) {
    for (const sdk::ConfigNode& node : atMost16(list)) {
      if (!node.isObject()) continue;
      node.only({"name", "value"});
      Field field{setup.header(node["name"]), node["value"].text()};
      for (const char c : field.value)
        if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) {
          node["value"].error("a header value must not contain control characters");
          break;
        }
      if (allowed(node["name"], edit)) out.push_back(std::move(field));
    }
  }

  std::vector<Field> set_;
  std::vector<Field> add_;
  std::vector<sdk::HeaderName> remove_;
};

/// Edits the request before it goes on.
class RequestHeaderModifier {
 public:
  static constexpr const char* kId = "RequestHeaderModifier";
  explicit RequestHeaderModifier(sdk::Setup& setup) : edits_(setup) {}
  sdk::Flow onRequestHead(sdk::Stream& stream, sdk::Flags) const {
    edits_.apply(stream.request());
    return sdk::Flow::Continue;
  }

 private:
  Edits edits_;
};

/// Edits the final response.
class ResponseHeaderModifier {
 public:
  static constexpr const char* kId = "ResponseHeaderModifier";
  explicit ResponseHeaderModifier(sdk::Setup& setup) : edits_(setup) {}
  sdk::Flow onResponseHead(sdk::Stream& stream, sdk::Flags) const {
    edits_.apply(stream.response());
    return sdk::Flow::Continue;
  }

 private:
  Edits edits_;
};

}  // namespace hyperway::header_modifier

HYPERWAY_PLUGIN("dev.arloor.hyperway.header-modifier", "1.0.0",
                hyperway::sdk::Filters<hyperway::header_modifier::RequestHeaderModifier,
                                       hyperway::header_modifier::ResponseHeaderModifier>);
