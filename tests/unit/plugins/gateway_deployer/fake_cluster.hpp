// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "json_text.hpp"
#include "k8s_client/api.hpp"
#include "k8s_client/json_text.hpp"

namespace hyperway::gateway_deployer {

/// An API server of Services and EndpointSlices in memory, with a clock of its own: lists, watches,
/// creates, applies, deletes. Objects tell who has made them and who has applied, as managedFields
/// do. Nothing happens until run().
class FakeCluster final : public k8s_client::Api {
 public:
  using Value = sdk::json::Value;
  /// Answers a request instead of the server; nothing: the server answers.
  std::function<std::optional<k8s_client::Reply>(const k8s_client::Request&)> intercept;
  std::vector<std::string> writes;  // "PATCH /path"; of a POST the path of the object
  std::vector<std::string> reads;   // "GET /path", without query
  bool watches_work = true;         // false: events are lost

  void call(k8s_client::Request request, Done done) override {
    calls_.emplace_back(std::move(request), std::move(done));
  }
  [[nodiscard]] Id stream(k8s_client::Request request,
                          k8s_client::StreamHandler& handler) override {
    streams_[++last_id_] = {request.path.substr(0, request.path.find('?')),
                            selectorOf(request.path), nameOf(request.path), &handler};
    return last_id_;
  }
  void cancel(Id id) override {
    streams_.erase(id);
    timers_.erase(id);
  }
  Id after(k8s_client::Duration delay, std::function<void()> task) override {
    timers_[++last_id_] = {now_ + delay, std::move(task)};
    return last_id_;
  }
  [[nodiscard]] k8s_client::TimePoint now() const override { return now_; }

  /// Lets `time` pass; everything that is due in it happens.
  void run(std::chrono::milliseconds time = std::chrono::milliseconds(100)) {
    const auto end = now_ + time;
    for (;;) {
      while (!calls_.empty()) {
        auto [request, done] = std::move(calls_.front());
        calls_.pop_front();
        done(answer(request));
      }
      Id next = 0;
      for (const auto& [id, timer] : timers_)
        if (timer.first <= end && (next == 0 || timer.first < timers_.at(next).first)) next = id;
      if (next == 0) break;
      now_ = std::max(now_, timers_.at(next).first);
      const auto task = std::move(timers_.at(next).second);
      timers_.erase(next);
      task();
    }
    now_ = end;
  }

  /// Puts an object as somebody else does; `path` is that of the object.
  void put(const std::string& path, const std::string& text) {
    const bool is_new = !objects_.contains(path);
    store(path, std::get<Value>(sdk::json::Parser::parse(text)), is_new ? "ADDED" : "MODIFIED");
  }
  void remove(const std::string& path) {
    const auto found = objects_.find(path);
    REQUIRE(found != objects_.end());
    const Value object = stamped(found->second);
    objects_.erase(found);
    tell(path, "DELETED", object);
  }
  [[nodiscard]] const Value* find(const std::string& path) const {
    const auto found = objects_.find(path);
    return found != objects_.end() ? &found->second : nullptr;
  }
  [[nodiscard]] std::vector<std::string> paths() const {
    std::vector<std::string> out;
    for (const auto& [path, object] : objects_) out.push_back(path);
    return out;
  }
  /// Ends all watches with an error.
  void endWatches(const k8s_client::Error& error) {
    for (const auto& [id, stream] : std::exchange(streams_, {})) stream.handler->onEnd(error);
  }
  /// Sends a line on all watches.
  void sendLine(const std::string& line) {
    for (const auto& [id, stream] : std::map(streams_))
      if (streams_.contains(id)) stream.handler->onData(line);
  }
  [[nodiscard]] std::size_t watchCount() const { return streams_.size(); }

  /// The path of the object that a request is about.
  static std::string objectPath(const k8s_client::Request& request) {
    const std::string path = request.path.substr(0, request.path.find('?'));
    if (request.method != "POST") return path;
    const auto body = std::get<Value>(sdk::json::Parser::parse(request.body));
    return path + '/' + textAt(body, {"metadata", "name"});
  }
  /// The operations by which our manager owns fields of an object, as the server sees it.
  [[nodiscard]] std::string operations(const std::string& path) const {
    std::string out;
    if (const Value* object = find(path))
      if (const Value* entries = at(*object, {"metadata", "managedFields"}))
        for (const Value& entry : entries->items())
          (out += out.empty() ? "" : " ") += textAt(entry, {"operation"});
    return out;
  }

