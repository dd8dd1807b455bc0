// SPDX-License-Identifier: Apache-2.0
#include "auth_settings.hpp"

#include <algorithm>

#include "../ascii.hpp"

namespace hyperway::external_auth {
namespace {

constexpr std::size_t kMostNames = 64;

/// What the API server's expression lets through, and nothing that a server could read as another
/// path: no empty or dot segments, however they are written, and no escaped separators.
bool isGoodPrefix(std::string_view path) {
  constexpr std::string_view kAlso = "-/._~!$&'()*+,;=:@";
  std::string decoded;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const char c = path[i];
    if (c == '%') {
      if (i + 2 >= path.size() || filters::hexValue(path[i + 1]) < 0 ||
          filters::hexValue(path[i + 2]) < 0)
        return false;
      const int value = filters::hexValue(path[i + 1]) * 16 + filters::hexValue(path[i + 2]);
      if (value < 0x20 || value == '/' || value == '\\' || value == 0x7f) return false;
      decoded += static_cast<char>(value);
      i += 2;
      continue;
    }
    const bool plain = (c >= '0' && c <= '9') ||
                       (filters::toLower(c) >= 'a' && filters::toLower(c) <= 'z') ||
                       kAlso.find(c) != std::string_view::npos;
    if (!plain) return false;
    decoded += c;
  }
  for (std::string_view rest = decoded; !rest.empty();) {
    const std::size_t slash = rest.find('/');
    const std::string_view segment = rest.substr(0, slash);
    const bool first = rest.data() == decoded.data();
    if (segment == "." || segment == ".." || (segment.empty() && !first)) return false;
    rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  }
  return true;
}

}  // namespace

NameSet::NameSet(sdk::Setup& setup, const sdk::ConfigNode& list) {
  const std::vector<sdk::ConfigNode> items = list.items();
  if (items.size() > kMostNames) list.error("has more than 64 entries, the Gateway API's limit");
  for (const sdk::ConfigNode& node : items) {
    (void)setup.header(node);  // reports what is no name
    std::string name = filters::lowered(node.text());
    if (!has(name)) names_.push_back(std::move(name));
  }
}

bool NameSet::has(std::string_view name) const noexcept {
  return std::any_of(names_.begin(), names_.end(),
                     [&](const std::string& each) { return filters::sameName(each, name); });
}

AuthSettings::AuthSettings(sdk::Setup& setup) {
  const sdk::ConfigNode root = setup.config();
  if (!root.isObject()) return;
  root.only({"protocol", "backendRef", "http", "grpc", "forwardBody"});
  const std::string protocol = root["protocol"].textOr("");
  grpc = protocol == "GRPC";
  if (!grpc && protocol != "HTTP") root["protocol"].error("must be HTTP or GRPC");
  const sdk::ConfigNode http_node = root["http"];
  const sdk::ConfigNode grpc_node = root["grpc"];
  if (grpc && http_node.present()) http_node.error("goes with protocol HTTP only");
  if (!grpc && grpc_node.present()) grpc_node.error("goes with protocol GRPC only");
  if (http_node.present() && http_node.isObject()) {
    http_node.only({"path", "allowedHeaders", "allowedResponseHeaders"});
    path = http_node["path"].textOr("");
    if (!path.empty() && !path.starts_with('/')) path.insert(0, 1, '/');
    if (!isGoodPrefix(path))
      http_node["path"].error("must be a path without empty, \".\" or \"..\" segments");
    while (path.ends_with('/')) path.pop_back();
    request_headers = NameSet(setup, http_node["allowedHeaders"]);
    response_headers = NameSet(setup, http_node["allowedResponseHeaders"]);
  }
  if (grpc_node.present() && grpc_node.isObject()) {
    grpc_node.only({"allowedHeaders"});
    request_headers = NameSet(setup, grpc_node["allowedHeaders"]);
  }
  if (const sdk::ConfigNode body = root["forwardBody"]; body.present() && body.isObject()) {
    body.only({"maxSize"});
    body_size = static_cast<std::uint32_t>(body["maxSize"].integerOr(0, 0, 2147483647));
  }
  authority = "authorization";
  if (const sdk::ConfigNode backend = root["backendRef"]; backend.present() && backend.isObject()) {
    authority = backend["name"].textOr("authorization");
    const std::string name_space = backend["namespace"].textOr("");
    if (!name_space.empty()) authority += '.' + name_space;
  }
}

}  // namespace hyperway::external_auth
