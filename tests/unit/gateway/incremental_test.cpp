// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <map>
#include <random>
#include <sstream>

#include "world.hpp"

namespace hyperway::gateway {
namespace {

// Draws the objects of a small, crowded world: few names, so that references hit and miss each
// other all the time.
class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  std::size_t below(std::size_t limit) { return random_() % limit; }
  bool chance(std::size_t percent) { return below(100) < percent; }

  std::string pick(std::initializer_list<std::string_view> list) {
    return std::string(*(list.begin() + static_cast<std::ptrdiff_t>(below(list.size()))));
  }
  std::string space() { return pick({"a", "b"}); }
  std::string number(std::size_t limit) { return std::to_string(below(limit)); }
  std::string host() { return pick({"x.com", "*.x.com", "y.x.com", "*.com", "z.org"}); }
  std::string meta() {
    return "'generation':" + number(3) + ",'creationTimestamp':'202" + number(10) +
           "-01-01T00:00:00Z'";
  }

  // An upsert of a random object, or its removal.
  ObjectChange change() {
    ObjectChange made = upsert();
    if (chance(20)) made.json.clear();
    return made;
  }

 private:
  ObjectChange upsert() {
    switch (below(13)) {
      case 0:
        return World::change(
            "GatewayClass", "", pick({"c1", "c2"}),
            "'spec':{'controllerName':'" +
                pick({"hyperway.arloor.dev/gateway-controller", "example.com/other",
                      "hyperway.arloor.dev/gateway-controller"}) +
                "'" + (chance(10) ? ",'parametersRef':{}" : "") + "}",
            meta());
      case 1:
      case 2: return World::change("Gateway", space(), pick({"g1", "g2"}), gateway(), meta());
      case 3: return World::change("Service", space(), pick({"s1", "s2"}), service(), meta());
      case 4:
        return World::change(
            "EndpointSlice", space(), pick({"e1", "e2", "e3"}), slice(),
            "'labels':{'kubernetes.io/service-name':'" + pick({"s1", "s2"}) + "'}");
      case 5: return World::change("ReferenceGrant", space(), pick({"r1", "r2"}), grant(), "");
      case 6:
        // Only good certificates: what was good stays in use, which a translator that starts later
        // cannot know.
        return World::change(
            "Secret", space(), pick({"cert", "cert2"}),
            "'stringData':{'tls.crt':'-----BEGIN CERTIFICATE-----" + pick({"YQ==", "YWI="}) +
                "-----END CERTIFICATE-----','tls.key':'-----BEGIN PRIVATE KEY-----YQ==-----END "
                "PRIVATE KEY-----'}",
            "");
      case 7:
        return World::change("Namespace", "", space(), "",
                             "'labels':{'env':'" + pick({"prod", "test"}) + "'}");
      case 8:
        return World::change("Filter", space(), pick({"f1", "f2"}),
                             "'spec':{'plugin':'" + pick({"api_key", "api_key", "unknown"}) +
                                 "','config':{'" + pick({"refuse", "fine"}) + "':1}}",
                             meta());
      case 9:
        if (chance(50))
          return World::change("BackendTLSPolicy", space(), pick({"p1", "p2", "p3"}), policy(),
                               meta());
        if (chance(50))
          return World::change(
              "ConfigMap", space(), pick({"ca1", "ca2"}),
              "'data':{'ca.crt':'" +
                  pick({"", "-----BEGIN CERTIFICATE-----YQ==-----END CERTIFICATE-----",
                        "-----BEGIN CERTIFICATE-----YWI=-----END CERTIFICATE-----"}) +
                  "'}",
              "");
        if (chance(50))
          return World::change(
              "ListenerSet", space(), pick({"set", "set2"}),
              "'spec':{'parentRef':" + parent(false) + ",'listeners':[" + listeners() + "]}",
              meta());
        return World::change(pick({"TLSRoute", "TCPRoute", "UDPRoute"}), space(),
                             pick({"h1", "flow"}), flow(), meta());
      case 10:
        return World::change("GRPCRoute", space(), pick({"h1", "h2", "grpc"}), calls(), meta());
      default:
        return World::change("HTTPRoute", space(), pick({"h1", "h2", "h3"}), route(), meta());
    }
  }

