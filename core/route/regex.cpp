// SPDX-License-Identifier: Apache-2.0
#include "route/regex.hpp"

#include <re2/re2.h>

#include <algorithm>

namespace hyperway::route {

namespace {

re2::RE2::Options options() {
  re2::RE2::Options options;
  options.set_log_errors(false);  // the error goes into a status, not to standard error
  return options;
}

re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

std::string regexProblem(std::string_view pattern) {
  const re2::RE2 compiled(piece(pattern), options());
  return compiled.ok() ? std::string() : compiled.error();
}

Regex::Regex(std::string_view pattern)
    : compiled_(std::make_unique<re2::RE2>(piece(pattern), options())) {}

Regex::~Regex() = default;

bool Regex::valid() const noexcept { return compiled_->ok(); }

const std::string& Regex::error() const noexcept { return compiled_->error(); }

const std::string& Regex::pattern() const noexcept { return compiled_->pattern(); }

bool Regex::matches(std::string_view text) const noexcept {
  return compiled_->ok() && re2::RE2::FullMatch(piece(text), *compiled_);
}

RegexPtr RegexCache::get(const std::string& pattern) {
  std::weak_ptr<const Regex>& known = known_[pattern];
  if (RegexPtr regex = known.lock()) return regex;
  RegexPtr made = std::make_shared<const Regex>(pattern);
  known = made;
  if (known_.size() >= sweep_at_) {
    std::erase_if(known_, [](const auto& item) { return item.second.expired(); });
    sweep_at_ = std::max<std::size_t>(64, 2 * known_.size());
  }
  return made;
}

}  // namespace hyperway::route
