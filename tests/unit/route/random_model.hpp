// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fixture.hpp"
#include "oracle.hpp"

/// Models and requests out of a small world in which nearly everything overlaps with something.
namespace hyperway::route::random_model {

/// Numbers from a generator with a seed, for unit tests.
class SeededChoices {
 public:
  explicit SeededChoices(std::uint32_t seed) : engine_(seed) {}
  std::size_t below(std::size_t limit) { return engine_() % limit; }
  [[nodiscard]] bool done() const { return false; }

 private:
  std::mt19937 engine_;
};

/// Numbers from an input, for fuzzing; zeros at its end.
class ByteChoices {
 public:
  explicit ByteChoices(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  std::size_t below(std::size_t limit) {
    if (at_ == bytes_.size()) return 0;
    return bytes_[at_++] % limit;
  }
  [[nodiscard]] bool done() const { return at_ == bytes_.size(); }

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
};

inline const char* const kListeners[] = {"infra/gw/a", "infra/gw/b", "infra/gw/c"};

template <class Choices, std::size_t N>
const char* oneOf(Choices& choices, const char* const (&list)[N]) {
  return list[choices.below(N)];
}

template <class Choices>
std::string hostname(Choices& choices) {
  static const char* const kNames[] = {"",        "*.com", "*.a.com",  "a.com",
                                       "b.a.com", "x.com", "*.b.a.com"};
  return oneOf(choices, kNames);
}

template <class Choices>
PathMatch path(Choices& choices) {
  static const char* const kPrefixes[] = {"/",  "/foo", "/foo/",        "/foo/bar",
                                          "/f", "/fox", "/foo/bar/baz", "/a/1"};
  static const char* const kExact[] = {"/", "/foo", "/foo/", "/foo/bar", "/foobar", "/a/1", "/f"};
  static const char* const kRegex[] = {"/foo.*", "/[a-z]+/[0-9]", "/", "/foo", ".*bar"};
  switch (choices.below(5)) {
    case 0: return fixture::exact(oneOf(choices, kExact));
    case 1: return fixture::regex(oneOf(choices, kRegex));
    default: return fixture::prefix(oneOf(choices, kPrefixes));
  }
}

template <class Choices>
std::vector<ValueMatch> values(Choices& choices, std::vector<std::string> names) {
  static const char* const kValues[] = {"1", "2", "1, 2", "a b"};
  std::vector<ValueMatch> out;
  for (std::string& name : names) {
    switch (choices.below(6)) {
      case 0: out.push_back({name, oneOf(choices, kValues), MatchKind::Exact}); break;
      case 1: out.push_back({name, "[12].*", MatchKind::Regex}); break;
      default: break;
    }
  }
  return out;
}

template <class Choices>
Match match(Choices& choices) {
  static const char* const kMethods[] = {"", "", "", "GET", "POST"};
  Match made;
  made.path = path(choices);
  made.method = oneOf(choices, kMethods);
  made.headers = values(choices, {"x-a", "x-b", "host"});
  made.query = values(choices, {"q", "r s"});
  return made;
}

template <class Choices>
Route route(Choices& choices) {
  Route made;
  made.name_space = choices.below(2) == 0 ? "one" : "two";
  made.name = std::string(1, static_cast<char>('a' + choices.below(8)));
  made.key = "HTTPRoute/" + made.name_space + "/" + made.name;
  made.created = static_cast<std::int64_t>(choices.below(3));
  const std::vector<std::string> common{hostname(choices)};
  for (const char* listener : kListeners) {
    const std::size_t kind = choices.below(4);
    if (kind == 0) continue;
    made.attachments.push_back({listener, common});
    if (kind == 1) made.attachments.back().hostnames.push_back(hostname(choices));
    if (kind == 2) made.attachments.push_back({listener, {hostname(choices)}});
  }
  auto rules = std::make_shared<std::vector<Rule>>();
  const std::size_t count = 1 + choices.below(3);
  for (std::size_t i = 0; i < count; ++i) {
    Rule rule;
    rule.id = made.name_space + "/" + made.name + "/" + std::to_string(i);
    rule.matches.push_back(match(choices));
    while (choices.below(3) == 0 && rule.matches.size() < 4) rule.matches.push_back(match(choices));
    rules->push_back(std::move(rule));
  }
  made.rules = std::move(rules);
  return made;
}

template <class Choices>
std::unique_ptr<fixture::Request> request(Choices& choices) {
  static const char* const kHosts[] = {"a.com",   "b.a.com", "c.b.a.com", "x.com",
                                       "y.x.com", "com",     "",          "other"};
  static const char* const kPaths[] = {
      "/",    "/foo", "/foo/",  "/foo/bar", "/foobar", "/foo/bar/baz/qux",
      "/a/1", "/f",   "/fox/1", "/foo/1",   "/foo//",  "/foo/bar/"};
  static const char* const kQueries[] = {"",       "?q=1",     "?q=2&q=1",     "?q=a+b&r+s=1",
                                         "?%71=1", "?r%20s=2", "?q=1%2C%202&", "?q"};
  static const char* const kMethods[] = {"GET", "POST"};
  static const char* const kValues[] = {"1", "2", "1, 2", "a b"};
  const std::string host = oneOf(choices, kHosts);
  const std::string target = std::string(oneOf(choices, kPaths)) + oneOf(choices, kQueries);
  auto made = std::make_unique<fixture::Request>(host, target, oneOf(choices, kMethods));
  while (choices.below(3) != 0 && made->head().fields.lines().size() < 4) {
    made->with(choices.below(2) == 0 ? "X-A" : "x-b", oneOf(choices, kValues));
  }
  return made;
}

/// A world under change: the compiler beside the plain list of what should be in it.
template <class Choices>
class World {
 public:
  explicit World(Choices& choices) : choices_(choices) {}

