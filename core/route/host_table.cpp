// SPDX-License-Identifier: Apache-2.0
#include "route/host_table.hpp"

#include <utility>

#include "route/text_hash.hpp"

namespace hyperway::route {

void HostTable::update(std::string_view hostname, const Change& change) {
  if (hostname.empty()) {
    any_ = change(std::move(any_));
    return;
  }
  const std::string_view key = keyOf(hostname);
  hosts_.update(hashText(key), key, [&](Ref<HostPaths> paths) {
    const bool was = static_cast<bool>(paths);
    paths = change(std::move(paths));
    const bool is = static_cast<bool>(paths);
    if (key.size() != hostname.size()) wildcards_ = wildcards_ + is - was;
    return paths;
  });
}

void HostTable::prefetch(std::uint64_t hash, std::size_t step) const noexcept {
  if (step == 0) return hosts_.prefetchNode(hash);
  const HostPaths* const paths = hosts_.nearest(hash);
  if (paths == nullptr) return;
  if (step == 3) return paths->prefetchBehind();
  if (step == 2) return paths->prefetchMatch();
  prefetchBytes(paths, sizeof(HostPaths) + 32);  // ends in its key
}

MatchResult HostTable::match(const http::RequestHead& head,
                             std::string_view method) const noexcept {
  MatchResult result;
  PathKey path{head.path, 0};
  forHost(head.host, [&](const HostPaths& paths) {
    result = paths.match(head, method, path, [](const Candidate&, const PathPlace&) {});
    return result.rule != nullptr;
  });
  return result;
}

void HostTable::forEachHost(
    const std::function<void(std::string_view, const HostPaths&)>& visit) const {
  hosts_.forEach([&](const HostPaths& paths) {
    const bool wildcard = paths.key().starts_with('.');
    visit(wildcard ? "*" + std::string(paths.key()) : std::string(paths.key()), paths);
  });
  if (any_) visit({}, *any_);
}

void HostTable::forEachNode(const std::function<void(const void*)>& visit) const {
  hosts_.forEachNode(visit);
  hosts_.forEach([&](const HostPaths& paths) { paths.forEachNode(visit); });
  if (any_) any_->forEachNode(visit);
}

}  // namespace hyperway::route
