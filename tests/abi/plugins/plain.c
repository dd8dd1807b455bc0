// SPDX-License-Identifier: Apache-2.0
// A filter in plain C, with memory per stream, body editing and a pause. Compiled against today's
// headers and against every frozen copy of them.
#include <string.h>

#include "hyperway/abi/filter.h"
#include "hyperway/abi/manifest.h"
#include "hyperway/abi/service/body.h"
#include "hyperway/abi/service/stream.h"
#include "hyperway/abi/service/waker.h"

static const hw_stream_api* stream_api;
static const hw_body_api* body_api;
static const hw_waker_api* waker_api;

static hw_bytes bytes_of(const char* text) {
  hw_bytes out = {(const uint8_t*)text, strlen(text)};
  return out;
}

typedef struct plain_filter {
  uint64_t body_bytes;
  hw_waker waker;
} plain_filter;

static hw_status config_create(const hw_host* host, hw_bytes json, const hw_diag* diag,
                               void** config) {
  (void)host;
  if (json.size < 2 || json.data[0] != '{') {
    diag->report(diag->ctx, HW_SEVERITY_ERROR, bytes_of(""), bytes_of("must be an object"));
    return HW_INVALID;
  }
  *config = NULL; /* nothing to keep */
  return HW_OK;
}

static hw_status stream_create(const void* config, hw_stream* stream, void** filter) {
  (void)config;
  plain_filter* self = stream_api->alloc(stream, sizeof *self, sizeof(uint64_t));
  if (self == NULL) return HW_LIMIT;
  memset(self, 0, sizeof *self);
  *filter = self;
  return HW_OK;
}

static hw_flow on_request_head(void* filter, hw_stream* stream, uint32_t flags) {
  plain_filter* self = filter;
  hw_bytes value;
  (void)flags;
  if (stream_api->field_get(stream, HW_MAP_REQUEST, bytes_of("x-pause"), &value) != HW_OK)
    return HW_FLOW_CONTINUE;
  self->waker = waker_api->get(stream);
  waker_api->wake(self->waker, 17);
  return HW_FLOW_PAUSE;
}

static hw_flow on_request_body(void* filter, hw_stream* stream, hw_body* chunk, uint32_t flags) {
  plain_filter* self = filter;
  (void)stream;
  self->body_bytes += body_api->data(chunk).size;
  if ((flags & HW_END_OF_STREAM) != 0 && body_api->append(chunk, bytes_of("!")) != HW_OK)
    return HW_FLOW_FAULT;
  return HW_FLOW_CONTINUE;
}

static void on_wake(void* filter, hw_stream* stream, uint32_t paused, uint64_t token) {
  (void)filter;
  if (token == 17 && (paused & HW_HOOK_REQUEST_HEAD) != 0)
    stream_api->resume(stream, HW_HOOK_REQUEST_HEAD, HW_FLOW_CONTINUE);
}

static void stream_destroy(void* filter, int32_t reason) {
  (void)filter;
  (void)reason;
}

static const hw_filter_class kPlain = {
    .struct_size = sizeof(hw_filter_class),
    .interest = HW_HOOK_REQUEST_HEAD | HW_HOOK_REQUEST_BODY | HW_INTEREST_REQUEST_RESIZE,
    .id = "plain",
    .config_create = config_create,
    .stream_create = stream_create,
    .on_request_head = on_request_head,
    .on_request_body = on_request_body,
    .on_wake = on_wake,
    .stream_destroy = stream_destroy,
};
static const void* const kClasses[] = {&kPlain};
static const hw_factory kFactory = {sizeof(hw_factory), 1, kClasses};

static hw_status init(const hw_host* host, hw_bytes json, const hw_diag* diag) {
  (void)json;
  stream_api = host->get_service(host, HW_STREAM_SERVICE);
  body_api = host->get_service(host, HW_BODY_SERVICE);
  waker_api = host->get_service(host, HW_WAKER_SERVICE);
  if (stream_api != NULL && body_api != NULL && waker_api != NULL) return HW_OK;
  diag->report(diag->ctx, HW_SEVERITY_ERROR, bytes_of(""), bytes_of("this host lacks a service"));
  return HW_UNSUPPORTED;
}

static const void* get_factory(const char* id) {
  return strcmp(id, HW_FILTER_FACTORY) == 0 ? &kFactory : NULL;
}

HW_EXPORT const hw_plugin_manifest HYPERWAY_PLUGIN_SYMBOL = {
    .magic = HW_PLUGIN_MAGIC,
    .struct_size = sizeof(hw_plugin_manifest),
    .abi_major = HW_ABI_MAJOR,
    .abi_minor = HW_ABI_MINOR,
    .id = "test.plain",
    .version = "1.0.0",
    .init = init,
    .get_factory = get_factory,
};
