// SPDX-License-Identifier: Apache-2.0
#include "leftovers.hpp"

#include <chrono>
#include <utility>

#include "k8s_client/gateway_names.hpp"
#include "k8s_client/json_text.hpp"
#include "objects.hpp"

namespace hyperway::snapshot_sink {
namespace {

using k8s_client::Reply;
using namespace std::chrono_literals;

constexpr std::string_view kRbac = "rbac.authorization.k8s.io/v1";
constexpr k8s_client::Duration kAgain = 10s;

k8s_client::Reflector::Options optionsFor(std::string_view group_version,
                                          std::string_view resource) {
  k8s_client::Reflector::Options options;
  const std::string label =
      std::string(k8s_client::kManagedByLabel) + '=' + std::string(k8s_client::kManagedBy);
  options.path = k8s_client::withQuery(k8s_client::path(group_version, "", resource),
                                       {{"labelSelector", label}});
  return options;
}

}  // namespace

Leftovers::Follower::Follower(Leftovers& leftovers, std::string_view group, std::string_view plural)
    : group_version(group),
      resource(plural),
      reflector(leftovers.api_, optionsFor(group, plural), *this),
      leftovers_(leftovers) {}

// Parts go with their index, and what gateway_deployer makes is its own to remove.
void Leftovers::Follower::onObject(const k8s_client::ObjectText& object) {
  const sdk::json::Value metadata = k8s_client::valueOf(object.member("metadata"));
  const sdk::json::Value* annotations = metadata.find("annotations");
  const sdk::json::Value* labels = metadata.find("labels");
  std::string gateway;
  if (annotations != nullptr)
    gateway = k8s_client::textOf(*annotations, k8s_client::kGatewayAnnotation);
  const bool ours = annotations != nullptr &&
                    k8s_client::textOf(*annotations, k8s_client::kControllerAnnotation) ==
                        leftovers_.controller_ &&
                    (resource == kResource ||
                     (labels != nullptr && !k8s_client::textOf(*labels, kSnapshotLabel).empty()));
  if (gateway.empty() || !ours || metadata.find("deletionTimestamp") != nullptr) {
    objects.erase(object.key());
    return;
  }
  Object& known = objects[object.key()];
  known.gateway = std::move(gateway);
  known.uid = object.uid();
  leftovers_.changed_();
}

void Leftovers::Follower::onTrouble(const k8s_client::Error& error) {
  leftovers_.attempted_("list of " + std::string(resource), error);
}

Leftovers::Leftovers(k8s_client::Api& api, std::string controller, Changed changed,
                     Attempted attempted)
    : api_(api),
      controller_(std::move(controller)),
      changed_(std::move(changed)),
      attempted_(std::move(attempted)),
      snapshots_(*this, kGroupVersion, kResource),
      roles_(*this, kRbac, "roles"),
      bindings_(*this, kRbac, "rolebindings") {}

Leftovers::~Leftovers() { *alive_ = false; }

void Leftovers::start() {
  for (Follower* follower : {&snapshots_, &roles_, &bindings_}) follower->reflector.start();
}

void Leftovers::remove(const std::function<bool(const std::string& gateway)>& isGone) {
  for (Follower* follower : {&snapshots_, &bindings_, &roles_})
    for (auto& [key, object] : follower->objects)
      if (isGone(object.gateway)) remove(*follower, key, object);
}

void Leftovers::remove(Follower& from, const std::string& key, Object& object) {
  if (object.flying || object.not_before > api_.now()) return;
  object.flying = true;
  const std::size_t slash = key.find('/');
  const std::string path = k8s_client::path(from.group_version, key.substr(0, slash), from.resource,
                                            key.substr(slash + 1));
  api_.call(k8s_client::removeRequest(path, object.uid),
            [this, alive = alive_, &from, key](Reply reply) {
              if (!*alive) return;
              const bool gone = reply.ok() || reply.error.notFound();
              attempted_("removal of " + std::string(from.resource) + ' ' + key,
                         gone ? k8s_client::Error() : reply.error);
              const auto found = from.objects.find(key);
              if (found == from.objects.end()) return;
              if (gone) {
                from.objects.erase(found);
                return;
              }
              found->second.flying = false;
              found->second.not_before = api_.now() + kAgain;
              api_.after(kAgain, [this, alive] {
                if (*alive) changed_();
              });
            });
}

}  // namespace hyperway::snapshot_sink
