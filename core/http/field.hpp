// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/arena.hpp"

namespace hyperway::http {

/// Field names that the gateway itself looks at. Every other name is Other.
enum class FieldId : std::uint8_t {
  Other,
  Host,
  Connection,
  ContentLength,
  TransferEncoding,
  Upgrade,
  Expect,
  Te,
  Trailer,
  KeepAlive,
  ProxyConnection,
  ProxyAuthenticate,
  ProxyAuthorization,
  Http2Settings,
  XForwardedFor,
  XForwardedProto,
  XForwardedHost,
  XRequestId,
  Traceparent,
  Tracestate,
  Origin,
  AccessControlRequestMethod,
  Cookie,
  ContentType,
  ContentEncoding,
  Date,
  Server,
  Location,
  SecWebSocketKey,
};

/// Finds the id of a field name, case-insensitively; Other if it is none of ours. No allocation.
[[nodiscard]] FieldId fieldId(std::string_view name) noexcept;

/// Tells whether `name` is a token of 1 to 65,535 bytes (RFC 9110 §5.1). Whoever takes names from
/// a configuration or a plugin asks before it calls HeaderMap::add() or set(), which only assert
/// the size.
[[nodiscard]] bool isValidFieldName(std::string_view name) noexcept;

/// Tells whether `value` may be sent as a field value (RFC 9110 §5.5): visible bytes, obs-text,
/// inner spaces and tabs; no CR, LF, NUL or other control byte, no white space at the ends; may be
/// empty.
[[nodiscard]] bool isValidFieldValue(std::string_view value) noexcept;

/// One field line. Both views point into memory that the owner of the HeaderMap names.
struct Field {
  const char* name_data;     ///< As received or as set; never empty.
  const char* value_data;    ///< Without surrounding white space.
  std::uint32_t value_size;  ///< Bytes.
  std::uint16_t name_size;   ///< Bytes, at least 1.
  FieldId id;                ///< fieldId(name()).
  bool removed;              ///< Removed lines stay in place, so that indices stay valid.

  /// The field's name as received.
  [[nodiscard]] std::string_view name() const noexcept { return {name_data, name_size}; }
  /// The field's value.
  [[nodiscard]] std::string_view value() const noexcept { return {value_data, value_size}; }
};

/// Field lines of a head or of trailers, in order of arrival. Memory comes from the stream's arena,
/// so a map is cheap to make and is never freed on its own. Not thread-safe.
class HeaderMap {
 public:
  /// An empty map whose storage, and copies of what is set later, come from `arena`.
  explicit HeaderMap(Arena& arena) noexcept : arena_(&arena) {}

  /// Appends a line whose text outlives the map (for instance because it is in the arena).
  void appendView(FieldId id, std::string_view name, std::string_view value) {
    if (size_ == capacity_) grow();
    fields_[size_++] = {name.data(),
                        value.data(),
                        static_cast<std::uint32_t>(value.size()),
                        static_cast<std::uint16_t>(name.size()),
                        id,
                        false};
    if (id != FieldId::Other) present_ |= bit(id);
  }
  /// Appends a line; name and value are copied into the arena. Both must be valid: see
  /// isValidFieldName() and isValidFieldValue().
  void add(std::string_view name, std::string_view value);
  /// Replaces all lines of that name (case-insensitive) by one at the place of the first.
  void set(std::string_view name, std::string_view value);
  /// Removes all lines of that name (case-insensitive); returns how many.
  std::size_t remove(std::string_view name) noexcept;
  /// Removes all lines with that id, which must not be Other.
  std::size_t remove(FieldId id) noexcept;

  /// The first live line of that name (case-insensitive), or null.
  [[nodiscard]] const Field* find(std::string_view name) const noexcept;
  /// The first live line with that id (not Other), or null.
  [[nodiscard]] const Field* find(FieldId id) const noexcept;
  /// False if surely no line has this id (not Other); true if one has, or had before a removal.
  [[nodiscard]] bool mayHave(FieldId id) const noexcept { return (present_ & bit(id)) != 0; }
  /// All lines, removed ones included: skip those with `removed`.
  [[nodiscard]] std::span<Field> lines() noexcept { return {fields_, size_}; }
  /// All lines, removed ones included: skip those with `removed`.
  [[nodiscard]] std::span<const Field> lines() const noexcept { return {fields_, size_}; }
  /// Number of live lines.
  [[nodiscard]] std::size_t count() const noexcept;
  /// Forgets all lines; storage stays with the arena.
  void clear() noexcept {
    fields_ = nullptr;
    size_ = capacity_ = 0;
    present_ = 0;
  }
  /// The arena that owns storage and copies.
  [[nodiscard]] Arena& arena() const noexcept { return *arena_; }

 private:
  static constexpr std::uint64_t bit(FieldId id) noexcept {
    return std::uint64_t{1} << static_cast<unsigned>(id);
  }
  void grow();

  Arena* arena_;
  Field* fields_ = nullptr;
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = 0;
  std::uint64_t present_ = 0;
};

}  // namespace hyperway::http
