// SPDX-License-Identifier: Apache-2.0
#include "k8s_client/list_page.hpp"

#include <simdjson.h>

#include <cstring>

#include "k8s_client/api.hpp"

namespace hyperway::k8s_client {

namespace ondemand = simdjson::ondemand;

struct ListPageReader::Impl {
  ondemand::parser parser;
  std::string buffer;
};

ListPageReader::ListPageReader() : impl_(std::make_unique<Impl>()) {}
ListPageReader::~ListPageReader() = default;

std::string pagePath(const std::string& path, const std::string& next, int size) {
  const std::string limit = std::to_string(size);
  std::string out = withQuery(path, {{"limit", limit}});
  return next.empty() ? out : withQuery(std::move(out), {{"continue", next}});
}

bool ListPageReader::read(std::string_view body, ListPage& page,
                          const std::function<void(std::string_view object)>& each) {
  impl_->buffer.reserve(body.size() + simdjson::SIMDJSON_PADDING);
  impl_->buffer.assign(body);
  try {
    ondemand::document document = impl_->parser.iterate(impl_->buffer).value();
    bool is_list = false;
    for (auto field : document.get_object()) {
      const std::string_view key = field.unescaped_key().value();
      ondemand::value value = field.value().value();
      if (key == "apiVersion") {
        page.api_version = value.get_string().value();
      } else if (key == "metadata") {
        for (auto member : value.get_object()) {
          const std::string_view name = member.unescaped_key().value();
          if (name == "resourceVersion")
            page.resource_version = member.value().get_string().value();
          else if (name == "continue")
            page.next = member.value().get_string().value();
        }
      } else if (key == "items") {
        is_list = true;
        if (value.is_null()) continue;  // No objects, as older servers write it.
        for (auto item : value.get_array()) {
          ondemand::object object = item.get_object().value();
          each(object.raw_json().value());
        }
      }
    }
    if (is_list) return true;
    error_ = "the answer is no list";
  } catch (const simdjson::simdjson_error& problem) {
    error_ = std::string("the answer is no list: ") + problem.what();
  }
  return false;
}

}  // namespace hyperway::k8s_client
