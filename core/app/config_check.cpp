// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <set>
#include <system_error>

#include "app/config_keys.hpp"
#include "app/config_values.hpp"
#include "base/json_pointer.hpp"
#include "base/nearest.hpp"
#include "net/address.hpp"

namespace hyperway::app {
namespace {

class Checker {
 public:
  Checker(const std::string& file, std::vector<ConfigProblem>& problems)
      : file_(file), problems_(problems) {}

  void object(const ConfigNode& node, const std::vector<Key>& keys, const JsonPointer& at) {
    if (node.type != ConfigNode::Type::Map) return fail(node, at, "must be a mapping");
    for (const ConfigNode::Member& member : node.members) {
      const auto found = std::find_if(keys.begin(), keys.end(),
                                      [&](const Key& key) { return key.name == member.name; });
      if (found != keys.end()) {
        value(member.value, *found, at / member.name);
        continue;
      }
      std::vector<std::string> names;
      for (const Key& key : keys) names.push_back(key.name);
      const std::string near = nearest(member.name, names);
      std::string known;
      for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
      problems_.push_back(
          {file_, member.line, (at / member.name).text(),
           "unknown key \"" + member.name + "\"" +
               (near.empty() ? "; known are: " + known : "; did you mean \"" + near + "\"?"),
           false});
    }
  }

 private:
  void fail(const ConfigNode& node, const JsonPointer& at, std::string message) {
    problems_.push_back({file_, node.line, at.text(), std::move(message), false});
  }

  void value(const ConfigNode& node, const Key& key, const JsonPointer& at) {
    // An empty value is an absent one, so that a key may be left with all its content commented
    // out.
    if (node.type == ConfigNode::Type::Null && node.text.empty()) return;
    switch (key.type) {
      case KeyType::Json: return;
      case KeyType::Object: object(node, key.members, at); return together(node, key, at);
      case KeyType::List: return list(node, key.members.front(), at);
      case KeyType::OneOrMore:
        return node.type == ConfigNode::Type::List ? list(node, key.members.front(), at)
                                                   : value(node, key.members.front(), at);
      case KeyType::Map: return map(node, key, at);
      default: return scalar(node, key, at);
    }
  }

  void together(const ConfigNode& node, const Key& key, const JsonPointer& at) {
    if (key.name != "proxy_protocol" || node.type != ConfigNode::Type::Map) return;
    const auto is_empty = [&](std::string_view name) {
      const ConfigNode* const found = node.find(name);
      return found == nullptr || found->items.empty();
    };
    if (is_empty("ports") != is_empty("trusted"))
      fail(node, at, "must have both \"ports\" and \"trusted\", or nothing");
  }

  void list(const ConfigNode& node, const Key& element, const JsonPointer& at) {
    if (node.type != ConfigNode::Type::List) return fail(node, at, "must be a list");
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      if (node.items[i].type == ConfigNode::Type::Null)
        fail(node.items[i], at / i, "must not be empty");
      else
        value(node.items[i], element, at / i);
    }
  }

  void map(const ConfigNode& node, const Key& key, const JsonPointer& at) {
    if (node.type != ConfigNode::Type::Map) return fail(node, at, "must be a mapping");
    for (const ConfigNode::Member& member : node.members) {
      if (key.name == "listen" && !parsePort(member.name))
        problems_.push_back({file_, member.line, (at / member.name).text(),
                             "\"" + member.name + "\" is no port, 1 to 65535", false});
      const bool of_services = key.name == "default_endpoints" || key.name == "balance";
      if (of_services && member.name != "*" && !isServicePort(member.name))
        problems_.push_back({file_, member.line, (at / member.name).text(),
                             "\"" + member.name + "\" is neither \"namespace/name:port\" nor \"*\"",
                             false});
      value(member.value, key.members.front(), at / member.name);
    }
  }

  void scalar(const ConfigNode& node, const Key& key, const JsonPointer& at) {
    if (!node.isScalar()) return fail(node, at, "must be a single value");
    const std::string wrong = reason(node, key);
    if (!wrong.empty()) fail(node, at, wrong);
  }

