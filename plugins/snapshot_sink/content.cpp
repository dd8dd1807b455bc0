// SPDX-License-Identifier: Apache-2.0
#include "content.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace hyperway::snapshot_sink {
namespace {

// What people read in an index must leave room for what data planes need.
constexpr std::size_t kMostDiagnostics = std::size_t{64} << 10;
constexpr std::size_t kMostPrefix = 200;  // with bucket and digest behind it, below 253

void append(std::string& list, const std::string& text) {
  if (text.empty()) return;
  if (!list.empty()) list += ',';
  list += text;
}

// A key of a status, "Kind/namespace/name".
bool isRoute(const std::string& key) { return key.substr(0, key.find('/')).ends_with("Route"); }

// A key of a route.
bool isOf(std::string_view kind, std::string_view key) {
  return key.starts_with(kind) && key.substr(kind.size()).starts_with('/');
}

std::string hexOf(std::size_t number) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  do out.insert(out.begin(), kHex[number & 15]);
  while ((number >>= 4) != 0);
  return out;
}

// `item` gets a new text, and remembers the last one that the server took.
template <class Item, class Text>
void renew(Item& item, Text text) {
  if (item.accepted) item.taken = std::make_unique<Text>(std::move(item.now));
  item.now = std::move(text);
  item.accepted = item.taken && item.taken->text == item.now.text;
  if (item.accepted) item.taken.reset();
}

// Back to the text that the server took. False if there is none.
template <class Item>
bool giveBack(Item& item) {
  if (!item.taken) return false;
  item.now = std::move(*std::exchange(item.taken, nullptr));
  item.accepted = true;
  return true;
}

template <class Item>
void markTaken(Item& item) {
  item.accepted = true;
  item.taken.reset();
}

}  // namespace

Content::Content(std::string name, Cut cut)
    : name_(std::move(name)), cut_(cut), buckets_(std::size_t{1} << cut.most_bits) {
  settle();
}

void Content::take(Batch batch) {
  if (batch.full && !batch.statuses_only) {
    // All statuses come anew: with this batch, or behind it.
    statuses_.clear();
    unwell_.clear();
    diagnostic_bytes_ = 0;
  }
  for (const std::string& key : batch.removed_statuses) putStatus(key, "");
  for (Batch::Status& status : batch.statuses) putStatus(status.key, std::move(status.text));
  if (batch.statuses_only) return;
  if (batch.full) {
    // What is not named is gone; what is named again is as it was.
    std::set<std::string_view> named;
    for (const Batch::Route& route : batch.routes) named.insert(route.key);
    for (const Batch::Listener& listener : batch.listeners) named.insert(listener.key);
    for (const auto& [key, route] : routes_)
      if (!named.contains(key)) batch.removed_routes.push_back(key);
    for (const auto& [key, listener] : listeners_)
      if (!named.contains(key)) batch.removed_listeners.push_back(key);
    left_out_.clear();
  }
  for (const std::string& key : batch.removed_listeners) removeListener(key);
  for (const std::string& key : batch.removed_routes) remove(key);
  for (Batch::Listener& listener : batch.listeners)
    putListener(listener.key, {listener.text, 1, namespacesOf(listener.text)});
  for (Batch::Route& route : batch.routes)
    put(route.key, {std::move(route.text), route.count, std::move(route.namespaces)});
  settle();
}

// ---- statuses
// -------------------------------------------------------------------------------------

void Content::putStatus(const std::string& key, std::string text) {
  std::string& known = statuses_[key];
  if (isRoute(key)) {
    diagnostic_bytes_ = diagnostic_bytes_ + text.size() - known.size();
    // Quotes within texts are escaped, so this is no part of one.
    if (text.find(R"("accepted":false)") != std::string::npos ||
        text.find(R"("resolvedRefs":false)") != std::string::npos)
      unwell_.insert(key);
    else
      unwell_.erase(key);
  }
  known = std::move(text);
  if (known.empty()) statuses_.erase(key);
}

std::string Content::statusesOf(std::string_view kind) const {
  std::string out;
  for (auto at = statuses_.lower_bound(std::string(kind) + '/');
       at != statuses_.end() && at->first.starts_with(kind) && at->first[kind.size()] == '/'; ++at)
    append(out, at->second);
  return out;
}

std::string Content::classStatuses() const { return statusesOf("GatewayClass"); }

std::string Content::listenerStatuses() const {
  std::string out = statusesOf("Gateway");
  // Anybody may write ListenerSets, so those of many are left out.
  std::string sets = statusesOf("ListenerSet");
  if (!sets.empty() && out.size() + sets.size() <= kMostDiagnostics) append(out, sets);
  return out;
}

bool Content::hasAllDiagnostics() const noexcept { return diagnostic_bytes_ <= kMostDiagnostics; }

std::string Content::routeDiagnostics() const {
  std::string out;
  if (hasAllDiagnostics()) {
    for (const auto& [key, text] : statuses_)
      if (isRoute(key)) append(out, text);
    return out;
  }
  for (const std::string& key : unwell_) {
    const std::string& text = statuses_.at(key);
    if (out.size() + text.size() > kMostDiagnostics) break;
    append(out, text);
  }
  return out;
}

