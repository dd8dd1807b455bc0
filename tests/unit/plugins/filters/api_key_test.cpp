// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "hyperway/sdk/fake_host.hpp"

extern "C" {
#include "api_key/sha256.h"
extern const hw_plugin_manifest hyperway_plugin_v1_api_key;
}

namespace hyperway {
namespace {

std::string sha256(std::string_view text) {
  std::uint8_t digest[32];
  api_key_sha256(reinterpret_cast<const std::uint8_t*>(text.data()), text.size(), digest);
  std::string out;
  for (const std::uint8_t byte : digest) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

struct Fixture {
  sdk::FakeHost host;
  sdk::FakePlugin plugin{host, hyperway_plugin_v1_api_key};
  [[nodiscard]] static std::string keys(std::string_view more = "") {
    return R"({"keys": [{"name": "ann", "sha256": ")" + sha256("secret-a") + R"("}, {"sha256": ")" +
           sha256("secret-b") + R"(", "name": "bob"}])" + std::string(more) + "}";
  }
};

TEST_CASE("api_key: SHA-256 is SHA-256 (FIPS 180-4 examples, all padding lengths)") {
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256(std::string(1'000'000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE_FIXTURE(Fixture, "api_key: a known key passes, is taken out, and names its owner") {
  auto filter = plugin.filter("api_key", keys(R"(, "nameHeader": "X-Client")"));
  REQUIRE(filter.accepted());
  auto stream = filter.stream();
  stream.request.add("X-API-Key", "secret-b");
  stream.request.add("x-client", "admin");  // A client must not choose its name.
  CHECK(stream.requestHead() == HW_FLOW_CONTINUE);
  CHECK_FALSE(stream.request.has("x-api-key"));
  CHECK(stream.request.all("x-client") == std::vector<std::string>{"bob"});
}

TEST_CASE_FIXTURE(Fixture, "api_key: no key, an empty or a wrong one get 401, never the backend") {
  auto filter = plugin.filter("api_key", keys());
  for (const std::string_view key : {"<none>", "", "secret-", "secret-aa", "SECRET-A", "ann"}) {
    CAPTURE(key);
    auto stream = filter.stream();
    if (key != "<none>") stream.request.add("x-api-key", std::string(key));
    CHECK(stream.requestHead() == HW_FLOW_RESPONDED);
    CHECK(stream.answer->status == 401);
    CHECK(stream.answer->fields.has("www-authenticate"));
  }
}

TEST_CASE_FIXTURE(
    Fixture, "api_key: the key stays where the backend wants it, in the header that is named") {
  auto filter =
      plugin.filter("api_key", keys(R"(, "header": "authorization", "forwardKey": true)"));
  REQUIRE(filter.accepted());
  auto stream = filter.stream();
  stream.request.add("Authorization", "secret-a");
  CHECK(stream.requestHead() == HW_FLOW_CONTINUE);
  CHECK(stream.request.get("authorization") == "secret-a");
}

TEST_CASE_FIXTURE(Fixture, "api_key refuses other configurations, at their place") {
  struct Row {
    std::string json, pointers;
  };
  const std::string digest = sha256("x");
  for (const Row& row : {
           Row{"", "(root)"},
           Row{"[]", "(root)"},
           Row{"{}", "/keys"},
           Row{R"({"keys": []})", "/keys"},
           Row{R"({"keys": {}})", "/keys"},
           Row{R"({"keys": [{"name": "a"}]})", "/keys/0"},
           Row{R"({"keys": [{"name": "", "sha256": ")" + digest + R"("}]})", "/keys/0"},
           Row{R"({"keys": [{"name": "a", "sha256": "12"}]})", "/keys/0"},
           Row{R"({"keys": [{"name": "a", "sha256": ")" + std::string(64, 'g') + R"("}]})",
               "/keys/0"},
           Row{R"({"keys": [{"name": "a", "key": "plain"}]})", "/keys/0"},
           Row{R"({"keys": [{"name": "a", "sha256": ")" + digest + R"("}, 3]})", "/keys/1"},
           Row{keys(R"(, "header": "a b")"), "/header"},
           Row{keys(R"(, "nameHeader": "")"), "/nameHeader"},
           Row{keys(R"(, "forwardKey": 1)"), "/forwardKey"},
           Row{keys(R"(, "other": 1)"), "/other"},
           Row{keys() + "x", "(root)"},
           Row{keys().substr(0, keys().size() - 1), "(root)"},
       }) {
    CAPTURE(row.json);
    auto filter = plugin.filter("api_key", row.json);
    CHECK_FALSE(filter.accepted());
    CHECK(filter.pointers() == row.pointers);
  }
}

TEST_CASE_FIXTURE(Fixture, "api_key says so if the host lacks what it needs") {
  host.without["hyperway.stream/1"] = true;
  auto filter = plugin.filter("api_key", keys());
  CHECK_FALSE(filter.accepted());
}

}  // namespace
}  // namespace hyperway
