// SPDX-License-Identifier: Apache-2.0
#include "collection.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "json_text.hpp"
#include "k8s_client/json_text.hpp"

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
  object.appendSlim(text_, "", "", false);
  auto actual = readActual(text_);
  if (!actual || isOfStatus(*actual)) return;
  learn(std::move(*actual));
  changed_();
}

// The status of a Deployment changes with each of its Pods, and is nothing to us.
bool Collection::isOfStatus(const Actual& actual) {
  const auto found = objects_.find(actual.key());
  if (found == objects_.end() || actual.generation == 0) return false;
  Actual& known = found->second;
  const auto metadata = [](const Actual& one, std::string_view name) {
    const sdk::json::Value* value = at(one.content, {"metadata", name});
    return value != nullptr ? k8s_client::toText(*value) : std::string();
  };
  if (known.generation != actual.generation || known.uid != actual.uid ||
      known.deleting != actual.deleting ||
      metadata(known, "labels") != metadata(actual, "labels") ||
      metadata(known, "annotations") != metadata(actual, "annotations"))
    return false;
  known.version = std::max(known.version, actual.version);
  return true;
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
