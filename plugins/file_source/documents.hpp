// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace hyperway::file_source {

/// One document of a YAML stream, before it is parsed.
struct Document {
  std::size_t offset = 0;      ///< Where it starts in the file, in bytes.
  std::size_t size = 0;        ///< In bytes.
  std::size_t first_line = 1;  ///< Line of its first byte, from 1.
  std::uint64_t hash = 0;      ///< hashText() of its bytes.
};

/// Cuts a stream at its document marks without parsing it, and hashes each piece, at a few
/// gigabytes a second: a file with 10,000 documents is looked over in a millisecond or two. A mark
/// is "---" at the start of a line and followed by a blank or the line's end, wherever it is
/// (YAML 1.2.2 §9.1.2: not even a block scalar may contain one). Pieces with nothing but comments,
/// blank lines and marks are left out. A byte-order mark is skipped.
[[nodiscard]] std::vector<Document> splitDocuments(std::string_view text);

/// A fast 64-bit hash to tell whether a text changed; not for adversaries, who could only fool
/// their own manifests.
[[nodiscard]] std::uint64_t hashText(std::string_view text) noexcept;

}  // namespace hyperway::file_source
