// SPDX-License-Identifier: Apache-2.0
#include "snapshot_source.hpp"

#include <stdexcept>
#include <utility>

#include "k8s_client/client.hpp"
#include "k8s_client/time_text.hpp"
#include "reader.hpp"
#include "settings.hpp"

namespace hyperway::snapshot_source {

class SnapshotSource::Cluster {
 public:
  Cluster(Settings settings, k8s_client::ClusterConfig config, sdk::Setup& setup,
          sdk::SourcePort port)
      : port_(port),
        log_(setup.services()),
        clock_(setup.services()),
        client_(std::move(config), "hyperway/snapshot_source"),
        reader_(client_, std::move(settings), identityFrom(k8s_client::processEnvironment()),
                listener()) {
    troubled_ = setup.gauge("snapshot_source_troubled",
                            "1 while the snapshot, or what it refers to, cannot be followed.");
    client_.afterTurn([this] { reader_.endTurn(); });
  }

  void start() {
    started_ = true;
    client_.start();
    client_.post([this] { reader_.start(); });
  }
  void stop() {
    if (std::exchange(started_, false)) client_.stop();
  }
  void report(std::string_view statuses) {
    client_.post([this, text = std::string(statuses)] { reader_.report(text); });
  }

 private:
  Reader::Listener listener() {
    Reader::Listener out;
    out.publish = [this](const std::string& upserts, const std::string& removals, bool synced) {
      const std::string document =
          R"({"removals":[)" + removals + R"(],"upserts":[)" + upserts + "]}";
      if (port_.publish(HW_DOC_OBJECTS, synced ? std::uint32_t{HW_PUBLISH_SYNCED} : 0U, {},
                        ++sequence_, document) == HW_INVALID)
        log_.write(sdk::Level::Error, "the host refused objects of the cluster");
      if (synced) log_.write(sdk::Level::Info, "the snapshot is read");
    };
    out.trouble = [this](const std::string& trouble) {
      troubled_.set(trouble.empty() ? 0 : 1);
      port_.health(trouble.empty() ? sdk::Health::Ok : sdk::Health::Degraded, trouble);
    };
    out.now = [this] { return k8s_client::timeText(clock_.wall()); };
    return out;
  }

  sdk::SourcePort port_;
  sdk::Log log_;
  sdk::Clock clock_;
  sdk::Metric troubled_;
  std::uint64_t sequence_ = 0;
  bool started_ = false;
  k8s_client::Client client_;
  Reader reader_;  // the loop's thread only
};

SnapshotSource::SnapshotSource(sdk::Setup& setup, sdk::SourcePort port) {
  Settings settings = readSettings(setup);
  if (setup.problems().failed()) return;
  auto config = k8s_client::loadConfig(settings.kubeconfig, settings.context,
                                       k8s_client::processEnvironment(), absent_);
  if (!config) {
    // A Pod's configuration is checked elsewhere too: there it fails when it is to start.
    if (!settings.kubeconfig.empty()) setup.problems().error("/kubeconfig", absent_);
    return;
  }
  cluster_ = std::make_unique<Cluster>(std::move(settings), std::move(*config), setup, port);
}

SnapshotSource::~SnapshotSource() { stop(); }

void SnapshotSource::start() {
  if (!cluster_) throw std::runtime_error(absent_);
  cluster_->start();
}

void SnapshotSource::stop() {
  if (cluster_) cluster_->stop();
  cluster_.reset();
}

void SnapshotSource::reportStatus(std::uint64_t /*seq*/, std::string_view statuses) {
  if (cluster_) cluster_->report(statuses);
}

}  // namespace hyperway::snapshot_source
