// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

namespace hyperway::file_source {

/// Line (from 1, in `document`) of the value that a JSON pointer names, or of the deepest part of
/// it that exists: the line of a member is that of its key. 1 if the text does not parse. Slow; for
/// error messages.
[[nodiscard]] std::size_t locateLine(std::string_view document, std::string_view json_pointer);

}  // namespace hyperway::file_source
