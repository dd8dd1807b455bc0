// SPDX-License-Identifier: Apache-2.0
// Gateway API HTTPExternalAuthFilter: somebody else says who may pass.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../ascii.hpp"
#include "auth_settings.hpp"
#include "check_message.hpp"
#include "hyperway/sdk/callout.hpp"
#include "hyperway/sdk/plugin.hpp"
#include "query_edit.hpp"

namespace hyperway::external_auth {
namespace {

using filters::lowered;
using filters::sameName;

constexpr std::chrono::milliseconds kTimeout{5000};
constexpr std::uint32_t kMostAnswer = 64 * 1024;
constexpr std::string_view kCheck = "/envoy.service.auth.v3.Authorization/Check";

/// What an answer says of its own content, which is not the request's.
bool isOfContent(std::string_view name) {
  for (const std::string_view each : {"content-type", "content-encoding", "content-language",
                                      "content-location", "content-range", "content-disposition"})
    if (sameName(name, each)) return true;
  return false;
}

/// What chooses the backend's site, and with pseudo-headers the route, is not the server's to
/// change: the request was matched already (Gateway API, allowedResponseHeaders).
bool isRouting(std::string_view name) {
  return name.starts_with(':') || sameName(name, "host") || sameName(name, "authority");
}

std::string_view outcomeText(std::int32_t outcome) {
  switch (outcome) {
    case HW_CALLOUT_ANSWERED: return "answer not understood";
    case HW_CALLOUT_UNREACHABLE: return "unreachable";
    case HW_CALLOUT_TIMEOUT: return "no answer in time";
    case HW_CALLOUT_TOO_LARGE: return "answer too large";
    default: return "answer broken";
  }
}

}  // namespace

/// Asks an authorization server, by HTTP or by Envoy's gRPC protocol, before anything of a request
/// goes on, and does what it says. Whatever is not clearly a yes is a no: a server that cannot be
/// reached, is late, or answers what cannot be read, is answered 403. Source: Gateway API,
/// HTTPExternalAuthFilter.
class ExternalAuth {
 public:
  static constexpr const char* kId = "ExternalAuth";

  struct Config {
    explicit Config(sdk::Setup& setup)
        : settings(setup),
          allowed(count(setup, "allowed")),
          denied(count(setup, "denied")),
          failed(count(setup, "failed")),
          clock(setup.services()) {}
    static sdk::Metric count(sdk::Setup& setup, std::string_view result) {
      return setup.counter("external_auth_requests_total",
                           "Requests by what their authorization server said of them.",
                           {{"result", result}});
    }
    AuthSettings settings;
    sdk::Metric allowed, denied, failed;
    sdk::Clock clock;
  };

  explicit ExternalAuth(const Config& config) : config_(config) {}

  sdk::Flow onRequestHead(sdk::Stream& stream, sdk::Flags flags) {
    const AuthSettings& settings = config_.settings;
    if (settings.body_size == 0 || flags.endOfStream()) {
      stream.ignore(HW_HOOK_REQUEST_BODY);
      return ask(stream, {});
    }
    const auto announced = stream.number(HW_NUMBER_REQUEST_LENGTH);
    if (announced && *announced > settings.body_size) return tooLarge(stream);
    return sdk::Flow::Hold;
  }

  sdk::Flow onRequestBody(sdk::Stream& stream, sdk::Body& body, sdk::Flags flags) {
    if (asked_) return sdk::Flow::Continue;
    // A server that saw less than the backend will get would judge another request than this one.
    if (body.size() > config_.settings.body_size) return tooLarge(stream);
    return flags.endOfStream() ? ask(stream, body.view()) : sdk::Flow::Hold;
  }

  void onWake(sdk::Stream& stream, sdk::Hooks paused, std::uint64_t) {
    const std::uint32_t hook =
        paused.has(HW_HOOK_REQUEST_HEAD) ? HW_HOOK_REQUEST_HEAD : HW_HOOK_REQUEST_BODY;
    if (!paused.has(hook)) return;
    const sdk::Flow verdict = judge(stream);
    callout_.end(stream);
    stream.resume(hook, verdict);
  }

  sdk::Flow onResponseHead(sdk::Stream& stream, sdk::Flags) {
    for (const HeaderChange& change : response_changes_) apply(stream.response(), change);
    return sdk::Flow::Continue;
  }

 private:
  sdk::Flow ask(sdk::Stream& stream, std::string_view body) {
    asked_ = true;
    const std::optional<sdk::Callout> begun =
        config_.settings.grpc ? askGrpc(stream, body) : askHttp(stream, body);
    if (!begun) return failed(stream, "request not sent");
    callout_ = *begun;
    return sdk::Flow::Pause;
  }

  static std::string target(const sdk::Stream& stream, std::string_view prefix) {
    std::string out(prefix);
    out += stream.path();
    if (const auto query = stream.text(HW_TEXT_QUERY)) {
      out += '?';
      out += *query;
    }
    return out;
  }

