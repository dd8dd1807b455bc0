// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace hyperway::k8s_client {

/// Objects in a page of a list …
inline constexpr int kPageSize = 500;
/// … and in one of a poll beside a watch, which is in no hurry.
inline constexpr int kPollPageSize = 100;

/// What a page says beside its objects.
struct ListPage {
  std::string resource_version;  ///< Of the list: where a watch begins.
  std::string next;              ///< `continue`; empty: this was the last page.
  std::string api_version;       ///< Of the list, e.g. "v1".
};

/// Path of a page: `path` (which may have a query) with limit, and with continue if `next` is set.
[[nodiscard]] std::string pagePath(const std::string& path, const std::string& next,
                                   int size = kPageSize);

/// Reads pages one object at a time, without a tree. Keeps its buffers from call to call.
class ListPageReader {
 public:
  ListPageReader();
  ~ListPageReader();

  /// Reads a page and gives each object's text, a view that is good until the next read(). False if
  /// it is no list, and then objects may have been given.
  [[nodiscard]] bool read(std::string_view body, ListPage& page,
                          const std::function<void(std::string_view object)>& each);
  /// What is wrong with it.
  [[nodiscard]] const std::string& error() const noexcept { return error_; }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::string error_;
};

}  // namespace hyperway::k8s_client
