// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <exception>
#include <memory>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

#include "hyperway/abi/filter.h"
#include "hyperway/abi/manifest.h"
#include "hyperway/sdk/host.hpp"
#include "hyperway/sdk/stream.hpp"

namespace hyperway::sdk {

/// How to write a filter. A filter is a plain class; the SDK finds out which hooks it has, so there
/// is nothing to derive from and a hook that is not there costs nothing:
///
///   class Filter {
///    public:
///     static constexpr const char* kId = "my_filter";            // what a Filter object names
///     static constexpr bool kResizesRequestBody = true;          // optional; also ...ResponseBody
///     static constexpr bool kAnswersPreflights = true;           // optional
///
///     struct Config { explicit Config(sdk::Setup& setup); };     // one for each configuration
///     explicit Filter(const Config& config);                     // one for each stream; or
///     Filter(const Config& config, sdk::Stream& stream);
///
///     sdk::Flow onRequestHead(sdk::Stream&, sdk::Flags);         // any of these
///     sdk::Flow onRequestBody(sdk::Stream&, sdk::Body&, sdk::Flags);
///     sdk::Flow onRequestTrailers(sdk::Stream&);
///     sdk::Flow onResponseHead(sdk::Stream&, sdk::Flags);
///     sdk::Flow onResponseBody(sdk::Stream&, sdk::Body&, sdk::Flags);
///     sdk::Flow onResponseTrailers(sdk::Stream&);
///     void onWake(sdk::Stream&, sdk::Hooks paused, std::uint64_t token);
///     void onEnd(sdk::End reason);                               // before the destructor
///   };
///
/// A filter without memory of its own per stream leaves Config and the stream constructor out, is
/// itself made from `sdk::Setup&`, and has const hooks: one object then serves all streams, and no
/// call is spent on making one.
///
/// Constructors may throw; hooks may throw: both end in an error answer, never in the host.
template <class F>
concept HasConfig = requires { typename F::Config; };

/// How the SDK finds a filter's hooks and guards them; not for plugins.
namespace detail {

template <class F>
inline constexpr bool kStateless = !HasConfig<F>;

/// What a hook is called on: the stream's filter, or the shared const one.
template <class F>
using Target = std::conditional_t<kStateless<F>, const F, F>;

template <class F>
concept HasRequestHead = requires(Target<F>& f, Stream& s, Flags g) {
  { f.onRequestHead(s, g) } -> std::same_as<Flow>;
};
template <class F>
concept HasRequestBody = requires(Target<F>& f, Stream& s, Body& b, Flags g) {
  { f.onRequestBody(s, b, g) } -> std::same_as<Flow>;
};
template <class F>
concept HasRequestTrailers = requires(Target<F>& f, Stream& s) {
  { f.onRequestTrailers(s) } -> std::same_as<Flow>;
};
template <class F>
concept HasResponseHead = requires(Target<F>& f, Stream& s, Flags g) {
  { f.onResponseHead(s, g) } -> std::same_as<Flow>;
};
template <class F>
concept HasResponseBody = requires(Target<F>& f, Stream& s, Body& b, Flags g) {
  { f.onResponseBody(s, b, g) } -> std::same_as<Flow>;
};
template <class F>
concept HasResponseTrailers = requires(Target<F>& f, Stream& s) {
  { f.onResponseTrailers(s) } -> std::same_as<Flow>;
};
template <class F>
concept HasWake = requires(Target<F>& f, Stream& s, Hooks h) { f.onWake(s, h, 0); };
template <class F>
concept HasEnd = requires(F& f, End reason) { f.onEnd(reason); };

// A hook with a wrong signature would silently never be called; say so at compile time instead.
template <class F>
concept NamesRequestHead = requires { &F::onRequestHead; };
template <class F>
concept NamesRequestBody = requires { &F::onRequestBody; };
template <class F>
concept NamesRequestTrailers = requires { &F::onRequestTrailers; };
template <class F>
concept NamesResponseHead = requires { &F::onResponseHead; };
template <class F>
concept NamesResponseBody = requires { &F::onResponseBody; };
template <class F>
concept NamesResponseTrailers = requires { &F::onResponseTrailers; };
template <class F>
concept NamesWake = requires { &F::onWake; };
template <class F>
concept NamesEnd = requires { &F::onEnd; };

template <class F>
consteval std::uint32_t interestOf() {
  std::uint32_t bits = 0;
  if constexpr (HasRequestHead<F>) bits |= HW_HOOK_REQUEST_HEAD;
  if constexpr (HasRequestBody<F>) bits |= HW_HOOK_REQUEST_BODY;
  if constexpr (HasRequestTrailers<F>) bits |= HW_HOOK_REQUEST_TRAILERS;
  if constexpr (HasResponseHead<F>) bits |= HW_HOOK_RESPONSE_HEAD;
  if constexpr (HasResponseBody<F>) bits |= HW_HOOK_RESPONSE_BODY;
  if constexpr (HasResponseTrailers<F>) bits |= HW_HOOK_RESPONSE_TRAILERS;
  if constexpr (requires { F::kResizesRequestBody; })
    if (F::kResizesRequestBody) bits |= HW_INTEREST_REQUEST_RESIZE;
  if constexpr (requires { F::kResizesResponseBody; })
    if (F::kResizesResponseBody) bits |= HW_INTEREST_RESPONSE_RESIZE;
  if constexpr (requires { F::kAnswersPreflights; })
    if (F::kAnswersPreflights) bits |= HW_INTEREST_PREFLIGHT;
  return bits;
}

/// Runs `body` and turns whatever it throws into `on_throw`, with a line in the log.
template <class Result, class Call>
Result guarded(const Services& services, const hw_stream* stream, Result on_throw,
               Call&& body) noexcept {
  try {
    return body();
  } catch (const std::exception& error) {
    Log(services).write(Level::Error, "exception in a filter", {{"what", error.what()}}, stream);
  } catch (...) {
    Log(services).write(Level::Error, "unknown exception in a filter", {}, stream);
  }
  return on_throw;
}

/// What config_create hands to the host: the services, with the configuration (or, for a filter
/// without state, the filter itself).
template <class F, bool = kStateless<F>>
struct ConfigBox {
  explicit ConfigBox(Setup& setup) : services(setup.services()), config(setup) {}
  Services services;
  typename F::Config config;
};
template <class F>
struct ConfigBox<F, true> {
  explicit ConfigBox(Setup& setup) : services(setup.services()), filter(setup) {}
  Services services;
  F filter;
};

/// What stream_create hands to the host.
template <class F>
struct StreamBox {
  StreamBox(const ConfigBox<F>& box, Stream& stream)
      : services(box.services), filter(make(box, stream)) {}
  static F make(const ConfigBox<F>& box, Stream& stream) {
    if constexpr (std::constructible_from<F, const typename F::Config&, Stream&>)
      return F(box.config, stream);
    else
      return F(box.config);
  }
  const Services& services;  // Those of the configuration, which outlives the stream.
  F filter;
};

}  // namespace detail

/// The hw_filter_class of a filter written with the SDK.
template <class F>
class FilterClass {
  using ConfigBox = detail::ConfigBox<F>;
  // A stateless filter's hooks get the configuration itself.
  using Box = std::conditional_t<detail::kStateless<F>, const ConfigBox, detail::StreamBox<F>>;

