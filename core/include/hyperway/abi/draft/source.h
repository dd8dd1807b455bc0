// SPDX-License-Identifier: Apache-2.0
#ifndef HYPERWAY_ABI_DRAFT_SOURCE_H
#define HYPERWAY_ABI_DRAFT_SOURCE_H

/// Sources: plugins that say what the cluster wants. Factory "hyperway.source/draft-1".
/// Draft: may change between releases; the factory id then changes with it.

#include "../host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HW_SOURCE_FACTORY "hyperway.source/draft-1"

/// What a published document is. An unknown value is refused with HW_UNSUPPORTED.
enum {
  /// A JSON object {"upserts": [OBJECT...], "removals": [KEY...]}, either list may be absent. An
  /// OBJECT is a Kubernetes object; a KEY is {"group","kind","namespace","name"}.
  /// RouteSnapshots are objects like all others; an index and its new parts belong into one batch.
  HW_DOC_OBJECTS = 1
};

/// Bits of `flags` of publish.
enum {
  HW_PUBLISH_BEGIN = 1u << 0, /* a re-list of the scope starts */
  HW_PUBLISH_END = 1u << 1,   /* objects in scope not named since BEGIN are gone */
  HW_PUBLISH_SYNCED = 1u << 2 /* the first list of everything is complete */
};

/// State for hw_source_port.health. An unknown value reads as HW_HEALTH_DEGRADED.
enum { HW_HEALTH_OK = 0, HW_HEALTH_DEGRADED = 1, HW_HEALTH_FAILED = 2 };

/// Which objects a re-list covers; an empty part means all.
typedef struct hw_scope {
  uint32_t struct_size;
  uint32_t reserved;
  hw_bytes group;
  hw_bytes kind;
  hw_bytes object_namespace;
} hw_scope;

/// Given to a source at create; owned by the host; valid until stop() of the source has returned.
typedef struct hw_source_port {
  uint32_t struct_size;
  uint32_t reserved;
  void *ctx;
  /// Hands a batch to the host, which copies it and returns. `kind` is HW_DOC_*, `flags`
  /// HW_PUBLISH_*, `scope` may be null (all), `seq` grows with each call of this source and comes
  /// back in report_status. An unreadable batch is refused as a whole (HW_INVALID) and changes
  /// nothing. HW_WRONG_STATE after stop. [any]
  hw_status (*publish)(void *ctx, int32_t kind, uint32_t flags, const hw_scope *scope, uint64_t seq,
                       hw_bytes document);
  /// Says how the source is doing (HW_HEALTH_*), for /readyz and the log. [any]
  void (*health)(void *ctx, int32_t state, hw_bytes reason);
} hw_source_port;

/// A class of sources. Static; owned by the plugin; lives as long as the process.
typedef struct hw_source_class {
  uint32_t struct_size;
  uint32_t reserved;
  const char *id; /* what the configuration file names, e.g. "file" */
  /// Parses the configuration; contacts nothing, starts no thread. Problems go to `diag`. On an
  /// error nothing is kept. [control]
  hw_status (*create)(const hw_host *host, const hw_source_port *port, hw_bytes config_json,
                      const hw_diag *diag, void **source);
  /// Starts it; returns at once and owns its thread. [control]
  hw_status (*start)(void *source);
  /// Statuses to write back, a JSON list of {"kind","namespace","name","generation","status"}; an
  /// element without "status" is an object that is no longer ours. `seq` is the highest of the
  /// source's own that is included. May be null. [control]
  void (*report_status)(void *source, uint64_t seq, hw_bytes status_batch);
  /// Says where a value comes from: `object_key` is "Kind/namespace/name" (two slashes also where
  /// the namespace is empty), `json_pointer` a place in the object; the answer goes to `where` as a
  /// note whose message is "file:line". HW_NOT_FOUND if it is not from here. May be null.
  /// [control]
  hw_status (*locate)(void *source, hw_bytes object_key, hw_bytes json_pointer,
                      const hw_diag *where);
  /// Ends it; after it returns there is no call to the port. [control]
  void (*stop)(void *source);
  /// Frees it. [control]
  void (*destroy)(void *source);
} hw_source_class;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
