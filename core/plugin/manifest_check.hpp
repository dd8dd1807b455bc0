// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hyperway/abi/draft/sink.h"
#include "hyperway/abi/draft/source.h"
#include "hyperway/abi/filter.h"
#include "hyperway/abi/manifest.h"

namespace hyperway::plugin {

/// The numbers at the start of a manifest.
struct ManifestVersions {
  std::uint32_t magic;             ///< Must be HW_PLUGIN_MAGIC.
  std::uint32_t struct_size;       ///< Must reach behind get_factory.
  std::uint16_t abi_major;         ///< Must be HW_ABI_MAJOR.
  std::uint16_t abi_minor;         ///< Of its headers; informs only.
  std::uint16_t abi_minor_needed;  ///< Must not be above HW_ABI_MINOR.
};

/// Throws LoadError, naming both versions, unless this host can serve a manifest of these versions.
/// `name` begins the message.
void checkVersions(const ManifestVersions& versions, const std::string& name);

/// Throws LoadError unless the manifest can be served: versions, id, version, functions.
void checkManifest(const hw_plugin_manifest& manifest, const std::string& name);

/// The classes of a factory, copied: fields that a shorter struct lacks are zero. Throws LoadError
/// on a class that cannot be served (too short, bad id, unknown interest bits, missing functions,
/// the same id twice). A null factory has no classes.
[[nodiscard]] std::vector<hw_filter_class> filterClasses(const void* factory,
                                                         const std::string& name);

/// Likewise for sources.
[[nodiscard]] std::vector<hw_source_class> sourceClasses(const void* factory,
                                                         const std::string& name);

/// Likewise for sinks.
[[nodiscard]] std::vector<hw_sink_class> sinkClasses(const void* factory, const std::string& name);

}  // namespace hyperway::plugin
