// SPDX-License-Identifier: Apache-2.0
#include "discovery.hpp"

#include <set>

#include "status_merge.hpp"

namespace hyperway::k8s_source {
namespace {

using k8s_client::Reply;
using sdk::json::Value;

std::string groupVersion(std::string_view group, std::string_view version) {
  return group.empty() ? std::string(version) : std::string(group) + '/' + std::string(version);
}

}  // namespace

Discovery::Discovery(k8s_client::Api& api, Done done) : api_(api), done_(std::move(done)) {}

void Discovery::run() {
  std::set<std::string> all;
  for (const KindSpec& kind : kinds())
    for (const std::string_view version : kind.versions)
      all.insert(groupVersion(kind.group, version));
  open_ = all.size();
  for (const std::string& one : all) ask(one);
}

void Discovery::ask(const std::string& group_version) {
  k8s_client::Request request;
  request.path =
      (group_version.find('/') == std::string::npos ? "/api/" : "/apis/") + group_version;
  api_.call(std::move(request), [this, alive = alive_, group_version](Reply reply) {
    if (!*alive) return;
    onResources(group_version, reply);
    if (--open_ == 0) choose();
  });
}

void Discovery::onResources(const std::string& group_version, const Reply& reply) {
  if (reply.error.notFound()) return;  // The group or version is not served.
  if (!reply.ok()) {
    error_ = reply.error;
    return;
  }
  const Value list = parseJson(reply.body);
  const Value* resources = list.find("resources");
  if (resources == nullptr) return;
  for (const Value& resource : resources->items()) {
    const Value* name = resource.find("name");
    const Value* kind = resource.find("kind");
    if (name == nullptr || kind == nullptr || name->text().find('/') != std::string::npos) continue;
    resources_[group_version + '/' + kind->text()] = name->text();
  }
}

void Discovery::choose() {
  if (error_) return finish();
  for (const KindSpec& kind : kinds()) {
    for (const std::string_view version : kind.versions) {
      const std::string candidate = groupVersion(kind.group, version);
      const auto found = resources_.find(candidate + '/' + std::string(kind.kind));
      if (found == resources_.end() || found->second != kind.resource) continue;
      served_.emplace(kind.kind, candidate);
      break;
    }
  }
  finish();
}

void Discovery::finish() {
  if (error_) served_.clear();
  // A copy, because the callback may end this object.
  const Done done = std::move(done_);
  done(std::move(served_), std::move(error_));
}

}  // namespace hyperway::k8s_source
