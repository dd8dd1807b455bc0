// SPDX-License-Identifier: Apache-2.0
#include "gateway/filters.hpp"

#include <algorithm>

#include "base/bytes.hpp"

namespace hyperway::gateway {
namespace {

constexpr std::string_view kInvalidFilterConfig = "InvalidFilterConfig";
constexpr std::string_view kInvalidKind = "InvalidKind";

// Filters of the Gateway API that go to a plugin of the same name.
bool isPluginType(std::string_view type) noexcept {
  return type == "RequestHeaderModifier" || type == "ResponseHeaderModifier" ||
         type == "RequestRedirect" || type == "URLRewrite" || type == "CORS" ||
         type == "ExternalAuth";
}

// Where HTTPRouteFilter has the configuration of a type.
std::string bodyOf(std::string_view type) {
  if (type == "URLRewrite") return "/urlRewrite";
  if (type == "CORS") return "/cors";
  if (type == "ExternalAuth") return "/externalAuth";
  std::string out = "/" + std::string(type);
  out[1] = toLower(out[1]);
  return out;
}

// "/x/a: message; /x/b: message" for a configuration at /x.
std::string describe(const Problems& problems, const std::string& at) {
  std::string text;
  for (const Problem& problem : problems.list()) {
    if (problem.severity != Severity::Error) continue;
    if (!text.empty()) text += "; ";
    text += at + problem.pointer + ": " + problem.message;
  }
  return text.empty() ? at + ": the plugin refuses this configuration" : text;
}

bool mayUse(const TranslateOptions& options, const std::string& plugin,
            const std::string& name_space) {
  const auto found = options.filter_namespaces.find(plugin);
  if (found == options.filter_namespaces.end()) return true;
  return std::any_of(found->second.begin(), found->second.end(),
                     [&](const std::string& name) { return name == "*" || name == name_space; });
}

class ListTranslator {
 public:
  ListTranslator(const std::string& pointer, const FilterContext& context)
      : pointer_(pointer), context_(context) {}

  void add(const FilterSpec& spec, std::size_t index) {
    const std::string here = pointer_ + '/' + std::to_string(index);
    if (spec.type == "RequestMirror") return addMirror(spec, here);
    route::Filter filter;
    if (isPluginType(spec.type) && suits(spec.type))
      filter = ownFilter(spec, here);
    else if (spec.type == "ExtensionRef")
      filter = extension(spec, here);
    else
      filter =
          refused(spec.type, kInvalidKind,
                  here + "/type: filter type " + spec.type + " is not supported by this version" +
                      (isPluginType(spec.type) ? " for GRPCRoutes" : ""));
    // Preflight requests must be answered before any other filter of a route has a say (Gateway
    // API, HTTPCORSFilter).
    const bool first = filter.type == "CORS" && context_.of_listener.empty();
    list_.filters.insert(first ? list_.filters.begin() : list_.filters.end(), std::move(filter));
  }

  FilterList take() { return std::move(list_); }

 private:
  // Gateway API, GRPCRouteFilterType has fewer than HTTPRouteFilterType.
  [[nodiscard]] bool suits(std::string_view type) const {
    return context_.kind == route::RouteKind::Http || type == "RequestHeaderModifier" ||
           type == "ResponseHeaderModifier";
  }

  route::Filter refused(const std::string& type, std::string_view reason, std::string message) {
    route::Filter filter;
    filter.type = type;
    filter.owner = context_.owner;
    filter.refused = message;
    list_.unresolved.push_back({std::string(reason), std::move(message)});
    return filter;
  }

  route::Filter ownFilter(const FilterSpec& spec, const std::string& here) {
    if (spec.body.empty())
      return refused(spec.type, kInvalidFilterConfig,
                     here + ": a filter of type " + spec.type + " needs its configuration");
    if (!context_.parser.knows(spec.type))
      return refused(spec.type, kInvalidKind,
                     here + "/type: no plugin for filter type " + spec.type + " is loaded");
    Problems problems;
    auto binding = context_.parser.parse(spec.type, context_.owner, spec.body, problems);
    if (!binding)
      return refused(spec.type, kInvalidFilterConfig, describe(problems, here + bodyOf(spec.type)));
    route::Filter filter;
    filter.type = spec.type;
    filter.config = spec.body;
    filter.owner = context_.owner;
    filter.binding = std::move(binding);
    if (spec.type == "ExternalAuth" && spec.callouts.empty())
      return refused(spec.type, kInvalidFilterConfig, here + "/externalAuth: needs a backendRef");
    return withCallouts(std::move(filter), spec.callouts, here + "/externalAuth/backendRef", false);
  }

  // A filter that asks somebody else is nothing without whom it asks: one who does not resolve
  // refuses it, and its requests are answered 500.
  route::Filter withCallouts(route::Filter filter, const std::vector<CalloutSpec>& callouts,
                             const std::string& where, bool listed) {
    for (std::size_t i = 0; i < callouts.size(); ++i) {
      const CalloutSpec& callout = callouts[i];
      const std::string at = listed ? where + '/' + std::to_string(i) : where;
      if (callout.protocol != "HTTP" && callout.protocol != "GRPC" &&
          !(listed && callout.protocol.empty()))
        return refused(filter.type, kInvalidFilterConfig,
                       at + ": protocol must be HTTP or GRPC, not '" + callout.protocol + "'");
      const auto spoken =
          callout.protocol == "GRPC" ? route::RouteKind::Grpc : route::RouteKind::Http;
      auto target =
          resolveBackend(callout.backend, context_.kind, context_.name_space, context_.store,
                         context_.options, context_.dependencies, spoken, context_.of_listener);
      if (!target.verdict.fine())
        return refused(filter.type, target.verdict.reason, at + ": " + target.verdict.message);
      filter.upstreams.push_back(std::move(target.upstream));
    }
    return filter;
  }

