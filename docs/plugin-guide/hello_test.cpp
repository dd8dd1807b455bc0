// SPDX-License-Identifier: Apache-2.0
// Linked with hello.cpp: no gateway, no shared object.
#include <doctest/doctest.h>

#include "hyperway/sdk/fake_host.hpp"

extern "C" const hw_plugin_manifest hyperway_plugin_v1;

namespace sdk = hyperway::sdk;

TEST_CASE("hello greets the backend") {
  sdk::FakeHost host;
  sdk::FakePlugin plugin(host, hyperway_plugin_v1);
  auto filter = plugin.filter("hello", R"({"greeting": "good morning"})");
  REQUIRE(filter.accepted());
  auto stream = filter.stream();
  stream.request.add("X-Greeting", "forged");
  CHECK(stream.requestHead() == HW_FLOW_CONTINUE);
  CHECK(stream.request.all("x-greeting") == std::vector<std::string>{"good morning"});
}

TEST_CASE("hello says what is wrong with a configuration, and where") {
  sdk::FakeHost host;
  sdk::FakePlugin plugin(host, hyperway_plugin_v1);
  CHECK(plugin.filter("hello", R"({"greeting": ""})").pointers() == "/greeting");
  CHECK(plugin.filter("hello", R"({"greting": "hi"})").pointers() == "/greting");
}
