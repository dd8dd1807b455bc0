// SPDX-License-Identifier: Apache-2.0
#include "plugin/abi_bytes.hpp"
#include "plugin/stream_service.hpp"

namespace hyperway::plugin {
namespace {

BodyHandle& handleOf(const hw_body* chunk) noexcept {
  return *reinterpret_cast<BodyHandle*>(const_cast<hw_body*>(chunk));
}

hw_bytes data(const hw_body* chunk) noexcept { return bytesOf(handleOf(chunk).chunk.data()); }

std::uint8_t* edit(hw_body* chunk) noexcept {
  proxy::BodyChunk& bytes = handleOf(chunk).chunk;
  return bytes.data().empty() ? nullptr : reinterpret_cast<std::uint8_t*>(bytes.edit().data());
}

// Lengths are promised to the peer with the head, unless the class said that it changes them.
hw_status replace(hw_body* chunk, hw_bytes bytes) noexcept {
  BodyHandle& handle = handleOf(chunk);
  const std::string_view content = viewOf(bytes);
  if (!handle.resizable && content.size() != handle.chunk.data().size()) return HW_REFUSED;
  if (content.size() > kMaxChunkBytes) return HW_LIMIT;
  handle.chunk.replace(content);
  return HW_OK;
}

hw_status drain(hw_body* chunk, std::size_t size) noexcept {
  BodyHandle& handle = handleOf(chunk);
  if (size == 0) return HW_OK;
  if (!handle.resizable) return HW_REFUSED;
  if (size > handle.chunk.data().size()) return HW_INVALID;
  handle.chunk.drain(size);
  return HW_OK;
}

hw_status append(hw_body* chunk, hw_bytes bytes) noexcept {
  BodyHandle& handle = handleOf(chunk);
  const std::string_view content = viewOf(bytes);
  if (content.empty()) return HW_OK;
  if (!handle.resizable) return HW_REFUSED;
  if (content.size() > kMaxChunkBytes - handle.chunk.data().size()) return HW_LIMIT;
  handle.chunk.append(content);
  return HW_OK;
}

std::int32_t isLast(const hw_body* chunk) noexcept { return handleOf(chunk).last ? 1 : 0; }

}  // namespace

const hw_body_api& bodyApi() noexcept {
  static constexpr hw_body_api kApi = {
      sizeof(hw_body_api), 0, &data, &edit, &replace, &drain, &append, &isLast};
  return kApi;
}

}  // namespace hyperway::plugin
