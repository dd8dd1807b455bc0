// SPDX-License-Identifier: Apache-2.0
#include "k8s_client/list_turns.hpp"

#include <utility>

namespace hyperway::k8s_client {

ListTurns::~ListTurns() {
  if (timer_ != 0) api_.cancel(timer_);
}

ListTurns::Id ListTurns::need(Begin begin) {
  const Id id = ++last_id_;
  needed_.emplace(id, std::move(begin));
  pump();
  return id;
}

ListTurns::Id ListTurns::poll(Begin begin) {
  const Id id = ++last_id_;
  polls_.emplace(id, std::move(begin));
  pollNext();
  return id;
}

void ListTurns::end(Id id) {
  needed_.erase(id);
  polls_.erase(id);
  if (under_way_.erase(id) != 0) pump();
}

void ListTurns::pump() {
  while (under_way_.size() < options_.parallel && !needed_.empty()) {
    const auto next = needed_.extract(needed_.begin());
    under_way_.insert(next.key());
    if (!next.mapped()()) under_way_.erase(next.key());
  }
}

void ListTurns::pollNext() {
  if (timer_ != 0) return;
  while (!polls_.empty()) {
    const TimePoint now = api_.now();
    if (last_poll_ && now < *last_poll_ + options_.poll_gap) {
      timer_ = api_.after(*last_poll_ + options_.poll_gap - now, [this] {
        timer_ = 0;
        pollNext();
      });
      return;
    }
    const auto next = polls_.extract(polls_.begin());
    if (next.mapped()()) last_poll_ = now;
  }
}

}  // namespace hyperway::k8s_client
