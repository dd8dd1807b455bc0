// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <string_view>
#include <utility>

#include "base/bits.hpp"
#include "base/prefetch.hpp"
#include "route/ref.hpp"

namespace hyperway::route {

/// A hash map whose copies share structure: a trie over the bits of the hash, 64 ways a level (hash
/// array mapped trie). Copying costs one reference; changing a copy replaces the nodes from the
/// root to the entry and nothing else, and in place where nobody shares them (see Ref). Reading
/// takes no lock and allocates nothing.
///
/// T is RefCounted and has `hash()` (std::uint64_t) and `key()` (std::string_view), which never
/// change.
template <class T>
class PersistentMap {
 public:
  /// The entry of `key`, whose hash is `hash`, or null. Any thread.
  [[nodiscard]] const T* find(std::uint64_t hash, std::string_view key) const noexcept {
    unsigned shift = 0;
    for (const Node* node = root_.get(); node != nullptr; shift += kBits) {
      if (shift > kLastShift) return findAmong(node->entries(), hash, key);
      const std::uint64_t bit = bitAt(hash, shift);
      if ((node->entry_bits & bit) != 0) {
        const T* entry = node->entry(rank(node->entry_bits, bit));
        return is(*entry, hash, key) ? entry : nullptr;
      }
      if ((node->child_bits & bit) == 0) return nullptr;
      node = node->child(rank(node->child_bits, bit));
    }
    return nullptr;
  }

  /// The entry whose hash is most like `hash`, which is that of its key if it is there; null if
  /// none is like it. Reads nothing of the entry. Any thread.
  [[nodiscard]] const T* nearest(std::uint64_t hash) const noexcept {
    const Node* node = root_.get();
    for (unsigned shift = 0; node != nullptr && shift <= kLastShift; shift += kBits) {
      const std::uint64_t bit = bitAt(hash, shift);
      if ((node->entry_bits & bit) != 0) return node->entry(rank(node->entry_bits, bit));
      if ((node->child_bits & bit) == 0) return nullptr;
      node = node->child(rank(node->child_bits, bit));
    }
    return nullptr;
  }
  /// Asks for the first node on the way to `hash` that is likely not in the cache: the two levels
  /// above it are few, and read by every request. Any thread.
  void prefetchNode(std::uint64_t hash) const noexcept {
    const Node* node = root_.get();
    for (unsigned shift = 0; node != nullptr; shift += kBits) {
      if (shift > kBits) {
        return prefetchBytes(node, 64);
      }
      const std::uint64_t bit = bitAt(hash, shift);
      if ((node->child_bits & bit) == 0) return;
      node = node->child(rank(node->child_bits, bit));
    }
  }

  /// Replaces the entry of `key` by what `change` makes of it: `Ref<T> change(Ref<T>)`, null for
  /// absent on both sides. Entry and nodes are handed over, so that `change` may use Ref::unique().
  template <class Change>
  void update(std::uint64_t hash, std::string_view key, Change&& change) {
    root_ = step(std::move(root_), 0, hash, key, change);
  }

  /// True if there is no entry.
  [[nodiscard]] bool empty() const noexcept { return !root_; }
  /// Calls `visit(const T&)` for each entry, in no useful order.
  template <class Visit>
  void forEach(Visit&& visit) const {
    walk(
        root_.get(), 0, [](const void*) {}, visit);
  }
  /// Calls `visit(const void*)` for each inner node, to see what two maps share.
  template <class Visit>
  void forEachNode(Visit&& visit) const {
    walk(root_.get(), 0, visit, [](const T&) {});
  }

 private:
  static constexpr unsigned kBits = 6;
  // Below this level the hash is used up and a node is a plain list of entries with one hash.
  static constexpr unsigned kLastShift = 60;

  /// Two bitmaps and one array: entries first, then children, each in bit order.
  struct Node : RefCounted {
    std::uint32_t entry_count = 0;  // beside the count of references
    std::uint64_t entry_bits = 0;
    std::uint64_t child_bits = 0;

    [[nodiscard]] void** slots() noexcept { return reinterpret_cast<void**>(this + 1); }
    [[nodiscard]] void* const* slots() const noexcept {
      return reinterpret_cast<void* const*>(this + 1);
    }
    [[nodiscard]] T* entry(unsigned index) const noexcept {
      return static_cast<T*>(slots()[index]);
    }
    [[nodiscard]] Node* child(unsigned index) const noexcept {
      return static_cast<Node*>(slots()[entry_count + index]);
    }
    [[nodiscard]] std::span<void* const> entries() const noexcept { return {slots(), entry_count}; }
    [[nodiscard]] unsigned childCount() const noexcept { return countBits(child_bits); }
    void put(unsigned index, Ref<T> entry) noexcept { slots()[index] = entry.detach(); }
    void putChild(unsigned index, Ref<Node> child) noexcept {
      slots()[entry_count + index] = child.detach();
    }
    [[nodiscard]] Ref<T> take(unsigned index) noexcept {
      return Ref<T>::adopt(static_cast<T*>(std::exchange(slots()[index], nullptr)));
    }
    [[nodiscard]] Ref<Node> takeChild(unsigned index) noexcept {
      return Ref<Node>::adopt(
          static_cast<Node*>(std::exchange(slots()[entry_count + index], nullptr)));
    }

