// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "k8s_client/api.hpp"
#include "k8s_client/reflector.hpp"
#include "settings.hpp"

namespace hyperway::snapshot_sink {

/// Stands in a list of Secrets for Services and EndpointSlices of the namespace.
inline constexpr std::string_view kBackends = "";

/// Names of Secrets by namespace.
using Secrets = std::map<std::string, std::set<std::string>>;

/// The Secrets that the listeners of a snapshot name; `listeners` is a list as text.
[[nodiscard]] Secrets secretsOf(std::string_view listeners);

/// Lets data planes read the Secrets that the snapshot names, and no others: a Role with
/// resourceNames and its binding in each of their namespaces (ARCHITECTURE decision 2). Does
/// nothing without the setting `data_plane_account`. The loop's thread.
class Grants {
 public:
  /// Something changed at the server, or was answered.
  using Changed = std::function<void()>;
  /// A write was answered.
  using Attempted = std::function<void(const std::string& what, const k8s_client::Error& error)>;

  /// `api` outlives this.
  Grants(k8s_client::Api& api, const Settings& settings, Changed changed, Attempted attempted);
  Grants(const Grants&) = delete;
  Grants& operator=(const Grants&) = delete;
  ~Grants();

  /// Begins to follow what there is.
  void start();
  /// The Gateway that all this is for is now like this.
  void own(Owner owner) { owner_ = std::move(owner); }
  /// Writes what differs from `wanted`. True if nothing does, or if what does cannot be had.
  [[nodiscard]] bool provide(const Secrets& wanted);
  /// True if a Secret is granted now, as far as is known.
  [[nodiscard]] bool has(const std::string& name_space, const std::string& name) const;

 private:
  class Follower final : public k8s_client::Reflector::Observer {
   public:
    Follower(Grants& grants, bool bindings, std::string path);
    void onObject(const k8s_client::ObjectText& object) override;
    void onRemoved(std::string_view key) override;
    void onListed() override { grants_.changed_(); }
    void onTrouble(const k8s_client::Error& error) override;
    void onWell() override { troubled = false; }
    bool troubled = false;
    k8s_client::Reflector reflector;

   private:
    Grants& grants_;
    const bool bindings_;
  };

  [[nodiscard]] std::string path(bool binding, std::string_view name_space,
                                 std::string_view name) const;
  [[nodiscard]] std::string followedPath(bool binding) const;
  void apply(bool binding, const std::string& name_space, const std::set<std::string>& names);
  void remove(bool binding, const std::string& name_space);
  void send(k8s_client::Request request, const std::string& what, const std::string& name_space,
            std::function<void()> done);

  k8s_client::Api& api_;
  const std::string account_namespace_, account_, name_, label_;
  std::optional<Owner> owner_;
  const Changed changed_;
  const Attempted attempted_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  Follower roles_follower_, bindings_follower_;
  Secrets roles_;                   // by namespace, what each grants
  std::set<std::string> bindings_;  // namespaces
  std::size_t flying_ = 0;
  unsigned early_ = 0;  // bindings of Roles that were not known yet
  std::map<std::string, k8s_client::TimePoint> refused_until_;  // by namespace
  k8s_client::TimePoint known_at_{}, bind_at_{};
};

}  // namespace hyperway::snapshot_sink
