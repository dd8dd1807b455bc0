// SPDX-License-Identifier: Apache-2.0
#include "content.hpp"

#include <algorithm>
#include <utility>

namespace hyperway::snapshot_sink {
namespace {

constexpr std::size_t kMostPrefix = 200;  // with bucket and digest behind it, below 253

void append(std::string& list, const std::string& text) {
  if (text.empty()) return;
  if (!list.empty()) list += ',';
  list += text;
}

std::string hexOf(std::size_t number) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  do out.insert(out.begin(), kHex[number & 15]);
  while ((number >>= 4) != 0);
  return out;
}

}  // namespace

Content::Content(std::string name, Cut cut) : name_(std::move(name)), cut_(cut), buckets_(1) {
  settle();
}

void Content::take(Batch batch) {
  if (batch.full) {
    listeners_.clear();
    routes_.clear();
    left_out_.clear();
    namespaces_.clear();
    digest_ = {};
    bytes_ = rules_ = 0;
    std::fill(buckets_.begin(), buckets_.end(), Bucket());
  }
  for (const std::string& key : batch.removed_listeners) {
    listeners_.erase(key);
    left_out_.erase(key);
  }
  for (const std::string& key : batch.removed_routes) remove(key);
  for (Batch::Listener& listener : batch.listeners) {
    left_out_.erase(listener.key);
    listeners_[std::move(listener.key)] = std::move(listener.text);
  }
  for (Batch::Route& route : batch.routes) put(std::move(route));
  settle();
}

void Content::leaveOut(const std::string& key) {
  if (routes_.contains(key)) {
    remove(key);
    left_out_.insert(key);
  } else if (listeners_.erase(key) > 0) {
    left_out_.insert(key);
  }
  settle();
}

void Content::put(Batch::Route route) {
  remove(route.key);
  // A route that serves nowhere has no text.
  if (route.text.empty()) return;
  Route fresh;
  fresh.count = route.count;
  fresh.place = Digest(route.key).bits();
  fresh.digest = Digest(route.key + '\n' + route.text);
  fresh.text = std::move(route.text);
  fresh.namespaces = std::move(route.namespaces);
  for (const std::string& name : fresh.namespaces) ++namespaces_[name];
  const auto at = routes_.emplace(std::move(route.key), std::move(fresh)).first;
  enter(at->first, at->second);
  digest_ += at->second.digest;
  bytes_ += at->second.text.size();
  rules_ += at->second.count;
}

void Content::enter(const std::string& key, const Route& route) {
  Bucket& bucket = bucketOf(route);
  bucket.routes.insert(key);
  bucket.digest += route.digest;
  bucket.bytes += route.text.size();
}

void Content::remove(const std::string& key) {
  left_out_.erase(key);
  const auto found = routes_.find(key);
  if (found == routes_.end()) return;
  const Route& route = found->second;
  Bucket& bucket = bucketOf(route);
  bucket.routes.erase(found->first);
  bucket.digest -= route.digest;
  bucket.bytes -= route.text.size();
  digest_ -= route.digest;
  bytes_ -= route.text.size();
  rules_ -= route.count;
  for (const std::string& name : route.namespaces)
    if (--namespaces_[name] == 0) namespaces_.erase(name);
  routes_.erase(found);
}

// Between a quarter and twice of what is aimed at nothing is cut anew, so that a few edits at a
// border do not rewrite everything again and again.
void Content::cutAnew() {
  const std::size_t average = bytes_ / buckets_.size();
  const std::size_t most = std::size_t{1} << cut_.most_bits;
  const bool grows = average > 2 * cut_.bucket && buckets_.size() < most;
  const bool shrinks = average < cut_.bucket / 4 && buckets_.size() > 1;
  if (!grows && !shrinks) return;
  std::size_t count = 1;
  while (count < most && bytes_ / count > cut_.bucket) count *= 2;
  buckets_.assign(count, Bucket());
  for (const auto& [key, route] : routes_) enter(key, route);
}

void Content::settle() {
  inline_ = bytes_ <= (inline_ ? cut_.inline_most : cut_.inline_again);
  cutAnew();
  checksum_ = Digest(digest_.hex() + listeners()).hex();
}

std::string Content::listeners() const {
  std::string out;
  for (const auto& [key, text] : listeners_) append(out, text);
  return out;
}

std::vector<std::string> Content::listenerKeys() const {
  std::vector<std::string> out;
  for (const auto& [key, text] : listeners_) out.push_back(key);
  return out;
}

std::string Content::routes() const {
  std::string out;
  out.reserve(bytes_ + routes_.size());
  for (const auto& [key, route] : routes_) append(out, route.text);
  return out;
}

std::string Content::routeAt(std::size_t index) const {
  for (const auto& [key, route] : routes_) {
    if (index < route.count) return key;
    index -= route.count;
  }
  return {};
}

std::string Content::routeAt(std::size_t bucket, std::size_t index) const {
  if (bucket >= buckets_.size()) return {};
  for (const std::string_view key : buckets_[bucket].routes) {
    const Route& route = routes_.at(std::string(key));
    if (index < route.count) return std::string(key);
    index -= route.count;
  }
  return {};
}

std::vector<Content::Part> Content::parts() const {
  std::vector<Part> out;
  if (inline_) return out;
  std::string prefix = name_.substr(0, kMostPrefix);
  while (prefix.ends_with('.') || prefix.ends_with('-')) prefix.pop_back();
  prefix += '-';
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    if (buckets_[i].routes.empty()) continue;
    std::string checksum = buckets_[i].digest.hex();
    out.push_back({i, prefix + hexOf(i) + '-' + checksum, std::move(checksum)});
  }
  return out;
}

bool Content::hasPart(const std::string& name) const {
  const auto all = parts();
  return std::any_of(all.begin(), all.end(), [&](const Part& one) { return one.name == name; });
}

std::string Content::largestOf(std::size_t bucket) const {
  std::string_view largest;
  std::size_t most = 0;
  if (bucket < buckets_.size())
    for (const std::string_view key : buckets_[bucket].routes)
      if (const std::size_t size = routes_.at(std::string(key)).text.size(); size > most) {
        most = size;
        largest = key;
      }
  return std::string(largest);
}

std::set<std::string> Content::namespaces() const {
  std::set<std::string> out;
  for (const auto& [name, count] : namespaces_) out.insert(name);
  return out;
}

std::string Content::routesOf(std::size_t bucket) const {
  std::string out;
  if (bucket >= buckets_.size()) return out;
  for (const std::string_view key : buckets_[bucket].routes)
    append(out, routes_.at(std::string(key)).text);
  return out;
}

}  // namespace hyperway::snapshot_sink
