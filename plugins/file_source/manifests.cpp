// SPDX-License-Identifier: Apache-2.0
#include "manifests.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <set>
#include <span>
#include <utility>

#include "ahead.hpp"

namespace hyperway::file_source {
namespace {

struct FileState;

// One object, whoever defines it.
struct Entry {
  std::string key;
  ObjectId id;
  std::int64_t generation = 0;
  std::uint64_t content = 0;  // hash of the JSON as written, without what we add
  bool told = false;          // an upsert of it was taken
  FileState* owner =
      nullptr;  // null: gone, kept until changes are taken so that the generation goes on
  std::vector<FileState*> shadowed;  // define it too, and do not count
};

struct Definition {
  Entry* entry = nullptr;
  std::size_t line = 0;  // in its document
  bool counts = false;  // was the object's definition when it was read; a rival may have come since
};

// An object that has no effect, or not the one intended.
struct Remark {
  std::size_t line = 0;  // in its document
  std::string message;
};

// A document as last seen.
struct DocumentState {
  std::uint64_t hash = 0;
  std::size_t size = 0;
  std::size_t first_line = 0;
  bool in_list = false;
  std::vector<Definition> defined;
  std::vector<Remark> remarks;
  std::size_t error_line = 0;  // in the document
  std::string error;
};

struct FileState {
  std::string path;
  std::vector<DocumentState> documents;
  std::vector<DocumentState> held;  // of a broken file: no longer in it, still in force
  std::string unreadable;
  bool parse_all = false;
  bool duplicates = false;  // it defines an object twice
};

// Kinds of groups that are ours to read. A misspelt one would otherwise have no effect without a
// word.
std::string unknownKind(const YamlObject& object) {
  constexpr std::string_view kGateway[] = {
      "GatewayClass", "Gateway",  "HTTPRoute",      "GRPCRoute",        "TLSRoute",
      "TCPRoute",     "UDPRoute", "ReferenceGrant", "BackendTLSPolicy", "ListenerSet"};
  constexpr std::string_view kOurs[] = {"Filter", "RouteSnapshot"};
  std::span<const std::string_view> known;
  if (object.group == "gateway.networking.k8s.io") known = kGateway;
  if (object.group == "hyperway.arloor.dev") known = kOurs;
  if (known.empty() || std::find(known.begin(), known.end(), object.kind) != known.end()) return {};
  std::string names;
  for (const std::string_view name : known)
    names += (names.empty() ? "" : ", ") + std::string(name);
  return object.kind + " is no kind of " + object.group + "; known are " + names;
}

// Groups that anything of ours reads; a Deployment beside its Service is none of our business.
bool isRelevant(const YamlObject& object) {
  if (object.group == "gateway.networking.k8s.io" ||
      object.group == "gateway.networking.x-k8s.io" || object.group == "hyperway.arloor.dev")
    return true;
  if (object.group == "discovery.k8s.io") return object.kind == "EndpointSlice";
  if (object.group == "certificates.k8s.io") return object.kind == "ClusterTrustBundle";
  return object.group.empty() && (object.kind == "Service" || object.kind == "Secret" ||
                                  object.kind == "ConfigMap" || object.kind == "Namespace");
}

std::string keyOf(const YamlObject& object) {
  return object.group + '|' + object.kind + '/' + object.name_space + '/' + object.name;
}

// Adds what an API server would have set. All objects get one constant time: the tie is then broken
// by name, as the Gateway API says, and an edit of one file moves no other object.
std::string completed(const YamlObject& object, std::int64_t generation) {
  std::string added;
  if (!object.has_namespace && !object.name_space.empty())
    added += "\"namespace\":\"" + object.name_space + "\",";
  if (!object.has_generation) added += "\"generation\":" + std::to_string(generation) + ',';
  if (!object.has_created) added += "\"creationTimestamp\":\"1970-01-01T00:00:00Z\",";
  std::string out;
  out.reserve(object.json.size() + added.size());
  out.append(object.json, 0, object.metadata_at);
  out += added;
  out.append(object.json, object.metadata_at);
  return out;
}

Conversion convert(std::string_view text, const Document& document) {
  Conversion out;
  out.good = convertDocument(text.substr(document.offset, document.size), out.objects, out.error);
  return out;
}

// The conversions of documents, given one by one in the order in which they were asked for.
using Conversions = std::function<Conversion()>;
using Convert = std::function<Conversions(std::vector<std::size_t> wanted)>;

}  // namespace

struct Manifests::State {
  std::map<std::string, std::unique_ptr<FileState>> files;
  std::unordered_map<std::string, Entry> entries;
  std::map<Entry*, std::string> upserted;  // JSON; removals are entries in `touched` without owner
  std::set<Entry*> touched;
  std::set<std::string> reloads;
  std::set<std::string>
      troubled;  // paths of files with a problem: looking at all would cost an edit its speed

