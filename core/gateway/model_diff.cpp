// SPDX-License-Identifier: Apache-2.0
#include "gateway/model_diff.hpp"

#include <utility>

#include "gateway/ip_literal.hpp"

namespace hyperway::gateway {
namespace {

bool same(const route::Certificate& a, const route::Certificate& b) {
  return a.chain_pem == b.chain_pem && a.private_pem == b.private_pem;
}

void add(route::Fingerprint& out, const std::vector<std::string>& texts) {
  out.add(std::uint64_t{texts.size()});
  for (const std::string& text : texts) out.add(text);
}

// Of what route::sameUpstream() compares.
route::Fingerprint fingerprintOf(const route::Upstream& upstream) {
  route::Fingerprint out;
  out.add(static_cast<std::uint64_t>(upstream.protocol));
  out.add(static_cast<std::uint64_t>(upstream.balance));
  out.add(static_cast<std::uint64_t>(upstream.proxy_header));
  for (const auto* list : {&upstream.endpoints, &upstream.draining}) {
    out.add(std::uint64_t{list->size()});
    for (const route::Endpoint& endpoint : *list) {
      out.add(endpoint.address);
      out.add(std::uint64_t{endpoint.port});
    }
  }
  if (!upstream.tls) return out;
  out.add(upstream.tls->hostname);
  add(out, upstream.tls->dns_names);
  add(out, upstream.tls->uris);
  out.add(std::uint64_t{upstream.tls->authorities.size()});
  for (const auto& bundle : upstream.tls->authorities) out.add(*bundle);
  out.add(std::uint64_t{upstream.tls->system_authorities});
  out.add(upstream.tls->refused);
  return out;
}

route::Gateway describe(const GatewayState& gateway) {
  const Gateway& spec = *gateway.spec;
  route::Gateway made;
  made.name_space = spec.meta.name_space;
  made.name = spec.meta.name;
  made.uid = spec.uid;
  made.generation = spec.meta.generation;
  made.created = spec.meta.created;
  made.accepted = gateway.accepted.fine();
  made.labels = spec.infra_labels;
  made.annotations = spec.infra_annotations;
  const auto refer = [&](const std::string& owner, const std::optional<ParametersRef>& to,
                         const std::string& name_space) {
    if (to) made.parameters.push_back({owner, to->group, to->kind, name_space, to->name});
  };
  if (gateway.class_parameters)
    refer("GatewayClass " + spec.class_name, gateway.class_parameters,
          gateway.class_parameters->name_space);
  refer("", spec.parameters, spec.meta.name_space);
  made.cluster_only =
      !spec.addresses.empty() &&
      std::all_of(spec.addresses.begin(), spec.addresses.end(),
                  [](const AddressSpec& address) { return address.routability == "Cluster"; });
  for (const AddressSpec& address : spec.addresses) {
    if (!address.value || !address.routability.empty()) continue;
    if (std::string ip = canonicalIp(*address.value); !ip.empty())
      made.addresses.push_back(std::move(ip));
  }
  std::set<std::pair<std::uint16_t, std::string>> ports;
  for (const ListenerState& listener : gateway.listeners)
    if (listener.accepted.fine())
      ports.emplace(static_cast<std::uint16_t>(listener.port),
                    listener.model.protocol == route::Protocol::Udp ? "UDP" : "TCP");
  for (const auto& [port, protocol] : ports) made.ports.push_back({port, protocol});
  return made;
}

}  // namespace

void ModelDiff::describeGateway(const std::string& key, const GatewayState* gateway,
                                route::ModelBatch& batch) {
  if (gateway == nullptr) {
    if (gateways_.erase(key) > 0) batch.removed_gateways.push_back(key);
    return;
  }
  route::Gateway now = describe(*gateway);
  const auto [known, is_new] = gateways_.try_emplace(key);
  if (!is_new && known->second == now) return;
  known->second = now;
  batch.gateways.push_back(std::move(now));
}

route::ModelBatch ModelDiff::whole() const {
  route::ModelBatch batch;
  batch.full = true;
  for (const auto& [gateway, listeners] : listeners_)
    for (const auto& [key, listener] : listeners) batch.listeners.push_back(listener);
  for (const auto& [key, gateway] : gateways_) batch.gateways.push_back(gateway);
  for (const auto& [key, certificate] : certificates_) batch.certificates.push_back(certificate);
  return batch;
}

void ModelDiff::putGateway(const std::string& key, GatewayState* gateway, bool programmed_at_once,
                           route::ModelBatch& batch) {
  auto& known = listeners_[key];
  std::map<std::string, route::Listener> now;
  if (gateway != nullptr)
    for (ListenerState& listener : gateway->listeners) {
      if (!listener.served) {
        listener.programming = Programming::Pending;
        continue;
      }
      const auto found = known.find(listener.model.key);
      if (found == known.end() || !route::sameListener(found->second, listener.model)) {
        batch.listeners.push_back(listener.model);
        listener.programming = programmed_at_once ? Programming::Done : Programming::Pending;
      }
      now.emplace(listener.model.key, listener.model);
    }
  for (const auto& [name, listener] : known)
    if (!now.contains(name)) batch.removed_listeners.push_back(name);
  if (now.empty())
    listeners_.erase(key);
  else
    known = std::move(now);
}

void ModelDiff::putListeners(const std::string& key, std::map<std::string, route::Listener> now,
                             route::ModelBatch& batch) {
  auto& known = listeners_[key];
  for (const auto& [name, listener] : now) {
    const auto found = known.find(name);
    if (found == known.end() || !route::sameListener(found->second, listener))
      batch.listeners.push_back(listener);
  }
  for (const auto& [name, listener] : known)
    if (!now.contains(name)) batch.removed_listeners.push_back(name);
  if (now.empty())
    listeners_.erase(key);
  else
    known = std::move(now);
}

void ModelDiff::putCertificates(const ObjectStore& store, CertificateStore& certificates,
                                const CertificateCheck& check, route::ModelBatch& batch) {
  std::set<std::string> wanted;
  for (const auto& [gateway, listeners] : listeners_)
    for (const auto& [key, listener] : listeners) {
      wanted.insert(listener.certificates.begin(), listener.certificates.end());
      if (!listener.backend_certificate.empty()) wanted.insert(listener.backend_certificate);
    }
  for (const std::string& key : wanted) {
    const auto* entry = certificates.get(store, key, check);
    if (entry == nullptr) continue;
    const auto [known, is_new] = certificates_.try_emplace(key);
    if (!is_new && same(known->second, entry->certificate)) continue;
    known->second = entry->certificate;
    batch.certificates.push_back(entry->certificate);
  }
  for (auto known = certificates_.begin(); known != certificates_.end();) {
    if (wanted.contains(known->first)) {
      ++known;
      continue;
    }
    batch.removed_certificates.push_back(known->first);
    known = certificates_.erase(known);
  }
}

void ModelDiff::putUpstream(route::Upstream upstream, route::ModelBatch& batch) {
  const auto [known, is_new] = upstreams_.try_emplace(upstream.key);
  const route::Fingerprint now = fingerprintOf(upstream);
  if (!is_new && known->second == now) return;
  known->second = now;
  batch.upstreams.push_back(std::move(upstream));
}

void ModelDiff::removeUpstream(const std::string& key, route::ModelBatch& batch) {
  if (upstreams_.erase(key) > 0) batch.removed_upstreams.push_back(key);
}

}  // namespace hyperway::gateway
