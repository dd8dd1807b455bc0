// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "gateway/object_store.hpp"

namespace hyperway::gateway {

/// One side of a reference across namespaces.
struct ReferencePeer {
  std::string_view group;       ///< API group; "" for the core API.
  std::string_view kind;        ///< Kind.
  std::string_view name_space;  ///< Namespace.
  std::string_view name;        ///< Name; only that of the referent matters.
};

/// True if `from` may refer to `to`: both in one namespace, or a ReferenceGrant in the namespace of
/// `to` names both. Whether `to` exists plays no part. Source: Gateway API, ReferenceGrant.
[[nodiscard]] bool mayRefer(const ObjectStore& store, const ReferencePeer& from,
                            const ReferencePeer& to);

}  // namespace hyperway::gateway
