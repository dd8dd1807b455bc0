// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "base/arena.hpp"

/// What HTTP has to know of gRPC (gRPC over HTTP2, the protocol's own document).
namespace hyperway::http {

/// True for a content type of gRPC: "application/grpc", alone, with a "+suffix" or with parameters.
/// gRPC-Web is another protocol.
[[nodiscard]] bool isGrpcType(std::string_view content_type) noexcept;

/// The grpc-status in whose place a gateway of HTTP would answer that status: 14 UNAVAILABLE for
/// what may work the next time, 12 UNIMPLEMENTED for 404, and so on.
[[nodiscard]] std::uint8_t grpcStatusOf(std::uint16_t http_status) noexcept;

/// A grpc-message: `text` with '%' and everything but visible ASCII and spaces percent-encoded, in
/// `arena` if that changes it.
[[nodiscard]] std::string_view grpcMessage(std::string_view text, Arena& arena);

}  // namespace hyperway::http
