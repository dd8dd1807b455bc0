// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>

#include "gateway/filter_config_parser.hpp"

namespace hyperway::gateway {

/// Takes every configuration of the types it knows, but those with the word "refuse" in them. The
/// same input gives the same binding, as the interface promises.
class FakeParser : public FilterConfigParser {
 public:
  [[nodiscard]] bool knows(std::string_view type) const override {
    return types.contains(std::string(type));
  }

  [[nodiscard]] route::FilterBindingPtr parse(std::string_view type, std::string_view owner,
                                              std::string_view config_json,
                                              Problems& problems) override {
    ++calls;
    if (config_json.find("refuse") != std::string_view::npos) {
      problems.add(JsonPointer("/key"), "is refused");
      return nullptr;
    }
    auto& binding = bindings_[{std::string(type), std::string(owner), std::string(config_json)}];
    if (!binding) binding = std::make_shared<Binding>();
    return binding;
  }

  /// A new version of a plugin: its configurations are parsed anew.
  void replace(std::string_view type) {
    std::erase_if(bindings_, [&](const auto& entry) { return std::get<0>(entry.first) == type; });
  }

  std::set<std::string> types = {"RequestHeaderModifier",
                                 "ResponseHeaderModifier",
                                 "RequestRedirect",
                                 "URLRewrite",
                                 "CORS",
                                 "api_key"};
  int calls = 0;

 private:
  class Binding : public route::FilterBinding {};
  std::map<std::tuple<std::string, std::string, std::string>, route::FilterBindingPtr> bindings_;
};

}  // namespace hyperway::gateway
