// SPDX-License-Identifier: Apache-2.0
#include "http/grpc.hpp"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <string_view>

#include "http/websocket.hpp"

namespace hyperway::http {

TEST_CASE("gRPC is application/grpc, with a suffix or parameters, and nothing else") {
  for (const std::string_view type :
       {"application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8",
        "Application/gRPC", "application/grpc ; x=y"})
    CHECK(isGrpcType(type));
  for (const std::string_view type : {"", "application/grp", "application/grpc-web", "text/plain",
                                      "application/grpc-web+proto", "application/grpcx"})
    CHECK_FALSE(isGrpcType(type));
}

TEST_CASE("Each status of the gateway has one of gRPC") {
  struct Row {
    std::uint16_t http;
    int grpc;
  };
  for (const Row& row : {Row{400, 13}, Row{401, 16}, Row{403, 7}, Row{404, 12}, Row{408, 4},
                         Row{413, 8}, Row{429, 14}, Row{500, 13}, Row{502, 14}, Row{503, 14},
                         Row{504, 4}, Row{421, 2}, Row{418, 2}}) {
    CAPTURE(row.http);
    CHECK(grpcStatusOf(row.http) == row.grpc);
  }
}

TEST_CASE("A grpc-message has percent, control bytes and what is not ASCII encoded") {
  std::array<std::byte, 256> block;
  Arena arena(block);
  CHECK(grpcMessage("404 Not Found", arena) == "404 Not Found");
  CHECK(grpcMessage("50%\n\xc3\xa4", arena) == "50%25%0A%C3%A4");
}

TEST_CASE("RFC 6455 §4.2.2: Sec-WebSocket-Accept follows from the key") {
  const auto text = [](std::string_view key) {
    const auto accept = webSocketAccept(key);
    return std::string(accept.data(), accept.size());
  };
  CHECK(text("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  CHECK(text("x3JJHMbDL1EzLkh9GBhXDw==") == "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
}

}  // namespace hyperway::http