  FileState& file(const std::string& path) {
    auto& slot = files[path];
    if (!slot) {
      slot = std::make_unique<FileState>();
      slot->path = path;
    }
    return *slot;
  }

  void withdraw(FileState& from, const Definition& definition) {
    Entry& entry = *definition.entry;
    if (definition.counts && entry.owner == &from) {
      entry.owner = nullptr;
      touched.insert(&entry);
      return;
    }
    const auto found = std::find(entry.shadowed.begin(), entry.shadowed.end(), &from);
    if (found != entry.shadowed.end()) entry.shadowed.erase(found);
  }

  // What was about to be told as removed is there again, unchanged.
  void restore(Entry& entry) {
    if (!upserted.contains(&entry)) touched.erase(&entry);
  }

  Definition define(FileState& by, const YamlObject& object, DocumentState& document) {
    const std::string key = keyOf(object);
    Entry& entry = entries[key];
    if (entry.key.empty()) {
      entry.key = key;
      entry.id = {object.group, object.kind, object.name_space, object.name};
    }
    if (entry.owner != nullptr && (entry.owner == &by || entry.owner->path < by.path)) {
      document.remarks.push_back({object.line, object.kind + ' ' + object.name_space +
                                                   (object.name_space.empty() ? "" : "/") +
                                                   object.name + " is defined already in " +
                                                   entry.owner->path + "; this one is not used"});
      entry.shadowed.push_back(&by);
      if (entry.owner == &by) by.duplicates = true;
      return {&entry, object.line, false};
    }
    if (entry.owner != nullptr) {
      // An earlier path comes late: it wins, as it would after a restart. Its rival is told when it
      // is read again.
      entry.shadowed.push_back(entry.owner);
      reloads.insert(entry.owner->path);
      entry.owner->parse_all = true;
    }
    entry.owner = &by;
    const std::uint64_t content = hashText(object.json);
    if (entry.generation != 0 && entry.content == content) {
      restore(entry);
    } else {
      entry.content = content;
      ++entry.generation;
      touched.insert(&entry);
      upserted[&entry] = completed(object, entry.generation);
    }
    return {&entry, object.line, true};
  }

  DocumentState read(FileState& file, const Document& document, const Conversion& conversion) {
    DocumentState state;
    state.hash = document.hash;
    state.size = document.size;
    state.first_line = document.first_line;
    if (!conversion.good) {
      state.error_line = conversion.error.line;
      state.error = conversion.error.message;
      return state;
    }
    for (const YamlObject& object : conversion.objects) {
      state.in_list = object.in_list;
      if (std::string unknown = unknownKind(object); !unknown.empty())
        state.remarks.push_back({object.line, std::move(unknown)});
      if (isRelevant(object))
        state.defined.push_back(define(file, object, state));
      else
        state.defined.push_back(
            {nullptr, object.line, false});  // keeps the index of List items right
    }
    return state;
  }

  void withdrawAll(FileState& file, const std::vector<DocumentState>& documents) {
    for (const DocumentState& document : documents)
      for (const Definition& definition : document.defined)
        if (definition.entry != nullptr) withdraw(file, definition);
  }

  // Last good state: objects that a broken file no longer shows are taken back from the brink.
  void hold(FileState& file, std::vector<DocumentState>& gone) {
    for (DocumentState& document : gone) {
      std::vector<Definition> kept;
      for (const Definition& definition : document.defined) {
        if (!definition.counts || definition.entry->owner != nullptr) continue;
        definition.entry->owner = &file;
        restore(*definition.entry);
        kept.push_back(definition);
      }
      if (kept.empty()) continue;
      DocumentState& held = file.held.emplace_back();
      held.defined =
          std::move(kept);  // its hash matches nothing: only a whole file tells what it has become
    }
  }

