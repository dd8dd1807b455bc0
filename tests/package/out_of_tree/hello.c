// SPDX-License-Identifier: Apache-2.0
// The smallest useful filter in plain C: adds one field to every response.
#include <stddef.h>
#include <string.h>

#include <hyperway/abi/filter.h>
#include <hyperway/abi/manifest.h>
#include <hyperway/abi/service/stream.h>

static const hw_stream_api* streams;

static hw_bytes text(const char* words) {
  hw_bytes bytes = {(const uint8_t*)words, strlen(words)};
  return bytes;
}

static void complain(const hw_diag* diag, const char* message) {
  if (diag != NULL) diag->report(diag->ctx, HW_SEVERITY_ERROR, text(""), text(message));
}

// No configuration: "{}" or nothing. A filter that takes none says so instead of ignoring it.
static hw_status config_create(const hw_host* host, hw_bytes json, const hw_diag* diag,
                               void** config) {
  (void)host;
  *config = NULL;
  for (size_t i = 0; i < json.size; i++) {
    if (strchr(" \t\r\n{}", json.data[i]) == NULL) {
      complain(diag, "this filter has no settings");
      return HW_INVALID;
    }
  }
  return HW_OK;
}

static hw_flow on_response_head(void* filter, hw_stream* stream, uint32_t flags) {
  (void)filter;
  (void)flags;
  if (streams->field_set(stream, HW_MAP_RESPONSE, text("x-hello"), text("from C")) != HW_OK) {
    return HW_FLOW_FAULT;
  }
  return HW_FLOW_CONTINUE;
}

static const hw_filter_class hello = {
    .struct_size = sizeof(hw_filter_class),
    .interest = HW_HOOK_RESPONSE_HEAD,
    .id = "hello_c",
    .config_create = config_create,
    .on_response_head = on_response_head,
};
static const void* const classes[] = {&hello};
static const hw_factory filters = {sizeof(hw_factory), 1, classes};

static hw_status init(const hw_host* host, hw_bytes json, const hw_diag* diag) {
  (void)json;
  streams = host->get_service(host, HW_STREAM_SERVICE);
  if (streams == NULL || !HW_HAS(hw_stream_api, streams, field_set)) {
    complain(diag, "this host has no " HW_STREAM_SERVICE);
    return HW_UNSUPPORTED;
  }
  return HW_OK;
}

static const void* get_factory(const char* id) {
  return strcmp(id, HW_FILTER_FACTORY) == 0 ? &filters : NULL;
}

HW_EXPORT const hw_plugin_manifest HYPERWAY_PLUGIN_SYMBOL = {
    .magic = HW_PLUGIN_MAGIC,
    .struct_size = sizeof(hw_plugin_manifest),
    .abi_major = HW_ABI_MAJOR,
    .abi_minor = HW_ABI_MINOR,
    .id = "com.example.hello-c",
    .version = "1.0.0",
    .init = init,
    .get_factory = get_factory,
};
