// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cache.hpp"
#include "index.hpp"
#include "k8s_client/api.hpp"
#include "k8s_client/reflector.hpp"
#include "presence.hpp"
#include "settings.hpp"

namespace hyperway::snapshot_source {

/// Follows a RouteSnapshot and what it refers to. An index comes into force with all its parts or
/// not at all; whatever happens, the last one stays. The loop's thread.
class Reader {
 public:
  /// Who is told.
  struct Listener {
    /// Objects to hand on, as a batch (HW_DOC_OBJECTS): JSON objects, comma-separated, and keys.
    /// `synced`: with this the first of everything is there.
    std::function<void(const std::string& upserts, const std::string& removals, bool synced)>
        publish;
    /// What does not work, in the user's words; empty: all is well.
    std::function<void(const std::string& trouble)> trouble;
    /// The time as metav1.Time has it.
    std::function<std::string()> now;
  };

  /// `api` outlives this.
  Reader(k8s_client::Api& api, Settings settings, Identity identity, Listener listener);
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader();

  /// Begins.
  void start();
  /// After everything that has arrived was worked on: hands on what there is.
  void endTurn();
  /// A batch of statuses of the host.
  void report(std::string_view statuses);

 private:
  // Follows a collection, or one object.
  class Follower final : public k8s_client::Reflector::Observer {
   public:
    using Seen = void (Reader::*)(const k8s_client::ObjectText& object);
    using Gone = void (Reader::*)(std::string_view key);
    Follower(Reader& reader, std::string what, std::string path, std::chrono::milliseconds poll,
             Seen seen, Gone gone);
    /// True once it was listed, or is not for us.
    [[nodiscard]] bool settled() const { return reflector.listed() || error.status == 403; }
    void onObject(const k8s_client::ObjectText& object) override { (reader_.*seen_)(object); }
    void onRemoved(std::string_view key) override { (reader_.*gone_)(key); }
    void onListed() override { reader_.states_changed_ = true; }
    void onOtherHistory() override { reader_.generation_ = 0; }
    void onTrouble(const k8s_client::Error& problem) override;
    void onWell() override;
    k8s_client::Reflector reflector;
    const std::string what;
    k8s_client::Error error;

   private:
    Reader& reader_;
    const Seen seen_;
    const Gone gone_;
  };
  // Services and EndpointSlices of one namespace, or of all.
  struct Backends {
    Backends(Reader& reader, const std::string& name_space);
    Follower services, slices;
    std::set<std::string> known_slices;  // keys, where it may end before we do
    bool uses_cluster_addresses = false, dropped_cluster_addresses = false;
  };
  // An index that waits for its parts.
  struct Waiting {
    Index index;
    std::vector<std::string> missing;  // parts to ask for
    std::size_t asked = 0;             // answers under way
    std::string trouble;               // why a part cannot be had
  };

  void onIndex(const k8s_client::ObjectText& object);
  void onIndexGone(std::string_view key);
  void onService(const k8s_client::ObjectText& object);
  void onServiceGone(std::string_view key);
  void onSlice(const k8s_client::ObjectText& object);
  void onSliceGone(std::string_view key);
  void onSecret(const k8s_client::ObjectText& object);
  void onSecretGone(std::string_view key);
  void askForParts();
  void askForPart(const std::string& name);
  void onPart(std::uint64_t number, const std::string& name, k8s_client::Reply reply);
  void retryParts();
  void bringIntoForce();
  [[nodiscard]] bool awaitsSecrets();
  [[nodiscard]] bool awaitsBackends();
  void followBackends(const std::set<std::string>& namespaces);
  void forgetBackends(const std::string& name_space, Backends& backends);
  [[nodiscard]] Backends* backendsOf(std::string_view key);
  [[nodiscard]] Follower* followerOf(const std::string& kind, const std::string& key);
  void followSecrets(const std::set<std::string>& wanted);
  void useClusterAddresses(Backends& backends, bool use);
  void dropClusterAddresses(Backends& backends);
  void addUpsert(const k8s_client::ObjectText& object, std::string_view group_version,
                 std::string_view kind);
  void addClusterAddress(const std::string& service, std::string_view address);
  void serveFromCache();
  void completeFromCache(const std::map<std::string, std::string>& objects);
  void forgetWhatTheCacheHadAlone();
  void addRemoval(std::string_view group, std::string_view kind, std::string_view key);
  [[nodiscard]] bool isSynced() const;
  void tellTrouble();

  k8s_client::Api& api_;
  const Settings settings_;
  const Listener listener_;
  std::shared_ptr<Reader*> self_;  // answers may come after our end
  Presence presence_;
  std::string presence_trouble_;
  Follower index_;
  std::map<std::string, std::unique_ptr<Backends>> backends_;  // by namespace; "": of all
  std::map<std::string, std::unique_ptr<Follower>> secrets_;   // by "namespace/name"

  bool exists_ = false;  // the index
  std::string uid_;      // and which one was taken, at which generation
  std::int64_t generation_ = 0;
  std::optional<Waiting> waiting_;
  std::uint64_t number_ = 0;  // of waiting_
  unsigned failures_ = 0;
  std::optional<k8s_client::Api::Id> retry_;
  std::map<std::string, std::string> fetched_;  // parts of waiting_: name -> text
  bool has_index_ = false;                      // one is in force
  std::set<std::string> parts_;                 // in force
  std::set<std::string> wanted_secrets_, namespaces_;

  // Service -> clusterAddress(), empty where EndpointSlices are for us.
  std::map<std::string, std::string> cluster_addresses_;
  Cache cache_;
  std::string cache_trouble_;
  // Keys by kind, each until whoever follows it has listed.
  std::map<std::string, std::set<std::string>> cached_;
  bool from_cache_ = false;

  std::string upserts_, removals_;
  bool states_changed_ = false, synced_ = false;
  std::string trouble_;
};

}  // namespace hyperway::snapshot_source
