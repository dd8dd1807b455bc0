// SPDX-License-Identifier: Apache-2.0
#include "locate.hpp"

#include <yaml.h>

#include <string>
#include <vector>

namespace hyperway::file_source {
namespace {

std::vector<std::string> tokensOf(std::string_view pointer) {
  std::vector<std::string> out;
  while (!pointer.empty()) {
    pointer.remove_prefix(1);  // '/'
    const std::string_view token = pointer.substr(0, pointer.find('/'));
    pointer.remove_prefix(token.size());
    std::string& text = out.emplace_back();
    for (std::size_t i = 0; i < token.size(); ++i) {
      if (token[i] == '~' && i + 1 < token.size())
        text += token[++i] == '1' ? '/' : '~';
      else
        text += token[i];
    }
  }
  return out;
}

struct Frame {
  bool mapping = false;
  bool want_key = true;
  std::size_t index = 0;  // of the next element
  std::string key;
  std::size_t matched = 0;  // tokens that lead to this node; meaningful if on_path
  bool on_path = false;
};

// Follows the events; remembers the deepest node on the pointer's path.
class Walker {
 public:
  explicit Walker(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {}

  void take(const yaml_event_t& event) {
    const std::size_t line = event.start_mark.line + 1;
    switch (event.type) {
      case YAML_MAPPING_START_EVENT: return open(true, line);
      case YAML_SEQUENCE_START_EVENT: return open(false, line);
      case YAML_MAPPING_END_EVENT:
      case YAML_SEQUENCE_END_EVENT: frames_.pop_back(); return;
      case YAML_SCALAR_EVENT:
        if (!frames_.empty() && frames_.back().mapping && frames_.back().want_key)
          return key(event, line);
        (void)child(line);
        return;
      case YAML_ALIAS_EVENT: (void)child(line); return;
      default: return;
    }
  }
  [[nodiscard]] std::size_t best() const { return best_; }

 private:
  // Steps to the next child of the innermost collection; true if it is on the path.
  bool child(std::size_t line) {
    if (frames_.empty()) return best_ = line, true;
    Frame& parent = frames_.back();
    const std::string step = parent.mapping ? parent.key : std::to_string(parent.index++);
    parent.want_key = true;
    if (!parent.on_path || parent.matched >= tokens_.size() || tokens_[parent.matched] != step)
      return false;
    // The key's line was noted already; an element's is its own.
    if (!parent.mapping && parent.matched + 1 > depth_) note(parent.matched + 1, line);
    return true;
  }

  void open(bool mapping, std::size_t line) {
    const std::size_t matched = frames_.empty() ? 0 : frames_.back().matched + 1;
    const bool on_path = child(line);
    frames_.push_back({mapping, true, 0, {}, matched, on_path});
  }

  void key(const yaml_event_t& event, std::size_t line) {
    Frame& frame = frames_.back();
    frame.key.assign(reinterpret_cast<const char*>(event.data.scalar.value),
                     event.data.scalar.length);
    frame.want_key = false;
    if (frame.on_path && frame.matched < tokens_.size() && tokens_[frame.matched] == frame.key)
      note(frame.matched + 1, line);
  }

  void note(std::size_t depth, std::size_t line) {
    if (depth <= depth_) return;
    depth_ = depth;
    best_ = line;
  }

  std::vector<std::string> tokens_;
  std::vector<Frame> frames_;
  std::size_t depth_ = 0;
  std::size_t best_ = 1;
};

}  // namespace

std::size_t locateLine(std::string_view document, std::string_view json_pointer) {
  Walker walker(tokensOf(json_pointer));
  yaml_parser_t parser;
  if (yaml_parser_initialize(&parser) != 1) return 1;
  yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&parser, reinterpret_cast<const unsigned char*>(document.data()),
                               document.size());
  for (bool more = true; more;) {
    yaml_event_t event;
    if (yaml_parser_parse(&parser, &event) != 1) break;
    walker.take(event);
    more = event.type != YAML_STREAM_END_EVENT;
    yaml_event_delete(&event);
  }
  yaml_parser_delete(&parser);
  return walker.best();
}

}  // namespace hyperway::file_source
