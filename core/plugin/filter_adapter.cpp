// SPDX-License-Identifier: Apache-2.0
#include "plugin/filter_adapter.hpp"

#include <utility>

#include "plugin/call_guard.hpp"
#include "plugin/diagnostics.hpp"
#include "plugin/host_services.hpp"
#include "plugin/loader.hpp"
#include "plugin/stream_service.hpp"

namespace hyperway::plugin {
namespace {

using proxy::FilterContext;
using proxy::Flow;

// The proxy's constants are the ABI's, so that no call translates.
static_assert(static_cast<hw_flow>(Flow::Continue) == HW_FLOW_CONTINUE &&
              static_cast<hw_flow>(Flow::Hold) == HW_FLOW_HOLD &&
              static_cast<hw_flow>(Flow::Pause) == HW_FLOW_PAUSE &&
              static_cast<hw_flow>(Flow::Responded) == HW_FLOW_RESPONDED &&
              static_cast<hw_flow>(Flow::Fault) == HW_FLOW_FAULT);
constexpr bool same(std::uint32_t ours, std::uint32_t theirs) { return ours == theirs; }
static_assert(same(proxy::kRequestHead, HW_HOOK_REQUEST_HEAD) &&
              same(proxy::kRequestBody, HW_HOOK_REQUEST_BODY) &&
              same(proxy::kRequestTrailers, HW_HOOK_REQUEST_TRAILERS) &&
              same(proxy::kResponseHead, HW_HOOK_RESPONSE_HEAD) &&
              same(proxy::kResponseBody, HW_HOOK_RESPONSE_BODY) &&
              same(proxy::kResponseTrailers, HW_HOOK_RESPONSE_TRAILERS) &&
              same(proxy::kRequestResize, HW_INTEREST_REQUEST_RESIZE) &&
              same(proxy::kResponseResize, HW_INTEREST_RESPONSE_RESIZE) &&
              same(proxy::kPreflight, HW_INTEREST_PREFLIGHT));
static_assert(proxy::kEndOfStream == HW_END_OF_STREAM);
static_assert(static_cast<int>(proxy::StreamEnd::Complete) == HW_END_COMPLETE &&
              static_cast<int>(proxy::StreamEnd::Timeout) == HW_END_TIMEOUT);

class Binding final : public proxy::FilterBinding {
 public:
  Binding(std::shared_ptr<LoadedPlugin> plugin, const hw_filter_class& filter_class, void* config)
      : proxy::FilterBinding(filter_class.interest),
        plugin_(std::move(plugin)),
        host_(plugin_->host()),
        slow_ticks_(host_.services().slowTicks()),
        class_(filter_class),
        config_(config) {}

  ~Binding() override {
    if (class_.config_destroy == nullptr) return;
    try {
      class_.config_destroy(config_);
    } catch (...) {
      host_.countFault();
    }
  }

  std::string_view pluginId() const noexcept override { return host_.pluginId(); }

  bool create(FilterContext& context, void** filter) const noexcept override {
    if (class_.stream_create == nullptr) {
      *filter = config_;
      return true;
    }
    const Call call(*this, "stream_create", context);
    try {
      if (class_.stream_create(config_, asHandle(context), filter) == HW_OK) return true;
    } catch (...) {
      call.threw();
    }
    host_.countFault();
    return false;
  }

  Flow onRequestHead(void* filter, FilterContext& context,
                     std::uint32_t flags) const noexcept override {
    return run("on_request_head", context,
               [&] { return class_.on_request_head(filter, asHandle(context), flags); });
  }
  Flow onRequestBody(void* filter, FilterContext& context, proxy::BodyChunk& chunk,
                     std::uint32_t flags) const noexcept override {
    BodyHandle body{chunk, (interest() & HW_INTEREST_REQUEST_RESIZE) != 0,
                    (flags & HW_END_OF_STREAM) != 0};
    return run("on_request_body", context, [&] {
      return class_.on_request_body(filter, asHandle(context), body.handle(), flags);
    });
  }
  Flow onRequestTrailers(void* filter, FilterContext& context) const noexcept override {
    return run("on_request_trailers", context,
               [&] { return class_.on_request_trailers(filter, asHandle(context)); });
  }
  Flow onResponseHead(void* filter, FilterContext& context,
                      std::uint32_t flags) const noexcept override {
    return run("on_response_head", context,
               [&] { return class_.on_response_head(filter, asHandle(context), flags); });
  }
  Flow onResponseBody(void* filter, FilterContext& context, proxy::BodyChunk& chunk,
                      std::uint32_t flags) const noexcept override {
    BodyHandle body{chunk, (interest() & HW_INTEREST_RESPONSE_RESIZE) != 0,
                    (flags & HW_END_OF_STREAM) != 0};
    return run("on_response_body", context, [&] {
      return class_.on_response_body(filter, asHandle(context), body.handle(), flags);
    });
  }
  Flow onResponseTrailers(void* filter, FilterContext& context) const noexcept override {
    return run("on_response_trailers", context,
               [&] { return class_.on_response_trailers(filter, asHandle(context)); });
  }

