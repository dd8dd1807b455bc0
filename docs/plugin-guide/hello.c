// SPDX-License-Identifier: Apache-2.0
// The same filter in plain C, without configuration.
#include <string.h>

#include "hyperway/abi/filter.h"
#include "hyperway/abi/manifest.h"
#include "hyperway/abi/service/stream.h"

static const hw_stream_api* streams;

static hw_bytes bytes_of(const char* text) {
  hw_bytes out = {(const uint8_t*)text, strlen(text)};
  return out;
}

static hw_status config_create(const hw_host* host, hw_bytes json, const hw_diag* diag,
                               void** config) {
  (void)host, (void)json, (void)diag;
  *config = NULL; /* nothing to keep */
  return HW_OK;
}

static hw_flow on_request_head(void* filter, hw_stream* stream, uint32_t flags) {
  (void)filter, (void)flags;
  hw_status status =
      streams->field_set(stream, HW_MAP_REQUEST, bytes_of("x-greeting"), bytes_of("hello"));
  return status == HW_OK ? HW_FLOW_CONTINUE : HW_FLOW_FAULT;
}

static const hw_filter_class kHello = {
    .struct_size = sizeof(hw_filter_class),
    .interest = HW_HOOK_REQUEST_HEAD,
    .id = "hello_c",
    .config_create = config_create,
    .on_request_head = on_request_head, /* no stream_create: no memory per stream */
};
static const void* const kClasses[] = {&kHello};
static const hw_factory kFilters = {sizeof(hw_factory), 1, kClasses};

static hw_status init(const hw_host* host, hw_bytes json, const hw_diag* diag) {
  (void)json, (void)diag;
  streams = host->get_service(host, HW_STREAM_SERVICE);
  return streams != NULL ? HW_OK : HW_UNSUPPORTED;
}

static const void* get_factory(const char* id) {
  return strcmp(id, HW_FILTER_FACTORY) == 0 ? &kFilters : NULL;
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
