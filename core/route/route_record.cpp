// SPDX-License-Identifier: Apache-2.0
#include "route/route_record.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "route/filter_compile.hpp"

namespace hyperway::route {

std::uint32_t ListenerNumbers::acquire(const std::string& key) {
  const auto known = by_key_.find(key);
  if (known != by_key_.end()) {
    ++entries_[known->second].users;
    return known->second;
  }
  std::uint32_t number = static_cast<std::uint32_t>(entries_.size());
  if (free_.empty()) {
    entries_.push_back({key, 1});
  } else {
    number = free_.back();
    free_.pop_back();
    entries_[number] = {key, 1};
  }
  by_key_.emplace(key, number);
  return number;
}

void ListenerNumbers::release(std::uint32_t number) {
  Entry& entry = entries_[number];
  if (--entry.users > 0) return;
  by_key_.erase(entry.key);
  entry.key.clear();
  free_.push_back(number);
}

namespace {

std::string backendName(const Backend& backend) {
  return fmt::format("{}/{}:{}", backend.name_space, backend.name, backend.port);
}

/// What a rule is found by. Those of flows are found by their hosts alone.
const std::vector<Match>& matchesOf(const Route& route, const Rule& rule) {
  static const std::vector<Match> kAll(1);
  return isFlow(route.kind) ? kAll : rule.matches;
}

/// Two routes of different kinds may have the same name.
std::string idOf(const Route& route, const Rule& rule) {
  return route.kind == RouteKind::Http ? rule.id
                                       : std::string(kindText(route.kind)) + '/' + rule.id;
}

RuleInfo infoOf(const Route& route, const Rule& rule) {
  RuleInfo info;
  info.id = idOf(route, rule);
  info.name = rule.name;
  info.filters.reserve(rule.filters.size());
  for (const Filter& filter : rule.filters) {
    info.filters.push_back({filter.type, filter.owner, filter.refused});
  }
  return info;
}

/// Host lists of a route, each distinct one once: most routes have the same at all their listeners.
struct PackedAttachments {
  std::vector<std::string> lists;
  std::vector<std::pair<std::uint32_t, std::size_t>> at;  // listener number, index of its list
};

/// A route may name a listener in two parentRefs; their hostnames are united, or its matches would
/// be there twice.
PackedAttachments packAttachments(const Route& route, ListenerNumbers& numbers) {
  std::vector<std::pair<const std::string*, std::vector<std::string_view>>> merged;
  for (const Attachment& attachment : route.attachments) {
    auto known = std::find_if(merged.begin(), merged.end(),
                              [&](const auto& each) { return *each.first == attachment.listener; });
    if (known == merged.end()) {
      known = merged.insert(merged.end(), {&attachment.listener, {}});
    }
    known->second.insert(known->second.end(), attachment.hostnames.begin(),
                         attachment.hostnames.end());
  }
  PackedAttachments out;
  for (auto& [listener, hosts] : merged) {
    std::sort(hosts.begin(), hosts.end());
    hosts.erase(std::unique(hosts.begin(), hosts.end()), hosts.end());
    PackedWriter writer;
    for (const std::string_view host : hosts) writer.text(host);
    std::string list = writer.take();
    const auto same = std::find(out.lists.begin(), out.lists.end(), list);
    out.at.emplace_back(numbers.acquire(*listener),
                        static_cast<std::size_t>(same - out.lists.begin()));
    if (same == out.lists.end()) out.lists.push_back(std::move(list));
  }
  return out;
}

}  // namespace

/// Fills a new record.
class RouteRecord::Builder {
 public:
  Builder(const Route& route, RouteContext& context, RouteRecord& record)
      : route_(route),
        context_(context),
        record_(record),
        upstreams_{context.upstream_slots, context.new_upstream_slots} {}

