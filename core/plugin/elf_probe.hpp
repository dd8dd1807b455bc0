// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hyperway::plugin {

/// What a shared object says about itself before any code of it runs. dlopen() would run its
/// constructors; a file that is refused here has run nothing.
struct ElfProbe {
  /// The first fields of the manifest, as stored in the file; absent if the symbol is not there.
  struct Manifest {
    std::uint32_t magic;
    std::uint32_t struct_size;
    std::uint16_t abi_major;
    std::uint16_t abi_minor;
    std::uint16_t abi_minor_needed;
  };
  std::optional<Manifest> manifest;       ///< Of the data symbol that was asked for.
  std::vector<std::string> other_majors;  ///< Symbols "hyperway_plugin_v<N>" of other majors.
  std::vector<std::string> needed;        ///< DT_NEEDED: sonames of libraries it wants.
};

/// Reads `file` (a whole ELF image) and looks for the data symbol `symbol`. Throws LoadError, whose
/// text begins with `name`, if it is not a shared object for this machine. Total over its input.
[[nodiscard]] ElfProbe probeElf(std::span<const std::byte> file, std::string_view symbol,
                                const std::string& name);

}  // namespace hyperway::plugin
