// SPDX-License-Identifier: Apache-2.0
#include "collection.hpp"

#include <utility>

namespace hyperway::gateway_deployer {
namespace {

k8s_client::Reflector::Options optionsFor(std::string path) {
  k8s_client::Reflector::Options options;
  options.path = std::move(path);
  return options;
}

}  // namespace

Collection::Collection(k8s_client::Api& api, std::string what, std::string path, Objects& objects,
                       Changed changed, Trouble trouble)
    : what_(std::move(what)),
      objects_(objects),
      changed_(std::move(changed)),
      trouble_(std::move(trouble)),
      reflector_(api, optionsFor(std::move(path)), *this) {}

// An answer to a write of ours may come before or after the event that it made.
void Collection::learn(Actual actual) {
  const std::string key = actual.key();
  const auto found = objects_.find(key);
  if (found != objects_.end() && found->second.version >= actual.version) return;
  objects_.insert_or_assign(key, std::move(actual));
}

void Collection::onObject(const k8s_client::ObjectText& object) {
  text_.clear();
  object.appendSlim(text_, "", "", true);
  auto actual = readActual(text_);
  if (!actual) return;
  learn(std::move(*actual));
  changed_();
}

void Collection::onRemoved(std::string_view key) {
  if (objects_.erase(std::string(key)) != 0) changed_();
}

// What we learnt of a write and was gone before anybody told us of it.
void Collection::onListed() {
  std::erase_if(objects_, [this](const auto& entry) { return !reflector_.has(entry.first); });
  changed_();
}

void Collection::onTrouble(const k8s_client::Error& error) {
  trouble_("cannot follow " + what_ + ": " + error.text());
}

}  // namespace hyperway::gateway_deployer