  /// One batch: a few upserts and removals of routes and listeners, now and then everything anew.
  void step() {
    ModelBatch batch;
    batch.full = choices_.below(16) == 0;
    if (batch.full) routes_.clear();
    const std::size_t edits = 1 + choices_.below(4);
    for (std::size_t i = 0; i < edits; ++i) {
      Route made = route(choices_);
      std::erase_if(batch.routes, [&](const Route& each) { return each.key == made.key; });
      std::erase(batch.removed_routes, made.key);
      if (choices_.below(4) == 0) {
        routes_.erase(made.key);
        if (!batch.full) batch.removed_routes.push_back(made.key);
      } else {
        routes_[made.key] = made;
        batch.routes.push_back(std::move(made));
      }
    }
    if (batch.full) listeners_.clear();
    for (std::uint16_t i = 0; i < 3; ++i) {
      const bool toggle = choices_.below(8) == 0;
      const bool is = listeners_.contains(kListeners[i]);
      if (is && toggle && !batch.full) {
        batch.removed_listeners.push_back(kListeners[i]);
        listeners_.erase(kListeners[i]);
      } else if (!is && !toggle) {
        listeners_[kListeners[i]] = static_cast<std::uint16_t>(8000 + i);
        batch.listeners.push_back(
            fixture::listener(kListeners[i], "", static_cast<std::uint16_t>(8000 + i)));
      }
    }
    (void)compiler_.apply(batch);
  }

  /// Sends one request to every listener; false if table and oracle disagree anywhere, or match and
  /// explain do.
  [[nodiscard]] bool agrees(const fixture::Request& asked) const {
    return agrees(*compiler_.current(), asked);
  }
  [[nodiscard]] bool agrees(const RouteTable& table, const fixture::Request& asked) const {
    const std::vector<Route> model = routes();
    for (const auto& [key, port] : listeners_) {
      const CompiledListener* listener = fixture::listenerOf(table, asked.head().host, port);
      if (listener == nullptr) return false;
      const MatchResult found = listener->match(asked.head(), asked.head().method);
      std::vector<NearMiss> misses;
      const MatchResult explained = listener->explain(asked.head(), asked.head().method, misses);
      if (explained.rule != found.rule) return false;
      oracle::Answer answer;
      if (found.rule != nullptr) {
        answer = {found.rule->rule->id, found.match_index, found.prefix_size};
      }
      if (answer != oracle::answer(model, key, asked.head(), asked.head().method)) return false;
    }
    return true;
  }
  /// The routes that there should be.
  [[nodiscard]] std::vector<Route> routes() const {
    std::vector<Route> out;
    for (const auto& [key, route] : routes_) out.push_back(route);
    return out;
  }
  [[nodiscard]] Compiler& compiler() { return compiler_; }
  /// The same model compiled in one go by `other`.
  void rebuildIn(Compiler& other) const {
    ModelBatch batch;
    batch.full = true;
    for (const auto& [key, route] : routes_) batch.routes.push_back(route);
    for (const auto& [key, port] : listeners_) {
      batch.listeners.push_back(fixture::listener(key, "", port));
    }
    (void)other.apply(batch);
  }

 private:
  Choices& choices_;
  Compiler compiler_;
  std::map<std::string, Route> routes_;
  std::map<std::string, std::uint16_t> listeners_;
};

}  // namespace hyperway::route::random_model
