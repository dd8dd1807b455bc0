// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "batch.hpp"
#include "digest.hpp"

namespace hyperway::snapshot_sink {

/// A kind of route, and the list of a spec that has its entries.
struct RouteList {
  std::string_view kind;  ///< What keys begin with, in front of a slash.
  std::string_view name;  ///< Of the member.
};
/// All of them; the contract's own first.
inline constexpr std::array<RouteList, 5> kRouteLists{{{"HTTPRoute", "httpRoutesV1"},
                                                       {"GRPCRoute", "grpcRoutes"},
                                                       {"TLSRoute", "tlsRoutes"},
                                                       {"TCPRoute", "tcpRoutes"},
                                                       {"UDPRoute", "udpRoutes"}}};

/// How routes are cut. Bytes of text.
struct Cut {
  std::size_t inline_most = 32 << 10;  ///< Above it, routes go into parts …
  std::size_t part_most = 128 << 10;  ///< … none of which is larger, as long as it can be halved.
  unsigned most_bits = 10;            ///< At most 2^most_bits parts.
  std::size_t part_least = 16 << 10;  ///< What is smaller is not halved.
  /// An edit rewrites one part, and the index with the names of all: both cost a server the same
  /// where a part has the square root of this times all bytes.
  std::size_t balance = 512;
};

/// The listeners and routes of a snapshot as texts, and how they are cut into parts
/// (docs/snapshots.md). Everything it says depends on the texts alone, whatever the way to them.
///
/// It knows which texts the server has taken. One that the server refuses is left out: the one
/// that it took before stands in for it, if there is one.
class Content {
 public:
  /// A part that there should be: the routes whose hashes lie in a range.
  struct Part {
    std::size_t first = 0, last = 0;  ///< The range, for routesOf().
    std::string name;                 ///< Of the object.
    std::string checksum;             ///< Of its routes.
  };

  /// `name` is that of the snapshot.
  explicit Content(std::string name, Cut cut = {});

  /// Takes a batch in.
  void take(Batch batch);

  /// Leaves routes and listeners out until they change or are readmitted: the server refuses them.
  void leaveOut(const std::vector<std::string>& keys);
  /// Puts back what was left out, as far as it is.
  void readmit(const std::vector<std::string>& keys);
  /// What is left out, or has an older text than it should.
  [[nodiscard]] std::vector<std::string> leftOut() const;
  /// True if that is left out.
  [[nodiscard]] bool isLeftOut(const std::string& key) const { return left_out_.contains(key); }
  /// The text of a route or listener that the server has not taken as it is; null if it has, or if
  /// there is none.
  [[nodiscard]] const std::string* unacceptedText(const std::string& key) const;
  /// The server has taken a route or listener as it is.
  void accept(const std::string& key);
  /// What the server has of a route or listener that it has not taken as it is; for a writer that
  /// was not there when it was taken.
  void had(const std::string& key, Batch::Route was);
  /// The server has taken all routes of a part.
  void accept(const Part& part);
  /// The server has taken the index.
  void acceptIndex();
  /// Keys of routes of a part that the server has not taken as they are.
  [[nodiscard]] std::vector<std::string> unaccepted(const Part& part) const;
  /// Keys of what is in the index itself, and was not taken as it is.
  [[nodiscard]] std::vector<std::string> unacceptedOfIndex() const;