  void build() {
    const std::vector<Rule>& rules = *route_.rules;
    record_.rules_ = std::vector<RuleRecord>(rules.size());
    packAttachmentsAndKey();
    for (std::size_t i = 0; i < rules.size(); ++i) compileRule(i);
    compileMatches();
    for (const std::string& name : unresolved_) text_.text(name);
    record_.packed_ = text_.take();
    setNames();
  }

 private:
  void packAttachmentsAndKey() {
    const PackedAttachments packed = packAttachments(route_, context_.listeners);
    text_.text(route_.key);
    text_.number(static_cast<std::uint64_t>(route_.kind));
    text_.number(packed.lists.size());
    for (const std::string& list : packed.lists) text_.text(list);
    text_.number(packed.at.size());
    for (const auto& [listener, list] : packed.at) {
      text_.number(listener);
      text_.number(list);
    }
  }

  void compileRule(std::size_t index) {
    const Rule& rule = (*route_.rules)[index];
    RuleRecord& out = record_.rules_[index];
    out.info = infoOf(route_, rule);
    CompiledRule& compiled = out.compiled;
    compiled.rule = &out.info;
    compiled.route_created = route_.created;
    compiled.rule_index = static_cast<std::uint32_t>(index);
    compiled.stats = context_.stats_slots.acquire(out.info.id);
    compiled.stats_number = compiled.stats->number();
    compiled.request_timeout = rule.request_timeout.value_or(CompiledRule::kUnset);
    compiled.backend_timeout = rule.backend_timeout.value_or(CompiledRule::kUnset);
    compiled.retry = rule.retry;
    compiled.refused = bindFilters(rule.filters, compiled.filters);
    addCallouts(rule.filters, CompiledCallouts::kRule, compiled);
    compiled.has_filters = !compiled.filters.empty();
    compileBackends(rule, compiled);
    compileSession(rule, compiled);
    for (const Mirror& mirror : rule.mirrors) {
      if (mirror.upstream.empty()) continue;
      compiled.mirrors.push_back(
          {upstreams_.of(mirror.upstream), mirror.numerator, std::max(1u, mirror.denominator)});
    }
    compiled.mirrors.shrink_to_fit();
    compiled.has_mirrors = !compiled.mirrors.empty();
  }

  void compileBackends(const Rule& rule, CompiledRule& compiled) {
    const auto live = std::count_if(rule.backends.begin(), rule.backends.end(),
                                    [](const Backend& backend) { return backend.weight > 0; });
    compiled.backends.reserve(static_cast<std::size_t>(live));
    for (const Backend& backend : rule.backends) {
      if (backend.weight == 0) continue;
      CompiledBackend out;
      if (backend.upstream.empty()) {
        unresolved_.push_back(backendName(backend));
      } else {
        resolve(backend, out);
      }
      out.weight_end = compiled.totalWeight() + backend.weight;
      out.refused = bindFilters(backend.filters, out.filters);
      addCallouts(backend.filters, static_cast<std::uint32_t>(compiled.backends.size()), compiled);
      compiled.backends.push_back(std::move(out));
    }
  }

  void resolve(const Backend& backend, CompiledBackend& out) {
    out.upstream = upstreams_.of(backend.upstream);
    out.upstream_number = out.upstream->number();
    out.name = out.upstream->key();
  }

  void addCallouts(const std::vector<Filter>& filters, std::uint32_t backend,
                   CompiledRule& compiled) {
    std::vector<CompiledCallouts> made = compileCallouts(filters, backend, upstreams_);
    if (made.empty()) return;
    if (!compiled.callouts) compiled.callouts.emplace();
    std::move(made.begin(), made.end(), std::back_inserter(*compiled.callouts));
  }

