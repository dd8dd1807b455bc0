// SPDX-License-Identifier: Apache-2.0
#include "k8s_client/api.hpp"

#include <algorithm>
#include <charconv>

#include "hyperway/sdk/json.hpp"
#include "k8s_client/json_text.hpp"

namespace hyperway::k8s_client {
namespace {

using sdk::json::Parser;
using sdk::json::Value;

std::optional<std::chrono::seconds> secondsOf(std::string_view text) {
  unsigned number = 0;
  const char* end = text.data() + text.size();
  // A date in Retry-After is legal HTTP, but no API server sends one.
  const auto read = std::from_chars(text.data(), end, number);
  if (text.empty() || read.ec != std::errc{} || read.ptr != end) return std::nullopt;
  return std::chrono::seconds(std::min(number, 3600U));
}

void readStatus(const Value& status, Error& out) {
  out.reason = textOf(status, "reason");
  out.message = textOf(status, "message");
  const Value* details = status.find("details");
  if (details == nullptr) return;
  if (const Value* causes = details->find("causes"))
    for (const Value& cause : causes->items())
      out.causes.push_back({textOf(cause, "field"), textOf(cause, "message")});
  const Value* seconds = details->find("retryAfterSeconds");
  if (!out.retry_after && seconds != nullptr && seconds->integer() > 0)
    out.retry_after = std::chrono::seconds(std::min<std::int64_t>(seconds->integer(), 3600));
}

Request write(std::string method, std::string path, std::string json, std::string content_type) {
  Request out;
  out.method = std::move(method);
  out.path = std::move(path);
  out.body = std::move(json);
  out.content_type = std::move(content_type);
  return out;
}

}  // namespace

std::string Error::text() const {
  std::string out;
  if (kind == Kind::Status) out = std::to_string(status) + (reason.empty() ? "" : ' ' + reason);
  if (!message.empty()) out += (out.empty() ? "" : ": ") + message;
  for (const Cause& cause : causes)
    if (!cause.field.empty() && message.find(cause.field) == std::string::npos)
      out += "; " + cause.field + ": " + cause.message;
  return out;
}

bool Error::fieldUnknown() const noexcept {
  return (status >= 500 &&
          message.find("failed to create typed patch object") != std::string::npos) ||
         (status == 400 && message.find("strict decoding error") != std::string::npos);
}

bool Error::transient() const noexcept {
  if (fieldUnknown()) return false;
  switch (kind) {
    case Kind::None:
    case Kind::TooLarge:
    case Kind::Stopped: return false;
    case Kind::Status: return status == 429 || status == 408 || status >= 500;
    default: return true;
  }
}

std::string escape(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

std::string path(std::string_view group_version, std::string_view name_space,
                 std::string_view resource, std::string_view name, std::string_view subresource) {
  std::string out = group_version.find('/') == std::string_view::npos ? "/api/" : "/apis/";
  out += group_version;
  if (!name_space.empty()) out += "/namespaces/" + escape(name_space);
  out += '/';
  out += resource;
  if (!name.empty()) out += '/' + escape(name);
  if (!subresource.empty()) (out += '/') += subresource;
  return out;
}

std::string withQuery(std::string path,
                      const std::vector<std::pair<std::string_view, std::string_view>>& query) {
  for (const auto& [name, value] : query) {
    path += path.find('?') == std::string::npos ? '?' : '&';
    ((path += name) += '=') += escape(value);
  }
  return path;
}

Request createRequest(std::string path, std::string json) {
  return write("POST", withQuery(std::move(path), {{"fieldManager", kFieldManager}}),
               std::move(json), "application/json");
}

Request putRequest(std::string path, std::string json) {
  return write("PUT", withQuery(std::move(path), {{"fieldManager", kFieldManager}}),
               std::move(json), "application/json");
}

Request mergePatchRequest(std::string path, std::string json) {
  return write("PATCH", withQuery(std::move(path), {{"fieldManager", kFieldManager}}),
               std::move(json), "application/merge-patch+json");
}

Request applyRequest(std::string path, std::string json, bool force) {
  return write("PATCH",
               withQuery(std::move(path),
                         {{"fieldManager", kFieldManager}, {"force", force ? "true" : "false"}}),
               std::move(json), "application/apply-patch+yaml");
}

Request strict(Request request) {
  request.path = withQuery(std::move(request.path), {{"fieldValidation", "Strict"}});
  return request;
}

Request removeRequest(std::string path, std::string_view uid, std::string_view resource_version) {
  std::string body;
  if (!uid.empty() || !resource_version.empty()) {
    body = R"({"kind":"DeleteOptions","apiVersion":"v1","preconditions":{)";
    if (!uid.empty()) ((body += R"("uid":")") += uid) += '"';
    if (!uid.empty() && !resource_version.empty()) body += ',';
    if (!resource_version.empty()) ((body += R"("resourceVersion":")") += resource_version) += '"';
    body += "}}";
  }
  return write("DELETE", std::move(path), std::move(body), "application/json");
}

Error errorOf(int status, std::string_view retry_after, std::string_view body) {
  Error out;
  if (status >= 200 && status < 300) return out;
  out.kind = Error::Kind::Status;
  out.status = status;
  out.retry_after = secondsOf(retry_after);
  const auto parsed = Parser::parse(body);
  const auto* value = std::get_if<Value>(&parsed);
  if (value != nullptr && textOf(*value, "kind") == "Status") {
    readStatus(*value, out);
  } else {
    // A proxy in between, or the server's own handler: plain text.
    out.message = body.substr(0, std::min<std::size_t>(body.find_first_of("\r\n"), 200));
  }
  return out;
}

std::chrono::milliseconds backOff(unsigned failures, std::chrono::milliseconds first,
                                  std::chrono::milliseconds most, double random) {
  auto wait = first;
  for (unsigned i = 1; i < failures && wait < most; ++i) wait *= 2;
  wait = std::min(wait, most);
  return wait - std::chrono::milliseconds(
                    static_cast<std::int64_t>(random * 0.5 * static_cast<double>(wait.count())));
}

}  // namespace hyperway::k8s_client