  std::optional<sdk::Callout> askHttp(sdk::Stream& stream, std::string_view body) const {
    const AuthSettings& settings = config_.settings;
    const std::string path = target(stream, settings.path);
    sdk::CalloutRequest request;
    request.repeatable = true;
    request.timeout = kTimeout;
    request.max_body = kMostAnswer;
    request.method = stream.method();
    request.authority = stream.text(HW_TEXT_CLIENT_AUTHORITY).value_or("");
    request.path = path;
    request.body = body;
    stream.request().forEach([&](std::string_view name, std::string_view value) {
      if (sameName(name, "authorization") || settings.request_headers.has(name))
        request.fields.emplace_back(name, value);
    });
    return sdk::Callout::begin(stream, request);
  }

  std::optional<sdk::Callout> askGrpc(sdk::Stream& stream, std::string_view body) const {
    const std::string path = target(stream, "");
    CheckRequest check;
    check.id = stream.text(HW_TEXT_REQUEST_ID).value_or("");
    check.method = stream.method();
    check.path = path;
    check.host = stream.text(HW_TEXT_CLIENT_AUTHORITY).value_or("");
    check.scheme = stream.text(HW_TEXT_SCHEME).value_or("http");
    check.protocol = stream.text(HW_TEXT_PROTOCOL).value_or("HTTP/1.1");
    check.peer_address = stream.text(HW_TEXT_PEER_ADDRESS).value_or("");
    check.peer_port = portOf(stream, HW_NUMBER_PEER_PORT);
    check.server_name = stream.text(HW_TEXT_HOST).value_or("");
    check.server_port = portOf(stream, HW_NUMBER_CLIENT_PORT);
    check.time_ns = config_.clock.wall().count();
    check.size = stream.number(HW_NUMBER_REQUEST_LENGTH).value_or(-1);
    check.body = body;
    collectHeaders(stream, check);
    const std::string message = grpcFrame(encodeCheckRequest(check));
    sdk::CalloutRequest request;
    request.repeatable = true;
    request.timeout = kTimeout;
    request.max_body = kMostAnswer;
    request.method = "POST";
    request.authority = config_.settings.authority;
    request.path = kCheck;
    request.fields = {{"content-type", "application/grpc"}, {"grpc-timeout", "5S"}};
    request.body = message;
    return sdk::Callout::begin(stream, request);
  }

  static std::uint32_t portOf(const sdk::Stream& stream, std::int32_t which) {
    return static_cast<std::uint32_t>(stream.number(which).value_or(0));
  }

  // As Envoy gives them: by lower-case name, lines of one name joined, pseudo-headers too.
  void collectHeaders(const sdk::Stream& stream, CheckRequest& check) const {
    const NameSet& wanted = config_.settings.request_headers;
    const auto add = [&](std::string_view name, std::string_view value, std::string_view between) {
      if (!wanted.empty() && !wanted.has(name)) return;
      const auto known = std::find_if(check.headers.begin(), check.headers.end(),
                                      [&](const auto& each) { return sameName(each.first, name); });
      if (known == check.headers.end())
        check.headers.emplace_back(lowered(name), value);
      else
        known->second.append(between).append(value);
    };
    if (wanted.empty()) {
      add(":method", check.method, "");
      add(":path", check.path, "");
      add(":authority", check.host, "");
      add(":scheme", check.scheme, "");
    }
    stream.request().forEach([&](std::string_view name, std::string_view value) {
      add(name, value, sameName(name, "cookie") ? "; " : ",");
    });
  }

  sdk::Flow judge(sdk::Stream& stream) {
    const hw_callout_answer answer = callout_.answer(stream);
    if (answer.outcome != HW_CALLOUT_ANSWERED) return failed(stream, outcomeText(answer.outcome));
    return config_.settings.grpc ? judgeGrpc(stream, answer) : judgeHttp(stream, answer);
  }

  // ---- HTTP

  sdk::Flow judgeHttp(sdk::Stream& stream, const hw_callout_answer& answer) {
    if (answer.status != 200) return passOn(stream, answer);
    const NameSet& wanted = config_.settings.response_headers;
    sdk::Headers request = stream.request();
    // A field that the server was to set and did not is not the client's to set. Of Authorization
    // the server knows what the client says.
    for (const std::string& name : wanted.list())
      if (!isRouting(name) && name != "authorization") request.remove(name);
    std::vector<std::string> seen;
    callout_.forEach(stream, HW_CALLOUT_FIELDS, [&](std::string_view name, std::string_view value) {
      if (isRouting(name) || (wanted.empty() ? isOfContent(name) : !wanted.has(name))) return;
      const bool again = std::any_of(seen.begin(), seen.end(),
                                     [&](const std::string& each) { return sameName(each, name); });
      if (again) {
        request.add(name, value);
      } else {
        seen.emplace_back(name);
        request.set(name, value);
      }
    });
    config_.allowed.add();
    return sdk::Flow::Continue;
  }

