// SPDX-License-Identifier: Apache-2.0
#include "gateway/references.hpp"

#include <algorithm>

namespace hyperway::gateway {

bool mayRefer(const ObjectStore& store, const ReferencePeer& from, const ReferencePeer& to) {
  if (from.name_space == to.name_space) return true;
  const auto* grants = store.grantsIn(std::string(to.name_space));
  if (grants == nullptr) return false;
  return std::any_of(grants->begin(), grants->end(), [&](const std::string& key) {
    const auto* grant = store.find<ReferenceGrant>(key);
    const auto from_fits = [&](const ReferenceGrant::From& peer) {
      return peer.group == from.group && peer.kind == from.kind &&
             peer.name_space == from.name_space;
    };
    const auto to_fits = [&](const ReferenceGrant::To& peer) {
      return peer.group == to.group && peer.kind == to.kind &&
             (peer.name.empty() || peer.name == to.name);
    };
    return std::any_of(grant->from.begin(), grant->from.end(), from_fits) &&
           std::any_of(grant->to.begin(), grant->to.end(), to_fits);
  });
}

}  // namespace hyperway::gateway
