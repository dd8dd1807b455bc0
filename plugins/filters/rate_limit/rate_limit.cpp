// SPDX-License-Identifier: Apache-2.0
// A token bucket per key: so many requests in a time, then 429 with Retry-After.
//
// {"requests": 100, "per": "minute",        the rate; per: second, minute or hour
//  "burst": 20,                             at most this many at once; default: requests
//  "key": {"type": "address"},              or {"type": "header", "name": "x-api-client"},
//                                           or {"type": "route"}: one bucket for all
//  "maxKeys": 100000}
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "buckets.hpp"
#include "hyperway/sdk/plugin.hpp"

namespace hyperway::rate_limit {

/// Limits how many requests a client may make. The buckets belong to the configuration, are shared
/// by all workers of the process, and survive edits of other objects. A request that lacks the
/// header which is the key shares a bucket with all others that lack it.
class RateLimit {
 public:
  static constexpr const char* kId = "rate_limit";

  explicit RateLimit(sdk::Setup& setup)
      : clock_(setup.services()),
        limited_(setup.counter("limited_total", "Requests that were answered with 429.")) {
    const sdk::ConfigNode root = setup.config();
    if (!root.isObject()) return;
    root.only({"requests", "per", "burst", "key", "maxKeys"});
    const std::int64_t requests = root["requests"].integer(1, 1'000'000);
    const std::int64_t burst = root["burst"].integerOr(requests, 1, 1'000'000);
    const std::int64_t max_keys = root["maxKeys"].integerOr(100'000, 1, 10'000'000);
    readKey(setup, root["key"]);
    const std::chrono::nanoseconds interval = readPeriod(root["per"]) / requests;
    buckets_ = std::make_unique<Buckets>(std::max(interval, std::chrono::nanoseconds(1)), burst,
                                         static_cast<std::size_t>(max_keys));
  }

  sdk::Flow onRequestHead(sdk::Stream& stream, sdk::Flags) const {
    const auto wait = buckets_->take(keyOf(stream), clock_.now());
    if (wait == std::chrono::nanoseconds::zero()) return sdk::Flow::Continue;
    limited_.add();
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
    return stream.respond(
        429, "too many requests\n",
        {{"retry-after", std::to_string(seconds)}, {"content-type", "text/plain; charset=utf-8"}});
  }

 private:
  enum class Key { Address, Header, Route };

  static std::chrono::nanoseconds readPeriod(const sdk::ConfigNode& node) {
    const std::string per = node.textOr("second");
    if (per == "minute") return std::chrono::minutes(1);
    if (per == "hour") return std::chrono::hours(1);
    if (per != "second") node.error("must be second, minute or hour");
    return std::chrono::seconds(1);
  }

  void readKey(sdk::Setup& setup, const sdk::ConfigNode& node) {
    if (!node.present() || !node.isObject()) return;
    node.only({"type", "name"});
    const std::string type = node["type"].text();
    if (type == "header") {
      key_ = Key::Header;
      header_ = setup.header(node["name"]);
      return;
    }
    if (node["name"].present()) node["name"].error("goes with type header only");
    if (type == "route")
      key_ = Key::Route;
    else if (type != "address" && !type.empty())
      node["type"].error("must be address, header or route");
  }

  [[nodiscard]] std::string_view keyOf(const sdk::Stream& stream) const {
    switch (key_) {
      case Key::Address: return stream.text(HW_TEXT_PEER_ADDRESS).value_or("");
      case Key::Header: return stream.request().get(header_).value_or("");
      case Key::Route: return "";
    }
    return "";
  }

  Key key_ = Key::Address;
  sdk::HeaderName header_;
  sdk::Clock clock_;
  sdk::Metric limited_;
  std::unique_ptr<Buckets> buckets_;
};

}  // namespace hyperway::rate_limit

HYPERWAY_PLUGIN("dev.arloor.hyperway.rate-limit", "1.0.0",
                hyperway::sdk::Filters<hyperway::rate_limit::RateLimit>);