  sdk::Flow passOn(sdk::Stream& stream, const hw_callout_answer& answer) {
    std::vector<hw_field> fields;
    callout_.forEach(stream, HW_CALLOUT_FIELDS, [&](std::string_view name, std::string_view value) {
      fields.push_back({sdk::bytesOf(name), sdk::bytesOf(value)});
    });
    return deny(stream, answer.status, sdk::viewOf(answer.body), fields);
  }

  // ---- gRPC

  sdk::Flow judgeGrpc(sdk::Stream& stream, const hw_callout_answer& answer) {
    std::optional<std::string> status;
    bool is_grpc = false;
    callout_.forEach(stream, HW_CALLOUT_FIELDS, [&](std::string_view name, std::string_view value) {
      if (sameName(name, "content-type"))
        is_grpc = value == "application/grpc" || value.starts_with("application/grpc+proto");
      if (sameName(name, "grpc-status")) status = value;
    });
    callout_.forEach(stream, HW_CALLOUT_TRAILERS,
                     [&](std::string_view name, std::string_view value) {
                       if (sameName(name, "grpc-status")) status = value;
                     });
    if (answer.status != 200 || !is_grpc || status != "0")
      return failed(stream, "gRPC call failed");
    const auto message = grpcMessage(sdk::viewOf(answer.body));
    const auto verdict = message ? decodeCheckResponse(*message) : std::nullopt;
    if (!verdict) return failed(stream, outcomeText(HW_CALLOUT_ANSWERED));
    return verdict->allowed ? allow(stream, *verdict) : refuse(stream, *verdict);
  }

  sdk::Flow allow(sdk::Stream& stream, const CheckVerdict& verdict) {
    sdk::Headers request = stream.request();
    for (const std::string& name : verdict.removed)
      if (!isRouting(name)) request.remove(name);
    for (const HeaderChange& change : verdict.request)
      if (!apply(request, change)) return failed(stream, outcomeText(HW_CALLOUT_ANSWERED));
    if (!verdict.query_set.empty() || !verdict.query_removed.empty()) {
      const std::string query = editQuery(stream.text(HW_TEXT_QUERY).value_or(""),
                                          verdict.query_removed, verdict.query_set);
      if (stream.setText(HW_TEXT_QUERY, query) != HW_OK)
        return failed(stream, outcomeText(HW_CALLOUT_ANSWERED));
    }
    response_changes_ = verdict.response;
    config_.allowed.add();
    return sdk::Flow::Continue;
  }

  sdk::Flow refuse(sdk::Stream& stream, const CheckVerdict& verdict) {
    std::vector<hw_field> fields;
    for (const HeaderChange& change : verdict.response)
      if (!isRouting(change.name) && !isFraming(change.name))
        fields.push_back({sdk::bytesOf(change.name), sdk::bytesOf(change.value)});
    return deny(stream, verdict.status, verdict.body, fields);
  }

  static bool isFraming(std::string_view name) {
    for (const std::string_view each :
         {"connection", "content-length", "expect", "http2-settings", "keep-alive",
          "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"})
      if (sameName(name, each)) return true;
    return false;
  }

  /// False if it is no edit of a header. What is the host's stays as it is.
  static bool apply(sdk::Headers headers, const HeaderChange& change) {
    using How = HeaderChange::How;
    if (isRouting(change.name)) return true;
    const bool there = headers.get(change.name).has_value();
    if ((change.how == How::AddIfAbsent && there) || (change.how == How::SetIfPresent && !there))
      return true;
    const hw_status done = change.how == How::Add ? headers.add(change.name, change.value)
                                                  : headers.set(change.name, change.value);
    return done == HW_OK || done == HW_REFUSED;
  }

  // ---- answers

  sdk::Flow deny(sdk::Stream& stream, int status, std::string_view body,
                 const std::vector<hw_field>& fields) {
    const auto verdict =
        stream.respond(status, body, fields.data(), static_cast<std::uint32_t>(fields.size()));
    // What the host does not take as an answer is none.
    if (verdict == sdk::Flow::Fault) return failed(stream, outcomeText(HW_CALLOUT_ANSWERED));
    config_.denied.add();
    return verdict;
  }

  sdk::Flow tooLarge(sdk::Stream& stream) {
    config_.denied.add();
    return stream.respond(413, "413 Payload Too Large\n",
                          {{"content-type", "text/plain; charset=utf-8"}});
  }

  sdk::Flow failed(sdk::Stream& stream, std::string_view why) {
    config_.failed.add();
    stream.log(sdk::Level::Warning, "external authorization failed: nobody passes", {{"why", why}});
    return stream.respond(403, "403 Forbidden\n", {{"content-type", "text/plain; charset=utf-8"}});
  }

  const Config& config_;
  sdk::Callout callout_;
  bool asked_ = false;
  std::vector<HeaderChange> response_changes_;
};

}  // namespace hyperway::external_auth

HYPERWAY_PLUGIN("dev.arloor.hyperway.external-auth", "1.0.0",
                hyperway::sdk::Filters<hyperway::external_auth::ExternalAuth>);
