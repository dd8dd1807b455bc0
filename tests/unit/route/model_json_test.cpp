// SPDX-License-Identifier: Apache-2.0
#include "route/model_json.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "fixture.hpp"

using namespace hyperway;
using namespace hyperway::route;
using namespace hyperway::route::fixture;

namespace {

std::shared_ptr<const std::string> bundle(const char* text) {
  return std::make_shared<const std::string>(text);
}

/// A model in which every field that a snapshot carries has a value of its own.
ModelBatch fullModel() {
  ModelBatch model;
  model.full = true;
  Listener plain = listener("infra/gw/http", "*.example.com", 80);
  plain.binds = {{"127.0.0.1", 8080}, {"::1", 8080}};
  Listener secure = listener("infra/gw/https", "", 443);
  secure.protocol = Protocol::Https;
  secure.certificates = {"infra/cert", "other/cert"};
  secure.validation = std::make_shared<const ClientValidation>(
      ClientValidation{{bundle("CLIENT-CA"), bundle("CLIENT-CB")}, false});
  secure.backend_certificate = "infra/client";
  Filter key;
  key.type = "api_key";
  key.config = R"({"keys":[]})";
  key.owner = "Filter infra/key";
  Filter gone;
  gone.type = "ExtensionRef";
  gone.owner = "Gateway infra/gw";
  gone.refused = "it does not exist";
  Filter server;
  server.type = "ExternalAuth";
  server.owner = "Gateway infra/gw";
  server.upstreams = {"infra/who:90", "default/auth:81+grpc"};
  secure.filters = {key, gone, server};
  Listener through = listener("infra/gw/tls", "*.through.com", 443);
  through.protocol = Protocol::Tls;
  through.passthrough = true;
  Listener flows = listener("infra/gw/apps/set/udp", "", 53);  // of a ListenerSet
  flows.protocol = Protocol::Udp;
  flows.binds = {{"127.0.0.1", 53, true}};
  model.listeners = {plain, secure, through, flows};

  Rule rule;
  rule.id = "default/r/0";
  rule.name = "first";
  rule.matches = {matchOf(exact("/a"), "GET", {{"x-a", "1", MatchKind::Exact}},
                          {{"q", "[0-9]+", MatchKind::Regex}}),
                  matchOf(regex("/b/.*\\.png"))};
  Filter cors;
  cors.type = "CORS";
  cors.config = R"({"allowOrigins":["*"]})";
  cors.owner = "HTTPRoute default/r";
  Filter headers;
  headers.type = "RequestHeaderModifier";
  headers.config = R"({"set":[{"name":"x","value":"1"}]})";
  headers.owner = "HTTPRoute default/r";
  Filter rewrite;
  rewrite.type = "URLRewrite";
  rewrite.config = R"({"path":{"type":"ReplacePrefixMatch","replacePrefixMatch":"/x"}})";
  rewrite.owner = "HTTPRoute default/r";
  Filter broken;
  broken.type = "Missing";
  broken.owner = "Filter default/f";
  broken.refused = "no plugin of that name";
  Filter asks;
  asks.type = "ExternalAuth";
  asks.config = R"({"protocol":"GRPC"})";
  asks.owner = "HTTPRoute default/r";
  asks.upstreams = {"default/auth:81+grpc", "default/m:80"};
  rule.filters = {cors, headers, rewrite, broken, asks};
  rule.mirrors = {{"default/m:80", 1, 1}, {"default/m:80", 50, 100}, {"default/n:81", 1, 3}};
  rule.backends = {backend("a", 3), backend("b", 0), backend("gone", 2)};
  rule.backends[1].filters = {headers, asks};
  rule.backends[2].upstream.clear();
  rule.request_timeout = std::chrono::milliseconds(1500);
  rule.backend_timeout = std::chrono::milliseconds(0);
  rule.retry = Retry{2, {500, 503}, std::chrono::milliseconds(100)};
  rule.session = timedSession();
  Rule second;
  second.id = "default/r/2";  // 1 was dropped
  second.matches = {matchOf(prefix("/"))};
  second.session = Session{"x-session", true, "", false, {}, {}, "u1 HTTPRoute default/r/2"};
  Route made =
      fixture::route("r", {"a.example.com", "*.b.com"}, {}, {"infra/gw/http"}, 1'700'000'000);
  made.attachments.push_back({"infra/gw/https", {""}});
  made.rules = std::make_shared<const std::vector<Rule>>(std::vector<Rule>{rule, second});
  model.routes = {made, fixture::route("s", {""}, {{matchOf(prefix("/s"))}})};

  for (const RouteKind kind : {RouteKind::Grpc, RouteKind::Tls, RouteKind::Tcp, RouteKind::Udp}) {
    Route other = fixture::route("r", {""}, {{matchOf(prefix("/"), "POST")}});
    other.kind = kind;
    other.key = std::string(kindText(kind)) + "/default/r";
    if (kind == RouteKind::Tls) other.attachments = {{"infra/gw/tls", {"a.through.com"}}};
    if (kind == RouteKind::Udp) other.attachments = {{"infra/gw/apps/set/udp", {""}}};
    auto rules = *other.rules;
    rules[0].name = "only";
    rules[0].backends[0].upstream += upstreamSuffix(kind);
    if (isFlow(kind)) rules[0].matches.clear();
    if (kind == RouteKind::Grpc) rules[0].filters = {headers};
    other.rules = std::make_shared<const std::vector<Rule>>(rules);
    model.routes.push_back(other);
  }

  model.upstreams = {{"default/a:80", UpstreamProtocol::Http2, Balance::LeastRequest, {}},
                     {"default/auth:81+grpc", UpstreamProtocol::Http2, Balance::RoundRobin, {}},
                     {"default/b:80", UpstreamProtocol::WebSocket, Balance::RoundRobin, {}},
                     {"default/m:80", UpstreamProtocol::Http1, Balance::RoundRobin, {}},
                     {"default/n:81", UpstreamProtocol::WebSocketTls, Balance::RoundRobin, {}},
                     {"default/svc:80", UpstreamProtocol::Http1, Balance::RoundRobin, {}},
                     {"default/svc:80+grpc", UpstreamProtocol::Http2, Balance::RoundRobin, {}},
                     {"default/svc:80+tcp", UpstreamProtocol::Http1, Balance::RoundRobin, {}},
                     {"default/svc:80+udp", UpstreamProtocol::Http1, Balance::RoundRobin, {}},
                     {"infra/who:90", UpstreamProtocol::Http1, Balance::LeastRequest, {}}};
  UpstreamTls tls{"a.example", {"b.example"}, {"spiffe://c/d"}, {bundle("BACKEND-CA")}, false, ""};
  model.upstreams[0].tls = std::make_shared<const UpstreamTls>(tls);
  tls = {"m.example", {}, {}, {}, true, ""};
  model.upstreams[3].tls = std::make_shared<const UpstreamTls>(tls);
  tls = {"n.example", {}, {}, {}, false, "nobody to trust"};
  model.upstreams[4].tls = std::make_shared<const UpstreamTls>(tls);
  model.upstreams[4].proxy_header = ProxyHeader::V1;
  model.upstreams[5].proxy_header = ProxyHeader::V2;
  return model;
}

const SnapshotHeader kHeader{"hyperway.arloor.dev/gateway-controller", "2026-01-02T03:04:05Z", ""};

std::vector<std::string> problemsOf(std::string_view json) {
  Problems problems;
  (void)readSnapshot(json, problems);
  std::vector<std::string> out;
  for (const Problem& problem : problems.list()) out.push_back(problem.pointer);
  return out;
}

/// A snapshot with one rule of these members.
std::string withRule(const std::string& members) {
  return R"({"httpRoutesV1":[{"id":"n/r/0:g:gw:l","routeNamespace":"n","routeName":"r",)"
         R"("gatewayNamespace":"g","gatewayName":"gw","listenerName":"l")" +
         (members.empty() ? "" : "," + members) + "}]}";
}

Rule ruleOf(const std::string& members) {
  Problems problems;
  const auto content = readSnapshot(withRule(members), problems);
  REQUIRE(content);
  for (const Problem& problem : problems.list()) FAIL((problem.pointer + ": " + problem.message));
  REQUIRE(content->model.routes.size() == 1);
  return content->model.routes[0].rules->at(0);
}

}  // namespace

TEST_CASE("A model written as a snapshot reads back as the same model") {
  const ModelBatch model = fullModel();
  const std::string written = snapshotSpec(model, kHeader);
  Problems problems;
  const auto content = readSnapshot(written, problems);
  REQUIRE(content);
  for (const Problem& problem : problems.list()) FAIL((problem.pointer + ": " + problem.message));
  CHECK(content->header.controller_name == kHeader.controller_name);
  CHECK(content->header.updated_at == kHeader.updated_at);
  CHECK(content->header.checksum.size() == 32);
  CHECK(content->model.full);
  CHECK(snapshotSpec(content->model, content->header) == written);

  // Every field, by the one comparison that knows them all: compiled, the two models are the same.
  Compiler compiler;
  (void)compiler.apply(model);
  ModelBatch read = content->model;
  CHECK(compiler.apply(read).table == nullptr);
  REQUIRE(read.upstreams.size() == model.upstreams.size());
  for (std::size_t i = 0; i < read.upstreams.size(); ++i) {
    CHECK(read.upstreams[i].key == model.upstreams[i].key);
    CHECK(sameUpstream(read.upstreams[i], model.upstreams[i]));
  }
}

TEST_CASE("Listeners of a ListenerSet are named with their set") {
  ModelBatch model;
  model.full = true;
  model.listeners = {listener("infra/gw/http", "a.com", 80),
                     listener("infra/gw/team/set/http", "b.com", 80)};
  Route made = fixture::route("r", {""}, {{matchOf(prefix("/"))}}, {"infra/gw/team/set/http"});
  model.routes = {made};
  const std::string written = snapshotSpec(model, kHeader);
  CHECK(written.find(R"("gatewayName":"gw","listenerName":"team/set/http")") != std::string::npos);
  Problems problems;
  const auto content = readSnapshot(written, problems);
  REQUIRE(content);
  CHECK(problems.list().empty());
  REQUIRE(content->model.listeners.size() == 2);
  CHECK(content->model.listeners[1].key == "infra/gw/team/set/http");
  CHECK(content->model.routes.at(0).attachments.at(0).listener == "infra/gw/team/set/http");
  for (const char* name : {"a/b", "a/b/c/d", "a/b:/c"}) {
    CAPTURE(name);
    std::string odd = withRule("");
    odd.replace(odd.find(R"("listenerName":"l")"), 18,
                R"("listenerName":")" + std::string(name) + '"');
    CHECK(problemsOf(odd) == std::vector<std::string>{"/httpRoutesV1/0/listenerName"});
  }
  CHECK(gatewayOfListener("infra/gw/team/set/http") == "infra/gw");
  CHECK(nameOfListener("infra/gw/team/set/http") == "team/set/http");
  CHECK(nameOfListener("infra/gw/http") == "http");
  CHECK(gatewayOfListener("odd") == "odd");
  CHECK(nameOfListener("odd").empty());
}

TEST_CASE("Endpoints, certificates and keys are never written") {
  ModelBatch model = fullModel();
  for (Upstream& upstream : model.upstreams) upstream.endpoints = {{"192.0.2.77", 4242}};
  model.certificates = {{"infra/cert", "CHAIN-PEM", "PRIVATE-PEM"}};
  const std::string written = snapshotSpec(model, kHeader);
  for (const char* secret : {"192.0.2.77", "4242", "CHAIN-PEM", "PRIVATE-PEM"}) {
    CHECK(written.find(secret) == std::string::npos);
  }
}

TEST_CASE("The checksum depends on content alone, not on the order of listeners or routes") {
  ModelBatch model = fullModel();
  const std::string first = snapshotSpec(model, kHeader);
  std::reverse(model.listeners.begin(), model.listeners.end());
  std::reverse(model.routes.begin(), model.routes.end());
  std::reverse(model.upstreams.begin(), model.upstreams.end());
  CHECK(snapshotSpec(model, kHeader) == first);
  model.listeners[0].port = 81;
  Problems problems;
  CHECK(readSnapshot(snapshotSpec(model, kHeader), problems)->header.checksum !=
        readSnapshot(first, problems)->header.checksum);
}

TEST_CASE(
    "One entry of httpRoutesV1 stands for each rule and listener, named as the contract says") {
  const std::string written = snapshotSpec(fullModel(), kHeader);
  for (const char* text :
       {R"("id":"default/r/0:infra:gw:http")",
        R"("id":"default/r/0:infra:gw:https")",
        R"("id":"default/r/2:infra:gw:http")",
        R"("routeRuleName":"first")",
        R"("listenerPort":443)",
        R"("hostnames":[])",
        R"("hostnames":["a.example.com","*.b.com"])",
        R"({"matchType":"exact","value":"/a"})",
        R"({"matchType":"regularExpression","value":"/b/.*\\.png"})",
        R"("queryParams":[{"name":"q","value":"[0-9]+","matchType":"regularExpression"}])",
        R"("requestHeaderModifier":{"set":[{"name":"x","value":"1"}]})",
        R"("urlRewrite":{"path":{"modifierType":"replacePrefixMatch","replacePrefixMatch":"/x"}})",
        R"("fractionPercent":50)",
        R"("fraction":{"numerator":1,"denominator":3})",
        R"("requestTimeoutMs":1500)",
        R"("backendRequestTimeoutMs":0)",
        R"("filters":[{"type":"api_key","config":{"keys":[]},"owner":"Filter infra/key"},)"
        R"({"type":"ExtensionRef","owner":"Gateway infra/gw","refused":"it does not exist"},)"
        R"({"type":"ExternalAuth","owner":"Gateway infra/gw","backends":[{"namespace":"infra",)"
        R"("name":"who","port":90,"weight":1,"balance":"leastRequest"},{"namespace":"default",)"
        R"("name":"auth","port":81,"weight":1,"protocol":"h2c","grpc":true}]}])",
        R"("retry":{"attempts":2,"codes":[500,503],"backoffMs":100})",
        R"("sessionPersistence":{"type":"Cookie","name":"sticky","path":"/a",)"
        R"("lifetimeType":"Permanent","absoluteTimeoutMs":90000,"idleTimeoutMs":7,)"
        R"("scope":"u1 HTTPRoute default/r/0"})",
        R"("sessionPersistence":{"type":"Header","name":"x-session",)"
        R"("scope":"u1 HTTPRoute default/r/2"})",
        R"("tls":{"certificateRefs":[{"namespace":"infra","name":"cert"})"}) {
    CAPTURE(text);
    CHECK(written.find(text) != std::string::npos);
  }
}

TEST_CASE("Other kinds of routes have lists of their own, which older readers pass over") {
  const std::string written = snapshotSpec(fullModel(), kHeader);
  const std::size_t others = written.find(R"(],"grpcRoutes":[{"id":"default/r/0:infra:gw:http")");
  REQUIRE(others != std::string::npos);
  CHECK(written.find("httpRoutesV1") < others);
  for (const char* text : {R"("tlsRoutes":[{"id":"default/r/0:infra:gw:tls")",
                           R"("tcpRoutes":[{"id":"default/r/0:infra:gw:http")",
                           R"("udpRoutes":[{"id":"default/r/0:infra:gw:apps/set/udp")",
                           R"("listenerName":"apps/set/udp")"}) {
    CAPTURE(text);
    CHECK(written.find(text) > others);
    CHECK(written.find(text) != std::string::npos);
  }
  for (const char* text :
       {R"("tls":{"mode":"Passthrough"})", R"("proxyProtocol":"v1")", R"("proxyProtocol":"v2")"})
    CHECK(written.find(text) != std::string::npos);
  // A flow has no matches.
  CHECK(written.find("matches", written.find("tlsRoutes")) == std::string::npos);
  ModelBatch model = fullModel();
  std::erase_if(model.routes, [](const Route& each) { return each.kind != RouteKind::Http; });
  CHECK(snapshotSpec(model, kHeader).find("Routes\":") == std::string::npos);
}

TEST_CASE("What is one text in two lists is two contents") {
  ModelBatch model = fullModel();
  std::string specs[2];
  for (const RouteKind kind : {RouteKind::Tcp, RouteKind::Udp}) {
    model.routes = {fixture::route("r", {""}, {{}})};
    model.routes[0].kind = kind;
    Problems problems;
    specs[kind == RouteKind::Udp] =
        readSnapshot(snapshotSpec(model, kHeader), problems)->header.checksum;
  }
  CHECK(specs[0] != specs[1]);
}

TEST_CASE("A TLS listener passes through only if it says so, and no other listener does") {
  const auto read = [](const std::string& members) {
    Problems problems;
    const auto content =
        readSnapshot(R"({"listeners":[{"name":"g/gw/l","port":443,)" + members + "}]}", problems);
    return problems.failed() ? Listener{} : content->model.listeners.at(0);
  };
  CHECK_FALSE(read(R"("protocol":"TLS","tls":{})").passthrough);
  CHECK_FALSE(read(R"("protocol":"TLS","tls":{"mode":"Terminate"})").passthrough);
  CHECK_FALSE(read(R"("protocol":"HTTPS","tls":{"mode":"Passthrough"})").passthrough);
  CHECK(read(R"("protocol":"TLS","tls":{"mode":"Passthrough"})").passthrough);
  CHECK(read(R"("protocol":"TLS","tls":{"mode":"Other"})").key.empty());
  CHECK(read(R"("protocol":"UDP")").binds.at(0).udp);
}

TEST_CASE("The routes of a part are read from its text, and from its lists") {
  const std::string entry = R"({"id":"n/r/0:g:gw:l","routeNamespace":"n","routeName":"r",)"
                            R"("gatewayNamespace":"g","gatewayName":"gw","listenerName":"l"})";
  const auto quoted = [](const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
      if (c == '"') out += '\\';
      out += c;
    }
    return out + '"';
  };
  const auto pointerOf = [](const std::string& spec) {
    Problems problems;
    (void)readSnapshot(R"({"spec":)" + spec + "}", problems);
    return problems.failed() ? problems.list().front().pointer : "";
  };
  const std::string text = quoted(R"({"httpRoutesV1":[)" + entry + "]}");
  for (const std::string& spec :
       {R"({"content":)" + text + "}", R"({"httpRoutesV1":[)" + entry + "]}"}) {
    CAPTURE(spec);
    Problems problems;
    const auto content = readSnapshot(R"({"spec":)" + spec + "}", problems);
    REQUIRE(content);
    CHECK_FALSE(problems.failed());
    REQUIRE(content->model.routes.size() == 1);
    CHECK(content->model.routes[0].key == "HTTPRoute/n/r");
  }
  CHECK(pointerOf(R"({"content":"{"})") == "/spec/content");
  CHECK(pointerOf(R"({"content":"[]"})") == "/spec/content");
  CHECK(pointerOf(R"({"content":1})") == "/spec/content");
  CHECK(pointerOf(R"({"content":)" + quoted(R"({"httpRoutesV1":[1]})") + "}") ==
        "/spec/content/httpRoutesV1/0");
}

TEST_CASE("A snapshot of an older writer reads as what it meant") {
  const char* const kOld = R"({"apiVersion":"hyperway.arloor.dev/v1alpha1","kind":"RouteSnapshot",
    "spec":{"controllerName":"c","checksum":"12","unknown":{"a":[1]},
    "listeners":[{"name":"g/gw/l","port":443,"hostname":"A.com",
      "tls":{"certificateRefs":[{"namespace":"g","name":"c"}],"certPem":"x","keyPem":"y"}}],
    "httpRoutesV1":[{"id":"n/r/3:g:gw:l","routeNamespace":"n","routeName":"r",
      "gatewayNamespace":"g","gatewayName":"gw","listenerName":"l","listenerPort":443,
      "hostnames":["A.com."],
      "matches":[{"path":{"matchType":"pathPrefix","value":"/x"},"method":null}],
      "requestHeaderModifier":{"remove":["a"]},
      "requestRedirect":{"scheme":"https","path":{"modifierType":"replaceFullPath","replaceFullPath":"/y"}},
      "requestMirrors":[{"backend":{"namespace":"n","name":"m","port":80},"fractionPercent":7}],
      "backends":[{"namespace":"n","name":"s","port":8080}]}]}})";
  Problems problems;
  const auto content = readSnapshot(kOld, problems);
  REQUIRE(content);
  CHECK(problems.list().empty());
  REQUIRE(content->model.listeners.size() == 1);
  const Listener& at = content->model.listeners[0];
  CHECK(at.protocol == Protocol::Https);
  CHECK(at.hostname == "a.com");
  CHECK(at.certificates == std::vector<std::string>{"g/c"});
  CHECK(at.binds == std::vector<Bind>{{"0.0.0.0", 443}, {"::", 443}});
  REQUIRE(content->model.routes.size() == 1);
  const Route& read = content->model.routes[0];
  CHECK(read.key == "HTTPRoute/n/r");
  CHECK(read.attachments[0].listener == "g/gw/l");
  CHECK(read.attachments[0].hostnames == std::vector<std::string>{"a.com"});
  const Rule& rule = read.rules->at(0);
  CHECK(rule.id == "n/r/3");
  CHECK(rule.backends[0].weight == 1);
  CHECK(rule.backends[0].upstream == "n/s:8080");
  REQUIRE(rule.filters.size() == 2);
  CHECK(rule.filters[0].type == "RequestHeaderModifier");
  CHECK(rule.filters[0].config == R"({"remove":["a"]})");
  CHECK(rule.filters[0].owner == "HTTPRoute n/r");
  CHECK(rule.filters[1].type == "RequestRedirect");
  CHECK(rule.filters[1].config ==
        R"({"scheme":"https","path":{"type":"ReplaceFullPath","replaceFullPath":"/y"}})");
  CHECK(rule.mirrors[0].numerator == 7);
  CHECK(rule.mirrors[0].denominator == 100);
  CHECK(content->model.certificates.empty());
  CHECK(content->header.checksum == "12");
  CHECK(readSnapshot(R"({"spec":{"checksum":12}})", problems)->header.checksum == "12");
  CHECK(problems.list().empty());
}