  static k8s_client::Reply refusal(int status, const std::string& reason,
                                   const std::string& message) {
    k8s_client::Reply reply;
    reply.status = status;
    reply.error.kind = k8s_client::Error::Kind::Status;
    reply.error.status = status;
    reply.error.reason = reason;
    reply.error.message = message;
    return reply;
  }

 private:
  struct Stream {
    std::string path, selector, name;
    k8s_client::StreamHandler* handler = nullptr;
  };

  static std::string selectorOf(const std::string& path) {
    const std::size_t at = path.find("labelSelector=");
    if (at == std::string::npos) return {};
    const std::string raw = path.substr(at + 14, path.find('&', at) - at - 14);
    std::string out;
    for (std::size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] != '%') {
        out += raw[i];
        continue;
      }
      out += static_cast<char>(std::stoi(raw.substr(i + 1, 2), nullptr, 16));
      i += 2;
    }
    return out;
  }
  // The name that a request asks for by a field selector; empty: any.
  static std::string nameOf(const std::string& path) {
    constexpr std::string_view kField = "fieldSelector=metadata.name%3D";
    const std::size_t at = path.find(kField);
    if (at == std::string::npos) return {};
    const std::size_t begin = at + kField.size();
    return path.substr(begin, path.find('&', begin) - begin);
  }
  static bool isCalled(const std::string& path, const std::string& name) {
    return name.empty() || path.ends_with('/' + name);
  }
  // True if the object at `path` is in a collection.
  static bool isIn(const std::string& path, const std::string& collection) {
    const std::size_t names = collection.rfind('/');
    const std::string resource = collection.substr(names);
    const std::string prefix = collection.substr(0, names);
    return path.starts_with(prefix + '/') && path.find(resource + '/') != std::string::npos;
  }
  static bool matches(const Value& object, const std::string& selector) {
    const std::size_t equal = selector.find('=');
    return selector.empty() || textAt(object, {"metadata", "labels", selector.substr(0, equal)}) ==
                                   selector.substr(equal + 1);
  }

  Value stamped(const Value& object) {
    std::vector<sdk::json::Member> members, metadata;
    std::string uid = textAt(object, {"metadata", "uid"});
    if (uid.empty()) uid = "uid-" + std::to_string(version_);
    for (const auto& entry : object.find("metadata")->members())
      if (entry.name != "uid" && entry.name != "resourceVersion") metadata.push_back(entry);
    metadata.push_back({"uid", text(uid)});
    metadata.push_back({"resourceVersion", text(std::to_string(++version_))});
    for (const auto& member : object.members())
      members.push_back(member.name == "metadata"
                            ? sdk::json::Member{"metadata", gateway_deployer::object(metadata)}
                            : member);
    return gateway_deployer::object(std::move(members));
  }
  void store(const std::string& path, const Value& object, const std::string& type) {
    objects_[path] = stamped(object);
    tell(path, type, objects_[path]);
  }
  void tell(const std::string& path, const std::string& type, const Value& object) {
    if (!watches_work) return;
    const std::string line =
        R"({"type":")" + type + R"(","object":)" + k8s_client::toText(object) + "}\n";
    for (const auto& [id, stream] : std::map(streams_)) {
      if (!isIn(path, stream.path) || !matches(object, stream.selector) ||
          !isCalled(path, stream.name))
        continue;
      // Cut in the middle, as a network may.
      stream.handler->onData(line.substr(0, line.size() / 2));
      if (streams_.contains(id)) stream.handler->onData(line.substr(line.size() / 2));
    }
  }
  static Value owned(const Value& content, const std::vector<std::string_view>& operations) {
    std::vector<Value> entries;
    for (const std::string_view operation : operations)
      entries.push_back(gateway_deployer::object(
          {{"manager", text(k8s_client::kFieldManager)}, {"operation", text(operation)}}));
    return withMetadata(content, {{"managedFields", array(std::move(entries))}});
  }
  static Value withMetadata(const Value& content, std::vector<sdk::json::Member> more) {
    std::vector<sdk::json::Member> members, metadata;
    for (const auto& entry : content.find("metadata")->members())
      if (std::none_of(more.begin(), more.end(),
                       [&](const auto& other) { return other.name == entry.name; }))
        metadata.push_back(entry);
    metadata.insert(metadata.end(), more.begin(), more.end());
    for (const auto& member : content.members())
      members.push_back(member.name == "metadata"
                            ? sdk::json::Member{"metadata", gateway_deployer::object(metadata)}
                            : member);
    return gateway_deployer::object(std::move(members));
  }
  k8s_client::Reply mergeMetadata(const std::string& path, const Value& patch) {
    const auto found = objects_.find(path);
    if (found == objects_.end()) return refusal(404, "NotFound", "not found");
    if (textAt(patch, {"metadata", "resourceVersion"}) !=
        textAt(found->second, {"metadata", "resourceVersion"}))
      return refusal(409, "Conflict", "the object has been modified");
    store(path, withMetadata(found->second, patch.find("metadata")->members()), "MODIFIED");
    k8s_client::Reply reply;
    reply.status = 200;
    reply.body = k8s_client::toText(objects_[path]);
    return reply;
  }
  k8s_client::Reply answer(const k8s_client::Request& request) {
    const std::string path = objectPath(request);
    const bool merge = request.content_type == "application/merge-patch+json";
    (request.method == "GET" ? reads : writes)
        .push_back((merge ? "ADOPT" : request.method) + ' ' + path);
    if (intercept)
      if (auto reply = intercept(request)) return std::move(*reply);
    k8s_client::Reply reply;
    reply.status = 200;
    if (request.method == "POST") {
      CHECK(request.path.find("fieldManager=hyperway") != std::string::npos);
      if (objects_.contains(path)) return refusal(409, "AlreadyExists", "already exists");
      store(path, owned(std::get<Value>(sdk::json::Parser::parse(request.body)), {"Update"}),
            "ADDED");
      reply.body = k8s_client::toText(objects_[path]);
      return reply;
    }
    if (merge) return mergeMetadata(path, std::get<Value>(sdk::json::Parser::parse(request.body)));
    if (request.method == "PATCH") {
      CHECK(request.path.find("fieldManager=hyperway") != std::string::npos);
      const auto body = std::get<Value>(sdk::json::Parser::parse(request.body));
      const auto found = objects_.find(path);
      const std::string uid = textAt(body, {"metadata", "uid"});
      if (!uid.empty() &&
          (found == objects_.end() || textAt(found->second, {"metadata", "uid"}) != uid))
        return refusal(409, "Conflict", "uid mismatch");
      std::vector<std::string_view> owners{"Apply"};
      if (operations(path).find("Update") != std::string::npos) owners.push_back("Update");
      store(path, owned(body, owners), found == objects_.end() ? "ADDED" : "MODIFIED");
      reply.body = k8s_client::toText(objects_[path]);
      return reply;
    }
    const auto found = objects_.find(path);
    if (request.method == "DELETE") {
      if (found == objects_.end()) return refusal(404, "NotFound", "not found");
      remove(path);
      return reply;
    }
    if (found != objects_.end()) {
      reply.body = k8s_client::toText(found->second);
      return reply;
    }
    if (request.path.find("limit=") == std::string::npos)
      return refusal(404, "NotFound", "not found");
    std::vector<Value> items;
    for (const auto& [key, object] : objects_)
      if (isIn(key, path) && matches(object, selectorOf(request.path)) &&
          isCalled(key, nameOf(request.path)))
        items.push_back(object);
    reply.body = k8s_client::toText(gateway_deployer::object(
        {{"metadata",
          gateway_deployer::object({{"resourceVersion", text(std::to_string(version_))}})},
         {"items", array(std::move(items))}}));
    return reply;
  }

  k8s_client::TimePoint now_{std::chrono::hours(1)};
  std::deque<std::pair<k8s_client::Request, Done>> calls_;
  std::map<Id, Stream> streams_;
  std::map<Id, std::pair<k8s_client::TimePoint, std::function<void()>>> timers_;
  std::map<std::string, Value> objects_;
  std::uint64_t version_ = 100;
  Id last_id_ = 0;
};

}  // namespace hyperway::gateway_deployer
