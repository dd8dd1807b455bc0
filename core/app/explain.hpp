// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "route/compile.hpp"

namespace hyperway::app {

/// A request, or a flow, to be explained, as a client would send it.
struct Question {
  route::Protocol protocol = route::Protocol::Http;  ///< Scheme of the URL.
  std::uint16_t port = 80;                           ///< As the client sees it.
  std::string method;                                ///< "GET"; of a flow: empty.
  std::string authority;  ///< Value of Host; of a flow: its name, which may be empty.
  std::string target;     ///< Path with query.
  std::vector<std::pair<std::string, std::string>> headers;  ///< In order.
};

/// Takes a URL apart: http or https, host, port, path; or that of a flow, which has no method, no
/// path and always a port: "tls://name:443", "tcp://:9000", "udp://:53". Error: one sentence.
[[nodiscard]] Result<Question, std::string> makeQuestion(
    std::string_view method, std::string_view url,
    std::vector<std::pair<std::string, std::string>> headers);

/// The text form in which a question goes over the admin socket: method, URL, then headers, one in
/// a line.
[[nodiscard]] std::string writeQuestion(
    std::string_view method, std::string_view url,
    const std::vector<std::pair<std::string, std::string>>& headers);
/// Reads it back.
[[nodiscard]] Result<Question, std::string> readQuestion(std::string_view text);

/// Which listener, route, rule and backends answer the request or take the flow, and why near
/// misses lost; for reading. The request is parsed exactly as one from the wire. [control]
[[nodiscard]] std::string explainText(const route::Compiler& compiler, const Question& question);

}  // namespace hyperway::app