  static_assert(detail::HasRequestHead<F> == detail::NamesRequestHead<F>,
                "onRequestHead must be: Flow onRequestHead(Stream&, Flags), const if stateless");
  static_assert(detail::HasRequestBody<F> == detail::NamesRequestBody<F>,
                "onRequestBody must be: Flow onRequestBody(Stream&, Body&, Flags)");
  static_assert(detail::HasRequestTrailers<F> == detail::NamesRequestTrailers<F>,
                "onRequestTrailers must be: Flow onRequestTrailers(Stream&)");
  static_assert(detail::HasResponseHead<F> == detail::NamesResponseHead<F>,
                "onResponseHead must be: Flow onResponseHead(Stream&, Flags), const if stateless");
  static_assert(detail::HasResponseBody<F> == detail::NamesResponseBody<F>,
                "onResponseBody must be: Flow onResponseBody(Stream&, Body&, Flags)");
  static_assert(detail::HasResponseTrailers<F> == detail::NamesResponseTrailers<F>,
                "onResponseTrailers must be: Flow onResponseTrailers(Stream&)");
  static_assert(detail::HasWake<F> == detail::NamesWake<F>,
                "onWake must be: void onWake(Stream&, Hooks, std::uint64_t)");
  static_assert(detail::HasEnd<F> == detail::NamesEnd<F>, "onEnd must be: void onEnd(End)");
  static_assert(alignof(std::conditional_t<detail::kStateless<F>, int, Box>) <= 16,
                "the stream's arena aligns to 16 bytes at most");

  static hw_status configCreate(const hw_host* host, hw_bytes json, const hw_diag* diag,
                                void** config) noexcept {
    Problems problems(diag);
    try {
      const Services services = Services::of(host);
      if (services.stream == nullptr || services.body == nullptr) {
        problems.error("", "this host lacks a service that the filter needs");
        return HW_UNSUPPORTED;
      }
      Setup setup(services, viewOf(json), problems);
      if (problems.failed()) return HW_INVALID;  // Not JSON: there is nothing to read.
      auto box = std::make_unique<ConfigBox>(setup);
      if (problems.failed()) return HW_INVALID;
      *config = box.release();
      return HW_OK;
    } catch (const std::exception& error) {
      problems.error("", error.what());
    } catch (...) {
      problems.error("", "unknown exception while the configuration was read");
    }
    return HW_FAILED;
  }
  static void configDestroy(void* config) noexcept { delete static_cast<ConfigBox*>(config); }