  std::string listeners() {
    std::string listeners;
    for (std::size_t i = 0, count = 1 + below(3); i < count; ++i) {
      listeners += (i == 0 ? "" : ",") + std::string("{'name':'l") + std::to_string(i) +
                   "','port':" + pick({"80", "81", "443", "80", "81", "443", "0"}) +
                   ",'protocol':'" +
                   pick({"HTTP", "HTTP", "HTTP", "HTTPS", "HTTPS", "TLS", "TCP", "UDP"}) + "'";
      const bool https = listeners.ends_with("HTTPS'") || listeners.ends_with("TLS'");
      if (chance(60)) listeners += ",'hostname':'" + host() + "'";
      if (https || chance(5))
        listeners += ",'tls':{'certificateRefs':[{'name':'" + pick({"cert", "cert2"}) + "'" +
                     (chance(40) ? ",'namespace':'" + space() + "'" : "") + "}]" +
                     (chance(20) ? ",'mode':'Passthrough'" : "") + "}";
      if (chance(70))
        listeners +=
            ",'allowedRoutes':{'namespaces':" +
            pick({"{'from':'All'}", "{'from':'Same'}",
                  "{'from':'Selector','selector':{'matchLabels':{'env':'prod'}}}"}) +
            (chance(10) ? ",'kinds':[{'kind':'" + pick({"HTTPRoute", "GRPCRoute"}) + "'}]" : "") +
            "}";
      listeners += "}";
    }
    return listeners;
  }

  std::string gateway() {
    return "'spec':{'gatewayClassName':'" + pick({"c1", "c1", "c2"}) + "','listeners':[" +
           listeners() + "]" +
           (chance(70)
                ? ",'allowedListeners':{'namespaces':" +
                      pick({"{'from':'All'}", "{'from':'Same'}",
                            "{'from':'Selector','selector':{'matchLabels':{'env':'prod'}}}"}) +
                      "}"
                : "") +
           (chance(10) ? ",'infrastructure':{'parametersRef':{}}" : "") +
           (chance(30)
                ? ",'tls':{'frontend':{'default':{" + validation() +
                      "},'perPort':[{'port':443,'tls':{" +
                      (chance(50) ? validation() : std::string()) + "}}]}" +
                      (chance(50) ? ",'backend':{'clientCertificateRef':{'name':'cert'}}" : "") +
                      "}"
                : "") +
           "}";
  }

  std::string validation() {
    return "'validation':{'caCertificateRefs':[{'group':'','kind':'ConfigMap','name':'" +
           pick({"ca1", "ca2"}) + "'" + (chance(30) ? ",'namespace':'" + space() + "'" : "") +
           "}]" + (chance(20) ? ",'mode':'AllowInsecureFallback'" : "") + "}";
  }

  std::string policy() {
    return "'spec':{'targetRefs':[{'group':'','kind':'Service','name':'" + pick({"s1", "s2"}) +
           "'" + (chance(40) ? ",'sectionName':'" + pick({"p", "q"}) + "'" : "") +
           "}],'validation':{'hostname':'" + pick({"a.b", "c.d", ""}) +
           "','caCertificateRefs':[{'group':'','kind':'" + pick({"ConfigMap", "ConfigMap", "X"}) +
           "','name':'" + pick({"ca1", "ca2"}) + "'}]}}";
  }

  std::string parent(bool sets) {
    std::string text = "{'name':'" + pick({"g1", "g2"}) + "'";
    if (sets && chance(20)) text = "{'kind':'ListenerSet','name':'" + pick({"set", "set2"}) + "'";
    if (chance(60)) text += ",'namespace':'" + space() + "'";
    if (chance(20)) text += ",'sectionName':'l" + number(3) + "'";
    if (chance(20)) text += ",'port':" + pick({"80", "81"});
    return text + "}";
  }

  std::string backend() {
    return "{'name':'" + pick({"s1", "s2"}) + "','port':" + pick({"80", "81"}) +
           (chance(30) ? ",'namespace':'" + space() + "'" : "") +
           (chance(5) ? ",'weight':-1" : "") + "}";
  }

  std::string filter() {
    return pick({"{'type':'CORS','cors':{}}",
                 "{'type':'URLRewrite','urlRewrite':{'hostname':'refuse'}}",
                 "{'type':'ExtensionRef','extensionRef':{'group':'hyperway.arloor.dev','kind':'"
                 "Filter','name':'f1'}}",
                 "{'type':'ExtensionRef','extensionRef':{'group':'hyperway.arloor.dev','kind':'"
                 "Filter','name':'f2'}}"});
  }

