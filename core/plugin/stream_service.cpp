// SPDX-License-Identifier: Apache-2.0
#include "plugin/stream_service.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "base/bytes.hpp"
#include "http/error.hpp"
#include "http/uri.hpp"
#include "plugin/abi_bytes.hpp"
#include "plugin/header_names.hpp"

namespace hyperway::plugin {
namespace {

using http::FieldId;
using http::HeaderMap;
using proxy::FilterContext;

/// A name on its way into a header map: text, id, and whether the text outlives every stream.
struct Name {
  std::string_view text;
  FieldId id = FieldId::Other;
  bool lasting = false;
};

HeaderMap* mapOf(FilterContext& context, std::int32_t map) noexcept {
  switch (map) {
    case HW_MAP_REQUEST: return &context.requestHead().fields;
    case HW_MAP_RESPONSE: {
      http::ResponseHead* head = context.responseHead();
      return head != nullptr ? &head->fields : nullptr;
    }
    case HW_MAP_REQUEST_TRAILERS: return context.requestTrailers();
    case HW_MAP_RESPONSE_TRAILERS: return context.responseTrailers();
    default: return nullptr;
  }
}

bool isKnownMap(std::int32_t map) noexcept {
  return map >= HW_MAP_REQUEST && map <= HW_MAP_RESPONSE_TRAILERS;
}

bool isEditable(FilterContext& context, std::int32_t map) noexcept {
  switch (map) {
    case HW_MAP_REQUEST: return context.requestHeadEditable();
    case HW_MAP_RESPONSE:
      return context.responseHead() != nullptr && context.responseHeadEditable();
    default: return mapOf(context, map) != nullptr;
  }
}

bool matches(const http::Field& line, const Name& name) noexcept {
  if (line.removed || line.id != name.id) return false;
  return name.id != FieldId::Other || equalsIgnoreCase(line.name(), name.text);
}

// Known names are found by id; for all others this is what HeaderMap does, without hashing again.
http::Field* findLine(HeaderMap& map, const Name& name) noexcept {
  if (name.id != FieldId::Other && !map.mayHave(name.id)) return nullptr;
  for (http::Field& line : map.lines())
    if (matches(line, name)) return &line;
  return nullptr;
}

hw_status getField(const hw_stream* stream, std::int32_t map, const Name& name,
                   hw_bytes* value) noexcept {
  if (!isKnownMap(map)) return HW_UNSUPPORTED;
  FilterContext& context = contextOf(stream);
  if (map == HW_MAP_REQUEST && name.id == FieldId::Host) {
    *value = bytesOf(context.requestHead().authority);
    return HW_OK;
  }
  HeaderMap* fields = mapOf(context, map);
  const http::Field* line = fields != nullptr ? findLine(*fields, name) : nullptr;
  if (line == nullptr) return HW_NOT_FOUND;
  *value = bytesOf(line->value());
  return HW_OK;
}

hw_status setAuthority(FilterContext& context, std::string_view value) noexcept {
  if (!context.requestHeadEditable()) return HW_WRONG_STATE;
  if (value.empty() || !http::parseAuthority(value, context.arena())) return HW_INVALID;
  context.requestHead().authority = context.arena().copy(value);
  return HW_OK;
}

hw_status checkEdit(FilterContext& context, std::int32_t map, const Name& name) noexcept {
  if (!isKnownMap(map)) return HW_UNSUPPORTED;
  if (isHostOwned(name.id)) return HW_REFUSED;
  return isEditable(context, map) ? HW_OK : HW_WRONG_STATE;
}

void appendLine(FilterContext& context, HeaderMap& fields, const Name& name,
                std::string_view value) noexcept {
  Arena& arena = context.arena();
  fields.appendView(name.id, name.lasting ? name.text : arena.copy(name.text), arena.copy(value));
}

hw_status setField(hw_stream* stream, std::int32_t map, const Name& name,
                   std::string_view value) noexcept {
  FilterContext& context = contextOf(stream);
  if (const hw_status status = checkEdit(context, map, name); status != HW_OK) return status;
  value = trimOws(value);
  if (!http::isValidFieldValue(value)) return HW_INVALID;
  if (map == HW_MAP_REQUEST && name.id == FieldId::Host) return setAuthority(context, value);
  HeaderMap& fields = *mapOf(context, map);
  http::Field* first = findLine(fields, name);
  if (first == nullptr) {
    appendLine(context, fields, name, value);
    return HW_OK;
  }
  const std::string_view copy = context.arena().copy(value);
  first->value_data = copy.data();
  first->value_size = static_cast<std::uint32_t>(copy.size());
  const auto lines = fields.lines();
  for (auto line = lines.begin() + (first - lines.data()) + 1; line != lines.end(); ++line)
    if (matches(*line, name)) line->removed = true;
  return HW_OK;
}

hw_status addField(hw_stream* stream, std::int32_t map, const Name& name,
                   std::string_view value) noexcept {
  FilterContext& context = contextOf(stream);
  if (const hw_status status = checkEdit(context, map, name); status != HW_OK) return status;
  if (map == HW_MAP_REQUEST && name.id == FieldId::Host) return HW_REFUSED;
  value = trimOws(value);
  if (!http::isValidFieldValue(value)) return HW_INVALID;
  appendLine(context, *mapOf(context, map), name, value);
  return HW_OK;
}

hw_status removeField(hw_stream* stream, std::int32_t map, const Name& name) noexcept {
  FilterContext& context = contextOf(stream);
  if (const hw_status status = checkEdit(context, map, name); status != HW_OK) return status;
  if (map == HW_MAP_REQUEST && name.id == FieldId::Host) return HW_REFUSED;
  HeaderMap& fields = *mapOf(context, map);
  if (name.id != FieldId::Other && !fields.mayHave(name.id)) return HW_NOT_FOUND;
  bool found = false;
  for (http::Field& line : fields.lines())
    if (matches(line, name)) line.removed = found = true;
  return found ? HW_OK : HW_NOT_FOUND;
}

// The two ways to name a header; a null name is one that is not valid.
struct ByText {
  explicit ByText(hw_bytes bytes) noexcept : name{viewOf(bytes), FieldId::Other, false} {
    valid = http::isValidFieldName(name.text);
    if (valid) name.id = http::fieldId(name.text);
  }
  Name name;
  bool valid;
};
struct ById {
  explicit ById(hw_header_id handle) noexcept {
    const HeaderName* found = headerName(handle);
    valid = found != nullptr;
    if (valid) name = {found->text, found->id, true};
  }
  Name name;
  bool valid;
};

template <class By, class Handle>
hw_status fieldGet(const hw_stream* stream, std::int32_t map, Handle handle,
                   hw_bytes* value) noexcept {
  const By by(handle);
  return by.valid ? getField(stream, map, by.name, value) : hw_status{HW_INVALID};
}
template <class By, class Handle>
hw_status fieldSet(hw_stream* stream, std::int32_t map, Handle handle, hw_bytes value) noexcept {
  const By by(handle);
  return by.valid ? setField(stream, map, by.name, viewOf(value)) : hw_status{HW_INVALID};
}
template <class By, class Handle>
hw_status fieldAdd(hw_stream* stream, std::int32_t map, Handle handle, hw_bytes value) noexcept {
  const By by(handle);
  return by.valid ? addField(stream, map, by.name, viewOf(value)) : hw_status{HW_INVALID};
}
template <class By, class Handle>
hw_status fieldRemove(hw_stream* stream, std::int32_t map, Handle handle) noexcept {
  const By by(handle);
  return by.valid ? removeField(stream, map, by.name) : hw_status{HW_INVALID};
}

std::uint32_t fieldCount(const hw_stream* stream, std::int32_t map) noexcept {
  const HeaderMap* fields = mapOf(contextOf(stream), map);
  return fields != nullptr ? static_cast<std::uint32_t>(fields->count()) : 0;
}

hw_status fieldAt(const hw_stream* stream, std::int32_t map, std::uint32_t index,
                  hw_field* field) noexcept {
  if (!isKnownMap(map)) return HW_UNSUPPORTED;
  const HeaderMap* fields = mapOf(contextOf(stream), map);
  if (fields == nullptr) return HW_INVALID;
  for (const http::Field& line : fields->lines()) {
    if (line.removed) continue;
    if (index-- != 0) continue;
    *field = {bytesOf(line.name()), bytesOf(line.value())};
    return HW_OK;
  }
  return HW_INVALID;
}

hw_status fieldNext(const hw_stream* stream, std::int32_t map, hw_bytes name, std::uint32_t* cursor,
                    hw_bytes* value) noexcept {
  if (!isKnownMap(map)) return HW_UNSUPPORTED;
  const ByText by(name);
  if (!by.valid) return HW_INVALID;
  HeaderMap* fields = mapOf(contextOf(stream), map);
  if (fields == nullptr) return HW_NOT_FOUND;
  const auto lines = fields->lines();
  for (std::size_t i = *cursor; i < lines.size(); ++i) {
    if (!matches(lines[i], by.name)) continue;
    *cursor = static_cast<std::uint32_t>(i + 1);
    *value = bytesOf(lines[i].value());
    return HW_OK;
  }
  *cursor = static_cast<std::uint32_t>(lines.size());
  return HW_NOT_FOUND;
}

hw_status found(std::string_view text, hw_bytes* value) noexcept {
  *value = bytesOf(text);
  return HW_OK;
}

hw_status foundUnlessEmpty(std::string_view text, hw_bytes* value) noexcept {
  return text.empty() ? hw_status{HW_NOT_FOUND} : found(text, value);
}

hw_status text(const hw_stream* stream, std::int32_t what, hw_bytes* value) noexcept {
  FilterContext& context = contextOf(stream);
  const http::RequestHead& head = context.requestHead();
  const proxy::StreamInfo& info = context.info();
  switch (what) {
    case HW_TEXT_METHOD: return found(head.method, value);
    case HW_TEXT_SCHEME: return found(info.scheme, value);
    case HW_TEXT_AUTHORITY: return found(head.authority, value);
    case HW_TEXT_HOST: return found(info.client_host, value);
    case HW_TEXT_PATH: return found(head.path, value);
    case HW_TEXT_QUERY: return head.has_query ? found(head.query, value) : hw_status{HW_NOT_FOUND};
    case HW_TEXT_CLIENT_AUTHORITY: return found(info.client_authority, value);
    case HW_TEXT_PROTOCOL: return found(info.protocol, value);
    case HW_TEXT_PEER_ADDRESS: return foundUnlessEmpty(info.peer_address, value);
    case HW_TEXT_REQUEST_ID: return foundUnlessEmpty(info.request_id, value);
    case HW_TEXT_LISTENER: return foundUnlessEmpty(info.listener, value);
    case HW_TEXT_ROUTE: return foundUnlessEmpty(info.route, value);
    case HW_TEXT_RULE: return foundUnlessEmpty(info.rule, value);
    default: return HW_UNSUPPORTED;
  }
}

hw_status setText(hw_stream* stream, std::int32_t what, hw_bytes bytes) noexcept {
  FilterContext& context = contextOf(stream);
  const std::string_view value = viewOf(bytes);
  if (what < HW_TEXT_METHOD || what > HW_TEXT_RULE) return HW_UNSUPPORTED;
  if (what != HW_TEXT_AUTHORITY && what != HW_TEXT_PATH && what != HW_TEXT_QUERY) return HW_REFUSED;
  if (!context.requestHeadEditable()) return HW_WRONG_STATE;
  if (what == HW_TEXT_AUTHORITY) return setAuthority(context, value);
  http::RequestHead& head = context.requestHead();
  if (what == HW_TEXT_QUERY) {
    if (!http::isValidQuery(value)) return HW_INVALID;
    head.query = context.arena().copy(value);
    head.has_query = !value.empty();
    return HW_OK;
  }
  if (!isPath(value)) return HW_INVALID;
  head.path = context.arena().copy(value);
  head.target_form = http::TargetForm::Origin;  // An OPTIONS * becomes one for this path.
  return HW_OK;
}

hw_status lengthOf(const http::Framing& framing, std::int64_t* value) noexcept {
  if (framing.kind != http::BodyKind::None && framing.kind != http::BodyKind::Length)
    return HW_NOT_FOUND;
  *value = framing.kind == http::BodyKind::None ? 0 : static_cast<std::int64_t>(framing.length);
  return HW_OK;
}

hw_status number(const hw_stream* stream, std::int32_t what, std::int64_t* value) noexcept {
  FilterContext& context = contextOf(stream);
  const proxy::StreamInfo& info = context.info();
  const http::ResponseHead* response = context.responseHead();
  switch (what) {
    case HW_NUMBER_STATUS:
      if (response == nullptr) return HW_NOT_FOUND;
      *value = response->status;
      return HW_OK;
    case HW_NUMBER_CLIENT_PORT: return *value = info.client_port, HW_OK;
    case HW_NUMBER_PEER_PORT: return *value = info.peer_port, HW_OK;
    case HW_NUMBER_PREFIX_SIZE:
      if (info.prefix_size < 0) return HW_NOT_FOUND;
      return *value = info.prefix_size, HW_OK;
    case HW_NUMBER_STREAM_ID: return *value = static_cast<std::int64_t>(info.stream_id), HW_OK;
    case HW_NUMBER_REQUEST_LENGTH: return lengthOf(context.requestHead().framing, value);
    case HW_NUMBER_RESPONSE_LENGTH:
      return response != nullptr ? lengthOf(response->framing, value) : hw_status{HW_NOT_FOUND};
    default: return HW_UNSUPPORTED;
  }
}

bool isFinalStatus(std::int64_t status) noexcept { return status >= 200 && status <= 599; }

hw_status setNumber(hw_stream* stream, std::int32_t what, std::int64_t value) noexcept {
  FilterContext& context = contextOf(stream);
  if (what < HW_NUMBER_STATUS || what > HW_NUMBER_RESPONSE_LENGTH) return HW_UNSUPPORTED;
  if (what != HW_NUMBER_STATUS) return HW_REFUSED;
  http::ResponseHead* head = context.responseHead();
  if (head == nullptr || !context.responseHeadEditable()) return HW_WRONG_STATE;
  if (!isFinalStatus(value)) return HW_INVALID;
  head->status = static_cast<std::uint16_t>(value);
  head->reason = http::reasonPhrase(head->status);
  return HW_OK;
}

hw_status respond(hw_stream* stream, std::int32_t status, const hw_field* fields,
                  std::uint32_t count, hw_bytes body) noexcept {
  std::array<proxy::AnswerField, 64> lines;
  if (!isFinalStatus(status)) return HW_INVALID;
  if (count > lines.size()) return HW_LIMIT;
  for (std::uint32_t i = 0; i < count; ++i) {
    lines[i] = {viewOf(fields[i].name), trimOws(viewOf(fields[i].value))};
    if (!http::isValidFieldName(lines[i].name) || !http::isValidFieldValue(lines[i].value))
      return HW_INVALID;
    if (isHostOwned(http::fieldId(lines[i].name))) return HW_REFUSED;
  }
  if (body.size > kMaxChunkBytes) return HW_LIMIT;
  const bool taken = contextOf(stream).respond(static_cast<std::uint16_t>(status),
                                               {lines.data(), count}, viewOf(body));
  return taken ? HW_OK : HW_WRONG_STATE;
}

void* alloc(hw_stream* stream, std::size_t size, std::size_t alignment) noexcept {
  Arena& arena = contextOf(stream).arena();
  const bool valid = alignment != 0 && (alignment & (alignment - 1)) == 0 && alignment <= 16;
  if (!valid || size > kMaxArenaBytes || arena.heapBytes() + size > kMaxArenaBytes) return nullptr;
  return arena.allocate(size, alignment);
}

hw_status resume(hw_stream* stream, std::uint32_t hook, hw_flow verdict) noexcept {
  const bool single = hook != 0 && (hook & (hook - 1)) == 0 && hook <= HW_HOOK_RESPONSE_TRAILERS;
  if (!single) return HW_INVALID;
  const auto flow = verdict >= HW_FLOW_CONTINUE && verdict <= HW_FLOW_RESPONDED
                        ? static_cast<proxy::Flow>(verdict)
                        : proxy::Flow::Fault;
  return contextOf(stream).resume(hook, flow) ? HW_OK : HW_WRONG_STATE;
}

void ignore(hw_stream* stream, std::uint32_t hooks) noexcept { contextOf(stream).ignore(hooks); }

std::uint32_t workerIndex(const hw_stream* stream) noexcept {
  return contextOf(stream).info().worker_index;
}

}  // namespace

bool isHostOwned(FieldId id) noexcept {
  switch (id) {
    case FieldId::Connection:
    case FieldId::ContentLength:
    case FieldId::TransferEncoding:
    case FieldId::Upgrade:
    case FieldId::Expect:
    case FieldId::Te:
    case FieldId::Trailer:
    case FieldId::KeepAlive:
    case FieldId::ProxyConnection:
    case FieldId::Http2Settings: return true;
    default: return false;
  }
}

bool isPath(std::string_view path) noexcept {
  return path.starts_with('/') && std::all_of(path.begin(), path.end(), [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return byte > 0x20 && byte < 0x7f && c != '?' && c != '#' && c != '\\';
         });
}

hw_stream_api streamApi() noexcept {
  hw_stream_api api{};
  api.struct_size = sizeof api;
  api.field_count = &fieldCount;
  api.field_at = &fieldAt;
  api.field_get = &fieldGet<ByText, hw_bytes>;
  api.field_get_id = &fieldGet<ById, hw_header_id>;
  api.field_next = &fieldNext;
  api.field_set = &fieldSet<ByText, hw_bytes>;
  api.field_set_id = &fieldSet<ById, hw_header_id>;
  api.field_add = &fieldAdd<ByText, hw_bytes>;
  api.field_add_id = &fieldAdd<ById, hw_header_id>;
  api.field_remove = &fieldRemove<ByText, hw_bytes>;
  api.field_remove_id = &fieldRemove<ById, hw_header_id>;
  api.text = &text;
  api.set_text = &setText;
  api.number = &number;
  api.set_number = &setNumber;
  api.respond = &respond;
  api.alloc = &alloc;
  api.resume = &resume;
  api.ignore = &ignore;
  api.worker_index = &workerIndex;
  return api;
}

}  // namespace hyperway::plugin
