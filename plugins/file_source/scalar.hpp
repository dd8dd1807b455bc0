// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace hyperway::file_source {

/// What a plain scalar is in the YAML 1.2 core schema.
enum class ScalarType { Null, Boolean, Integer, Real, NotFinite, String };

/// Resolves a plain (unquoted, untagged) scalar. Source: YAML 1.2.2 §10.3.2. Unlike YAML 1.1,
/// "yes", "on" and "1_000" are text and "010" is ten.
[[nodiscard]] ScalarType resolveScalar(std::string_view text) noexcept;

/// Appends a plain scalar of a type that resolveScalar() gave, as JSON. NotFinite has no JSON form:
/// null.
void appendScalar(std::string& out, ScalarType type, std::string_view text);

/// Appends `text` as a JSON string with its quotes. Bytes of 0x80 and above are copied: libyaml has
/// checked UTF-8.
void appendString(std::string& out, std::string_view text);

}  // namespace hyperway::file_source
