// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "hyperway/abi/draft/callout.h"
#include "hyperway/sdk/stream.hpp"

namespace hyperway::sdk {

/// A request to one of a filter's own backends; see abi/draft/callout.h. What it views is copied
/// when it is sent.
struct CalloutRequest {
  std::uint32_t backend = 0;                ///< Place in the list of backends.
  bool repeatable = false;                  ///< HW_CALLOUT_REPEATABLE.
  std::chrono::milliseconds timeout{5000};  ///< 1 ms to 5 min.
  std::uint32_t max_body = 64 * 1024;       ///< Of the answer.
  std::uint64_t token = 0;                  ///< For onWake.
  std::string_view method = "GET";          ///< A token.
  std::string_view authority;               ///< Host, or host:port.
  std::string_view path = "/";              ///< With its query.
  std::vector<Pair> fields;                 ///< Names and values.
  std::string_view body;                    ///< Content.
};

/// One request of a filter to a backend of its own. A value to keep in the filter between the hook
/// that sends it and onWake; it has to be ended there, or ends with the stream. Worker.
class Callout {
 public:
  /// None.
  Callout() = default;

  /// Sends a request; `status`, if given, says why there is none. Then return Flow::Pause, and look
  /// at it in onWake.
  [[nodiscard]] static std::optional<Callout> begin(Stream& stream, const CalloutRequest& request,
                                                    hw_status* status = nullptr) {
    const hw_callout_api* const api = stream.services().callout;
    std::vector<hw_field> fields;
    fields.reserve(request.fields.size());
    for (const auto& [name, value] : request.fields)
      fields.push_back({bytesOf(name), bytesOf(value)});
    hw_callout_request out{};
    out.struct_size = sizeof out;
    out.flags = request.repeatable ? HW_CALLOUT_REPEATABLE : 0;
    out.backend = request.backend;
    out.timeout_ms = static_cast<std::uint32_t>(request.timeout.count());
    out.max_body = request.max_body;
    out.field_count = static_cast<std::uint32_t>(fields.size());
    out.token = request.token;
    out.method = bytesOf(request.method);
    out.authority = bytesOf(request.authority);
    out.path = bytesOf(request.path);
    out.fields = fields.data();
    out.body = bytesOf(request.body);
    Callout made;
    const hw_status done = api == nullptr ? hw_status{HW_UNSUPPORTED}
                                          : api->begin(stream.handle(), &out, &made.callout_);
    if (status != nullptr) *status = done;
    if (done != HW_OK) return std::nullopt;
    return made;
  }

  /// What came of it; an outcome that is not known, or of a callout that is none, reads as broken.
  [[nodiscard]] hw_callout_answer answer(const Stream& stream) const noexcept {
    hw_callout_answer out{};
    out.struct_size = sizeof out;
    out.outcome = HW_CALLOUT_BROKEN;
    const hw_callout_api* const api = stream.services().callout;
    if (api != nullptr && api->answer(stream.handle(), callout_, &out) != HW_OK)
      out.outcome = HW_CALLOUT_BROKEN;
    return out;
  }
  /// Calls visit(name, value) for each field of the answer (HW_CALLOUT_FIELDS or _TRAILERS).
  template <std::invocable<std::string_view, std::string_view> Visit>
  void forEach(const Stream& stream, std::int32_t which, Visit&& visit) const {
    const hw_callout_api* const api = stream.services().callout;
    hw_field field{};
    for (std::uint32_t i = 0;
         api != nullptr && api->field_at(stream.handle(), callout_, which, i, &field) == HW_OK; ++i)
      visit(viewOf(field.name), viewOf(field.value));
  }
  /// Ends it; views of its answer end too.
  void end(Stream& stream) noexcept {
    if (callout_ != 0 && stream.services().callout != nullptr)
      (void)stream.services().callout->end(stream.handle(), callout_);
    callout_ = 0;
  }

 private:
  hw_callout callout_ = 0;
};

}  // namespace hyperway::sdk
