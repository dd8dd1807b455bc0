// SPDX-License-Identifier: Apache-2.0
#include "app/commands.hpp"

#include <Poco/JSON/Object.h>
#include <Poco/JSON/Parser.h>
#include <sysexits.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <sstream>
#include <system_error>
#include <utility>

#include "admin/client.hpp"
#include "app/config_keys.hpp"
#include "app/explain.hpp"
#include "app/json_text.hpp"
#include "app/offline.hpp"
#include "app/options.hpp"
#include "app/plugin_set.hpp"
#include "app/reports.hpp"
#include "app/run.hpp"
#include "app/settings.hpp"

namespace hyperway::app {
namespace {

constexpr const char* kVersion = HYPERWAY_VERSION;

void say(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }
void complain(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stderr); }

int printProblems(const std::vector<ConfigProblem>& problems) {
  for (const ConfigProblem& problem : problems)
    complain((problem.file.empty() ? "hyperway: " : "") + problem.text() + '\n');
  return EX_CONFIG;
}

std::string fileSourceJson(const std::vector<std::string>& paths) {
  std::string out = "{\"paths\":[";
  for (const std::string& path : paths) out += (out.back() == '[' ? "" : ",") + jsonString(path);
  return out + "]}";
}

// A controller that needs no configuration file.
bool isControllerByFlags(const Options& options) {
  return options.program == Program::Controller && options.config.empty();
}

// The settings of a plugin, with whose classes are ours: that tells it apart from other
// installations.
Poco::JSON::Object::Ptr withController(const std::string& config_json, const Settings& settings) {
  Poco::JSON::Parser parser;
  auto root = parser.parse(config_json).extract<Poco::JSON::Object::Ptr>();
  if (!root->has("controller_name"))
    root->set("controller_name", settings.translate.controller_name);
  return root;
}

std::string textOf(const Poco::JSON::Object& root) {
  std::ostringstream out;
  root.stringify(out);
  return out.str();
}

// The settings of a k8s_source, with what flags and other keys say about it.
std::string k8sSourceJson(const std::string& config_json, const Options& options,
                          const Settings& settings) {
  auto root = withController(config_json, settings);
  if (!options.k8s_namespace.empty()) root->set("namespace", options.k8s_namespace);
  if (!options.k8s_poll_seconds.empty())
    root->set("poll_seconds", std::stoi(options.k8s_poll_seconds));
  const bool controller = isControllerByFlags(options);
  const bool writes =
      controller || std::any_of(settings.sinks.begin(), settings.sinks.end(),
                                [](const auto& spec) { return spec.plugin == "snapshot_sink"; });
  // Who serves nothing needs no endpoints; who writes down what there is has to have read it all.
  if ((controller || !settings.serves) && !root->has("endpoints")) root->set("endpoints", false);
  if (writes && !root->has("wait_for_forbidden")) root->set("wait_for_forbidden", true);
  return textOf(*root);
}

void completeKubernetes(const Options& options, Settings& settings) {
  const auto is_k8s = [](const InstanceSpec& spec) { return spec.plugin == "k8s_source"; };
  const bool named = std::any_of(settings.sources.begin(), settings.sources.end(), is_k8s);
  const bool wanted = options.k8s_sync || isControllerByFlags(options);
  if (wanted && !named) settings.sources.push_back({"k8s_source", "{}", 0});
  for (InstanceSpec& spec : settings.sources)
    if (is_k8s(spec)) spec.config_json = k8sSourceJson(spec.config_json, options, settings);
  for (InstanceSpec& spec : settings.sinks)
    if (spec.plugin == "gateway_deployer")
      spec.config_json = textOf(*withController(spec.config_json, settings));
}

// The settings of a snapshot_source or snapshot_sink, with what flags say of both.
void nameSnapshot(const Options& options, Poco::JSON::Object& root) {
  if (!options.snapshot_name.empty()) root.set("name", options.snapshot_name);
  if (!options.snapshot_namespace.empty()) root.set("namespace", options.snapshot_namespace);
}

// Mode A: a data plane's source, or a controller's sink.
void completeSnapshot(const Options& options, Settings& settings) {
  const bool controller = options.program == Program::Controller;
  const bool named =
      std::any_of(settings.sources.begin(), settings.sources.end(),
                  [](const InstanceSpec& spec) { return spec.plugin == "snapshot_source"; });
  if (!controller && !options.snapshot_name.empty() && !named)
    settings.sources.push_back({"snapshot_source", "{}", 0});
  if (isControllerByFlags(options)) {
    settings.serves = false;
    settings.sinks.push_back({"snapshot_sink", "{}", 0});
  }
  for (InstanceSpec& spec : settings.sources) {
    if (spec.plugin != "snapshot_source") continue;
    Poco::JSON::Parser parser;
    auto root = parser.parse(spec.config_json).extract<Poco::JSON::Object::Ptr>();
    nameSnapshot(options, *root);
    if (!options.snapshot_poll_seconds.empty())
      root->set("poll_seconds", std::stoi(options.snapshot_poll_seconds));
    spec.config_json = textOf(*root);
  }
  for (InstanceSpec& spec : settings.sinks) {
    if (spec.plugin != "snapshot_sink") continue;
    auto root = withController(spec.config_json, settings);
    nameSnapshot(options, *root);
    spec.config_json = textOf(*root);
  }
}

// Flags are shorthand for settings of the file; where both speak, the flag counts.
void applyOptions(const Options& options, Settings& settings) {
  if (options.workers) settings.proxy.workers = *options.workers;
  if (settings.proxy.workers == 0) settings.proxy.workers = coreCount();
  if (!options.manifests.empty())
    settings.sources.push_back({"file_source", fileSourceJson(options.manifests), 0});
  if (!options.k8s_controller_name.empty())
    settings.translate.controller_name = options.k8s_controller_name;
  completeKubernetes(options, settings);
  completeSnapshot(options, settings);
  if (!options.socket.empty() && options.command == Command::Run)
    settings.admin_socket = options.socket;
  if (!options.log_dir.empty() || !options.log_file.empty())
    settings.log_path = (options.log_dir.empty() ? "/tmp" : options.log_dir) + '/' +
                        (!options.log_file.empty()                ? options.log_file
                         : options.program == Program::Controller ? "gateway-controller.log"
                                                                  : "proxy.log");
  // Users of flags alone expect these paths where they always were (CONTRACT, Ops).
  if (options.config.empty()) settings.proxy.health_on_data_ports = true;
  for (const auto& own : {settings.admin, settings.admin_loopback})
    if (own) settings.translate.own_ports.push_back(*own);
}

// Manifests named on the command line stand for themselves; otherwise a socket is asked, --config's
// if none is named.
std::string socketToAsk(const Options& options, const Settings& settings) {
  if (!options.socket.empty()) return options.socket;
  return options.manifests.empty() ? settings.admin_socket : std::string();
}

constexpr std::chrono::seconds kAnswerLimit{15};
// Longer than whoever waits for a new process to become ready.
constexpr std::chrono::hours kUpgradeLimit{24};

int ask(const std::string& socket, const std::string& method, const std::string& target,
        const std::string& body, std::chrono::seconds limit = kAnswerLimit) {
  const auto answer = admin::askSocket(socket, method, target, body, limit);
  if (!answer) {
    complain("hyperway: " + answer.error() + '\n');
    return EX_UNAVAILABLE;
  }
  if (answer->status == 200) {
    say(answer->body);
    return EX_OK;
  }
  complain("hyperway: " + answer->body);
  return answer->status == 400 ? EX_USAGE : EX_SOFTWARE;
}

std::string counted(std::size_t number, const std::string& what) {
  return std::to_string(number) + ' ' + what + (number == 1 ? "" : "s");
}

int check(Offline& offline, bool strict) {
  std::vector<ConfigProblem> problems;
  const bool loaded = offline.load(problems);
  if (loaded)
    for (ConfigProblem& problem : offline.diagnose()) problems.push_back(std::move(problem));
  std::size_t errors = 0, warnings = 0;
  for (const ConfigProblem& problem : problems) {
    say(problem.text() + '\n');
    ++(problem.warning ? warnings : errors);
  }
  const bool fine = loaded && errors == 0 && !(strict && warnings > 0);
  std::string end = errors > 0 ? counted(errors, "error") : fine ? "ok" : "";
  if (warnings > 0) end += (end.empty() ? "" : ", ") + counted(warnings, "warning");
  if (!end.empty()) say(end + '\n');
  return fine ? EX_OK : EX_CONFIG;
}

int explainOffline(Offline& offline, const Options& options) {
  const auto question = makeQuestion(options.method, options.url, options.headers);
  if (!question) {
    complain("hyperway: " + question.error() + '\n');
    return EX_USAGE;
  }
  say(explainText(offline.compiler(), *question));
  return EX_OK;
}

int answerOffline(const Options& options, Settings settings, const std::string& plugin_directory) {
  const std::string controller = settings.translate.controller_name;
  const bool needs_sources =
      options.command != Command::Plugins && options.command != Command::Check;
  if (needs_sources && settings.sources.empty()) {
    complain("hyperway: nothing to read: give --socket, --config or --gateway-api-config-file\n");
    return EX_USAGE;
  }
  Offline offline(std::move(settings), plugin_directory, kVersion);
  std::vector<ConfigProblem> problems;
  if (options.command == Command::Check) return check(offline, options.strict);
  if (!offline.load(problems)) return printProblems(problems);
  if (options.command == Command::Explain) return explainOffline(offline, options);
  if (options.command == Command::Plugins)
    say(pluginsText(offline.plugins()));
  else
    say(options.json ? statusesJson(offline.statuses(), controller)
                     : statusesText(offline.statuses()));
  return EX_OK;
}

int upgrade(const std::string& socket) {
  if (!socket.empty()) return ask(socket, "POST", "/upgrade", "", kUpgradeLimit);
  complain(
      "hyperway: the process to upgrade is asked on its admin socket: give --socket, or --config "
      "with admin.socket; or send it SIGUSR2\n");
  return EX_USAGE;
}

int answer(const Options& options, Settings settings, const std::string& plugin_directory) {
  const std::string socket =
      options.command == Command::Check ? "" : socketToAsk(options, settings);
  if (options.command == Command::Upgrade) return upgrade(socket);
  if (socket.empty()) return answerOffline(options, std::move(settings), plugin_directory);
  switch (options.command) {
    case Command::Status: return ask(socket, "GET", options.json ? "/status?json" : "/status", "");
    case Command::Plugins: return ask(socket, "GET", "/plugins", "");
    default:
      return ask(socket, "POST", "/explain",
                 writeQuestion(options.method, options.url, options.headers));
  }
}

// Starts the gateway, in place of another process if `successor` is there. Problems are why not.
bool run(const Options& options, Settings settings, std::optional<ConfigNode> document,
         ProgramStart program, std::unique_ptr<Successor> successor,
         std::vector<ConfigProblem>& problems) {
  RunRequest request;
  request.settings = std::move(settings);
  request.document = document ? std::move(*document) : ConfigNode{};
  request.plugin_directory = pluginDirectory(options.plugin_dir);
  request.version = kVersion;
  request.program = std::move(program);
  request.successor = std::move(successor);
  request.reread = [options](const ConfigNode& again) {
    Settings out;
    out.file = options.config;
    readSettings(again, out);
    applyOptions(options, out);
    return out;
  };
  return runGateway(std::move(request), problems);
}

int dispatch(Program program, const std::string& name, const std::vector<std::string>& arguments) {
  std::vector<ConfigProblem> problems;
  const Options options = parseOptions(arguments, problems, program);
  if (!problems.empty()) {
    printProblems(problems);
    return EX_USAGE;
  }
  if (options.command == Command::Help) return say(usage(program)), EX_OK;
  if (options.command == Command::Version)
    return say("hyperway " + std::string(kVersion) + '\n'), EX_OK;
  if (options.command == Command::Schema) return say(configSchema()), EX_OK;
  auto successor =
      options.command == Command::Run ? Successor::ofEnvironment() : std::unique_ptr<Successor>();
  if (!successor) {
    complain("hyperway: upgrade: " + successor.error() + '\n');
    return EX_USAGE;
  }
  Settings settings;
  std::optional<ConfigNode> document;
  if (!options.config.empty()) {
    settings.file = options.config;
    document = readConfigFile(options.config, problems);
    if (!document) {
      if (*successor) (*successor)->fail(problems.front().text());
      return printProblems(problems);
    }
    readSettings(*document, settings);
  }
  applyOptions(options, settings);
  if (options.command != Command::Run)
    return answer(options, std::move(settings), pluginDirectory(options.plugin_dir));
  if (settings.sources.empty()) {
    constexpr const char* kNothing =
        "nothing to serve: give --config with sources, --gateway-api-config-file, "
        "--gateway-api-k8s-sync or --gateway-api-snapshot-name; see hyperway help";
    if (*successor) (*successor)->fail(kNothing);
    complain("hyperway: " + std::string(kNothing) + '\n');
    return EX_USAGE;
  }
  std::vector<std::string> start{name};
  start.insert(start.end(), arguments.begin(), arguments.end());
  if (run(options, std::move(settings), std::move(document), programStart(std::move(start)),
          std::move(*successor), problems))
    return EX_OK;
  return problems.empty() ? EX_SOFTWARE : printProblems(problems);
}

}  // namespace

int runProgram(const std::string& name, const std::vector<std::string>& arguments) {
  try {
    return dispatch(programOf(name), name, arguments);
  } catch (const std::system_error& error) {
    complain(std::string("hyperway: ") + error.what() + '\n');
    return EX_OSERR;
  } catch (const std::exception& error) {
    complain(std::string("hyperway: ") + error.what() + '\n');
    return EX_SOFTWARE;
  }
}

}  // namespace hyperway::app
