// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hyperway::k8s_client {

/// A resourceVersion as a number; 0 if it is none.
[[nodiscard]] std::uint64_t versionOf(std::string_view resource_version) noexcept;

/// An object as text, cut into its parts without a tree. Keeps its buffers from object to object;
/// what it returns points into them and is good until the next read().
class ObjectText {
 public:
  ObjectText();
  ObjectText(const ObjectText&) = delete;
  ObjectText& operator=(const ObjectText&) = delete;
  ~ObjectText();

  /// Reads an object. False if it is not well-formed JSON, or has no metadata.name.
  [[nodiscard]] bool read(std::string_view json);

  /// metadata.namespace; empty for cluster-scoped objects.
  [[nodiscard]] const std::string& nameSpace() const noexcept { return name_space_; }
  /// metadata.name.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// metadata.resourceVersion.
  [[nodiscard]] const std::string& resourceVersion() const noexcept { return resource_version_; }
  /// metadata.uid.
  [[nodiscard]] const std::string& uid() const noexcept { return uid_; }
  /// "namespace/name".
  [[nodiscard]] std::string key() const { return name_space_ + '/' + name_; }
  /// The JSON of a top-level member; empty if it is not there.
  [[nodiscard]] std::string_view member(std::string_view name) const noexcept;

  /// Appends the object as we need it: with the given apiVersion and kind (which lists leave out),
  /// without metadata.managedFields and kubectl's copy of the object, and without status unless
  /// `keep_status`.
  void appendSlim(std::string& out, std::string_view api_version, std::string_view kind,
                  bool keep_status) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  using Parts = std::vector<std::pair<std::string_view, std::string_view>>;  // raw name, raw value
  Parts members_, metadata_, annotations_;
  std::string name_space_, name_, resource_version_, uid_;
};

}  // namespace hyperway::k8s_client