// ---- what the server takes
// ------------------------------------------------------------------------

void Content::leaveOut(const std::vector<std::string>& keys) {
  for (const std::string& key : keys)
    if (const auto route = routes_.find(key); route != routes_.end()) {
      left_out_[key] = {route->second.now, false};
      leave(key, route->second);
      if (giveBack(route->second))
        enter(route->first, route->second);
      else
        routes_.erase(route);
    } else if (const auto listener = listeners_.find(key); listener != listeners_.end()) {
      left_out_[key] = {listener->second.now, true};
      leave(listener->second.now);
      if (giveBack(listener->second))
        enter(listener->second.now);
      else
        listeners_.erase(listener);
    }
  settle();
}

void Content::readmit(const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    const auto found = left_out_.find(key);
    if (found == left_out_.end()) continue;
    const auto [text, listener] = std::move(found->second);
    if (listener)
      putListener(key, text);
    else
      put(key, text);
  }
  settle();
}

std::vector<std::string> Content::leftOut() const {
  std::vector<std::string> out;
  for (const auto& [key, wanted] : left_out_) out.push_back(key);
  return out;
}

void Content::had(const std::string& key, Batch::Route was) {
  const auto keep = [&](auto& item) {
    if (!item.accepted && !item.taken)
      item.taken =
          std::make_unique<Text>(Text{std::move(was.text), was.count, std::move(was.namespaces)});
  };
  if (const auto route = routes_.find(key); route != routes_.end())
    keep(route->second);
  else if (const auto listener = listeners_.find(key); listener != listeners_.end())
    keep(listener->second);
}

const std::string* Content::unacceptedText(const std::string& key) const {
  const Item* item = nullptr;
  if (const auto route = routes_.find(key); route != routes_.end())
    item = &route->second;
  else if (const auto listener = listeners_.find(key); listener != listeners_.end())
    item = &listener->second;
  return item != nullptr && !item->accepted ? &item->now.text : nullptr;
}

void Content::accept(const std::string& key) {
  if (const auto route = routes_.find(key); route != routes_.end())
    markTaken(route->second);
  else if (const auto listener = listeners_.find(key); listener != listeners_.end())
    markTaken(listener->second);
}

void Content::accept(const Part& part) {
  for (std::size_t i = part.first; i < part.last; ++i)
    for (const std::string_view key : buckets_[i].routes) markTaken(routes_.at(std::string(key)));
}

void Content::acceptIndex() {
  for (auto& [key, listener] : listeners_) markTaken(listener);
  if (isInline())
    for (auto& [key, route] : routes_) markTaken(route);
}

std::vector<std::string> Content::unaccepted(const Part& part) const {
  std::vector<std::string> out;
  eachOf(part, [&](const std::string& key, const Route& route) {
    if (!route.accepted) out.push_back(key);
    return true;
  });
  return out;
}

std::vector<std::string> Content::unacceptedOfIndex() const {
  std::vector<std::string> out;
  for (const auto& [key, listener] : listeners_)
    if (!listener.accepted) out.push_back(key);
  if (isInline())
    for (const auto& [key, route] : routes_)
      if (!route.accepted) out.push_back(key);
  return out;
}

// ---- what there is
// --------------------------------------------------------------------------------

void Content::put(const std::string& key, Text text) {
  // A route that serves nowhere has no text.
  if (text.text.empty()) return remove(key);
  left_out_.erase(key);
  const auto [at, is_new] = routes_.try_emplace(key);
  if (!is_new) leave(at->first, at->second);
  renew(at->second, std::move(text));
  enter(at->first, at->second);
}

void Content::putListener(const std::string& key, Text text) {
  left_out_.erase(key);
  Item& listener = listeners_[key];
  leave(listener.now);
  renew(listener, std::move(text));
  enter(listener.now);
}

void Content::enter(const Text& listener) {
  listener_bytes_ += listener.text.size();
  for (const std::string& name : listener.namespaces) ++namespaces_[name];
}

void Content::leave(const Text& listener) {
  listener_bytes_ -= listener.text.size();
  for (const std::string& name : listener.namespaces)
    if (--namespaces_[name] == 0) namespaces_.erase(name);
}

void Content::enter(const std::string& key, Route& route) {
  // The highest bits: neighbours go into one part.
  route.bucket = cut_.most_bits == 0 ? 0 : Digest(key).bits() >> (64 - cut_.most_bits);
  route.digest = Digest(key + '\n' + route.now.text);
  Bucket& bucket = buckets_[route.bucket];
  bucket.routes.insert(key);
  bucket.digest += route.digest;
  bucket.bytes += route.now.text.size();
  digest_ += route.digest;
  bytes_ += route.now.text.size();
  rules_ += route.now.count;
  for (const std::string& name : route.now.namespaces) ++namespaces_[name];
}

