// SPDX-License-Identifier: Apache-2.0
#include "followed_kind.hpp"

namespace hyperway::k8s_source {
namespace {

using k8s_client::Reflector;

Reflector::Options withPath(Reflector::Options options, const KindSpec& kind,
                            const std::string& group_version, const std::string& name_space,
                            const std::string& name) {
  options.path = k8s_client::path(group_version, kind.namespaced ? name_space : "", kind.resource);
  if (!name.empty())
    options.path = k8s_client::withQuery(std::move(options.path),
                                         {{"fieldSelector", "metadata.name=" + name}});
  return options;
}

}  // namespace

FollowedKind::FollowedKind(k8s_client::Api& api, Follower& follower, const KindSpec& kind,
                           std::string group_version, const std::string& name_space,
                           const std::string& name, Reflector::Options options)
    : follower_(follower),
      kind_(kind),
      group_version_(std::move(group_version)),
      reflector_(api, withPath(std::move(options), kind, group_version_, name_space, name), *this) {
}

void FollowedKind::onObject(const k8s_client::ObjectText& object) {
  follower_.onObject(*this, object);
}

void FollowedKind::onRemoved(std::string_view key) { follower_.onRemoved(*this, key); }

void FollowedKind::onListed() { follower_.onState(*this); }

void FollowedKind::onTrouble(const k8s_client::Error& error) {
  trouble_ = error;
  follower_.onState(*this);
}

void FollowedKind::onWell() {
  trouble_ = {};
  follower_.onState(*this);
}

}  // namespace hyperway::k8s_source
