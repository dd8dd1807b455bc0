// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "app/config_keys.hpp"
#include "app/config_values.hpp"
#include "app/settings.hpp"

using namespace hyperway;
using namespace hyperway::app;

namespace {

std::string readAll(const std::string& path) {
  std::ifstream in(path);
  REQUIRE_MESSAGE(in.good(), path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::vector<ConfigProblem> problemsOf(std::string_view text) {
  std::vector<ConfigProblem> problems;
  const ConfigNode document = parseConfigText(text, "f.yaml", "/etc/h", problems);
  if (problems.empty()) checkConfig(document, "f.yaml", problems);
  return problems;
}

Settings settingsOf(std::string_view text) {
  std::vector<ConfigProblem> problems;
  const ConfigNode document = parseConfigText(text, "f.yaml", "/etc/h", problems);
  checkConfig(document, "f.yaml", problems);
  for (const ConfigProblem& problem : problems) FAIL(problem.text());
  Settings out;
  readSettings(document, out);
  return out;
}

std::size_t nodesOf(const ConfigNode& node) {
  std::size_t count = 1;
  for (const ConfigNode& item : node.items) count += nodesOf(item);
  for (const ConfigNode::Member& member : node.members) count += nodesOf(member.value);
  return count;
}

}  // namespace

TEST_CASE("A list that holds itself twice is refused where it gets too deep, and read no further") {
  std::vector<ConfigProblem> problems;
  const ConfigNode document = parseConfigText("a: &x [0, *x, *x]\n", "f.yaml", "/etc/h", problems);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].text() == "f.yaml:1: nested too deeply or too large for a configuration file");
  CHECK(nodesOf(document) < 100);
}