  static hw_status streamCreate(const void* config, hw_stream* handle, void** filter) noexcept {
    const auto& box = *static_cast<const ConfigBox*>(config);
    return detail::guarded<hw_status>(box.services, handle, HW_FAILED, [&] {
      Stream stream(handle, box.services);
      void* memory = stream.alloc(sizeof(Box), alignof(Box));
      if (memory == nullptr) return hw_status{HW_LIMIT};
      *filter = new (memory) Box(box, stream);
      return hw_status{HW_OK};
    });
  }
  static void streamDestroy(void* filter, std::int32_t reason) noexcept {
    if constexpr (!detail::kStateless<F>) {
      Box* box = static_cast<Box*>(filter);
      if constexpr (detail::HasEnd<F>) {
        detail::guarded<int>(box->services, nullptr, 0, [&] {
          const bool known = reason >= HW_END_COMPLETE && reason <= HW_END_TIMEOUT;
          return box->filter.onEnd(known ? static_cast<End>(reason) : End::Aborted), 0;
        });
      }
      box->~Box();  // The memory is the stream's.
    }
  }

  template <class Call>
  static hw_flow run(void* filter, hw_stream* handle, Call&& call) noexcept {
    Box& box = *static_cast<Box*>(filter);
    return detail::guarded<hw_flow>(box.services, handle, HW_FLOW_FAULT, [&] {
      Stream stream(handle, box.services);
      return static_cast<hw_flow>(call(box.filter, stream));
    });
  }
  static hw_flow requestHead(void* filter, hw_stream* stream, std::uint32_t flags) noexcept {
    return run(filter, stream,
               [&](auto& f, Stream& s) { return f.onRequestHead(s, Flags{flags}); });
  }
  static hw_flow requestBody(void* filter, hw_stream* stream, hw_body* chunk,
                             std::uint32_t flags) noexcept {
    return run(filter, stream, [&](auto& f, Stream& s) {
      Body body(chunk, s.services().body);
      return f.onRequestBody(s, body, Flags{flags});
    });
  }
  static hw_flow requestTrailers(void* filter, hw_stream* stream) noexcept {
    return run(filter, stream, [&](auto& f, Stream& s) { return f.onRequestTrailers(s); });
  }
  static hw_flow responseHead(void* filter, hw_stream* stream, std::uint32_t flags) noexcept {
    return run(filter, stream,
               [&](auto& f, Stream& s) { return f.onResponseHead(s, Flags{flags}); });
  }
  static hw_flow responseBody(void* filter, hw_stream* stream, hw_body* chunk,
                              std::uint32_t flags) noexcept {
    return run(filter, stream, [&](auto& f, Stream& s) {
      Body body(chunk, s.services().body);
      return f.onResponseBody(s, body, Flags{flags});
    });
  }
  static hw_flow responseTrailers(void* filter, hw_stream* stream) noexcept {
    return run(filter, stream, [&](auto& f, Stream& s) { return f.onResponseTrailers(s); });
  }
  static void wake(void* filter, hw_stream* handle, std::uint32_t paused,
                   std::uint64_t token) noexcept {
    Box& box = *static_cast<Box*>(filter);
    const bool done = detail::guarded<bool>(box.services, handle, false, [&] {
      Stream stream(handle, box.services);
      return box.filter.onWake(stream, Hooks{paused}, token), true;
    });
    if (done) return;
    // onWake has no verdict; a filter that broke here must not let the stream wait for ever.
    for (std::uint32_t bit = HW_HOOK_REQUEST_HEAD; bit <= HW_HOOK_RESPONSE_TRAILERS; bit <<= 1)
      if ((paused & bit) != 0) (void)box.services.stream->resume(handle, bit, HW_FLOW_FAULT);
  }

  static consteval hw_filter_class make() {
    hw_filter_class out{};
    out.struct_size = sizeof out;
    out.interest = detail::interestOf<F>();
    out.id = F::kId;
    out.config_create = &configCreate;
    out.config_destroy = &configDestroy;
    if constexpr (!detail::kStateless<F>) {
      out.stream_create = &streamCreate;
      out.stream_destroy = &streamDestroy;
    }
    if constexpr (detail::HasRequestHead<F>) out.on_request_head = &requestHead;
    if constexpr (detail::HasRequestBody<F>) out.on_request_body = &requestBody;
    if constexpr (detail::HasRequestTrailers<F>) out.on_request_trailers = &requestTrailers;
    if constexpr (detail::HasResponseHead<F>) out.on_response_head = &responseHead;
    if constexpr (detail::HasResponseBody<F>) out.on_response_body = &responseBody;
    if constexpr (detail::HasResponseTrailers<F>) out.on_response_trailers = &responseTrailers;
    if constexpr (detail::HasWake<F>) out.on_wake = &wake;
    return out;
  }

 public:
  /// The class as the host sees it.
  static constexpr hw_filter_class kClass = make();
};

/// Names the filter classes of a plugin, for HYPERWAY_PLUGIN.
template <class... F>
struct Filters {
  /// Which factory these are.
  static constexpr std::string_view kFactoryId = HW_FILTER_FACTORY;
  /// The classes, as the host takes them.
  static constexpr const void* kClasses[] = {&FilterClass<F>::kClass...};
  /// The factory itself.
  static constexpr hw_factory kFactory = {sizeof(hw_factory), sizeof...(F), kClasses};
};

}  // namespace hyperway::sdk
