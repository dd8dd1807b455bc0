// SPDX-License-Identifier: Apache-2.0
#include "yaml_to_json.hpp"

#include <yaml.h>

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

#include "scalar.hpp"

namespace hyperway::file_source {
namespace {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

// What a node is to us; everything below metadata and beside it is only copied.
enum class Role { Other, Object, Metadata, Items };

// An object in the making: the root, or an element of its items.
struct Candidate {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t line = 0;
  std::size_t metadata_at = kNone;
  std::string api_version, kind, name_space, name;
  bool has_namespace = false, has_generation = false, has_created = false;
};

struct Frame {
  bool mapping = false;
  bool want_key = false;
  bool first = true;
  Role role = Role::Other;
  std::size_t candidate = kNone;  // Object: its own; Metadata: the object's
  std::size_t begin = 0;          // in the output, of this node
  std::size_t keys_begin = 0;     // in keys_
  std::size_t member_begin = 0;   // in the output, of the member being written, with its comma
  bool member_first = true;       // was `first` before that member
  std::string key;
  std::string anchor;
  std::unordered_set<std::string> many_keys;  // replaces the linear search once a mapping is large
};

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {
    ready_ = yaml_parser_initialize(&parser_) == 1;
    if (!ready_) return;
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
  }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;
  ~Parser() {
    if (ready_) yaml_parser_delete(&parser_);
  }
  bool next(yaml_event_t& event) { return ready_ && yaml_parser_parse(&parser_, &event) == 1; }
  YamlError problem() const {
    std::string message = parser_.problem != nullptr ? parser_.problem : "not readable";
    if (parser_.context != nullptr) message = std::string(parser_.context) + ": " + message;
    std::size_t line = parser_.problem_mark.line;
    if (parser_.error == YAML_READER_ERROR) {  // which has an offset only
      const std::string_view before = text_.substr(0, parser_.problem_offset);
      line = static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n'));
    }
    return {line + 1, "not valid YAML: " + message};
  }

 private:
  std::string_view text_;
  yaml_parser_t parser_{};
  bool ready_ = false;
};

std::string_view textOf(const yaml_char_t* text) {
  return text == nullptr ? std::string_view() : reinterpret_cast<const char*>(text);
}

// DNS-1123: what an API server lets through, so that keys never need escaping.
bool isName(std::string_view text, std::size_t most, std::string_view extra) {
  if (text.empty() || text.size() > most) return false;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    if (!plain && extra.find(c) == std::string_view::npos) return false;
  }
  return text.front() != '-' && text.back() != '-';
}

class Converter {
 public:
  explicit Converter(YamlError& error) : error_(error) {}

  bool run(std::string_view text) {
    Parser parser(text);
    for (;;) {
      yaml_event_t event;
      if (!parser.next(event)) {
        error_ = parser.problem();
        return false;
      }
      const bool last = event.type == YAML_STREAM_END_EVENT;
      const bool good = take(event);
      yaml_event_delete(&event);
      if (!good) return false;
      if (last) return true;
    }
  }

  bool finish(std::vector<YamlObject>& out) {
    if (candidates_.empty()) {
      if (out_.empty() || out_ == "null") return true;
      return failAt(1, "a manifest must be a mapping with apiVersion, kind and metadata");
    }
    const Candidate& root = candidates_.front();
    const bool list = root.kind == "List" || (has_items_ && root.kind.ends_with("List"));
    std::vector<YamlObject> found;
    for (std::size_t i = list ? 1 : 0; i < (list ? candidates_.size() : 1); ++i) {
      YamlObject object;
      if (!complete(candidates_[i], object)) return false;
      object.in_list = list;
      found.push_back(std::move(object));
    }
    for (YamlObject& object : found) out.push_back(std::move(object));
    return true;
  }

 private:
  bool failAt(std::size_t line, std::string message) {
    error_ = {line, std::move(message)};
    return false;
  }