  static std::string reason(const ConfigNode& node, const Key& key) {
    const std::string quoted = '"' + node.text + '"';
    switch (key.type) {
      case KeyType::Integer: {
        std::int64_t number = 0;
        const char* end = node.text.data() + node.text.size();
        if (node.type != ConfigNode::Type::Integer) return "must be a whole number";
        const char* begin = node.text.data() + (node.text.front() == '+' ? 1 : 0);
        const bool fits = std::from_chars(begin, end, number).ec == std::errc{};
        if (!fits || number < key.least || number > key.most)
          return node.text + " is outside " + std::to_string(key.least) + ".." +
                 std::to_string(key.most);
        return {};
      }
      case KeyType::Boolean:
        return node.type == ConfigNode::Type::Boolean ? "" : "must be true or false";
      case KeyType::Duration:
        return parseDuration(node.text) ? ""
                                        : quoted + " is no duration: write 500ms, 15s, 1m30s or 1h";
      case KeyType::Address:
        return net::SocketAddress::parse(node.text, 0) ? "" : quoted + " is no IP address";
      case KeyType::Endpoint: {
        const auto bind = parseEndpoint(node.text);
        if (!bind) return quoted + " is no IP:port, as in 127.0.0.1:8080 or [::1]:8080";
        const auto address = net::SocketAddress::parse(bind->address, bind->port);
        return key.name == "loopback" && !(address && address->isLoopback())
                   ? quoted +
                         " is not on the loopback interface, as 127.0.0.1:9181 and [::1]:9181 are"
                   : "";
      }
      case KeyType::Cidr: {
        net::CidrSet set;
        return set.add(node.text) ? "" : quoted + " is no network, as in 10.0.0.0/8 or ::1";
      }
      default: break;
    }
    if (node.type != ConfigNode::Type::Text && key.type == KeyType::Text &&
        (key.values.empty() || node.type != ConfigNode::Type::Boolean))
      return "must be text";
    if (node.text.empty()) return "must not be empty";
    if (key.name == "sha256" &&
        (node.text.size() != 64 ||
         node.text.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos))
      return "must be 64 hex digits";
    if (key.values.empty()) return {};
    if (std::find(key.values.begin(), key.values.end(), node.text) != key.values.end()) return {};
    std::string known;
    for (const std::string& one : key.values) known += (known.empty() ? "" : ", ") + one;
    return quoted + " is none of: " + known;
  }

  const std::string& file_;
  std::vector<ConfigProblem>& problems_;
};

// Rules between keys, for a document whose every key is right by itself.
class TogetherChecker {
 public:
  TogetherChecker(const std::string& file, std::vector<ConfigProblem>& problems)
      : file_(file), problems_(problems) {}

  void check(const ConfigNode& document) {
    if (const ConfigNode* sinks = document.find("sinks")) checkSinks(*sinks);
    if (const ConfigNode* gateways = document.find("gateways")) checkGateways(*gateways, document);
  }

 private:
  void fail(const ConfigNode& node, std::string at, std::string message) {
    problems_.push_back({file_, node.line, std::move(at), std::move(message), false});
  }

  static std::string textOf(const ConfigNode& node, std::string_view name) {
    const ConfigNode* found = node.find(name);
    return found != nullptr ? found->text : std::string();
  }

  void checkSinks(const ConfigNode& sinks) {
    if (sinks.type != ConfigNode::Type::List) return;  // Empty: as if absent.
    std::set<std::string> seen;
    for (std::size_t i = 0; i < sinks.items.size(); ++i) {
      const ConfigNode& sink = sinks.items[i];
      const std::string plugin = textOf(sink, "plugin"), at = "/sinks/" + std::to_string(i);
      if (plugin.empty()) fail(sink, at, "needs a plugin");
      if (!seen.insert(plugin).second) fail(sink, at, "\"" + plugin + "\" is listed twice");
      const ConfigNode* config = sink.find("config");
      if (plugin == "proxy" && config != nullptr)
        fail(*config, at + "/config", "the proxy has no settings here");
    }
  }

  void checkGateways(const ConfigNode& gateways, const ConfigNode& document) {
    const std::string from = textOf(gateways, "addresses"), service = textOf(gateways, "service");
    const bool named = std::count(service.begin(), service.end(), '/') == 1 &&
                       !service.starts_with('/') && !service.ends_with('/');
    if (!service.empty() && !named)
      fail(gateways, "/gateways/service", "\"" + service + "\" is no \"namespace/name\"");
    if (from == "merged" && service.empty())
      fail(gateways, "/gateways", "`merged` needs a `service`");
    if (from != "merged" && !service.empty())
      fail(gateways, "/gateways/service", "belongs to `addresses: merged`");
    for (const char* other : {"listen", "address_pool"}) {
      const ConfigNode* found = document.find(other);
      const bool given = found != nullptr && !(found->items.empty() && found->members.empty());
      if (given && (from == "services" || from == "deployed" ||
                    (from == "merged" && other == std::string("address_pool"))))
        fail(*found, std::string("/") + other,
             "does not go with `gateways: {addresses: " + from + "}`");
    }
  }

  const std::string& file_;
  std::vector<ConfigProblem>& problems_;
};

}  // namespace

void checkConfig(const ConfigNode& document, const std::string& file,
                 std::vector<ConfigProblem>& problems) {
  const std::size_t before = problems.size();
  Checker(file, problems).object(document, configKeys(), JsonPointer());
  if (problems.size() == before) TogetherChecker(file, problems).check(document);
}

}  // namespace hyperway::app
