// SPDX-License-Identifier: Apache-2.0
// Gateway API HTTPCORSFilter.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "hyperway/sdk/plugin.hpp"
#include "origin_list.hpp"

namespace hyperway::cors {
namespace {

bool isToken(std::string_view text) {
  constexpr std::string_view kAlso = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kAlso.find(c) != std::string_view::npos;
  });
}

/// A list of methods or header names that goes out as one field; "*" means all.
struct NameList {
  explicit NameList(const sdk::ConfigNode& list) {
    const std::vector<sdk::ConfigNode> items = list.items();
    for (const sdk::ConfigNode& node : items) {
      const std::string name = node.text();
      if (!isToken(name)) node.error("must be a method or header name, or \"*\"");
      all = all || name == "*";
      if (!joined.empty()) joined += ", ";
      joined += name;
    }
    if (all && items.size() > 1) list.error("\"*\" does not go with other names");
  }
  bool all = false;
  std::string joined;  ///< Empty: the field is not sent.
};

/// True if a comma-separated list holds `word`, in any case.
bool listHas(std::string_view list, std::string_view word) {
  const auto same = [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? a + 32 : a) == (b >= 'A' && b <= 'Z' ? b + 32 : b);
  };
  while (!list.empty()) {
    const auto comma = list.find(',');
    std::string_view item = list.substr(0, comma);
    while (!item.empty() && (item.front() == ' ' || item.front() == '\t')) item.remove_prefix(1);
    while (!item.empty() && (item.back() == ' ' || item.back() == '\t')) item.remove_suffix(1);
    if (std::equal(item.begin(), item.end(), word.begin(), word.end(), same)) return true;
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
  }
  return false;
}

}  // namespace

/// Answers preflight requests itself with 204 and adds the response headers to all others:
/// {"allowOrigins", "allowCredentials", "allowMethods", "allowHeaders", "exposeHeaders", "maxAge"}.
/// An origin that is not allowed gets no header, so that its browser refuses. The policy is the
/// gateway's: fields of the same name from a backend are replaced or removed. With credentials a
/// wildcard is never sent. Source: Gateway API HTTPCORSFilter; Fetch Standard, CORS protocol.
class Cors {
 public:
  static constexpr const char* kId = "CORS";
  static constexpr bool kAnswersPreflights = true;

  explicit Cors(sdk::Setup& setup)
      : origins_(setup.config()["allowOrigins"]),
        methods_(setup.config()["allowMethods"]),
        headers_(setup.config()["allowHeaders"]),
        expose_(setup.config()["exposeHeaders"]),
        origin_(setup.header("Origin")),
        allow_origin_(setup.header("Access-Control-Allow-Origin")),
        allow_credentials_(setup.header("Access-Control-Allow-Credentials")),
        expose_headers_(setup.header("Access-Control-Expose-Headers")) {
    const sdk::ConfigNode root = setup.config();
    if (!root.isObject()) return;
    root.only({"allowOrigins", "allowCredentials", "allowMethods", "allowHeaders", "exposeHeaders",
               "maxAge"});
    credentials_ = root["allowCredentials"].booleanOr(false);
    max_age_ = std::to_string(root["maxAge"].integerOr(5, 1, 2147483647));
  }

  sdk::Flow onRequestHead(sdk::Stream& stream, sdk::Flags) const {
    const auto origin = stream.request().get(origin_);
    const auto method = stream.request().get("Access-Control-Request-Method");
    // Fetch Standard: a CORS-preflight request is OPTIONS with these two fields.
    if (!origin || !method || stream.method() != "OPTIONS") return sdk::Flow::Continue;

    std::array<hw_field, 8> fields{};
    std::uint32_t count = 0;
    const auto add = [&](std::string_view name, std::string_view value) {
      if (!value.empty()) fields[count++] = {sdk::bytesOf(name), sdk::bytesOf(value)};
    };
    add("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
    if (!allowed(*origin)) return stream.respond(204, "", fields.data(), count);
    add("access-control-allow-origin", originFor(*origin));
    if (credentials_) add("access-control-allow-credentials", "true");
    add("access-control-allow-methods", listFor(methods_, *method));
    add("access-control-allow-headers",
        listFor(headers_, stream.requestHeader("Access-Control-Request-Headers")));
    add("access-control-expose-headers", exposed());
    add("access-control-max-age", max_age_);
    return stream.respond(204, "", fields.data(), count);
  }

  sdk::Flow onResponseHead(sdk::Stream& stream, sdk::Flags) const {
    sdk::Headers response = stream.response();
    if (!sendsStar() && !listHas(stream.responseHeader("Vary"), "Origin"))
      response.add("vary", "Origin");
    const auto origin = stream.request().get(origin_);
    if (!origin) return sdk::Flow::Continue;
    if (!allowed(*origin)) {
      response.remove(allow_origin_);
      response.remove(allow_credentials_);
      return sdk::Flow::Continue;
    }
    response.set(allow_origin_, originFor(*origin));
    if (credentials_)
      response.set(allow_credentials_, "true");
    else
      response.remove(allow_credentials_);
    if (!exposed().empty()) response.set(expose_headers_, exposed());
    return sdk::Flow::Continue;
  }

 private:
  // "null" is what sandboxed and local pages send: never to be given a user's credentials.
  [[nodiscard]] bool allowed(std::string_view origin) const {
    return origins_.allows(origin) && !(credentials_ && origin == "null");
  }
  [[nodiscard]] bool sendsStar() const { return origins_.any() && !credentials_; }
  [[nodiscard]] std::string_view originFor(std::string_view origin) const {
    return sendsStar() ? std::string_view("*") : origin;
  }
  // With credentials a wildcard would be taken literally, so what was asked for is named instead.
  [[nodiscard]] std::string_view listFor(const NameList& list, std::string_view asked) const {
    return list.all && credentials_ ? asked : std::string_view(list.joined);
  }
  [[nodiscard]] std::string_view exposed() const {
    return expose_.all && credentials_ ? std::string_view() : std::string_view(expose_.joined);
  }

  OriginList origins_;
  NameList methods_;
  NameList headers_;
  NameList expose_;
  sdk::HeaderName origin_, allow_origin_, allow_credentials_, expose_headers_;
  bool credentials_ = false;
  std::string max_age_;
};

}  // namespace hyperway::cors

HYPERWAY_PLUGIN("dev.arloor.hyperway.cors", "1.0.0", hyperway::sdk::Filters<hyperway::cors::Cors>);
