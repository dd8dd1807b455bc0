// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "k8s_client/api.hpp"
#include "plan.hpp"

namespace hyperway::gateway_deployer {

/// Keeps a copy of a small collection at the API server: lists it, follows it by a watch, and lists
/// again if the watch cannot go on. What fails drops nothing: the copy stays as it was. All on the
/// loop's thread.
class Follower final : public k8s_client::StreamHandler {
 public:
  /// Told of each change, and when the first list is complete.
  using Changed = std::function<void()>;
  /// Told what does not work, once for each new text, and with an empty one when it works again.
  using Trouble = std::function<void(const std::string& text)>;

  /// Follows the collection at `path` (without query) as far as `label_selector` goes, into
  /// `objects`. `what` names it in texts. Both `api` and `objects` outlive this.
  Follower(k8s_client::Api& api, std::string what, std::string path, std::string label_selector,
           Objects& objects, Changed changed, Trouble trouble);
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;
  ~Follower() override;

  /// Begins.
  void start();
  /// True once the first list was complete.
  [[nodiscard]] bool synced() const noexcept { return synced_; }
  /// Takes what a write was answered with, so that we need not wait for its event.
  void learn(Actual actual);
  /// Takes that an object is gone.
  void forget(const std::string& key);

  /// A part of the watch.
  void onData(std::string_view bytes) override;
  /// The watch is over.
  void onEnd(k8s_client::Error error) override;

  /// Without any byte for this long a watch counts as dead; the server sends a bookmark about once
  /// a minute.
  static constexpr std::chrono::seconds kSilence{75};
  /// Between the beginnings of two lists.
  static constexpr std::chrono::seconds kLeastBetweenLists{5};
  /// Bound of a line of a watch: etcd's bound of an object, and some more.
  static constexpr std::size_t kMostLine = std::size_t{8} << 20;

 private:
  void list();
  void listPage(const std::string& after);
  void onPage(k8s_client::Reply reply);
  void listAgain();
  void watch();
  void onLine(std::string_view line);
  void endWatch();
  void heard();
  void fail(const std::string& text);
  void retry(std::function<void()> what, std::chrono::milliseconds delay);
  [[nodiscard]] std::chrono::milliseconds nextDelay();

  k8s_client::Api& api_;
  std::string what_;
  std::string path_;
  std::string selector_;
  Objects& objects_;
  Changed changed_;
  Trouble trouble_;
  Objects listing_;      // of the list under way
  std::string version_;  // resourceVersion to go on from
  std::string line_;     // of the watch, not complete
  std::string last_trouble_;
  k8s_client::TimePoint list_began_{};
  k8s_client::Api::Id stream_ = 0;
  k8s_client::Api::Id silence_ = 0;
  unsigned failures_ = 0;
  bool synced_ = false;
  std::shared_ptr<Follower*> self_;  // answers that come after our end find null
};

}  // namespace hyperway::gateway_deployer
