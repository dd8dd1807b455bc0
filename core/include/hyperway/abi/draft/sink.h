// SPDX-License-Identifier: Apache-2.0
#ifndef HYPERWAY_ABI_DRAFT_SINK_H
#define HYPERWAY_ABI_DRAFT_SINK_H

/// Sinks: plugins that put a route model to use. Factory "hyperway.sink/draft-1".
/// Draft: may change between releases; the factory id then changes with it.
///
/// A batch is a JSON object keyed by object: {"listeners": [LISTENER], "removedListeners": [NAME],
/// "routes": [{"key", "rules": [RULE]}], "removedRoutes": [KEY], "gateways": [GATEWAY],
/// "removedGateways": [KEY]}. LISTENER and RULE are elements of `listeners` and `httpRoutesV1` of a
/// RouteSnapshot's spec. It never carries keys, certificates or endpoints. The first batch that a
/// sink gets has all that there is.
///
/// A GATEWAY is there where Gateways get their addresses from Services (configuration key
/// `gateways`), and says what such a Service needs: {"namespace", "name", "uid", "generation",
/// "created" (seconds since the epoch), "accepted": bool, "labels": {}, "annotations": {},
/// "addresses": [text], "ports": [{"port", "protocol": "TCP" or "UDP"}], "parameters": [{"owner",
/// "group", "kind", "namespace", "name"}]}. All that are ours are there, whether or not their
/// listeners can be programmed; one that is not accepted gets nothing new. The KEY of a Gateway is
/// "namespace/name". `parameters` are those of its class and then its own; `owner` says whose, and
/// is empty for its own.
///
/// A sink that wants statuses is given them in documents of their own, between batches and with the
/// generation of the last one: {"statuses": [{"key", "entries": [STATUS]}], "removedStatuses":
/// [KEY]}. STATUS is an element of `routeDiagnostics`, `gatewayListenerStatuses` or
/// `gatewayClassStatuses` of a RouteSnapshot's spec, according to the kind with which the KEY of
/// the object ("Kind/namespace/name") begins. After HW_APPLY_FULL all are given anew.
///
/// A report is a JSON object {"refused": bool, "reason": text, "trouble": text, "listeners":
/// [{"name", "programmed": bool, "reason": text}], "gateways": [{"name", "reason": text,
/// "parameters": text}]}, all optional. A trouble refuses nothing; it is shown until a report says
/// another one, or an empty one. The reason of a Gateway says why it has no place in the network,
/// `parameters` what is wrong with its parameters; they are shown in its status until a report
/// where they are empty.

#include "../host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HW_SINK_FACTORY "hyperway.sink/draft-1"

/// Bits of `flags` of apply.
enum {
  HW_APPLY_FULL = 1u << 0 /* the batch is the whole model; what it does not name is gone */
};

/// Bits of `wants` of a class. An unknown bit is ignored.
enum {
  HW_SINK_GATEWAYS_ONLY = 1u << 0, /* batches have `gateways` and `removedGateways` alone; one in
                                      which neither has anything is not given, but for the first */
  HW_SINK_STATUSES = 1u << 1       /* statuses too */
};

/// A class of sinks. Static; owned by the plugin; lives as long as the process.
typedef struct hw_sink_class {
  uint32_t struct_size;
  uint32_t wants; /* HW_SINK_*; 0: everything */
  const char *id; /* what the configuration file names, e.g. "snapshot" */
  /// Parses the configuration; contacts nothing, starts no thread. `ack` answers an apply: the
  /// generation, and a JSON report (per listener what was bound or why not, per rule what was
  /// refused), copied; it may be called on any thread until stop has returned. [control]
  hw_status (*create)(const hw_host *host, hw_bytes config_json, const hw_diag *diag, void *ack_ctx,
                      void (*ack)(void *ack_ctx, uint64_t generation, hw_bytes report),
                      void **sink);
  /// Applies a batch of model parts, JSON; does not wait. HW_NEED_FULL if the sink lost its place
  /// and wants HW_APPLY_FULL. [control]
  hw_status (*apply)(void *sink, uint64_t generation, uint32_t flags, hw_bytes model_batch);
  /// Ends it; after it returns there is no ack. [control]
  void (*stop)(void *sink);
  /// Frees it. [control]
  void (*destroy)(void *sink);
} hw_sink_class;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