TEST_CASE("A wrong configuration is refused with file, line and what would be right") {
  struct Row {
    std::string_view text, problem;
  };
  for (const Row& row : {
           Row{"workerz: 2\n",
               "f.yaml:1: unknown key \"workerz\"; did you mean \"workers\"? (at /workerz)"},
           {"\nlimits:\n  heads_bytes: 1\n",
            "f.yaml:3: unknown key \"heads_bytes\"; did you mean \"head_bytes\"?"},
           {"drain: {dealine: 1s}\n",
            "f.yaml:1: unknown key \"dealine\"; did you mean \"deadline\"?"},
           {"zzzzzzzzzz: 1\n", "f.yaml:1: unknown key \"zzzzzzzzzz\"; known are: workers, sources"},
           {"workers: 0\n", "f.yaml:1: 0 is outside 1..1024 (at /workers)"},
           {"workers: many\n", "f.yaml:1: must be a whole number"},
           {"workers: \"2\"\n", "f.yaml:1: must be a whole number"},
           {"workers: 1.5\n", "f.yaml:1: must be a whole number"},
           {"workers: 99999999999999999999\n", "is outside 1..1024"},
           {"limits: {body_bytes: 99999999999999999999}\n", "is outside 0.."},
           {"workers: [1]\n", "f.yaml:1: must be a single value"},
           {"workers: 1\nworkers: 2\n", "f.yaml:2: the key \"workers\" occurs twice"},
           {"limits: 3\n", "f.yaml:1: must be a mapping (at /limits)"},
           {"sources: {}\n", "f.yaml:1: must be a list (at /sources)"},
           {"sources: [file_source]\n", "f.yaml:1: must be a mapping (at /sources/0)"},
           {"sources:\n-\n", "must not be empty (at /sources/0)"},
           {"sources:\n- {plugin: 3}\n", "f.yaml:2: must be text (at /sources/0/plugin)"},
           {"sinks: [{plugin: proxy}, {plugin: proxy}]\n", "\"proxy\" is listed twice"},
           {"sinks: [{plugin: proxy, config: {a: 1}}]\n", "the proxy has no settings here"},
           {"sinks: [{config: {}}, {plugin: proxy}]\n", "needs a plugin (at /sinks/0)"},
           {"gateways: {addresses: some}\n",
            "\"some\" is none of: bound, services, deployed, merged"},
           {"gateways: {addresses: merged}\n", "`merged` needs a `service`"},
           {"gateways: {addresses: merged, service: x}\n", "\"x\" is no \"namespace/name\""},
           {"gateways: {service: a/b}\n", "belongs to `addresses: merged`"},
           {"gateways: {addresses: services}\nlisten: {80: 127.0.0.1:1}\n",
            "f.yaml:2: does not go with `gateways: {addresses: services}` (at /listen)"},
           {"gateways: {addresses: merged, service: a/b}\naddress_pool: [127.0.0.1]\n",
            "does not go with `gateways: {addresses: merged}` (at /address_pool)"},
           {"plugins: [{name: a, sha256: abc}]\n",
            "f.yaml:1: must be 64 hex digits (at /plugins/0/sha256)"},
           {"listen: {80: 127.0.0.1}\n", "f.yaml:1: \"127.0.0.1\" is no IP:port"},
           {"listen: {80: [\"127.0.0.1:80\", \"::1:80\"]}\n", "f.yaml:1: \"::1:80\" is no IP:port"},
           {"listen: {80: localhost:80}\n", "f.yaml:1: \"localhost:80\" is no IP:port"},
           {"listen: {http: 127.0.0.1:80}\n", "f.yaml:1: \"http\" is no port"},
           {"listen: {0: 127.0.0.1:80}\n", "f.yaml:1: \"0\" is no port"},
           {"listen: {80: 127.0.0.1:0}\n", "f.yaml:1: \"127.0.0.1:0\" is no IP:port"},
           {"addresses: [here]\n", "f.yaml:1: \"here\" is no IP address (at /addresses/0)"},
           {"address_pool: 127.0.0.1\n", "f.yaml:1: must be a list"},
           {"default_endpoints: {shop: 127.0.0.1:80}\n", "f.yaml:1: \"shop\" is neither"},
           {"default_endpoints: {a/b:80: nowhere}\n", "f.yaml:1: \"nowhere\" is no IP:port"},
           {"balance: {shop: least_request}\n", "f.yaml:1: \"shop\" is neither"},
           {"balance: {\"*\": random}\n",
            "f.yaml:1: \"random\" is none of: round_robin, least_request"},
           {"admin: {loopback: \"0.0.0.0:9181\"}\n",
            "f.yaml:1: \"0.0.0.0:9181\" is not on the loopback interface"},
           {"admin: {loopback: \"192.0.2.1:9181\"}\n", "is not on the loopback interface"},
           {"admin: {loopback: localhost}\n", "f.yaml:1: \"localhost\" is no IP:port"},
           {"trusted_proxies: [10.0.0.0/99]\n", "f.yaml:1: \"10.0.0.0/99\" is no network"},
           {"timeouts: {idle: 5}\n", "f.yaml:1: \"5\" is no duration"},
           {"timeouts: {idle: 5 minutes}\n", "f.yaml:1: \"5 minutes\" is no duration"},
           {"timeouts: {idle: -5s}\n", "f.yaml:1: \"-5s\" is no duration"},
           {"timeouts: {idle: 11111111111111111111111s}\n", "is no duration"},
           {"trace_context: yes\n", "f.yaml:1: must be true or false"},
           {"access_log: {format: xml}\n", "f.yaml:1: \"xml\" is none of: off, text, json"},
           {"admin: {address: 9180}\n", "f.yaml:1: \"9180\" is no IP:port"},
           {"admin: {socket: \"\"}\n", "f.yaml:1: must not be empty"},
           {"log: {level: loud}\n", "f.yaml:1: \"loud\" is none of"},
           {"log: [\n", "f.yaml:2: not valid YAML"},
           {"- 1\n", "f.yaml:1: a configuration file must be a mapping"},
           {"a: 1\n---\nb: 2\n", "f.yaml: a configuration file is one YAML document"},
           {",b", "f.yaml: a configuration file is one YAML document"},
           {"workers: 1\n,b", "f.yaml"},
           {"[1]: 2\n", "f.yaml:1: a key must be a single value"},
       }) {
    CAPTURE(row.text);
    const auto problems = problemsOf(row.text);
    REQUIRE(problems.size() >= 1);
    const std::string text = problems.front().text();
    CAPTURE(text);
    CHECK(text.find(row.problem) != std::string::npos);
  }
}

