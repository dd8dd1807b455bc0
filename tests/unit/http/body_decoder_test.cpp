// SPDX-License-Identifier: Apache-2.0
#include "http/body_decoder.hpp"

#include <doctest/doctest.h>

#include <string>

#include "message_harness.hpp"

using namespace hyperway;
using namespace hyperway::http;
using namespace std::string_view_literals;

namespace {
constexpr Framing kChunked{BodyKind::Chunked, 0};
}

TEST_CASE("A body of a length ends after exactly that many bytes") {
  const DecodedBody body("hellonext", {BodyKind::Length, 5});
  CHECK(body.outcome() == "end");
  CHECK(body.data == "hello");
  CHECK(body.consumed == 5);
  CHECK(body.done);
  const DecodedBody cut("hell", {BodyKind::Length, 5});
  CHECK(cut.outcome() == "more");
  CHECK_FALSE(cut.close_is_end);
  const DecodedBody whole("hello", {BodyKind::Length, 5});
  CHECK(whole.close_is_end);
}

TEST_CASE("No body ends at once and takes nothing") {
  const DecodedBody body("next", {BodyKind::None, 0});
  CHECK(body.outcome() == "end");
  CHECK(body.consumed == 0);
  CHECK(body.close_is_end);
  // A length that HEAD or 304 named must not be waited for.
  CHECK(DecodedBody("next", {BodyKind::None, 5}).consumed == 0);
}

TEST_CASE("A body until close, and a tunnel, end with the connection only") {
  for (const BodyKind kind : {BodyKind::UntilClose, BodyKind::Tunnel}) {
    const DecodedBody body("any bytes\0"sv, {kind, 0});
    CHECK(body.outcome() == "more");
    CHECK(body.data == "any bytes\0"sv);
    CHECK_FALSE(body.done);
    CHECK(body.close_is_end);
  }
}

TEST_CASE("Bytes that went past the decoder count towards the length") {
  TestArena arena;
  HeaderMap trailers(*arena);
  BodyDecoder decoder;
  decoder.begin({BodyKind::Length, 10});
  CHECK(decoder.next("abc", trailers).data == "abc");
  CHECK(decoder.remaining() == 7);
  decoder.skip(5);
  CHECK(decoder.remaining() == 2);
  CHECK_FALSE(decoder.closeIsEnd());
  decoder.skip(2);
  CHECK(decoder.closeIsEnd());
  CHECK(decoder.next("next", trailers).event == BodyDecoder::Event::End);
  CHECK(decoder.done());
}

TEST_CASE("RFC 9112 §7.1: chunks are joined, extensions dropped, trailers kept") {
  struct Row {
    std::string_view text, data, trailers;
  };
  for (const Row& row : {
           Row{"0\r\n\r\n", "", ""},
           Row{"5\r\nhello\r\n0\r\n\r\n", "hello", ""},
           Row{"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc", ""},
           Row{"A\r\n0123456789\r\n0\r\n\r\n", "0123456789", ""},
           Row{"a\r\n0123456789\r\n0\r\n\r\n", "0123456789", ""},
           Row{"0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", "hello", ""},
           Row{"2\r\n\r\n\r\n0\r\n\r\n", "\r\n", ""},
           Row{"5;a\r\nhello\r\n0;b;c\r\n\r\n", "hello", ""},
           Row{"5;a=b;c=\"d;e\\\"\xe4\t \"\r\nhello\r\n0\r\n\r\n", "hello", ""},
           Row{"5 ; a = b\t;c\r\nhello\r\n0\r\n\r\n", "hello", ""},
           Row{"0\r\nX: 1\r\nGrpc-Status:0\r\nX:\t two \r\nE:\r\n\r\n", "",
               "X=1;Grpc-Status=0;X=two;E=;"},
       }) {
    CAPTURE(row.text);
    const std::string text = std::string(row.text) + "NEXT";
    for (std::size_t piece = 1; piece <= text.size(); ++piece) {
      CAPTURE(piece);
      const DecodedBody body(text, kChunked, piece);
      REQUIRE(body.outcome() == "end");
      CHECK(body.data == row.data);
      CHECK(flat(body.trailers) == row.trailers);
      CHECK(body.consumed == row.text.size());
      CHECK(body.done);
    }
  }
}

