// SPDX-License-Identifier: Apache-2.0
#include "grants.hpp"

#include <algorithm>
#include <utility>

#include "digest.hpp"
#include "hyperway/sdk/json.hpp"
#include "k8s_client/json_text.hpp"
#include "objects.hpp"

namespace hyperway::snapshot_sink {
namespace {

using k8s_client::appendText;
using k8s_client::Reply;
using k8s_client::valueOf;
using sdk::json::Value;
using namespace std::chrono_literals;

constexpr std::string_view kRbac = "rbac.authorization.k8s.io/v1";
constexpr auto kRefusedAgain = 30s;
constexpr k8s_client::Duration kKnown = 200ms;
constexpr unsigned kMostEarly = 25;

k8s_client::Reflector::Options optionsFor(std::string path) {
  k8s_client::Reflector::Options options;
  options.path = std::move(path);
  return options;
}

// The names that our Role grants; what somebody made of it grants nothing, and is put right.
std::set<std::string> grantedBy(std::string_view rules) {
  std::set<std::string> out;
  const Value list = valueOf(rules);
  for (const Value& rule : list.items()) {
    const Value* resources = rule.find("resources");
    const Value* names = rule.find("resourceNames");
    if (resources == nullptr || resources->items().size() != 1) return {};
    const std::string& resource = resources->items().front().text();
    if (resource == "secrets" && names != nullptr)
      for (const Value& name : names->items()) out.insert(name.text());
    else if (resource == "services" || resource == "endpointslices")
      out.emplace(kBackends);
    else
      return {};
  }
  return out;
}

std::string rulesFor(std::set<std::string> names) {
  std::string out = "[";
  if (names.erase(std::string(kBackends)) > 0)
    out += R"({"apiGroups":[""],"resources":["services"],"verbs":["list","watch"]},)"
           R"({"apiGroups":["discovery.k8s.io"],"resources":["endpointslices"],)"
           R"("verbs":["list","watch"]})";
  if (names.empty()) return out + ']';
  if (out.back() != '[') out += ',';
  out += R"({"apiGroups":[""],"resources":["secrets"],"verbs":["list","watch"],"resourceNames":[)";
  for (const std::string& name : names) {
    if (out.back() != '[') out += ',';
    appendText(out, name);
  }
  return out + "]}]";
}

void addSecret(const Value& reference, Secrets& out) {
  const Value* name_space = reference.find("namespace");
  const Value* name = reference.find("name");
  if (name_space != nullptr && name != nullptr) out[name_space->text()].insert(name->text());
}

}  // namespace

Secrets secretsOf(std::string_view listeners) {
  Secrets out;
  const Value list = valueOf("[" + std::string(listeners) + "]");
  for (const Value& listener : list.items()) {
    if (const Value* tls = listener.find("tls"))
      if (const Value* references = tls->find("certificateRefs"))
        for (const Value& reference : references->items()) addSecret(reference, out);
    if (const Value* reference = listener.find("backendCertificateRef")) addSecret(*reference, out);
  }
  return out;
}

Grants::Follower::Follower(Grants& grants, bool bindings, std::string path)
    : reflector(grants.api_, optionsFor(std::move(path)), *this),
      grants_(grants),
      bindings_(bindings) {}

void Grants::Follower::onObject(const k8s_client::ObjectText& object) {
  if (object.name() != grants_.name_) return;
  if (bindings_)
    grants_.bindings_.insert(object.nameSpace());
  else
    grants_.roles_[object.nameSpace()] = grantedBy(object.member("rules"));
  grants_.changed_();
}

void Grants::Follower::onTrouble(const k8s_client::Error& error) {
  troubled = true;
  grants_.attempted_(bindings_ ? "list of RoleBindings" : "list of Roles", error);
  grants_.changed_();
}

void Grants::Follower::onRemoved(std::string_view key) {
  const std::string name_space(key.substr(0, key.find('/')));
  if (bindings_)
    grants_.bindings_.erase(name_space);
  else
    grants_.roles_.erase(name_space);
  grants_.changed_();
}

Grants::Grants(k8s_client::Api& api, const Settings& settings, Changed changed, Attempted attempted)
    : api_(api),
      account_namespace_(
          settings.data_plane_account.substr(0, settings.data_plane_account.find('/'))),
      account_(settings.data_plane_account.substr(settings.data_plane_account.find('/') + 1)),
      name_("hyperway-snapshot-" +
            Digest(settings.name_space + '/' + settings.name).hex().substr(0, 16)),
      label_(labelOf(settings.name_space + '.' + settings.name)),
      owner_(settings.owner),
      changed_(std::move(changed)),
      attempted_(std::move(attempted)),
      roles_follower_(*this, false, followedPath(false)),
      bindings_follower_(*this, true, followedPath(true)) {}

Grants::~Grants() { *alive_ = false; }

void Grants::start() {
  if (account_.empty()) return;
  roles_follower_.reflector.start();
  bindings_follower_.reflector.start();
}

std::string Grants::path(bool binding, std::string_view name_space, std::string_view name) const {
  return k8s_client::path(kRbac, name_space, binding ? "rolebindings" : "roles", name);
}

// By name too, so that our own rights can be bounded by it (deploy/*-rbac.yaml).
std::string Grants::followedPath(bool binding) const {
  return k8s_client::withQuery(path(binding, "", ""),
                               {{"fieldSelector", "metadata.name=" + name_},
                                {"labelSelector", std::string(kSnapshotLabel) + '=' + label_}});
}

bool Grants::has(const std::string& name_space, const std::string& name) const {
  const auto known = roles_.find(name_space);
  return known != roles_.end() && known->second.contains(name);
}

bool Grants::provide(const Secrets& wanted) {
  if (account_.empty()) return true;
  for (const Follower* follower : {&roles_follower_, &bindings_follower_})
    if (!follower->reflector.listed()) return follower->troubled;
  if (flying_ > 0) return false;
  const auto now = api_.now();
  std::erase_if(refused_until_, [&](const auto& one) { return one.second <= now; });
  // Routes do not wait for a right that cannot be given, and no namespace waits for another.
  const auto refused = [this](const std::string& one) { return refused_until_.contains(one); };
  bool early = false;
  for (const auto& [name_space, names] : wanted) {
    if (refused(name_space)) continue;
    const auto known = roles_.find(name_space);
    if (known == roles_.end() || known->second != names)
      apply(false, name_space, names);
    else if (!bindings_.contains(name_space) && bind_at_ <= now)
      apply(true, name_space, names);  // Of a Role that is there: it is looked up.
    else if (!bindings_.contains(name_space))
      early = true;
  }
  for (const auto& [name_space, names] : roles_)
    if (!wanted.contains(name_space) && !refused(name_space)) remove(false, name_space);
  for (const std::string& name_space : bindings_)
    if (!wanted.contains(name_space) && !refused(name_space)) remove(true, name_space);
  // Servers take a moment until they know of a new right.
  return flying_ == 0 && !early && known_at_ <= now;
}

void Grants::apply(bool binding, const std::string& name_space,
                   const std::set<std::string>& names) {
  std::string body = R"({"apiVersion":"rbac.authorization.k8s.io/v1","kind":)";
  body += binding ? R"("RoleBinding")" : R"("Role")";
  body += R"(,"metadata":{"namespace":)";
  appendText(body, name_space);
  body += R"(,"name":)";
  appendText(body, name_);
  if (owner_) {
    body +=
        ownedMetadata(*owner_, name_space, {{std::string(kSnapshotLabel), label_}}, false) + '}';
  } else {
    body += R"(,"labels":{"app.kubernetes.io/managed-by":"hyperway",)";
    appendText(body, kSnapshotLabel);
    body += ':';
    appendText(body, label_);
    body += "}}";
  }
  if (binding) {
    body += R"(,"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":)";
    appendText(body, name_);
    body += R"(},"subjects":[{"kind":"ServiceAccount","namespace":)";
    appendText(body, account_namespace_);
    body += R"(,"name":)";
    appendText(body, account_);
    body += "}]}";
  } else {
    body += R"(,"rules":)" + rulesFor(names) + '}';
  }
  send(k8s_client::applyRequest(path(binding, name_space, name_), std::move(body), true),
       std::string(binding ? "RoleBinding " : "Role ") + name_space + '/' + name_, name_space,
       [this, binding, name_space, names] {
         if (binding)
           bindings_.insert(name_space);
         else
           roles_[name_space] = names;
         known_at_ = api_.now() + kKnown;
       });
}

void Grants::remove(bool binding, const std::string& name_space) {
  send(k8s_client::removeRequest(path(binding, name_space, name_)),
       std::string(binding ? "removal of RoleBinding " : "removal of Role ") + name_space + '/' +
           name_,
       name_space, [this, binding, name_space] {
         if (binding)
           bindings_.erase(name_space);
         else
           roles_.erase(name_space);
       });
}

void Grants::send(k8s_client::Request request, const std::string& what,
                  const std::string& name_space, std::function<void()> done) {
  ++flying_;
  api_.call(std::move(request),
            [this, alive = alive_, what, name_space, done = std::move(done)](Reply reply) {
              if (!*alive) return;
              --flying_;
              const bool gone = reply.error.notFound() && what.starts_with("removal");
              attempted_(what, gone ? k8s_client::Error() : reply.error);
              auto next = known_at_;
              if (reply.ok() || gone) {
                early_ = 0;
                done();
                next = known_at_;
              } else if (reply.error.notFound() && ++early_ <= kMostEarly) {
                // A binding of a Role that the server does not know of yet.
                next = bind_at_ = api_.now() + kKnown;
              } else {
                next = refused_until_[name_space] = api_.now() + kRefusedAgain;
              }
              if (next > api_.now())
                api_.after(next - api_.now(), [this, alive] {
                  if (*alive) changed_();
                });
              changed_();
            });
}

}  // namespace hyperway::snapshot_sink
