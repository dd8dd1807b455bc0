// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "hyperway/sdk/config.hpp"
#include "hyperway/sdk/stream.hpp"

namespace hyperway::filters {

/// Gateway API HTTPPathModifier: what a redirect or rewrite does to the path. Constant after
/// reading.
class PathModifier {
 public:
  /// Reads {"type": "ReplaceFullPath", "replaceFullPath": "/x"} or {"type": "ReplacePrefixMatch",
  /// "replacePrefixMatch": "/x"}; an absent node keeps the path.
  explicit PathModifier(const sdk::ConfigNode& node) {
    if (!node.present() || !node.isObject()) return;
    node.only({"type", "replaceFullPath", "replacePrefixMatch"});
    const std::string type = node["type"].text();
    const bool full = type == "ReplaceFullPath";
    if (!full && type != "ReplacePrefixMatch") {
      if (!type.empty()) node["type"].error("must be ReplaceFullPath or ReplacePrefixMatch");
      return;
    }
    const sdk::ConfigNode wanted = node[full ? "replaceFullPath" : "replacePrefixMatch"];
    const sdk::ConfigNode other = node[full ? "replacePrefixMatch" : "replaceFullPath"];
    if (other.present()) other.error("does not go with type " + type);
    value_ = wanted.text();
    kind_ = full ? Kind::Full : Kind::Prefix;
    check(wanted);
  }

  /// False if the path stays as it is.
  [[nodiscard]] bool changes() const noexcept { return kind_ != Kind::Keep; }

  /// The new path for this stream; absent if a prefix is to be replaced and the rule matched none.
  [[nodiscard]] std::optional<std::string> apply(const sdk::Stream& stream) const {
    const std::string_view path = stream.path();
    if (kind_ == Kind::Keep) return std::string(path);
    if (kind_ == Kind::Full) return value_.empty() ? "/" : value_;
    const auto size = stream.number(HW_NUMBER_PREFIX_SIZE);
    if (!size || *size < 0 || static_cast<std::uint64_t>(*size) > path.size()) return std::nullopt;
    return replacePrefix(path, static_cast<std::size_t>(*size), value_);
  }

  /// Replaces the first `size` bytes of `path`, which a PathPrefix match covered. Slashes are
  /// neither doubled nor lost: the table of Gateway API HTTPPathModifier.replacePrefixMatch.
  [[nodiscard]] static std::string replacePrefix(std::string_view path, std::size_t size,
                                                 std::string_view replacement) {
    if (size > 0 && path[size - 1] == '/') --size;
    const std::string_view rest = path.substr(size);
    if (rest.empty()) return replacement.empty() ? "/" : std::string(replacement);
    if (replacement.ends_with('/')) replacement.remove_suffix(1);
    std::string out(replacement);
    out += rest;
    return out;
  }

 private:
  enum class Kind { Keep, Full, Prefix };

  void check(const sdk::ConfigNode& node) const {
    const bool absolute = value_.empty() || value_.front() == '/';
    for (const char c : value_) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte <= 0x20 || byte >= 0x7f || c == '?' || c == '#' || c == '\\')
        return node.error("must be a path: no spaces, control characters, '?', '#' or '\\'");
    }
    if (!absolute) node.error("must begin with '/'");
  }

  Kind kind_ = Kind::Keep;
  std::string value_;
};

/// Reads a Gateway API PreciseHostname: a DNS name without wildcard and port. Reports anything
/// else. Absent: empty.
[[nodiscard]] inline std::string preciseHostname(const sdk::ConfigNode& node) {
  if (!node.present()) return {};
  std::string name = node.text();
  bool valid = !name.empty() && name.size() <= 253 && name.front() != '.' && name.back() != '.' &&
               name.front() != '-' && name.find("..") == std::string::npos;
  for (const char c : name)
    valid = valid && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.');
  if (!valid) node.error("must be a DNS name in lower case, without port and wildcard");
  return name;
}

}  // namespace hyperway::filters
