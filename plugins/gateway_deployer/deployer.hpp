// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "batch.hpp"
#include "collection.hpp"
#include "k8s_client/api.hpp"
#include "plan.hpp"
#include "settings.hpp"

namespace hyperway::gateway_deployer {

/// Brings what is made for Gateways in the cluster in line with them: Services and EndpointSlices,
/// or, in the deployed shape, all that their own data planes need. Follows what is
/// there, and writes what differs, while it leads. A write that is refused is tried again with
/// back-off and holds up nobody else. All on the loop's thread.
class Deployer {
 public:
  /// Who is told what.
  struct Listener {
    /// Reasons of Gateways that changed: key -> why it has no place, or empty.
    std::function<void(const std::map<std::string, std::string>& reasons)> gateways;
    /// The same of what is wrong with their parameters.
    std::function<void(const std::map<std::string, std::string>& reasons)> parameters;
    /// What concerns no single Gateway: the API server cannot be listed. Empty: all is well.
    std::function<void(const std::string& reason)> trouble;
    /// A write was answered.
    std::function<void(const Write& write, const k8s_client::Error& error)> written;
  };

  /// `api` outlives this.
  Deployer(k8s_client::Api& api, Settings settings, Listener listener);
  Deployer(const Deployer&) = delete;
  Deployer& operator=(const Deployer&) = delete;
  ~Deployer();

  /// Begins to follow the cluster.
  void start();
  /// Takes a batch; `full`: there are no other Gateways. The first one is.
  void take(Batch batch, bool full);
  /// Whether it may write.
  void lead(bool leads);

  /// Writes under way at once.
  static constexpr std::size_t kMostFlying = 16;

 private:
  // What is known of writes to one object.
  struct Attempt {
    bool flying = false;
    bool wanted = false;  // in the last plan
    unsigned failures = 0;
    k8s_client::TimePoint not_before{};
    std::string hash;           // of the body that was tried last
    std::string gateway;        // for whom
    std::string problem;        // why it failed
    std::uint64_t settled = 0;  // version of the object after the last success with `hash`
  };

  // Writes of the same to one object: somebody else undoes them.
  struct Repeats {
    std::string hash;
    unsigned count = 0;
    k8s_client::TimePoint last{}, not_before{};
  };

  void changed();
  void wakeAt(k8s_client::TimePoint time);
  void reconcile();
  void consider(const Write& write);
  void begin(const Write& write);
  void lookFirst(const Write& write);
  void onLooked(const Write& write, k8s_client::Reply reply);
  void create(const Write& write);
  void adopt(const Write& write);
  void onOwners(const Write& write, k8s_client::Reply reply);
  void send(const Write& write);
  void onWritten(const Write& write, k8s_client::Reply reply);
  void failed(const Write& write, std::string problem);
  void countRepeat(const Write& write);
  void report(const Plan& plan);
  void followParameters();
  [[nodiscard]] bool synced() const;
  void tellTrouble(const std::string& what, const std::string& text);
  [[nodiscard]] Collection& collection(ObjectKind kind);
  [[nodiscard]] std::uint64_t versionOf(const Write& write) const;
  // An answer that comes after our end does nothing.
  [[nodiscard]] k8s_client::Api::Done then(std::function<void(k8s_client::Reply)> done);

  k8s_client::Api& api_;
  Settings settings_;
  Listener listener_;
  World world_;
  bool has_batch_ = false;
  bool leads_ = false;
  bool due_ = false;  // reconcile() will run
  std::size_t flying_ = 0;
  std::map<std::string, Attempt> attempts_;              // by subject
  std::map<std::string, Repeats> repeats_;               // by subject
  std::map<std::string, std::string> reported_;          // by Gateway
  std::map<std::string, std::string> wrong_parameters_;  // by Gateway
  std::map<std::string, std::string> troubles_;          // by what is followed
  std::set<k8s_client::TimePoint> alarms_;
  std::shared_ptr<Deployer*> self_;
  std::map<ObjectKind, std::unique_ptr<Collection>> collections_;  // of what we make
  std::unique_ptr<Collection> pods_;                               // shared shape only
  // A ConfigMap that Gateways name.
  struct Followed {
    Objects objects;
    std::unique_ptr<Collection> collection;
  };
  std::map<std::string, Followed> parameters_;  // by key
};

}  // namespace hyperway::gateway_deployer
