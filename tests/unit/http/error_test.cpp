// SPDX-License-Identifier: Apache-2.0
#include "http/error.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "http/head.hpp"

using namespace hyperway::http;

TEST_CASE("Every HTTP error has a status and a name of its own") {
  std::set<std::string_view> names;
  for (unsigned i = 0; i <= static_cast<unsigned>(HttpError::Truncated); ++i) {
    const auto error = static_cast<HttpError>(i);
    CAPTURE(i);
    CHECK(nameOf(error) != "unknown");
    CHECK(names.insert(nameOf(error)).second);
    CHECK(statusOf(error) >= 400);
    CHECK_FALSE(reasonPhrase(statusOf(error)).empty());
  }
}

TEST_CASE("Errors that have a status of their own get it, all others are 400") {
  struct Row {
    HttpError error;
    unsigned status;
  };
  for (const Row& row :
       {Row{HttpError::UnsupportedVersion, 505}, Row{HttpError::BadVersion, 400},
        Row{HttpError::UriTooLong, 414}, Row{HttpError::HeadTooLarge, 431},
        Row{HttpError::TooManyFields, 431}, Row{HttpError::BodyTooLarge, 413},
        Row{HttpError::BadExpect, 417}, Row{HttpError::UnsupportedTransferEncoding, 501},
        Row{HttpError::BadTransferEncoding, 400}, Row{HttpError::MethodNotSupported, 501},
        Row{HttpError::BadStatusLine, 502}, Row{HttpError::UnexpectedUpgrade, 502},
        Row{HttpError::ConflictingLength, 400}, Row{HttpError::HostMismatch, 400}}) {
    CAPTURE(nameOf(row.error));
    CHECK(statusOf(row.error) == row.status);
  }
}

TEST_CASE("Every registered status has its reason phrase, an unknown one has none") {
  for (const int status :
       {100, 101, 102, 103, 200, 201, 202, 203, 204, 205, 206, 207, 300, 301, 302, 303, 304, 307,
        308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416,
        417, 421, 422, 425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 507, 508, 511}) {
    CAPTURE(status);
    CHECK_FALSE(reasonPhrase(static_cast<std::uint16_t>(status)).empty());
  }
  CHECK(reasonPhrase(200) == "OK");
  CHECK(reasonPhrase(404) == "Not Found");
  CHECK(reasonPhrase(504) == "Gateway Timeout");
  CHECK(reasonPhrase(599).empty());
}

TEST_CASE("Methods are case-sensitive, and only the standard's idempotent ones may be repeated") {
  struct Row {
    std::string_view token;
    Method method;
    bool idempotent;
  };
  for (const Row& row :
       {Row{"GET", Method::Get, true}, Row{"HEAD", Method::Head, true},
        Row{"POST", Method::Post, false}, Row{"PUT", Method::Put, true},
        Row{"DELETE", Method::Delete, true}, Row{"CONNECT", Method::Connect, false},
        Row{"OPTIONS", Method::Options, true}, Row{"TRACE", Method::Trace, true},
        Row{"PATCH", Method::Patch, false}, Row{"get", Method::Other, false},
        Row{"PROPFIND", Method::Other, false}, Row{"", Method::Other, false},
        Row{"GE", Method::Other, false}, Row{"DELETF", Method::Other, false}}) {
    CAPTURE(row.token);
    CHECK(methodId(row.token) == row.method);
    CHECK(isIdempotent(row.method) == row.idempotent);
  }
}
