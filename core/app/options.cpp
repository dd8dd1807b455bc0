// SPDX-License-Identifier: Apache-2.0
#include "app/options.hpp"

#include <charconv>
#include <functional>
#include <string_view>

#include "base/nearest.hpp"

namespace hyperway::app {
namespace {

// Poco's option processor takes any unambiguous beginning of a name for the name ("--work"), which
// turns a typing error into a setting; so flags are read by a table of our own.
struct Flag {
  std::string_view name;
  bool has_value;
  std::string_view help;
  std::function<std::string(Options&, const std::string&)> take;  // returns what is wrong
};

std::string takeNumber(const std::string& text, std::optional<unsigned>& out) {
  unsigned number = 0;
  const char* end = text.data() + text.size();
  if (std::from_chars(text.data(), end, number).ptr != end || number == 0 || number > 1024)
    return '"' + text + "\" is no number of workers, 1 to 1024";
  out = number;
  return {};
}

std::string takeHeader(const std::string& text, Options& out) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos || colon == 0)
    return '"' + text + "\" is no header, as in \"X-Tenant: a\"";
  std::size_t value = colon + 1;
  while (value < text.size() && text[value] == ' ') ++value;
  out.headers.emplace_back(text.substr(0, colon), text.substr(value));
  return {};
}

std::function<std::string(Options&, const std::string&)> into(std::string Options::*member) {
  return [member](Options& options, const std::string& value) {
    options.*member = value;
    return value.empty() ? std::string("needs a value that is not empty") : std::string();
  };
}

const std::vector<Flag>& flags() {
  static const std::vector<Flag> all = {
      {"--config", true, "PATH  configuration file", into(&Options::config)},
      {"--gateway-api-config-file", true, "PATH  file or directory of manifests; may be repeated",
       [](Options& o, const std::string& v) {
         o.manifests.push_back(v);
         return v.empty() ? std::string("needs a path") : std::string();
       }},
      {"--workers", true, "N  worker threads; default: one for each core",
       [](Options& o, const std::string& v) { return takeNumber(v, o.workers); }},
      {"--plugin-dir", true,
       "DIR  where plugins are; default: ../lib/hyperway/plugins beside the binary",
       into(&Options::plugin_dir)},
      {"--socket", true,
       "PATH  admin socket of the running process, for status, explain, plugins and upgrade",
       into(&Options::socket)},
      {"--strict", false, "warnings count as errors, for check",
       [](Options& o, const std::string&) {
         o.strict = true;
         return std::string();
       }},
      {"--json", false, "print JSON, for status",
       [](Options& o, const std::string&) {
         o.json = true;
         return std::string();
       }},
      {"-H", true, "\"NAME: VALUE\"  header of the request, for explain; may be repeated",
       [](Options& o, const std::string& v) { return takeHeader(v, o); }},
      {"--log-dir", true, "DIR  log to a file in DIR", into(&Options::log_dir)},
      {"--log-file", true,
       "NAME  its name; default: proxy.log, of hyperway_controller gateway-controller.log",
       into(&Options::log_file)},
      {"--gateway-api-k8s-sync", false, "mode B: read a cluster, as a Pod of it or by KUBECONFIG",
       [](Options& o, const std::string&) {
         o.k8s_sync = true;
         return std::string();
       }},
      {"--gateway-api-k8s-namespace", true,
       "NS  mode B, hyperway_controller: read one namespace; empty: all",
       [](Options& o, const std::string& v) {
         o.k8s_namespace = v;
         return std::string();  // empty means all
       }},
      {"--gateway-api-k8s-poll-seconds", true,
       "N  mode B, hyperway_controller: list all again so often, as a safety net; default: 30",
       into(&Options::k8s_poll_seconds)},
      {"--gateway-api-k8s-controller-name", true, "NAME  which GatewayClasses are ours",
       into(&Options::k8s_controller_name)},
      {"--gateway-api-snapshot-name", true,
       "NAME  mode A: serve this RouteSnapshot; hyperway_controller: write it",
       into(&Options::snapshot_name)},
      {"--gateway-api-snapshot-namespace", true, "NS  mode A: its namespace; default: default",
       into(&Options::snapshot_namespace)},
      {"--gateway-api-snapshot-poll-seconds", true,
       "N  mode A: read it again so often, as a safety net; default: 5",
       into(&Options::snapshot_poll_seconds)},
  };
  return all;
}

std::optional<Command> commandOf(std::string_view word) {
  if (word == "run") return Command::Run;
  if (word == "check") return Command::Check;
  if (word == "explain") return Command::Explain;
  if (word == "status") return Command::Status;
  if (word == "plugins") return Command::Plugins;
  if (word == "upgrade") return Command::Upgrade;
  if (word == "version" || word == "--version") return Command::Version;
  if (word == "schema") return Command::Schema;
  if (word == "help" || word == "--help" || word == "-h") return Command::Help;
  return std::nullopt;
}

std::string wrongPoll(const std::string& text) {
  unsigned number = 0;
  const char* end = text.data() + text.size();
  if (std::from_chars(text.data(), end, number).ptr != end || number > 86400)
    return '"' + text + "\" is no number of seconds, 1 to 86400";
  return number == 0 ? "0 seconds would be a poll without pause; use 1 to 86400" : std::string();
}

class Reader {
 public:
  Reader(const std::vector<std::string>& arguments, std::vector<ConfigProblem>& problems,
         Program program)
      : arguments_(arguments), problems_(problems) {
    options_.program = program;
  }

