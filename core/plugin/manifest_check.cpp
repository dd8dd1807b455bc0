// SPDX-License-Identifier: Apache-2.0
#include "plugin/manifest_check.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "plugin/load_error.hpp"

namespace hyperway::plugin {
namespace {

// The sizes that the first release has; a field appended later is optional and must not raise them.
constexpr std::size_t kManifestSize =
    offsetof(hw_plugin_manifest, get_factory) + sizeof(hw_plugin_manifest::get_factory);
constexpr std::size_t kFilterSize =
    offsetof(hw_filter_class, stream_destroy) + sizeof(hw_filter_class::stream_destroy);
constexpr std::size_t kSourceSize =
    offsetof(hw_source_class, destroy) + sizeof(hw_source_class::destroy);
constexpr std::size_t kSinkSize = offsetof(hw_sink_class, destroy) + sizeof(hw_sink_class::destroy);
constexpr std::size_t kFactorySize = offsetof(hw_factory, classes) + sizeof(hw_factory::classes);

constexpr std::uint32_t kHooks = HW_HOOK_REQUEST_HEAD | HW_HOOK_REQUEST_BODY |
                                 HW_HOOK_REQUEST_TRAILERS | HW_HOOK_RESPONSE_HEAD |
                                 HW_HOOK_RESPONSE_BODY | HW_HOOK_RESPONSE_TRAILERS;
constexpr std::uint32_t kKnownInterest =
    kHooks | HW_INTEREST_REQUEST_RESIZE | HW_INTEREST_RESPONSE_RESIZE | HW_INTEREST_PREFLIGHT;

std::string abiVersion(unsigned major, unsigned minor) {
  return std::to_string(major) + "." + std::to_string(minor);
}

// Ids end up in metrics, logs and file names.
bool isId(const char* text, std::string_view also) {
  if (text == nullptr) return false;
  const std::string_view id(text, strnlen(text, 64));
  return !id.empty() && id.size() <= 63 && std::all_of(id.begin(), id.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           also.find(c) != std::string_view::npos;
  });
}

constexpr std::string_view kClassIdAlso = "ABCDEFGHIJKLMNOPQRSTUVWXYZ._-";

template <class Class>
std::vector<Class> copyClasses(const void* raw, std::size_t least, const char* kind,
                               const std::string& name) {
  std::vector<Class> out;
  if (raw == nullptr) return out;
  const auto& factory = *static_cast<const hw_factory*>(raw);
  if (factory.struct_size < kFactorySize)
    throw LoadError(name + ": its " + kind + " factory has a wrong struct_size (" +
                    std::to_string(factory.struct_size) + ")");
  if (factory.count != 0 && factory.classes == nullptr)
    throw LoadError(name + ": its " + kind + " factory has no list of classes");
  for (std::uint32_t i = 0; i < factory.count; ++i) {
    const void* element = factory.classes[i];
    if (element == nullptr)
      throw LoadError(name + ": " + kind + " class " + std::to_string(i) + " is null");
    std::uint32_t size = 0;
    std::memcpy(&size, element, sizeof size);
    if (size < least)
      throw LoadError(name + ": " + kind + " class " + std::to_string(i) +
                      " has a wrong struct_size (" + std::to_string(size) + ", at least " +
                      std::to_string(least) + " is needed)");
    Class copy{};
    std::memcpy(&copy, element, std::min<std::size_t>(size, sizeof copy));
    if (!isId(copy.id, kClassIdAlso))
      throw LoadError(name + ": " + kind + " class " + std::to_string(i) +
                      " has no valid id ([A-Za-z0-9._-], 1 to 63 characters)");
    for (const Class& other : out)
      if (std::strcmp(other.id, copy.id) == 0)
        throw LoadError(name + ": " + kind + " class \"" + copy.id + "\" is there twice");
    out.push_back(copy);
  }
  return out;
}

void require(bool present, const std::string& name, const char* kind, const char* id,
             const char* function) {
  if (!present)
    throw LoadError(name + ": " + kind + " class \"" + id + "\" lacks the function " + function);
}

}  // namespace

