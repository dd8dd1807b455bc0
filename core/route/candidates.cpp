// SPDX-License-Identifier: Apache-2.0
#include "route/candidates.hpp"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

namespace hyperway::route {

MatchRank Candidate::rank() const noexcept {
  MatchRank rank;
  if (conditions) {
    rank.has_method = !conditions->method().empty();
    rank.headers = conditions->headers().size();
    rank.query = conditions->query().size();
  }
  rank.created = rule->route_created;
  rank.route_key = rule->route_key;
  rank.rule_index = rule->rule_index;
  rank.match_index = match_index;
  return rank;
}

std::size_t CandidateList::capacityFor(std::size_t count) noexcept {
  // Exact while short, as nearly all lists are; doubling beyond, so that thousands on one path stay
  // linear to build.
  return count < 8 ? count : std::bit_ceil(count);
}

Ref<CandidateList> CandidateList::make(std::size_t capacity) {
  static_assert(sizeof(CandidateList) % alignof(Candidate) == 0);
  return Ref<CandidateList>(
      new (::operator new(sizeof(CandidateList) + capacity * sizeof(Candidate))) CandidateList);
}

void CandidateList::destroy(CandidateList* self) noexcept {
  std::destroy_n(self->begin(), self->count_);
  self->~CandidateList();
  ::operator delete(self);
}

void CandidateList::append(Candidate candidate) noexcept {
  new (begin() + count_) Candidate(std::move(candidate));
  ++count_;
}

Ref<CandidateList> CandidateList::with(Ref<CandidateList> list, Candidate candidate) {
  const std::size_t count = list ? list->count_ : 0;
  const MatchRank rank = candidate.rank();
  std::size_t at = 0;
  if (list) {
    const auto items = list->items();
    const auto place = std::partition_point(items.begin(), items.end(), [&](const Candidate& item) {
      return precedes(item.rank(), rank);
    });
    at = static_cast<std::size_t>(place - items.begin());
  }
  if (list && list.unique() && capacityFor(count) > count) {
    list->append(std::move(candidate));
    std::rotate(list->begin() + at, list->begin() + count, list->begin() + count + 1);
    return list;
  }
  Ref<CandidateList> made = make(capacityFor(count + 1));
  const bool steal = list && list.unique();
  const auto take = [&](std::size_t i) {
    made->append(steal ? std::move(list->begin()[i]) : Candidate(list->begin()[i]));
  };
  for (std::size_t i = 0; i < at; ++i) take(i);
  made->append(std::move(candidate));
  for (std::size_t i = at; i < count; ++i) take(i);
  return made;
}

Ref<CandidateList> CandidateList::without(Ref<CandidateList> list,
                                          std::span<const CompiledRule* const> rules) {
  if (!list) return list;
  const auto leaves = [&](const Candidate& item) {
    return std::find(rules.begin(), rules.end(), item.rule.get()) != rules.end();
  };
  const auto items = std::as_const(*list).items();
  const auto leaving = static_cast<std::size_t>(std::count_if(items.begin(), items.end(), leaves));
  if (leaving == 0) return list;
  if (leaving == items.size()) return {};
  if (list.unique()) {
    // The block stays; room beyond what capacityFor() tells of a shorter list is not used any more.
    Candidate* const first = list->begin();
    Candidate* const kept = std::remove_if(first, first + list->count_, leaves);
    std::destroy(kept, first + list->count_);
    list->count_ -= static_cast<std::uint32_t>(leaving);
    return list;
  }
  Ref<CandidateList> made = make(capacityFor(items.size() - leaving));
  for (const Candidate& item : items)
    if (!leaves(item)) made->append(item);
  return made;
}

}  // namespace hyperway::route