TEST_CASE("Every problem of a configuration is told, not only the first") {
  CHECK(problemsOf("workers: 0\nlimitz: {}\ntimeouts: {idle: 3, header: x}\n").size() == 4);
}

TEST_CASE("An empty file, and keys whose content is commented out, are fine") {
  for (const char* text : {"", "# nothing\n", "limits:\n", "sources:\nlisten:\n", "{}"}) {
    CAPTURE(text);
    CHECK(problemsOf(text).empty());
  }
}

TEST_CASE("Settings are read as written") {
  const Settings settings = settingsOf(
      "workers: 3\n"
      "sources: [{plugin: file_source, config: {paths: [\"${config_dir}/m\"], n: 007, f: 1.5, t: "
      "\"1\", b: true, e: ~}}]\n"
      "plugins: [{name: a, path: /a.so, config: {x: [1, {y: z}]}}, {path: /b/cee.so}]\n"
      "sinks: [{plugin: deployer, config: {a: 1}}, {plugin: proxy}]\n"
      "gateways: {addresses: merged, service: a/b}\n"
      "listen: {80: 127.0.0.1:8080, 443: [\"127.0.0.1:1\", \"[::1]:2\"]}\n"
      "default_endpoints: {\"*\": 127.0.0.1:9, a/b:80: [\"127.0.0.2:1\"]}\n"
      "balance: {\"*\": least_request, a/b:80: round_robin}\n"
      "limits: {uri_bytes: 300, body_bytes: 5}\n"
      "timeouts: {header: 1m30s, tunnel: 2h}\n"
      "trusted_proxies: [10.0.0.0/8]\n"
      "access_log: {format: json, path: /x}\n"
      "admin: {address: \"[::1]:9\", socket: /s, loopback: \"127.0.0.2:10\"}\n"
      "drain: {delay: 250ms}\n"
      "log: {level: debug}\n");
  CHECK(settings.proxy.workers == 3);
  REQUIRE(settings.sources.size() == 1);
  CHECK(settings.sources[0].config_json ==
        R"({"paths":["/etc/h/m"],"n":7,"f":1.5,"t":"1","b":true,"e":null})");
  REQUIRE(settings.sinks.size() == 1);
  CHECK(settings.sinks[0].plugin == "deployer");
  CHECK(settings.sinks[0].config_json == R"({"a":1})");
  CHECK(settings.translate.gateway_addresses == gateway::AddressSource::Merged);
  CHECK(settings.translate.gateway_service == "a/b");
  REQUIRE(settings.plugins.size() == 2);
  CHECK(settings.plugins[0].config_json == R"({"x":[1,{"y":"z"}]})");
  CHECK(settings.plugins[1].name == "cee");
  CHECK(settings.translate.listen_map.at(443).at(1) == route::Bind{"::1", 2});
  CHECK(settings.translate.default_endpoints.at("*").at(0).port == 9);
  CHECK(settings.translate.balance.at("*") == route::Balance::LeastRequest);
  CHECK(settings.translate.balance.at("a/b:80") == route::Balance::RoundRobin);
  CHECK(settings.proxy.limits.target_bytes == 300);
  CHECK(settings.proxy.body_bytes == 5);
  CHECK(settings.proxy.client.head == std::chrono::seconds(90));
  CHECK(settings.proxy.upstream.tunnel == std::chrono::hours(2));
  CHECK_FALSE(settings.proxy.trusted.empty());
  CHECK(settings.access_log == observe::AccessLogFormat::Json);
  CHECK(settings.admin == route::Bind{"::1", 9});
  CHECK(settings.admin_loopback == route::Bind{"127.0.0.2", 10});
  CHECK(settings.drain_delay == std::chrono::milliseconds(250));
  CHECK(settings.log_level == "debug");
}

