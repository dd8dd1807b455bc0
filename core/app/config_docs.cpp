// SPDX-License-Identifier: Apache-2.0
#include "app/config_keys.hpp"
#include "app/json_text.hpp"

namespace hyperway::app {
namespace {

constexpr const char* kDuration = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";

std::string schemaOf(const Key& key, const std::string& indent);

std::string objectSchema(const std::vector<Key>& members, const std::string& indent) {
  std::string out = "\"type\": [\"object\", \"null\"],\n" + indent +
                    "\"additionalProperties\": false,\n" + indent + "\"properties\": {\n";
  for (std::size_t i = 0; i < members.size(); ++i) {
    out += indent + "  " + jsonString(members[i].name) + ": " + schemaOf(members[i], indent + "  ");
    out += i + 1 < members.size() ? ",\n" : "\n";
  }
  return out + indent + '}';
}

std::string typeSchema(const Key& key, const std::string& indent) {
  switch (key.type) {
    case KeyType::Integer:
      return "\"type\": [\"integer\", \"null\"], \"minimum\": " + std::to_string(key.least) +
             ", \"maximum\": " + std::to_string(key.most);
    case KeyType::Boolean: return "\"type\": [\"boolean\", \"null\"]";
    case KeyType::Duration:
      return "\"type\": [\"string\", \"null\"], \"pattern\": " + jsonString(kDuration);
    case KeyType::Json: return "\"description\": \"Anything.\"";
    case KeyType::Object: return objectSchema(key.members, indent);
    case KeyType::List:
      return "\"type\": [\"array\", \"null\"], \"items\": " + schemaOf(key.members.front(), indent);
    case KeyType::OneOrMore: {
      const std::string one = schemaOf(key.members.front(), indent);
      return "\"oneOf\": [" + one + ", {\"type\": \"array\", \"items\": " + one + "}]";
    }
    case KeyType::Map:
      return "\"type\": [\"object\", \"null\"], \"additionalProperties\": " +
             schemaOf(key.members.front(), indent);
    default: break;
  }
  if (key.values.empty()) return "\"type\": [\"string\", \"null\"], \"minLength\": 1";
  std::string out = "\"enum\": [";
  for (const std::string& value : key.values) out += jsonString(value) + ", ";
  return out + "null]";
}

std::string schemaOf(const Key& key, const std::string& indent) {
  std::string out = "{";
  const std::string inner = indent + "  ";
  if (!key.name.empty()) {
    out += "\n" + inner + "\"description\": " +
           jsonString(key.help + (key.live ? " Live." : " Needs a restart.") +
                      (key.fallback.empty() ? "" : " Default: " + key.fallback + ".")) +
           ",\n" + inner;
    if (key.type == KeyType::Json) return out.substr(0, out.rfind(",\n")) + "\n" + indent + "}";
  }
  out += typeSchema(key, inner);
  return out + (key.name.empty() ? "}" : "\n" + indent + "}");
}

std::string typeText(const Key& key) {
  switch (key.type) {
    case KeyType::Integer: return "number";
    case KeyType::Boolean: return "true, false";
    case KeyType::Duration: return "duration";
    case KeyType::Path: return "path";
    case KeyType::Address: return "IP address";
    case KeyType::Endpoint: return "IP:port";
    case KeyType::Cidr: return "network";
    case KeyType::Json: return "anything";
    case KeyType::Object: return "mapping";
    case KeyType::List: return "list of " + typeText(key.members.front());
    case KeyType::OneOrMore: return typeText(key.members.front()) + ", or a list of them";
    case KeyType::Map: return "name: " + typeText(key.members.front());
    case KeyType::Text: break;
  }
  if (key.values.empty()) return "text";
  std::string out;
  for (const std::string& value : key.values) out += (out.empty() ? "`" : ", `") + value + '`';
  return out;
}

void addRows(const std::vector<Key>& keys, const std::string& prefix, std::string& out) {
  for (const Key& key : keys) {
    const std::string name = prefix + key.name;
    std::string range;
    if (key.type == KeyType::Integer)
      range = ", " + std::to_string(key.least) + ".." +
              (key.most == INT64_MAX ? std::string() : std::to_string(key.most));
    out += "| `" + name + "` | " + typeText(key) + range + " | " +
           (key.fallback.empty() ? "" : '`' + key.fallback + '`') + " | " +
           (key.live ? "live" : "restart") + " | " + key.help + " |\n";
    const Key* inner = &key;
    std::string suffix;
    while (inner->type == KeyType::List || inner->type == KeyType::Map) {
      suffix += inner->type == KeyType::List ? "[]" : ".*";
      inner = &inner->members.front();
    }
    if (inner->type == KeyType::Object) addRows(inner->members, name + suffix + '.', out);
  }
}

}  // namespace

std::string configSchema() {
  Key root{"", KeyType::Object, "", false, "", configKeys()};
  return "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
         "  \"title\": \"hyperway configuration file\",\n  " +
         objectSchema(root.members, "  ") + "\n}\n";
}

std::string configTable() {
  std::string out = "| Key | Takes | Default | Change | What it does |\n|---|---|---|---|---|\n";
  addRows(configKeys(), "", out);
  return out;
}

}  // namespace hyperway::app
