// SPDX-License-Identifier: Apache-2.0
// RouteRecord::fingerprintOf: every field of a route, so that a re-list of 10,000 routes of which
// none changed changes nothing.
#include <cstdint>

#include "route/route_record.hpp"

namespace hyperway::route {

namespace {

void add(Fingerprint& out, const std::vector<ValueMatch>& values) {
  out.add(std::uint64_t{values.size()});
  for (const ValueMatch& value : values) {
    out.add(value.name);
    out.add(value.value);
    out.add(static_cast<std::uint64_t>(value.kind));
  }
}

void add(Fingerprint& out, const std::vector<Filter>& filters) {
  out.add(std::uint64_t{filters.size()});
  for (const Filter& filter : filters) {
    out.add(filter.type);
    out.add(filter.config);
    out.add(filter.owner);
    out.add(filter.refused);
    out.add(std::uint64_t{filter.upstreams.size()});
    for (const std::string& upstream : filter.upstreams) out.add(upstream);
    // The same configuration bound to other code (a plugin was replaced) is a change. The old
    // binding is alive as long as a record with its address is compared, so the address cannot have
    // been used again.
    out.add(static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(filter.binding.get())));
  }
}

void add(Fingerprint& out, const std::optional<std::chrono::milliseconds>& value) {
  out.add(static_cast<std::uint64_t>(value ? value->count() : -1));
}

void add(Fingerprint& out, const Session& session) {
  out.add(session.name);
  out.add(session.path);
  out.add(session.scope);
  out.add(std::uint64_t{session.header} << 1 | std::uint64_t{session.permanent});
  add(out, session.absolute_timeout);
  add(out, session.idle_timeout);
}

void add(Fingerprint& out, const Rule& rule) {
  out.add(rule.id);
  out.add(rule.name);
  out.add(std::uint64_t{rule.matches.size()});
  for (const Match& match : rule.matches) {
    out.add(static_cast<std::uint64_t>(match.path.kind));
    out.add(match.path.value);
    out.add(match.method);
    add(out, match.headers);
    add(out, match.query);
  }
  add(out, rule.filters);
  out.add(std::uint64_t{rule.mirrors.size()});
  for (const Mirror& mirror : rule.mirrors) {
    out.add(mirror.upstream);
    out.add(std::uint64_t{mirror.numerator} << 32 | mirror.denominator);
  }
  out.add(std::uint64_t{rule.backends.size()});
  for (const Backend& backend : rule.backends) {
    out.add(backend.upstream);
    out.add(std::uint64_t{backend.weight} << 16 | backend.port);
    out.add(backend.name_space);
    out.add(backend.name);
    add(out, backend.filters);
  }
  add(out, rule.request_timeout);
  add(out, rule.backend_timeout);
  out.add(std::uint64_t{rule.session.has_value()});
  if (rule.session) add(out, *rule.session);
  out.add(std::uint64_t{rule.retry.has_value()});
  if (!rule.retry) return;
  out.add(std::uint64_t{rule.retry->attempts});
  out.add(static_cast<std::uint64_t>(rule.retry->backoff.count()));
  out.add(std::uint64_t{rule.retry->codes.size()});
  for (const std::uint16_t code : rule.retry->codes) out.add(std::uint64_t{code});
}

}  // namespace

Fingerprint RouteRecord::fingerprintOf(const Route& route) {
  Fingerprint out;
  out.add(route.key);
  out.add(static_cast<std::uint64_t>(route.kind));
  out.add(route.name_space);
  out.add(route.name);
  out.add(static_cast<std::uint64_t>(route.created));
  out.add(std::uint64_t{route.attachments.size()});
  for (const Attachment& attachment : route.attachments) {
    out.add(attachment.listener);
    out.add(std::uint64_t{attachment.hostnames.size()});
    for (const std::string& host : attachment.hostnames) out.add(host);
  }
  out.add(std::uint64_t{route.rules->size()});
  for (const Rule& rule : *route.rules) add(out, rule);
  return out;
}

}  // namespace hyperway::route
