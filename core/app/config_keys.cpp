// SPDX-License-Identifier: Apache-2.0
#include "app/config_keys.hpp"

namespace hyperway::app {
namespace {

constexpr bool kLive = true;
constexpr bool kRestart = false;

Key integer(std::string name, std::string fallback, bool live, std::string help, std::int64_t least,
            std::int64_t most) {
  return {std::move(name),
          KeyType::Integer,
          std::move(fallback),
          live,
          std::move(help),
          {},
          least,
          most,
          {}};
}

Key plain(std::string name, KeyType type, std::string fallback, bool live, std::string help) {
  return {std::move(name), type, std::move(fallback), live, std::move(help)};
}

Key choice(std::string name, std::string fallback, bool live, std::string help,
           std::vector<std::string> values) {
  return {std::move(name),  KeyType::Text, std::move(fallback), live, std::move(help), {}, 0, 0,
          std::move(values)};
}

Key nested(std::string name, KeyType type, bool live, std::string help, std::vector<Key> members,
           std::string fallback = "") {
  return {std::move(name), type, std::move(fallback), live, std::move(help), std::move(members)};
}

Key element(KeyType type) { return {"", type, "", false, ""}; }

std::vector<Key> sourceKeys() {
  return {plain("plugin", KeyType::Text, "", kRestart, "Id of the source, e.g. `file_source`."),
          plain("config", KeyType::Json, "{}", kRestart, "The source's own settings; see below.")};
}

std::vector<Key> sinkKeys() {
  return {plain("plugin", KeyType::Text, "", kRestart,
                "Id of the sink: `proxy`, or e.g. `gateway_deployer`."),
          plain("config", KeyType::Json, "{}", kRestart,
                "The sink's own settings; see below. `proxy` has none.")};
}

std::vector<Key> gatewayKeys() {
  return {choice("addresses", "bound", kLive,
                 "`bound`: where they are bound. `services`: those of a Service for each Gateway, "
                 "which also says on which target ports its listeners are bound. `deployed`: the "
                 "same, and each Gateway has data planes of its own, which a `parametersRef` may "
                 "shape. `merged`: those of the one Service that `service` names.",
                 {"bound", "services", "deployed", "merged"}),
          plain("service", KeyType::Text, "", kLive,
                "`namespace/name` of the Service that leads here, for `merged`.")};
}

std::vector<Key> pluginKeys() {
  return {
      plain("name", KeyType::Text, "", kLive, "What logs and `hyperway plugins` call it."),
      plain("path", KeyType::Path, "NAME.so in the plugin directory", kLive,
            "The shared object, absolute."),
      plain("sha256", KeyType::Text, "", kLive,
            "64 hex digits that the file must have; another file is refused."),
      plain("config", KeyType::Json, "{}", kLive, "The plugin's own settings, for its `init`.")};
}

std::vector<Key> limitKeys() {
  return {
      integer("connections", "0", kRestart,
              "Client connections of the process; 0: half of the descriptors, since a request "
              "may need one more towards a backend.",
              0, 10'000'000),
      integer("head_bytes", "65536", kRestart, "Request line and fields together; above: 431.",
              1024, 1 << 20),
      integer("fields", "128", kRestart, "Field lines of a head; above: 431.", 8, 4096),
      integer("uri_bytes", "16384", kRestart, "Request target; above: 414.", 256, 1 << 20),
      integer("body_bytes", "0", kRestart, "Request body; above: 413. 0: any size.", 0, INT64_MAX),
      integer("hold_bytes", "1048576", kRestart,
              "What one filter may hold back of a body; above: 413, or 502 for a response.", 4096,
              1 << 30),
      integer("replay_bytes", "65536", kRestart,
              "Request body that is kept so that the request can be tried again.", 0, 1 << 26),
      integer("udp_sessions", "4096", kRestart,
              "UDP sessions of a worker; the least recently used one ends for a new one.", 1,
              1'000'000),
  };
}

std::vector<Key> timeoutKeys() {
  const auto duration = [](std::string name, std::string fallback, std::string help) {
    return plain(std::move(name), KeyType::Duration, std::move(fallback), kRestart,
                 std::move(help));
  };
  return {
      duration("header", "15s",
               "Whole request head from its first byte: total, not for each read."),
      duration("idle", "75s", "A client connection between two requests."),
      duration("body", "60s", "Without any byte of an unfinished request body."),
      duration("write", "60s", "Without the client taking any byte of an answer."),
      duration("handshake", "10s",
               "TLS, from accept to the end of the handshake; a PROXY header too."),
      duration("request", "0s", "Whole request where the route says nothing; 0s: none."),
      duration("connect", "5s", "Until the connection to an endpoint is up."),
      duration("response", "60s", "Until a backend's head, and between bytes of its body."),
      duration("upstream_idle", "60s", "A pooled connection to an endpoint without use."),
      duration("tunnel", "1h", "Without any byte through an upgraded connection."),
      duration("flow", "1h", "Without any byte through a TCP or TLS connection, either way."),
      duration("udp_idle", "60s", "A UDP session without a datagram."),
  };
}

std::vector<Key> proxyProtocolKeys() {
  Key port = element(KeyType::Integer);
  port.least = 1;
  port.most = 65535;
  return {nested("ports", KeyType::List, kRestart,
                 "Ports of Gateways, or of ListenerSets, whose connections begin with a header.",
                 {std::move(port)}),
          nested("trusted", KeyType::List, kRestart,
                 "Who may connect to them. Others, and who sends no header, are refused.",
                 {element(KeyType::Cidr)})};
}

std::vector<Key> makeKeys() {
  std::vector<Key> keys;
  keys.push_back(integer("workers", "one for each core", kRestart, "Worker threads.", 1, 1024));
  keys.push_back(nested("sources", KeyType::List, kRestart, "Where the wanted state comes from.",
                        {nested("", KeyType::Object, kRestart, "", sourceKeys())}));
  keys.push_back(nested("sinks", KeyType::List, kRestart,
                        "What is done with it. `proxy` is built in and must be among them.",
                        {nested("", KeyType::Object, kRestart, "", sinkKeys())},
                        "[{plugin: proxy}]"));
  keys.push_back(
      nested("plugins", KeyType::List, kLive,
             "Plugins beside those that come with hyperway, or other settings for one of these.",
             {nested("", KeyType::Object, kLive, "", pluginKeys())}));
  keys.push_back(nested("listen", KeyType::Map, kLive,
                        "Port in a Gateway -> where it is bound instead, one or several.",
                        {nested("", KeyType::OneOrMore, kLive, "", {element(KeyType::Endpoint)})}));
  keys.push_back(nested("addresses", KeyType::List, kLive,
                        "Where ports that `listen` does not name are bound.",
                        {element(KeyType::Address)}, "[0.0.0.0, \"::\"]"));
  keys.push_back(nested(
      "address_pool", KeyType::List, kLive,
      "If set, each Gateway is bound to an address of its own out of these or its spec.addresses.",
      {element(KeyType::Address)}));
  keys.push_back(nested("gateways", KeyType::Object, kLive,
                        "Where the addresses of Gateways come from.", gatewayKeys()));
  keys.push_back(
      nested("default_endpoints", KeyType::Map, kLive,
             "Endpoints of Services without EndpointSlices: `namespace/name:port`, or `*` for all.",
             {nested("", KeyType::OneOrMore, kLive, "", {element(KeyType::Endpoint)})}));
  keys.push_back(nested(
      "balance", KeyType::Map, kLive,
      "How an endpoint of a Service is chosen: `namespace/name:port`, or `*` for all others. "
      "`least_request`: the one with the fewest requests in flight from the same worker.",
      {choice("", "", kLive, "", {"round_robin", "least_request"})}, "{\"*\": round_robin}"));
  keys.push_back(nested("external_name_namespaces", KeyType::List, kLive,
                        "Namespaces whose ExternalName Services may be used.",
                        {element(KeyType::Text)}));
  keys.push_back(nested(
      "filter_namespaces", KeyType::Map, kLive,
      "Filter class -> namespaces whose Filter objects may use it; `*`: all. Not named: all.",
      {nested("", KeyType::List, kLive, "", {element(KeyType::Text)})}));
  keys.push_back(plain("controller_name", KeyType::Text, "hyperway.arloor.dev/gateway-controller",
                       kLive, "Which GatewayClasses are ours."));
  keys.push_back(
      nested("limits", KeyType::Object, kRestart, "Bounds of what clients may send.", limitKeys()));
  keys.push_back(nested("timeouts", KeyType::Object, kRestart, "Bounds of time.", timeoutKeys()));
  keys.push_back(nested("trusted_proxies", KeyType::List, kRestart,
                        "Peers whose X-Forwarded-* and X-Request-Id count.",
                        {element(KeyType::Cidr)}));
  keys.push_back(nested("proxy_protocol", KeyType::Object, kRestart,
                        "PROXY protocol (version 1 or 2) from a load balancer in front: the client "
                        "that it names is what filters, logs and X-Forwarded-For see.",
                        proxyProtocolKeys()));
  keys.push_back(plain("trace_context", KeyType::Boolean, "false", kRestart,
                       "Begins a traceparent where the client sent none."));
  keys.push_back(
      plain("health_on_data_ports", KeyType::Boolean, "false", kRestart,
            "Answers /healthz and /metrics on data ports where no route matches; on if "
            "started by flags alone. These metrics are at most a second old while somebody "
            "asks for them at least every two minutes."));
  keys.push_back(nested(
      "access_log", KeyType::Object, kRestart, "One line for each request.",
      {choice("format", "off", kRestart, "Form of a line.", {"off", "text", "json"}),
       plain("path", KeyType::Path, "standard output", kRestart, "File; SIGUSR1 opens it anew.")}));
  keys.push_back(nested("admin", KeyType::Object, kRestart, "The two admin faces.",
                        {plain("address", KeyType::Endpoint, "127.0.0.1:9180", kRestart,
                               "/healthz, /readyz and /metrics: for probes and Prometheus."),
                         plain("socket", KeyType::Path, "none", kRestart,
                               "Unix socket, mode 0600, for `hyperway status`, `explain`, "
                               "`plugins`, `upgrade` and the log level."),
                         plain("loopback", KeyType::Endpoint, "none", kRestart,
                               "The same as on the socket, and a page for browsers, on an address "
                               "of the loopback interface: open to every user of the machine.")}));
  keys.push_back(nested(
      "drain", KeyType::Object, kLive, "What SIGTERM does.",
      {plain("delay", KeyType::Duration, "0s", kLive, "Not ready any more, but still accepting."),
       plain("deadline", KeyType::Duration, "30s", kLive,
             "After the delay: when the last connection is cut.")}));
  keys.push_back(nested(
      "upgrade", KeyType::Object, kLive, "What `hyperway upgrade` and SIGUSR2 do.",
      {plain("deadline", KeyType::Duration, "60s", kLive,
             "When the new process must be ready; else it is ended, and the old one goes on.")}));
  keys.push_back(nested(
      "log", KeyType::Object, kRestart, "The process log.",
      {choice("level", "info", kLive, "Least level that is written.",
              {"debug", "info", "warning", "error", "off"}),
       plain("path", KeyType::Path, "standard error", kRestart, "File; SIGUSR1 opens it anew.")}));
  return keys;
}

}  // namespace

const std::vector<Key>& configKeys() {
  static const std::vector<Key> keys = makeKeys();
  return keys;
}

}  // namespace hyperway::app
