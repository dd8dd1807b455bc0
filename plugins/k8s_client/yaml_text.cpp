// SPDX-License-Identifier: Apache-2.0
#include "k8s_client/yaml_text.hpp"

#include <yaml-cpp/yaml.h>

#include <charconv>
#include <exception>
#include <stdexcept>
#include <utility>
#include <vector>

namespace hyperway::k8s_client {
namespace {

using sdk::json::Member;
using sdk::json::Value;

constexpr unsigned kMostDepth = 32;
constexpr std::size_t kMostValues = 10000;

Value scalar(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return Value(text);  // quoted
  if (text.empty() || text == "~" || text == "null") return {};
  if (text == "true" || text == "false") return Value(text == "true");
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  if (read.ec == std::errc{} && read.ptr == end) return Value(number);
  return Value(text);
}

class Converter {
 public:
  Value convert(const YAML::Node& node, unsigned depth = 0) {
    if (depth > kMostDepth) throw std::runtime_error("it is nested too deep");
    if (++count_ > kMostValues) throw std::runtime_error("it has too many values");
    switch (node.Type()) {
      case YAML::NodeType::Scalar: return scalar(node);
      case YAML::NodeType::Sequence: {
        std::vector<Value> items;
        for (const YAML::Node& item : node) items.push_back(convert(item, depth + 1));
        return Value(std::move(items));
      }
      case YAML::NodeType::Map: {
        std::vector<Member> members;
        for (const auto& entry : node) {
          std::string name = entry.first.Scalar();
          for (const Member& other : members)
            if (other.name == name) throw std::runtime_error("key \"" + name + "\" is there twice");
          members.push_back({std::move(name), convert(entry.second, depth + 1)});
        }
        return Value(std::move(members));
      }
      default: return {};
    }
  }

 private:
  std::size_t count_ = 0;
};

}  // namespace

std::optional<Value> readYaml(const std::string& text, std::string& error) {
  try {
    return Converter().convert(YAML::Load(text));
  } catch (const std::exception& problem) {
    error = problem.what();
    return std::nullopt;
  }
}

}  // namespace hyperway::k8s_client
