// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "content.hpp"
#include "k8s_client/api.hpp"

namespace hyperway::snapshot_sink {

/// True if an answer is about what was sent, and not about the server or our rights.
[[nodiscard]] bool isAboutContent(const k8s_client::Error& error);

/// What of a snapshot the API server refuses, so that nothing else waits for it. Where the answer
/// names a place, the route or listener there is to blame. Where it names none, what changed is
/// halved until one is left, and what was put off comes with the next round. What is to blame is
/// tried again after half a minute, and ever more seldom up to ten. Pure.
class Refusals {
 public:
  /// `content` outlives this.
  explicit Refusals(Content& content) : content_(content) {}

  /// A part, or the index if null, was refused. True if something is left out now: what is left
  /// may be fine. False if all that was sent had been taken before.
  [[nodiscard]] bool blame(const k8s_client::Error& error, const Content::Part* part,
                           k8s_client::TimePoint now);
  /// Leaves listeners out, those that are new first, until an index has room for the others. True
  /// if there are such.
  bool makeRoom(k8s_client::TimePoint now);
  /// After all there is was written: puts back what was put off, or is due for another attempt.
  /// Its keys.
  [[nodiscard]] std::vector<std::string> resume(k8s_client::TimePoint now);
  /// When resume() has something to do next.
  [[nodiscard]] std::optional<k8s_client::TimePoint> due() const;
  /// There may be room now: what is to blame is tried at the next opportunity.
  void hurry();
  /// A route or listener changed, or is gone.
  void forget(const std::string& key);
  /// Everything is new.
  void clear();

  /// Who is to blame, and why.
  [[nodiscard]] std::map<std::string, std::string> reasons() const;
  /// The same as a sentence; empty if there is nobody.
  [[nodiscard]] std::string text() const;

 private:
  struct Blamed {
    std::string why;
    k8s_client::TimePoint again{};
    unsigned times = 0;
  };

  void blameOne(const std::string& key, const std::string& why, k8s_client::TimePoint now);

  Content& content_;
  std::map<std::string, Blamed> blamed_;
  std::set<std::string> put_off_;
};

}  // namespace hyperway::snapshot_sink