  std::string route() {
    std::string rules;
    for (std::size_t i = 0, count = 1 + below(2); i < count; ++i) {
      rules += (i == 0 ? "{" : ",{") + std::string("'matches':[{'path':{'value':'") +
               pick({"/", "/a", "/b", "/c", "nonsense"}) + "'}}],'backendRefs':[" + backend() +
               "," + backend() + "]";
      if (chance(40)) rules += ",'filters':[" + filter() + "]";
      if (chance(20))
        rules += ",'filters':[{'type':'RequestMirror','requestMirror':{'backendRef':" + backend() +
                 "}}]";
      rules += "}";
    }
    return "'spec':{'parentRefs':[" + parent(true) + "," + parent(true) + "],'rules':[" + rules +
           "]" + (chance(40) ? ",'hostnames':['" + host() + "','" + host() + "']" : "") + "}";
  }

  std::string hosts() {
    return chance(60) ? ",'hostnames':['" + host() + "','" + host() + "']" : "";
  }

  std::string calls() {
    return "'spec':{'parentRefs':[" + parent(true) + "," + parent(true) +
           "],'rules':[{'matches':[{'method':{'service':'" + pick({"a.B", "c", "no/name"}) +
           "'}}],'backendRefs':[" + backend() + "]" +
           (chance(40) ? ",'filters':[" + filter() + "]" : "") + "}]" + hosts() + "}";
  }

  std::string flow() {
    return "'spec':{'parentRefs':[" + parent(true) + "," + parent(false) +
           "],'rules':[{'backendRefs':[" + backend() + "," + backend() + "]}]" + hosts() + "}";
  }

  std::string service() {
    return "'spec':{'ports':[{'name':'p','port':" + pick({"80", "81"}) +
           (chance(20) ? ",'protocol':'UDP'" : "") +
           (chance(20) ? ",'appProtocol':'" +
                             pick({"kubernetes.io/ws", "kubernetes.io/h2c", "https"}) + "'"
                       : "") +
           "}]}";
  }

  std::string slice() {
    return "'addressType':'IPv4','ports':[{'name':'p','port':8080}],'endpoints':[{'addresses':['10."
           "0.0." +
           number(9) + "'],'conditions':{'ready':" + pick({"true", "false"}) + "}}]";
  }

  std::string grant() {
    return "'spec':{'from':[{'group':'gateway.networking.k8s.io','kind':'" +
           pick({"HTTPRoute", "HTTPRoute", "Gateway", "ListenerSet", "GRPCRoute", "TLSRoute",
                 "TCPRoute"}) +
           "','namespace':'" + space() + "'}],'to':[{'group':'','kind':'" +
           pick({"Service", "Secret", "ConfigMap"}) + "'}]}";
  }

  std::mt19937 random_;
};

void write(std::ostream& out, const std::vector<route::Filter>& filters) {
  for (const auto& filter : filters)
    out << " filter " << filter.type << ' ' << filter.config << ' ' << filter.owner << ' '
        << filter.refused << ' ' << (filter.binding != nullptr);
}

// Everything that a world came to, as text.
std::string snapshot(const World& world) {
  std::ostringstream out;
  for (const auto& [key, listener] : world.listeners) {
    out << "listener " << key << ' ' << static_cast<int>(listener.protocol) << ' ' << listener.port
        << ' ' << listener.hostname << (listener.passthrough ? " passes" : "");
    for (const auto& bind : listener.binds) out << ' ' << bind.address << ':' << bind.port;
    for (const auto& certificate : listener.certificates) out << ' ' << certificate;
    if (listener.validation)
      out << " asks " << listener.validation->required << *listener.validation->authorities.at(0);
    out << ' ' << listener.backend_certificate;
    out << '\n';
  }
  for (const auto& [key, item] : world.routes) {
    out << "route " << key << ' ' << item.created;
    for (const auto& attachment : item.attachments) {
      out << " at " << attachment.listener;
      for (const auto& host : attachment.hostnames) out << '[' << host << ']';
    }
    for (const auto& rule : *item.rules) {
      out << "\n  " << rule.id;
      for (const auto& match : rule.matches) out << ' ' << match.path.value;
      write(out, rule.filters);
      for (const auto& mirror : rule.mirrors) out << " mirror " << mirror.upstream;
      for (const auto& backend : rule.backends) {
        out << " to " << backend.upstream << '*' << backend.weight;
        write(out, backend.filters);
      }
    }
    out << '\n';
  }
  for (const auto& [key, upstream] : world.upstreams) {
    out << "upstream " << key << ' ' << static_cast<int>(upstream.protocol);
    for (const auto& endpoint : upstream.endpoints)
      out << ' ' << endpoint.address << ':' << endpoint.port;
    if (upstream.tls) {
      out << " tls " << upstream.tls->hostname << ' ' << upstream.tls->refused;
      for (const auto& bundle : upstream.tls->authorities) out << ' ' << *bundle;
    }
    out << '\n';
  }
  for (const auto& [key, certificate] : world.certificates)
    out << "certificate " << key << ' ' << certificate.chain_pem << '\n';
  for (const auto& status : world.translator.statuses())
    out << status.key() << ' ' << toJson(status) << '\n';
  for (const auto& diagnosis : world.translator.diagnose())
    out << diagnosis.object << ' ' << diagnosis.problem.pointer << ' ' << diagnosis.problem.message
        << '\n';
  return out.str();
}

// The first line that two texts do not share.
std::string difference(const std::string& a, const std::string& b) {
  std::istringstream left(a), right(b);
  std::string x, y;
  while (true) {
    const bool more_x = static_cast<bool>(std::getline(left, x)),
               more_y = static_cast<bool>(std::getline(right, y));
    if (!more_x && !more_y) return {};
    if (more_x != more_y || x != y)
      return "edited: " + (more_x ? x : "") + "\nfresh:  " + (more_y ? y : "");
  }
}

}  // namespace

