// SPDX-License-Identifier: Apache-2.0
#ifndef HYPERWAY_ABI_MANIFEST_H
#define HYPERWAY_ABI_MANIFEST_H

/// The one symbol that a plugin exports.

#include "base.h"
#include "host.h"

#ifdef __cplusplus
extern "C" {
#endif

/// First field of every manifest: "HWPL" read as a little-endian number.
#define HW_PLUGIN_MAGIC 0x4c505748u

/// Name of the exported data symbol. The major version is part of it, so one file can carry
/// manifests for two majors. Plugins linked into the host redefine it per plugin.
#ifndef HYPERWAY_PLUGIN_SYMBOL
#define HYPERWAY_PLUGIN_SYMBOL hyperway_plugin_v1
#endif

/// Put in front of the manifest's definition; everything else of a plugin stays hidden.
#if defined(__GNUC__)
#define HW_EXPORT __attribute__((visibility("default")))
#else
#define HW_EXPORT
#endif

/// Declares the plugin to the host, which reads it before it calls any function of the file.
///
/// Refused at load: wrong `magic`, wrong `abi_major`, `abi_minor_needed` above the host's, a
/// `struct_size` that ends before `get_factory`, a null `id`, `version`, `init` or `get_factory`.
/// Lifecycle: init -> start -> instances come and go -> stop -> deinit, each once for each loaded
/// file; the file is never unmapped. `hyperway check` and the controller call `init` and
/// `deinit` without `start`.
typedef struct hw_plugin_manifest {
  uint32_t magic; /* HW_PLUGIN_MAGIC */
  uint32_t struct_size;
  uint16_t abi_major; /* the headers it was compiled with: HW_ABI_MAJOR, HW_ABI_MINOR */
  uint16_t abi_minor;
  uint16_t abi_minor_needed; /* the oldest host it runs on */
  uint16_t reserved;         /* 0 */
  const char *id;            /* reverse domain, "com.example.api-key"; [a-z0-9.-], at most 63 */
  const char *version;       /* "1.4.2" */
  /// Prepares the plugin; contacts nothing and starts no thread. `plugin_config_json` is the
  /// plugin's own part of the configuration file, empty if there is none. Problems go to `diag`.
  /// An error leaves nothing behind: `deinit` is then not called. [control]
  hw_status (*init)(const hw_host *host, hw_bytes plugin_config_json, const hw_diag *diag);
  /// Called only where requests run, after `init`; the first place where threads may begin, with
  /// all signals blocked in them. May be null. [control]
  hw_status (*start)(void);
  /// Ends what `start` began; threads are joined when it returns. May be null. [control]
  void (*stop)(void);
  /// Called after the last instance is gone. May be null. [control]
  void (*deinit)(void);
  /// Returns a hw_factory by kind id ("hyperway.filter/1"), or null: not offered, always legal.
  /// What it returns lives as long as the process. [control]
  const void *(*get_factory)(const char *factory_id);
} hw_plugin_manifest;

/// What `get_factory` returns: the classes of one kind. The elements are pointers, because the
/// class structs may grow.
typedef struct hw_factory {
  uint32_t struct_size;
  uint32_t count;
  const void *const *classes; /* e.g. const hw_filter_class *; none null; ids unique */
} hw_factory;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
