// SPDX-License-Identifier: Apache-2.0
#include "route/slots.hpp"

namespace hyperway::route {

SlotMap::Slot::Slot(SlotMap& owner, std::uint32_t number, std::string key)
    : owner_(&owner), number_(number), key_(std::move(key)) {}

SlotMap::Slot::~Slot() {
  owner_->by_key_.erase(owner_->by_key_.find(std::string_view(key_)));
  owner_->free_.push_back(number_);
  if (owner_->on_free_) owner_->on_free_(number_);
}

SlotMap::SlotPtr SlotMap::find(const std::string& key) const {
  const auto known = by_key_.find(std::string_view(key));
  return known == by_key_.end() ? nullptr : (*known)->weak_from_this().lock();
}

std::vector<SlotMap::SlotPtr> SlotMap::list() const {
  std::vector<SlotPtr> out;
  out.reserve(by_key_.size());
  for (const Slot* slot : by_key_)
    if (SlotPtr held = slot->weak_from_this().lock()) out.push_back(std::move(held));
  return out;
}

SlotMap::SlotPtr SlotMap::acquire(const std::string& key) {
  if (SlotPtr known = find(key)) return known;
  std::uint32_t number = next_;
  if (free_.empty()) {
    ++next_;
  } else {
    number = free_.back();
    free_.pop_back();
    if (on_reuse_) on_reuse_(number);
  }
  SlotPtr made = std::make_shared<const Slot>(*this, number, key);
  by_key_.insert(made.get());
  return made;
}

}  // namespace hyperway::route
