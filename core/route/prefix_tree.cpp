// SPDX-License-Identifier: Apache-2.0
#include "route/prefix_tree.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.hpp"

namespace hyperway::route {

/// One block: this, children, their first bytes (sorted), label.
class PrefixTree::Node : public RefCounted {
 public:
  // Sizes first: behind the four bytes of the count they fill a word.
 private:
  std::uint16_t label_size_;
  std::uint16_t child_count_;  // at most 256

 public:
  Ref<CandidateList> values;  // of the prefix that ends here; null if none does

  [[nodiscard]] static Ref<Node> make(std::string_view label, Ref<CandidateList> values,
                                      std::vector<Ref<Node>> children) {
    const std::size_t count = children.size();
    void* block = ::operator new(sizeof(Node) + count * (sizeof(Node*) + 1) + label.size());
    Ref<Node> node(new (block) Node(label.size(), count));
    node->values = std::move(values);
    for (std::size_t i = 0; i < count; ++i) {
      node->firstBytes()[i] = children[i]->label().front();
      node->children()[i] = children[i].detach();
    }
    std::copy(label.begin(), label.end(), node->firstBytes() + count);
    return node;
  }
  static void destroy(Node* node) noexcept {
    for (std::size_t i = 0; i < node->child_count_; ++i) (void)node->take(i);
    node->~Node();
    ::operator delete(node);
  }

  [[nodiscard]] std::string_view label() const noexcept {
    return {firstBytes() + child_count_, label_size_};
  }
  [[nodiscard]] std::size_t childCount() const noexcept { return child_count_; }
  [[nodiscard]] Node* child(std::size_t index) const noexcept { return children()[index]; }
  /// Index of the child that begins with `byte`, or childCount().
  [[nodiscard]] std::size_t find(char byte) const noexcept {
    const void* at = std::memchr(firstBytes(), byte, child_count_);
    return at == nullptr ? child_count_
                         : static_cast<std::size_t>(static_cast<const char*>(at) - firstBytes());
  }
  [[nodiscard]] Ref<Node> take(std::size_t index) noexcept {
    return Ref<Node>::adopt(std::exchange(children()[index], nullptr));
  }
  void put(std::size_t index, Ref<Node> child) noexcept { children()[index] = child.detach(); }
  [[nodiscard]] std::vector<Ref<Node>> copyChildren() const {
    std::vector<Ref<Node>> out;
    out.reserve(child_count_ + 1);
    for (std::size_t i = 0; i < child_count_; ++i) out.emplace_back(child(i));
    return out;
  }

 private:
  Node(std::size_t label_size, std::size_t child_count) noexcept
      : label_size_(static_cast<std::uint16_t>(label_size)),
        child_count_(static_cast<std::uint16_t>(child_count)) {}
  ~Node() = default;

  [[nodiscard]] Node** children() noexcept { return reinterpret_cast<Node**>(this + 1); }
  [[nodiscard]] Node* const* children() const noexcept {
    return reinterpret_cast<Node* const*>(this + 1);
  }
  [[nodiscard]] char* firstBytes() noexcept {
    return reinterpret_cast<char*>(children() + child_count_);
  }
  [[nodiscard]] const char* firstBytes() const noexcept {
    return reinterpret_cast<const char*>(children() + child_count_);
  }
};

namespace {

std::size_t commonSize(std::string_view a, std::string_view b) noexcept {
  const auto [end, other] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  (void)other;
  return static_cast<std::size_t>(end - a.begin());
}

}  // namespace

/// The recursive change, apart from the class so that the header need not know Node.
struct PrefixTreeEdit {
  template <class Node>
  static Ref<Node> own(Ref<Node> node) {
    if (node.unique()) return node;
    return Node::make(node->label(), node->values, node->copyChildren());
  }

  /// Restores the rule that a node without candidates has at least two children.
  template <class Node>
  static Ref<Node> tidy(Ref<Node> node) {
    if (node->values || node->childCount() > 1) return node;
    if (node->childCount() == 0) return {};
    const Node* only = node->child(0);
    return Node::make(std::string(node->label()).append(only->label()), only->values,
                      only->copyChildren());
  }

  template <class Node>
  static Ref<Node> step(Ref<Node> node, std::string_view rest, const PrefixTree::Change& change) {
    if (!node) {
      Ref<CandidateList> made = change({});
      return made ? Node::make(rest, std::move(made), {}) : Ref<Node>();
    }
    const std::size_t common = commonSize(node->label(), rest);
    if (common < node->label().size()) return split(std::move(node), rest, common, change);
    rest.remove_prefix(common);
    if (rest.empty()) {
      node = own(std::move(node));
      node->values = change(std::move(node->values));
      return tidy(std::move(node));
    }
    const std::size_t index = node->find(rest.front());
    if (index == node->childCount()) {
      Ref<Node> leaf = step(Ref<Node>(), rest, change);
      return leaf ? withChild(std::move(node), std::move(leaf)) : std::move(node);
    }
    node = own(std::move(node));
    Ref<Node> child = step(node->take(index), rest, change);
    if (child) {
      node->put(index, std::move(child));
      return node;
    }
    return tidy(withoutChild(std::move(node), index));
  }

