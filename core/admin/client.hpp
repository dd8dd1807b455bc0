// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "admin/server.hpp"
#include "base/result.hpp"

namespace hyperway::admin {

/// Asks a running process through its admin socket. Error: one sentence that names the socket.
/// Blocks, at most 15 s.
[[nodiscard]] Result<AdminAnswer, std::string> askSocket(const std::string& path,
                                                         const std::string& method,
                                                         const std::string& target,
                                                         const std::string& body);

}  // namespace hyperway::admin