void Content::leave(const std::string& key, const Route& route) {
  Bucket& bucket = buckets_[route.bucket];
  bucket.routes.erase(key);
  bucket.digest -= route.digest;
  bucket.bytes -= route.now.text.size();
  digest_ -= route.digest;
  bytes_ -= route.now.text.size();
  rules_ -= route.now.count;
  for (const std::string& name : route.now.namespaces)
    if (--namespaces_[name] == 0) namespaces_.erase(name);
}

void Content::remove(const std::string& key) {
  left_out_.erase(key);
  const auto found = routes_.find(key);
  if (found == routes_.end()) return;
  leave(found->first, found->second);
  routes_.erase(found);
}

void Content::removeListener(const std::string& key) {
  left_out_.erase(key);
  const auto found = listeners_.find(key);
  if (found == listeners_.end()) return;
  leave(found->second.now);
  listeners_.erase(found);
}

void Content::settle() { checksum_ = Digest(digest_.hex() + listeners()).hex(); }

std::string Content::listeners() const {
  std::string out;
  out.reserve(listener_bytes_ + listeners_.size());
  for (const auto& [key, listener] : listeners_) append(out, listener.now.text);
  return out;
}

std::vector<std::string> Content::listenerKeys() const {
  std::vector<std::string> out;
  for (const auto& [key, text] : listeners_) out.push_back(key);
  return out;
}

std::size_t Content::sizeOf(const std::string& key) const {
  if (const auto route = routes_.find(key); route != routes_.end())
    return route->second.now.text.size();
  const auto listener = listeners_.find(key);
  return listener != listeners_.end() ? listener->second.now.text.size() : 0;
}

std::set<std::string> Content::namespaces() const {
  std::set<std::string> out;
  for (const auto& [name, count] : namespaces_) out.insert(name);
  return out;
}

std::string Content::routes(std::string_view kind) const {
  std::string out;
  out.reserve(bytes_ + routes_.size());
  for (auto at = routes_.lower_bound(std::string(kind) + '/');
       at != routes_.end() && isOf(kind, at->first); ++at)
    append(out, at->second.now.text);
  return out;
}

std::string Content::routeAt(std::string_view kind, std::size_t index) const {
  for (const auto& [key, route] : routes_) {
    if (!isOf(kind, key)) continue;
    if (index < route.now.count) return key;
    index -= route.now.count;
  }
  return {};
}

// ---- parts
// ----------------------------------------------------------------------------------------

// Until `visit` says false.
template <class Visit>
void Content::eachOf(const Part& part, Visit&& visit) const {
  for (std::size_t i = part.first; i < std::min(part.last, buckets_.size()); ++i)
    for (const std::string_view key : buckets_[i].routes) {
      const auto found = routes_.find(std::string(key));
      if (!visit(found->first, found->second)) return;
    }
}

std::string Content::routeAt(const Part& part, std::string_view kind, std::size_t index) const {
  std::string out;
  eachOf(part, [&](const std::string& key, const Route& route) {
    if (!isOf(kind, key)) return true;
    if (index < route.now.count) out = key;
    index -= std::min(index, route.now.count);
    return out.empty();
  });
  return out;
}

std::string Content::routesOf(const Part& part, std::string_view kind) const {
  std::string out;
  eachOf(part, [&](const std::string& key, const Route& route) {
    if (isOf(kind, key)) append(out, route.now.text);
    return true;
  });
  return out;
}

std::vector<Content::Part> Content::parts() const {
  std::vector<Part> out;
  if (isInline()) return out;
  std::string prefix = name_.substr(0, kMostPrefix);
  while (prefix.ends_with('.') || prefix.ends_with('-')) prefix.pop_back();
  cut(0, buckets_.size(), prefix + '-', partMost(), out);
  return out;
}

// An edit moves it by a byte or so, and seldom has a part elsewhere cut otherwise.
std::size_t Content::partMost() const {
  const auto even = std::sqrt(static_cast<double>(cut_.balance) * static_cast<double>(bytes_));
  return std::min(std::max(static_cast<std::size_t>(even), cut_.part_least), cut_.part_most);
}

// What is too large for one part is halved. So an edit concerns one part, and its neighbour at most
// where a border is crossed.
void Content::cut(std::size_t first, std::size_t last, const std::string& prefix, std::size_t most,
                  std::vector<Part>& out) const {
  std::size_t bytes = 0;
  bool empty = true;
  Digest digest;
  for (std::size_t i = first; i < last; ++i) {
    bytes += buckets_[i].bytes;
    digest += buckets_[i].digest;
    empty = empty && buckets_[i].routes.empty();
  }
  if (empty) return;
  if (bytes > most && last - first > 1) {
    const std::size_t middle = first + (last - first) / 2;
    cut(first, middle, prefix, most, out);
    cut(middle, last, prefix, most, out);
    return;
  }
  std::string checksum = digest.hex();
  out.push_back({first, last, prefix + hexOf(first) + '-' + checksum, std::move(checksum)});
}

bool Content::hasPart(const std::string& name) const {
  const auto all = parts();
  return std::any_of(all.begin(), all.end(), [&](const Part& one) { return one.name == name; });
}

}  // namespace hyperway::snapshot_sink