  void onWake(void* filter, FilterContext& context, std::uint32_t paused,
              std::uint64_t token) const noexcept override {
    const Call call(*this, "on_wake", context);
    try {
      if (class_.on_wake != nullptr) class_.on_wake(filter, asHandle(context), paused, token);
      return;
    } catch (...) {
      call.threw();
    }
    host_.countFault();
    // on_wake has no verdict; a filter that broke here must not let its stream wait for ever.
    for (std::uint32_t hook = HW_HOOK_REQUEST_HEAD; hook <= HW_HOOK_RESPONSE_TRAILERS; hook <<= 1)
      if ((paused & hook) != 0) (void)context.resume(hook, Flow::Fault);
  }

  void destroy(void* filter, proxy::StreamEnd reason) const noexcept override {
    if (class_.stream_create == nullptr) return;
    const HookScope scope;
    try {
      class_.stream_destroy(filter, static_cast<std::int32_t>(reason));
    } catch (...) {
      host_.countFault();
    }
  }

 private:
  /// Watches one call: marks the thread, measures the time.
  class Call {
   public:
    Call(const Binding& binding, std::string_view hook, FilterContext& context) noexcept
        : binding_(binding), hook_(hook), context_(context), start_(ticks()) {}
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    ~Call() {
      const std::uint64_t taken = ticks() - start_;
      // A counter that jumped (a suspended machine) must not raise an alarm for a negative time.
      if (taken >= std::uint64_t{1} << 62) return;
      binding_.host_.countCall(taken);
      if (taken > binding_.slow_ticks_)
        binding_.host_.reportSlow(hook_, static_cast<double>(taken) / ticksPerMicrosecond(),
                                  context_.info().stream_id);
    }
    void threw() const noexcept {
      binding_.host_.log(HW_LOG_ERROR, "exception left the plugin", {}, context_.info().stream_id);
    }

   private:
    const HookScope scope_;
    const Binding& binding_;
    std::string_view hook_;
    FilterContext& context_;
    std::uint64_t start_;
  };

  template <class Hook>
  Flow run(std::string_view name, FilterContext& context, Hook&& hook) const noexcept {
    const Call call(*this, name, context);
    try {
      const hw_flow verdict = hook();
      if (verdict >= HW_FLOW_CONTINUE && verdict <= HW_FLOW_RESPONDED)
        return static_cast<Flow>(verdict);
    } catch (...) {
      call.threw();
    }
    host_.countFault();
    return Flow::Fault;
  }

  std::shared_ptr<LoadedPlugin> plugin_;
  PluginHost& host_;
  std::uint64_t slow_ticks_;
  hw_filter_class class_;
  void* config_;
};

}  // namespace

std::shared_ptr<const proxy::FilterBinding> bindFilter(std::shared_ptr<LoadedPlugin> plugin,
                                                       const hw_filter_class& filter_class,
                                                       std::string_view config_json,
                                                       Problems& problems) {
  Problems own;
  Diagnostics diagnostics(own);
  void* config = nullptr;
  const std::string who = "plugin " + plugin->id() + " (" + filter_class.id + ")";
  const bool accepted = diagnostics.accepted(who, [&] {
    const hw_status status = filter_class.config_create(
        plugin->host().handle(), bytesOf(config_json), diagnostics.handle(), &config);
    // It made one and reported errors all the same: it is refused, but must not leak.
    if (status == HW_OK && own.failed() && filter_class.config_destroy != nullptr)
      filter_class.config_destroy(config);
    return status;
  });
  for (const Problem& problem : own.list()) problems.push(problem);
  if (!accepted) return nullptr;
  return std::make_shared<const Binding>(std::move(plugin), filter_class, config);
}

}  // namespace hyperway::plugin
