// SPDX-License-Identifier: Apache-2.0
// Plugins that a host has to refuse, or to survive. One file per macro HOSTILE_*.
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string_view>

#include "hyperway/abi/filter.h"
#include "hyperway/abi/manifest.h"

namespace {

std::string_view viewOf(hw_bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data), bytes.size};
}

#ifdef HOSTILE_CONSTRUCTOR
// Runs when the loader maps the file: a refused file must not have got that far.
[[gnu::constructor]] void onLoad() { setenv("HYPERWAY_TEST_CONSTRUCTOR_RAN", "1", 1); }
#endif

// The configuration is a word that says which hook misbehaves, and how.
struct Config {
  char word[64] = {};
  [[nodiscard]] hw_flow play(const char* hook, hw_flow calm = HW_FLOW_CONTINUE) const {
    const std::string_view text = word;
    const auto colon = text.find(':');
    if (colon == std::string_view::npos || text.substr(0, colon) != hook) return calm;
    const std::string_view what = text.substr(colon + 1);
    if (what == "throw") throw std::runtime_error("hostile");
    if (what == "throw_int") throw 42;
    if (what == "unknown") return 99;
    if (what == "negative") return -77;
    return calm;
  }
};

hw_status configCreate(const hw_host*, hw_bytes json, const hw_diag* diag, void** config) {
  const std::string_view text = viewOf(json);
  if (text == "config_create:throw") throw std::runtime_error("hostile");
  if (text == "config_create:throw_int") throw 42;
  if (text == "config_create:garbage_status") {
    *config = reinterpret_cast<void*>(0x4141);  // Not to be looked at.
    return 42;
  }
  if (text == "config_create:silent_error") return HW_INVALID;
  auto* made = new Config;
  std::memcpy(made->word, text.data(), text.size() < 63 ? text.size() : 63);
  *config = made;
  if (text == "config_create:ok_with_error")
    diag->report(diag->ctx, HW_SEVERITY_ERROR, {},
                 {reinterpret_cast<const std::uint8_t*>("no"), 2});
  if (text == "config_create:unknown_severity")
    diag->report(diag->ctx, 77, {}, {reinterpret_cast<const std::uint8_t*>("odd"), 3});
  return HW_OK;
}
void configDestroy(void* config) {
  const auto* self = static_cast<Config*>(config);
  const bool throws = std::string_view(self->word) == "config_destroy:throw";
  delete self;
  if (throws) throw std::runtime_error("hostile");
}

hw_status streamCreate(const void* config, hw_stream*, void** filter) {
  const auto* self = static_cast<const Config*>(config);
  if (self->play("stream_create") != HW_FLOW_CONTINUE) return HW_FAILED;
  *filter = const_cast<Config*>(self);
  return HW_OK;
}
hw_flow requestHead(void* f, hw_stream*, std::uint32_t) {
  return static_cast<Config*>(f)->play("on_request_head");
}
hw_flow requestBody(void* f, hw_stream*, hw_body*, std::uint32_t) {
  return static_cast<Config*>(f)->play("on_request_body");
}
hw_flow requestTrailers(void* f, hw_stream*) {
  return static_cast<Config*>(f)->play("on_request_trailers");
}
hw_flow responseHead(void* f, hw_stream*, std::uint32_t) {
  return static_cast<Config*>(f)->play("on_response_head");
}
hw_flow responseBody(void* f, hw_stream*, hw_body*, std::uint32_t) {
  return static_cast<Config*>(f)->play("on_response_body");
}
hw_flow responseTrailers(void* f, hw_stream*) {
  return static_cast<Config*>(f)->play("on_response_trailers");
}
void onWake(void* f, hw_stream*, std::uint32_t, std::uint64_t) {
  (void)static_cast<Config*>(f)->play("on_wake");
}
void streamDestroy(void* f, std::int32_t) { (void)static_cast<Config*>(f)->play("stream_destroy"); }

constexpr hw_filter_class kClass = {sizeof(hw_filter_class),
                                    HW_HOOK_REQUEST_HEAD | HW_HOOK_REQUEST_BODY |
                                        HW_HOOK_REQUEST_TRAILERS | HW_HOOK_RESPONSE_HEAD |
                                        HW_HOOK_RESPONSE_BODY | HW_HOOK_RESPONSE_TRAILERS,
                                    "hostile",
                                    configCreate,
                                    configDestroy,
                                    streamCreate,
                                    requestHead,
                                    requestBody,
                                    requestTrailers,
                                    responseHead,
                                    responseBody,
                                    responseTrailers,
                                    onWake,
                                    streamDestroy};
constexpr const void* kClasses[] = {&kClass};
[[maybe_unused]] constexpr hw_factory kFactory = {sizeof(hw_factory), 1, kClasses};

#ifdef HOSTILE_UNRESOLVED
extern "C" void hyperway_test_no_such_function();
#endif

hw_status init(const hw_host*, hw_bytes, [[maybe_unused]] const hw_diag* diag) {
#if defined(HOSTILE_INIT_FAILS)
  const char text[] = "cannot reach my licence";
  diag->report(diag->ctx, HW_SEVERITY_ERROR, {},
               {reinterpret_cast<const std::uint8_t*>(text), sizeof text - 1});
  return HW_FAILED;
#elif defined(HOSTILE_INIT_THROWS)
  throw std::runtime_error("init exploded");
#elif defined(HOSTILE_UNRESOLVED)
  hyperway_test_no_such_function();
#endif
  return HW_OK;
}

const void* getFactory(const char* id) {
#if defined(HOSTILE_NO_FACTORY)
  (void)id;
  return nullptr;
#elif defined(HOSTILE_FACTORY_THROWS)
  (void)id;
  throw std::runtime_error("no factory today");
#else
  return std::strcmp(id, HW_FILTER_FACTORY) == 0 ? &kFactory : nullptr;
#endif
}

constexpr hw_plugin_manifest make() {
  hw_plugin_manifest out{HW_PLUGIN_MAGIC,
                         sizeof(hw_plugin_manifest),
                         HW_ABI_MAJOR,
                         HW_ABI_MINOR,
                         0,
                         0,
                         "test.hostile",
                         "1.0.0",
                         init,
                         nullptr,
                         nullptr,
                         nullptr,
                         getFactory};
#ifdef HOSTILE_WRONG_MAGIC
  out.magic = 0x46464646;
#endif
#ifdef HOSTILE_WRONG_MAJOR
  out.abi_major = 7;
#endif
#ifdef HOSTILE_MINOR_TOO_HIGH
  out.abi_minor_needed = 999;
#endif
#ifdef HOSTILE_WRONG_SIZE
  out.struct_size = 12;
#endif
#ifdef HOSTILE_NO_ID
  out.id = nullptr;
#endif
  return out;
}

}  // namespace

#if defined(HOSTILE_NO_SYMBOL)
extern "C" HW_EXPORT const int something_else;
const int something_else = 1;
#elif defined(HOSTILE_FUNCTION_SYMBOL)
extern "C" HW_EXPORT void hyperway_plugin_v1() { (void)make(); }
#elif defined(HOSTILE_OTHER_MAJOR)
extern "C" HW_EXPORT const hw_plugin_manifest hyperway_plugin_v2;
const hw_plugin_manifest hyperway_plugin_v2 = make();
#else
extern "C" HW_EXPORT const hw_plugin_manifest hyperway_plugin_v1;
const hw_plugin_manifest hyperway_plugin_v1 = make();
#endif
[[maybe_unused]] static const auto used = &make;
