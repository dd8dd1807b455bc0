// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "batch.hpp"
#include "digest.hpp"

namespace hyperway::snapshot_sink {

/// How routes are cut. Bytes of text.
struct Cut {
  std::size_t inline_most = 128 << 10;  ///< Above it, routes go into parts …
  std::size_t inline_again = 64 << 10;  ///< … until there are no more than this.
  std::size_t bucket = 32 << 10;        ///< Aimed at for one part.
  unsigned most_bits = 10;              ///< At most 2^most_bits parts.
};

/// The listeners and routes of a snapshot as texts, and how they are cut into parts
/// (docs/snapshots.md). Everything it says depends on the texts and on earlier sizes alone.
class Content {
 public:
  /// A part that there should be.
  struct Part {
    std::size_t bucket = 0;  ///< For routesOf().
    std::string name;        ///< Of the object.
    std::string checksum;    ///< Of its routes.
  };

  /// `name` is that of the snapshot.
  explicit Content(std::string name, Cut cut = {});

  /// Takes a batch in.
  void take(Batch batch);
  /// Leaves a route or listener out from now on, until it changes: the server refuses it.
  void leaveOut(const std::string& key);
  /// What is left out.
  [[nodiscard]] const std::set<std::string>& leftOut() const noexcept { return left_out_; }

  /// Stands for all there is.
  [[nodiscard]] const std::string& checksum() const noexcept { return checksum_; }
  /// Elements of `listeners`, in the order of their keys.
  [[nodiscard]] std::string listeners() const;
  /// Keys of listeners, in that order.
  [[nodiscard]] std::vector<std::string> listenerKeys() const;
  /// True if routes are in the index itself.
  [[nodiscard]] bool isInline() const noexcept { return inline_; }
  /// Elements of `httpRoutesV1` of all routes, in the order of their keys.
  [[nodiscard]] std::string routes() const;
  /// The route that has element number `index` of routes() or routesOf(); empty if none.
  [[nodiscard]] std::string routeAt(std::size_t index) const;
  /// The same within a bucket.
  [[nodiscard]] std::string routeAt(std::size_t bucket, std::size_t index) const;
  /// The parts that there should be; none if isInline().
  [[nodiscard]] std::vector<Part> parts() const;
  /// True if there should be a part of that name, and so with the same routes.
  [[nodiscard]] bool hasPart(const std::string& name) const;
  /// The route of a bucket that has the longest text; empty if there is none.
  [[nodiscard]] std::string largestOf(std::size_t bucket) const;
  /// Elements of `httpRoutesV1` of a bucket, in the order of their keys.
  [[nodiscard]] std::string routesOf(std::size_t bucket) const;
  /// Namespaces of the backends of all routes.
  [[nodiscard]] std::set<std::string> namespaces() const;
  /// Number of elements of `httpRoutesV1` in all.
  [[nodiscard]] std::size_t ruleCount() const noexcept { return rules_; }
  /// Number of listeners.
  [[nodiscard]] std::size_t listenerCount() const noexcept { return listeners_.size(); }

 private:
  struct Route {
    std::string text;
    std::size_t count = 0;
    std::set<std::string> namespaces;
    Digest digest;  // of key and text
    std::uint64_t place = 0;
  };
  struct Bucket {
    std::set<std::string_view> routes;  // keys, owned by routes_
    Digest digest;
    std::size_t bytes = 0;
  };

  void put(Batch::Route route);
  void remove(const std::string& key);
  void enter(const std::string& key, const Route& route);
  void cutAnew();
  void settle();
  [[nodiscard]] Bucket& bucketOf(const Route& route) {
    return buckets_[route.place & (buckets_.size() - 1)];
  }

  const std::string name_;
  const Cut cut_;
  std::map<std::string, std::string> listeners_;
  std::map<std::string, Route> routes_;
  std::vector<Bucket> buckets_;  // 2^n
  std::set<std::string> left_out_;
  std::map<std::string, std::size_t> namespaces_;  // how many routes have backends in each
  Digest digest_;                                  // of all routes
  std::size_t bytes_ = 0, rules_ = 0;
  bool inline_ = true;
  std::string checksum_;
};

}  // namespace hyperway::snapshot_sink
