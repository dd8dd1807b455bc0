// SPDX-License-Identifier: Apache-2.0
#include "route/host_paths.hpp"

#include <algorithm>
#include <new>

namespace hyperway::route {

namespace {

/// A block of T and the text behind it.
template <class T>
void* blockFor(std::string_view text) {
  void* block = ::operator new(sizeof(T) + text.size());
  std::copy(text.begin(), text.end(), static_cast<char*>(block) + sizeof(T));
  return block;
}

}  // namespace

Ref<ExactPath> ExactPath::make(std::uint64_t hash, std::string_view path,
                               Ref<CandidateList> candidates) {
  Ref<ExactPath> made(new (blockFor<ExactPath>(path)) ExactPath(hash, path.size()));
  made->candidates = std::move(candidates);
  return made;
}

void ExactPath::destroy(ExactPath* self) noexcept {
  self->~ExactPath();
  ::operator delete(self);
}

Ref<HostPaths> HostPaths::make(std::uint64_t hash, std::string_view key) {
  return Ref<HostPaths>(new (blockFor<HostPaths>(key)) HostPaths(hash, key.size()));
}

Ref<HostPaths> HostPaths::copy(const HostPaths& other) {
  Ref<HostPaths> made = make(other.hash_, other.key());
  made->likely_ = other.likely_;
  made->sole_ = other.sole_;
  made->exact_ = other.exact_;
  made->prefixes_ = other.prefixes_;
  made->regexes_ = other.regexes_;
  return made;
}

void HostPaths::destroy(HostPaths* self) noexcept {
  self->~HostPaths();
  ::operator delete(self);
}

namespace {

/// Whose paths are calls: a listener has none of other kinds for the same hosts.
bool areCalls(const std::vector<RegexCandidate>& list) {
  return std::all_of(list.begin(), list.end(), [](const RegexCandidate& each) {
    return each.candidate.rule->route_key.starts_with("GRPCRoute/");
  });
}

/// The list to change: the one there is if nobody shares it, else a copy.
Ref<RegexList> ownRegexes(Ref<RegexList> list) {
  if (list && list.unique()) return list;
  Ref<RegexList> made(new RegexList);
  if (list) made->items = list->items;
  return made;
}

}  // namespace

void HostPaths::add(const PathPlace& place, const RegexPtr& regex, Candidate candidate) {
  likely_ = candidate.rule.get();
  const bool sole = empty() && place.kind == MatchKind::Prefix && !candidate.conditions &&
                    candidate.match_index == 0;
  sole_ = sole ? 1 : 0;
  const auto with = [&](Ref<CandidateList> list) {
    return CandidateList::with(std::move(list), std::move(candidate));
  };
  switch (place.kind) {
    case MatchKind::Exact: {
      const std::uint64_t hash = hashText(place.value);
      exact_.update(hash, place.value, [&](Ref<ExactPath> path) {
        if (!path) return ExactPath::make(hash, place.value, with({}));
        if (!path.unique()) return ExactPath::make(hash, place.value, with(path->candidates));
        path->candidates = with(std::move(path->candidates));
        return path;
      });
      return;
    }
    case MatchKind::Prefix: prefixes_.update(prefixKey(place.value), with); return;
    case MatchKind::Regex: {
      Ref<RegexList> owned = ownRegexes(std::move(regexes_));
      std::vector<RegexCandidate>& list = owned->items;
      const MatchRank rank = candidate.rank();
      const auto at = std::partition_point(
          list.begin(), list.end(),
          [&](const RegexCandidate& each) { return precedes(each.candidate.rank(), rank); });
      list.insert(at, {regex, std::move(candidate)});
      owned->calls = areCalls(list);
      regexes_ = std::move(owned);
      return;
    }
  }
}

void HostPaths::remove(const PathPlace& place, std::span<const CompiledRule* const> rules) {
  likely_ = nullptr;  // it may be one of them
  sole_ = 0;
  const auto without = [&](Ref<CandidateList> list) {
    return CandidateList::without(std::move(list), rules);
  };
  switch (place.kind) {
    case MatchKind::Exact: {
      const std::uint64_t hash = hashText(place.value);
      exact_.update(hash, place.value, [&](Ref<ExactPath> path) {
        if (!path) return path;
        Ref<CandidateList> left = without(path->candidates);
        if (!left) return Ref<ExactPath>();
        return ExactPath::make(hash, place.value, std::move(left));
      });
      return;
    }
    case MatchKind::Prefix: prefixes_.update(prefixKey(place.value), without); return;
    case MatchKind::Regex: {
      Ref<RegexList> owned = ownRegexes(std::move(regexes_));
      std::erase_if(owned->items, [&](const RegexCandidate& each) {
        return std::find(rules.begin(), rules.end(), each.candidate.rule.get()) != rules.end();
      });
      owned->calls = areCalls(owned->items);
      if (!owned->items.empty()) regexes_ = std::move(owned);
      return;
    }
  }
}

void HostPaths::forEach(
    const std::function<void(const PathPlace&, const Candidate&)>& visit) const {
  exact_.forEach([&](const ExactPath& path) {
    for (const Candidate& each : std::as_const(*path.candidates).items()) {
      visit({MatchKind::Exact, path.key()}, each);
    }
  });
  if (regexes_) {
    for (const RegexCandidate& each : regexes_->items) {
      visit({MatchKind::Regex, each.path->pattern()}, each.candidate);
    }
  }
  prefixes_.forEach([&](std::string_view prefix, const CandidateList& list) {
    const std::string_view value = prefix.empty() ? std::string_view("/") : prefix;
    for (const Candidate& each : list.items()) visit({MatchKind::Prefix, value}, each);
  });
}

void HostPaths::forEachNode(const std::function<void(const void*)>& visit) const {
  visit(this);
  exact_.forEachNode(visit);
  exact_.forEach([&](const ExactPath& path) { visit(&path); });
  prefixes_.forEachNode(visit);
}

}  // namespace hyperway::route
