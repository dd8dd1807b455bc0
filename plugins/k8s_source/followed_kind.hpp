// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "k8s_client/reflector.hpp"
#include "kinds.hpp"

namespace hyperway::k8s_source {

class FollowedKind;

/// Who learns what happens to what is followed. The loop's thread.
class Follower {
 public:
  virtual ~Follower() = default;
  /// An object is there, new or changed.
  virtual void onObject(const FollowedKind& from, const k8s_client::ObjectText& object) = 0;
  /// The object "namespace/name" is gone.
  virtual void onRemoved(const FollowedKind& from, std::string_view key) = 0;
  /// It was listed, its trouble began, changed, or ended.
  virtual void onState(FollowedKind& from) = 0;
};

/// A kind, or one object of it, that is followed in the cluster.
class FollowedKind final : private k8s_client::Reflector::Observer {
 public:
  /// `group_version` is "v1" or "group/v1"; `name_space` empty: all; `name` empty: all. Of
  /// `options` all counts but the path.
  FollowedKind(k8s_client::Api& api, Follower& follower, const KindSpec& kind,
               std::string group_version, const std::string& name_space, const std::string& name,
               k8s_client::Reflector::Options options);

  /// Begins; in the place of another one, which is of no use afterwards, or of none.
  void start(FollowedKind* before = nullptr) {
    if (before != nullptr) reflector_.inherit(before->reflector_);
    reflector_.start();
  }
  /// Which kind.
  [[nodiscard]] const KindSpec& kind() const noexcept { return kind_; }
  /// "v1" or "group/v1".
  [[nodiscard]] const std::string& groupVersion() const noexcept { return group_version_; }
  /// True once it was listed, or cannot be: not served or not permitted.
  [[nodiscard]] bool settled() const noexcept { return reflector_.listed() || unavailable(); }
  /// True once it was listed.
  [[nodiscard]] bool listed() const noexcept { return reflector_.listed(); }
  /// True if the server says that it is not there, or not for us.
  [[nodiscard]] bool unavailable() const noexcept {
    return trouble_.status == 403 || trouble_.status == 404;
  }
  /// Why it cannot be followed now; none if it is.
  [[nodiscard]] const k8s_client::Error& trouble() const noexcept { return trouble_; }
  /// True if "namespace/name" is there.
  [[nodiscard]] bool has(const std::string& key) const { return reflector_.has(key); }
  /// Objects that are there.
  [[nodiscard]] std::size_t size() const noexcept { return reflector_.size(); }

 private:
  void onObject(const k8s_client::ObjectText& object) override;
  void onRemoved(std::string_view key) override;
  void onListed() override;
  void onTrouble(const k8s_client::Error& error) override;
  void onWell() override;

  Follower& follower_;
  const KindSpec& kind_;
  std::string group_version_;
  k8s_client::Error trouble_;
  k8s_client::Reflector reflector_;
};

}  // namespace hyperway::k8s_source
