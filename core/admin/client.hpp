// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

#include "admin/server.hpp"
#include "base/result.hpp"

namespace hyperway::admin {

/// Asks a running process through its admin socket. Error: one sentence that names the socket.
/// Blocks, at most for `limit`.
[[nodiscard]] Result<AdminAnswer, std::string> askSocket(
    const std::string& path, const std::string& method, const std::string& target,
    const std::string& body, std::chrono::seconds limit = std::chrono::seconds(15));

}  // namespace hyperway::admin
