// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "world.hpp"

namespace hyperway::gateway {
namespace {

constexpr std::string_view kOurs =
    "'spec':{'controllerName':'hyperway.arloor.dev/gateway-controller'}";

std::string httpListener(std::string_view allowed) {
  return "{'name':'http','port':80,'protocol':'HTTP','allowedRoutes':{'namespaces':" +
         std::string(allowed) + "}}";
}

}  // namespace

TEST_CASE("A parentRef picks listeners by name and port") {
  struct Row {
    std::string_view parent, accepted;
    std::vector<std::string> listeners;
  };
  for (const Row& row :
       {Row{"{'name':'gw'}", "True Accepted", {"default/gw/a", "default/gw/b", "default/gw/c"}},
        Row{"{'name':'gw','sectionName':'b'}", "True Accepted", {"default/gw/b"}},
        Row{"{'name':'gw','port':80}", "True Accepted", {"default/gw/a", "default/gw/b"}},
        Row{"{'name':'gw','sectionName':'c','port':81}", "True Accepted", {"default/gw/c"}},
        Row{"{'name':'gw','sectionName':'c','port':80}", "False NoMatchingParent", {}},
        Row{"{'name':'gw','sectionName':'x'}", "False NoMatchingParent", {}},
        Row{"{'name':'gw','port':8080}", "False NoMatchingParent", {}},
        Row{"{'name':'gw','namespace':'default','group':'gateway.networking.k8s.io','kind':'"
            "Gateway','port':81}",
            "True Accepted",
            {"default/gw/c"}}}) {
    CAPTURE(row.parent);
    World world;
    world.addBasics();
    world.addGateway("gw",
                     "{'name':'a','port':80,'protocol':'HTTP'},"
                     "{'name':'b','port':80,'protocol':'HTTP','hostname':'b.com'},"
                     "{'name':'c','port':81,'protocol':'HTTP'}");
    world.addRoute("web", kWeb, "", row.parent);
    CHECK(world.route("web", "Accepted") == row.accepted);
    CHECK(world.route("web", "ResolvedRefs") == "True ResolvedRefs");
    std::vector<std::string> found;
    if (const auto route = world.routes.find("HTTPRoute/default/web"); route != world.routes.end())
      for (const auto& attachment : route->second.attachments) found.push_back(attachment.listener);
    CHECK(found == row.listeners);
    std::int32_t attached = 0;
    for (const char* name : {"a", "b", "c"}) attached += world.listener("gw", name).attached_routes;
    CHECK(attached == static_cast<std::int32_t>(row.listeners.size()));
  }
}

TEST_CASE("A listener says which namespaces may attach routes") {
  struct Row {
    std::string_view allowed;
    bool here, prod, bare;  // default; prod with labels; a namespace without an object
  };
  for (const Row& row :
       {Row{"{}", true, false, false}, Row{"{'from':'Same'}", true, false, false},
        Row{"{'from':'All'}", true, true, true}, Row{"{'from':'None'}", false, false, false},
        Row{"{'from':'Selector'}", false, false, false},
        Row{"{'from':'Selector','selector':{}}", true, true, true},
        Row{"{'from':'Selector','selector':{'matchLabels':{'env':'prod'}}}", false, true, false},
        Row{"{'from':'Selector','selector':{'matchLabels':{'env':'prod','team':'b'}}}", false,
            false, false},
        Row{"{'from':'Selector','selector':{'matchLabels':{'kubernetes.io/metadata.name':'bare'}}}",
            false, false, true},
        Row{"{'from':'Selector','selector':{'matchExpressions':[{'key':'env','operator':'In','"
            "values':['prod','x']}]}}",
            false, true, false},
        Row{"{'from':'Selector','selector':{'matchExpressions':[{'key':'env','operator':'NotIn','"
            "values':['prod']}]}}",
            true, false, true},
        Row{"{'from':'Selector','selector':{'matchExpressions':[{'key':'env','operator':'Exists'}]}"
            "}",
            false, true, false},
        Row{"{'from':'Selector','selector':{'matchExpressions':[{'key':'env','operator':'"
            "DoesNotExist'}]}}",
            true, false, true}}) {
    CAPTURE(row.allowed);
    World world;
    world.addBasics();
    world.put("Namespace", "", "prod", "", "'labels':{'env':'prod','team':'a'}");
    world.put("Namespace", "", "default", "", "'labels':{}");
    world.addGateway("gw", httpListener(row.allowed));
    std::int32_t count = 0;
    for (const auto& [name_space, accepted] : {std::pair<std::string, bool>{"default", row.here},
                                               {"prod", row.prod},
                                               {"bare", row.bare}}) {
      world.put("HTTPRoute", name_space, "web",
                "'spec':{'parentRefs':[{'name':'gw','namespace':'default'}]}");
      CAPTURE(name_space);
      const auto status = world.status("HTTPRoute/" + name_space + "/web");
      REQUIRE(status.parents.size() == 1);
      CHECK(World::show(status.parents[0].conditions, "Accepted") ==
            (accepted ? "True Accepted" : "False NotAllowedByListeners"));
      CHECK(world.routes.contains("HTTPRoute/" + name_space + "/web") == accepted);
      if (accepted) ++count;
    }
    CHECK(world.listener("gw", "http").attached_routes == count);
  }
}

TEST_CASE("A namespace that gains or loses a label gains or loses its routes") {
  World world;
  world.addBasics();
  world.addGateway("gw",
                   httpListener("{'from':'Selector','selector':{'matchLabels':{'env':'prod'}}}"));
  world.put("HTTPRoute", "team", "web",
            "'spec':{'parentRefs':[{'name':'gw','namespace':'default'}]}");
  CHECK(world.routes.empty());
  world.put("Namespace", "", "team", "", "'labels':{'env':'prod'}");
  CHECK(world.routes.size() == 1);
  world.put("Namespace", "", "team", "", "'labels':{'env':'test'}");
  CHECK(world.routes.empty());
  CHECK(world.listener("gw", "http").attached_routes == 0);
}

TEST_CASE("Host names of route and listener must meet") {
  struct Row {
    std::string_view listener, route;
    std::vector<std::string> kept;  // none: not accepted
  };
  for (const Row& row :
       {Row{"", "", {""}}, Row{"", "'a.com','*.b.com'", {"a.com", "*.b.com"}},
        Row{"a.com", "", {""}}, Row{"a.com", "'a.com','b.com'", {"a.com"}},
        Row{"*.a.com", "'x.a.com','a.com','*.a.com','*.com'", {"x.a.com", "*.a.com", "*.com"}},
        Row{"foo.example.com", "'*.example.com'", {"*.example.com"}}, Row{"a.com", "'b.com'", {}},
        Row{"*.a.com", "'a.com'", {}}}) {
    CAPTURE(row.listener);
    CAPTURE(row.route);
    World world;
    world.addBasics();
    world.addGateway("gw", "{'name':'http','port':80,'protocol':'HTTP','hostname':'" +
                               std::string(row.listener) + "'}");
    world.addRoute("web", kWeb, "'hostnames':[" + std::string(row.route) + "]");
    CHECK(world.route("web", "Accepted") ==
          (row.kept.empty() ? "False NoMatchingListenerHostname" : "True Accepted"));
    const auto found = world.routes.find("HTTPRoute/default/web");
    CHECK((found != world.routes.end()) == !row.kept.empty());
    if (found != world.routes.end()) CHECK(found->second.attachments.at(0).hostnames == row.kept);
  }
}

TEST_CASE("A host name that is none refuses the route, and is named") {
  World world;
  world.addBasics();
  world.addRoute("web", kWeb, "'hostnames':['a.com','http://b.com']");
  CHECK(world.route("web", "Accepted") == "False UnsupportedValue");
  CHECK(world.message("web", "Accepted").starts_with("/spec/hostnames/1: "));
  CHECK(world.routes.empty());
  CHECK(world.listener("gw", "http").attached_routes == 0);
}

TEST_CASE(
    "A route that refers to nobody of ours gets no status, is not translated and brings no "
    "upstream") {
  World world;
  world.addBasics();
  world.put("GatewayClass", "", "foreign", "'spec':{'controllerName':'example.com/other'}");
  world.put("Gateway", "default", "theirs",
            "'spec':{'gatewayClassName':'foreign','listeners':[{'name':'http','port':81,'protocol':"
            "'HTTP'}]}");
  const std::string_view rule =
      "{'filters':[{'type':'CORS','cors':{}}],'backendRefs':[{'name':'web','port':80}]}";
  for (const char* parent :
       {"{'name':'theirs'}", "{'name':'nobody'}", "{'name':'gw','kind':'Service','group':''}",
        "{'name':'gw','group':'example.com'}", "{'name':'gw','namespace':'elsewhere'}"}) {
    CAPTURE(parent);
    world.addRoute("web", rule, "", parent);
    CHECK(world.status("HTTPRoute/default/web").name.empty());
    CHECK(world.routes.empty());
    CHECK(world.upstreams.empty());
    CHECK(world.parser.calls == 0);
  }
  CHECK(world.status("Gateway/default/theirs").name.empty());
  CHECK(world.status("GatewayClass//foreign").name.empty());

  world.addRoute("web", rule, "", "{'name':'theirs'}");
  world.put("GatewayClass", "", "foreign", kOurs);
  CHECK(world.route("web", "Accepted") == "True Accepted");
  CHECK(world.parser.calls == 1);
  CHECK(world.upstreams.size() == 1);
  world.remove("GatewayClass", "", "foreign");
  CHECK(world.status("HTTPRoute/default/web").name.empty());
  CHECK(world.routes.empty());
  CHECK(world.upstreams.empty());
}

TEST_CASE("A route with several parents has a status for each") {
  World world;
  world.addBasics();
  world.addGateway("two", "{'name':'http','port':81,'protocol':'HTTP','hostname':'two.com'}");
  world.addRoute(
      "web", kWeb, "'hostnames':['one.com']",
      "{'name':'gw','sectionName':'http'},{'name':'two'},{'name':'gw','sectionName':'http'}");
  const auto status = world.status("HTTPRoute/default/web");
  REQUIRE(status.parents.size() == 2);
  CHECK(status.parents[0].section_name == "http");
  CHECK(world.route("web", "Accepted", 0) == "True Accepted");
  CHECK(world.route("web", "Accepted", 1) == "False NoMatchingListenerHostname");
  CHECK(world.listener("gw", "http").attached_routes == 1);
}

TEST_CASE(
    "Routes attach to a listener that is not served, and are counted, but are not in the model") {
  World world;
  world.addBasics();
  world.addGateway(
      "gw",
      "{'name':'https','port':443,'protocol':'HTTPS','tls':{'certificateRefs':[{'name':'none'}]}}");
  world.addRoute("web", kWeb);
  CHECK(world.listener("gw", "https").attached_routes == 1);
  CHECK(world.route("web", "Accepted") == "True Accepted");
  CHECK(world.routes.empty());
  CHECK(world.upstreams.empty());
}

TEST_CASE("attachedRoutes follows routes and Gateways") {
  World world;
  world.addBasics();
  world.addRoute("a", kWeb);
  world.addRoute("b", kWeb);
  CHECK(world.listener("gw", "http").attached_routes == 2);
  world.remove("HTTPRoute", "default", "a");
  CHECK(world.listener("gw", "http").attached_routes == 1);
  world.addGateway("gw", "{'name':'renamed','port':80,'protocol':'HTTP'}");
  CHECK(world.listener("gw", "renamed").attached_routes == 1);
  world.remove("Gateway", "default", "gw");
  CHECK(world.routes.empty());
  world.addGateway("gw", "{'name':'http','port':80,'protocol':'HTTP'}");
  CHECK(world.listener("gw", "http").attached_routes == 1);
}

TEST_CASE("Routes of kinds that a listener does not take are refused, and say so") {
  World world;
  world.addBasics();
  for (const char* kind : {"TLSRoute", "TCPRoute", "UDPRoute"}) {
    CAPTURE(kind);
    world.put(kind, "default", "other", "'spec':{'parentRefs':[{'name':'gw'},{'name':'nobody'}]}",
              "'generation':2");
    const auto status = world.status(std::string(kind) + "/default/other");
    REQUIRE(status.parents.size() == 1);
    CHECK(World::show(status.parents[0].conditions, "Accepted") == "False NotAllowedByListeners");
  }
  CHECK(world.listener("gw", "http").attached_routes == 0);
  world.remove("Gateway", "default", "gw");
  CHECK(world.status("TLSRoute/default/other").name.empty());
}

}  // namespace hyperway::gateway