void checkVersions(const ManifestVersions& versions, const std::string& name) {
  if (versions.magic != HW_PLUGIN_MAGIC)
    throw LoadError(name + ": its manifest has a wrong magic number; this is no hyperway plugin");
  const std::string host = abiVersion(HW_ABI_MAJOR, HW_ABI_MINOR);
  const std::string theirs = abiVersion(versions.abi_major, versions.abi_minor);
  if (versions.abi_major != HW_ABI_MAJOR)
    throw LoadError(name + ": built for plugin ABI " + theirs + ", this host serves " + host +
                    "; rebuild it with this host's headers");
  // Always false while the minor version is 0, and the compiler knows; hence the wider type.
  const unsigned host_minor = HW_ABI_MINOR;
  if (versions.abi_minor_needed > host_minor)
    throw LoadError(name + ": needs plugin ABI " +
                    abiVersion(versions.abi_major, versions.abi_minor_needed) +
                    " or newer, this host serves " + host + "; use a newer hyperway");
  if (versions.struct_size < kManifestSize)
    throw LoadError(name + ": its manifest has a wrong struct_size (" +
                    std::to_string(versions.struct_size) + ", at least " +
                    std::to_string(kManifestSize) + " is needed)");
}

void checkManifest(const hw_plugin_manifest& manifest, const std::string& name) {
  checkVersions({manifest.magic, manifest.struct_size, manifest.abi_major, manifest.abi_minor,
                 manifest.abi_minor_needed},
                name);
  if (!isId(manifest.id, ".-"))
    throw LoadError(name + ": its manifest has no valid id ([a-z0-9.-], 1 to 63 characters)");
  if (manifest.version == nullptr || *manifest.version == '\0')
    throw LoadError(name + ": its manifest has no version");
  if (manifest.init == nullptr || manifest.get_factory == nullptr)
    throw LoadError(name + ": its manifest lacks init or get_factory");
}

std::vector<hw_filter_class> filterClasses(const void* factory, const std::string& name) {
  auto classes = copyClasses<hw_filter_class>(factory, kFilterSize, "filter", name);
  for (hw_filter_class& one : classes) {
    if ((one.interest & ~kKnownInterest) != 0)
      throw LoadError(name + ": filter class \"" + one.id +
                      "\" asks for hooks that this host does not know; use a newer hyperway");
    require(one.config_create != nullptr, name, "filter", one.id, "config_create");
    require(one.stream_create == nullptr || one.stream_destroy != nullptr, name, "filter", one.id,
            "stream_destroy");
    const auto drop = [&one](std::uint32_t bit, bool present) {
      if (!present) one.interest &= ~bit;
    };
    drop(HW_HOOK_REQUEST_HEAD, one.on_request_head != nullptr);
    drop(HW_HOOK_REQUEST_BODY, one.on_request_body != nullptr);
    drop(HW_HOOK_REQUEST_TRAILERS, one.on_request_trailers != nullptr);
    drop(HW_HOOK_RESPONSE_HEAD, one.on_response_head != nullptr);
    drop(HW_HOOK_RESPONSE_BODY, one.on_response_body != nullptr);
    drop(HW_HOOK_RESPONSE_TRAILERS, one.on_response_trailers != nullptr);
  }
  return classes;
}

std::vector<hw_source_class> sourceClasses(const void* factory, const std::string& name) {
  auto classes = copyClasses<hw_source_class>(factory, kSourceSize, "source", name);
  for (const hw_source_class& one : classes) {
    require(one.create != nullptr, name, "source", one.id, "create");
    require(one.start != nullptr, name, "source", one.id, "start");
    require(one.stop != nullptr, name, "source", one.id, "stop");
    require(one.destroy != nullptr, name, "source", one.id, "destroy");
  }
  return classes;
}

std::vector<hw_sink_class> sinkClasses(const void* factory, const std::string& name) {
  auto classes = copyClasses<hw_sink_class>(factory, kSinkSize, "sink", name);
  for (const hw_sink_class& one : classes) {
    require(one.create != nullptr, name, "sink", one.id, "create");
    require(one.apply != nullptr, name, "sink", one.id, "apply");
    require(one.stop != nullptr, name, "sink", one.id, "stop");
    require(one.destroy != nullptr, name, "sink", one.id, "destroy");
  }
  return classes;
}

}  // namespace hyperway::plugin
