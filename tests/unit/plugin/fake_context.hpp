// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/filter.hpp"

namespace hyperway::plugin {

/// A stream for tests of the services: heads, an arena, and what the filter asked for.
class FakeContext final : public proxy::FilterContext {
 public:
  FakeContext() : request(arena_), response(arena_), trailers(arena_) {
    request.method = "GET";
    request.method_id = http::Method::Get;
    request.authority = "example.com";
    request.host = "example.com";
    request.path = "/a/b";
    facts.scheme = "http";
    facts.client_authority = "example.com:80";
    facts.client_host = "example.com";
    facts.protocol = "HTTP/1.1";
    facts.stream_id = 7;
    facts.worker_index = 3;
  }

  http::RequestHead& requestHead() noexcept override { return request; }
  bool requestHeadEditable() const noexcept override { return request_editable; }
  http::ResponseHead* responseHead() noexcept override {
    return has_response ? &response : nullptr;
  }
  bool responseHeadEditable() const noexcept override { return response_editable; }
  http::HeaderMap* requestTrailers() noexcept override { return nullptr; }
  http::HeaderMap* responseTrailers() noexcept override {
    return has_trailers ? &trailers : nullptr;
  }
  const proxy::StreamInfo& info() const noexcept override { return facts; }
  Arena& arena() noexcept override { return arena_; }
  bool respond(std::uint16_t status, std::span<const proxy::AnswerField> fields,
               std::string_view body) override {
    if (response_out) return false;
    answer = std::to_string(status);
    for (const auto& field : fields)
      *answer += '|' + std::string(field.name) + '=' + std::string(field.value);
    *answer += '|' + std::string(body);
    return true;
  }
  bool resume(std::uint32_t hook, proxy::Flow verdict) noexcept override {
    if ((paused & hook) == 0) return false;
    paused &= ~hook;
    resumed[hook] = verdict;
    return true;
  }
  void ignore(std::uint32_t hooks) noexcept override { ignored |= hooks; }
  proxy::Waker waker() noexcept override { return {11, 12}; }
  std::uint32_t calloutBackends() const noexcept override { return backends; }
  std::uint32_t beginCallout(const proxy::CalloutRequest& callout) noexcept override {
    asked = std::to_string(callout.backend) + (callout.repeatable ? " repeatable " : " once ") +
            std::to_string(callout.timeout.count()) + "ms " + std::to_string(callout.max_body) +
            ' ' + std::to_string(callout.token) + ' ' + std::string(callout.method) + ' ' +
            std::string(callout.authority) + ' ' + std::string(callout.path) +
            (callout.has_query ? " ? " + std::string(callout.query) : std::string());
    for (const auto& field : callout.fields)
      *asked += ' ' + std::string(field.name) + '=' + std::string(field.value);
    *asked += ' ' + std::string(callout.body);
    return 1;
  }
  bool calloutAnswer(std::uint32_t callout, proxy::CalloutAnswer& out) const noexcept override {
    out = callout_answer;
    return callout == 1;
  }
  bool endCallout(std::uint32_t callout) noexcept override { return callout == 1; }

 private:
  std::byte block_[4096] = {};
  Arena arena_{block_};

 public:
  http::RequestHead request;
  http::ResponseHead response;
  http::HeaderMap trailers;
  proxy::StreamInfo facts;
  bool request_editable = true;
  bool response_editable = true;
  bool has_response = false;
  bool has_trailers = false;
  bool response_out = false;
  std::optional<std::string> answer;
  std::uint32_t paused = 0;
  std::uint32_t ignored = 0;
  std::map<std::uint32_t, proxy::Flow> resumed;
  std::uint32_t backends = 0;
  std::optional<std::string> asked;
  proxy::CalloutAnswer callout_answer;
};

/// The live lines of a map as "name: value" text, joined by '|'.
inline std::string linesOf(const http::HeaderMap& map) {
  std::string out;
  for (const http::Field& line : map.lines()) {
    if (line.removed) continue;
    if (!out.empty()) out += '|';
    out += std::string(line.name()) + ": " + std::string(line.value());
  }
  return out;
}

}  // namespace hyperway::plugin
