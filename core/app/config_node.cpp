// SPDX-License-Identifier: Apache-2.0
#include "app/config_node.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <sstream>

#include "app/json_text.hpp"

namespace hyperway::app {
namespace {

constexpr std::size_t kMaxDepth = 32;
constexpr std::size_t kMaxNodes = 100'000;

bool allDigits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

ConfigNode::Type typeOf(std::string_view text) {
  using Type = ConfigNode::Type;
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL")
    return Type::Null;
  if (text == "true" || text == "True" || text == "TRUE" || text == "false" || text == "False" ||
      text == "FALSE")
    return Type::Boolean;
  std::string_view digits = text;
  if (digits.front() == '-' || digits.front() == '+') digits.remove_prefix(1);
  if (allDigits(digits)) return Type::Integer;
  const std::size_t point = digits.find('.');
  if (point != std::string_view::npos && allDigits(digits.substr(0, point)) &&
      allDigits(digits.substr(point + 1)))
    return Type::Real;
  return Type::Text;
}

class Reader {
 public:
  Reader(const std::string& file, const std::string& config_dir,
         std::vector<ConfigProblem>& problems)
      : file_(file), config_dir_(config_dir), problems_(problems) {}

  ConfigNode read(const YAML::Node& node, std::size_t depth) {
    ConfigNode out;
    out.line = lineOf(node);
    if (too_large_) return out;  // an alias that holds itself has no end
    if (depth > kMaxDepth || ++count_ > kMaxNodes) {
      problem(out.line, "nested too deeply or too large for a configuration file");
      too_large_ = true;
      return out;
    }
    switch (node.Type()) {
      case YAML::NodeType::Scalar: readScalar(node, out); break;
      case YAML::NodeType::Sequence:
        out.type = ConfigNode::Type::List;
        for (const auto& item : node) {
          if (too_large_) break;
          out.items.push_back(read(item, depth + 1));
        }
        break;
      case YAML::NodeType::Map: readMap(node, depth, out); break;
      default: break;
    }
    return out;
  }

 private:
  static std::size_t lineOf(const YAML::Node& node) {
    return node.Mark().line < 0 ? 0 : static_cast<std::size_t>(node.Mark().line) + 1;
  }

  void problem(std::size_t line, std::string message) {
    problems_.push_back({file_, line, "", std::move(message), false});
  }

  void readScalar(const YAML::Node& node, ConfigNode& out) {
    out.text = node.Scalar();
    // yaml-cpp marks plain scalars with the tag "?", quoted ones with "!".
    out.type = node.Tag() == "?" || node.Tag().empty() ? typeOf(out.text) : ConfigNode::Type::Text;
    constexpr std::string_view kVariable = "${config_dir}";
    for (std::size_t at = out.text.find(kVariable); at != std::string::npos;
         at = out.text.find(kVariable, at + config_dir_.size()))
      out.text.replace(at, kVariable.size(), config_dir_);
  }

  void readMap(const YAML::Node& node, std::size_t depth, ConfigNode& out) {
    out.type = ConfigNode::Type::Map;
    for (const auto& member : node) {
      if (too_large_) return;
      if (!member.first.IsScalar()) {
        problem(lineOf(member.first), "a key must be a single value");
        continue;
      }
      ConfigNode::Member next{member.first.Scalar(), lineOf(member.first), {}};
      if (out.find(next.name) != nullptr)
        problem(next.line, "the key \"" + next.name + "\" occurs twice");
      next.value = read(member.second, depth + 1);
      if (next.value.line == 0) next.value.line = next.line;
      out.members.push_back(std::move(next));
    }
  }

  const std::string& file_;
  const std::string& config_dir_;
  std::vector<ConfigProblem>& problems_;
  std::size_t count_ = 0;
  bool too_large_ = false;
};

/// Looks at nothing: only the parser's progress counts.
class NoEvents final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

/// True if there is more than one document, or text behind the first that belongs to none.
/// YAML::LoadAll() never ends on such text (",b"): the parser gives empty documents for ever.
bool hasSecondDocument(const std::string& text) {
  std::istringstream in{text};
  YAML::Parser parser(in);
  NoEvents events;
  return parser.HandleNextDocument(events) && parser.HandleNextDocument(events);
}

}  // namespace

std::string ConfigProblem::text() const {
  std::string out = file;
  if (!file.empty() && line > 0) out += ':' + std::to_string(line);
  if (!out.empty()) out += ": ";
  if (warning) out += "warning: ";
  out += message;
  if (!pointer.empty()) out += " (at " + pointer + ")";
  return out;
}

const ConfigNode* ConfigNode::find(std::string_view name) const noexcept {
  for (const Member& member : members)
    if (member.name == name) return &member.value;
  return nullptr;
}

std::string ConfigNode::json() const {
  std::string out;
  switch (type) {
    case Type::Null: return "null";
    case Type::Boolean: return text.front() == 't' || text.front() == 'T' ? "true" : "false";
    case Type::Integer:
    case Type::Real: return jsonNumber(text);
    case Type::Text: return jsonString(text);
    case Type::List:
      out = "[";
      for (const ConfigNode& item : items) {
        if (out.size() > 1) out += ',';
        out += item.json();
      }
      return out + ']';
    case Type::Map:
      out = "{";
      for (const Member& member : members) {
        if (out.size() > 1) out += ',';
        out += jsonString(member.name) + ':' + member.value.json();
      }
      return out + '}';
  }
  return out;
}

ConfigNode parseConfigText(std::string_view text, const std::string& file,
                           const std::string& config_dir, std::vector<ConfigProblem>& problems) {
  ConfigNode empty;
  empty.type = ConfigNode::Type::Map;
  empty.line = 1;
  try {
    const std::string owned(text);
    if (hasSecondDocument(owned)) {
      problems.push_back({file, 0, "", "a configuration file is one YAML document", false});
      return empty;
    }
    const YAML::Node root = YAML::Load(owned);
    if (root.IsNull()) return empty;
    ConfigNode out = Reader(file, config_dir, problems).read(root, 0);
    if (out.type == ConfigNode::Type::Map) return out;
    problems.push_back({file, out.line, "", "a configuration file must be a mapping", false});
  } catch (const YAML::Exception& error) {
    const std::size_t line =
        error.mark.line < 0 ? 0 : static_cast<std::size_t>(error.mark.line) + 1;
    problems.push_back({file, line, "", "not valid YAML: " + error.msg, false});
  }
  return empty;
}

}  // namespace hyperway::app
