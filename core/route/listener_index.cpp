// SPDX-License-Identifier: Apache-2.0
#include "route/listener_index.hpp"

#include <bit>

#include "route/host_table.hpp"
#include "route/text_hash.hpp"

namespace hyperway::route {

ListenerIndex::ListenerIndex(const std::vector<std::string>& hostnames)
    : slots_(std::bit_ceil(2 * hostnames.size() + 1)) {
  keys_.reserve(hostnames.size());
  for (std::uint32_t place = 0; place < hostnames.size(); ++place) {
    std::string_view key = hostnames[place];
    if (key.starts_with("*.")) {
      key.remove_prefix(1);
      has_wildcards_ = true;
    }
    keys_.emplace_back(key);
    if (key.empty()) {
      if (any_ == kNone) any_ = place;
      continue;
    }
    if (lookUp(key) != kNone) continue;
    const std::uint64_t hash = hashText(key);
    std::size_t at = hash & (slots_.size() - 1);
    while (slots_[at].place != kNone) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = {hash, place};
  }
}

std::uint32_t ListenerIndex::lookUp(std::string_view key) const noexcept {
  const std::uint64_t hash = hashText(key);
  for (std::size_t at = hash & (slots_.size() - 1); slots_[at].place != kNone;
       at = (at + 1) & (slots_.size() - 1)) {
    if (slots_[at].hash == hash && keys_[slots_[at].place] == key) return slots_[at].place;
  }
  return kNone;
}

std::uint32_t ListenerIndex::find(std::string_view host) const noexcept {
  if (host.empty() || host.size() > kMaxHostBytes) return any_;
  if (any_ != kNone && keys_.size() == 1) return any_;
  if (host.front() != '.') {  // which would find a wildcard's key
    if (const std::uint32_t exact = lookUp(host); exact != kNone) return exact;
  }
  if (has_wildcards_) {
    for (std::size_t dot = host.find('.', 1); dot != std::string_view::npos;
         dot = host.find('.', dot + 1)) {
      if (const std::uint32_t wild = lookUp(host.substr(dot)); wild != kNone) return wild;
    }
  }
  return any_;
}

}  // namespace hyperway::route
