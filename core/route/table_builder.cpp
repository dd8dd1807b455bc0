// SPDX-License-Identifier: Apache-2.0
#include "route/table_builder.hpp"

#include <utility>

#include "route/listener_index.hpp"

namespace hyperway::route {

namespace {

/// BindGroup::protocol() of a group with such a listener.
Protocol familyOf(Protocol protocol) noexcept {
  return protocol == Protocol::Tls ? Protocol::Https : protocol;
}

}  // namespace

std::shared_ptr<const CompiledListener> TableBuilder::listener(
    std::shared_ptr<const Listener> model, std::shared_ptr<const HostTable> hosts,
    std::shared_ptr<const HostTable> flows, std::shared_ptr<const ListenerFilters> filters,
    SlotMap::SlotPtr tls_slot, SlotMap::SlotPtr identity_slot) {
  auto made = std::make_shared<CompiledListener>();
  made->model_ = std::move(model);
  made->hosts_ = std::move(hosts);
  made->flows_ = std::move(flows);
  made->filters_ = std::move(filters);
  made->tls_slot_ = std::move(tls_slot);
  made->identity_ = identity_slot ? identity_slot->number() + 1 : 0;
  made->identity_slot_ = std::move(identity_slot);
  return made;
}

std::shared_ptr<const RouteTable> TableBuilder::table(const Listeners& listeners,
                                                      std::uint64_t generation, std::size_t rules) {
  std::map<Bind, std::shared_ptr<BindGroup>> groups;
  for (const auto& [key, listener] : listeners) {
    for (Bind bind : listener->model().binds) {
      bind.udp = listener->model().protocol == Protocol::Udp;
      std::shared_ptr<BindGroup>& group = groups[bind];
      if (!group) {
        group = std::make_shared<BindGroup>();
        group->bind_ = bind;
        group->protocol_ = familyOf(listener->model().protocol);
      }
      // A listener that names one bind twice is in its group once.
      if (group->listeners_.empty() || group->listeners_.back() != listener) {
        group->listeners_.push_back(listener);
      }
    }
  }
  auto made = std::make_shared<RouteTable>();
  made->generation_ = generation;
  made->rule_count_ = rules;
  made->groups_.reserve(groups.size());
  for (auto& [bind, group] : groups) {
    std::vector<std::string> hostnames;
    hostnames.reserve(group->listeners_.size());
    for (const auto& listener : group->listeners_) hostnames.push_back(listener->model().hostname);
    group->index_ = std::make_shared<const ListenerIndex>(hostnames);
    made->groups_.push_back(std::move(group));
  }
  return made;
}

std::shared_ptr<const RouteTable> TableBuilder::replaced(const RouteTable& table,
                                                         const Listeners& changed,
                                                         std::uint64_t generation,
                                                         std::size_t rules) {
  auto made = std::make_shared<RouteTable>(table);
  made->generation_ = generation;
  made->rule_count_ = rules;
  for (std::shared_ptr<const BindGroup>& group : made->groups_) {
    std::shared_ptr<BindGroup> copy;
    for (std::size_t i = 0; i < group->listeners_.size(); ++i) {
      const auto change = changed.find(group->listeners_[i]->model().key);
      if (change == changed.end()) continue;
      if (!copy) copy = std::make_shared<BindGroup>(*group);
      copy->listeners_[i] = change->second;
    }
    if (copy) group = std::move(copy);
  }
  return made;
}

}  // namespace hyperway::route
