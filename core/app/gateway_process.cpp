// SPDX-License-Identifier: Apache-2.0
#include "app/gateway_process.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <future>
#include <stdexcept>
#include <utility>

#include "app/admin_page.hpp"
#include "app/explain.hpp"
#include "app/metrics_text.hpp"
#include "app/page_text.hpp"
#include "app/plugin_set.hpp"
#include "app/reports.hpp"
#include "app/sources.hpp"
#include "plugin/load_error.hpp"
#include "tls/context.hpp"

namespace hyperway::app {
namespace {

using observe::LogLevel;

constexpr std::uint16_t kAdminPort = 9180;
constexpr int kRetrySeconds = 5;
constexpr int kMetricsKeptTicks = 120;  // longer than anybody waits between two scrapes

std::string pairProblem(const std::string& chain, const std::string& key) {
  return tls::checkKeyPair({chain, key});
}

std::string anchorProblem(const std::string& pem) { return tls::checkAuthorities(pem); }

/// Bytes that nobody can guess.
std::string makeSecret() {
  std::array<unsigned char, 32> bytes;
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw std::runtime_error("the kernel has no random numbers for us");
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

}  // namespace

GatewayProcess::GatewayProcess(Settings settings, std::string plugin_directory, std::string version,
                               std::optional<HandedSockets> inherited)
    : settings_(std::move(settings)),
      plugin_directory_(std::move(plugin_directory)),
      version_(std::move(version)),
      session_secret_(makeSecret()),
      inherited_(std::move(inherited)) {
  // Nobody connects to a proxy that has no configuration.
  if (!settings_.serves) settings_.proxy.workers = 1;
}

GatewayProcess::~GatewayProcess() { stop(); }

bool GatewayProcess::start(std::vector<ConfigProblem>& problems) {
  log_ = std::make_unique<observe::ProcessLog>(observe::logLevel(settings_.log_level),
                                               settings_.log_path);
  plugin_log_ = std::make_unique<PluginLines>(*log_);
  const unsigned workers = settings_.proxy.workers;
  if (settings_.access_log != observe::AccessLogFormat::Off)
    access_log_ = std::make_unique<observe::AccessLogWriter>(settings_.access_log,
                                                             settings_.access_log_path, workers);

  proxy::ProxySink::Environment environment;
  environment.settings = settings_.proxy;
  environment.access_log = access_log_.get();
  environment.data_port_answer = [this](std::string_view path) -> std::optional<std::string> {
    if (path == "/healthz") return "ok\n";
    if (path != "/metrics") return std::nullopt;
    const std::lock_guard lock(shown_mutex_);
    metrics_wanted_ = kMetricsKeptTicks;
    return shown_metrics_;
  };
  environment.log = [this](std::string_view message) { log_->write(LogLevel::Warning, message); };
  environment.post_control = [this](std::function<void()> task) {
    pipeline_->post(std::move(task));
  };
  environment.acknowledge = [this](proxy::ProxyReport report) {
    adapter_.acknowledge(std::move(report));
  };
  environment.waits = inherited_.has_value();
  if (inherited_) environment.inherited = std::move(inherited_->listeners);
  proxy_ = std::make_unique<proxy::ProxySink>(std::move(environment));
  adapter_.attach(*proxy_);
  adapter_.onRuleProblem([this](const std::string& rule, const std::string& reason) {
    log_->write(LogLevel::Warning, "rule " + rule + " answers 500: " + reason);
  });

  plugin::HostServices::Options options;
  options.version = version_;
  options.workers = workers;
  options.log = plugin_log_.get();
  options.wake = proxy_.get();
  services_ = std::make_unique<plugin::HostServices>(options);
  registry_ = std::make_unique<plugin::PluginRegistry>(
      *services_, std::vector<std::string>{plugin_directory_}, std::vector<plugin::StaticPlugin>{});
  if (!checkNamedPlugins(settings_, plugin_directory_, problems)) return false;
  try {
    registry_->load(pluginSpecs(settings_, plugin_directory_));
  } catch (const plugin::LoadError& error) {
    problems.push_back({settings_.file, 0, "", error.what(), false});
    return false;
  }
  filters_ = std::make_unique<plugin::FilterConfigs>(*registry_);

  pipeline_ = std::make_unique<control::Pipeline>(translateOptions(), *filters_);
  if (settings_.serves) pipeline_->addSink(adapter_);
  if (!makeSinks(settings_, *registry_, sinks_, problems)) return false;
  for (const auto& sink : sinks_) pipeline_->addSink(*sink);
  if (!makeSources(settings_, *registry_, *pipeline_, sources_, problems)) return false;
  try {
    startAdmin();
    registry_->start();
  } catch (const std::exception& error) {
    problems.push_back({"", 0, "", error.what(), false});
    return false;
  }
  proxy_->start();
  std::string error;
  // Before the first request, while this thread is the control thread.
  if (settings_.proxy.health_on_data_ports) shown_metrics_ = collectMetrics();
  if (pipeline_->start(error)) return true;
  problems.push_back({settings_.file, 0, "", error, false});
  return false;
}

void GatewayProcess::startAdmin() {
  openProbes([this](const admin::AdminRequest& request) { return answerProbe(request); });
  makeApi();
  openInside([this](const admin::AdminRequest& request) { return answerInside(request); });
}

void GatewayProcess::openProbes(const admin::AdminServer::Handler& handler) {
  const auto begin = inherited_ ? admin::Begin::Later : admin::Begin::Now;
  // Where it was chosen by nobody, wherever the process before us had it.
  if (inherited_ && inherited_->probes.socket &&
      (!settings_.admin || *settings_.admin == inherited_->probes.bind)) {
    probes_ = admin::AdminServer::onInherited(std::move(inherited_->probes.socket), "",
                                              admin::Callers::Any, handler);
  } else if (settings_.admin) {
    probes_ = admin::AdminServer::onAddress(settings_.admin->address, settings_.admin->port,
                                            handler, begin);
  } else {
    // Nobody chose the port, so a second gateway on this machine takes the next one.
    std::string first_reason;
    for (std::uint16_t port = kAdminPort; !probes_ && port < kAdminPort + 20; ++port) {
      try {
        probes_ = admin::AdminServer::onAddress("127.0.0.1", port, handler, begin);
      } catch (const std::runtime_error& error) {
        if (first_reason.empty()) first_reason = error.what();
      }
    }
    if (!probes_) throw std::runtime_error(first_reason + "; admin.address chooses another");
  }
  if (!settings_.admin)
    log_->write(LogLevel::Info,
                "probes and metrics on 127.0.0.1:" + std::to_string(probes_->port()));
}

void GatewayProcess::makeApi() {
  AdminApi::Parts parts;
  parts.version = version_;
  parts.settings = &settings_;
  parts.pipeline = pipeline_.get();
  parts.proxy = proxy_.get();
  parts.registry = registry_.get();
  parts.metrics = &services_->metrics();
  parts.started = started_;
  parts.readiness = [this] {
    const std::string text = readiness(false).body;
    return text.substr(0, text.find('\n'));
  };
  parts.on_control = [this](std::function<std::string()> task) {
    return onControl(std::move(task));
  };
  api_ = std::make_unique<AdminApi>(std::move(parts));
  page_policy_ = pagePolicy(pageHtml());
}

void GatewayProcess::openInside(const admin::AdminServer::Handler& handler) {
  const auto begin = inherited_ ? admin::Begin::Later : admin::Begin::Now;
  if (!settings_.admin_socket.empty()) {
    // Whoever may connect to it may do what a signal could.
    const auto with_upgrade = [this, handler](const admin::AdminRequest& request) {
      if (request.path != "/upgrade" || !upgrade_) return handler(request);
      if (request.method == "POST") return upgrade_();
      return admin::AdminAnswer{405, "text/plain", "POST only\n"};
    };
    if (inherited_ && inherited_->admin_socket && inherited_->admin_path == settings_.admin_socket)
      inside_ = admin::AdminServer::onInherited(std::move(inherited_->admin_socket),
                                                settings_.admin_socket, admin::Callers::Any,
                                                with_upgrade);
    else
      inside_ = admin::AdminServer::onSocket(settings_.admin_socket, with_upgrade, begin);
  }
  if (!settings_.admin_loopback) return;
  if (inherited_ && inherited_->loopback.socket &&
      inherited_->loopback.bind == *settings_.admin_loopback)
    loopback_ = admin::AdminServer::onInherited(std::move(inherited_->loopback.socket), "",
                                                admin::Callers::LocalNamesOnly, handler);
  else
    loopback_ = admin::AdminServer::onLoopback(settings_.admin_loopback->address,
                                               settings_.admin_loopback->port, handler, begin);
}

// A task whose result came too late runs all the same: it must own what it needs.
std::string GatewayProcess::onControl(std::function<std::string()> task) {
  auto promise = std::make_shared<std::promise<std::string>>();
  std::future<std::string> result = promise->get_future();
  pipeline_->post([promise, task = std::move(task)] {
    try {
      promise->set_value(task());
    } catch (...) {
      promise->set_exception(std::current_exception());
    }
  });
  if (result.wait_for(std::chrono::seconds(5)) != std::future_status::ready)
    throw std::runtime_error("the control thread is busy; try again");
  return result.get();
}

bool GatewayProcess::ready() const {
  if (draining_) return false;
  const control::PipelineHealth health = pipeline_->health();
  return health.synced && health.programmed;
}

admin::AdminAnswer GatewayProcess::readiness(bool verbose) const {
  const control::PipelineHealth health = pipeline_->health();
  admin::AdminAnswer out;
  const bool is_ready = !draining_ && health.synced && health.programmed;
  out.status = is_ready ? 200 : 503;
  out.body = is_ready         ? "ready\n"
             : draining_      ? "not ready: ending\n"
             : !health.synced ? "not ready: waiting for the first complete list of every source\n"
                              : "not ready: the first configuration is not in force yet\n";
  if (!verbose) return out;
  out.body += "generation " + std::to_string(health.generation) + '\n';
  for (const std::string& line : health.degraded) out.body += "degraded: " + line + '\n';
  for (const std::string& line : health.rejected) out.body += "rejected: " + line + '\n';
  return out;
}

admin::AdminAnswer GatewayProcess::answerProbe(const admin::AdminRequest& request) {
  const bool known =
      request.path == "/healthz" || request.path == "/readyz" || request.path == "/metrics";
  if (!known)
    return {404, "text/plain", "known here: /healthz, /readyz, /readyz?verbose, /metrics\n"};
  if (request.method != "GET") return {405, "text/plain", "GET only\n"};
  if (request.path == "/healthz") return {200, "text/plain", "ok\n"};
  if (request.path == "/readyz") return readiness(request.query.starts_with("verbose"));
  return {200, "text/plain; version=0.0.4; charset=utf-8", metrics()};
}

admin::AdminAnswer GatewayProcess::answerInside(const admin::AdminRequest& request) {
  if (request.method == "GET" && request.path == "/status")
    return {200, request.query == "json" ? "application/json" : "text/plain",
            onControl([this, as_json = request.query == "json"] {
              const auto statuses = pipeline_->translator().statuses();
              return as_json ? statusesJson(statuses, settings_.translate.controller_name)
                             : statusesText(statuses);
            })};
  if (request.method == "GET" && request.path == "/plugins")
    return {200, "text/plain", onControl([this] { return pluginsText(registry_->list()); })};
  if (request.path == "/explain" && (request.method == "GET" || request.method == "POST")) {
    const auto question =
        request.method == "GET" ? questionOfForm(request.query) : readQuestion(request.body);
    if (!question) return {400, "text/plain", question.error() + "\n"};
    return {200, "text/plain", onControl([this, asked = *question] {
              return explainText(proxy_->compiler(), asked);
            })};
  }
  if (request.method == "GET" && request.path == "/config")
    return {200, "text/plain", onControl([this] { return configText(proxy_->compiler()); })};
  if (request.method == "GET" && request.path == "/")
    return {200, "text/html; charset=utf-8", std::string(pageHtml()), page_policy_};
  if (auto answer = api_->answer(request)) return std::move(*answer);
  if (request.path == "/loglevel" && (request.method == "GET" || request.method == "PUT")) {
    if (request.method == "PUT") {
      if (request.body != "off" && observe::logLevel(request.body) == LogLevel::Info &&
          request.body != "info")
        return {400, "text/plain", "one of: debug, info, warning, error, off\n"};
      log_->setLevel(observe::logLevel(request.body));
    }
    for (const char* name : {"debug", "info", "warning", "error"})
      if (log_->enabled(observe::logLevel(name)))
        return {200, "text/plain", std::string(name) + '\n'};
    return {200, "text/plain", "off\n"};
  }
  if (request.path == "/readyz") return readiness(true);
  return {404, "text/plain",
          "known here: GET / /status /plugins /config /explain /readyz /loglevel /api/summary, PUT "
          "/loglevel, POST /explain\n"};
}

std::string GatewayProcess::metrics() {
  return onControl([this] { return collectMetrics(); });
}

std::string GatewayProcess::collectMetrics() const {
  MetricsInput input;
  input.version = version_;
  input.proxy = proxy_.get();
  input.access_log = access_log_.get();
  input.process_log = log_.get();
  input.translator = &pipeline_->translator();
  input.ready = ready();
  input.started = std::chrono::system_clock::to_time_t(started_);
  if (const auto changes = pipeline_->changes(); !changes.empty())
    input.last_change = std::chrono::system_clock::to_time_t(changes.front().at);
  input.health = pipeline_->health();
  input.plugin_series = services_->metrics().collect();
  return metricsText(input);
}

void GatewayProcess::reload(const Settings& settings, const std::vector<ChangedKey>& changed) {
  bool translation = false;
  std::string applied, waiting;
  for (const ChangedKey& key : changed) {
    (key.live ? applied : waiting) += ' ' + key.name;
    translation =
        translation || (key.live && key.name != "plugins" && !key.name.starts_with("drain.") &&
                        !key.name.starts_with("upgrade.") && !key.name.starts_with("log."));
  }
  settings_.drain_delay = settings.drain_delay;
  settings_.drain_deadline = settings.drain_deadline;
  settings_.upgrade_deadline = settings.upgrade_deadline;
  settings_.log_level = settings.log_level;
  settings_.plugins = settings.plugins;
  settings_.translate = settings.translate;
  log_->setLevel(observe::logLevel(settings_.log_level));
  pipeline_->post([this] { reloadPlugins(); });
  if (translation)
    pipeline_->post([this, options = translateOptions()]() mutable {
      pipeline_->reconfigure(std::move(options));
    });
  if (!applied.empty()) log_->write(LogLevel::Info, "configuration: applied" + applied);
  if (!waiting.empty())
    log_->write(LogLevel::Warning, "configuration: a restart is needed for" + waiting);
}

/// What is configured, with what only a process that serves can say.
gateway::TranslateOptions GatewayProcess::translateOptions() const {
  gateway::TranslateOptions options = settings_.translate;
  options.report_programmed = false;
  options.check_certificate = pairProblem;
  options.check_authorities = anchorProblem;
  options.session_secret = session_secret_;
  return options;
}

void GatewayProcess::reloadPlugins() {
  plugin::ReloadReport report = registry_->reload(pluginSpecs(settings_, plugin_directory_));
  for (const std::string& name : report.replaced)
    log_->write(LogLevel::Info, "plugin " + name + " replaced");
  for (const std::string& why : report.refused)
    log_->write(LogLevel::Error, "plugin refused: " + why);
  if (!report.filter_classes.empty())
    pipeline_->publishOutcome(pipeline_->translator().rebindFilters(report.filter_classes));
}

void GatewayProcess::tick() {
  if (++ticks_ % kRetrySeconds == 0)
    pipeline_->post([this] {
      proxy_->retryBinds();
      proxy_->rereadAuthorities();
    });
  if (!settings_.proxy.health_on_data_ports) return;
  {
    // Thousands of rules make a text that takes milliseconds: only while somebody reads it.
    const std::lock_guard lock(shown_mutex_);
    if (!shown_metrics_.empty() && metrics_wanted_ == 0) return;
    if (metrics_wanted_ != 0) --metrics_wanted_;
  }
  try {
    std::string text = metrics();
    const std::lock_guard lock(shown_mutex_);
    shown_metrics_ = std::move(text);
  } catch (const std::runtime_error&) {
    // The control thread has a large change to work on: the old text stays.
  }
}

bool GatewayProcess::becameReady() {
  if (told_ready_ || !ready()) return false;
  return told_ready_ = true;
}

std::string GatewayProcess::healthText() const {
  const control::PipelineHealth health = pipeline_->health();
  std::string out;
  for (const std::string& line : health.degraded)
    out += (out.empty() ? "degraded: " : "; degraded: ") + line;
  for (const std::string& line : health.rejected)
    out += (out.empty() ? "rejected: " : "; rejected: ") + line;
  return out;
}

void GatewayProcess::beginServing(std::vector<proxy::HandedListener> late) {
  if (!inherited_) return;
  for (const auto& face : {&probes_, &inside_, &loopback_})
    if (*face) (*face)->begin();
  // The file of a socket that is not wanted any more is ours to remove, too.
  if (inherited_->admin_socket) ::unlink(inherited_->admin_path.c_str());
  inherited_.reset();
  const auto listeners = std::make_shared<std::vector<proxy::HandedListener>>(std::move(late));
  (void)onControl([this, listeners] {
    proxy_->beginAccepting(std::move(*listeners));
    return std::string();
  });
}

Result<std::vector<proxy::HandedListener>, std::string> GatewayProcess::duplicateListeners(
    bool last) {
  using Listeners = Result<std::vector<proxy::HandedListener>, std::string>;
  // Shared: if the control thread is busy, its answer comes when nobody waits any more.
  const auto listeners = std::make_shared<Listeners>(std::vector<proxy::HandedListener>{});
  try {
    (void)onControl([this, listeners, last] {
      if (last) proxy_->openNew(false);
      *listeners = proxy_->duplicateSockets();
      return std::string();
    });
  } catch (const std::runtime_error& error) {
    return fail(std::string(error.what()));
  }
  return std::move(*listeners);
}

Result<std::vector<proxy::HandedListener>, std::string> GatewayProcess::lastListeners() {
  return duplicateListeners(true);
}

void GatewayProcess::goOn() {
  pipeline_->post([this] { proxy_->openNew(true); });
}

Result<HandedSockets, std::string> GatewayProcess::duplicateSockets() {
  auto listeners = duplicateListeners(false);
  if (!listeners) return fail(listeners.error());
  HandedSockets out;
  out.listeners = std::move(*listeners);
  if (probes_)
    out.probes = {settings_.admin.value_or(route::Bind{"127.0.0.1", probes_->port()}),
                  probes_->duplicateSocket()};
  if (loopback_) out.loopback = {*settings_.admin_loopback, loopback_->duplicateSocket()};
  if (inside_) {
    out.admin_path = settings_.admin_socket;
    out.admin_socket = inside_->duplicateSocket();
  }
  const bool all = (!probes_ || out.probes.socket) && (!loopback_ || out.loopback.socket) &&
                   (!inside_ || out.admin_socket);
  if (!all) return fail(std::string("no descriptor is left to hand sockets over with"));
  return out;
}

void GatewayProcess::handOver() {
  for (const auto& face : {&probes_, &inside_, &loopback_})
    if (*face) (*face)->letGo();
  // Still ready, by what was accepted on the probe port: the service is.
  pipeline_->post([this] {
    proxy_->beginDrain();
    proxy_->stopAccepting();
    handed_over_ = true;
  });
}

void GatewayProcess::retryBinds() {
  pipeline_->post([this] { proxy_->retryBinds(); });
}

void GatewayProcess::beginDrain() {
  // Workers first: whoever sees "not ready" may rely on answers that say close.
  (void)onControl([this] {
    proxy_->beginDrain();
    return std::string();
  });
  draining_ = true;
}

void GatewayProcess::stopAccepting() {
  (void)onControl([this] {
    proxy_->stopAccepting();
    return std::string();
  });
}

bool GatewayProcess::idle() const { return proxy_->idle(); }

void GatewayProcess::reopenLogs() {
  log_->reopen();
  if (access_log_) access_log_->reopen();
}

void GatewayProcess::stop() {
  if (std::exchange(stopped_, true)) return;
  // No questions any more; then whoever publishes, whoever serves; then plugins' threads, which may
  // wake streams until they are joined; then what holds plugins' objects; the services that plugins
  // use last.
  probes_.reset();
  inside_.reset();
  loopback_.reset();
  if (pipeline_) pipeline_->stop();
  if (proxy_) proxy_->stop();
  api_.reset();  // a task of it that came too late may have run until now
  sources_.clear();
  sinks_.clear();
  registry_.reset();
  pipeline_.reset();
  proxy_.reset();
  filters_.reset();
  services_.reset();
  access_log_.reset();
}

}  // namespace hyperway::app