TEST_CASE("A duration is one to four numbers with units") {
  CHECK(parseDuration("1h30m5s7ms") == std::chrono::milliseconds(5405007));
  CHECK(parseDuration("0s") == std::chrono::milliseconds(0));
  for (const char* text : {"", "5", "s", "1d", "1.5s", "123456s", "1s1s1s1s1s", " 1s", "1s "}) {
    CAPTURE(text);
    CHECK_FALSE(parseDuration(text).has_value());
  }
}

TEST_CASE("A change is named by its key, with whether a reload applies it") {
  std::vector<ConfigProblem> problems;
  const auto parse = [&](std::string_view text) {
    return parseConfigText(text, "f", "/", problems);
  };
  const auto changed = changedKeys(
      parse("workers: 1\ndrain: {delay: 1s}\nlisten: {80: 127.0.0.1:1}\nlog: {level: info}\n"),
      parse("workers: 2\ndrain: {delay: 2s, deadline: 1s}\nlog: {level: info}\n"));
  std::string text;
  for (const ChangedKey& key : changed) text += key.name + (key.live ? " live, " : " restart, ");
  CHECK(text == "workers restart, listen live, drain.delay live, drain.deadline live, ");
}

TEST_CASE("etc/hyperway.schema.json is what the code says") {
  CHECK(readAll(HYPERWAY_SOURCE_DIR "/etc/hyperway.schema.json") == configSchema());
}

TEST_CASE("The table of keys in docs/configuration.md is what the code says") {
  const std::string path = HYPERWAY_SOURCE_DIR "/docs/configuration.md";
  std::string text = readAll(path);
  constexpr std::string_view kBegin = "<!-- keys: made from core/app/config_keys.cpp -->\n";
  constexpr std::string_view kEnd = "<!-- end of keys -->";
  const std::size_t begin = text.find(kBegin);
  const std::size_t end = text.find(kEnd);
  REQUIRE(begin != std::string::npos);
  REQUIRE(end != std::string::npos);
  const std::size_t from = begin + kBegin.size();
  // HYPERWAY_UPDATE=1 writes the table instead of checking it.
  if (std::getenv("HYPERWAY_UPDATE") != nullptr) {
    text.replace(from, end - from, configTable());
    std::ofstream(path) << text;
  }
  CHECK(readAll(path).find(std::string(kBegin) + configTable() + std::string(kEnd)) !=
        std::string::npos);
}

TEST_CASE("The configurations in the manifests of deploy/ are right") {
  for (const char* name : {"/deploy/gateway-api-direct.yaml", "/deploy/gateway-api-merged.yaml"}) {
    CAPTURE(name);
    constexpr std::string_view kBegin = "  hyperway.yaml: |\n";
    const std::string manifest = readAll(std::string(HYPERWAY_SOURCE_DIR) + name);
    const std::size_t begin = manifest.find(kBegin);
    REQUIRE(begin != std::string::npos);
    std::istringstream lines(manifest.substr(begin + kBegin.size(),
                                             manifest.find("---", begin) - begin - kBegin.size()));
    std::string text;
    for (std::string line; std::getline(lines, line);)
      text += (line.size() > 4 ? line.substr(4) : std::string()) + '\n';
    CHECK(text.find("sources:") == 0);
    for (const ConfigProblem& problem : problemsOf(text)) FAIL(problem.text());
  }
}

