// SPDX-License-Identifier: Apache-2.0
// Routes of all kinds.
#include <algorithm>

#include "gateway/objects_impl.hpp"

namespace hyperway::gateway {
namespace {

// The member of HTTPRouteFilter that carries the body of a type; empty for types without one.
std::string_view memberOf(std::string_view type) noexcept {
  if (type == "RequestHeaderModifier") return "requestHeaderModifier";
  if (type == "ResponseHeaderModifier") return "responseHeaderModifier";
  if (type == "RequestRedirect") return "requestRedirect";
  if (type == "URLRewrite") return "urlRewrite";
  if (type == "ExternalAuth") return "externalAuth";
  return type == "CORS" ? "cors" : std::string_view();
}

void readBackendRef(JsonNode& node, BackendSpec& backend, std::string_view key);

// A BackendObjectReference. It has no filters: mirrors within mirrors would nest without end.
void readBackendObject(JsonNode& node, BackendSpec& backend) {
  node.fields(
      [&](std::string_view key, JsonNode& member) { readBackendRef(member, backend, key); });
  if (backend.name.empty()) node.problem("needs a name");
}

// HTTPExternalAuthFilter: what of it is not its plugin's alone.
void readExternalAuth(JsonNode& node, std::string& body, FilterSpec& filter) {
  CalloutSpec callout;
  bool named = false;
  node.fieldsAndText(body, [&](std::string_view key, JsonNode& member) {
    if (key == "protocol") member.read(callout.protocol);
    if (key != "backendRef") return;
    named = true;
    readBackendObject(member, callout.backend);
  });
  if (named) filter.callouts.push_back(std::move(callout));
}

void readMirror(JsonNode& node, FilterSpec& filter) {
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "backendRef") readBackendObject(member, filter.mirror.emplace_back());
    if (key == "percent") member.read(filter.percent.emplace());
    if (key != "fraction") return;
    filter.numerator = 0;
    member.fields([&](std::string_view name, JsonNode& value) {
      if (name == "numerator") value.read(*filter.numerator);
      if (name == "denominator") value.read(filter.denominator);
    });
  });
}

// The body goes to its plugin as text; only what the rule's own validity depends on is looked at.
void readBody(JsonNode& node, std::string& body, bool& replaces_prefix) {
  node.fieldsAndText(body, [&](std::string_view key, JsonNode& member) {
    if (key != "path") return;
    member.fields([&](std::string_view name, JsonNode& value) {
      if (name != "type") return;
      std::string type;
      value.read(type);
      replaces_prefix = type == "ReplacePrefixMatch";
    });
  });
}

void readFilter(JsonNode& node, FilterSpec& filter) {
  // Members may come in any order, so bodies are kept until the type is known.
  struct Body {
    std::string key, text;
    bool replaces_prefix = false;
  };
  std::vector<Body> bodies;
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "type") return member.read(filter.type);
    if (key == "requestMirror") return readMirror(member, filter);
    if (key == "extensionRef")
      return member.fields([&](std::string_view name, JsonNode& value) {
        if (name == "group") value.read(filter.group);
        if (name == "kind") value.read(filter.kind);
        if (name == "name") value.read(filter.name);
      });
    if (key == "requestRedirect" || key == "urlRewrite") {
      Body& body = bodies.emplace_back();
      body.key = key;
      return readBody(member, body.text, body.replaces_prefix);
    }
    if (key == "externalAuth") {
      Body& body = bodies.emplace_back();
      body.key = key;
      return readExternalAuth(member, body.text, filter);
    }
    if (key == "requestHeaderModifier" || key == "responseHeaderModifier" || key == "cors") {
      Body& body = bodies.emplace_back();
      body.key = key;
      member.fieldsAndText(body.text, [](std::string_view, JsonNode&) {});
    }
  });
  for (Body& body : bodies)
    if (body.key == memberOf(filter.type)) {
      filter.body = std::move(body.text);
      filter.replaces_prefix = body.replaces_prefix;
    }
}

}  // namespace

void readFilters(JsonNode& node, std::vector<FilterSpec>& filters) {
  node.items([&](JsonNode& item) { readFilter(item, filters.emplace_back()); });
}

namespace {

void readBackendRef(JsonNode& node, BackendSpec& backend, std::string_view key) {
  if (key == "name") node.read(backend.name);
  if (key == "port") node.read(backend.port);
  if (key == "weight") node.read(backend.weight);
  if (key == "namespace") node.read(backend.name_space);
  if (key == "group") node.read(backend.group);
  if (key == "kind") node.read(backend.kind);
}

void readBackend(JsonNode& node, bool with_filters, BackendSpec& backend) {
  node.fields([&](std::string_view key, JsonNode& member) {
    readBackendRef(member, backend, key);
    if (with_filters && key == "filters") readFilters(member, backend.filters);
  });
  if (backend.name.empty()) node.problem("needs a name");
}

void readValueMatches(JsonNode& node, std::vector<MatchSpec::Value>& matches) {
  node.items([&](JsonNode& item) {
    auto& match = matches.emplace_back();
    item.fields([&](std::string_view key, JsonNode& member) {
      if (key == "type") member.read(match.type);
      if (key == "name") member.read(match.name);
      if (key == "value") member.read(match.value);
    });
  });
}

void readMatch(JsonNode& node, MatchSpec& match) {
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "method") member.read(match.method);
    if (key == "headers") readValueMatches(member, match.headers);
    if (key == "queryParams") readValueMatches(member, match.query);
    if (key == "path")
      member.fields([&](std::string_view name, JsonNode& value) {
        if (name == "type") value.read(match.path_type);
        if (name == "value") value.read(match.path);
      });
  });
}

