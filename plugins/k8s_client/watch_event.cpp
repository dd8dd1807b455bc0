// SPDX-License-Identifier: Apache-2.0
#include "k8s_client/watch_event.hpp"

#include <simdjson.h>

namespace hyperway::k8s_client {

namespace ondemand = simdjson::ondemand;

namespace {

WatchEvent::Type typeOf(std::string_view text) {
  using Type = WatchEvent::Type;
  if (text == "ADDED") return Type::Added;
  if (text == "MODIFIED") return Type::Modified;
  if (text == "DELETED") return Type::Deleted;
  if (text == "BOOKMARK") return Type::Bookmark;
  if (text == "ERROR") return Type::Failed;
  return Type::Invalid;
}

}  // namespace

struct WatchEventReader::Impl {
  ondemand::parser parser;
  ondemand::parser inner;
  std::string buffer;
  std::string part;

  // A member that may be absent. After any other error the object is not to be used again: the
  // parser has let go of it.
  static simdjson::simdjson_result<ondemand::value> find(ondemand::object& object,
                                                         std::string_view name) {
    auto found = object.find_field_unordered(name);
    if (found.error() != simdjson::SUCCESS && found.error() != simdjson::NO_SUCH_FIELD)
      throw simdjson::simdjson_error(found.error());
    return found;
  }

  // A bookmark's version, or a Status, out of the object.
  void readObject(WatchEvent& event) {
    part.reserve(event.object.size() + simdjson::SIMDJSON_PADDING);
    part.assign(event.object);
    ondemand::document document = inner.iterate(part).value();
    ondemand::object object = document.get_object().value();
    if (event.type == WatchEvent::Type::Bookmark) {
      const std::string_view version =
          object.find_field_unordered("metadata")["resourceVersion"].get_string().value();
      event.bookmark = version;
      return;
    }
    std::int64_t code = 0;
    if (find(object, "code").get_int64().get(code) == simdjson::SUCCESS)
      event.code = static_cast<int>(code);
    std::string_view message;
    if (find(object, "message").get_string().get(message) == simdjson::SUCCESS)
      event.message = message;
  }
};

WatchEventReader::WatchEventReader() : impl_(std::make_unique<Impl>()) {}
WatchEventReader::~WatchEventReader() = default;

WatchEvent WatchEventReader::read(std::string_view line) {
  WatchEvent event;
  impl_->buffer.reserve(line.size() + simdjson::SIMDJSON_PADDING);
  impl_->buffer.assign(line);
  try {
    ondemand::document document = impl_->parser.iterate(impl_->buffer).value();
    for (auto field : document.get_object()) {
      const std::string_view key = field.unescaped_key().value();
      ondemand::value value = field.value().value();
      if (key == "type") {
        event.type = typeOf(value.get_string().value());
      } else if (key == "object") {
        ondemand::object object = value.get_object().value();
        event.object = object.raw_json().value();
      }
    }
    const bool whole = document.current_location().error() == simdjson::OUT_OF_BOUNDS;
    if (!whole || event.object.empty()) event.type = WatchEvent::Type::Invalid;
    if (event.type == WatchEvent::Type::Bookmark || event.type == WatchEvent::Type::Failed)
      impl_->readObject(event);
    if (event.type == WatchEvent::Type::Invalid) event.message = "it is no watch event";
  } catch (const simdjson::simdjson_error& problem) {
    event.type = WatchEvent::Type::Invalid;
    event.message = problem.what();
  }
  return event;
}

}  // namespace hyperway::k8s_client
