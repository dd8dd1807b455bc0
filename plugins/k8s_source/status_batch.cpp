// SPDX-License-Identifier: Apache-2.0
#include "status_batch.hpp"

#include <simdjson.h>

namespace hyperway::k8s_source {

namespace ondemand = simdjson::ondemand;

bool readStatusBatch(std::string_view json,
                     const std::function<void(const StatusWriter::ObjectId& id,
                                              std::optional<std::string> status)>& each) {
  try {
    const simdjson::padded_string padded(json);
    ondemand::parser parser;
    ondemand::document document = parser.iterate(padded).value();
    ondemand::array elements = document.get_array().value();
    for (auto element : elements) {
      StatusWriter::ObjectId id;
      std::optional<std::string> status;
      ondemand::object object = element.get_object().value();
      for (auto field : object) {
        const std::string_view key = field.unescaped_key().value();
        ondemand::value value = field.value().value();
        if (key == "kind") id.kind = value.get_string().value();
        if (key == "namespace") id.name_space = value.get_string().value();
        if (key == "name") id.name = value.get_string().value();
        if (key == "status") {
          ondemand::object inner = value.get_object().value();
          status = std::string(inner.raw_json().value());
        }
      }
      if (!id.kind.empty() && !id.name.empty()) each(id, std::move(status));
    }
    return true;
  } catch (const simdjson::simdjson_error&) {
    return false;
  }
}

}  // namespace hyperway::k8s_source
