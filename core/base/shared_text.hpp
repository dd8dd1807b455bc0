// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace hyperway {

/// A text that does not change, mostly a part of a larger one, which lives for as long as any of
/// its parts. So thousands of objects that come in one batch are one block of memory, which goes
/// back as a whole, and not thousands among blocks that stay.
class SharedText {
 public:
  /// Empty.
  SharedText() = default;
  /// A text of its own.
  SharedText(std::string text) {
    if (text.empty()) return;
    auto whole = std::make_shared<const std::string>(std::move(text));
    view_ = *whole;
    owner_ = std::move(whole);
  }
  /// Likewise.
  SharedText(const char* text) : SharedText(std::string(text)) {}
  /// `part` of what `owner` keeps alive.
  SharedText(std::shared_ptr<const void> owner, std::string_view part)
      : owner_(std::move(owner)), view_(part) {}

  /// The text; good for as long as this or another part is there.
  operator std::string_view() const noexcept { return view_; }
  /// True if there is none.
  [[nodiscard]] bool empty() const noexcept { return view_.empty(); }
  /// Bytes of it.
  [[nodiscard]] std::size_t size() const noexcept { return view_.size(); }
  /// Makes it empty.
  void clear() noexcept { *this = SharedText(); }

 private:
  std::shared_ptr<const void> owner_;
  std::string_view view_;
};

}  // namespace hyperway
