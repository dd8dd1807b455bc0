// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "world.hpp"

namespace hyperway::gateway {
namespace {

constexpr std::string_view kHttp = "{'name':'http','port':80,'protocol':'HTTP'}";

TranslateOptions pool(std::vector<std::string> addresses) {
  TranslateOptions options;
  options.address_pool = std::move(addresses);
  return options;
}

std::string created(int year) {
  return "'creationTimestamp':'" + std::to_string(year) + "-01-01T00:00:00Z'";
}

}  // namespace

TEST_CASE("With a pool each Gateway has an address of its own, and keeps it") {
  World world(pool({"127.1.0.1", "127.1.0.2"}));
  world.addBasics();
  world.addGateway("b", kHttp);
  world.addGateway("c", kHttp);
  CHECK(world.status("Gateway/default/gw").addresses == std::vector<std::string>{"127.1.0.1"});
  CHECK(world.status("Gateway/default/b").addresses == std::vector<std::string>{"127.1.0.2"});
  CHECK(world.listeners.at("default/b/http").binds == std::vector<route::Bind>{{"127.1.0.2", 80}});
  CHECK(world.listener("b", "http", "Conflicted") == "False NoConflicts");
  CHECK(world.gateway("c", "Accepted") == "True Accepted");
  CHECK(world.gateway("c", "Programmed") == "False AddressNotAssigned");
  CHECK_FALSE(world.listeners.contains("default/c/http"));

  world.remove("Gateway", "default", "gw");
  CHECK(world.status("Gateway/default/b").addresses == std::vector<std::string>{"127.1.0.2"});
  CHECK(world.status("Gateway/default/c").addresses == std::vector<std::string>{"127.1.0.1"});
  CHECK(world.gateway("c", "Programmed") == "True Programmed");
}

TEST_CASE("Addresses of a pool are given out in the order of age at the start") {
  World world(pool({"127.1.0.1", "127.1.0.2"}));
  const auto change = [](std::string_view name, int year) {
    return World::change(
        "Gateway", "default", name,
        "'spec':{'gatewayClassName':'hyperway','listeners':[" + std::string(kHttp) + "]}",
        created(year));
  };
  world.take(world.translator.apply(
      {change("a", 2026), change("b", 2025),
       World::change("GatewayClass", "", "hyperway",
                     "'spec':{'controllerName':'hyperway.arloor.dev/gateway-controller'}", "")}));
  CHECK(world.status("Gateway/default/b").addresses == std::vector<std::string>{"127.1.0.1"});
  CHECK(world.status("Gateway/default/a").addresses == std::vector<std::string>{"127.1.0.2"});
}

TEST_CASE("Addresses that a Gateway asks for are used, or refused with the standard's reasons") {
  struct Row {
    std::string_view addresses, accepted, programmed;
    std::vector<std::string> bound;
  };
  for (const Row& row :
       {Row{"{'value':'127.1.0.3'}", "True Accepted", "True Programmed", {"127.1.0.3"}},
        Row{"{'type':'IPAddress','value':'127.1.0.3'}",
            "True Accepted",
            "True Programmed",
            {"127.1.0.3"}},
        Row{"{'type':'IPAddress'}", "True Accepted", "True Programmed", {"127.1.0.1"}},
        Row{"{'value':''}", "True Accepted", "True Programmed", {"127.1.0.1"}},
        Row{"{'value':'127.9.9.9'}", "True Accepted", "False AddressNotUsable", {}},
        Row{"{'value':'127.1.0.3'},{'value':'127.9.9.9'}",
            "True Accepted",
            "False AddressNotUsable",
            {"127.1.0.3"}},
        Row{"{'value':'nonsense'}", "True Accepted", "False AddressNotUsable", {}},
        Row{"{'type':'Hostname','value':'a.com'}", "False UnsupportedAddress", "False Invalid", {}},
        Row{"{'type':'example.com/x','value':'y'},{'value':'127.1.0.3'}",
            "False UnsupportedAddress",
            "False Invalid",
            {}},
        Row{"{'value':'127.1.0.3','routability':'Cluster'}",
            "False UnsupportedAddress",
            "False Invalid",
            {}},
        Row{"{'value':'127.1.0.3','routability':'Public'}",
            "False UnsupportedAddress",
            "False Invalid",
            {}}}) {
    CAPTURE(row.addresses);
    World world(pool({"127.1.0.1", "127.1.0.2", "127.1.0.3"}));
    world.addBasics();
    world.addGateway("gw", kHttp, "'addresses':[" + std::string(row.addresses) + "]");
    CHECK(world.gateway("gw", "Accepted") == row.accepted);
    CHECK(world.gateway("gw", "Programmed") == row.programmed);
    CHECK(world.status("Gateway/default/gw").addresses == row.bound);
  }
}

TEST_CASE("An address in use by another Gateway is not usable until it is free") {
  World world(pool({"127.1.0.1", "127.1.0.2"}));
  world.addBasics();
  world.addGateway("b", kHttp, "'addresses':[{'value':'127.1.0.1'}]");
  CHECK(world.gateway("b", "Programmed") == "False AddressNotUsable");
  world.addGateway("gw", kHttp, "'addresses':[{'value':'127.1.0.2'}]");
  CHECK(world.gateway("b", "Programmed") == "True Programmed");
}

TEST_CASE("Without a pool the configuration says where ports are bound") {
  TranslateOptions options;
  options.listen_map = {{80, {{"127.0.0.1", 8080}, {"::1", 8080}}}};
  options.default_addresses = {"10.0.0.5"};
  World world(options);
  world.addBasics();
  world.addGateway(
      "gw",
      "{'name':'http','port':80,'protocol':'HTTP'},{'name':'more','port':81,'protocol':'HTTP'}");
  CHECK(world.listeners.at("default/gw/http").binds ==
        std::vector<route::Bind>{{"127.0.0.1", 8080}, {"::1", 8080}});
  CHECK(world.listeners.at("default/gw/http").port == 80);
  CHECK(world.listeners.at("default/gw/more").binds == std::vector<route::Bind>{{"10.0.0.5", 81}});
  CHECK(world.status("Gateway/default/gw").addresses ==
        std::vector<std::string>{"10.0.0.5", "127.0.0.1", "::1"});
}

TEST_CASE("Two ports that the configuration binds to one place conflict") {
  TranslateOptions options;
  options.listen_map = {{80, {{"127.0.0.1", 8080}}}, {81, {{"127.0.0.1", 8080}}}};
  World world(options);
  world.addBasics();
  world.addGateway(
      "gw", "{'name':'a','port':80,'protocol':'HTTP'},{'name':'b','port':81,'protocol':'HTTP'}");
  CHECK(world.listener("gw", "a", "Conflicted") == "True HostnameConflict");
  CHECK(world.listener("gw", "b", "Conflicted") == "True HostnameConflict");
}

TEST_CASE("A requested address must be covered by the configuration") {
  World world;
  world.addBasics();
  world.addGateway("gw", kHttp, "'addresses':[{'value':'10.0.0.7'}]");
  CHECK(world.listeners.at("default/gw/http").binds == std::vector<route::Bind>{{"10.0.0.7", 80}});
  TranslateOptions options;
  options.default_addresses = {"10.0.0.1"};
  world.take(world.translator.reconfigure(options));
  CHECK(world.gateway("gw", "Programmed") == "False AddressNotUsable");
  CHECK(world.listeners.empty());
}

}  // namespace hyperway::gateway