  void compileSession(const Rule& rule, CompiledRule& compiled) {
    if (!rule.session) return;
    compiled.has_session = true;
    CompiledSession& session = compiled.session.emplace();
    session.model = *rule.session;
    for (const Backend& backend : rule.backends) {
      if (backend.weight != 0 || backend.upstream.empty()) continue;
      CompiledBackend& out = session.parked.emplace_back();
      resolve(backend, out);
      out.refused = bindFilters(backend.filters, out.filters);
      addCallouts(backend.filters, compiled.placeOf(out), compiled);
    }
  }

  void compileMatches() {
    std::vector<MatchExtras> extras;
    bool needed = false;
    for (std::size_t i = 0; i < route_.rules->size(); ++i) {
      const Rule& rule = (*route_.rules)[i];
      const std::vector<Match>& matches = matchesOf(route_, rule);
      text_.number(matches.size());
      for (const Match& match : matches) {
        text_.number(static_cast<std::uint64_t>(match.path.kind));
        text_.text(match.path.value);
        MatchExtras extra = compileMatch(match, i);
        needed = needed || extra.conditions || extra.path || extra.unusable;
        extras.push_back(std::move(extra));
      }
    }
    if (!needed) return;
    record_.extras_ = std::make_unique<MatchExtras[]>(extras.size());
    std::move(extras.begin(), extras.end(), record_.extras_.get());
  }

  MatchExtras compileMatch(const Match& match, std::size_t rule) {
    std::vector<std::string> problems;
    MatchExtras extra;
    extra.conditions = Conditions::compile(match, context_.regexes, problems);
    if (match.path.kind == MatchKind::Regex) {
      extra.path = context_.regexes.get(match.path.value);
      extra.unusable = !extra.path->valid();
      if (extra.unusable) {
        problems.push_back(fmt::format("path: regular expression \"{}\" is not valid: {}",
                                       match.path.value, extra.path->error()));
      }
    } else if (match.path.value.size() > kMaxPrefixBytes) {
      extra.unusable = true;
      problems.push_back(fmt::format("path: {} bytes are more than the {} that a path may have",
                                     match.path.value.size(), kMaxPrefixBytes));
    }
    for (std::string& problem : problems) {
      record_.rules_[rule].compiled.refused = true;
      context_.problems.emplace_back(record_.rules_[rule].info.id, std::move(problem));
    }
    return extra;
  }

  /// Views into packed_, which from here on does not move.
  void setNames() {
    const std::string_view key = record_.key();
    PackedReader names = record_.attachments();
    for (std::uint64_t left = names.number(); left > 0; --left) {
      (void)names.number();
      (void)names.number();
    }
    for (const Rule& rule : *route_.rules) {
      (void)names.number();
      for (std::size_t i = 0; i < matchesOf(route_, rule).size(); ++i) {
        (void)names.number();
        (void)names.text();
      }
    }
    for (RuleRecord& rule : record_.rules_) {
      rule.compiled.route_key = key;
      for (CompiledBackend& backend : rule.compiled.backends)
        if (!backend.upstream) backend.name = names.text();
    }
  }

  const Route& route_;
  RouteContext& context_;
  RouteRecord& record_;
  UpstreamSlots upstreams_;
  PackedWriter text_;
  std::vector<std::string> unresolved_;
};

std::shared_ptr<const RouteRecord> RouteRecord::compile(const Route& route,
                                                        const Fingerprint& fingerprint,
                                                        RouteContext& context) {
  auto record = std::make_shared<RouteRecord>();
  record->fingerprint_ = fingerprint;
  Builder(route, context, *record).build();
  return record;
}

PackedReader RouteRecord::attachments() const noexcept {
  PackedReader reader(packed_);
  (void)reader.text();
  (void)reader.number();
  for (std::uint64_t left = reader.number(); left > 0; --left) (void)reader.text();
  return reader;
}

std::vector<const CompiledRule*> RouteRecord::rules() const {
  std::vector<const CompiledRule*> out;
  out.reserve(rules_.size());
  for (const RuleRecord& rule : rules_) out.push_back(&rule.compiled);
  return out;
}

}  // namespace hyperway::route