  bool take(const yaml_event_t& event) {
    line_ = event.start_mark.line + 1;
    if (out_.size() > kMaxDocumentBytes)
      return failAt(line_, "the document is larger than 16 MiB once its aliases are expanded");
    switch (event.type) {
      case YAML_MAPPING_START_EVENT:
        return start(true, textOf(event.data.mapping_start.anchor),
                     textOf(event.data.mapping_start.tag));
      case YAML_SEQUENCE_START_EVENT:
        return start(false, textOf(event.data.sequence_start.anchor),
                     textOf(event.data.sequence_start.tag));
      case YAML_MAPPING_END_EVENT:
      case YAML_SEQUENCE_END_EVENT: return end();
      case YAML_SCALAR_EVENT: return scalar(event);
      case YAML_ALIAS_EVENT: return alias(textOf(event.data.alias.anchor));
      case YAML_DOCUMENT_START_EVENT:
        return !started_ || failAt(line_, "a second document without \"---\" in front of it");
      default: return true;
    }
  }

  // Writes what separates a value from the one before. False: the value is a mapping's key.
  void openValue() {
    if (frames_.empty()) return;
    Frame& frame = frames_.back();
    if (!frame.mapping) {
      if (!frame.first) out_ += ',';
      frame.first = false;
    } else {
      frame.want_key = true;
    }
  }

  bool start(bool mapping, std::string_view anchor, std::string_view tag) {
    started_ = true;
    if (!tag.empty() && tag != (mapping ? YAML_MAP_TAG : YAML_SEQ_TAG))
      return failAt(line_, "the tag " + std::string(tag) + " is not supported");
    if (frames_.size() >= kMaxDepth) return failAt(line_, "nested more than 64 levels deep");
    if (!frames_.empty() && frames_.back().want_key)
      return failAt(line_, "a mapping key must be a scalar");
    Frame frame;
    frame.mapping = frame.want_key = mapping;
    frame.anchor = anchor;
    assignRole(frame);
    openValue();
    frame.begin = out_.size();
    frame.keys_begin = keys_.size();
    if (frame.role == Role::Object) {
      candidates_.emplace_back();
      candidates_.back().begin = frame.begin;
      candidates_.back().line = line_;
      frame.candidate = candidates_.size() - 1;
    }
    out_ += mapping ? '{' : '[';
    if (frame.role == Role::Metadata) candidates_[frame.candidate].metadata_at = out_.size();
    if (frame.role == Role::Items) has_items_ = true;
    frames_.push_back(std::move(frame));
    return true;
  }

  void assignRole(Frame& frame) const {
    if (frames_.empty()) {
      frame.role = frame.mapping ? Role::Object : Role::Other;
      return;
    }
    const Frame& parent = frames_.back();
    if (parent.role == Role::Items && frame.mapping) {
      frame.role = Role::Object;
    } else if (parent.role == Role::Object && frame.mapping && parent.key == "metadata") {
      frame.role = Role::Metadata;
      frame.candidate = parent.candidate;
    } else if (parent.role == Role::Object && frames_.size() == 1 && !frame.mapping &&
               parent.key == "items") {
      frame.role = Role::Items;
    }
  }

  bool end() {
    Frame& frame = frames_.back();
    out_ += frame.mapping ? '}' : ']';
    if (frame.role == Role::Object) candidates_[frame.candidate].end = out_.size();
    remember(frame.anchor, frame.begin);
    keys_.resize(frame.keys_begin);
    frames_.pop_back();
    return !namesObject() || failAt(line_, frames_.back().key + " must be a text");
  }

  void remember(std::string_view anchor, std::size_t begin) {
    if (!anchor.empty()) anchors_[std::string(anchor)] = {begin, out_.size()};
  }

  bool scalar(const yaml_event_t& event) {
    started_ = true;
    const auto& data = event.data.scalar;
    const std::string_view text(reinterpret_cast<const char*>(data.value), data.length);
    if (!frames_.empty() && frames_.back().want_key)
      return key(text, data.style == YAML_PLAIN_SCALAR_STYLE);
    ScalarType type = ScalarType::String;
    if (!typeOf(event, text, type)) return false;
    if (type == ScalarType::Null && !frames_.empty() && frames_.back().mapping)
      return dropMember(data.anchor);
    if (type != ScalarType::String && namesObject()) return failNoText(text);
    openValue();
    const std::size_t begin = out_.size();
    appendScalar(out_, type, text);
    remember(textOf(data.anchor), begin);
    if (!frames_.empty() && frames_.back().candidate != kNone) note(frames_.back(), text);
    return true;
  }

