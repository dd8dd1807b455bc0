// SPDX-License-Identifier: Apache-2.0
#include "http/head.hpp"

namespace hyperway::http {

Method methodId(std::string_view token) noexcept {
  switch (token.size()) {
    case 3:
      if (token == "GET") return Method::Get;
      if (token == "PUT") return Method::Put;
      break;
    case 4:
      if (token == "POST") return Method::Post;
      if (token == "HEAD") return Method::Head;
      break;
    case 5:
      if (token == "PATCH") return Method::Patch;
      if (token == "TRACE") return Method::Trace;
      break;
    case 6:
      if (token == "DELETE") return Method::Delete;
      break;
    case 7:
      if (token == "OPTIONS") return Method::Options;
      if (token == "CONNECT") return Method::Connect;
      break;
    default: break;
  }
  return Method::Other;
}

bool isIdempotent(Method method) noexcept {
  switch (method) {
    case Method::Get:
    case Method::Head:
    case Method::Put:
    case Method::Delete:
    case Method::Options:
    case Method::Trace: return true;
    case Method::Post:
    case Method::Patch:
    case Method::Connect:
    case Method::Other: return false;
  }
  return false;
}

}  // namespace hyperway::http
