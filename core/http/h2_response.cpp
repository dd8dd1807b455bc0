// SPDX-License-Identifier: Apache-2.0
#include "http/h2_response.hpp"

#include <algorithm>

#include "http/char_class.hpp"
#include "http/h2_request.hpp"

namespace hyperway::http {
namespace {

constexpr std::size_t kFieldOverhead = 32;  // RFC 9113 §6.5.2, SETTINGS_MAX_HEADER_LIST_SIZE

}  // namespace

void H2ResponseReader::beginHead(const H1Limits& limits, ResponseHead& head) noexcept {
  limits_ = &limits;
  head = ResponseHead(head.fields.arena());
  head.version = Version::Http2;
  head_ = &head;
  fields_ = &head.fields;
  hop_ = {};
  bytes_ = 0;
  count_ = 0;
}

void H2ResponseReader::beginTrailers(const H1Limits& limits, HeaderMap& trailers) noexcept {
  limits_ = &limits;
  head_ = nullptr;
  fields_ = &trailers;
  bytes_ = 0;
  count_ = 0;
}

HttpError H2ResponseReader::status(std::string_view value) noexcept {
  const bool digits = value.size() == 3 && std::all_of(value.begin(), value.end(),
                                                       [](char c) { return isClass(c, kDigit); });
  if (head_ == nullptr || head_->status != 0 || count_ != 1 || !digits)
    return HttpError::BadStatusLine;
  head_->status =
      static_cast<std::uint16_t>((value[0] - '0') * 100 + (value[1] - '0') * 10 + (value[2] - '0'));
  // RFC 9113 §8.6: 101 means nothing here.
  const bool good = head_->status >= 100 && head_->status <= 599 && head_->status != 101;
  return good ? HttpError::None : HttpError::BadStatusLine;
}

HttpError H2ResponseReader::field(std::string_view name, std::string_view value) {
  bytes_ += name.size() + value.size() + kFieldOverhead;
  if (bytes_ > limits_->head_bytes) return HttpError::HeadTooLarge;
  if (++count_ > limits_->fields) return HttpError::TooManyFields;
  if (name == ":status") return status(value);
  if (head_ != nullptr && head_->status == 0) return HttpError::BadStatusLine;
  if (!isValidH2Name(name)) return HttpError::BadFieldName;
  if (!isValidFieldValue(value)) return HttpError::BadFieldValue;
  const FieldId id = fieldId(name);
  if (isConnectionField(id)) return HttpError::BadConnection;
  if (head_ == nullptr) {
    if (!h1::isForbiddenTrailer(name)) fields_->appendView(id, name, value);
    return HttpError::None;
  }
  if (id == FieldId::Other || !hop_.take(id, value)) fields_->appendView(id, name, value);
  return HttpError::None;
}

HttpError H2ResponseReader::finishHead(Method request, std::string_view tunnel, bool end) noexcept {
  ResponseHead& head = *head_;
  if (head.status == 0) return HttpError::BadStatusLine;
  const auto stated = h1::statedFraming(hop_, Version::Http2);
  if (!stated) return stated.error();
  const Framing& framing = stated->framing;
  if (head.status < 200) {
    if (end) return HttpError::Truncated;
    return framing.kind == BodyKind::None ? HttpError::None : HttpError::BadContentLength;
  }
  if (!tunnel.empty() && head.status < 300) {
    if (end || stated->named) return HttpError::UnexpectedUpgrade;
    head.status = 101;
    head.upgrade = tunnel;
    head.framing = {BodyKind::Tunnel, 0};
    return HttpError::None;
  }
  if (head.status == 204)
    return framing.kind == BodyKind::None ? HttpError::None : HttpError::BadContentLength;
  if (request == Method::Head || head.status == 304) {
    head.framing = {BodyKind::None, stated->named ? framing.length + 1 : 0};
    return HttpError::None;
  }
  if (end) return framing.kind == BodyKind::None ? HttpError::None : HttpError::Truncated;
  head.framing = stated->named ? framing : Framing{BodyKind::Chunked, 0};
  return HttpError::None;
}

}  // namespace hyperway::http
