// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "k8s_client/api.hpp"
#include "kinds.hpp"

namespace hyperway::k8s_source {

/// Finds out which kinds the cluster serves. One run. The loop's thread.
class Discovery {
 public:
  /// Kind -> "group/version" of the newest version that is served and that we can read. Kinds that
  /// are not served are not in it.
  using Served = std::map<std::string, std::string, std::less<>>;
  /// Called once: with what is served, or with an error and nothing.
  using Done = std::function<void(Served served, k8s_client::Error error)>;

  /// `api` outlives this.
  Discovery(k8s_client::Api& api, Done done);
  Discovery(const Discovery&) = delete;
  Discovery& operator=(const Discovery&) = delete;
  ~Discovery() { *alive_ = false; }

  /// Begins.
  void run();

 private:
  void ask(const std::string& group_version);
  void onResources(const std::string& group_version, const k8s_client::Reply& reply);
  void choose();
  void finish();

  k8s_client::Api& api_;
  Done done_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::map<std::string, std::string> resources_;  // "group/version/Kind" -> resource
  Served served_;
  k8s_client::Error error_;
  std::size_t open_ = 0;
};

}  // namespace hyperway::k8s_source
