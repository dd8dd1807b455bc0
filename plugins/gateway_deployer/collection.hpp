// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "k8s_client/api.hpp"
#include "k8s_client/reflector.hpp"
#include "plan.hpp"

namespace hyperway::gateway_deployer {

/// Keeps a copy of a small collection at the API server, with what our own writes were answered
/// with. All on the loop's thread.
class Collection final : private k8s_client::Reflector::Observer {
 public:
  /// Told of each change, and of each list that is complete.
  using Changed = std::function<void()>;
  /// Told what does not work, and with an empty text when it works again.
  using Trouble = std::function<void(const std::string& text)>;

  /// Follows the collection at `path` (with its query) into `objects`. `what` names it in texts.
  /// `api` and `objects` outlive this.
  Collection(k8s_client::Api& api, std::string what, std::string path, Objects& objects,
             Changed changed, Trouble trouble);

  /// Begins.
  void start() { reflector_.start(); }
  /// True once the first list was complete.
  [[nodiscard]] bool synced() const noexcept { return reflector_.listed(); }
  /// Takes what a write was answered with, so that we need not wait for its event.
  void learn(Actual actual);
  /// Takes that an object is gone.
  void forget(const std::string& key) { objects_.erase(key); }

 private:
  void onObject(const k8s_client::ObjectText& object) override;
  [[nodiscard]] bool isOfStatus(const Actual& actual);
  void onRemoved(std::string_view key) override;
  void onListed() override;
  void onTrouble(const k8s_client::Error& error) override;
  void onWell() override { trouble_({}); }

  std::string what_;
  Objects& objects_;
  Changed changed_;
  Trouble trouble_;
  std::string text_;  // of the object at hand
  k8s_client::Reflector reflector_;
};

}  // namespace hyperway::gateway_deployer
