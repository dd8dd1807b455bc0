// SPDX-License-Identifier: Apache-2.0
#include "http/h2_request.hpp"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hyperway::http {
namespace {

using Lines = std::vector<std::pair<std::string_view, std::string_view>>;

/// A head read from lines.
struct Read {
  explicit Read(const Lines& lines, bool end = true, H1Limits the_limits = {})
      : limits(the_limits) {
    for (const auto& [name, value] : lines) reader.field(name, value);
    error = reader.finish(end);
  }
  std::array<std::byte, 4096> memory;
  Arena arena{memory};
  RequestHead head{arena};
  H1Limits limits;
  H2RequestReader reader{limits, head};
  HttpError error = HttpError::None;
};

/// The usual four, and more.
Lines get(Lines more = {}) {
  Lines all = {{":method", "GET"}, {":scheme", "http"}, {":authority", "a.b"}, {":path", "/x?y"}};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

/// The usual four with one of them replaced, or left out if `value` is null.
Lines with(std::string_view name, std::string_view value) {
  Lines all = get();
  std::erase_if(all, [&](const auto& each) { return each.first == name; });
  if (value.data() != nullptr) all.insert(all.begin(), {name, value});
  return all;
}

}  // namespace

TEST_CASE("http: a request of HTTP/2 becomes the head that HTTP/1 would give") {
  const Read read(get({{"accept", "*/*"}, {"host", "A.B:80"}}));
  REQUIRE(read.error == HttpError::None);
  CHECK(read.head.method == "GET");
  CHECK(read.head.method_id == Method::Get);
  CHECK(read.head.version == Version::Http2);
  CHECK(read.head.path == "/x");
  CHECK(read.head.query == "y");
  CHECK(read.head.has_query);
  CHECK(read.head.authority == "a.b");
  CHECK(read.head.host == "a.b");
  CHECK(read.head.framing.kind == BodyKind::None);
  CHECK(read.head.fields.count() == 1);
}

TEST_CASE("http: the end of an HTTP/2 request and its content-length decide the framing") {
  struct Row {
    std::string_view length;
    bool end;
    HttpError error;
    BodyKind kind;
  };
  for (const Row& row :
       {Row{"", true, HttpError::None, BodyKind::None},
        Row{"", false, HttpError::None, BodyKind::Chunked},
        Row{"0", true, HttpError::None, BodyKind::None},
        Row{"0", false, HttpError::None, BodyKind::Chunked},
        Row{"5", false, HttpError::None, BodyKind::Length},
        Row{"5", true, HttpError::BadContentLength, BodyKind::None},
        Row{"+5", false, HttpError::BadContentLength, BodyKind::None},
        Row{"5,5", false, HttpError::BadContentLength, BodyKind::None},
        Row{"99999999999999999999", false, HttpError::BadContentLength, BodyKind::None}}) {
    CAPTURE(row.length);
    CAPTURE(row.end);
    const Read read(row.length.empty() ? get() : get({{"content-length", row.length}}), row.end);
    CHECK(read.error == row.error);
    CHECK(read.head.framing.kind == row.kind);
  }
  CHECK(Read(get({{"content-length", "5"}, {"content-length", "5"}}), false).error ==
        HttpError::ConflictingLength);
}

TEST_CASE("http: pseudo fields come once, first, and are known") {
  for (const Lines& lines :
       {get({{":method", "GET"}}), get({{":path", "/"}}), get({{"a", "b"}, {":authority", "c"}}),
        get({{":status", "200"}}), get({{":", "x"}}), Lines{{"a", "b"}, {":method", "GET"}}})
    CHECK(Read(lines).error == HttpError::BadRequestLine);
}

TEST_CASE("http: what cannot be written as HTTP/1 in one way only is refused") {
  struct Row {
    Lines lines;
    HttpError error;
  };
  using namespace std::string_view_literals;
  const std::vector<Row> rows = {
      {with(":method", {}), HttpError::BadMethod},
      {with(":method", ""), HttpError::BadMethod},
      {with(":method", "GET /evil HTTP/1.1\r\nX:"), HttpError::BadMethod},
      {with(":method", "G T"), HttpError::BadMethod},
      {with(":method", "CONNECT"), HttpError::MethodNotSupported},
      {with(":scheme", {}), HttpError::BadTarget},
      {with(":scheme", "http://x/"), HttpError::BadTarget},
      {with(":scheme", "ftp"), HttpError::BadTarget},
      {with(":path", {}), HttpError::BadTarget},
      {with(":path", ""), HttpError::BadTarget},
      {with(":path", "x"), HttpError::BadTarget},
      {with(":path", "*"), HttpError::BadTarget},
      {with(":path", "http://other/"), HttpError::BadTarget},
      {with(":path", "/ HTTP/1.1\r\nA: b"), HttpError::BadPath},
      {with(":path", "/\0"sv), HttpError::BadPath},
      {with(":path", "/../.."), HttpError::BadPath},
      {with(":path", "/a#b"), HttpError::BadPath},
      {with(":path", "/a?b c"), HttpError::BadTarget},
      {with(":path", "/a?\r\n"), HttpError::BadTarget},
      {with(":authority", {}), HttpError::MissingHost},
      {with(":authority", "a b"), HttpError::BadHost},
      {with(":authority", "u@a"), HttpError::BadHost},
      {with(":authority", "a\r\nX: y"), HttpError::BadHost},
      {with(":authority", "a/b"), HttpError::BadHost},
      {get({{"host", "other"}}), HttpError::HostMismatch},
      {get({{"host", "a.b:8080"}}), HttpError::HostMismatch},
      {get({{"host", "a.b"}, {"host", "a.b"}}), HttpError::DuplicateHost},
      {get({{"", "x"}}), HttpError::BadFieldName},
      {get({{"Upper", "x"}}), HttpError::BadFieldName},
      {get({{"a b", "x"}}), HttpError::BadFieldName},
      {get({{"a:b", "x"}}), HttpError::BadFieldName},
      {get({{"a\r\nb", "x"}}), HttpError::BadFieldName},
      {get({{"a\0"sv, "x"}}), HttpError::BadFieldName},
      {get({{"content_length", "1"}}), HttpError::BadFieldName},
      {get({{"x_forwarded_for", "1"}}), HttpError::BadFieldName},
      {get({{"a", "x\r\nb: c"}}), HttpError::BadFieldValue},
      {get({{"a", "x\n"}}), HttpError::BadFieldValue},
      {get({{"a", "x\0y"sv}}), HttpError::BadFieldValue},
      {get({{"a", " x"}}), HttpError::BadFieldValue},
      {get({{"a", "x\t"}}), HttpError::BadFieldValue},
      {get({{"connection", "close"}}), HttpError::BadConnection},
      {get({{"keep-alive", "1"}}), HttpError::BadConnection},
      {get({{"proxy-connection", "close"}}), HttpError::BadConnection},
      {get({{"transfer-encoding", "chunked"}}), HttpError::BadConnection},
      {get({{"upgrade", "websocket"}}), HttpError::BadConnection},
      {get({{"te", "gzip"}}), HttpError::BadConnection},
      {get({{"te", "trailers, gzip"}}), HttpError::BadConnection},
      {get({{"expect", "200-ok"}}), HttpError::BadExpect},
  };
  for (const Row& row : rows) {
    CAPTURE(row.lines.front().second);
    CAPTURE(row.lines.back().first);
    CAPTURE(row.lines.back().second);
    CHECK(Read(row.lines).error == row.error);
  }
}

TEST_CASE("http: Host stands in for a missing :authority") {
  Lines lines = with(":authority", {});
  lines.emplace_back("host", "only.host:81");
  const Read read(lines);
  REQUIRE(read.error == HttpError::None);
  CHECK(read.head.authority == "only.host:81");
  CHECK(read.head.host == "only.host");
}

TEST_CASE("http: cookie lines of HTTP/2 become one, and fields of one hop go") {
  const Read read(get({{"cookie", "a=1"},
                       {"x", "y"},
                       {"cookie", ""},
                       {"cookie", "b=2"},
                       {"te", "trailers"},
                       {"trailer", "x"},
                       {"http2-settings", "x"}}));
  REQUIRE(read.error == HttpError::None);
  CHECK(read.head.fields.count() == 2);
  REQUIRE(read.head.fields.find("cookie") != nullptr);
  CHECK(read.head.fields.find("cookie")->value() == "a=1; b=2");
}

TEST_CASE("http: a head of HTTP/2 has the limits of HTTP/1's") {
  const H1Limits limits{.head_bytes = 200, .target_bytes = 20, .fields = 3};
  CHECK(Read(with(":path", "/0123456789012345678901"), true, limits).error ==
        HttpError::UriTooLong);
  CHECK(Read(get({{"a", "1"}, {"b", "1"}, {"c", "1"}}), true, limits).error == HttpError::None);
  CHECK(Read(get({{"a", "1"}, {"b", "1"}, {"c", "1"}, {"d", "1"}}), true, limits).error ==
        HttpError::TooManyFields);
  const std::string large(200, 'x');
  const Read read(get({{"a", large}, {"b", large}}), true, limits);
  CHECK(read.error == HttpError::HeadTooLarge);
  CHECK(read.reader.bytes() > 400);  // goes on counting
}

TEST_CASE("http: extended CONNECT for a WebSocket is the upgrade that HTTP/1 knows") {
  Lines lines = with(":method", "CONNECT");
  lines.insert(lines.begin(), {":protocol", "websocket"});
  const Read read(lines, false);
  REQUIRE(read.error == HttpError::None);
  CHECK(read.head.method == "GET");
  CHECK(read.head.upgrade == "websocket");
  CHECK(read.head.framing.kind == BodyKind::None);
  lines[0].second = "connect-udp";
  CHECK(Read(lines, false).error == HttpError::MethodNotSupported);
  Lines get_with = get();
  get_with.insert(get_with.begin(), {":protocol", "websocket"});
  CHECK(Read(get_with, false).error == HttpError::BadUpgrade);
}

TEST_CASE("http: trailers of HTTP/2 carry nothing that framing, routing or filters decided on") {
  std::array<std::byte, 4096> memory;
  Arena arena{memory};
  HeaderMap trailers(arena);
  std::size_t bytes = 0;
  CHECK(takeH2Trailer("grpc-status", "0", trailers, bytes) == HttpError::None);
  for (const std::string_view name : {"content-length", "host", "Upper", ":path", "", "a b",
                                      "transfer-encoding", "authorization", "x-forwarded-for"})
    CHECK(takeH2Trailer(name, "x", trailers, bytes) == HttpError::BadTrailer);
  CHECK(takeH2Trailer("a", "x\r\ny", trailers, bytes) == HttpError::BadTrailer);
  CHECK(takeH2Trailer("a", std::string(9000, 'x'), trailers, bytes) == HttpError::BadTrailer);
  CHECK(trailers.count() == 1);
}

}  // namespace hyperway::http
