// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "acknowledgements.hpp"
#include "batch.hpp"
#include "content.hpp"
#include "grants.hpp"
#include "k8s_client/api.hpp"
#include "k8s_client/reflector.hpp"
#include "objects.hpp"
#include "refusals.hpp"
#include "settings.hpp"

namespace hyperway::snapshot_sink {

/// Keeps the RouteSnapshot and its parts at the API server as they should be, and learns from its
/// status what is programmed. Nothing differs: nothing is written. The loop's thread.
class Writer {
 public:
  /// Who is told.
  struct Listener {
    /// The snapshot is at the server as of `generation`, or whoever leads sees to it.
    std::function<void(std::uint64_t generation)> written;
    /// Listeners whose state changed.
    std::function<void(const std::vector<Acknowledgements::Report>&)> programmed;
    /// What does not work, in the user's words; empty: all is well.
    std::function<void(const std::string& trouble)> trouble;
    /// An object was written or removed, or was not.
    std::function<void(const std::string& what, const k8s_client::Error& error)> attempted;
    /// The time as metav1.Time has it.
    std::function<std::string()> now;
  };

  /// `api` outlives this.
  Writer(k8s_client::Api& api, Settings settings, Listener listener, Cut cut = {});
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer();

  /// Begins to follow what there is.
  void start();
  /// Takes a batch that came as `generation`.
  void take(std::uint64_t generation, Batch batch);
  /// Whether we are the one who writes.
  void lead(bool leads);
  /// The Gateway that it is made for is now like this.
  void own(Owner owner);

 private:
  // Follows the index, or the parts.
  class Follower final : public k8s_client::Reflector::Observer {
   public:
    Follower(Writer& writer, std::string what, k8s_client::Reflector::Options options);
    void onObject(const k8s_client::ObjectText& object) override;
    void onRemoved(std::string_view key) override;
    void onListed() override;
    void onOtherHistory() override;
    void onTrouble(const k8s_client::Error& error) override;
    void onWell() override;
    k8s_client::Reflector reflector;

   private:
    Writer& writer_;
    const std::string what_;
  };
  struct Part {
    std::string uid;
    bool intact = true;  // nobody edited it
    bool deleting = false;
    bool removing = false;  // by us, and not answered yet
    bool accepted = false;  // content_ knows that it is there
    std::optional<k8s_client::TimePoint> unused_since;
    k8s_client::TimePoint not_before{};  // its removal failed
    unsigned failures = 0;
  };

  // What is being written: all of it before anything newer, or changes that come all the time would
  // keep an index from ever being written.
  struct Round {
    k8s_client::TimePoint began{};
    std::size_t fresh = 0;  // parts that it makes
    std::uint64_t generation = 0;
    std::string spec;
    std::vector<Content::Part> parts;
    std::map<std::string, std::string> bodies;  // of parts that were not there, by name
  };

  // Writes of the same thing, each of which somebody has undone.
  struct Repeats {
    unsigned count = 0;
    k8s_client::TimePoint last{};
    void add(k8s_client::TimePoint now);
    [[nodiscard]] k8s_client::TimePoint next(k8s_client::TimePoint now) const;
  };

  [[nodiscard]] std::string path(std::string_view name, std::string_view subresource = {}) const;
  void onSeen(const Follower& from, const k8s_client::ObjectText& object);
  void onGone(const Follower& from, std::string_view key);
  void learnIndex(Observed seen);
  void forgetVersions();
  void contentChanged(const std::vector<std::string>& back = {});
  [[nodiscard]] bool isSettled(const std::string& spec) const;
  void learn(std::string_view spec);
  void noteWhatIsThere(const std::vector<Content::Part>& parts, const std::string& spec);
  void changed(k8s_client::Duration after);
  void consider();
  [[nodiscard]] Secrets secretsToGrant() const;
  void beginRound(std::vector<Content::Part> parts, const std::string& spec);
  [[nodiscard]] bool writeParts(Round& round);
  void sendPart(const Content::Part& part, std::string body);
  [[nodiscard]] bool isWanted(const Content::Part* part, const std::string& spec) const;
  void refused(const std::string& what, const k8s_client::Error& error,
               const std::optional<Content::Part>& part, const std::string& spec);
  void removePart(const std::string& name, Part& part);
  void notRemoved(Part& part, const k8s_client::Error& error);
  void lookFirst();
  void writeIndex(const std::string& spec);
  void onIndexWritten(const std::string& spec, k8s_client::Reply reply);
  void writeStatus();
  void collect(const std::vector<Content::Part>& parts,
               const std::vector<Content::Part>& older = {});
  void judge();
  void askForPods();
  void forgetPods();
  void forgetPodsAfter(k8s_client::Duration wait);
  void failed(const std::string& what, const k8s_client::Error& error);
  void tell(const std::string& subject, const std::string& trouble);
  void wakeAt(k8s_client::TimePoint time);
  [[nodiscard]] k8s_client::Api::Done then(std::function<void(k8s_client::Reply)> done);

  k8s_client::Api& api_;
  Settings settings_;    // the owner changes
  std::string applied_;  // see appliedOf()
  const Listener listener_;
  std::shared_ptr<Writer*> self_;  // answers may come after our end
  Content content_;
  Refusals refusals_;
  Acknowledgements acknowledgements_;
  Follower index_follower_, part_follower_;
  Grants grants_;

  std::uint64_t generation_ = 0, revision_ = 0;  // of the pipeline, and of content_
  bool has_batch_ = false, leads_ = false, due_ = false;
  bool looked_ = false;  // nobody has made an index of that name
  std::set<k8s_client::TimePoint> alarms_;

  std::optional<Observed> index_;
  Secrets named_;                        // by index_
  std::map<std::string, Part> parts_;    // by name
  std::map<std::string, Repeats> made_;  // parts, by name
  std::set<std::string> foreign_;        // parts whose names somebody else has taken
  std::set<std::string> asked_before_;   // parts that were read for what the server had
  // The index at this generation is what this spec says, as far as the server keeps it.
  std::int64_t settled_generation_ = 0;
  std::string settled_spec_, updated_at_, updated_for_;
  std::optional<Round> round_;
  k8s_client::TimePoint next_round_{}, last_written_{}, last_removed_{};
  std::size_t flying_ = 0;    // answers that the next step waits for
  std::size_t removing_ = 0;  // parts whose removal is under way
  unsigned failures_ = 0;
  Repeats index_writes_;
  std::string repeated_;
  k8s_client::TimePoint not_before_{};
  std::map<std::string, std::string> troubles_;  // by what is troubled

  bool status_flying_ = false;
  k8s_client::TimePoint status_not_before_{};
  std::optional<k8s_client::TimePoint> status_due_;
  std::set<std::string> gone_pods_;  // "namespace/name"
  std::size_t pods_asked_ = 0;       // answers under way
  bool asking_ = false;              // the next look at Pods is due some time
};

}  // namespace hyperway::snapshot_sink