  bool typeOf(const yaml_event_t& event, std::string_view text, ScalarType& type) {
    const auto& data = event.data.scalar;
    const std::string_view tag = textOf(data.tag);
    if (tag.empty() || tag == "!") {
      if (tag.empty() && data.style == YAML_PLAIN_SCALAR_STYLE) type = resolveScalar(text);
    } else if (tag == YAML_NULL_TAG || tag == YAML_BOOL_TAG || tag == YAML_INT_TAG ||
               tag == YAML_FLOAT_TAG) {
      type = resolveScalar(text);
      const ScalarType wanted = tag == YAML_NULL_TAG   ? ScalarType::Null
                                : tag == YAML_BOOL_TAG ? ScalarType::Boolean
                                : tag == YAML_INT_TAG  ? ScalarType::Integer
                                                       : ScalarType::Real;
      const bool whole_real = wanted == ScalarType::Real && type == ScalarType::Integer;
      if (type != wanted && !whole_real)
        return failAt(line_,
                      '"' + std::string(text) + "\" does not fit its tag " + std::string(tag));
    } else if (tag != YAML_STR_TAG) {
      return failAt(line_, "the tag " + std::string(tag) + " is not supported");
    }
    if (type == ScalarType::NotFinite) return failAt(line_, "infinity and NaN have no JSON form");
    return true;
  }

  // An API server prunes null members of these types; so they never reach the translator.
  bool dropMember(const yaml_char_t* anchor) {
    Frame& frame = frames_.back();
    out_.resize(frame.member_begin);
    frame.first = frame.member_first;
    frame.want_key = true;
    if (anchor != nullptr) return failAt(line_, "an anchor on an empty value is not supported");
    return true;
  }

  bool key(std::string_view text, bool plain) {
    Frame& frame = frames_.back();
    if (plain && text == "<<")
      return failAt(line_, "merge keys (<<) are not part of YAML 1.2 and not supported");
    if (!unique(frame, text))
      return failAt(line_, "the key \"" + std::string(text) + "\" occurs twice");
    frame.member_begin = out_.size();
    frame.member_first = frame.first;
    if (!frame.first) out_ += ',';
    frame.first = false;
    appendString(out_, text);
    out_ += ':';
    frame.want_key = false;
    frame.key = text;
    return true;
  }

  // Most mappings have a handful of keys; the set is for those that would make this quadratic.
  bool unique(Frame& frame, std::string_view text) {
    constexpr std::size_t kFew = 16;
    const std::size_t count = keys_.size() - frame.keys_begin;
    if (!frame.many_keys.empty()) return frame.many_keys.emplace(text).second;
    for (std::size_t i = frame.keys_begin; i < keys_.size(); ++i)
      if (keys_[i] == text) return false;
    keys_.emplace_back(text);
    if (count >= kFew)
      frame.many_keys.insert(keys_.begin() + static_cast<std::ptrdiff_t>(frame.keys_begin),
                             keys_.end());
    return true;
  }

  bool alias(std::string_view anchor) {
    const auto found = anchors_.find(std::string(anchor));
    if (found == anchors_.end()) return failAt(line_, "unknown alias *" + std::string(anchor));
    if (frames_.empty() || frames_.back().want_key)
      return failAt(line_, "an alias cannot stand for a mapping key");
    const Frame& frame = frames_.back();
    if (frame.role == Role::Items || (frame.role == Role::Object && frame.key == "metadata"))
      return failAt(line_, "an alias cannot stand for a whole object or its metadata");
    openValue();
    const auto [begin, end] = found->second;
    if (out_[begin] != '"' && namesObject()) return failNoText(out_.substr(begin, end - begin));
    if (out_.size() + (end - begin) > kMaxDocumentBytes)
      return failAt(line_, "the document is larger than 16 MiB once its aliases are expanded");
    const std::string copy = out_.substr(begin, end - begin);
    out_ += copy;
    if (frame.candidate != kNone && copy.starts_with('"'))
      note(frame, copy.substr(1, copy.size() - 2));
    return true;
  }

