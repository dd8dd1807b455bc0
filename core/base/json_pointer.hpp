// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hyperway {

/// Path to a place inside a JSON document (RFC 6901), e.g. "/spec/rules/0/matches/1".
class JsonPointer {
 public:
  /// The whole document.
  JsonPointer() = default;
  /// Takes text that is a pointer already; not checked.
  explicit JsonPointer(std::string text) : text_(std::move(text)) {}

  /// The member `name`; `~` and `/` in it are escaped.
  [[nodiscard]] JsonPointer operator/(std::string_view name) const {
    std::string out = text_ + '/';
    for (const char c : name) {
      if (c == '~')
        out += "~0";
      else if (c == '/')
        out += "~1";
      else
        out += c;
    }
    return JsonPointer(std::move(out));
  }
  /// The element `index` of an array.
  [[nodiscard]] JsonPointer operator/(std::size_t index) const {
    return JsonPointer(text_ + '/' + std::to_string(index));
  }
  /// The pointer as text; empty for the whole document.
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  std::string text_;
};

/// How bad a problem is.
enum class Severity { Error, Warning };

/// One thing wrong with a configuration, in the user's words.
struct Problem {
  std::string pointer;  ///< JSON pointer of the field (RFC 6901); empty for the whole document.
  std::string message;  ///< What is wrong and what would be right; no trailing full stop needed.
  Severity severity = Severity::Error;  ///< Errors refuse, warnings inform.
};

/// Collects every problem of a configuration, not only the first.
class Problems {
 public:
  /// Records an error at `where`.
  void add(const JsonPointer& where, std::string message) {
    list_.push_back({where.text(), std::move(message), Severity::Error});
  }
  /// Records a warning at `where`.
  void warn(const JsonPointer& where, std::string message) {
    list_.push_back({where.text(), std::move(message), Severity::Warning});
  }
  /// Records a ready-made problem.
  void push(Problem problem) { list_.push_back(std::move(problem)); }
  /// True if there is at least one error (warnings do not count).
  [[nodiscard]] bool failed() const noexcept {
    for (const Problem& problem : list_)
      if (problem.severity == Severity::Error) return true;
    return false;
  }
  /// All problems in the order found.
  [[nodiscard]] const std::vector<Problem>& list() const noexcept { return list_; }

 private:
  std::vector<Problem> list_;
};

}  // namespace hyperway
