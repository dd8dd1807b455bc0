// SPDX-License-Identifier: Apache-2.0
// Gateway API HTTPRequestRedirectFilter.
#include <string>
#include <string_view>

#include "../path_modifier.hpp"
#include "hyperway/sdk/plugin.hpp"

namespace hyperway::redirect {
namespace {

/// The host part of an authority: without port, an IPv6 address with its brackets.
std::string_view hostOf(std::string_view authority) {
  const auto bracket = authority.rfind(']');
  const auto colon = authority.rfind(':');
  const bool port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  return port ? authority.substr(0, colon) : authority;
}

}  // namespace

/// Answers every request with a redirect: {"scheme", "hostname", "port", "path", "statusCode"}, all
/// optional. Source: Gateway API HTTPRequestRedirectFilter.
class RequestRedirect {
 public:
  static constexpr const char* kId = "RequestRedirect";

  explicit RequestRedirect(sdk::Setup& setup)
      : path_(setup.config()["path"]),
        hostname_(filters::preciseHostname(setup.config()["hostname"])) {
    const sdk::ConfigNode root = setup.config();
    if (!root.isObject()) return;
    root.only({"scheme", "hostname", "port", "path", "statusCode"});
    scheme_ = root["scheme"].textOr("");
    if (root["scheme"].present() && scheme_ != "http" && scheme_ != "https")
      root["scheme"].error("must be http or https");
    port_ = root["port"].integerOr(0, 1, 65535);
    status_ = static_cast<int>(root["statusCode"].integerOr(302, 0, 999));
    if (status_ != 301 && status_ != 302 && status_ != 303 && status_ != 307 && status_ != 308)
      root["statusCode"].error("must be 301, 302, 303, 307 or 308");
  }

  sdk::Flow onRequestHead(sdk::Stream& stream, sdk::Flags) const {
    const auto path = path_.apply(stream);
    if (!path) return sdk::Flow::Fault;  // The translator lets no such rule through.
    const std::string_view scheme =
        scheme_.empty() ? stream.text(HW_TEXT_SCHEME).value_or("http") : scheme_;
    std::string_view host = hostname_;
    if (host.empty()) host = hostOf(stream.text(HW_TEXT_CLIENT_AUTHORITY).value_or(""));
    // HTTP/1.0 without Host: there is nothing to redirect to.
    if (host.empty()) return stream.respond(400, "the request names no host\n");

    std::string location(scheme);
    location += "://";
    location += host;
    const std::int64_t port = portFor(stream);
    const std::int64_t well_known = scheme == "https" ? 443 : 80;
    if (port != well_known) location += ':' + std::to_string(port);
    location += *path;
    if (const auto query = stream.text(HW_TEXT_QUERY)) {
      location += '?';
      location += *query;
    }
    return stream.respond(status_, "", {{"location", location}});
  }

 private:
  // HTTPRequestRedirectFilter.port: given, else of the given scheme, else the listener's.
  [[nodiscard]] std::int64_t portFor(const sdk::Stream& stream) const {
    if (port_ != 0) return port_;
    if (scheme_ == "http") return 80;
    if (scheme_ == "https") return 443;
    return stream.number(HW_NUMBER_CLIENT_PORT).value_or(80);
  }

  filters::PathModifier path_;
  std::string hostname_;
  std::string scheme_;
  std::int64_t port_ = 0;
  int status_ = 302;
};

}  // namespace hyperway::redirect

HYPERWAY_PLUGIN("dev.arloor.hyperway.redirect", "1.0.0",
                hyperway::sdk::Filters<hyperway::redirect::RequestRedirect>);