TEST_CASE("Edit by edit, the outcome is the same as from nothing") {
  std::size_t routes_seen = 0, certificates_seen = 0;
  for (unsigned seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    Generator generator(seed);
    World world;
    std::map<std::string, ObjectChange> objects;
    for (std::size_t round = 0; round < 40; ++round) {
      CAPTURE(round);
      std::vector<ObjectChange> batch;
      for (std::size_t i = 0, count = 1 + generator.below(6); i < count; ++i)
        batch.push_back(generator.change());
      for (const ObjectChange& change : batch) {
        const std::string key = change.kind + '/' + change.name_space + '/' + change.name;
        if (change.json.empty())
          objects.erase(key);
        else
          objects.insert_or_assign(key, change);
      }
      world.take(world.translator.apply(batch));
      if (round % 4 != 3) continue;
      World fresh;
      std::vector<ObjectChange> all;
      for (const auto& [key, change] : objects) all.push_back(change);
      fresh.take(fresh.translator.apply(all));
      routes_seen += fresh.routes.size();
      certificates_seen += fresh.certificates.size();
      REQUIRE(difference(snapshot(world), snapshot(fresh)) == "");
    }
  }
  // The worlds are not so broken that nothing is compared.
  CHECK(routes_seen > 300);
  CHECK(certificates_seen > 100);
}

TEST_CASE("A change that means nothing changes nothing") {
  World world;
  world.addBasics();
  world.addRoute("web", kWeb);
  const auto same = [&](ObjectChange change) {
    const auto outcome = world.translator.apply({change});
    return outcome.model.empty() && outcome.status.updated.empty() &&
           outcome.status.removed.empty();
  };
  CHECK(same(World::change(
      "HTTPRoute", "default", "web",
      "'spec':{'parentRefs':[{'name':'gw'}],'rules':[" + std::string(kWeb) + "]},'status':{'x':1}",
      "'generation':3,'resourceVersion':'99','labels':{'a':'b'}")));
  CHECK(same(World::change("ConfigMap", "default", "any", "'data':{}", "")));
  CHECK(same(World::change("Deployment", "default", "any", "'spec':7", "")));
  CHECK(same(World::change("Service", "default", "unused", "'spec':{'ports':[]}", "")));
  ObjectChange gone = World::change("HTTPRoute", "default", "never", "", "");
  gone.json.clear();
  CHECK(same(gone));
}

TEST_CASE("One edited route touches itself alone") {
  World world;
  world.addBasics();
  for (int i = 0; i < 50; ++i) world.addRoute("r" + std::to_string(i), kWeb);
  world.addRoute(
      "r7", "{'matches':[{'path':{'value':'/new'}}],'backendRefs':[{'name':'web','port':80}]}");
  CHECK(world.last.model.routes.size() == 1);
  CHECK(world.last.model.listeners.empty());
  CHECK(world.last.model.upstreams.empty());
  CHECK(world.last.status.updated.empty());
}

}  // namespace hyperway::gateway
