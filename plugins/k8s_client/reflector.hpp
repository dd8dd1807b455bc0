// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "k8s_client/api.hpp"
#include "k8s_client/line_splitter.hpp"
#include "k8s_client/list_page.hpp"
#include "k8s_client/list_turns.hpp"
#include "k8s_client/object_text.hpp"
#include "k8s_client/watch_event.hpp"

namespace hyperway::k8s_client {

/// Follows a collection: lists it by pages, watches it from there, and keeps on doing so whatever
/// happens. Tells each state of an object once, in order, and never goes back; an error within a
/// list drops nothing. Keeps for each object its key and version, nothing else. A page of a list is
/// worked on a few objects at a time, so that no event waits for it. The loop's thread.
class Reflector final : private StreamHandler {
 public:
  /// Who is told. Not to destroy the reflector from within a call.
  class Observer {
   public:
    virtual ~Observer() = default;
    /// An object is there, new or changed. `object` is good for the call only.
    virtual void onObject(const ObjectText& object) = 0;
    /// The object "namespace/name" is gone.
    virtual void onRemoved(std::string_view key) = 0;
    /// A list is complete.
    virtual void onListed() = 0;
    /// It cannot be followed, and why; told again when the reason changes.
    virtual void onTrouble(const Error& error) = 0;
    /// The server's data was restored from a backup: versions and generations of before mean
    /// nothing. All there is is told again.
    virtual void onOtherHistory() {}
    /// It is followed again, after onTrouble().
    virtual void onWell() = 0;
  };
  /// What objects are read with. It keeps its buffers, several times the size of what was read, so
  /// reflectors of one thread had better share it.
  struct Readers {
    WatchEventReader event;  ///< Of lines of watches.
    ObjectText object;       ///< Of them and of lists; what an observer sees.
  };
  /// How it behaves.
  struct Options {
    std::string path;  ///< Collection; may have a query (fieldSelector=…).
    std::chrono::milliseconds list_gap{5000};  ///< At least, between two lists.
    std::chrono::milliseconds poll{30000};     ///< Between lists beside the watch.
    std::chrono::milliseconds silence{60000};  ///< A watch without event or bookmark is dead.
    std::chrono::milliseconds first_back_off{100}, most_back_off{2000};  ///< See backOff().
    std::chrono::seconds watch_limit{480};         ///< The server ends a watch about then.
    std::size_t most_line = std::size_t{8} << 20;  ///< Bytes of a watch line.
    bool metadata_only = false;      ///< Objects come without spec and status, where a server can.
    std::function<double()> random;  ///< 0..1, for jitter; may be null.
    Readers* readers = nullptr;      ///< Shared with others; outlives this. Null: its own.
    ListTurns* turns = nullptr;      ///< Shared with others of the kind; outlives this. Null: none.
  };

  /// `api` and `observer` outlive this.
  Reflector(Api& api, Options options, Observer& observer);
  Reflector(const Reflector&) = delete;
  Reflector& operator=(const Reflector&) = delete;
  ~Reflector() override;

  /// Begins with a list.
  void start();
  /// Takes over what another one knows of the same objects, so that what is gone by the first list
  /// is told. Before start(); `before` is of no use afterwards.
  void inherit(Reflector& before);
  /// True once a list was complete.
  [[nodiscard]] bool listed() const noexcept { return listed_; }
  /// True if the object "namespace/name" is there.
  [[nodiscard]] bool has(const std::string& key) const { return known_.contains(key); }
  /// Objects that are there.
  [[nodiscard]] std::size_t size() const noexcept { return known_.size(); }

 private:
  struct Known {
    std::uint64_t version = 0;
    std::uint32_t list = 0;  // number of the last list or watch event that had it
  };

  void onOpen() override;
  void onData(std::string_view bytes) override;
  void onEnd(Error error) override;

  void schedule(Duration delay, void (Reflector::*what)());
  void schedulePoll();
  void wantList();
  void takeTurn();
  void pollInTurn();
  void endTurn();
  void list();
  void askPage();
  void onPage(Reply reply);
  void takeSome();
  void endPage();
  void dropPage();
  void mark(Known& known);
  void listFailed(const Error& error);
  void endList();
  void watch();
  void endWatch();
  void watchFailed(const Error& error);
  void expectSign();
  void checkSilenceAfter(Duration wait);
  void take(const ObjectText& object, bool from_watch);
  void takeRemoval(const ObjectText& object);
  [[nodiscard]] bool isOtherHistory(std::uint64_t version);
  void onLine(std::string_view line);
  void trouble(const Error& error);
  void well();
  [[nodiscard]] double random() const { return options_.random ? options_.random() : 0.5; }

  Api& api_;
  const Options options_;
  Observer& observer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // answers may come after our end

  std::unordered_map<std::string, Known> known_;
  std::unordered_map<std::string, std::uint64_t> removed_;  // by the watch, during a list
  std::uint32_t list_number_ = 0;
  std::size_t marked_ = 0;  // of known_, those that have list_number_
  bool listing_ = false;
  bool listed_ = false;
  std::string list_version_;
  std::uint64_t newest_ = 0;          // version that the server is known to have reached
  std::uint64_t newest_at_list_ = 0;  // when the list was begun
  std::string next_page_;
  std::optional<ListPageReader> page_reader_;  // while there is a list
  std::vector<std::string_view> page_;         // its objects, in page_reader_'s buffer
  std::size_t page_at_ = 0;                    // the next of them
  bool page_readable_ = true;
  Api::Id page_timer_ = 0;
  TimePoint page_asked_{};
  std::optional<TimePoint> last_list_;
  TimePoint list_began_{};
  unsigned list_failures_ = 0;
  ListTurns::Id turn_ = 0;

  std::string version_;  // where the watch resumes; empty: a list is needed first
  Api::Id stream_ = 0;
  TimePoint watch_began_{};
  Error watch_error_;  // an ERROR event, told when the stream is ended
  unsigned watch_failures_ = 0;
  Api::Id retry_ = 0, poll_ = 0, silence_ = 0;
  TimePoint last_sign_{};

  bool troubled_ = false;
  std::string last_trouble_;

  LineSplitter lines_;
  std::unique_ptr<Readers> own_readers_;  // null if they are shared
  Readers& readers_;
};

}  // namespace hyperway::k8s_client
