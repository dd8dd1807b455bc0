// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "k8s_client/api.hpp"
#include "k8s_client/reflector.hpp"

namespace hyperway::snapshot_sink {

/// Removes what was made for Gateways that are there no more, also while nobody was here to see
/// them go: RouteSnapshots, and Roles and RoleBindings in other namespaces, which no owner takes
/// along. The loop's thread.
class Leftovers {
 public:
  /// Something is to be looked at.
  using Changed = std::function<void()>;
  /// A removal was answered.
  using Attempted = std::function<void(const std::string& what, const k8s_client::Error& error)>;

  /// `controller` is who we say that we are. `api` outlives this.
  Leftovers(k8s_client::Api& api, std::string controller, Changed changed, Attempted attempted);
  Leftovers(const Leftovers&) = delete;
  Leftovers& operator=(const Leftovers&) = delete;
  ~Leftovers();

  /// Begins to follow what there is.
  void start();
  /// Removes what was made for a Gateway, "namespace/name", of which `isGone` says so.
  void remove(const std::function<bool(const std::string& gateway)>& isGone);

 private:
  struct Object {
    std::string gateway, uid;
    bool flying = false;  // its removal
    k8s_client::TimePoint not_before{};
  };
  // Follows the objects of one resource that bear our label.
  class Follower final : public k8s_client::Reflector::Observer {
   public:
    Follower(Leftovers& leftovers, std::string_view group_version, std::string_view resource);
    void onObject(const k8s_client::ObjectText& object) override;
    void onRemoved(std::string_view key) override { objects.erase(std::string(key)); }
    void onListed() override { leftovers_.changed_(); }
    void onTrouble(const k8s_client::Error& error) override;
    void onWell() override {}
    const std::string_view group_version, resource;
    std::map<std::string, Object> objects;  // by key
    k8s_client::Reflector reflector;

   private:
    Leftovers& leftovers_;
  };

  void remove(Follower& from, const std::string& key, Object& object);

  k8s_client::Api& api_;
  const std::string controller_;
  const Changed changed_;
  const Attempted attempted_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  Follower snapshots_, roles_, bindings_;
};

}  // namespace hyperway::snapshot_sink
