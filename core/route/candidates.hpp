// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "route/conditions.hpp"
#include "route/precedence.hpp"
#include "route/ref.hpp"
#include "route/table.hpp"

namespace hyperway::route {

/// A match at its place in a path structure: what is left to test, and whom it leads to.
struct Candidate {
  std::shared_ptr<const CompiledRule> rule;  ///< Never null.
  Ref<Conditions> conditions;                ///< Null: none.
  std::uint32_t match_index = 0;             ///< Place in Rule::matches.

  /// True if method, headers and query fit.
  [[nodiscard]] bool holds(const http::RequestHead& head, std::string_view method) const noexcept {
    return !conditions || conditions->hold(head, method);
  }
  /// The outcome of a match that it wins, with `prefix_size` as there.
  [[nodiscard]] MatchResult result(std::uint32_t prefix_size) const noexcept {
    return {rule.get(), &rule, prefix_size, match_index};
  }
  /// Its rank among candidates with the same path.
  [[nodiscard]] MatchRank rank() const noexcept;
};

/// The candidates of one place, in precedence order. Immutable once shared; one block of memory.
class CandidateList : public RefCounted {
 public:
  /// `list` (may be null) with one candidate more.
  [[nodiscard]] static Ref<CandidateList> with(Ref<CandidateList> list, Candidate candidate);
  /// `list` (may be null) without the candidates whose rule is among `rules`; null if none is left.
  /// The list itself if it had none.
  [[nodiscard]] static Ref<CandidateList> without(Ref<CandidateList> list,
                                                  std::span<const CompiledRule* const> rules);
  /// Frees it.
  static void destroy(CandidateList* self) noexcept;

  /// In precedence order; at least one.
  [[nodiscard]] std::span<const Candidate> items() const noexcept { return {begin(), count_}; }
  /// Where the first one's rule is held; reads nothing.
  [[nodiscard]] const std::shared_ptr<const CompiledRule>* firstRule() const noexcept {
    return &begin()->rule;
  }

 private:
  CandidateList() = default;
  ~CandidateList() = default;
  [[nodiscard]] static Ref<CandidateList> make(std::size_t capacity);
  [[nodiscard]] static std::size_t capacityFor(std::size_t count) noexcept;
  [[nodiscard]] Candidate* begin() noexcept { return reinterpret_cast<Candidate*>(this + 1); }
  [[nodiscard]] const Candidate* begin() const noexcept {
    return reinterpret_cast<const Candidate*>(this + 1);
  }
  void append(Candidate candidate) noexcept;

  std::uint32_t count_ = 0;
};

}  // namespace hyperway::route
