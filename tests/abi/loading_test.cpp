// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "plugin_host.hpp"

namespace hyperway::plugin {
namespace {

TEST_CASE("every bad file is refused with its name and the reason, before any code of it runs") {
  struct Row {
    std::string name;
    std::string_view part;
    bool runs;  ///< Only what can be seen by calling it may have been called.
  };
  for (const Row& row : {
           Row{"wrong_magic", "wrong magic number", false},
           Row{"wrong_major", "built for plugin ABI 7.0, this host serves 1.0", false},
           Row{"minor_too_high", "needs plugin ABI 1.999 or newer, this host serves 1.0", false},
           Row{"wrong_size", "wrong struct_size (12", false},
           Row{"no_symbol", "does not export the data symbol hyperway_plugin_v1", false},
           Row{"function_symbol", "does not export the data symbol hyperway_plugin_v1", false},
           Row{"other_major", "only hyperway_plugin_v2; rebuild it with this host's headers",
               false},
           Row{"unresolved", "undefined symbol: hyperway_test_no_such_function", false},
           Row{"no_id", "no valid id", true},
           Row{"init_fails", "cannot reach my licence", true},
           Row{"init_throws", "init exploded", true},
           Row{"no_factory", "offers no filter, source or sink", true},
           Row{"factory_throws", "threw an exception from get_factory", true},
       }) {
    unsetenv("HYPERWAY_TEST_CONSTRUCTOR_RAN");
    PluginProcess process;
    const std::string message = process.refusal(row.name);
    CAPTURE(message);
    CHECK(message.find(row.name + ".so") != std::string::npos);
    CHECK(message.find(row.part) != std::string::npos);
    CHECK(message.find("/proc/self/fd") == std::string::npos);
    CHECK((std::getenv("HYPERWAY_TEST_CONSTRUCTOR_RAN") != nullptr) == row.runs);
    CHECK(process.registry.list().empty());
  }
}

TEST_CASE("files that nobody should load are refused") {
  const TestFolder folder;
  PluginProcess process;
  const auto refusal = [&](PluginSpec spec) -> std::string {
    try {
      process.registry.load({std::move(spec)});
      return "";
    } catch (const LoadError& error) {
      return error.what();
    }
  };
  const std::string copy = folder.path + "/copy.so";
  std::filesystem::copy_file(kPluginDirectory + "/plain.so", copy);

  CHECK(refusal({"a", "relative/plain.so", "", ""}).find("absolute path") != std::string::npos);
  CHECK(refusal({"a", folder.path + "/none.so", "", ""}).find("cannot be opened") !=
        std::string::npos);
  CHECK(refusal({"a", folder.path, "", ""}).find("not a regular file") != std::string::npos);
  CHECK(refusal({"none", "", "", ""}).find("looked for none.so in " + kPluginDirectory) !=
        std::string::npos);
  CHECK(refusal({"../plain", "", "", ""}).find("not a plugin's name") != std::string::npos);
  CHECK(refusal({"a", copy, std::string(64, '0'), ""}).find("its SHA-256 is") != std::string::npos);
  REQUIRE(chmod(copy.c_str(), 0666) == 0);
  CHECK(refusal({"a", copy, "", ""}).find("every user may write it") != std::string::npos);
  std::ofstream(folder.path + "/empty.so").close();
  CHECK(refusal({"a", folder.path + "/empty.so", "", ""}).find("the file is empty") !=
        std::string::npos);
  std::ofstream(folder.path + "/text.so") << "#!/bin/sh\necho no\n";
  CHECK(refusal({"a", folder.path + "/text.so", "", ""}).find("no ELF header") !=
        std::string::npos);
  std::filesystem::copy_file(copy, folder.path + "/cut.so");
  std::filesystem::resize_file(folder.path + "/cut.so", std::filesystem::file_size(copy) / 2);
  CHECK(refusal({"a", folder.path + "/cut.so", "", ""}).find("cut.so: ") != std::string::npos);
  CHECK(process.registry.list().empty());
}

TEST_CASE("a plugin in plain C works, built with today's headers and with those of version 1") {
  for (const std::string name : {"plain", "plain_frozen_v1"}) {
    CAPTURE(name);
    PluginProcess process;
    REQUIRE(process.refusal(name) == "");
    const auto info = process.registry.list();
    REQUIRE(info.size() == 1);
    CHECK(info[0].id == "test.plain");
    CHECK(info[0].filters == std::vector<std::string>{"plain"});
    CHECK(info[0].sha256.size() == 64);

    const auto binding = process.bind("plain");
    REQUIRE(binding != nullptr);
    CHECK(process.bind("plain", "[") == nullptr);
    CHECK(process.problem == "must be an object");

    FakeContext context;
    void* filter = nullptr;
    REQUIRE(binding->create(context, &filter));
    CHECK(binding->onRequestHead(filter, context, 0) == proxy::Flow::Continue);
    std::string bytes = "body";
    proxy::BodyChunk chunk{{bytes.data(), bytes.size()}};
    CHECK(binding->onRequestBody(filter, context, chunk, proxy::kEndOfStream) ==
          proxy::Flow::Continue);
    CHECK(chunk.data() == "body!");
    context.request.fields.add("x-pause", "1");
    CHECK(binding->onRequestHead(filter, context, 0) == proxy::Flow::Pause);
    CHECK(process.ports.woken.size() == 1);
    context.paused = proxy::kRequestHead;
    binding->onWake(filter, context, proxy::kRequestHead, 17);
    CHECK(context.resumed[proxy::kRequestHead] == proxy::Flow::Continue);
    binding->destroy(filter, proxy::StreamEnd::Complete);
  }
}

TEST_CASE("a plugin that wants another version of a library than the process runs is refused") {
  PluginProcess process;
  const std::string message = process.refusal("mixed");
  CAPTURE(message);
  CHECK(message.find("mixed.so: needs libstdc++.so.5, but this process runs libstdc++.so.6") !=
        std::string::npos);
}

TEST_CASE("two plugins with the same class, and one name given twice, are refused") {
  PluginProcess process;
  REQUIRE(process.refusal("plain") == "");
  CHECK(process.refusal("plain_frozen_v1").find("both offer the filter \"plain\"") !=
        std::string::npos);
  try {
    process.registry.load({{"x", "", "", ""}, {"x", "", "", ""}});
    FAIL("loaded");
  } catch (const LoadError& error) {
    CHECK(std::string_view(error.what()).find("named twice") != std::string_view::npos);
  }
}

TEST_CASE("statics of inline functions stay apart between plugins") {
  // Under a compiler's defaults both would count in one variable (STB_GNU_UNIQUE).
  PluginProcess one;
  PluginProcess two;
  REQUIRE(one.refusal("versioned_1") == "");
  REQUIRE(two.refusal("versioned_2") == "");
  const auto first = one.bind("versioned");
  const auto second = two.bind("versioned");
  FakeContext context;
  void* filter = nullptr;
  REQUIRE(first->create(context, &filter));
  (void)first->onRequestHead(filter, context, 0);
  CHECK(linesOf(context.request.fields) == "x-version: 1.0.0.1");
  REQUIRE(second->create(context, &filter));
  (void)second->onRequestHead(filter, context, 0);
  CHECK(linesOf(context.request.fields) == "x-version: 2.0.0.1");
}

TEST_CASE("one configuration is kept for each plugin, class, owner and bytes while it is in use") {
  PluginProcess process;
  REQUIRE(process.refusal("versioned_1") == "");
  const auto first = process.bind("versioned", "{}", "a");
  CHECK(process.bind("versioned", "{}", "a") == first);
  CHECK(process.bind("versioned", "{}", "b") != first);
  CHECK(process.bind("versioned", "{ }", "a") != first);
  CHECK(process.configs.live() == 1);
  CHECK(process.bind("versioned", R"({"bad": 1})") == nullptr);
  CHECK(process.problem == "is bad");
  CHECK(process.bind("nothing") == nullptr);
  CHECK(process.problem == "no loaded plugin offers the filter \"nothing\"");
  CHECK(process.configs.knows("versioned"));
  CHECK_FALSE(process.configs.knows("nothing"));
}

}  // namespace
}  // namespace hyperway::plugin
