// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json_pointer.hpp"
#include "route/model.hpp"
#include "route/packed_route.hpp"
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
    std::string routes;                                ///< Keys, packed (route::PackedReader).
    std::uint64_t number = 0;                          ///< No other object has it.
  };
  /// A route of a snapshot.
  struct Route {
    route::PackedRoute model;        ///< Filters without binding until somebody binds them.
    std::uint64_t object = 0;        ///< Number of the object that has it.
    route::Fingerprint fingerprint;  ///< Of `model` as it was read.
  };
  /// A route that is not as it was.
  struct Replaced {
    bool was_there = false;              ///< False: it is new.
    std::vector<std::string> upstreams;  ///< Those that it named; sorted, unique.
  };
  /// What settle() came to, by key.
  struct Difference {
    std::map<std::string, Replaced> routes;  ///< New, changed or gone.
    std::set<std::string> upstreams;         ///< Described differently.
    std::set<std::string> objects;           ///< In force now, or gone.
  };

  /// Takes a change in, for the next settle(). False if it does not read; `problems` say why.
  bool take(const ObjectChange& change, Problems& problems);
  /// Brings into force what is whole. What belongs to an object that does not read waits for a
  /// readable form of it.
  [[nodiscard]] Difference settle();

  /// Keys of the upstreams that a route names; sorted, unique.
  [[nodiscard]] static std::vector<std::string> upstreamsOf(const route::Route& route);

  /// The route with this key ("HTTPRoute/namespace/name"), or null.
  [[nodiscard]] Route* find(const std::string& route);
  /// All routes.
  [[nodiscard]] std::unordered_map<std::string, Route>& routes() noexcept { return routes_; }
  /// All objects, by "namespace/name".
  [[nodiscard]] const std::map<std::string, Object>& objects() const noexcept { return objects_; }
  /// How an upstream was described, without endpoints; nothing if no snapshot has it.
  [[nodiscard]] std::optional<route::Upstream> upstream(const std::string& key) const;
  /// Forgets an upstream that nobody refers to.
  void forgetUpstream(const std::string& key) { upstreams_.erase(key); }
  /// Keys of the Secrets that listeners name.
  [[nodiscard]] std::set<std::string> secrets() const;

 private:
  struct Content {
    Object object;
    std::vector<route::Route> routes;
    std::vector<route::Upstream> upstreams;
  };
  struct Pending {
    std::optional<Content> content;  // nothing: it is gone, or
    bool unreadable = false;
  };

  void dismiss(const std::string& key, std::set<std::string>& routes);
  void putRoutes(const Content& content, std::set<std::string>& gone, Difference& out);

  std::uint64_t last_number_ = 0;  // of an object
  std::map<std::string, Object> objects_;
  std::map<std::string, std::string> group_of_;  // object -> index
  std::unordered_map<std::string, Route> routes_;
  // By key, which is not in them; of those about which there is nothing to say, all have the same.
  std::unordered_map<std::string, std::shared_ptr<const route::Upstream>> upstreams_;
  std::map<std::string, std::map<std::string, Pending>> pending_;  // by index, then object
};

}  // namespace hyperway::gateway
