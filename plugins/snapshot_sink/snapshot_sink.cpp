// SPDX-License-Identifier: Apache-2.0
#include "snapshot_sink.hpp"

#include <unistd.h>

#include <chrono>
#include <future>
#include <random>
#include <utility>

#include "k8s_client/config.hpp"
#include "k8s_client/json_text.hpp"
#include "k8s_client/time_text.hpp"

namespace hyperway::snapshot_sink {
namespace {

// How long the end waits for the Lease to be given up.
constexpr std::chrono::seconds kRelease{1};

// The Pod's name, and something that tells processes apart.
std::string identity() {
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  return std::string(host) + '_' + std::to_string(::getpid()) + '_' +
         std::to_string(std::random_device{}());
}

}  // namespace

SnapshotSink::SnapshotSink(sdk::Setup& setup, sdk::SinkAck ack)
    : settings_(readSettings(setup)),
      ack_(ack),
      log_(setup.log()),
      clock_(setup.services()),
      written_(setup.counter("snapshot_sink_writes_total",
                             "Writes to the RouteSnapshot and its parts.", {{"result", "done"}})),
      refused_(setup.counter("snapshot_sink_writes_total",
                             "Writes to the RouteSnapshot and its parts.",
                             {{"result", "refused"}})),
      failed_(setup.counter("snapshot_sink_writes_total",
                            "Writes to the RouteSnapshot and its parts.", {{"result", "failed"}})),
      leads_(setup.gauge("snapshot_sink_leader", "1 while this replica writes.")) {}

SnapshotSink::~SnapshotSink() { stop(); }

bool SnapshotSink::begin(std::string& error) {
  auto config = k8s_client::loadConfig(settings_.kubeconfig, settings_.context,
                                       k8s_client::processEnvironment(), error);
  if (!config) return false;
  std::string lease_namespace = settings_.lease_namespace;
  if (lease_namespace.empty()) lease_namespace = config->name_space;
  if (lease_namespace.empty()) lease_namespace = "default";
  client_ = std::make_unique<k8s_client::Client>(std::move(*config), "hyperway/snapshot_sink");
  Writer::Listener listener;
  listener.written = [this](std::uint64_t generation) {
    if (std::exchange(told_, generation) != generation) ack_(generation, "");
  };
  listener.programmed = [this](const auto& reports) { tellProgrammed(reports); };
  listener.trouble = [this](const std::string& trouble) { tellTrouble(trouble); };
  listener.attempted = [this](const std::string& what, const k8s_client::Error& problem) {
    tellAttempt(what, problem);
  };
  listener.now = [this] { return k8s_client::timeText(clock_.wall()); };
  snapshots_ = std::make_unique<SnapshotSet>(*client_, settings_, std::move(listener));
  k8s_client::Lease::Options options;
  options.name_space = std::move(lease_namespace);
  options.name = settings_.lease_name;
  options.identity = identity();
  lease_ = std::make_unique<k8s_client::Lease>(
      *client_, std::move(options), [this](bool held) { tellLead(held); },
      [this](const k8s_client::Error& problem) {
        log_.write(sdk::Level::Warning, "the Lease cannot be had", {{"why", problem.text()}});
      });
  client_->start();
  client_->post([this] {
    snapshots_->start();
    lease_->start();
  });
  return true;
}

hw_status SnapshotSink::apply(std::uint64_t generation, std::uint32_t flags,
                              std::string_view batch) {
  std::string error;
  auto read = readBatch(batch, error);
  if (!read) {
    log_.write(sdk::Level::Error, error);
    return HW_INVALID;
  }
  if (!client_ && read->statuses_only) return HW_NEED_FULL;
  if (!client_ && !begin(error)) {
    log_.write(sdk::Level::Error, "no cluster to write to", {{"why", error}});
    std::string report = R"({"refused":true,"reason":)";
    k8s_client::appendText(report, error);
    ack_(generation, report + '}');
    return HW_NEED_FULL;
  }
  read->full = (flags & HW_APPLY_FULL) != 0;
  generation_.store(generation, std::memory_order_release);
  client_->post([this, generation, taken = std::move(*read)]() mutable {
    snapshots_->take(generation, std::move(taken));
  });
  return HW_OK;
}

void SnapshotSink::stop() {
  if (!client_) return;
  auto released = std::make_shared<std::promise<void>>();
  auto done = released->get_future();
  client_->post([this, released] {
    snapshots_->lead(false);
    lease_->release([released] { released->set_value(); });
  });
  (void)done.wait_for(kRelease);  // Whoever comes next waits for it to run out, then.
  client_->stop();
  lease_.reset();
  snapshots_.reset();
  client_.reset();
}

void SnapshotSink::tellProgrammed(const std::vector<Acknowledgements::Report>& reports) {
  std::string out = R"({"listeners":[)";
  for (const auto& report : reports) {
    out += out.back() == '[' ? R"({"name":)" : R"(,{"name":)";
    k8s_client::appendText(out, report.listener);
    out +=
        report.programmed ? R"(,"programmed":true,"reason":)" : R"(,"programmed":false,"reason":)";
    k8s_client::appendText(out, report.reason);
    out += '}';
  }
  // Not for a generation that is not written yet.
  ack_(told_, out + "]}");
}

void SnapshotSink::tellTrouble(const std::string& trouble) {
  if (!trouble.empty()) log_.write(sdk::Level::Error, trouble);
  std::string report = R"({"trouble":)";
  k8s_client::appendText(report, trouble);
  ack_(told_, report + '}');
}

void SnapshotSink::tellAttempt(const std::string& what, const k8s_client::Error& error) {
  const bool refused = error && !error.transient();
  (refused ? refused_ : error ? failed_ : written_).add();
  if (error)
    log_.write(refused ? sdk::Level::Error : sdk::Level::Warning, "not written",
               {{"what", what}, {"why", error.text()}});
  else
    log_.write(sdk::Level::Debug, "written", {{"what", what}});
}

void SnapshotSink::tellLead(bool leads) {
  const std::string snapshot =
      settings_.per_gateway ? "of each Gateway" : settings_.name_space + '/' + settings_.name;
  log_.write(sdk::Level::Info, leads ? "writes the RouteSnapshot now" : "writes it no more",
             {{"snapshot", snapshot}});
  leads_.set(leads ? 1 : 0);
  snapshots_->lead(leads);
}

}  // namespace hyperway::snapshot_sink