  route::Filter extension(const FilterSpec& spec, const std::string& here) {
    if (spec.group != kHyperwayGroup || spec.kind != "Filter")
      return refused(spec.type, kInvalidKind,
                     here + "/extensionRef: only Filter of " + std::string(kHyperwayGroup) +
                         " can be referred to, not " + spec.kind + " of " + spec.group);
    const std::string key = objectKey(context_.name_space, spec.name);
    context_.dependencies.filters.push_back(key);
    const auto found = context_.verdicts.find(key);
    if (found == context_.verdicts.end())
      return refused(spec.type, "BackendNotFound",
                     here + "/extensionRef: Filter " + key + " does not exist");
    const FilterVerdict& judged = found->second;
    if (!judged.verdict.fine()) {
      const bool unknown = judged.verdict.reason == "UnknownPlugin";
      return refused(judged.plugin, unknown ? kInvalidKind : kInvalidFilterConfig,
                     here + "/extensionRef: Filter " + key + ": " + judged.verdict.message);
    }
    route::Filter filter;
    filter.type = judged.plugin;
    filter.config = judged.config;
    filter.owner = "Filter " + key;
    filter.binding = judged.binding;
    return withCallouts(std::move(filter), judged.backends,
                        here + "/extensionRef: Filter " + key + ": /spec/backendRefs", true);
  }

  void addMirror(const FilterSpec& spec, const std::string& here) {
    if (spec.mirror.empty() || (spec.percent && spec.numerator)) {
      refuseAll(here + "/requestMirror: needs a backendRef, and percent or fraction at most once");
      return;
    }
    const std::int64_t numerator = spec.percent ? *spec.percent : spec.numerator.value_or(1);
    const std::int64_t denominator = spec.percent ? 100 : spec.numerator ? spec.denominator : 1;
    if (denominator < 1 || denominator > INT32_MAX || numerator < 0 || numerator > denominator) {
      refuseAll(here + "/requestMirror: the share must be between nothing and everything");
      return;
    }
    auto target = resolveBackend(spec.mirror.front(), context_.kind, context_.name_space,
                                 context_.store, context_.options, context_.dependencies);
    if (!target.verdict.fine())
      list_.unresolved.push_back(
          {target.verdict.reason, here + "/requestMirror/backendRef: " + target.verdict.message});
    route::Mirror mirror;
    mirror.upstream = std::move(target.upstream);
    mirror.numerator = static_cast<std::uint32_t>(numerator);
    mirror.denominator = static_cast<std::uint32_t>(denominator);
    list_.mirrors.push_back(std::move(mirror));
  }

  void refuseAll(std::string message) {
    if (list_.refused.empty()) list_.refused = message;
    list_.unresolved.push_back({std::string(kInvalidFilterConfig), std::move(message)});
  }

  const std::string& pointer_;
  const FilterContext& context_;
  FilterList list_;
};

}  // namespace

FilterVerdict judgeFilter(const FilterObject& object, const TranslateOptions& options,
                          FilterConfigParser& parser) {
  FilterVerdict judged;
  judged.plugin = object.plugin;
  judged.config = object.config;
  judged.backends = object.backends;
  if (!parser.knows(object.plugin)) {
    judged.verdict = {"UnknownPlugin", "/spec/plugin: no plugin " + object.plugin + " is loaded"};
    return judged;
  }
  if (!mayUse(options, object.plugin, object.meta.name_space)) {
    judged.verdict = {"NotPermitted", "/spec/plugin: the configuration does not let namespace " +
                                          object.meta.name_space + " use plugin " + object.plugin};
    return judged;
  }
  Problems problems;
  judged.binding =
      parser.parse(object.plugin, "Filter " + object.meta.key(), object.config, problems);
  if (!judged.binding) {
    std::string text;
    for (const Problem& problem : problems.list()) {
      if (problem.severity != Severity::Error) continue;
      if (!text.empty()) text += "; ";
      text += "/spec/config" + problem.pointer + ": " + problem.message;
    }
    judged.verdict = {std::string(kInvalidFilterConfig),
                      text.empty() ? "/spec/config: the plugin refuses it" : std::move(text)};
  }
  return judged;
}

FilterList translateFilters(const std::vector<FilterSpec>& specs, const std::string& pointer,
                            const FilterContext& context) {
  ListTranslator translator(pointer, context);
  for (std::size_t i = 0; i < specs.size(); ++i) translator.add(specs[i], i);
  return translator.take();
}

std::string incompatibleFilters(const std::vector<FilterSpec>& specs) {
  const auto count = [&](std::string_view type) {
    return std::count_if(specs.begin(), specs.end(),
                         [&](const FilterSpec& spec) { return spec.type == type; });
  };
  if (count("RequestRedirect") > 0 && count("URLRewrite") > 0)
    return "RequestRedirect and URLRewrite cannot be in one list";
  for (const FilterSpec& spec : specs)
    if (isPluginType(spec.type) && count(spec.type) > 1)
      return spec.type + " cannot be listed twice";
  return {};
}

}  // namespace hyperway::gateway
