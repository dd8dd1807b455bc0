// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

namespace re2 {
class RE2;
}

namespace hyperway::route {

/// Why RE2 refuses `pattern`, in its words; empty if it takes it. For translation, so that a rule
/// with such a pattern is refused in its status before it ever gets here.
[[nodiscard]] std::string regexProblem(std::string_view pattern);

/// A compiled regular expression (RE2 syntax: no backtracking, time linear in the text). Immutable.
class Regex {
 public:
  /// Compiles; see valid().
  explicit Regex(std::string_view pattern);
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;
  ~Regex();

  /// False if RE2 refused the pattern; then nothing matches.
  [[nodiscard]] bool valid() const noexcept;
  /// Why it is not valid.
  [[nodiscard]] const std::string& error() const noexcept;
  /// The pattern as written.
  [[nodiscard]] const std::string& pattern() const noexcept;
  /// True if the expression matches the whole of `text`. Any thread. RE2 keeps a cache of states
  /// behind a lock of its own, which it fills now and then; nothing else is allocated.
  [[nodiscard]] bool matches(std::string_view text) const noexcept;

 private:
  std::unique_ptr<re2::RE2> compiled_;
};

/// Shared, because the same pattern is often written in many routes and each costs kilobytes.
using RegexPtr = std::shared_ptr<const Regex>;

/// Compiles each pattern once for as long as anybody uses it. [control]
class RegexCache {
 public:
  /// The compiled form of `pattern`; never null, maybe not valid.
  [[nodiscard]] RegexPtr get(const std::string& pattern);

 private:
  std::unordered_map<std::string, std::weak_ptr<const Regex>> known_;
  std::size_t sweep_at_ = 64;  // forget dead patterns when there are this many in all
};

}  // namespace hyperway::route