  /// Stands for all there is.
  [[nodiscard]] const std::string& checksum() const noexcept { return checksum_; }
  /// Elements of `listeners`, in the order of their keys.
  [[nodiscard]] std::string listeners() const;
  /// Keys of listeners, in that order.
  [[nodiscard]] std::vector<std::string> listenerKeys() const;
  /// True if there is a listener of that key.
  [[nodiscard]] bool hasListener(const std::string& key) const { return listeners_.contains(key); }
  /// Bytes of the texts of listeners.
  [[nodiscard]] std::size_t listenerBytes() const noexcept { return listener_bytes_; }
  /// Bytes of the text of a route or listener; 0 if there is none.
  [[nodiscard]] std::size_t sizeOf(const std::string& key) const;
  /// True if routes are in the index itself.
  [[nodiscard]] bool isInline() const noexcept { return bytes_ <= cut_.inline_most; }
  /// Elements of the list of a kind, of all its routes, in the order of their keys.
  [[nodiscard]] std::string routes(std::string_view kind) const;
  /// The route that has element number `index` of routes(kind); empty if none.
  [[nodiscard]] std::string routeAt(std::string_view kind, std::size_t index) const;
  /// The same within a part.
  [[nodiscard]] std::string routeAt(const Part& part, std::string_view kind,
                                    std::size_t index) const;
  /// The parts that there should be; none if isInline().
  [[nodiscard]] std::vector<Part> parts() const;
  /// True if there should be a part of that name, and so with the same routes.
  [[nodiscard]] bool hasPart(const std::string& name) const;
  /// Elements of the list of a kind in a part.
  [[nodiscard]] std::string routesOf(const Part& part, std::string_view kind) const;
  /// Elements of `gatewayClassStatuses`, in the order of their keys.
  [[nodiscard]] std::string classStatuses() const;
  /// Elements of `gatewayListenerStatuses`.
  [[nodiscard]] std::string listenerStatuses() const;
  /// Elements of `routeDiagnostics`: of all routes if there is room, else of those that are not
  /// well, as far as there is.
  [[nodiscard]] std::string routeDiagnostics() const;
  /// True if there is room for those of all routes.
  [[nodiscard]] bool hasAllDiagnostics() const noexcept;
  /// Namespaces of the backends of all routes, and of those that filters of listeners ask.
  [[nodiscard]] std::set<std::string> namespaces() const;
  /// Number of elements of all lists of routes.
  [[nodiscard]] std::size_t ruleCount() const noexcept { return rules_; }
  /// Number of listeners.
  [[nodiscard]] std::size_t listenerCount() const noexcept { return listeners_.size(); }

 private:
  struct Text {
    std::string text;
    std::size_t count = 0;
    std::set<std::string> namespaces = {};  // of backends
  };
  // A route or listener as it is written.
  struct Item {
    Text now;
    std::unique_ptr<Text> taken;  // by the server, before `now`
    bool accepted = false;        // the server has taken `now`
  };
  struct LeftOut {
    Text wanted;
    bool listener = false;  // or a route
  };
  struct Route : Item {
    Digest digest;  // of key and text
    std::size_t bucket = 0;
  };
  struct Bucket {
    std::set<std::string_view> routes;  // keys, owned by routes_
    Digest digest;
    std::size_t bytes = 0;
  };

  void put(const std::string& key, Text text);
  void putListener(const std::string& key, Text text);
  void remove(const std::string& key);
  void removeListener(const std::string& key);
  void enter(const std::string& key, Route& route);
  void leave(const std::string& key, const Route& route);
  void enter(const Text& listener);
  void leave(const Text& listener);
  void putStatus(const std::string& key, std::string text);
  [[nodiscard]] std::string statusesOf(std::string_view kind) const;
  void settle();
  [[nodiscard]] std::size_t partMost() const;
  void cut(std::size_t first, std::size_t last, const std::string& prefix, std::size_t most,
           std::vector<Part>& out) const;
  template <class Visit>
  void eachOf(const Part& part, Visit&& visit) const;

  const std::string name_;
  const Cut cut_;
  std::map<std::string, Item> listeners_;
  std::map<std::string, Route> routes_;
  std::vector<Bucket> buckets_;  // 2^most_bits, by hash
  std::map<std::string, LeftOut> left_out_;
  std::set<std::string> unwell_;  // keys of statuses of routes in which something is wrong
  std::map<std::string, std::string> statuses_;    // elements of lists by "Kind/namespace/name"
  std::size_t diagnostic_bytes_ = 0;               // of them, those of routes
  Digest digest_;                                  // of all routes
  std::map<std::string, std::size_t> namespaces_;  // how many routes and listeners lead to each
  std::size_t bytes_ = 0, rules_ = 0, listener_bytes_ = 0;
  std::string checksum_;
};

}  // namespace hyperway::snapshot_sink
