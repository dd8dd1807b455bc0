// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "gateway/backends.hpp"
#include "world.hpp"

namespace hyperway::gateway {
namespace {

using Endpoints = std::vector<route::Endpoint>;

// A slice of the Service "web" with the given endpoints, on port 8080.
void addSlice(World& world, std::string_view name, std::string_view endpoints,
              std::string_view type = "IPv4",
              std::string_view ports = "{'name':'http','port':8080}") {
  world.put("EndpointSlice", "default", name,
            "'addressType':'" + std::string(type) + "','ports':[" + std::string(ports) +
                "],'endpoints':[" + std::string(endpoints) + "]",
            "'labels':{'kubernetes.io/service-name':'web'}");
}

void addWeb(World& world, std::string_view spec = "'ports':[{'name':'http','port':80}]") {
  world.addBasics();
  world.remove("EndpointSlice", "default", "web-1");
  world.put("Service", "default", "web", "'spec':{" + std::string(spec) + "}");
  world.addRoute("web", kWeb);
}

}  // namespace

TEST_CASE("Endpoints are those that are ready, and if none is, those that still serve") {
  struct Row {
    std::string_view endpoints;
    Endpoints expected;
  };
  for (const Row& row :
       {Row{"{'addresses':['10.0.0.2']},{'addresses':['10.0.0.1'],'conditions':{'ready':true}}",
            {{"10.0.0.1", 8080}, {"10.0.0.2", 8080}}},
        Row{"{'addresses':['10.0.0.1'],'conditions':{'ready':false}}", {}},
        Row{"{'addresses':['10.0.0.1'],'conditions':{'ready':false,'serving':true,'terminating':"
            "true}}",
            {{"10.0.0.1", 8080}}},
        Row{"{'addresses':['10.0.0.1'],'conditions':{'ready':false,'serving':true,'terminating':"
            "true}},"
            "{'addresses':['10.0.0.2']}",
            {{"10.0.0.2", 8080}}},
        Row{"{'addresses':['10.0.0.1'],'conditions':{'ready':false,'serving':false,'terminating':"
            "true}}",
            {}},
        Row{"{'addresses':['10.0.0.1','10.0.0.1','nonsense']}", {{"10.0.0.1", 8080}}},
        Row{"", {}}}) {
    CAPTURE(row.endpoints);
    World world;
    addWeb(world);
    addSlice(world, "one", row.endpoints);
    CHECK(world.upstreams.at("default/web:80").endpoints == row.expected);
    CHECK(world.route("web", "ResolvedRefs") == "True ResolvedRefs");
  }
}

TEST_CASE(
    "Endpoints that terminate and still serve are there beside ready ones, for sessions alone") {
  constexpr std::string_view kDraining =
      "{'addresses':['10.0.0.1'],'conditions':{'ready':false,'serving':true,'terminating':true}}";
  World world;
  addWeb(world);
  const auto& web = [&]() -> const route::Upstream& {
    return world.upstreams.at("default/web:80");
  };
  addSlice(world, "one", std::string(kDraining) + ",{'addresses':['10.0.0.2']}");
  CHECK(web().endpoints == Endpoints{{"10.0.0.2", 8080}});
  CHECK(web().draining == Endpoints{{"10.0.0.1", 8080}});
  addSlice(world, "one", kDraining);
  CHECK(web().endpoints == Endpoints{{"10.0.0.1", 8080}});
  CHECK(web().draining.empty());
  addSlice(world, "one", "{'addresses':['10.0.0.2']}");
  CHECK(web().draining.empty());
}

TEST_CASE(
    "Slices are joined; both families count, names of ports must be equal, host names do not "
    "count") {
  World world;
  addWeb(world);
  addSlice(world, "one", "{'addresses':['10.0.0.1']}");
  addSlice(world, "two", "{'addresses':['2001:DB8::1']}", "IPv6");
  addSlice(world, "three", "{'addresses':['web.example.com']}", "FQDN");
  addSlice(world, "four", "{'addresses':['10.0.0.4']}", "IPv4", "{'name':'other','port':8080}");
  addSlice(world, "five", "{'addresses':['10.0.0.5']}", "IPv4",
           "{'name':'http','port':8081,'protocol':'UDP'}");
  addSlice(world, "six", "{'addresses':['10.0.0.6']}", "IPv4", "{'name':'http'}");
  CHECK(world.upstreams.at("default/web:80").endpoints ==
        Endpoints{{"10.0.0.1", 8080}, {"2001:db8::1", 8080}});
  world.remove("EndpointSlice", "default", "one");
  CHECK(world.upstreams.at("default/web:80").endpoints == Endpoints{{"2001:db8::1", 8080}});
}

TEST_CASE("An edit of a slice touches its upstream and nothing else") {
  World world;
  addWeb(world);
  addSlice(world, "one", "{'addresses':['10.0.0.1']}");
  addSlice(world, "one", "{'addresses':['10.0.0.2']}");
  CHECK(world.last.model.upstreams.size() == 1);
  CHECK(world.last.model.routes.empty());
  CHECK(world.last.status.updated.empty());
  addSlice(world, "one", "{'addresses':['10.0.0.2']}");
  CHECK(world.last.model.empty());
}

TEST_CASE("A slice that moves to another Service leaves the first") {
  World world;
  addWeb(world);
  addSlice(world, "one", "{'addresses':['10.0.0.1']}");
  world.put("EndpointSlice", "default", "one", "'addressType':'IPv4','ports':[],'endpoints':[]",
            "'labels':{'kubernetes.io/service-name':'else'}");
  CHECK(world.upstreams.at("default/web:80").endpoints.empty());
}

TEST_CASE("Headless and selector-less Services are served from their slices like any other") {
  for (const char* spec : {"'clusterIP':'None','ports':[{'name':'http','port':80}]",
                           "'selector':null,'ports':[{'name':'http','port':80}]"}) {
    World world;
    addWeb(world, spec);
    addSlice(world, "one", "{'addresses':['10.0.0.1']}");
    CHECK(world.upstreams.at("default/web:80").endpoints == Endpoints{{"10.0.0.1", 8080}});
  }
}

TEST_CASE("The application protocol of a Service port decides what is spoken") {
  struct Row {
    std::string_view protocol;
    bool resolves;
    route::UpstreamProtocol spoken;
  };
  for (const Row& row :
       {Row{"http", true, route::UpstreamProtocol::Http1},
        Row{"HTTP", true, route::UpstreamProtocol::Http1},
        Row{"kubernetes.io/ws", true, route::UpstreamProtocol::WebSocket},
        Row{"kubernetes.io/h2c", true, route::UpstreamProtocol::Http2},
        Row{"grpc", true, route::UpstreamProtocol::Http2}, Row{"kubernetes.io/wss", false, {}},
        Row{"https", false, {}}, Row{"example.com/own", false, {}}}) {
    CAPTURE(row.protocol);
    World world;
    addWeb(world,
           "'ports':[{'name':'http','port':80,'appProtocol':'" + std::string(row.protocol) + "'}]");
    CHECK(world.route("web", "ResolvedRefs") ==
          (row.resolves ? "True ResolvedRefs" : "False UnsupportedProtocol"));
    CHECK(world.upstreams.contains("default/web:80") == row.resolves);
    if (row.resolves) CHECK(world.upstreams.at("default/web:80").protocol == row.spoken);
  }
}

TEST_CASE(
    "What is spoken to a Service port depends on the kind of the route, and so does the key") {
  struct Row {
    route::RouteKind kind;
    std::string_view protocol;
    std::string_view key;  // empty: it does not resolve
    route::UpstreamProtocol spoken;
  };
  using route::RouteKind;
  using route::UpstreamProtocol;
  for (const Row& row :
       {Row{RouteKind::Http, "", "default/web:80", UpstreamProtocol::Http1},
        Row{RouteKind::Grpc, "", "default/web:80+grpc", UpstreamProtocol::Http2},
        Row{RouteKind::Grpc, "http", "default/web:80+grpc", UpstreamProtocol::Http2},
        Row{RouteKind::Grpc, "kubernetes.io/h2c", "default/web:80+grpc", UpstreamProtocol::Http2},
        Row{RouteKind::Grpc, "kubernetes.io/ws", "", {}}, Row{RouteKind::Grpc, "https", "", {}},
        Row{RouteKind::Tcp, "example.com/own", "default/web:80+tcp", UpstreamProtocol::Http1},
        Row{RouteKind::Tls, "https", "default/web:80+tcp", UpstreamProtocol::Http1},
        Row{RouteKind::Udp, "", "", {}}}) {
    CAPTURE(row.protocol);
    CAPTURE(row.key);
    ObjectStore store;
    Problems problems;
    const std::string port =
        "{'name':'http','port':80,'appProtocol':'" + std::string(row.protocol) + "'}";
    (void)store.apply(
        World::change("Service", "default", "web", "'spec':{'ports':[" + port + "]}", ""),
        problems);
    (void)store.apply(World::change("EndpointSlice", "default", "web-1",
                                    "'addressType':'IPv4','ports':[{'name':'http','port':8080}],"
                                    "'endpoints':[{'addresses':['10.0.0.1']}]",
                                    "'labels':{'kubernetes.io/service-name':'web'}"),
                      problems);
    BackendSpec backend;
    backend.name = "web";
    backend.port = 80;
    RouteDependencies dependencies;
    const BackendTarget target =
        resolveBackend(backend, row.kind, "default", store, {}, dependencies);
    CHECK(target.verdict.fine() == !row.key.empty());
    CHECK(target.upstream == row.key);
    if (row.key.empty()) continue;
    AuthorityStore authorities;
    const route::Upstream built = buildUpstream(target.upstream, store, authorities, {});
    CHECK(built.protocol == row.spoken);
    CHECK(built.endpoints == Endpoints{{"10.0.0.1", 8080}});
    CHECK(serviceOfUpstream(target.upstream) == "default/web");
  }
}

TEST_CASE("The annotation of a Service says which PROXY header its endpoints want") {
  struct Row {
    std::string_view annotation;
    bool resolves;
    route::ProxyHeader header;
  };
  for (const Row& row :
       {Row{"", true, route::ProxyHeader::None}, Row{"v1", true, route::ProxyHeader::V1},
        Row{"v2", true, route::ProxyHeader::V2}, Row{"V1", false, {}}, Row{"true", false, {}}}) {
    CAPTURE(row.annotation);
    World world;
    addWeb(world);
    world.put("Service", "default", "web", "'spec':{'ports':[{'name':'http','port':80}]}",
              "'annotations':{'hyperway.arloor.dev/proxy-protocol':'" +
                  std::string(row.annotation) + "'}");
    CHECK(world.route("web", "ResolvedRefs") ==
          (row.resolves ? "True ResolvedRefs" : "False UnsupportedProtocol"));
    CHECK(world.upstreams.contains("default/web:80") == row.resolves);
    if (row.resolves) CHECK(world.upstreams.at("default/web:80").proxy_header == row.header);
  }
}

TEST_CASE("One number for TCP and UDP means TCP") {
  World world;
  addWeb(world, "'ports':[{'name':'u','port':80,'protocol':'UDP'},{'name':'http','port':80}]");
  addSlice(world, "one", "{'addresses':['10.0.0.1']}");
  CHECK(world.upstreams.at("default/web:80").endpoints == Endpoints{{"10.0.0.1", 8080}});
}

TEST_CASE("The configuration says how an endpoint of a Service's port is chosen") {
  TranslateOptions options;
  options.balance["default/web:80"] = route::Balance::LeastRequest;
  World world(options);
  addWeb(world, "'ports':[{'name':'http','port':80},{'name':'more','port':81}]");
  world.addRoute("web", "{'backendRefs':[{'name':'web','port':80},{'name':'web','port':81}]}");
  CHECK(world.upstreams.at("default/web:80").balance == route::Balance::LeastRequest);
  CHECK(world.upstreams.at("default/web:81").balance == route::Balance::RoundRobin);
  options.balance = {{"*", route::Balance::LeastRequest},
                     {"default/web:80", route::Balance::RoundRobin}};
  world.take(world.translator.reconfigure(options));
  CHECK(world.upstreams.at("default/web:80").balance == route::Balance::RoundRobin);
  CHECK(world.upstreams.at("default/web:81").balance == route::Balance::LeastRequest);
}

TEST_CASE("Services without slices get the configuration's default endpoints") {
  TranslateOptions options;
  options.default_endpoints["*"] = {{"127.0.0.1", 9000}};
  options.default_endpoints["default/web:81"] = {{"127.0.0.1", 9001}};
  World world(options);
  addWeb(world, "'ports':[{'name':'http','port':80},{'name':'more','port':81}]");
  world.addRoute("web", "{'backendRefs':[{'name':'web','port':80},{'name':'web','port':81}]}");
  CHECK(world.upstreams.at("default/web:80").endpoints == Endpoints{{"127.0.0.1", 9000}});
  CHECK(world.upstreams.at("default/web:81").endpoints == Endpoints{{"127.0.0.1", 9001}});
  addSlice(world, "one", "");
  CHECK(world.upstreams.at("default/web:80").endpoints.empty());
}

TEST_CASE(
    "ExternalName is refused unless its namespace is opted in, and never reaches the gateway's own "
    "machine") {
  struct Row {
    std::string_view name;
    bool opted_in, resolves;
  };
  for (const Row& row :
       {Row{"203.0.113.5", false, false}, Row{"203.0.113.5", true, true},
        Row{"2001:db8::5", true, true}, Row{"example.com", true, false},
        Row{"127.0.0.1", true, false}, Row{"localhost", true, false}, Row{"::1", true, false},
        Row{"169.254.169.254", true, false}, Row{"fe80::1", true, false},
        Row{"::ffff:127.0.0.1", true, false}, Row{"0.0.0.0", true, false}, Row{"", true, false},
        Row{"203.0.113.80", true, false}, Row{"203.0.113.81", true, false}}) {
    CAPTURE(row.name);
    CAPTURE(row.opted_in);
    TranslateOptions options;
    if (row.opted_in) options.external_name_namespaces = {"default"};
    options.own_ports = {{"203.0.113.80", 80}, {"0.0.0.0", 9180}};
    options.listen_map = {{8080, {{"203.0.113.81", 80}}}};
    World world(options);
    world.addBasics();
    world.put("Service", "default", "web",
              "'spec':{'type':'ExternalName','externalName':'" + std::string(row.name) + "'}");
    world.addRoute("web", kWeb);
    CHECK(world.route("web", "ResolvedRefs") ==
          (row.resolves ? "True ResolvedRefs" : "False InvalidKind"));
    if (row.resolves)
      CHECK(world.upstreams.at("default/web:80").endpoints ==
            Endpoints{{std::string(row.name), 80}});
    else
      CHECK(world.upstreams.empty());
    world.addRoute("web", "{'backendRefs':[{'name':'web','port':9180}]}");
    CHECK(world.route("web", "ResolvedRefs") == "False InvalidKind");
  }
}

TEST_CASE("Upstreams are in the model for as long as a served rule names them") {
  World world;
  world.addBasics();
  CHECK(world.upstreams.empty());
  world.addRoute("a", kWeb);
  world.addRoute("b", kWeb);
  world.remove("HTTPRoute", "default", "a");
  CHECK(world.upstreams.size() == 1);
  world.addRoute("b", "{}");
  CHECK(world.upstreams.empty());
  world.addRoute("b", kWeb);
  CHECK(world.upstreams.size() == 1);
  world.remove("Service", "default", "web");
  CHECK(world.upstreams.empty());
  CHECK(world.route("b", "ResolvedRefs") == "False BackendNotFound");
  world.addService("default", "web");
  CHECK(world.upstreams.size() == 1);
}

}  // namespace hyperway::gateway
