// SPDX-License-Identifier: Apache-2.0
#include "route/table.hpp"

#include <algorithm>

#include "base/arena.hpp"
#include "route/host_table.hpp"
#include "route/listener_index.hpp"

namespace hyperway::route {

MatchResult CompiledListener::match(const http::RequestHead& head,
                                    std::string_view method) const noexcept {
  return hosts_->match(head, method);
}

const std::shared_ptr<const CompiledRule>* CompiledListener::flow(
    std::string_view name) const noexcept {
  if (!flows_) return nullptr;
  Arena nothing({});
  http::RequestHead head(nothing);
  head.host = name;
  head.path = "/";
  return flows_->match(head, {}).holder;
}

MatchResult CompiledListener::explain(const http::RequestHead& head, std::string_view method,
                                      std::vector<NearMiss>& misses) const {
  return hosts_->explain(head, method, misses);
}

const CompiledListener* BindGroup::listenerFor(std::string_view host) const noexcept {
  const std::uint32_t place = index_->find(host);
  return place == ListenerIndex::kNone ? nullptr : listeners_[place].get();
}

const CompiledListener* BindGroup::fallback() const noexcept {
  if (index_->any() != ListenerIndex::kNone) return listeners_[index_->any()].get();
  return listeners_.empty() ? nullptr : listeners_.front().get();
}

const BindGroup* RouteTable::group(const Bind& bind) const noexcept {
  const auto at = std::partition_point(groups_.begin(), groups_.end(),
                                       [&](const auto& group) { return group->bind() < bind; });
  return at == groups_.end() || (*at)->bind() != bind ? nullptr : at->get();
}

}  // namespace hyperway::route
