// SPDX-License-Identifier: Apache-2.0
#include "plugin/source_adapter.hpp"

#include <atomic>
#include <string>
#include <utility>

#include "plugin/diagnostics.hpp"
#include "plugin/host_services.hpp"
#include "plugin/loader.hpp"
#include "plugin/object_batch.hpp"

namespace hyperway::plugin {
namespace {

static_assert(std::uint32_t{control::SourcePort::kBegin} == std::uint32_t{HW_PUBLISH_BEGIN} &&
              std::uint32_t{control::SourcePort::kEnd} == std::uint32_t{HW_PUBLISH_END} &&
              std::uint32_t{control::SourcePort::kSynced} == std::uint32_t{HW_PUBLISH_SYNCED});

/// The C port in front of ours. What comes from the plugin is checked here.
class Port {
 public:
  Port(control::SourcePort& port, PluginHost& host) : port_(port), host_(host) {
    raw_.struct_size = sizeof raw_;
    raw_.ctx = this;
    raw_.publish = &publish;
    raw_.health = &health;
  }
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  [[nodiscard]] const hw_source_port* handle() const noexcept { return &raw_; }
  void close() noexcept { closed_.store(true, std::memory_order_release); }

 private:
  static hw_status publish(void* ctx, std::int32_t kind, std::uint32_t flags, const hw_scope* scope,
                           std::uint64_t seq, hw_bytes document) noexcept {
    auto& self = *static_cast<Port*>(ctx);
    if (self.closed_.load(std::memory_order_acquire)) return HW_WRONG_STATE;
    if (kind != HW_DOC_OBJECTS) return HW_UNSUPPORTED;
    constexpr std::uint32_t kKnown = HW_PUBLISH_BEGIN | HW_PUBLISH_END | HW_PUBLISH_SYNCED;
    if ((flags & ~kKnown) != 0) return HW_UNSUPPORTED;
    if (scope != nullptr && !HW_HAS(hw_scope, scope, object_namespace)) return HW_INVALID;
    std::vector<gateway::ObjectChange> changes;
    if (document.size != 0) {
      auto read = readObjectBatch(viewOf(document));
      if (!read) {
        self.host_.log(HW_LOG_ERROR, "batch refused: " + read.error(), {}, 0);
        return HW_INVALID;
      }
      changes = std::move(*read);
    }
    control::SourcePort::Scope where;
    if (scope != nullptr) {
      where.group = viewOf(scope->group);
      where.kind = viewOf(scope->kind);
      where.name_space = viewOf(scope->object_namespace);
    }
    self.port_.publish(flags, where, seq, std::move(changes));
    return HW_OK;
  }

  static void health(void* ctx, std::int32_t state, hw_bytes reason) noexcept {
    auto& self = *static_cast<Port*>(ctx);
    if (!self.closed_.load(std::memory_order_acquire))
      self.port_.health(state == HW_HEALTH_OK, viewOf(reason));
  }

  control::SourcePort& port_;
  PluginHost& host_;
  std::atomic<bool> closed_{false};
  hw_source_port raw_{};
};

class PluginSource final : public control::Source {
 public:
  PluginSource(std::shared_ptr<LoadedPlugin> plugin, const hw_source_class& source_class,
               control::SourcePort& port)
      : plugin_(std::move(plugin)), class_(source_class), port_(port, plugin_->host()) {}

  ~PluginSource() override {
    if (source_ == nullptr) return;
    stop();
    guarded("destroy", [this] { class_.destroy(source_); });
  }

  [[nodiscard]] bool create(std::string_view config_json, Problems& problems) {
    Problems own;
    Diagnostics diagnostics(own);
    const std::string who = "plugin " + plugin_->id() + " (" + class_.id + ")";
    const bool accepted = diagnostics.accepted(who, [&] {
      void* made = nullptr;
      const hw_status status = class_.create(plugin_->host().handle(), port_.handle(),
                                             bytesOf(config_json), diagnostics.handle(), &made);
      if (status == HW_OK) source_ = made;
      return status;
    });
    for (const Problem& problem : own.list()) problems.push(problem);
    return accepted;
  }

  [[nodiscard]] std::string_view id() const noexcept override { return class_.id; }

  [[nodiscard]] bool start(std::string& error) override {
    started_ = true;
    hw_status status = HW_FAILED;
    guarded("start", [&] { status = class_.start(source_); });
    if (status == HW_OK) return true;
    error = "source " + std::string(class_.id) + " cannot start (status " + std::to_string(status) +
            "); its log lines say why";
    return false;
  }

  void reportStatus(std::uint64_t sequence, const gateway::StatusBatch& batch) override {
    if (class_.report_status == nullptr) return;
    const std::string json = writeStatusBatch(batch);
    guarded("report_status", [&] { class_.report_status(source_, sequence, bytesOf(json)); });
  }

  [[nodiscard]] std::string locate(std::string_view object_key,
                                   std::string_view json_pointer) override {
    if (class_.locate == nullptr) return {};
    Problems ignored;
    Diagnostics where(ignored);
    guarded("locate", [&] {
      (void)class_.locate(source_, bytesOf(object_key), bytesOf(json_pointer), where.handle());
    });
    return where.note();
  }

  void stop() override {
    if (!std::exchange(started_, false)) return;
    guarded("stop", [this] { class_.stop(source_); });
    port_.close();
  }

 private:
  template <class Call>
  void guarded(std::string_view what, Call&& call) noexcept {
    try {
      call();
    } catch (...) {
      plugin_->host().countFault();
      plugin_->host().log(HW_LOG_ERROR, "exception left the source's " + std::string(what), {}, 0);
    }
  }

  std::shared_ptr<LoadedPlugin> plugin_;
  hw_source_class class_;
  Port port_;
  void* source_ = nullptr;
  bool started_ = false;
};

}  // namespace

std::unique_ptr<control::Source> makeSource(std::shared_ptr<LoadedPlugin> plugin,
                                            const hw_source_class& source_class,
                                            std::string_view config_json, control::SourcePort& port,
                                            Problems& problems) {
  auto source = std::make_unique<PluginSource>(std::move(plugin), source_class, port);
  if (!source->create(config_json, problems)) return nullptr;
  return source;
}

}  // namespace hyperway::plugin
