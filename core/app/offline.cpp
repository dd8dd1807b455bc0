// SPDX-License-Identifier: Apache-2.0
#include "app/offline.hpp"

#include <algorithm>
#include <chrono>
#include <future>
#include <map>
#include <utility>

#include "app/plugin_set.hpp"
#include "app/sources.hpp"
#include "plugin/load_error.hpp"
#include "tls/context.hpp"

namespace hyperway::app {
namespace {

constexpr std::chrono::seconds kFirstList{60};

// "path:line: message" as file_source reports it; what has no line stays a message.
ConfigProblem fromHealth(const std::string& line) {
  const std::size_t colon = line.find(": ");
  const std::size_t number = colon == std::string::npos ? colon : line.rfind(':', colon - 1);
  if (number == std::string::npos || number + 1 >= colon ||
      line.find_first_not_of("0123456789", number + 1) != colon)
    return {"", 0, "", line, false};
  return {line.substr(0, number), std::stoul(line.substr(number + 1, colon - number - 1)), "",
          line.substr(colon + 2), false};
}

}  // namespace

// Compiles and keeps what could not be compiled.
class Offline::CompileSink final : public control::Sink {
 public:
  explicit CompileSink(route::Compiler& compiler) : compiler_(compiler) {}
  [[nodiscard]] std::string_view id() const noexcept override { return "compile"; }
  void onAcknowledge(Acknowledge /*acknowledge*/) override {}
  [[nodiscard]] bool apply(std::uint64_t /*generation*/, const route::ModelBatch& batch) override {
    for (auto& [rule, reason] : compiler_.apply(batch).problems) problems_[rule] = reason;
    return true;
  }
  void stop() override {}
  [[nodiscard]] const std::map<std::string, std::string>& problems() const { return problems_; }

 private:
  route::Compiler& compiler_;
  std::map<std::string, std::string> problems_;
};

Offline::Offline(Settings settings, std::string plugin_directory, std::string version)
    : settings_(std::move(settings)), plugin_directory_(std::move(plugin_directory)) {
  plugin::HostServices::Options options;
  options.version = std::move(version);
  services_ = std::make_unique<plugin::HostServices>(options);
  registry_ = std::make_unique<plugin::PluginRegistry>(
      *services_, std::vector<std::string>{plugin_directory_}, std::vector<plugin::StaticPlugin>{});
}

Offline::~Offline() {
  if (pipeline_) pipeline_->stop();
  sources_.clear();
}

bool Offline::load(std::vector<ConfigProblem>& problems) {
  if (!checkNamedPlugins(settings_, plugin_directory_, problems)) return false;
  try {
    registry_->load(pluginSpecs(settings_, plugin_directory_));
  } catch (const plugin::LoadError& error) {
    problems.push_back({settings_.file, 0, "", error.what(), false});
    return false;
  }
  filters_ = std::make_unique<plugin::FilterConfigs>(*registry_);
  sink_ = std::make_unique<CompileSink>(compiler_);
  gateway::TranslateOptions translate = settings_.translate;
  translate.report_programmed = true;
  translate.find_unknown_fields = true;
  translate.check_authorities = [](const std::string& pem) { return tls::checkAuthorities(pem); };
  translate.check_certificate = [](const std::string& chain, const std::string& key) {
    return tls::checkKeyPair({chain, key});
  };
  pipeline_ = std::make_unique<control::Pipeline>(std::move(translate), *filters_);
  pipeline_->addSink(*sink_);
  {
    // Made to check their settings, and given nothing.
    std::vector<std::unique_ptr<control::Sink>> sinks;
    if (!makeSinks(settings_, *registry_, sinks, problems)) return false;
  }
  if (!makeSources(settings_, *registry_, *pipeline_, sources_, problems)) return false;
  std::string error;
  if (!pipeline_->start(error)) {
    problems.push_back({settings_.file, 0, "", error, false});
    return false;
  }
  if (sources_.empty() || pipeline_->drain(kFirstList)) return true;
  problems.push_back(
      {settings_.file, 0, "", "no source gave a complete list within a minute", false});
  return false;
}

void Offline::onControl(const std::function<void()>& task) {
  // Shared: the control thread may still be inside set_value() when the waiting one goes on.
  const auto done = std::make_shared<std::promise<void>>();
  std::future<void> result = done->get_future();
  pipeline_->post([&task, done] {
    task();
    done->set_value();
  });
  result.wait();
}

ConfigProblem Offline::located(const std::string& object, const std::string& pointer,
                               std::string message, bool warning) {
  ConfigProblem out{"", 0, pointer, object + ": " + std::move(message), warning};
  for (const auto& source : sources_) {
    const std::string place = source->locate(object, pointer);
    const std::size_t colon = place.rfind(':');
    if (place.empty()) continue;
    out.file = place.substr(0, colon);
    if (colon != std::string::npos &&
        place.find_first_not_of("0123456789", colon + 1) == std::string::npos)
      out.line = std::stoul(place.substr(colon + 1));
    break;
  }
  return out;
}

std::vector<ConfigProblem> Offline::diagnose() {
  std::vector<ConfigProblem> out;
  for (const std::string& entry : pipeline_->health().degraded) {
    // "source: line\nline…"
    std::string_view rest = entry;
    rest.remove_prefix(std::min(rest.size(), rest.find(": ") + 2));
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      out.push_back(fromHealth(std::string(line)));
    }
  }
  onControl([&] {
    for (const auto& found : pipeline_->translator().diagnose())
      out.push_back(located(found.object, found.problem.pointer, found.problem.message,
                            found.problem.severity == Severity::Warning));
    for (const auto& [rule, reason] : sink_->problems()) {
      const std::size_t slash = rule.rfind('/');
      const bool has_kind = std::count(rule.begin(), rule.end(), '/') > 2;
      out.push_back(located((has_kind ? "" : "HTTPRoute/") + rule.substr(0, slash),
                            "/spec/rules/" + rule.substr(slash + 1), reason, false));
    }
  });
  return out;
}

std::vector<gateway::ObjectStatus> Offline::statuses() {
  std::vector<gateway::ObjectStatus> out;
  onControl([&] { out = pipeline_->translator().statuses(); });
  return out;
}

}  // namespace hyperway::app
