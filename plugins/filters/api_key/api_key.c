// SPDX-License-Identifier: Apache-2.0
// A filter in plain C: lets a request pass only with a known API key.
//
// {"header": "x-api-key",                    where the key is; this is the default
//  "keys": [{"name": "alice",                who it is
//            "sha256": "<64 hex digits>"}],  of the key, so that no configuration holds a secret
//  "nameHeader": "x-api-client",             optional: tells the backend who it is
//  "forwardKey": false}                      optional: keep the key in the request
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hyperway/abi/filter.h"
#include "hyperway/abi/manifest.h"
#include "hyperway/abi/service/stream.h"
#include "json_reader.h"
#include "sha256.h"

enum { kMaxKeys = 4096, kMaxName = 128 };

typedef struct api_key {
  char name[kMaxName];
  uint8_t digest[32];
} api_key;

/* One configuration: constant once made, used by all workers. */
typedef struct config {
  const hw_stream_api *stream;
  hw_header_id header;
  hw_header_id name_header; /* 0: none */
  int forward_key;
  size_t key_count;
  api_key *keys;
} config;

static hw_bytes bytes_of(const char *text) {
  hw_bytes out = {(const uint8_t *)text, strlen(text)};
  return out;
}

static hw_status problem(const hw_diag *diag, const char *pointer, const char *message) {
  if (diag != NULL)
    diag->report(diag->ctx, HW_SEVERITY_ERROR, bytes_of(pointer), bytes_of(message));
  return HW_INVALID;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

static int read_digest(const char *hex, uint8_t digest[32]) {
  if (strlen(hex) != 64) return 0;
  for (size_t i = 0; i < 32; ++i) {
    int high = hex_digit(hex[2 * i]);
    int low = hex_digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return 0;
    digest[i] = (uint8_t)(high << 4 | low);
  }
  return 1;
}

/* {"name": ..., "sha256": ...}; a message, or null if all is well. */
static const char *read_key(json_reader *reader, api_key *key) {
  char member[16];
  char hex[80];
  int has_name = 0;
  int has_digest = 0;
  if (!json_expect(reader, '{', "expected an object with name and sha256")) return reader->error;
  do {
    if (json_string(reader, member, sizeof member) < 0) return reader->error;
    if (!json_expect(reader, ':', "expected ':'")) return reader->error;
    if (strcmp(member, "name") == 0) {
      if (json_string(reader, key->name, sizeof key->name) < 0) return reader->error;
      has_name = key->name[0] != '\0';
    } else if (strcmp(member, "sha256") == 0) {
      if (json_string(reader, hex, sizeof hex) < 0) return reader->error;
      if (!read_digest(hex, key->digest)) return "sha256 must be 64 hexadecimal digits";
      has_digest = 1;
    } else {
      return "unknown field; known are: name, sha256";
    }
  } while (json_take(reader, ','));
  if (!json_expect(reader, '}', "expected '}'")) return reader->error;
  return has_name && has_digest ? NULL : "name and sha256 are required";
}

static hw_status read_keys(json_reader *reader, config *out, const hw_diag *diag) {
  char pointer[32];
  if (!json_expect(reader, '[', "must be a list")) return problem(diag, "/keys", reader->error);
  if (json_take(reader, ']')) return HW_OK;
  do {
    snprintf(pointer, sizeof pointer, "/keys/%zu", out->key_count);
    if (out->key_count == kMaxKeys) return problem(diag, pointer, "more than 4096 keys");
    api_key *grown = realloc(out->keys, (out->key_count + 1) * sizeof *grown);
    if (grown == NULL) return problem(diag, "", "out of memory");
    out->keys = grown;
    const char *message = read_key(reader, &out->keys[out->key_count]);
    if (message != NULL) return problem(diag, pointer, message);
    ++out->key_count;
  } while (json_take(reader, ','));
  if (!json_expect(reader, ']', "expected ',' or ']'"))
    return problem(diag, "/keys", reader->error);
  return HW_OK;
}

static hw_status read_header(json_reader *reader, const hw_host *host, const config *out,
                             const char *pointer, hw_header_id *header, const hw_diag *diag) {
  char name[256];
  if (json_string(reader, name, sizeof name) < 0) return problem(diag, pointer, reader->error);
  *header = out->stream->intern(host, bytes_of(name));
  return *header != 0 ? HW_OK : problem(diag, pointer, "is not a valid header name");
}

static hw_status read_config(json_reader *reader, const hw_host *host, config *out,
                             const hw_diag *diag) {
  char member[32];
  if (!json_expect(reader, '{', "the configuration must be an object"))
    return problem(diag, "", reader->error);
  if (json_take(reader, '}')) return HW_OK;
  do {
    hw_status status = HW_OK;
    if (json_string(reader, member, sizeof member) < 0 || !json_expect(reader, ':', "expected ':'"))
      return problem(diag, "", reader->error);
    if (strcmp(member, "keys") == 0) {
      status = read_keys(reader, out, diag);
    } else if (strcmp(member, "header") == 0) {
      status = read_header(reader, host, out, "/header", &out->header, diag);
    } else if (strcmp(member, "nameHeader") == 0) {
      status = read_header(reader, host, out, "/nameHeader", &out->name_header, diag);
    } else if (strcmp(member, "forwardKey") == 0) {
      out->forward_key = json_boolean(reader);
      if (out->forward_key < 0) status = problem(diag, "/forwardKey", reader->error);
    } else {
      char pointer[40];
      snprintf(pointer, sizeof pointer, "/%s", member);
      status =
          problem(diag, pointer, "unknown field; known are: header, keys, nameHeader, forwardKey");
    }
    if (status != HW_OK) return status;
  } while (json_take(reader, ','));
  if (!json_expect(reader, '}', "expected ',' or '}'")) return problem(diag, "", reader->error);
  (void)json_take(reader, ' '); /* only to skip what may be skipped */
  return reader->at == reader->end
             ? HW_OK
             : problem(diag, "", "there is something after the configuration");
}

static void config_destroy(void *raw) {
  config *self = raw;
  if (self != NULL) free(self->keys);
  free(self);
}

static hw_status config_create(const hw_host *host, hw_bytes json, const hw_diag *diag,
                               void **result) {
  config *self = calloc(1, sizeof *self);
  if (self == NULL) return HW_FAILED;
  self->stream = host->get_service(host, HW_STREAM_SERVICE);
  if (self->stream == NULL || self->stream->struct_size < sizeof(hw_stream_api)) {
    config_destroy(self);
    return problem(diag, "", "this host does not offer " HW_STREAM_SERVICE);
  }
  self->header = self->stream->intern(host, bytes_of("x-api-key"));
  const char *text = json.size != 0 ? (const char *)json.data : "";
  json_reader reader = {text, text + json.size, NULL};
  hw_status status = read_config(&reader, host, self, diag);
  if (status == HW_OK && self->key_count == 0)
    status = problem(diag, "/keys", "is required and must name at least one key");
  if (status != HW_OK) {
    config_destroy(self);
    return status;
  }
  *result = self;
  return HW_OK;
}

/* Compares every byte of every key, so that the time tells nothing. */
static const api_key *find_key(const config *self, const uint8_t digest[32]) {
  const api_key *found = NULL;
  for (size_t i = 0; i < self->key_count; ++i) {
    unsigned difference = 0;
    for (size_t k = 0; k < 32; ++k) difference |= (unsigned)(self->keys[i].digest[k] ^ digest[k]);
    if (difference == 0) found = &self->keys[i];
  }
  return found;
}

static hw_flow refuse(const config *self, hw_stream *stream, const char *message) {
  hw_field fields[2] = {
      {bytes_of("www-authenticate"), bytes_of("ApiKey")},
      {bytes_of("content-type"), bytes_of("text/plain; charset=utf-8")},
  };
  hw_status done = self->stream->respond(stream, 401, fields, 2, bytes_of(message));
  return done == HW_OK ? HW_FLOW_RESPONDED : HW_FLOW_FAULT;
}

/* The class has no stream_create, so `filter` is the configuration. */
static hw_flow on_request_head(void *filter, hw_stream *stream, uint32_t flags) {
  const config *self = filter;
  (void)flags;
  hw_bytes value;
  if (self->stream->field_get_id(stream, HW_MAP_REQUEST, self->header, &value) != HW_OK ||
      value.size == 0)
    return refuse(self, stream, "an API key is needed\n");
  uint8_t digest[32];
  api_key_sha256(value.data, value.size, digest);
  const api_key *key = find_key(self, digest);
  if (key == NULL) return refuse(self, stream, "unknown API key\n");

  /* `value` is not used any more: these edits end it. A client must not choose its own name. */
  const hw_stream_api *api = self->stream;
  if (!self->forward_key && api->field_remove_id(stream, HW_MAP_REQUEST, self->header) != HW_OK)
    return HW_FLOW_FAULT;
  if (self->name_header != 0 &&
      api->field_set_id(stream, HW_MAP_REQUEST, self->name_header, bytes_of(key->name)) != HW_OK)
    return HW_FLOW_FAULT;
  return HW_FLOW_CONTINUE;
}

static const hw_filter_class kApiKey = {
    .struct_size = sizeof(hw_filter_class),
    .interest = HW_HOOK_REQUEST_HEAD,
    .id = "api_key",
    .config_create = config_create,
    .config_destroy = config_destroy,
    .on_request_head = on_request_head,
};

static const void *const kClasses[] = {&kApiKey};
static const hw_factory kFilters = {sizeof(hw_factory), 1, kClasses};

static hw_status init(const hw_host *host, hw_bytes json, const hw_diag *diag) {
  (void)host;
  if (json.size > 2) return problem(diag, "", "this plugin takes no configuration of its own");
  return HW_OK;
}

static const void *get_factory(const char *id) {
  return strcmp(id, HW_FILTER_FACTORY) == 0 ? &kFilters : NULL;
}

HW_EXPORT const hw_plugin_manifest HYPERWAY_PLUGIN_SYMBOL = {
    .magic = HW_PLUGIN_MAGIC,
    .struct_size = sizeof(hw_plugin_manifest),
    .abi_major = HW_ABI_MAJOR,
    .abi_minor = HW_ABI_MINOR,
    .abi_minor_needed = 0,
    .id = "dev.arloor.hyperway.api-key",
    .version = "1.0.0",
    .init = init,
    .get_factory = get_factory,
};