  // True for a member that tells which object it is: the host refuses what has no text there.
  bool namesObject() const {
    if (frames_.empty()) return false;
    const Frame& frame = frames_.back();
    if (frame.role == Role::Object) return frame.key == "apiVersion" || frame.key == "kind";
    return frame.role == Role::Metadata && (frame.key == "name" || frame.key == "namespace");
  }

  bool failNoText(std::string_view value) {
    return failAt(line_,
                  frames_.back().key + " must be a text: put " + std::string(value) + " in quotes");
  }

  // A scalar member of an object or its metadata.
  void note(const Frame& frame, std::string_view text) {
    Candidate& object = candidates_[frame.candidate];
    if (frame.role == Role::Object) {
      if (frame.key == "apiVersion") object.api_version = text;
      if (frame.key == "kind") object.kind = text;
    } else if (frame.role == Role::Metadata) {
      if (frame.key == "name") object.name = text;
      if (frame.key == "namespace") object.name_space = text, object.has_namespace = true;
      if (frame.key == "generation") object.has_generation = true;
      if (frame.key == "creationTimestamp") object.has_created = true;
    }
  }

  bool complete(const Candidate& from, YamlObject& object) {
    if (from.api_version.empty())
      return failAt(from.line, "apiVersion is missing: this is no Kubernetes object");
    if (from.kind.empty())
      return failAt(from.line, "kind is missing: this is no Kubernetes object");
    if (from.name.empty())
      return failAt(from.line, from.kind + ": metadata.name is missing" +
                                   (from.metadata_at == kNone ? "" : " or empty"));
    // A bundle of a signer has its name, with ':' for '/', in front.
    if (!isName(from.name, 253, from.kind == "ClusterTrustBundle" ? ".:" : "."))
      return failAt(from.line,
                    from.kind + ": metadata.name \"" + from.name +
                        "\" is no DNS-1123 name: lower-case letters, digits, '-' and '.' only");
    if (from.has_namespace && !isName(from.name_space, 63, ""))
      return failAt(from.line,
                    from.kind + ": metadata.namespace \"" + from.name_space +
                        "\" is no DNS-1123 label: lower-case letters, digits and '-' only");
    const std::size_t slash = from.api_version.find('/');
    if (slash != std::string::npos) object.group = from.api_version.substr(0, slash);
    object.kind = from.kind;
    object.name = from.name;
    object.has_namespace = from.has_namespace;
    if (!isClusterScoped(object.group, object.kind))
      object.name_space = from.name_space.empty() ? "default" : from.name_space;
    object.json = out_.substr(from.begin, from.end - from.begin);
    object.metadata_at = from.metadata_at - from.begin;
    object.has_generation = from.has_generation;
    object.has_created = from.has_created;
    object.line = from.line;
    return true;
  }

  YamlError& error_;
  std::string out_;
  std::size_t line_ = 1;
  bool started_ = false;
  bool has_items_ = false;
  std::vector<Frame> frames_;
  std::vector<std::string> keys_;
  std::vector<Candidate> candidates_;
  std::map<std::string, std::pair<std::size_t, std::size_t>> anchors_;
};

}  // namespace

bool convertDocument(std::string_view text, std::vector<YamlObject>& out, YamlError& error) {
  Converter converter(error);
  return converter.run(text) && converter.finish(out);
}

bool isClusterScoped(std::string_view group, std::string_view kind) noexcept {
  return (group == "gateway.networking.k8s.io" && kind == "GatewayClass") ||
         (group == "certificates.k8s.io" && kind == "ClusterTrustBundle") ||
         (group.empty() && kind == "Namespace");
}

}  // namespace hyperway::file_source