  // Objects that nobody owns any more but somebody else still defines must be read from there.
  void wakeShadows(const std::vector<DocumentState>& documents) {
    for (const DocumentState& document : documents)
      for (const Definition& definition : document.defined)
        if (definition.entry != nullptr && definition.entry->owner == nullptr)
          for (FileState* other : definition.entry->shadowed) {
            other->parse_all = true;
            reloads.insert(other->path);
          }
  }

  void load(const std::string& path, const std::vector<Document>& found, const Convert& convert) {
    FileState& file = this->file(path);
    file.unreadable.clear();
    std::vector<DocumentState>& documents = file.documents;
    const bool fresh = std::exchange(file.parse_all, false);
    const bool whole = fresh || documents.empty();
    if (whole) file.duplicates = false;
    const auto same = [](const DocumentState& old, const Document& now) {
      return old.hash == now.hash && old.size == now.size;
    };
    // What did not change in front of and behind an edit stays where it is.
    const std::size_t shared = fresh ? 0 : std::min(documents.size(), found.size());
    std::size_t front = 0;
    while (front < shared && same(documents[front], found[front])) ++front;
    std::size_t back = 0;
    while (back < shared - front &&
           same(documents[documents.size() - 1 - back], found[found.size() - 1 - back]))
      ++back;

    const auto old_begin = documents.begin() + static_cast<std::ptrdiff_t>(front);
    const auto old_end = documents.end() - static_cast<std::ptrdiff_t>(back);
    std::vector<DocumentState> gone(std::make_move_iterator(old_begin),
                                    std::make_move_iterator(old_end));
    for (DocumentState& document : std::exchange(file.held, {}))
      gone.push_back(std::move(document));
    std::vector<DocumentState> middle(found.size() - front - back);
    std::vector<bool> reused(middle.size(), false);
    if (!fresh) {
      std::unordered_multimap<std::uint64_t, std::size_t> left;
      for (std::size_t i = 0; i < gone.size(); ++i) left.emplace(gone[i].hash, i);
      std::vector<bool> used(gone.size(), false);
      for (std::size_t i = 0; i < middle.size(); ++i) {
        const auto match = left.find(found[front + i].hash);
        if (match == left.end() || !same(gone[match->second], found[front + i])) continue;
        middle[i] = std::move(gone[match->second]);
        reused[i] = used[match->second] = true;
        left.erase(match);
      }
      std::size_t at = 0;
      std::erase_if(gone, [&](const DocumentState&) { return used[at++]; });
    }
    // Withdrawn first, so that the new form of an object does not take itself for a duplicate.
    withdrawAll(file, gone);
    std::vector<std::size_t> wanted;
    for (std::size_t i = 0; i < middle.size(); ++i)
      if (!reused[i]) wanted.push_back(front + i);
    if (!wanted.empty()) {
      const Conversions next = convert(wanted);
      for (const std::size_t index : wanted)
        middle[index - front] = read(file, found[index], next());
    }
    // In place as far as it goes: behind an edit there may be thousands that would move twice.
    const auto in_place = std::min(old_end - old_begin, std::ssize(middle));
    const auto split = middle.begin() + in_place;
    const auto into = std::move(middle.begin(), split, old_begin);
    if (into != old_end)
      documents.erase(into, old_end);
    else
      documents.insert(into, std::make_move_iterator(split), std::make_move_iterator(middle.end()));
    // Which of two definitions is the first is seen only if all are looked at in order.
    if (!whole && file.duplicates && !(middle.empty() && gone.empty())) {
      file.parse_all = true;
      reloads.insert(path);
    }
    bool broken = false;
    bool remarks = false;
    for (std::size_t i = 0; i < documents.size(); ++i) {
      documents[i].first_line = found[i].first_line;
      broken = broken || !documents[i].error.empty();
      remarks = remarks || !documents[i].remarks.empty();
    }
    if (broken || remarks)
      troubled.insert(path);
    else
      troubled.erase(path);
    if (broken)
      hold(file, gone);
    else
      wakeShadows(gone);
  }
};

Manifests::Manifests() : state_(std::make_unique<State>()) {}
Manifests::~Manifests() = default;

ConvertedFile convertFile(std::string_view text) {
  ConvertedFile out{splitDocuments(text), {}};
  out.conversions.reserve(out.documents.size());
  for (const Document& document : out.documents) out.conversions.push_back(convert(text, document));
  return out;
}

void Manifests::load(const std::string& path, std::string_view text) {
  const std::vector<Document> found = splitDocuments(text);
  state_->load(path, found, [&](std::vector<std::size_t> wanted) -> Conversions {
    const std::size_t count = wanted.size();
    const auto work = [text, &found, wanted = std::move(wanted)](std::size_t index) {
      return convert(text, found[wanted[index]]);
    };
    const auto ahead =
        std::make_shared<Ahead<Conversion>>(count, work, Ahead<Conversion>::helpersFor(count));
    return [ahead] { return ahead->take(); };
  });
}

void Manifests::load(const std::string& path, ConvertedFile file) {
  state_->load(path, file.documents, [&](std::vector<std::size_t> wanted) -> Conversions {
    return [&file, wanted = std::move(wanted), next = std::size_t{0}]() mutable {
      return std::move(file.conversions[wanted[next++]]);
    };
  });
}

void Manifests::fail(const std::string& path, std::string reason) {
  state_->file(path).unreadable = std::move(reason);
  state_->troubled.insert(path);
}

void Manifests::remove(const std::string& path) {
  const auto found = state_->files.find(path);
  if (found == state_->files.end()) return;
  FileState& file = *found->second;
  state_->withdrawAll(file, file.documents);
  state_->withdrawAll(file, file.held);
  state_->wakeShadows(file.documents);
  state_->wakeShadows(file.held);
  state_->reloads.erase(path);
  state_->troubled.erase(path);
  state_->files.erase(found);
}

std::vector<std::string> Manifests::paths() const {
  std::vector<std::string> out;
  for (const auto& [path, file] : state_->files) out.push_back(path);
  return out;
}

std::vector<std::string> Manifests::takeReloads() {
  std::vector<std::string> out(state_->reloads.begin(), state_->reloads.end());
  state_->reloads.clear();
  return out;
}

Changes Manifests::takeChanges() {
  // By key, so that the same files always give the same batch.
  std::vector<Entry*> order(state_->touched.begin(), state_->touched.end());
  std::sort(order.begin(), order.end(),
            [](const Entry* a, const Entry* b) { return a->key < b->key; });
  Changes out;
  for (Entry* entry : order) {
    if (entry->owner != nullptr) {
      out.upserts.push_back(std::move(state_->upserted[entry]));
      entry->told = true;
      continue;
    }
    if (entry->told) out.removals.push_back(entry->id);
    entry->content = 0;
    entry->told = false;
    if (entry->shadowed.empty()) state_->entries.erase(std::string(entry->key));
  }
  state_->touched.clear();
  state_->upserted.clear();
  return out;
}

std::vector<FileProblem> Manifests::problems() const {
  std::vector<FileProblem> out;
  for (const std::string& path : state_->troubled) {
    const auto& file = state_->files.at(path);
    if (!file->unreadable.empty()) out.push_back({path, 0, file->unreadable});
    for (const DocumentState& document : file->documents) {
      const std::size_t before = document.first_line - 1;
      for (const Remark& remark : document.remarks)
        out.push_back({path, before + remark.line, remark.message});
      if (!document.error.empty())
        out.push_back({path, before + document.error_line, document.error});
    }
  }
  return out;
}

std::size_t Manifests::size() const noexcept {
  std::size_t count = 0;
  for (const auto& [key, entry] : state_->entries)
    if (entry.owner != nullptr) ++count;
  return count;
}

Manifests::Origin Manifests::origin(std::string_view kind_namespace_name) const {
  for (const auto& [key, entry] : state_->entries) {
    if (entry.owner == nullptr || !std::string_view(key).ends_with(kind_namespace_name)) continue;
    if (key[key.size() - kind_namespace_name.size() - 1] != '|') continue;
    const auto& documents = entry.owner->documents;
    for (std::size_t d = 0; d < documents.size(); ++d)
      for (std::size_t i = 0; i < documents[d].defined.size(); ++i)
        if (documents[d].defined[i].entry == &entry)
          return {entry.owner->path, d, i, documents[d].in_list,
                  documents[d].first_line + documents[d].defined[i].line - 1};
    return {entry.owner->path, 0, 0, false, 0};
  }
  return {};
}

}  // namespace hyperway::file_source
