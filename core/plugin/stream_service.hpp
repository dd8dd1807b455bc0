// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "http/field.hpp"
#include "hyperway/abi/service/body.h"
#include "hyperway/abi/service/stream.h"
#include "proxy/filter.hpp"

namespace hyperway::plugin {

/// The ABI's opaque hw_stream is the proxy's FilterContext, and nothing else.
[[nodiscard]] inline hw_stream* asHandle(proxy::FilterContext& context) noexcept {
  return reinterpret_cast<hw_stream*>(&context);
}

/// The other way round.
[[nodiscard]] inline proxy::FilterContext& contextOf(const hw_stream* stream) noexcept {
  return *reinterpret_cast<proxy::FilterContext*>(const_cast<hw_stream*>(stream));
}

/// Fields that the framing or one connection owns: the serializer makes them (RFC 9110 §7.6.1).
[[nodiscard]] bool isHostOwned(http::FieldId id) noexcept;

/// True for what may stand in an origin-form path: no query or fragment, nothing that a backend
/// might read otherwise than we do.
[[nodiscard]] bool isPath(std::string_view path) noexcept;

/// What the ABI's opaque hw_body is: a chunk for the time of one hook.
struct BodyHandle {
  proxy::BodyChunk& chunk;  ///< The proxy's chunk.
  bool resizable;           ///< The class said that it changes lengths.
  bool last;                ///< No chunk follows.

  /// The handle that the plugin gets.
  [[nodiscard]] hw_body* handle() noexcept { return reinterpret_cast<hw_body*>(this); }
};

/// Most bytes that a filter may make of one chunk; beyond it edits answer HW_LIMIT.
inline constexpr std::size_t kMaxChunkBytes = std::size_t{16} << 20;

/// Most bytes of heap that a stream's arena may take for its filters; beyond it alloc answers null.
inline constexpr std::size_t kMaxArenaBytes = std::size_t{1} << 20;

/// The table of "hyperway.stream/1". `intern` and `worker_count` are filled in by the host
/// services; everything else works on the stream alone. Lives for ever.
[[nodiscard]] hw_stream_api streamApi() noexcept;

/// The table of "hyperway.body/1". Lives for ever.
[[nodiscard]] const hw_body_api& bodyApi() noexcept;

}  // namespace hyperway::plugin