TEST_CASE("Chunked framing that any reader could take otherwise is refused") {
  struct Row {
    std::string_view text, outcome;
  };
  for (const Row& row : {
           Row{"\r\n", "bad_chunk"},
           Row{"x\r\n", "bad_chunk"},
           Row{" 5\r\n", "bad_chunk"},
           Row{"-5\r\n", "bad_chunk"},
           Row{"+5\r\n", "bad_chunk"},
           Row{"0x5\r\n", "bad_chunk"},
           Row{"5h\r\n", "bad_chunk"},
           Row{"5 \r\n", "bad_chunk"},
           Row{"5\t\r\n", "bad_chunk"},
           Row{"5 5\r\n", "bad_chunk"},
           Row{"5,5\r\n", "bad_chunk"},
           Row{"\xb2\r\n", "bad_chunk"},
           Row{"00000000000000005\r\n", "bad_chunk"},
           Row{"FFFFFFFFFFFFFFFF\r\n", "bad_chunk"},
           Row{"8000000000000000\r\n", "bad_chunk"},
           Row{"10000000000000000\r\n", "bad_chunk"},
           Row{";a\r\n", "bad_chunk"},
           // Line ends.
           Row{"\n", "bad_line_end"},
           Row{"5\nhello\r\n", "bad_line_end"},
           Row{"5\r5\r\n", "bad_line_end"},
           Row{"5\r\r\n", "bad_line_end"},
           Row{"5\r\nhello\n0\r\n", "bad_chunk"},
           Row{"5\r\nhello\rx", "bad_line_end"},
           Row{"5\r\nhello0\r\n\r\n", "bad_chunk"},
           Row{"5\r\nhello!\r\n0\r\n\r\n", "bad_chunk"},
           Row{"5\r\nhello\r\n\r\n", "bad_chunk"},
           Row{"5\r\nhelloX\n", "bad_chunk"},
           // Extensions, the home of a bare LF.
           Row{"5;\nhello\r\n", "bad_line_end"},
           Row{"5;a\nhello\r\n", "bad_line_end"},
           Row{"5;a=\nhello", "bad_line_end"},
           Row{"5;a=b\nhello", "bad_line_end"},
           Row{"5;a=\"\nb\"\r\n", "bad_line_end"},
           Row{"5;a=\"\\\nb\"\r\n", "bad_line_end"},
           Row{"5;a=\"\rb\"\r\n", "bad_chunk"},
           Row{"5;a=\"\\\rb\"\r\n", "bad_chunk"},
           Row{"5;a\rb\r\n", "bad_line_end"},
           Row{"5;a=b\rc\r\n", "bad_line_end"},
           Row{"5;\r\n", "bad_chunk"},
           Row{"5;;a\r\n", "bad_chunk"},
           Row{"5;a;\r\n", "bad_chunk"},
           Row{"5;a=\r\n", "bad_chunk"},
           Row{"5;a=;b\r\n", "bad_chunk"},
           Row{"5;a b\r\n", "bad_chunk"},
           Row{"5;a=b c\r\n", "bad_chunk"},
           Row{"5;a=\"b\"c\r\n", "bad_chunk"},
           Row{"5;a \r\n", "bad_chunk"},
           Row{"5;=b\r\n", "bad_chunk"},
           Row{"5;a=b=c\r\n", "bad_chunk"},
           Row{"5;a\0\r\n"sv, "bad_chunk"},
           Row{"5;a=\"\0\"\r\n"sv, "bad_chunk"},
           Row{"5;a=\"\x7f\"\r\n", "bad_chunk"},
           Row{"5;\xe4\r\n", "bad_chunk"},
           // Trailers.
           Row{"0\r\n\n", "bad_line_end"},
           Row{"0\r\nX: 1\n\r\n", "bad_line_end"},
           Row{"0\r\nX: 1\rY: 2\r\n", "bad_line_end"},
           Row{"0\r\n\rX", "bad_line_end"},
           Row{"0\r\nX : 1\r\n\r\n", "space_before_colon"},
           Row{"0\r\n X: 1\r\n\r\n", "obsolete_fold"},
           Row{"0\r\nX: 1\r\n y\r\n\r\n", "obsolete_fold"},
           Row{"0\r\n: 1\r\n\r\n", "bad_field_name"},
           Row{"0\r\nX\r\n\r\n", "bad_field_name"},
           Row{"0\r\nX: \0\r\n\r\n"sv, "bad_trailer"},
           Row{"0\r\nX: \x7f\r\n\r\n", "bad_trailer"},
           Row{"0\r\nGET / HTTP/1.1\r\n\r\n", "space_before_colon"},
       }) {
    CAPTURE(row.text);
    for (std::size_t piece = 1; piece <= row.text.size(); ++piece) {
      CAPTURE(piece);
      const DecodedBody body(row.text, kChunked, piece);
      REQUIRE(body.outcome() == row.outcome);
      CHECK_FALSE(body.done);
      CHECK_FALSE(body.close_is_end);
    }
  }
}

