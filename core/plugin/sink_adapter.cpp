// SPDX-License-Identifier: Apache-2.0
#include "plugin/sink_adapter.hpp"

#include <mutex>
#include <string>
#include <utility>

#include "plugin/diagnostics.hpp"
#include "plugin/host_services.hpp"
#include "plugin/loader.hpp"
#include "plugin/model_batch.hpp"

namespace hyperway::plugin {
namespace {

class PluginSink final : public control::Sink {
 public:
  PluginSink(std::shared_ptr<LoadedPlugin> plugin, const hw_sink_class& sink_class)
      : plugin_(std::move(plugin)), class_(sink_class) {}

  ~PluginSink() override {
    if (sink_ == nullptr) return;
    stop();
    (void)guarded("destroy", [this] { return class_.destroy(sink_), hw_status{HW_OK}; });
  }

  [[nodiscard]] bool create(std::string_view config_json, Problems& problems) {
    Problems own;
    Diagnostics diagnostics(own);
    const std::string who = "plugin " + plugin_->id() + " (" + class_.id + ")";
    const bool accepted = diagnostics.accepted(who, [&] {
      void* made = nullptr;
      const hw_status status = class_.create(plugin_->host().handle(), bytesOf(config_json),
                                             diagnostics.handle(), this, &acknowledged, &made);
      if (status == HW_OK) sink_ = made;
      return status;
    });
    for (const Problem& problem : own.list()) problems.push(problem);
    return accepted;
  }

  [[nodiscard]] std::string_view id() const noexcept override { return class_.id; }

  void onAcknowledge(Acknowledge acknowledge) override {
    const std::lock_guard lock(mutex_);
    acknowledge_ = std::move(acknowledge);
  }

  [[nodiscard]] bool apply(std::uint64_t generation, const route::ModelBatch& batch) override {
    const bool gateways_only = (class_.wants & HW_SINK_GATEWAYS_ONLY) != 0;
    const bool concerned = batch.full || !batch.gateways.empty() || !batch.removed_gateways.empty();
    if (gateways_only && !concerned && std::exchange(has_first_, true)) return true;
    has_first_ = true;
    const std::string json = gateways_only ? writeGateways(batch) : writer_.write(batch);
    generation_ = generation;
    const std::uint32_t flags = batch.full ? std::uint32_t{HW_APPLY_FULL} : 0U;
    const hw_status status =
        guarded("apply", [&] { return class_.apply(sink_, generation, flags, bytesOf(json)); });
    if (status == HW_OK) return true;
    if (status != HW_NEED_FULL)
      plugin_->host().log(HW_LOG_ERROR,
                          "the sink failed to apply a batch, status " + std::to_string(status), {},
                          0);
    return false;  // Whatever it lost, a full batch puts it right.
  }

  void tell(const gateway::StatusBatch& batch) override {
    if ((class_.wants & HW_SINK_STATUSES) == 0) return;
    const std::string json = writeStatuses(batch);
    if (json.empty()) return;
    const hw_status status =
        guarded("apply", [&] { return class_.apply(sink_, generation_, 0, bytesOf(json)); });
    if (status != HW_OK && status != HW_NEED_FULL)
      plugin_->host().log(HW_LOG_ERROR,
                          "the sink failed to take statuses, status " + std::to_string(status), {},
                          0);
  }

  void stop() override {
    if (std::exchange(stopped_, true)) return;
    (void)guarded("stop", [this] { return class_.stop(sink_), hw_status{HW_OK}; });
    onAcknowledge(nullptr);
  }

 private:
  // Any thread, until stop() has returned.
  static void acknowledged(void* ctx, std::uint64_t generation, hw_bytes report) noexcept {
    auto& self = *static_cast<PluginSink*>(ctx);
    auto read = readSinkReport(generation, viewOf(report));
    if (!read) return self.plugin_->host().log(HW_LOG_ERROR, read.error(), {}, 0);
    Acknowledge acknowledge;
    {
      const std::lock_guard lock(self.mutex_);
      acknowledge = self.acknowledge_;
    }
    if (acknowledge) acknowledge(std::move(*read));
  }

  template <class Call>
  hw_status guarded(std::string_view what, Call&& call) noexcept {
    try {
      return call();
    } catch (...) {
      plugin_->host().countFault();
      plugin_->host().log(HW_LOG_ERROR, "exception left the sink's " + std::string(what), {}, 0);
      return HW_FAILED;
    }
  }

  std::shared_ptr<LoadedPlugin> plugin_;
  hw_sink_class class_;
  ModelBatchWriter writer_;
  std::mutex mutex_;
  Acknowledge acknowledge_;
  void* sink_ = nullptr;
  std::uint64_t generation_ = 0;  // of the last batch
  bool stopped_ = false;
  bool has_first_ = false;
};

}  // namespace

std::unique_ptr<control::Sink> makeSink(std::shared_ptr<LoadedPlugin> plugin,
                                        const hw_sink_class& sink_class,
                                        std::string_view config_json, Problems& problems) {
  auto sink = std::make_unique<PluginSink>(std::move(plugin), sink_class);
  if (!sink->create(config_json, problems)) return nullptr;
  return sink;
}

}  // namespace hyperway::plugin
