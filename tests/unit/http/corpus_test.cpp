// SPDX-License-Identifier: Apache-2.0
// The raw-byte corpus of tests/integration/corpus at the level of the parser: what is refused with
// which status, what is forwarded, and how many messages a backend would see. The format is
// described in its README.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include <fstream>
#include <string>
#include <vector>

#include "../../fuzz/strict_message.hpp"
#include "base/bytes.hpp"
#include "message_harness.hpp"

using namespace hyperway;
using namespace hyperway::http;
using nlohmann::json;

namespace {

json loadCases(const std::string& file) {
  std::ifstream in(std::string(HYPERWAY_SOURCE_DIR) + "/tests/integration/corpus/" + file);
  REQUIRE_MESSAGE(in.good(), "the corpus file is missing: ", file);
  return json::parse(in);
}

// JSON text is UTF-8; each of its code points below 256 stands for that byte.
std::string latin1(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      out += text[i];
      continue;
    }
    REQUIRE_MESSAGE((lead == 0xc2 || lead == 0xc3), "a code point above 255 is no byte");
    out += static_cast<char>(((lead & 3) << 6) | (static_cast<unsigned char>(text[++i]) & 0x3f));
  }
  return out;
}

std::string bytesOf(const json& test) {
  if (test.contains("hex")) {
    const auto hex = test["hex"].get<std::string>();
    std::string out;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
      out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    return out;
  }
  const json& bytes = test["bytes"];
  if (bytes.is_string()) return latin1(bytes.get<std::string>());
  std::string out;
  for (const json& part : bytes) {
    if (part.is_string()) {
      out += latin1(part.get<std::string>());
      continue;
    }
    const std::string unit = latin1(part["repeat"].get<std::string>());
    for (int i = part["times"].get<int>(); i > 0; --i) out += unit;
  }
  return out;
}

// What one connection came to: the messages a strict backend reads, and how it ended.
struct Outcome {
  struct Message {
    std::string head;
    std::string body;
  };
  std::vector<Message> forwarded;
  HttpError error = HttpError::None;  // Set if the connection ended with an error response.
  bool incomplete = false;            // Ended inside a message.
};

Outcome serve(std::string_view rest) {
  Outcome outcome;
  while (!rest.empty()) {
    const ParsedRequest request(rest);
    if (!request.done()) {
      outcome.incomplete = request.needsMore();
      outcome.error = request.parse.error;
      return outcome;
    }
    const DecodedBody body(rest.substr(request.parse.consumed), request.head.framing);
    if (body.outcome() != "end") {
      outcome.incomplete = body.outcome() == "more";
      outcome.error = body.error;
      return outcome;
    }
    outcome.forwarded.push_back({request.written(), body.data});
    rest.remove_prefix(request.parse.consumed + body.consumed);
    if (!request.head.keep_alive || !request.head.upgrade.empty()) return outcome;
  }
  return outcome;
}

bool allows(const json& statuses, HttpError error) {
  return std::any_of(statuses.begin(), statuses.end(),
                     [error](const json& status) { return status == statusOf(error); });
}

void checkFields(const strict::Message& message, const json& expected) {
  for (const auto& [name, value] : expected["present"].items()) {
    CAPTURE(name);
    CHECK(message.all(strict::lower(name)) ==
          std::vector<std::string>{latin1(value.get<std::string>())});
  }
  for (const json& name : expected["absent"]) {
    CAPTURE(name);
    CHECK(message.all(strict::lower(name.get<std::string>())).empty());
  }
}

void checkRequest(const Outcome::Message& sent, const json& expected) {
  CAPTURE(sent.head);
  const auto message = strict::readRequest(sent.head);
  REQUIRE(message.has_value());
  CHECK(message->start[0] + " " + message->start[1] + " " + message->start[2] ==
        expected["start"].get<std::string>());
  checkFields(*message, expected);
  CHECK(sent.body == latin1(expected["body"].get<std::string>()));
}

void checkResponse(const json& test, std::string_view rest) {
  const json& expect = test["expect"];
  const json& wanted = test["request"];
  const bool head_request = wanted["method"] == "HEAD";
  const auto offered = wanted.value("upgrade", std::string());
  const auto interim = expect.value("interim", std::vector<int>{});
  for (std::size_t seen = 0;; ++seen) {
    const ParsedResponse response(rest, methodId(wanted["method"].get<std::string>()), offered);
    if (expect.contains("status") && (!response.done() || response.head.status >= 200)) {
      // Refused, or cut before its head was complete: the client gets a 502.
      CHECK_FALSE(response.done());
      if (response.outcome() == "more") CHECK(test["close"] == true);
      return;
    }
    REQUIRE(response.outcome() == "done");
    rest.remove_prefix(response.parse.consumed);
    if (response.head.status < 200 && response.head.status != 101) {
      if (!expect.contains("status")) {
        REQUIRE(seen < interim.size());
        CHECK(response.head.status == interim[seen]);
      }
      continue;
    }
    CHECK(seen == interim.size());
    const json& forward = expect["forward"];
    CHECK(response.head.status == forward["status"]);
    const std::string written = response.written({.head_request = head_request});
    const auto message = strict::readResponse(written, head_request);
    REQUIRE(message.has_value());
    checkFields(*message, forward);
    const DecodedBody body(rest, response.head.framing);
    CHECK(body.data == latin1(forward["body"].get<std::string>()));
    const bool complete =
        body.outcome() == "end" || (body.outcome() == "more" && body.close_is_end);
    CHECK(complete == expect["complete"].get<bool>());
    const bool reusable =
        body.outcome() == "end" && body.consumed == rest.size() && response.head.keep_alive;
    CHECK(reusable == expect["reusable"].get<bool>());
    return;
  }
}

}  // namespace

TEST_CASE("Every request of the corpus is refused or forwarded as it says, unambiguously") {
  const json cases = loadCases("requests.json");
  CHECK(cases.size() >= 150);
  for (const json& test : cases) {
    CAPTURE(test["name"].get<std::string>());
    const json& expect = test["expect"];
    const Outcome outcome = serve(bytesOf(test));
    CAPTURE(nameOf(outcome.error));
    REQUIRE(outcome.forwarded.size() == expect["backend_messages"].get<std::size_t>());
    for (std::size_t i = 0; i < outcome.forwarded.size(); ++i)
      checkRequest(outcome.forwarded[i], expect["forward"][i]);
    CHECK(outcome.incomplete == expect.value("incomplete", false));
    CHECK((outcome.error != HttpError::None) == expect.contains("status"));
    if (expect.contains("status")) CHECK(allows(expect["status"], outcome.error));
  }
}

TEST_CASE("Every backend answer of the corpus is refused or forwarded as it says, unambiguously") {
  const json cases = loadCases("responses.json");
  CHECK(cases.size() >= 40);
  for (const json& test : cases) {
    CAPTURE(test["name"].get<std::string>());
    checkResponse(test, bytesOf(test));
  }
}