    [[nodiscard]] static Ref<Node> make(std::uint64_t entry_bits, std::uint64_t child_bits,
                                        unsigned entries) {
      const unsigned all = entries + countBits(child_bits);
      auto* node = new (::operator new(sizeof(Node) + all * sizeof(void*))) Node;
      node->entry_bits = entry_bits;
      node->child_bits = child_bits;
      node->entry_count = entries;
      std::fill_n(node->slots(), all, nullptr);
      return Ref<Node>(node);
    }
    static void destroy(Node* node) noexcept {
      for (unsigned i = 0; i < node->entry_count; ++i) (void)node->take(i);
      for (unsigned i = 0; i < node->childCount(); ++i) (void)node->takeChild(i);
      node->~Node();
      ::operator delete(node);
    }
  };

  [[nodiscard]] static std::uint64_t bitAt(std::uint64_t hash, unsigned shift) noexcept {
    return std::uint64_t{1} << ((hash >> shift) & 63);
  }
  [[nodiscard]] static unsigned rank(std::uint64_t bits, std::uint64_t bit) noexcept {
    return countBits(bits & (bit - 1));
  }
  [[nodiscard]] static bool is(const T& entry, std::uint64_t hash, std::string_view key) noexcept {
    return entry.hash() == hash && entry.key() == key;
  }
  [[nodiscard]] static const T* findAmong(std::span<void* const> entries, std::uint64_t hash,
                                          std::string_view key) noexcept {
    for (void* slot : entries)
      if (is(*static_cast<T*>(slot), hash, key)) return static_cast<T*>(slot);
    return nullptr;
  }

  /// The node if only we hold it, else a copy that shares its children.
  [[nodiscard]] static Ref<Node> own(Ref<Node> node) {
    if (node.unique()) return node;
    Ref<Node> copy = Node::make(node->entry_bits, node->child_bits, node->entry_count);
    for (unsigned i = 0; i < node->entry_count; ++i) copy->put(i, Ref<T>(node->entry(i)));
    for (unsigned i = 0; i < node->childCount(); ++i) copy->putChild(i, Ref<Node>(node->child(i)));
    return copy;
  }

  /// A node of another shape with the same content; `node` must be owned, and is emptied. Places
  /// that are new stay null, and what has no place any more is let go.
  /// Takes a reference: a caller reads the old bits in the same call, and arguments have no order.
  [[nodiscard]] static Ref<Node> reshape(Ref<Node>& node, std::uint64_t entry_bits,
                                         std::uint64_t child_bits) {
    Ref<Node> made = Node::make(entry_bits, child_bits, countBits(entry_bits));
    for (std::uint64_t left = node->entry_bits & entry_bits; left != 0; left &= left - 1) {
      const std::uint64_t bit = left & (~left + 1);
      made->put(rank(entry_bits, bit), node->take(rank(node->entry_bits, bit)));
    }
    for (std::uint64_t left = node->child_bits & child_bits; left != 0; left &= left - 1) {
      const std::uint64_t bit = left & (~left + 1);
      made->putChild(rank(child_bits, bit), node->takeChild(rank(node->child_bits, bit)));
    }
    return made;
  }

  [[nodiscard]] static Ref<Node> single(Ref<T> entry, unsigned shift) {
    const std::uint64_t bits = shift > kLastShift ? 0 : bitAt(entry->hash(), shift);
    Ref<Node> node = Node::make(bits, 0, 1);
    node->put(0, std::move(entry));
    return node;
  }

  /// A subtree of two entries whose hashes agree above `shift`.
  [[nodiscard]] static Ref<Node> pair(Ref<T> first, Ref<T> second, unsigned shift) {
    if (shift > kLastShift) {
      Ref<Node> list = Node::make(0, 0, 2);
      list->put(0, std::move(first));
      list->put(1, std::move(second));
      return list;
    }
    const std::uint64_t a = bitAt(first->hash(), shift);
    const std::uint64_t b = bitAt(second->hash(), shift);
    if (a == b) {
      Ref<Node> node = Node::make(0, a, 0);
      node->putChild(0, pair(std::move(first), std::move(second), shift + kBits));
      return node;
    }
    Ref<Node> node = Node::make(a | b, 0, 2);
    node->put(a < b ? 0 : 1, std::move(first));
    node->put(a < b ? 1 : 0, std::move(second));
    return node;
  }