TEST_CASE("Absent members have the contract's defaults") {
  const Rule rule = ruleOf("");
  REQUIRE(rule.matches.size() == 1);
  CHECK(rule.matches[0].path.kind == MatchKind::Prefix);
  CHECK(rule.matches[0].path.value == "/");
  CHECK(rule.filters.empty());
  CHECK_FALSE(rule.request_timeout.has_value());
  CHECK_FALSE(rule.retry.has_value());
  CHECK(ruleOf(R"("retry":{})").retry->attempts == 1);
  CHECK(ruleOf(R"("matches":[{"headers":[{"name":"X-A","value":"1"}]}])")
            .matches[0]
            .headers[0]
            .name == "x-a");
  CHECK(ruleOf(R"("matches":[{"path":{"matchType":"exact","value":"/%7Ea/./b"}}])")
            .matches[0]
            .path.value == "/~a/b");
  CHECK(ruleOf(R"("filters":[{"type":"T","config":"any text"}])").filters[0].config == "any text");
}

TEST_CASE("What is wrong is said with its JSON pointer, all of it, and left out") {
  struct Row {
    std::string json;
    std::vector<std::string> pointers;
  };
  const std::string at = "/httpRoutesV1/0";
  for (const Row& row : {
           Row{"", {""}},
           Row{"[]", {""}},
           Row{"{", {""}},
           Row{R"({"spec":3})", {"/spec"}},
           Row{R"({"listeners":{}})", {"/listeners"}},
           Row{R"({"listeners":[1]})", {"/listeners/0"}},
           Row{R"({"listeners":[{"name":"a/b/c"}]})", {"/listeners/0/port"}},
           Row{R"({"listeners":[{"name":"x","port":0}]})",
               {"/listeners/0/name", "/listeners/0/port"}},
           Row{R"({"listeners":[{"name":"a/b/c","port":1,"protocol":"QUIC"}]})",
               {"/listeners/0/protocol"}},
           Row{R"({"spec":{"listeners":[{"name":"a/b/c","port":"80"}]}})",
               {"/spec/listeners/0/port"}},
           Row{R"({"httpRoutesV1":[{}]})",
               {at + "/routeNamespace", at + "/routeName", at + "/gatewayNamespace",
                at + "/gatewayName", at + "/listenerName", at + "/id"}},
           Row{withRule(R"("backends":[{"namespace":"n","name":"s","port":70000}])"),
               {at + "/backends/0/port"}},
           Row{withRule(R"("backends":[{"namespace":"n","name":"s","port":1,"weight":1000001}])"),
               {at + "/backends/0/weight"}},
           Row{withRule(R"("backends":[{"namespace":"n","name":"s","port":1,"weight":1.5}])"),
               {at + "/backends/0/weight"}},
           Row{withRule(R"("matches":[{"path":{"matchType":"glob","value":"/"}}])"),
               {at + "/matches/0/path/matchType"}},
           Row{withRule(R"("matches":[{"path":{"value":"x"}}])"), {at + "/matches/0/path/value"}},
           Row{withRule(R"("matches":[{"path":{"value":"/%zz"}}])"),
               {at + "/matches/0/path/value"}},
           Row{withRule(R"("matches":[{"headers":[{"value":"1"}]}])"),
               {at + "/matches/0/headers/0/name"}},
           Row{withRule(R"("retry":{"codes":[200]})"), {at + "/retry/codes/0"}},
           Row{withRule(R"("requestTimeoutMs":-1)"), {at + "/requestTimeoutMs"}},
           Row{withRule(R"("sessionPersistence":{"path":"/"})"),
               {at + "/sessionPersistence/name", at + "/sessionPersistence/scope"}},
           Row{withRule(R"("sessionPersistence":{"name":"a b","path":"/;","scope":"s"})"),
               {at + "/sessionPersistence/name", at + "/sessionPersistence/path"}},
           Row{withRule(R"("hostnames":[7])"), {at + "/hostnames/0"}},
           Row{withRule(R"("hostnames":["a..b","*","*.","a.*","a b",".a","a/b","*.ok"])"),
               {at + "/hostnames/0", at + "/hostnames/1", at + "/hostnames/2", at + "/hostnames/3",
                at + "/hostnames/4", at + "/hostnames/5", at + "/hostnames/6"}},
           Row{R"({"listeners":[{"name":"a/b/c","port":1,"hostname":"**.a.com"}]})",
               {"/listeners/0/hostname"}},
           Row{withRule(R"("filters":[{}])"), {at + "/filters/0/type"}},
           Row{withRule(R"("requestMirrors":[{}])"), {at + "/requestMirrors/0/backend"}},
           Row{withRule(R"("requestMirrors":[{"backend":{"namespace":"n","name":"s","port":1},)"
                        R"("fractionPercent":101}])"),
               {at + "/requestMirrors/0/fractionPercent"}},
           Row{withRule(R"("urlRewrite":{"path":{"modifierType":"other"}})"),
               {at + "/urlRewrite/path/modifierType"}},
       }) {
    CAPTURE(row.json);
    auto found = problemsOf(row.json);
    auto wanted = row.pointers;
    std::sort(found.begin(), found.end());
    std::sort(wanted.begin(), wanted.end());
    CHECK(found == wanted);
    Problems problems;
    const auto content = readSnapshot(row.json, problems);
    CHECK(problems.failed());
    if (content) CHECK(content->model.routes.empty());
    if (content) CHECK(content->model.listeners.empty());
  }
}

