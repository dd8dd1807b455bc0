// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace hyperway::route {

/// Base of the nodes that consecutive tables share. The count is four bytes, where a shared_ptr
/// would add sixteen and a second word to every pointer; a table has many nodes. A derived class T
/// has a static `destroy(T*) noexcept`, because most nodes end in an array and are not freed by
/// `delete`.
class RefCounted {
 public:
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

 protected:
  RefCounted() noexcept = default;
  ~RefCounted() = default;

 private:
  template <class>
  friend class Ref;
  std::atomic<std::uint32_t> refs_{0};
};

/// Owning pointer to a RefCounted node. A node that unique() says only we hold may be changed in
/// place; any other is shared with some table and must be copied first. That is what makes a bulk
/// build cheap: nodes that this batch made are changed, nodes of a published table never are.
template <class T>
class Ref {
 public:
  /// Null.
  Ref() noexcept = default;
  /// Takes one more reference on `node`, which may be null.
  explicit Ref(T* node) noexcept : node_(node) { retain(); }
  Ref(const Ref& other) noexcept : node_(other.node_) { retain(); }
  Ref(Ref&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~Ref() {
    if (node_ != nullptr && node_->refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      T::destroy(node_);
    }
  }

  /// Takes over a reference that detach() let go.
  [[nodiscard]] static Ref adopt(T* node) noexcept {
    Ref ref;
    ref.node_ = node;
    return ref;
  }
  /// Lets go of the pointer without giving up the reference.
  [[nodiscard]] T* detach() noexcept { return std::exchange(node_, nullptr); }
  /// True if this is the only reference; must not be null.
  [[nodiscard]] bool unique() const noexcept {
    return node_->refs_.load(std::memory_order_acquire) == 1;
  }
  /// The node, or null.
  [[nodiscard]] T* get() const noexcept { return node_; }
  /// True unless null.
  explicit operator bool() const noexcept { return node_ != nullptr; }
  /// The node; must not be null.
  T* operator->() const noexcept { return node_; }
  /// The node; must not be null.
  T& operator*() const noexcept { return *node_; }
  /// Same node.
  friend bool operator==(const Ref& a, const Ref& b) noexcept { return a.node_ == b.node_; }

 private:
  void retain() noexcept {
    if (node_ != nullptr) node_->refs_.fetch_add(1, std::memory_order_relaxed);
  }

  T* node_ = nullptr;
};

}  // namespace hyperway::route
