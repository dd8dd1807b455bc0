// SPDX-License-Identifier: Apache-2.0
#include "plugin/callout_service.hpp"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <string_view>

#include "fake_context.hpp"
#include "plugin/abi_bytes.hpp"
#include "plugin/host_services.hpp"
#include "plugin/stream_service.hpp"

namespace hyperway::plugin {
namespace {

struct Fixture {
  FakeContext context;
  const hw_callout_api& api = calloutApi();
  hw_stream* stream = asHandle(context);
  std::array<hw_field, 1> field{{{bytesOf("x-a"), bytesOf("1")}}};

  hw_callout_request good() {
    hw_callout_request out{};
    out.struct_size = sizeof out;
    out.flags = HW_CALLOUT_REPEATABLE | 1U << 31;
    out.backend = 1;
    out.timeout_ms = 1000;
    out.max_body = 10;
    out.field_count = 1;
    out.token = 7;
    out.method = bytesOf("POST");
    out.authority = bytesOf("auth:80");
    out.path = bytesOf("/a?b");
    out.fields = field.data();
    out.body = bytesOf("body");
    return out;
  }
  hw_status begin(const hw_callout_request& request) {
    hw_callout callout = 0;
    return api.begin(stream, &request, &callout);
  }
};

TEST_CASE("callout/draft-1 is among the services of a host") {
  CHECK(HostServices::find(HW_CALLOUT_SERVICE) == &calloutApi());
}

TEST_CASE_FIXTURE(Fixture, "callout/draft-1: a request goes on as it was asked for") {
  context.backends = 2;
  CHECK(api.backend_count(stream) == 2);
  REQUIRE(begin(good()) == HW_OK);
  CHECK(context.asked == "1 repeatable 1000ms 10 7 POST auth:80 /a ? b x-a=1 body");
}

TEST_CASE_FIXTURE(Fixture, "callout/draft-1: what could be read in two ways is not sent") {
  context.backends = 2;
  const auto refused = [&](hw_status status, auto&& edit) {
    hw_callout_request request = good();
    edit(request);
    CHECK(begin(request) == status);
    CHECK_FALSE(context.asked.has_value());
  };
  refused(HW_INVALID, [](auto& r) { r.struct_size = 16; });
  refused(HW_NOT_FOUND, [](auto& r) { r.backend = 2; });
  refused(HW_INVALID, [](auto& r) { r.timeout_ms = 0; });
  refused(HW_INVALID, [](auto& r) { r.timeout_ms = kMaxCalloutMs + 1; });
  for (const std::string_view method : {"", "G T", "CONNECT"})
    refused(HW_INVALID, [&](auto& r) { r.method = bytesOf(method); });
  for (const std::string_view path :
       {"", "a", "/a b", "/a#b", "/a\\b", "/a\r\n", "/a?b c", "/a?%x"})
    refused(HW_INVALID, [&](auto& r) { r.path = bytesOf(path); });
  for (const std::string_view host : {"a b", "a:99999", "u@h", "h\r\nx: y"})
    refused(HW_INVALID, [&](auto& r) { r.authority = bytesOf(host); });
  const auto with_field = [&](hw_status status, std::string_view name, std::string_view value) {
    field[0] = {bytesOf(name), bytesOf(value)};
    refused(status, [](auto&) {});
  };
  with_field(HW_INVALID, "x a", "1");
  with_field(HW_INVALID, "x-a", "1\r\nx-b: 2");
  for (const std::string_view name : {"Host", "content-length", "Transfer-Encoding", "connection"})
    with_field(HW_REFUSED, name, "1");
  hw_callout callout = 0;
  CHECK(api.begin(stream, nullptr, &callout) == HW_INVALID);
}

TEST_CASE_FIXTURE(Fixture,
                  "callout/draft-1: an answer is told as it came, without what frames it") {
  hw_callout_answer out{};
  out.struct_size = sizeof out;
  CHECK(api.answer(stream, 5, &out) == HW_NOT_FOUND);
  context.response.fields.add("X-A", "1");
  context.response.fields.add("Connection", "close");
  context.response.fields.add("X-B", "2");
  context.trailers.add("grpc-status", "0");
  context.callout_answer.outcome = proxy::CalloutOutcome::Answered;
  context.callout_answer.status = 200;
  context.callout_answer.fields = &context.response.fields;
  context.callout_answer.trailers = &context.trailers;
  context.callout_answer.body = "body";
  REQUIRE(api.answer(stream, 1, &out) == HW_OK);
  CHECK(out.outcome == HW_CALLOUT_ANSWERED);
  CHECK(out.status == 200);
  CHECK(out.field_count == 2);
  CHECK(out.trailer_count == 1);
  CHECK(viewOf(out.body) == "body");
  hw_field found{};
  REQUIRE(api.field_at(stream, 1, HW_CALLOUT_FIELDS, 1, &found) == HW_OK);
  CHECK(viewOf(found.name) == "X-B");
  CHECK(api.field_at(stream, 1, HW_CALLOUT_FIELDS, 2, &found) == HW_INVALID);
  REQUIRE(api.field_at(stream, 1, HW_CALLOUT_TRAILERS, 0, &found) == HW_OK);
  CHECK(viewOf(found.value) == "0");
  CHECK(api.field_at(stream, 1, 9, 0, &found) == HW_UNSUPPORTED);
  CHECK(api.end(stream, 1) == HW_OK);
  CHECK(api.end(stream, 5) == HW_NOT_FOUND);
}

}  // namespace
}  // namespace hyperway::plugin