TEST_CASE("The shipped configuration files are right, and local.yaml shows the defaults") {
  for (const char* name : {"/etc/local.yaml", "/etc/direct.yaml", "/etc/demo/hyperway.yaml"}) {
    CAPTURE(name);
    std::vector<ConfigProblem> problems;
    const auto document = readConfigFile(std::string(HYPERWAY_SOURCE_DIR) + name, problems);
    for (const ConfigProblem& problem : problems) FAIL(problem.text());
    REQUIRE(document.has_value());
  }
  std::vector<ConfigProblem> problems;
  const auto document = readConfigFile(HYPERWAY_SOURCE_DIR "/etc/local.yaml", problems);
  REQUIRE(document.has_value());
  Settings shown;
  readSettings(*document, shown);
  const Settings defaults;
  CHECK(shown.proxy.limits.head_bytes == defaults.proxy.limits.head_bytes);
  CHECK(shown.proxy.limits.target_bytes == defaults.proxy.limits.target_bytes);
  CHECK(shown.proxy.limits.fields == defaults.proxy.limits.fields);
  CHECK(shown.proxy.hold_bytes == defaults.proxy.hold_bytes);
  CHECK(shown.proxy.replay_bytes == defaults.proxy.replay_bytes);
  CHECK(shown.proxy.body_bytes == defaults.proxy.body_bytes);
  CHECK(shown.proxy.client.head == defaults.proxy.client.head);
  CHECK(shown.proxy.client.idle == defaults.proxy.client.idle);
  CHECK(shown.proxy.client.body == defaults.proxy.client.body);
  CHECK(shown.proxy.client.write == defaults.proxy.client.write);
  CHECK(shown.proxy.client.tunnel == defaults.proxy.client.tunnel);
  CHECK(shown.proxy.tls_handshake == defaults.proxy.tls_handshake);
  CHECK(shown.proxy.request == defaults.proxy.request);
  CHECK(shown.proxy.upstream.connect == defaults.proxy.upstream.connect);
  CHECK(shown.proxy.upstream.response == defaults.proxy.upstream.response);
  CHECK(shown.proxy.upstream.write == defaults.proxy.upstream.write);
  CHECK(shown.proxy.upstream.idle == defaults.proxy.upstream.idle);
  CHECK(shown.proxy.upstream.tunnel == defaults.proxy.upstream.tunnel);
  CHECK(shown.translate.default_addresses == defaults.translate.default_addresses);
  CHECK(shown.translate.controller_name == defaults.translate.controller_name);
  CHECK(shown.drain_delay == defaults.drain_delay);
  CHECK(shown.drain_deadline == defaults.drain_deadline);
  CHECK(shown.log_level == defaults.log_level);
  // Modes differ in where the wanted state comes from, what is done with it, and who gives Gateways
  // their addresses, in nothing else.
  const auto direct = readConfigFile(HYPERWAY_SOURCE_DIR "/etc/direct.yaml", problems);
  REQUIRE(direct.has_value());
  for (const ChangedKey& key : changedKeys(*document, *direct)) {
    CAPTURE(key.name);
    CHECK((key.name == "sources" || key.name == "sinks" || key.name == "gateways.addresses"));
  }
  // Each key is shown, if only in a comment.
  const std::string text = readAll(HYPERWAY_SOURCE_DIR "/etc/local.yaml");
  for (const Key& key : configKeys()) {
    CAPTURE(key.name);
    CHECK(text.find(key.name + ':') != std::string::npos);
    if (key.type == KeyType::Object)
      for (const Key& member : key.members)
        CHECK(text.find(member.name + ':') != std::string::npos);
  }
}

TEST_CASE("PROXY headers are expected on ports and from peers that both are named") {
  const Settings settings = settingsOf(
      "proxy_protocol: {ports: [8443, 80], trusted: [10.0.0.0/8]}\ntimeouts: {flow: 5m}\n");
  CHECK(settings.proxy.wantsProxyHeader(80));
  CHECK(settings.proxy.wantsProxyHeader(8443));
  CHECK_FALSE(settings.proxy.wantsProxyHeader(443));
  CHECK(settings.proxy.header_trusted.contains(*net::SocketAddress::parse("10.1.2.3", 1)));
  CHECK_FALSE(settings.proxy.header_trusted.contains(*net::SocketAddress::parse("11.1.2.3", 1)));
  CHECK(settings.proxy.flow_idle == std::chrono::minutes(5));
  for (const char* text : {"proxy_protocol: {ports: [80]}\n", "proxy_protocol: {trusted: [::1]}\n",
                           "proxy_protocol: {ports: [], trusted: [::1]}\n"}) {
    CAPTURE(text);
    const auto problems = problemsOf(text);
    REQUIRE(problems.size() == 1);
    CHECK(problems[0].text() ==
          "f.yaml:1: must have both \"ports\" and \"trusted\", or nothing (at /proxy_protocol)");
  }
  CHECK(problemsOf("proxy_protocol: {ports: [0], trusted: [::1]}\n").size() == 1);
}
