// SPDX-License-Identifier: Apache-2.0
#include "hyperway/sdk/json.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <variant>

namespace hyperway::sdk::json {
namespace {

Value parsed(std::string_view text) {
  auto result = Parser::parse(text);
  CAPTURE(text);
  REQUIRE(std::holds_alternative<Value>(result));
  return std::get<Value>(result);
}

TEST_CASE("json: every kind of value is read as what it is") {
  CHECK(parsed(" null ").type() == Value::Type::Null);
  CHECK(parsed("true").boolean());
  CHECK(parsed("false").type() == Value::Type::Boolean);
  CHECK(parsed("-0").integer() == 0);
  CHECK(parsed("9223372036854775807").integer() == 9223372036854775807);
  CHECK(parsed("-12").type() == Value::Type::Integer);
  CHECK(parsed("9223372036854775808").type() == Value::Type::Real);
  CHECK(parsed("1.5e2").real() == 150);
  CHECK(parsed("3").real() == 3);
  CHECK(parsed("[]").items().empty());
  CHECK(parsed("[1, [2]]").items()[1].items()[0].integer() == 2);
  const Value object = parsed(R"({"a": {"b": 1}, "": 2})");
  CHECK(object.find("a")->find("b")->integer() == 1);
  CHECK(object.find("")->integer() == 2);
  CHECK((object.find("c") == nullptr));
  CHECK(object.text().empty());
}

TEST_CASE("json: strings are unescaped, UTF-8 stays as it is") {
  CHECK(parsed(R"("a\"\\\/\b\f\n\r\t")").text() == "a\"\\/\b\f\n\r\t");
  CHECK(parsed(R"("\u0041\u00e4\u20AC\ud83d\ude00")").text() ==
        "A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
  CHECK(parsed("\"\xc3\xa4\xf0\x9f\x98\x80\"").text() == "\xc3\xa4\xf0\x9f\x98\x80");
  CHECK(parsed(R"("\u0000")").text() == std::string(1, '\0'));
}

TEST_CASE("json: what RFC 8259 does not allow is refused, with the place") {
  struct Row {
    std::string_view text, pointer;
    std::size_t offset;
  };
  for (const Row& row : {
           Row{"", "", 0},
           Row{"nul", "", 0},
           Row{"01", "", 1},
           Row{"1.", "", 2},
           Row{"1e", "", 2},
           Row{"+1", "", 0},
           Row{".5", "", 0},
           Row{"1e999", "", 5},
           Row{"NaN", "", 0},
           Row{"[1,]", "/1", 3},
           Row{"[1 2]", "", 3},
           Row{"{\"a\":1,}", "", 7},
           Row{"{a:1}", "", 1},
           Row{"{\"a\" 1}", "/a", 5},
           Row{"{\"a\":1,\"a\":2}", "/a", 10},
           Row{R"({"x/y": {"~": [0, tru]}})", "/x~1y/~0/1", 18},
           Row{"\"a", "", 2},
           Row{"\"\x01\"", "", 1},
           Row{R"("\x")", "", 2},
           Row{R"("\u12g4")", "", 3},
           Row{R"("\ud800")", "", 7},
           Row{R"("\udc00")", "", 7},
           Row{R"("\ud800\u0041")", "", 13},
           Row{"\"\xff\"", "", 1},
           Row{"\"\xc0\x80\"", "", 1},
           Row{"\"\xe0\x80\x80\"", "", 1},
           Row{"\"\xed\xa0\x80\"", "", 1},
           Row{"\"\xf4\x90\x80\x80\"", "", 1},
           Row{"\"\xc3", "", 1},
           Row{"1 2", "", 2},
           Row{"// x\n1", "", 0},
       }) {
    CAPTURE(row.text);
    const auto result = Parser::parse(row.text);
    REQUIRE(std::holds_alternative<ParseError>(result));
    CHECK(std::get<ParseError>(result).pointer == row.pointer);
    CHECK(std::get<ParseError>(result).offset == row.offset);
    CHECK_FALSE(std::get<ParseError>(result).message.empty());
  }
}

TEST_CASE("json: nesting is bounded, so that the stack is") {
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '[') +
           std::string(static_cast<std::size_t>(depth), ']');
  };
  CHECK(std::holds_alternative<Value>(Parser::parse(nested(Parser::kMaxDepth + 1))));
  CHECK(std::holds_alternative<ParseError>(Parser::parse(nested(Parser::kMaxDepth + 2))));
  CHECK(std::holds_alternative<ParseError>(Parser::parse(std::string(1'000'000, '['))));
}

}  // namespace
}  // namespace hyperway::sdk::json
