// SPDX-License-Identifier: Apache-2.0
#include "plugin/stream_service.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>

#include "fake_context.hpp"
#include "plugin/abi_bytes.hpp"
#include "plugin/header_names.hpp"

namespace hyperway::plugin {
namespace {

struct Fixture {
  FakeContext context;
  hw_stream_api api = streamApi();
  hw_stream* stream = asHandle(context);

  std::string get(std::int32_t map, std::string_view name) {
    hw_bytes value{};
    const hw_status status = api.field_get(stream, map, bytesOf(name), &value);
    return status == HW_OK ? std::string(viewOf(value)) : "status " + std::to_string(status);
  }
  std::string text(std::int32_t what) {
    hw_bytes value{};
    const hw_status status = api.text(stream, what, &value);
    return status == HW_OK ? std::string(viewOf(value)) : "status " + std::to_string(status);
  }
};

TEST_CASE_FIXTURE(
    Fixture,
    "stream/1: fields are set, added and removed without regard to case, by text and by handle") {
  for (const bool by_handle : {false, true}) {
    CAPTURE(by_handle);
    FakeContext fresh;
    stream = asHandle(fresh);
    http::HeaderMap& fields = fresh.request.fields;
    fields.add("X-One", "1");
    fields.add("Origin", "a");
    fields.add("x-one", "2");
    fields.add("ORIGIN", "b");
    const auto set = [&](std::string_view name, std::string_view value) {
      return by_handle
                 ? api.field_set_id(stream, HW_MAP_REQUEST, internHeaderName(name), bytesOf(value))
                 : api.field_set(stream, HW_MAP_REQUEST, bytesOf(name), bytesOf(value));
    };
    const auto add = [&](std::string_view name, std::string_view value) {
      return by_handle
                 ? api.field_add_id(stream, HW_MAP_REQUEST, internHeaderName(name), bytesOf(value))
                 : api.field_add(stream, HW_MAP_REQUEST, bytesOf(name), bytesOf(value));
    };
    const auto remove = [&](std::string_view name) {
      return by_handle ? api.field_remove_id(stream, HW_MAP_REQUEST, internHeaderName(name))
                       : api.field_remove(stream, HW_MAP_REQUEST, bytesOf(name));
    };
    CHECK(set("x-ONE", " new ") == HW_OK);
    CHECK(linesOf(fields) == "X-One: new|Origin: a|ORIGIN: b");
    CHECK(set("origin", "c") == HW_OK);
    CHECK(linesOf(fields) == "X-One: new|Origin: c");
    CHECK(add("X-Two", "2") == HW_OK);
    CHECK(add("x-two", "") == HW_OK);
    CHECK(linesOf(fields) == "X-One: new|Origin: c|X-Two: 2|x-two: ");
    CHECK(remove("X-TWO") == HW_OK);
    CHECK(remove("X-TWO") == HW_NOT_FOUND);
    CHECK(remove("origin") == HW_OK);
    CHECK(remove("origin") == HW_NOT_FOUND);
    CHECK(set("X-Two", "again") == HW_OK);
    CHECK(linesOf(fields) == "X-One: new|X-Two: again");
    CHECK(api.field_count(stream, HW_MAP_REQUEST) == 2);
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "stream/1: what frames a message or belongs to a connection cannot be edited") {
  for (const std::string_view name :
       {"Connection", "content-length", "Transfer-Encoding", "Upgrade", "Expect", "TE", "Trailer",
        "Keep-Alive", "Proxy-Connection", "HTTP2-Settings"}) {
    CAPTURE(name);
    CHECK(api.field_set(stream, HW_MAP_REQUEST, bytesOf(name), bytesOf("x")) == HW_REFUSED);
    CHECK(api.field_add_id(stream, HW_MAP_REQUEST, internHeaderName(name), bytesOf("x")) ==
          HW_REFUSED);
    CHECK(api.field_remove(stream, HW_MAP_REQUEST, bytesOf(name)) == HW_REFUSED);
    const hw_field field{bytesOf(name), bytesOf("x")};
    CHECK(api.respond(stream, 200, &field, 1, {}) == HW_REFUSED);
  }
  CHECK(linesOf(context.request.fields).empty());
  CHECK_FALSE(context.answer.has_value());
}

TEST_CASE_FIXTURE(Fixture, "stream/1: no name or value can split a message") {
  for (const std::string_view name : {"", "a b", "a:", "a\r\nb", "(x)", "\xc3\xa4"}) {
    CAPTURE(name);
    CHECK(api.field_set(stream, HW_MAP_REQUEST, bytesOf(name), bytesOf("x")) == HW_INVALID);
    CHECK(internHeaderName(name) == 0);
  }
  for (const std::string_view value :
       {std::string_view("a\r\nb: c"), std::string_view("a\nb"), std::string_view("a\rb"),
        std::string_view("a\0b", 3), std::string_view("\x7f")}) {
    CHECK(api.field_add(stream, HW_MAP_REQUEST, bytesOf("x"), bytesOf(value)) == HW_INVALID);
    const hw_field field{bytesOf("x"), bytesOf(value)};
    CHECK(api.respond(stream, 200, &field, 1, {}) == HW_INVALID);
  }
  CHECK(api.field_set_id(stream, HW_MAP_REQUEST, 0, bytesOf("x")) == HW_INVALID);
  CHECK(api.field_set_id(stream, HW_MAP_REQUEST, 65000, bytesOf("x")) == HW_INVALID);
  CHECK(linesOf(context.request.fields).empty());
}

TEST_CASE_FIXTURE(Fixture, "stream/1: Host is the authority") {
  CHECK(get(HW_MAP_REQUEST, "HOST") == "example.com");
  CHECK(api.field_set(stream, HW_MAP_REQUEST, bytesOf("Host"), bytesOf("b.test:81")) == HW_OK);
  CHECK(text(HW_TEXT_AUTHORITY) == "b.test:81");
  CHECK(text(HW_TEXT_HOST) == "example.com");
  CHECK(text(HW_TEXT_CLIENT_AUTHORITY) == "example.com:80");
  CHECK(api.field_set(stream, HW_MAP_REQUEST, bytesOf("Host"), bytesOf("a/b")) == HW_INVALID);
  CHECK(api.field_add(stream, HW_MAP_REQUEST, bytesOf("Host"), bytesOf("c")) == HW_REFUSED);
  CHECK(api.field_remove(stream, HW_MAP_REQUEST, bytesOf("Host")) == HW_REFUSED);
  CHECK(text(HW_TEXT_AUTHORITY) == "b.test:81");
}

TEST_CASE_FIXTURE(
    Fixture, "stream/1: maps that are not there are empty, heads that have left cannot be edited") {
  CHECK(get(HW_MAP_RESPONSE, "x") == "status " + std::to_string(HW_NOT_FOUND));
  CHECK(api.field_count(stream, HW_MAP_RESPONSE) == 0);
  CHECK(api.field_set(stream, HW_MAP_RESPONSE, bytesOf("x"), bytesOf("y")) == HW_WRONG_STATE);
  CHECK(api.field_set(stream, HW_MAP_REQUEST_TRAILERS, bytesOf("x"), bytesOf("y")) ==
        HW_WRONG_STATE);
  CHECK(api.field_set(stream, 9, bytesOf("x"), bytesOf("y")) == HW_UNSUPPORTED);
  context.has_response = context.has_trailers = true;
  CHECK(api.field_set(stream, HW_MAP_RESPONSE, bytesOf("x"), bytesOf("y")) == HW_OK);
  CHECK(get(HW_MAP_RESPONSE, "X") == "y");
  CHECK(api.field_add(stream, HW_MAP_RESPONSE_TRAILERS, bytesOf("x"), bytesOf("z")) == HW_OK);
  context.request_editable = context.response_editable = false;
  CHECK(api.field_set(stream, HW_MAP_REQUEST, bytesOf("x"), bytesOf("y")) == HW_WRONG_STATE);
  CHECK(api.field_set(stream, HW_MAP_RESPONSE, bytesOf("x"), bytesOf("q")) == HW_WRONG_STATE);
  CHECK(api.set_text(stream, HW_TEXT_PATH, bytesOf("/x")) == HW_WRONG_STATE);
  CHECK(api.set_number(stream, HW_NUMBER_STATUS, 201) == HW_WRONG_STATE);
  CHECK(get(HW_MAP_RESPONSE, "X") == "y");
}

TEST_CASE_FIXTURE(
    Fixture, "stream/1: fields are listed in order, removed ones left out; a name's values too") {
  http::HeaderMap& fields = context.request.fields;
  for (const auto& [name, value] : {std::pair{"A", "1"}, {"B", "2"}, {"a", "3"}, {"C", "4"}})
    fields.add(name, value);
  (void)fields.remove("b");
  std::string seen;
  for (std::uint32_t i = 0; i < api.field_count(stream, HW_MAP_REQUEST); ++i) {
    hw_field field{};
    REQUIRE(api.field_at(stream, HW_MAP_REQUEST, i, &field) == HW_OK);
    seen += std::string(viewOf(field.name)) + std::string(viewOf(field.value));
  }
  CHECK(seen == "A1a3C4");
  hw_field field{};
  CHECK(api.field_at(stream, HW_MAP_REQUEST, 3, &field) == HW_INVALID);

  std::uint32_t cursor = 0;
  hw_bytes value{};
  std::string values;
  while (api.field_next(stream, HW_MAP_REQUEST, bytesOf("a"), &cursor, &value) == HW_OK)
    values += viewOf(value);
  CHECK(values == "13");
}

TEST_CASE_FIXTURE(Fixture,
                  "stream/1: a path or query that a backend could read otherwise is not taken") {
  for (const std::string_view path : {"", "x", "/a b", "/a?b", "/a#b", "/a\\b", "/a\nb", "/\x80"}) {
    CAPTURE(path);
    CHECK(api.set_text(stream, HW_TEXT_PATH, bytesOf(path)) == HW_INVALID);
  }
  for (const std::string_view query : {"a b", "a#b", "a\r\n"})
    CHECK(api.set_text(stream, HW_TEXT_QUERY, bytesOf(query)) == HW_INVALID);
  CHECK(api.set_text(stream, HW_TEXT_METHOD, bytesOf("PUT")) == HW_REFUSED);
  CHECK(api.set_text(stream, 99, bytesOf("x")) == HW_UNSUPPORTED);
  CHECK(context.request.path == "/a/b");

  CHECK(api.set_text(stream, HW_TEXT_PATH, bytesOf("/c%20d")) == HW_OK);
  CHECK(api.set_text(stream, HW_TEXT_QUERY, bytesOf("e=f")) == HW_OK);
  CHECK(text(HW_TEXT_PATH) == "/c%20d");
  CHECK(text(HW_TEXT_QUERY) == "e=f");
  CHECK(context.request.has_query);
  CHECK(api.set_text(stream, HW_TEXT_QUERY, {}) == HW_OK);
  CHECK(text(HW_TEXT_QUERY) == "status " + std::to_string(HW_NOT_FOUND));
}

TEST_CASE_FIXTURE(Fixture, "stream/1: numbers say what is known, and only the status can be set") {
  std::int64_t value = 0;
  CHECK(api.number(stream, HW_NUMBER_PREFIX_SIZE, &value) == HW_NOT_FOUND);
  CHECK(api.number(stream, HW_NUMBER_STATUS, &value) == HW_NOT_FOUND);
  CHECK(api.number(stream, 77, &value) == HW_UNSUPPORTED);
  CHECK(api.number(stream, HW_NUMBER_REQUEST_LENGTH, &value) == HW_OK);
  CHECK(value == 0);
  context.request.framing = {http::BodyKind::Length, 42};
  CHECK(api.number(stream, HW_NUMBER_REQUEST_LENGTH, &value) == HW_OK);
  CHECK(value == 42);
  context.request.framing = {http::BodyKind::Chunked, 0};
  CHECK(api.number(stream, HW_NUMBER_REQUEST_LENGTH, &value) == HW_NOT_FOUND);
  context.facts.prefix_size = 2;
  CHECK(api.number(stream, HW_NUMBER_PREFIX_SIZE, &value) == HW_OK);
  CHECK(value == 2);
  context.has_response = true;
  CHECK(api.set_number(stream, HW_NUMBER_STATUS, 404) == HW_OK);
  CHECK(context.response.status == 404);
  CHECK(context.response.reason == "Not Found");
  CHECK(api.set_number(stream, HW_NUMBER_STATUS, 101) == HW_INVALID);
  CHECK(api.set_number(stream, HW_NUMBER_PEER_PORT, 1) == HW_REFUSED);
  CHECK(api.worker_index(stream) == 3);
}

TEST_CASE_FIXTURE(
    Fixture, "stream/1: an answer is final, framed by the host, and too late once a head is out") {
  const hw_field fields[] = {{bytesOf("x-a"), bytesOf(" 1 ")}, {bytesOf("x-b"), {}}};
  CHECK(api.respond(stream, 403, fields, 2, bytesOf("no")) == HW_OK);
  CHECK(*context.answer == "403|x-a=1|x-b=|no");
  CHECK(api.respond(stream, 100, nullptr, 0, {}) == HW_INVALID);
  CHECK(api.respond(stream, 600, nullptr, 0, {}) == HW_INVALID);
  context.response_out = true;
  CHECK(api.respond(stream, 200, nullptr, 0, {}) == HW_WRONG_STATE);
}

TEST_CASE_FIXTURE(Fixture, "stream/1: the arena is aligned and bounded") {
  for (const std::size_t alignment : {1U, 2U, 4U, 8U, 16U}) {
    void* memory = api.alloc(stream, 24, alignment);
    REQUIRE(memory != nullptr);
    CHECK(reinterpret_cast<std::uintptr_t>(memory) % alignment == 0);
  }
  for (const std::size_t alignment : {0U, 3U, 32U})
    CHECK(api.alloc(stream, 8, alignment) == nullptr);
  CHECK(api.alloc(stream, kMaxArenaBytes + 1, 8) == nullptr);
  std::size_t taken = 0;
  while (api.alloc(stream, 100'000, 8) != nullptr) taken += 100'000;
  CHECK(taken <= kMaxArenaBytes + 100'000);
  CHECK(taken >= kMaxArenaBytes / 2);
}

TEST_CASE_FIXTURE(Fixture,
                  "stream/1: resume takes one hook and reads unknown verdicts as a fault") {
  context.paused = HW_HOOK_REQUEST_HEAD | HW_HOOK_RESPONSE_BODY;
  CHECK(api.resume(stream, 0, 0) == HW_INVALID);
  CHECK(api.resume(stream, context.paused, 0) == HW_INVALID);
  CHECK(api.resume(stream, HW_INTEREST_PREFLIGHT, 0) == HW_INVALID);
  CHECK(api.resume(stream, HW_HOOK_REQUEST_BODY, 0) == HW_WRONG_STATE);
  CHECK(api.resume(stream, HW_HOOK_REQUEST_HEAD, HW_FLOW_CONTINUE) == HW_OK);
  CHECK(api.resume(stream, HW_HOOK_RESPONSE_BODY, 1234) == HW_OK);
  CHECK(context.resumed[HW_HOOK_REQUEST_HEAD] == proxy::Flow::Continue);
  CHECK(context.resumed[HW_HOOK_RESPONSE_BODY] == proxy::Flow::Fault);
}

TEST_CASE("body/1: edits keep the promised length unless the class said otherwise") {
  std::string bytes = "hello";
  const hw_body_api& api = bodyApi();
  {
    proxy::BodyChunk chunk{{bytes.data(), bytes.size()}};
    BodyHandle handle{chunk, false, true};
    CHECK(api.is_last(handle.handle()) == 1);
    CHECK(api.replace(handle.handle(), bytesOf("longer text")) == HW_REFUSED);
    CHECK(api.drain(handle.handle(), 1) == HW_REFUSED);
    CHECK(api.append(handle.handle(), bytesOf("x")) == HW_REFUSED);
    CHECK(api.replace(handle.handle(), bytesOf("HELLO")) == HW_OK);
    CHECK(api.drain(handle.handle(), 0) == HW_OK);
    CHECK(chunk.data() == "HELLO");
    *api.edit(handle.handle()) = 'J';
    CHECK(chunk.data() == "JELLO");
  }
  proxy::BodyChunk chunk{{bytes.data(), bytes.size()}};
  BodyHandle handle{chunk, true, false};
  CHECK(api.is_last(handle.handle()) == 0);
  CHECK(api.drain(handle.handle(), 6) == HW_INVALID);
  CHECK(api.drain(handle.handle(), 2) == HW_OK);
  CHECK(api.append(handle.handle(), bytesOf("!")) == HW_OK);
  CHECK(viewOf(api.data(handle.handle())) == "llo!");
  CHECK(api.replace(handle.handle(), bytesOf(chunk.data().substr(1, 2))) == HW_OK);
  CHECK(chunk.data() == "lo");
  const std::string huge(kMaxChunkBytes, 'x');
  CHECK(api.append(handle.handle(), bytesOf(huge)) == HW_LIMIT);
  CHECK(api.drain(handle.handle(), 2) == HW_OK);
  CHECK((api.edit(handle.handle()) == nullptr));
}

}  // namespace
}  // namespace hyperway::plugin
