// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/head.hpp"
#include "route/model.hpp"
#include "route/ref.hpp"
#include "route/regex.hpp"

namespace hyperway::route {

/// A header or query condition, ready to be tested.
struct ValueCondition {
  std::string name;                         ///< Lower case for headers.
  http::FieldId id = http::FieldId::Other;  ///< Headers only: fieldId(name).
  std::string value;                        ///< Text to equal, or the pattern.
  RegexPtr regex;                           ///< Null: exact.
};

/// What a match asks for besides host and path: method, headers, query. Immutable; shared by all
/// places of the match.
class Conditions : public RefCounted {
 public:
  /// Compiles the conditions of `match`; null if there are none. A pattern that RE2 refuses is
  /// appended to `problems`, and its condition counts as fulfilled: the rule is refused then, and
  /// answering 500 is safer than letting its requests fall through to a rule that asks for less.
  [[nodiscard]] static Ref<Conditions> compile(const Match& match, RegexCache& cache,
                                               std::vector<std::string>& problems);
  /// Frees it.
  static void destroy(Conditions* self) noexcept { delete self; }

  /// True if all hold. `method` stands for head.method. Any thread, no allocation outside the
  /// stream's arena (and there only for a value that a regular expression has to see in one piece).
  [[nodiscard]] bool hold(const http::RequestHead& head, std::string_view method) const noexcept;
  /// The first condition that does not hold, in words; empty if all do.
  [[nodiscard]] std::string whyNot(const http::RequestHead& head, std::string_view method) const;

  /// The method asked for; empty for any.
  [[nodiscard]] const std::string& method() const noexcept { return method_; }
  /// Header conditions.
  [[nodiscard]] const std::vector<ValueCondition>& headers() const noexcept { return headers_; }
  /// Query conditions.
  [[nodiscard]] const std::vector<ValueCondition>& query() const noexcept { return query_; }

 private:
  Conditions() = default;
  ~Conditions() = default;

  std::string method_;
  std::vector<ValueCondition> headers_;
  std::vector<ValueCondition> query_;
};

}  // namespace hyperway::route
