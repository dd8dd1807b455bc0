// SPDX-License-Identifier: Apache-2.0
#include "plugin/callout_service.hpp"

#include <algorithm>
#include <array>
#include <chrono>

#include "base/arena.hpp"
#include "base/bytes.hpp"
#include "http/uri.hpp"
#include "plugin/abi_bytes.hpp"
#include "plugin/stream_service.hpp"

namespace hyperway::plugin {
namespace {

static_assert(static_cast<int>(proxy::CalloutOutcome::Answered) == HW_CALLOUT_ANSWERED &&
              static_cast<int>(proxy::CalloutOutcome::Pending) == HW_CALLOUT_PENDING &&
              static_cast<int>(proxy::CalloutOutcome::Unreachable) == HW_CALLOUT_UNREACHABLE &&
              static_cast<int>(proxy::CalloutOutcome::Timeout) == HW_CALLOUT_TIMEOUT &&
              static_cast<int>(proxy::CalloutOutcome::Broken) == HW_CALLOUT_BROKEN &&
              static_cast<int>(proxy::CalloutOutcome::TooLarge) == HW_CALLOUT_TOO_LARGE);

constexpr std::size_t kMaxFields = 256;

// Splits and checks a target: nothing may leave here that a backend could read otherwise.
bool readTarget(std::string_view target, proxy::CalloutRequest& out) noexcept {
  const std::size_t mark = target.find('?');
  out.path = target.substr(0, mark);
  out.has_query = mark != std::string_view::npos;
  if (out.has_query) out.query = target.substr(mark + 1);
  return isPath(out.path) && http::isValidQuery(out.query);
}

bool isGoodAuthority(std::string_view authority) noexcept {
  std::array<std::byte, 512> room;
  Arena arena(room);
  return authority.empty() || http::parseAuthority(authority, arena);
}

hw_status begin(hw_stream* stream, const hw_callout_request* request,
                hw_callout* callout) noexcept {
  if (request == nullptr || callout == nullptr || !HW_HAS(hw_callout_request, request, body))
    return HW_INVALID;
  proxy::FilterContext& context = contextOf(stream);
  if (request->backend >= context.calloutBackends()) return HW_NOT_FOUND;
  if (request->timeout_ms == 0 || request->timeout_ms > kMaxCalloutMs) return HW_INVALID;
  if (request->field_count > kMaxFields || request->body.size > kMaxChunkBytes) return HW_LIMIT;
  std::array<proxy::AnswerField, kMaxFields> lines;
  for (std::uint32_t i = 0; i < request->field_count; ++i) {
    lines[i] = {viewOf(request->fields[i].name), trimOws(viewOf(request->fields[i].value))};
    if (!http::isValidFieldName(lines[i].name) || !http::isValidFieldValue(lines[i].value))
      return HW_INVALID;
    const http::FieldId id = http::fieldId(lines[i].name);
    if (isHostOwned(id) || id == http::FieldId::Host) return HW_REFUSED;
  }
  proxy::CalloutRequest out;
  out.backend = request->backend;
  out.repeatable = (request->flags & HW_CALLOUT_REPEATABLE) != 0;
  out.timeout = std::chrono::milliseconds(request->timeout_ms);
  out.max_body = request->max_body;
  out.token = request->token;
  out.method = viewOf(request->method);
  out.authority = viewOf(request->authority);
  out.fields = {lines.data(), request->field_count};
  out.body = viewOf(request->body);
  if (!http::isValidFieldName(out.method) || out.method == "CONNECT" ||
      !isGoodAuthority(out.authority) || !readTarget(viewOf(request->path), out))
    return HW_INVALID;
  *callout = context.beginCallout(out);
  return *callout != 0 ? hw_status{HW_OK} : hw_status{HW_LIMIT};
}

bool isListed(const http::Field& line) noexcept { return !line.removed && !isHostOwned(line.id); }

std::uint32_t listed(const http::HeaderMap* fields) noexcept {
  if (fields == nullptr) return 0;
  const auto lines = fields->lines();
  return static_cast<std::uint32_t>(std::count_if(lines.begin(), lines.end(), isListed));
}

hw_status answer(const hw_stream* stream, hw_callout callout, hw_callout_answer* out) noexcept {
  if (out == nullptr || !HW_HAS(hw_callout_answer, out, body)) return HW_INVALID;
  proxy::CalloutAnswer found;
  if (!contextOf(stream).calloutAnswer(callout, found)) return HW_NOT_FOUND;
  out->outcome = static_cast<std::int32_t>(found.outcome);
  out->status = found.status;
  out->field_count = listed(found.fields);
  out->trailer_count = listed(found.trailers);
  out->body = bytesOf(found.body);
  return HW_OK;
}

hw_status fieldAt(const hw_stream* stream, hw_callout callout, std::int32_t which,
                  std::uint32_t index, hw_field* field) noexcept {
  if (which != HW_CALLOUT_FIELDS && which != HW_CALLOUT_TRAILERS) return HW_UNSUPPORTED;
  proxy::CalloutAnswer found;
  if (!contextOf(stream).calloutAnswer(callout, found)) return HW_NOT_FOUND;
  const http::HeaderMap* const fields = which == HW_CALLOUT_FIELDS ? found.fields : found.trailers;
  if (fields == nullptr) return HW_INVALID;
  for (const http::Field& line : fields->lines()) {
    if (!isListed(line) || index-- != 0) continue;
    *field = {bytesOf(line.name()), bytesOf(line.value())};
    return HW_OK;
  }
  return HW_INVALID;
}

hw_status end(hw_stream* stream, hw_callout callout) noexcept {
  return contextOf(stream).endCallout(callout) ? hw_status{HW_OK} : hw_status{HW_NOT_FOUND};
}

std::uint32_t backendCount(const hw_stream* stream) noexcept {
  return contextOf(stream).calloutBackends();
}

}  // namespace

const hw_callout_api& calloutApi() noexcept {
  static constexpr hw_callout_api kApi = {
      sizeof(hw_callout_api), 0, &begin, &answer, &fieldAt, &end, &backendCount};
  return kApi;
}

}  // namespace hyperway::plugin