  Options read() {
    std::size_t at = 0;
    if (!arguments_.empty())
      if (const auto command = commandOf(arguments_.front())) {
        options_.command = *command;
        ++at;
      }
    for (; at < arguments_.size(); ++at) {
      const std::string& word = arguments_[at];
      if (word.size() > 1 && word.front() == '-')
        readFlag(at);
      else
        readWord(word);
    }
    checkTogether();
    return std::move(options_);
  }

 private:
  void fail(std::string message) { problems_.push_back({"", 0, "", std::move(message), false}); }

  void readFlag(std::size_t& at) {
    const std::string& word = arguments_[at];
    const std::size_t equals = word.starts_with("--") ? word.find('=') : std::string::npos;
    const std::string name = word.substr(0, equals);
    for (const Flag& flag : flags()) {
      if (flag.name != name) continue;
      std::string value;
      if (flag.has_value && equals != std::string::npos)
        value = word.substr(equals + 1);
      else if (flag.has_value && at + 1 < arguments_.size())
        value = arguments_[++at];
      else if (flag.has_value)
        return fail(name + " needs a value");
      else if (equals != std::string::npos)
        return fail(name + " takes no value");
      if (const std::string wrong = flag.take(options_, value); !wrong.empty())
        fail(name + ": " + wrong);
      return;
    }
    std::vector<std::string> names;
    for (const Flag& flag : flags()) names.emplace_back(flag.name);
    const std::string near = nearest(name, names);
    fail("unknown flag " + name +
         (near.empty() ? "; see hyperway help" : "; did you mean " + near + "?"));
  }

  void readWord(const std::string& word) {
    if (options_.command == Command::Check) {
      options_.manifests.push_back(word);
    } else if (options_.command == Command::Explain && options_.method.empty()) {
      options_.method = word;
    } else if (options_.command == Command::Explain && options_.url.empty()) {
      options_.url = word;
    } else {
      const std::string near = nearest(word, {"run", "check", "explain", "status", "plugins",
                                              "upgrade", "version", "schema", "help"});
      fail("\"" + word + "\" is not understood" +
           (near.empty() ? "; see hyperway help" : "; did you mean " + near + "?"));
    }
  }

  void checkTogether() {
    const bool controller = options_.program == Program::Controller;
    if (!controller && options_.k8s_sync && !options_.snapshot_name.empty())
      fail(
          "--gateway-api-k8s-sync (mode B) and --gateway-api-snapshot-name (mode A) exclude each "
          "other; choose one");
    if (controller && options_.command == Command::Run && options_.config.empty() &&
        options_.snapshot_name.empty())
      fail(
          "hyperway_controller needs --gateway-api-snapshot-name, or --config with a "
          "snapshot_sink");
    if (!options_.k8s_poll_seconds.empty())
      if (const std::string wrong = wrongPoll(options_.k8s_poll_seconds); !wrong.empty())
        fail("--gateway-api-k8s-poll-seconds: " + wrong);
    if (!options_.snapshot_poll_seconds.empty())
      if (const std::string wrong = wrongPoll(options_.snapshot_poll_seconds); !wrong.empty())
        fail("--gateway-api-snapshot-poll-seconds: " + wrong);
    // A flow has no method.
    if (options_.command == Command::Explain && options_.url.empty() &&
        options_.method.find("://") != std::string::npos)
      options_.url = std::exchange(options_.method, {});
    if (options_.command == Command::Explain && options_.url.empty())
      fail(
          "explain needs a method and a URL, as in: hyperway explain GET "
          "http://shop.example.com/cart, or the URL of a flow, as in: hyperway explain "
          "tls://shop.example.com:443");
  }

  const std::vector<std::string>& arguments_;
  std::vector<ConfigProblem>& problems_;
  Options options_;
};

}  // namespace

Options parseOptions(const std::vector<std::string>& arguments,
                     std::vector<ConfigProblem>& problems, Program program) {
  return Reader(arguments, problems, program).read();
}

Program programOf(const std::string& path) {
  return path.substr(path.rfind('/') + 1) == "hyperway_controller" ? Program::Controller
                                                                   : Program::Gateway;
}

std::string usage(Program program) {
  if (program == Program::Controller)
    return "usage: hyperway_controller --gateway-api-snapshot-name NAME\n"
           "           [--gateway-api-snapshot-namespace NS] [--gateway-api-k8s-namespace NS]\n"
           "           [--gateway-api-k8s-poll-seconds N] [--gateway-api-k8s-controller-name "
           "NAME]\n"
           "           [--log-dir DIR] [--log-file NAME]\n"
           "       hyperway_controller --config PATH\n\n"
           "Reads the Gateway API of a cluster and writes one RouteSnapshot, for hyperway to "
           "serve. "
           "It is hyperway with\nother defaults; hyperway help has all flags and commands.\n";
  std::string out =
      "usage: hyperway [run] [--config PATH] [--gateway-api-config-file PATH]... [--workers N]\n"
      "       hyperway check [--strict] [--config PATH] [MANIFESTS...]\n"
      "       hyperway explain [METHOD] URL [-H \"NAME: VALUE\"]... [--socket PATH | --config PATH "
      "| "
      "MANIFESTS]\n"
      "       hyperway status [--json] [--socket PATH | MANIFESTS]\n"
      "       hyperway plugins [--socket PATH | --config PATH]\n"
      "       hyperway upgrade --socket PATH | --config PATH\n"
      "       hyperway version | schema | help\n\n"
      "MANIFESTS: --gateway-api-config-file PATH. Without a socket and without manifests, the "
      "socket is that of\n"
      "--config. docs/configuration.md describes the configuration file.\n\n";
  for (const Flag& flag : flags()) {
    std::string line = "  " + std::string(flag.name) + ' ' + std::string(flag.help);
    out += line + '\n';
  }
  return out;
}

}  // namespace hyperway::app
