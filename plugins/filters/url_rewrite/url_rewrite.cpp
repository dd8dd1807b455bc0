// SPDX-License-Identifier: Apache-2.0
// Gateway API HTTPURLRewriteFilter.
#include <string>

#include "../path_modifier.hpp"
#include "hyperway/sdk/plugin.hpp"

namespace hyperway::url_rewrite {

/// Changes where a request goes on to: {"hostname", "path"}, both optional. Query and matching are
/// not touched. Source: Gateway API HTTPURLRewriteFilter.
class UrlRewrite {
 public:
  static constexpr const char* kId = "URLRewrite";

  explicit UrlRewrite(sdk::Setup& setup)
      : path_(setup.config()["path"]),
        hostname_(filters::preciseHostname(setup.config()["hostname"])) {
    if (setup.config().isObject()) setup.config().only({"hostname", "path"});
  }

  sdk::Flow onRequestHead(sdk::Stream& stream, sdk::Flags) const {
    if (!hostname_.empty() && stream.setText(HW_TEXT_AUTHORITY, hostname_) != HW_OK)
      return sdk::Flow::Fault;
    if (!path_.changes()) return sdk::Flow::Continue;
    const auto path = path_.apply(stream);
    if (!path || stream.setText(HW_TEXT_PATH, *path) != HW_OK) return sdk::Flow::Fault;
    return sdk::Flow::Continue;
  }

 private:
  filters::PathModifier path_;
  std::string hostname_;
};

}  // namespace hyperway::url_rewrite

HYPERWAY_PLUGIN("dev.arloor.hyperway.url-rewrite", "1.0.0",
                hyperway::sdk::Filters<hyperway::url_rewrite::UrlRewrite>);