  /// The label and the prefix part after `common` bytes.
  template <class Node>
  static Ref<Node> split(Ref<Node> node, std::string_view rest, std::size_t common,
                         const PrefixTree::Change& change) {
    Ref<CandidateList> made = change({});
    if (!made) return node;
    const std::string_view label = node->label();
    std::vector<Ref<Node>> children;
    children.push_back(Node::make(label.substr(common), node->values, node->copyChildren()));
    if (rest.size() == common) return Node::make(rest, std::move(made), std::move(children));
    Ref<Node> leaf = Node::make(rest.substr(common), std::move(made), {});
    const bool first =
        static_cast<unsigned char>(rest[common]) < static_cast<unsigned char>(label[common]);
    children.insert(first ? children.begin() : children.end(), std::move(leaf));
    return Node::make(label.substr(0, common), {}, std::move(children));
  }

  template <class Node>
  static Ref<Node> withChild(Ref<Node> node, Ref<Node> child) {
    std::vector<Ref<Node>> children = node->copyChildren();
    const auto first = [](const Ref<Node>& each) {
      return static_cast<unsigned char>(each->label().front());
    };
    const auto place = std::find_if(children.begin(), children.end(), [&](const Ref<Node>& each) {
      return first(each) > first(child);
    });
    children.insert(place, std::move(child));
    return Node::make(node->label(), node->values, std::move(children));
  }

  template <class Node>
  static Ref<Node> withoutChild(Ref<Node> node, std::size_t index) {
    std::vector<Ref<Node>> children;
    for (std::size_t i = 0; i < node->childCount(); ++i)
      if (i != index) children.push_back(node->take(i));
    return Node::make(node->label(), node->values, std::move(children));
  }
};

PrefixTree::PrefixTree() noexcept = default;
PrefixTree::PrefixTree(const PrefixTree& other) noexcept = default;
PrefixTree::PrefixTree(PrefixTree&& other) noexcept = default;
PrefixTree::~PrefixTree() = default;
PrefixTree& PrefixTree::operator=(PrefixTree other) noexcept {
  root_ = std::move(other.root_);
  return *this;
}

void PrefixTree::update(std::string_view prefix, const Change& change) {
  HW_ASSERT(prefix.size() <= kMaxPrefixBytes);
  root_ = PrefixTreeEdit::step(std::move(root_), prefix, change);
}

void PrefixTree::prefetchCandidates() const noexcept {
  if (root_) prefetchBytes(root_->values.get(), sizeof(CandidateList) + sizeof(Candidate));
}

void PrefixTree::covering(std::string_view path, std::size_t limit, Hits& out) const noexcept {
  out.count = 0;
  out.more = false;
  std::size_t at = 0;
  std::size_t found = 0;
  for (const Node* node = root_.get(); node != nullptr;) {
    const std::string_view label = node->label();
    if (path.size() - at < label.size() ||
        std::memcmp(path.data() + at, label.data(), label.size()) != 0) {
      break;
    }
    at += label.size();
    if (at >= limit) break;
    if (node->values && (at == path.size() || path[at] == '/')) {
      out.hits[found++ % Hits::kMax] = {node->values.get(), static_cast<std::uint32_t>(at)};
    }
    if (at == path.size()) break;
    const std::size_t index = node->find(path[at]);
    node = index == node->childCount() ? nullptr : node->child(index);
  }
  if (found > Hits::kMax) {
    std::rotate(out.hits, out.hits + found % Hits::kMax, out.hits + Hits::kMax);
    out.more = true;
  }
  out.count = std::min(found, Hits::kMax);
}

void PrefixTree::forEach(
    const std::function<void(std::string_view, const CandidateList&)>& visit) const {
  std::string prefix;
  const auto walk = [&](const auto& self, const Node* node) -> void {
    if (node == nullptr) return;
    prefix.append(node->label());
    if (node->values) visit(prefix, *node->values);
    for (std::size_t i = 0; i < node->childCount(); ++i) self(self, node->child(i));
    prefix.resize(prefix.size() - node->label().size());
  };
  walk(walk, root_.get());
}

void PrefixTree::forEachNode(const std::function<void(const void*)>& visit) const {
  const auto walk = [&](const auto& self, const Node* node) -> void {
    if (node == nullptr) return;
    visit(node);
    for (std::size_t i = 0; i < node->childCount(); ++i) self(self, node->child(i));
  };
  walk(walk, root_.get());
}

}  // namespace hyperway::route
