// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json_pointer.hpp"
#include "route/model.hpp"
#include "route/text_hash.hpp"

namespace hyperway::gateway {

struct ObjectChange;

/// The RouteSnapshots that are read, taken apart: an index and its parts are one snapshot, which
/// comes into force as a whole or not at all (docs/snapshots.md). Several snapshots beside each
/// other are one model. [control]
class Snapshots {
 public:
  /// An object of kind RouteSnapshot, an index or a part, in force.
  struct Object {
    std::string checksum;                              ///< spec.checksum.
    std::int64_t generation = 0;                       ///< metadata.generation.
    bool part = false;                                 ///< It belongs to an index.
    std::map<std::string, route::Listener> listeners;  ///< By key.
    std::vector<std::string> routes;                   ///< Keys.
  };
  /// A route of a snapshot.
  struct Route {
    route::Route model;                  ///< Filters without binding until somebody binds them.
    std::string object;                  ///< The object that has it.
    std::vector<std::string> upstreams;  ///< Keys of those that it names; sorted, unique.
    route::Fingerprint fingerprint;      ///< Of `model` as it was read.
  };
  /// What settle() came to, by key.
  struct Difference {
    std::set<std::string> routes;     ///< New, changed or gone.
    std::set<std::string> upstreams;  ///< Described differently.
    std::set<std::string> objects;    ///< In force now, or gone.
  };

  /// Takes a change in, for the next settle(). False if it does not read; `problems` say why.
  bool take(const ObjectChange& change, Problems& problems);
  /// Brings into force what is whole. What belongs to an object that does not read waits for a
  /// readable form of it.
  [[nodiscard]] Difference settle();

  /// The route with this key ("HTTPRoute/namespace/name"), or null.
  [[nodiscard]] Route* find(const std::string& route);
  /// All routes.
  [[nodiscard]] std::unordered_map<std::string, Route>& routes() noexcept { return routes_; }
  /// All objects, by "namespace/name".
  [[nodiscard]] const std::map<std::string, Object>& objects() const noexcept { return objects_; }
  /// How an upstream was described, without endpoints; null if no snapshot has it.
  [[nodiscard]] const route::Upstream* upstream(const std::string& key) const;
  /// Forgets an upstream that nobody refers to.
  void forgetUpstream(const std::string& key) { upstreams_.erase(key); }
  /// Keys of the Secrets that listeners name.
  [[nodiscard]] std::set<std::string> secrets() const;

 private:
  struct Content {
    Object object;
    std::vector<Route> routes;
    std::vector<route::Upstream> upstreams;
  };
  struct Pending {
    std::optional<Content> content;  // nothing: it is gone, or
    bool unreadable = false;
  };

  void dismiss(const std::string& key, std::set<std::string>& routes);

  std::map<std::string, Object> objects_;
  std::map<std::string, std::string> group_of_;  // object -> index
  std::unordered_map<std::string, Route> routes_;
  std::unordered_map<std::string, route::Upstream> upstreams_;
  std::map<std::string, std::map<std::string, Pending>> pending_;  // by index, then object
};

}  // namespace hyperway::gateway