TEST_CASE("Lengths of time and names of what did not resolve are bounded by no other part") {
  const Rule rule =
      ruleOf(R"("requestTimeoutMs":359996400000,"backendRequestTimeoutMs":2147483648,)"
             R"("retry":{"backoffMs":9223372036854775807},)"
             R"("backends":[{"namespace":"a/b","name":"c:d/","port":0,"unresolved":true}])");
  CHECK(rule.request_timeout == std::chrono::hours(99'999));
  CHECK(rule.backend_timeout == std::chrono::milliseconds(2147483648));
  CHECK(rule.retry->backoff == std::chrono::hours(4 * 99'999));  // of which a clock has room
  CHECK(rule.backends[0].name == "c:d/");
  CHECK(rule.backends[0].upstream.empty());
}

TEST_CASE("A bad entry leaves the others in place") {
  std::string json = withRule("");
  const std::string bad = withRule(R"("requestTimeoutMs":"soon")");
  const auto entry = [](const std::string& text) {
    const std::size_t from = text.find('[') + 1;
    return text.substr(from, text.size() - from - 2);
  };
  json = R"({"httpRoutesV1":[)" + entry(bad) + "," + entry(json) + "]}";
  Problems problems;
  const auto content = readSnapshot(json, problems);
  REQUIRE(content);
  CHECK(problems.list().size() == 1);
  CHECK(content->model.routes.size() == 1);
}