TEST_CASE("RFC 9110 §6.5.1: fields that a head is judged by may not come in trailers") {
  for (const std::string_view name : {"Host",
                                      "Content-Length",
                                      "Transfer-Encoding",
                                      "Trailer",
                                      "TE",
                                      "Connection",
                                      "Keep-Alive",
                                      "Upgrade",
                                      "Expect",
                                      "Authorization",
                                      "Proxy-Authorization",
                                      "Cookie",
                                      "Set-Cookie",
                                      "Content-Type",
                                      "Content-Encoding",
                                      "Content-Range",
                                      "X-Forwarded-For",
                                      "X-Forwarded-Port",
                                      "Forwarded",
                                      "Cache-Control",
                                      "Range",
                                      "If-Match",
                                      "Location",
                                      "Content_Length",
                                      "X_Forwarded_For",
                                      "host"}) {
    CAPTURE(name);
    const std::string text = "0\r\n" + std::string(name) + ": 1\r\n\r\n";
    CHECK(DecodedBody(text, kChunked).outcome() == "bad_trailer");
    CHECK(DecodedBody(text, kChunked, 1).outcome() == "bad_trailer");
  }
}

TEST_CASE("Extensions and trailers are bounded over the whole body, however they come") {
  const auto chunks = [](std::size_t count, std::size_t extension) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i)
      text += "1;" + std::string(extension, 'e') + "\r\nx\r\n";
    return text + "0\r\n\r\n";
  };
  CHECK(DecodedBody(chunks(40, 100), kChunked).outcome() == "end");
  CHECK(DecodedBody(chunks(42, 100), kChunked).outcome() == "bad_chunk");
  CHECK(DecodedBody(chunks(1, 5000), kChunked).outcome() == "bad_chunk");

  const auto trailers = [](std::size_t count, std::size_t size) {
    std::string text = "0\r\n";
    for (std::size_t i = 0; i < count; ++i) text += "X:" + std::string(size, 'v') + "\r\n";
    return text + "\r\n";
  };
  for (const std::size_t piece : {1U, 7U, 100'000U}) {
    CAPTURE(piece);
    CHECK(DecodedBody(trailers(64, 100), kChunked, piece).outcome() == "end");
    CHECK(DecodedBody(trailers(65, 1), kChunked, piece).outcome() == "bad_trailer");
    CHECK(DecodedBody(trailers(1, 8190), kChunked, piece).outcome() == "end");
    CHECK(DecodedBody(trailers(1, 8191), kChunked, piece).outcome() == "bad_trailer");
    CHECK(DecodedBody(trailers(2, 5000), kChunked, piece).outcome() == "bad_trailer");
    // Without an end in sight, too.
    CHECK(DecodedBody("0\r\nX:" + std::string(9000, 'v'), kChunked, piece).outcome() ==
          "bad_trailer");
  }
}

TEST_CASE("A chunked body that is cut anywhere is truncated") {
  constexpr std::string_view text = "5;a=b\r\nhello\r\n0\r\nX: 1\r\n\r\n";
  for (std::size_t size = 0; size < text.size(); ++size) {
    CAPTURE(size);
    const DecodedBody body(text.substr(0, size), kChunked);
    CHECK(body.outcome() == "more");
    CHECK_FALSE(body.close_is_end);
  }
}

TEST_CASE("After an error every further byte is an error") {
  TestArena arena;
  HeaderMap trailers(*arena);
  BodyDecoder decoder;
  decoder.begin(kChunked);
  CHECK(decoder.next("x", trailers).event == BodyDecoder::Event::Bad);
  CHECK(decoder.next("0\r\n\r\n", trailers).event == BodyDecoder::Event::Bad);
  decoder.begin(kChunked);
  CHECK(decoder.next("0\r\n\r\n", trailers).event == BodyDecoder::Event::End);
  CHECK(decoder.next("0\r\n\r\n", trailers).event == BodyDecoder::Event::End);
  CHECK(decoder.next("0\r\n\r\n", trailers).consumed == 0);
}
