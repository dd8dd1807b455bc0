// SPDX-License-Identifier: Apache-2.0
#ifndef HYPERWAY_ABI_HOST_H
#define HYPERWAY_ABI_HOST_H

/// What a plugin is handed by the process that loaded it.

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/// The host, as one plugin sees it. Owned by the host; valid from `init` until `deinit` returns.
/// Each loaded plugin gets a value of its own, so services know who calls: do not hand it to
/// another plugin.
typedef struct hw_host {
  uint32_t struct_size;
  uint16_t abi_major; /* of the host's headers */
  uint16_t abi_minor;
  const char *name;    /* "hyperway" */
  const char *version; /* of the host, "0.1.0" */
  void *ctx;           /* the host's own; not for the plugin */
  /// Returns a service table by id ("hyperway.log/1"), or null: not offered here, always legal.
  /// The table lives as long as the host. The headers of `service/` and `draft/` name type and id.
  /// [any]
  const void *(*get_service)(const struct hw_host *host, const char *service_id);
} hw_host;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
