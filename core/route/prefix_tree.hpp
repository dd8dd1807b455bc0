// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "base/prefetch.hpp"
#include "route/candidates.hpp"
#include "route/ref.hpp"

namespace hyperway::route {

/// The longest prefix that a tree can hold, in bytes. The Gateway API allows 1,024.
inline constexpr std::size_t kMaxPrefixBytes = 65535;

/// A prefix as the tree keeps it: without trailing slash, so "/" is "" (Gateway API HTTPPathMatch
/// PathPrefix).
[[nodiscard]] constexpr std::string_view prefixKey(std::string_view value) noexcept {
  if (value.ends_with('/')) value.remove_suffix(1);
  return value;
}

/// A radix tree over bytes, from prefixes to candidates. Persistent: copies share nodes, and a
/// change copies those from the root to its place, or none if nobody shares them (see Ref).
/// Matching is by whole path elements: "/foo" covers "/foo", "/foo/" and "/foo/bar", but not
/// "/foobar".
class PrefixTree {
 public:
  /// Computes the new candidates of a place from the old; null for none on both sides.
  using Change = std::function<Ref<CandidateList>(Ref<CandidateList>)>;

  /// Prefixes that cover a path, the longest last.
  struct Hits {
    static constexpr std::size_t kMax =
        16;  ///< More than that, and covering() has to be asked again.
    /// One prefix.
    struct Hit {
      const CandidateList* list;  ///< Never null.
      std::uint32_t size;         ///< Bytes of the prefix.
    };
    Hit hits[kMax];         ///< The longest ones found; the first `count` are set.
    std::size_t count = 0;  ///< How many.
    bool more = false;      ///< There are shorter ones.
  };

  /// Changes the candidates of `prefix`, a prefixKey() of at most kMaxPrefixBytes.
  void update(std::string_view prefix, const Change& change);
  /// The longest prefixes of `path` that are shorter than `limit` bytes. Any thread, no allocation;
  /// time grows with the path only.
  void covering(std::string_view path, std::size_t limit, Hits& out) const noexcept;
  /// Asks for the root. Any thread.
  void prefetchRoot() const noexcept {
    if (root_) prefetchBytes(root_.get(), 64);
  }
  /// Asks for the candidates of the root, which it reads. Any thread.
  void prefetchCandidates() const noexcept;
  /// True if there is no prefix.
  [[nodiscard]] bool empty() const noexcept { return !root_; }

  /// Calls `visit` for each prefix in byte order.
  void forEach(const std::function<void(std::string_view, const CandidateList&)>& visit) const;
  /// Calls `visit` for each node, to see what two trees share.
  void forEachNode(const std::function<void(const void*)>& visit) const;

 private:
  class Node;
  Ref<Node> root_;

 public:
  PrefixTree() noexcept;
  PrefixTree(const PrefixTree& other) noexcept;
  PrefixTree(PrefixTree&& other) noexcept;
  PrefixTree& operator=(PrefixTree other) noexcept;
  ~PrefixTree();
};

}  // namespace hyperway::route