  template <class Change>
  [[nodiscard]] static Ref<Node> step(Ref<Node> node, unsigned shift, std::uint64_t hash,
                                      std::string_view key, Change&& change) {
    if (!node) {
      Ref<T> made = change(Ref<T>());
      return made ? single(std::move(made), shift) : Ref<Node>();
    }
    if (shift > kLastShift) return stepList(std::move(node), hash, key, change);
    node = own(std::move(node));
    const std::uint64_t bit = bitAt(hash, shift);
    if ((node->entry_bits & bit) != 0) {
      return stepEntry(std::move(node), bit, shift, hash, key, change);
    }
    if ((node->child_bits & bit) != 0) {
      return stepChild(std::move(node), bit, shift, hash, key, change);
    }
    Ref<T> made = change(Ref<T>());
    if (!made) return node;
    node = reshape(node, node->entry_bits | bit, node->child_bits);
    node->put(rank(node->entry_bits, bit), std::move(made));
    return node;
  }

  /// The bit is taken by an entry: ours, or one that has to move down a level to make room.
  template <class Change>
  [[nodiscard]] static Ref<Node> stepEntry(Ref<Node> node, std::uint64_t bit, unsigned shift,
                                           std::uint64_t hash, std::string_view key,
                                           Change&& change) {
    const unsigned index = rank(node->entry_bits, bit);
    if (is(*node->entry(index), hash, key)) {
      Ref<T> now = change(node->take(index));
      if (now) {
        node->put(index, std::move(now));
        return node;
      }
      node = reshape(node, node->entry_bits & ~bit, node->child_bits);
      return node->entry_count == 0 && node->child_bits == 0 ? Ref<Node>() : std::move(node);
    }
    Ref<T> made = change(Ref<T>());
    if (!made) return node;
    Ref<Node> child = pair(node->take(index), std::move(made), shift + kBits);
    node = reshape(node, node->entry_bits & ~bit, node->child_bits | bit);
    node->putChild(rank(node->child_bits, bit), std::move(child));
    return node;
  }

  /// The bit leads to a child. One that is left with a single entry is dissolved into this node, so
  /// that a map's shape depends on its content alone.
  template <class Change>
  [[nodiscard]] static Ref<Node> stepChild(Ref<Node> node, std::uint64_t bit, unsigned shift,
                                           std::uint64_t hash, std::string_view key,
                                           Change&& change) {
    const unsigned index = rank(node->child_bits, bit);
    Ref<Node> child = step(node->takeChild(index), shift + kBits, hash, key, change);
    if (child && (child->entry_count != 1 || child->child_bits != 0)) {
      node->putChild(index, std::move(child));
      return node;
    }
    if (!child) {
      node = reshape(node, node->entry_bits, node->child_bits & ~bit);
      return node->entry_count == 0 && node->child_bits == 0 ? Ref<Node>() : std::move(node);
    }
    node = reshape(node, node->entry_bits | bit, node->child_bits & ~bit);
    node->put(rank(node->entry_bits, bit), Ref<T>(child->entry(0)));
    return node;
  }

  /// A list of entries whose hashes are equal in all bits.
  template <class Change>
  [[nodiscard]] static Ref<Node> stepList(Ref<Node> node, std::uint64_t hash, std::string_view key,
                                          Change&& change) {
    node = own(std::move(node));
    const unsigned count = node->entry_count;
    unsigned index = 0;
    while (index < count && !is(*node->entry(index), hash, key)) ++index;
    Ref<T> now = change(index < count ? node->take(index) : Ref<T>());
    if (index < count && now) {
      node->put(index, std::move(now));
      return node;
    }
    if (index == count && !now) return node;
    Ref<Node> made = Node::make(0, 0, now ? count + 1 : count - 1);
    unsigned at = 0;
    for (unsigned i = 0; i < count; ++i)
      if (i != index) made->put(at++, node->take(i));
    if (now) made->put(at, std::move(now));
    return made->entry_count == 0 ? Ref<Node>() : std::move(made);
  }

  template <class VisitNode, class VisitEntry>
  static void walk(const Node* node, unsigned shift, VisitNode&& visit_node,
                   VisitEntry&& visit_entry) {
    if (node == nullptr) return;
    visit_node(static_cast<const void*>(node));
    for (unsigned i = 0; i < node->entry_count; ++i) {
      visit_entry(static_cast<const T&>(*node->entry(i)));
    }
    for (unsigned i = 0; i < node->childCount(); ++i) {
      walk(node->child(i), shift + kBits, visit_node, visit_entry);
    }
  }

  Ref<Node> root_;
};

}  // namespace hyperway::route
