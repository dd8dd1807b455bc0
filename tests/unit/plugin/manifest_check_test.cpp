// SPDX-License-Identifier: Apache-2.0
#include "plugin/manifest_check.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <string>

#include "plugin/load_error.hpp"

namespace hyperway::plugin {
namespace {

hw_plugin_manifest soundManifest() {
  hw_plugin_manifest out{};
  out.magic = HW_PLUGIN_MAGIC;
  out.struct_size = sizeof out;
  out.abi_major = HW_ABI_MAJOR;
  out.abi_minor = 9;  // Newer headers are fine, if the host suffices.
  out.id = "com.example.test";
  out.version = "1";
  out.init = [](const hw_host*, hw_bytes, const hw_diag*) -> hw_status { return HW_OK; };
  out.get_factory = [](const char*) -> const void* { return nullptr; };
  return out;
}

std::string messageOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const LoadError& error) {
    return error.what();
  }
  return "accepted";
}

TEST_CASE("a manifest is refused with the reason and both versions, else taken") {
  CHECK_NOTHROW(checkManifest(soundManifest(), "x.so"));
  struct Row {
    std::function<void(hw_plugin_manifest&)> change;
    std::string_view part;
  };
  for (const Row& row : {
           Row{[](auto& m) { m.magic = 1; }, "magic"},
           Row{[](auto& m) { m.abi_major = 2; }, "built for plugin ABI 2.9, this host serves 1.0"},
           Row{[](auto& m) { m.abi_minor_needed = 7; }, "needs plugin ABI 1.7 or newer"},
           Row{[](auto& m) { m.struct_size = 8; }, "wrong struct_size (8"},
           Row{[](auto& m) { m.id = nullptr; }, "no valid id"},
           Row{[](auto& m) { m.id = "Upper"; }, "no valid id"},
           Row{[](auto& m) { m.id = ""; }, "no valid id"},
           Row{[](auto& m) {
                 m.id = "a234567890123456789012345678901234567890123456789012345678901234";
               },
               "no valid id"},
           Row{[](auto& m) { m.version = nullptr; }, "no version"},
           Row{[](auto& m) { m.init = nullptr; }, "lacks init"},
           Row{[](auto& m) { m.get_factory = nullptr; }, "get_factory"},
       }) {
    hw_plugin_manifest manifest = soundManifest();
    row.change(manifest);
    const std::string message = messageOf([&] { checkManifest(manifest, "x.so"); });
    CAPTURE(message);
    CHECK(message.starts_with("x.so: "));
    CHECK(message.find(row.part) != std::string::npos);
  }
}

hw_filter_class soundClass() {
  hw_filter_class out{};
  out.struct_size = sizeof out;
  out.interest = HW_HOOK_REQUEST_HEAD | HW_HOOK_RESPONSE_BODY;
  out.id = "Test_1.x";
  out.config_create = [](const hw_host*, hw_bytes, const hw_diag*, void**) -> hw_status {
    return HW_OK;
  };
  out.on_request_head = [](void*, hw_stream*, std::uint32_t) -> hw_flow { return 0; };
  return out;
}

TEST_CASE(
    "filter classes are refused if they cannot be served, and hooks without a function are "
    "dropped") {
  hw_filter_class sound = soundClass();
  const void* list[] = {&sound};
  const hw_factory factory{sizeof(hw_factory), 1, list};
  const auto taken = filterClasses(&factory, "x.so");
  REQUIRE(taken.size() == 1);
  CHECK(taken[0].interest == HW_HOOK_REQUEST_HEAD);
  CHECK(filterClasses(nullptr, "x.so").empty());

  struct Row {
    std::function<void(hw_filter_class&)> change;
    std::string_view part;
  };
  for (const Row& row : {
           Row{[](auto& c) { c.struct_size = 16; }, "wrong struct_size (16"},
           Row{[](auto& c) { c.id = nullptr; }, "valid id"},
           Row{[](auto& c) { c.id = "a b"; }, "valid id"},
           Row{[](auto& c) { c.interest |= 1U << 30; }, "hooks that this host does not know"},
           Row{[](auto& c) { c.config_create = nullptr; }, "config_create"},
           Row{[](auto& c) {
                 c.stream_create = [](const void*, hw_stream*, void**) -> hw_status { return 0; };
               },
               "stream_destroy"},
       }) {
    hw_filter_class changed = soundClass();
    row.change(changed);
    list[0] = &changed;
    const std::string message = messageOf([&] { (void)filterClasses(&factory, "x.so"); });
    CAPTURE(message);
    CHECK(message.find(row.part) != std::string::npos);
  }
}

TEST_CASE("a factory is refused if it is malformed or names a class twice") {
  hw_filter_class one = soundClass();
  hw_filter_class two = soundClass();
  const void* twice[] = {&one, &two};
  const void* none[] = {nullptr};
  for (const hw_factory& factory :
       {hw_factory{sizeof(hw_factory), 2, twice}, hw_factory{sizeof(hw_factory), 1, none},
        hw_factory{sizeof(hw_factory), 1, nullptr}, hw_factory{4, 1, twice}})
    CHECK(messageOf([&] { (void)filterClasses(&factory, "x.so"); }) != "accepted");
}

TEST_CASE("a class from newer headers is taken by what this host knows of it") {
  struct Newer {
    hw_filter_class known;
    void* appended[4];
  } newer{soundClass(), {}};
  newer.known.struct_size = sizeof newer;
  const void* list[] = {&newer};
  const hw_factory factory{sizeof(hw_factory), 1, list};
  CHECK(filterClasses(&factory, "x.so").size() == 1);
}

}  // namespace
}  // namespace hyperway::plugin
