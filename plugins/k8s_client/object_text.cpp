// SPDX-License-Identifier: Apache-2.0
#include "k8s_client/object_text.hpp"

#include <simdjson.h>

#include <charconv>

namespace hyperway::k8s_client {

namespace ondemand = simdjson::ondemand;

namespace {

constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

// The name of a member between its quotes, as written.
std::string_view rawName(const char* begin) {
  const char* end = begin;
  while (*end != '"') end += *end == '\\' ? 2 : 1;
  return {begin, static_cast<std::size_t>(end - begin)};
}

// A string's raw JSON without quotes and escapes; identities have none.
std::string plainText(std::string_view raw) {
  if (raw.size() < 2 || raw.front() != '"' || raw.find('\\') != std::string_view::npos) return {};
  return std::string(raw.substr(1, raw.size() - 2));
}

}  // namespace

std::uint64_t versionOf(std::string_view resource_version) noexcept {
  std::uint64_t number = 0;
  const char* end = resource_version.data() + resource_version.size();
  const auto read = std::from_chars(resource_version.data(), end, number);
  return read.ec == std::errc{} && read.ptr == end ? number : 0;
}

struct ObjectText::Impl {
  ondemand::parser parser;
  ondemand::parser inner;
  std::string buffer;

  static void read(ondemand::object object, Parts& out) {
    for (auto item : object) {
      const std::string_view name = rawName(item.key().value().raw());
      ondemand::value value = item.value().value();
      out.emplace_back(name, simdjson::to_json_string(value).value());
    }
  }
  // A part that is read again needs a document of its own.
  void readAgain(std::string_view json, Parts& out) {
    // What follows a part in the buffer is its padding.
    const std::size_t room = buffer.data() + buffer.capacity() - json.data();
    ondemand::document document =
        inner.iterate(simdjson::padded_string_view(json.data(), json.size(), room)).value();
    read(document.get_object().value(), out);
  }
};

ObjectText::ObjectText() : impl_(std::make_unique<Impl>()) {}
ObjectText::~ObjectText() = default;

bool ObjectText::read(std::string_view json) {
  members_.clear();
  metadata_.clear();
  annotations_.clear();
  name_space_.clear();
  name_.clear();
  resource_version_.clear();
  uid_.clear();
  impl_->buffer.reserve(json.size() + simdjson::SIMDJSON_PADDING);
  impl_->buffer.assign(json);
  try {
    ondemand::document document = impl_->parser.iterate(impl_->buffer).value();
    impl_->read(document.get_object().value(), members_);
    // Reading on is out of bounds where the document has ended, as it must.
    if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) return false;
    const std::string_view metadata = member("metadata");
    if (metadata.empty()) return false;
    impl_->readAgain(metadata, metadata_);
    for (const auto& [name, value] : metadata_) {
      if (name == "name") name_ = plainText(value);
      if (name == "namespace") name_space_ = plainText(value);
      if (name == "resourceVersion") resource_version_ = plainText(value);
      if (name == "uid") uid_ = plainText(value);
      if (name == "annotations" && value.find(kLastApplied) != std::string_view::npos)
        impl_->readAgain(value, annotations_);
    }
  } catch (const simdjson::simdjson_error&) {
    return false;
  }
  return !name_.empty();
}

std::string_view ObjectText::member(std::string_view name) const noexcept {
  for (const auto& [key, value] : members_)
    if (key == name) return value;
  return {};
}

void ObjectText::appendSlim(std::string& out, std::string_view api_version, std::string_view kind,
                            bool keep_status) const {
  const auto append = [&out](std::string_view name, std::string_view raw) {
    if (out.back() != '{') out += ',';
    out += '"';
    out += name;
    out += "\":";
    out += raw;
  };
  ((out += R"({"apiVersion":")") += api_version) += R"(","kind":")";
  (out += kind) += R"(","metadata":{)";
  for (const auto& [name, value] : metadata_) {
    if (name == "managedFields") continue;
    if (name != "annotations" || annotations_.empty()) {
      append(name, value);
      continue;
    }
    append(name, "{");
    for (const auto& [key, text] : annotations_)
      if (key != kLastApplied) append(key, text);
    out += '}';
  }
  out += '}';
  for (const auto& [name, value] : members_) {
    if (name == "apiVersion" || name == "kind" || name == "metadata") continue;
    if (name == "status" && !keep_status) continue;
    append(name, value);
  }
  out += '}';
}

}  // namespace hyperway::k8s_client
