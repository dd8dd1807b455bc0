// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "admin/server.hpp"
#include "app/admin_api.hpp"
#include "app/handover.hpp"
#include "app/plugin_log.hpp"
#include "app/proxy_adapter.hpp"
#include "app/settings.hpp"
#include "control/pipeline.hpp"
#include "observe/access_log.hpp"
#include "observe/process_log.hpp"
#include "plugin/filter_configs.hpp"
#include "plugin/registry.hpp"

namespace hyperway::app {

/// The running gateway: plugins, sources, pipeline, proxy, admin faces, in the order in which they
/// must begin and end. Made and driven by one thread, the main thread.
class GatewayProcess {
 public:
  /// Keeps the settings; touches nothing. `plugin_directory` is absolute. With `inherited` sockets
  /// another process serves, until beginServing().
  GatewayProcess(Settings settings, std::string plugin_directory, std::string version,
                 std::optional<HandedSockets> inherited = std::nullopt);
  GatewayProcess(const GatewayProcess&) = delete;
  GatewayProcess& operator=(const GatewayProcess&) = delete;
  /// stop()s.
  ~GatewayProcess();

  /// Loads plugins, starts everything. Problems are added if something must not be gone on with;
  /// then false.
  [[nodiscard]] bool start(std::vector<ConfigProblem>& problems);
  /// Applies live settings of a reload; see changedKeys().
  void reload(const Settings& settings, const std::vector<ChangedKey>& changed);
  /// Begins to accept, on data ports and admin faces, if another process served until now; it has
  /// opened the `late` listeners since it handed its sockets over. Throws std::runtime_error if the
  /// control thread is busy for more than 5 s.
  void beginServing(std::vector<proxy::HandedListener> late);
  /// To be called about once a second: retries busy ports, refreshes what is shown on data ports.
  void tick();
  /// Connections end after their current answer; not ready any more, still accepting.
  void beginDrain();
  /// Accepts no more.
  void stopAccepting();
  /// Duplicates of all sockets that listen, for a successor. Error: no descriptor is left.
  [[nodiscard]] Result<HandedSockets, std::string> duplicateSockets();
  /// Duplicates of the listeners alone; from here on none is opened, until goOn(). Error as above.
  [[nodiscard]] Result<std::vector<proxy::HandedListener>, std::string> lastListeners();
  /// Nothing comes of a successor: opens what came after lastListeners().
  void goOn();
  /// Runs `task` while no worker opens or closes a descriptor; false if one does not stand still.
  [[nodiscard]] bool whileStill(const std::function<void()>& task) const {
    return proxy_->whileWorkersStand(task);
  }
  /// A successor accepts: nothing more is accepted here, on no socket, and what was accepted ends
  /// after its current answer.
  void handOver();
  /// True once every listening socket is closed, after handOver().
  [[nodiscard]] bool stoppedAccepting() const { return handed_over_ && proxy_->stoppedAccepting(); }
  /// Binds at once what could not be bound: whoever was in the way is gone.
  void retryBinds();
  /// What is done on `POST /upgrade` on the admin socket, on its threads. Before start().
  void onUpgrade(std::function<admin::AdminAnswer()> upgrade) { upgrade_ = std::move(upgrade); }
  /// True once no connection is left.
  [[nodiscard]] bool idle() const;
  /// Ends everything. Idempotent.
  void stop();
  /// Opens log files anew.
  void reopenLogs();

  /// True once, when the process has become ready for the first time.
  [[nodiscard]] bool becameReady();
  /// What is degraded or rejected now, in one line each; empty if nothing is.
  [[nodiscard]] std::string healthText() const;
  /// The process log; from start() on.
  [[nodiscard]] observe::ProcessLog& log() { return *log_; }
  /// Settings in force.
  [[nodiscard]] const Settings& settings() const noexcept { return settings_; }

 private:
  void startAdmin();
  void makeApi();
  void openProbes(const admin::AdminServer::Handler& handler);
  void openInside(const admin::AdminServer::Handler& handler);
  [[nodiscard]] admin::AdminAnswer answerProbe(const admin::AdminRequest& request);
  [[nodiscard]] admin::AdminAnswer answerInside(const admin::AdminRequest& request);
  [[nodiscard]] admin::AdminAnswer readiness(bool verbose) const;
  [[nodiscard]] bool ready() const;
  [[nodiscard]] std::string metrics();
  [[nodiscard]] std::string collectMetrics() const;
  [[nodiscard]] std::string onControl(std::function<std::string()> task);
  [[nodiscard]] Result<std::vector<proxy::HandedListener>, std::string> duplicateListeners(
      bool last);
  [[nodiscard]] gateway::TranslateOptions translateOptions() const;
  void reloadPlugins();

  Settings settings_;
  std::string plugin_directory_;
  std::string version_;
  std::string session_secret_;
  const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
  std::optional<HandedSockets> inherited_;
  std::function<admin::AdminAnswer()> upgrade_;
  std::unique_ptr<observe::ProcessLog> log_;
  std::unique_ptr<PluginLines> plugin_log_;
  std::unique_ptr<observe::AccessLogWriter> access_log_;
  ProxyAdapter adapter_;
  std::unique_ptr<plugin::HostServices> services_;
  std::unique_ptr<plugin::PluginRegistry> registry_;
  std::unique_ptr<plugin::FilterConfigs> filters_;
  std::unique_ptr<proxy::ProxySink> proxy_;
  std::unique_ptr<control::Pipeline> pipeline_;
  std::vector<std::unique_ptr<control::Source>> sources_;
  std::vector<std::unique_ptr<control::Sink>> sinks_;  // beside the proxy
  std::unique_ptr<AdminApi> api_;
  std::string page_policy_;
  std::unique_ptr<admin::AdminServer> probes_;
  std::unique_ptr<admin::AdminServer> inside_;    // on the Unix socket
  std::unique_ptr<admin::AdminServer> loopback_;  // the same on a loopback address
  std::atomic<bool> draining_{false};
  std::atomic<bool> handed_over_{false};
  bool told_ready_ = false;
  bool stopped_ = false;
  std::mutex shown_mutex_;
  std::string shown_metrics_;  // for data ports, which must not wait
  int metrics_wanted_ = 0;     // ticks for which they are still kept fresh
  int ticks_ = 0;
};

}  // namespace hyperway::app