void readMethod(JsonNode& node, MethodSpec& match) {
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "headers") readValueMatches(member, match.headers);
    if (key != "method") return;
    match.named = true;
    member.fields([&](std::string_view name, JsonNode& value) {
      if (name == "type") value.read(match.type);
      if (name == "service") value.read(match.service);
      if (name == "method") value.read(match.method);
    });
  });
}

void readRetry(JsonNode& node, RetrySpec& retry) {
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "attempts") member.read(retry.attempts);
    if (key == "backoff") member.read(retry.backoff);
    if (key == "codes")
      member.items([&](JsonNode& item) { item.read(retry.codes.emplace_back()); });
  });
}

void readSession(JsonNode& node, SessionSpec& session) {
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "type") member.read(session.type);
    if (key == "absoluteTimeout") member.read(session.absolute.emplace());
    if (key == "idleTimeout") member.read(session.idle.emplace());
    if (key == "sessionName") member.read(session.name);
    if (key != "cookie" && key != "header" && key != "cookieConfig") return;
    if (key == "cookie") session.by_path = false;
    member.fields([&](std::string_view name, JsonNode& value) {
      if (name == "name") value.read(session.name);
      if (name == "path") value.read(session.path.emplace());
      if (name == "lifetimeType") value.read(session.lifetime);
    });
  });
}

// What only rules of requests have; of these only HTTPRoutes have retries and timeouts.
void readRequestRule(std::string_view key, JsonNode& member, bool http, RuleSpec& rule) {
  if (key == "matches")
    member.items([&](JsonNode& item) {
      if (http)
        readMatch(item, rule.matches.emplace_back());
      else
        readMethod(item, rule.methods.emplace_back());
    });
  if (key == "filters") readFilters(member, rule.filters);
  if (key == "sessionPersistence") readSession(member, rule.session.emplace());
  if (http && key == "retry") readRetry(member, rule.retry.emplace());
  if (http && key == "timeouts")
    member.fields([&](std::string_view name, JsonNode& value) {
      if (name == "request") value.read(rule.request_timeout.emplace());
      if (name == "backendRequest") value.read(rule.backend_timeout.emplace());
    });
}

void readRule(JsonNode& node, route::RouteKind kind, RuleSpec& rule) {
  const bool http = kind == route::RouteKind::Http;
  const bool requests = !route::isFlow(kind);
  std::vector<std::string>* const outer = node.redirect(&rule.problems);
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "name") member.read(rule.name);
    if (key == "backendRefs")
      member.items(
          [&](JsonNode& item) { readBackend(item, requests, rule.backends.emplace_back()); });
    if (requests) readRequestRule(key, member, http, rule);
  });
  node.redirect(outer);
}

}  // namespace

void readCallout(JsonNode& node, CalloutSpec& callout) {
  node.fields([&](std::string_view key, JsonNode& member) {
    readBackendRef(member, callout.backend, key);
    if (key == "protocol") member.read(callout.protocol);
  });
  if (callout.backend.name.empty()) node.problem("needs a name");
}

bool ObjectDecoder::decode(std::string_view json, RouteObject& object, Problems& problems) {
  const bool requests = !route::isFlow(object.kind);
  const bool has_hostnames = requests || object.kind == route::RouteKind::Tls;
  const ObjectDecoder::Impl::Extras extras{nullptr, nullptr, &object.uid};
  const bool fine =
      impl_->read(json, object.meta, extras, problems, [&](std::string_view part, JsonNode& spec) {
        if (part != "spec") return;
        spec.fields([&](std::string_view key, JsonNode& member) {
          if (key == "parentRefs")
            member.items([&](JsonNode& item) { readParent(item, object.parents.emplace_back()); });
          if (key == "useDefaultGateways") {
            std::string scope;
            member.read(scope);
            object.use_default = scope == "All";
          }
          if (key == "hostnames" && has_hostnames) member.read(object.hostnames);
          if (key == "rules")
            member.items(
                [&](JsonNode& item) { readRule(item, object.kind, object.rules.emplace_back()); });
        });
      });
  const auto has_session = [](const RuleSpec& rule) { return rule.session.has_value(); };
  if (std::none_of(object.rules.begin(), object.rules.end(), has_session)) object.uid = {};
  // The default that an API server fills in: one rule that matches everything.
  if (requests && object.rules.empty()) object.rules.emplace_back();
  return fine;
}

}  // namespace hyperway::gateway
