// SPDX-License-Identifier: Apache-2.0
#include "refusals.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

namespace hyperway::snapshot_sink {
namespace {

using k8s_client::Error;
using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kAgain = 30s, kAgainMost = 600s;
constexpr std::size_t kMostNamed = 20;  // in a sentence
// Of an index that may have 1.5 MiB, with the names of parts, what data planes say, and what the
// server keeps about fields.
constexpr std::size_t kRoomForListeners = std::size_t{768} << 10;

// "spec.httpRoutesV1[12].backends[0]" -> 12.
std::optional<std::size_t> indexIn(std::string_view field, std::string_view list) {
  if (!field.starts_with(list)) return std::nullopt;
  field.remove_prefix(list.size());
  std::size_t index = 0;
  if (!field.starts_with('[')) return std::nullopt;
  const auto read = std::from_chars(field.data() + 1, field.data() + field.size(), index);
  if (read.ec != std::errc{}) return std::nullopt;
  return index;
}

// A listener's or a route's.
bool isOfAList(std::string_view field) {
  return field.starts_with("spec.listeners") ||
         std::any_of(kRouteLists.begin(), kRouteLists.end(), [&](const RouteList& list) {
           return field.starts_with("spec." + std::string(list.name));
         });
}

bool isTooLarge(const Error& error) {
  return error.status == 413 || error.message.find("too large") != std::string::npos;
}

}  // namespace

// A 403 of an admission rule says that it denied something; one about our rights does not.
bool isAboutContent(const Error& error) {
  if (error.fieldUnknown()) return false;
  return error.status == 422 || error.status == 400 || isTooLarge(error) ||
         (error.status == 403 && error.message.find("denied") != std::string::npos);
}

bool Refusals::blame(const Error& error, const Content::Part* part, k8s_client::TimePoint now) {
  std::map<std::string, std::string> named;
  const auto listeners = content_.listenerKeys();
  for (const Error::Cause& cause : error.causes) {
    std::string key;
    for (const RouteList& list : kRouteLists)
      if (const auto route = indexIn(cause.field, "spec." + std::string(list.name)))
        key = part != nullptr ? content_.routeAt(*part, list.kind, *route)
                              : content_.routeAt(list.kind, *route);
    if (const auto at = indexIn(cause.field, "spec.listeners");
        part == nullptr && at && *at < listeners.size())
      key = listeners[*at];
    if (!key.empty()) named.emplace(key, cause.field + ": " + cause.message);
  }
  for (const auto& [key, why] : named) blameOne(key, why, now);
  if (!named.empty()) return true;
  if (!isAboutContent(error)) return false;
  // A definition that takes no such spec at all, of which routes and listeners are not to blame.
  if (std::any_of(error.causes.begin(), error.causes.end(), [](const Error::Cause& cause) {
        return cause.field.starts_with("spec.") && !isOfAList(cause.field);
      }))
    return false;
  auto fresh = part != nullptr ? content_.unaccepted(*part) : content_.unacceptedOfIndex();
  if (fresh.empty()) return false;
  if (isTooLarge(error))
    fresh = {*std::max_element(fresh.begin(), fresh.end(), [&](const auto& a, const auto& b) {
      return content_.sizeOf(a) < content_.sizeOf(b);
    })};
  if (fresh.size() == 1) {
    blameOne(fresh.front(), error.text(), now);
    return true;
  }
  const std::vector<std::string> later(fresh.begin() + static_cast<long>(fresh.size() / 2),
                                       fresh.end());
  content_.leaveOut(later);
  put_off_.insert(later.begin(), later.end());
  return true;
}

void Refusals::blameOne(const std::string& key, const std::string& why, k8s_client::TimePoint now) {
  content_.leaveOut({key});
  put_off_.erase(key);
  Blamed& entry = blamed_[key];
  entry.why = why;
  auto wait = kAgain;
  for (unsigned i = 0; i < entry.times && wait < kAgainMost; ++i) wait *= 2;
  ++entry.times;
  entry.again = now + std::min(wait, kAgainMost);
}

bool Refusals::makeRoom(k8s_client::TimePoint now) {
  bool any = false;
  if (content_.listenerBytes() <= kRoomForListeners) return any;
  // Those that were there before stay.
  auto keys = content_.listenerKeys();
  const auto fresh = content_.unacceptedOfIndex();
  const std::set<std::string> is_fresh(fresh.begin(), fresh.end());
  std::stable_sort(keys.begin(), keys.end(), [&](const auto& a, const auto& b) {
    return !is_fresh.contains(a) && is_fresh.contains(b);
  });
  std::size_t bytes = 0;
  std::vector<std::string> out;
  for (const std::string& key : keys) {
    const std::size_t size = content_.sizeOf(key);
    if (bytes + size > kRoomForListeners)
      out.push_back(key);
    else
      bytes += size;
  }
  for (const std::string& key : out)
    blameOne(key,
             "the listeners of a snapshot have room for " + std::to_string(kRoomForListeners) +
                 " bytes, trust anchors of clients included",
             now);
  return !out.empty();
}

std::vector<std::string> Refusals::resume(k8s_client::TimePoint now) {
  std::erase_if(blamed_, [&](const auto& one) { return !content_.isLeftOut(one.first); });
  std::vector<std::string> back(put_off_.begin(), put_off_.end());
  put_off_.clear();
  if (back.empty())
    for (auto& [key, blamed] : blamed_) {
      if (blamed.again > now) continue;
      back.push_back(key);
    }
  if (back.empty()) return back;
  content_.readmit(back);
  (void)makeRoom(now);
  return back;
}

std::optional<k8s_client::TimePoint> Refusals::due() const {
  std::optional<k8s_client::TimePoint> out;
  for (const auto& [key, blamed] : blamed_)
    if (!out || blamed.again < *out) out = blamed.again;
  return out;
}

void Refusals::hurry() {
  for (auto& [key, blamed] : blamed_) blamed.again = {};
}

void Refusals::forget(const std::string& key) {
  blamed_.erase(key);
  put_off_.erase(key);
}

void Refusals::clear() {
  blamed_.clear();
  put_off_.clear();
}

std::map<std::string, std::string> Refusals::reasons() const {
  std::map<std::string, std::string> out;
  for (const auto& [key, blamed] : blamed_) out[key] = blamed.why;
  return out;
}

std::string Refusals::text() const {
  std::string left, as_before;
  std::size_t count = 0;
  for (const auto& [key, blamed] : blamed_) {
    if (++count > kMostNamed) continue;
    std::string& list = content_.sizeOf(key) > 0 && content_.isLeftOut(key) ? as_before : left;
    list += (list.empty() ? "" : "; ") + key + " (" + blamed.why + ')';
  }
  std::string out;
  if (!left.empty()) out = "left out, because the API server refuses it: " + left;
  if (!as_before.empty())
    out += (out.empty() ? "" : "; ") +
           std::string("kept as it was, because the API server refuses it as it is now: ") +
           as_before;
  if (count > kMostNamed) out += "; and " + std::to_string(count - kMostNamed) + " more";
  return out;
}

}  // namespace hyperway::snapshot_sink
