// SPDX-License-Identifier: Apache-2.0
#include "http/h2_request.hpp"

#include <algorithm>
#include <cstring>

#include "base/bytes.hpp"
#include "http/body_decoder.hpp"
#include "http/char_class.hpp"
#include "http/uri.hpp"

namespace hyperway::http {
namespace {

constexpr std::size_t kLongestMethod = 64;
constexpr std::size_t kLineBytes = 4;  // ": " and CRLF

}  // namespace

bool isValidH2Name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= 0xffff &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return isClass(c, kToken) && !isClass(c, kUpper); });
}

bool isConnectionField(FieldId id) noexcept {
  switch (id) {
    case FieldId::Connection:
    case FieldId::KeepAlive:
    case FieldId::ProxyConnection:
    case FieldId::TransferEncoding:
    case FieldId::Upgrade: return true;
    default: return false;
  }
}

void H2RequestReader::refuse(HttpError why) noexcept {
  if (error_ == HttpError::None) error_ = why;
}

bool H2RequestReader::refused(HttpError why) noexcept {
  refuse(why);
  return false;
}

void H2RequestReader::field(std::string_view name, std::string_view value) {
  bytes_ += name.size() + value.size() + kLineBytes;
  if (bytes_ > limits_.head_bytes) refuse(HttpError::HeadTooLarge);
  if (error_ != HttpError::None) return;
  if (!name.empty() && name.front() == ':') return pseudo(name, value);
  regular_seen_ = true;
  if (++fields_ > limits_.fields) return refuse(HttpError::TooManyFields);
  regular(name, value);
}

// RFC 9113 §8.3: known names only, once each, in front of all others.
void H2RequestReader::pseudo(std::string_view name, std::string_view value) {
  std::string_view* const place = name == ":method"      ? &method_
                                  : name == ":scheme"    ? &scheme_
                                  : name == ":path"      ? &path_
                                  : name == ":authority" ? &authority_
                                  : name == ":protocol"  ? &protocol_
                                                         : nullptr;
  if (place == nullptr || place->data() != nullptr || regular_seen_)
    return refuse(HttpError::BadRequestLine);
  if (place == &path_ && value.size() > limits_.target_bytes) return refuse(HttpError::UriTooLong);
  *place = head_.fields.arena().copy(value);
}

void H2RequestReader::regular(std::string_view name, std::string_view value) {
  if (!isValidH2Name(name)) return refuse(HttpError::BadFieldName);
  if (!isValidFieldValue(value)) return refuse(HttpError::BadFieldValue);
  if (h1::isAliasOfProtected(name)) return refuse(HttpError::BadFieldName);
  const FieldId id = fieldId(name);
  if (isConnectionField(id)) return refuse(HttpError::BadConnection);
  if (id == FieldId::Te && !equalsIgnoreCase(value, "trailers"))
    return refuse(HttpError::BadConnection);
  Arena& arena = head_.fields.arena();
  const std::string_view kept = arena.copy(value);
  if (id != FieldId::Other && hop_.take(id, kept)) return;
  if (id == FieldId::Cookie) ++cookies_;
  head_.fields.appendView(id, arena.copy(name), kept);
}

HttpError H2RequestReader::finish(bool end) {
  head_.keep_alive = true;
  if (error_ == HttpError::None)
    (void)(finishFraming(end) && finishMethod(end) && finishTarget() && finishAuthority());
  if (error_ != HttpError::None) return error_;
  if (cookies_ > 1) joinCookies();
  if (hop_.expect.count > 1 ||
      (hop_.expect.count == 1 && !equalsIgnoreCase(hop_.expect.value, "100-continue")))
    refuse(HttpError::BadExpect);
  head_.expect_continue = hop_.expect.count == 1 && head_.framing.kind != BodyKind::None;
  return error_;
}

bool H2RequestReader::finishFraming(bool end) noexcept {
  const auto stated = h1::statedFraming(hop_, Version::Http2);
  if (!stated) return refused(stated.error());
  has_length_ = stated->named;
  length_ = stated->framing.length;
  if (end) {
    if (length_ != 0) return refused(HttpError::BadContentLength);
    return true;
  }
  // Without END_STREAM the end is still to come, whatever the length says.
  head_.framing = length_ != 0 ? stated->framing : Framing{BodyKind::Chunked, 0};
  return true;
}

bool H2RequestReader::finishMethod(bool end) noexcept {
  if (!isValidFieldName(method_) || method_.size() > kLongestMethod)
    return refused(HttpError::BadMethod);
  head_.method = method_;
  head_.method_id = methodId(method_);
  if (head_.method_id == Method::Trace && !end) return refused(HttpError::MethodNotSupported);
  const bool connect = head_.method_id == Method::Connect;
  if (protocol_.data() == nullptr) return !connect || refused(HttpError::MethodNotSupported);
  // RFC 8441: the stream becomes the tunnel. Only what is known to leave HTTP for good is asked
  // for in HTTP/1.
  if (!connect || !isValidFieldName(protocol_) || has_length_)
    return refused(HttpError::BadUpgrade);
  if (!equalsIgnoreCase(protocol_, "websocket")) return refused(HttpError::MethodNotSupported);
  head_.method = "GET";
  head_.method_id = Method::Get;
  head_.framing = {};
  head_.upgrade = "websocket";
  return true;
}

bool H2RequestReader::finishTarget() {
  if (!equalsIgnoreCase(scheme_, "http") && !equalsIgnoreCase(scheme_, "https"))
    return refused(HttpError::BadTarget);
  if (path_ == "*") {
    if (head_.method_id != Method::Options) return refused(HttpError::BadTarget);
    head_.target_form = TargetForm::Asterisk;
    head_.path = path_;
    return true;
  }
  if (path_.empty() || path_.front() != '/') return refused(HttpError::BadTarget);
  const std::size_t mark = path_.find('?');
  const auto path = normalisePath(path_.substr(0, mark), head_.fields.arena());
  if (!path) return refused(path.error());
  head_.path = *path;
  if (mark == path_.npos) return true;
  head_.query = path_.substr(mark + 1);
  head_.has_query = true;
  return isValidQuery(head_.query) || refused(HttpError::BadTarget);
}

// RFC 9113 §8.3.1: Host, if it is there too, must name the same as :authority.
bool H2RequestReader::finishAuthority() {
  if (hop_.host.count > 1) return refused(HttpError::DuplicateHost);
  const bool named = authority_.data() != nullptr;
  if (!named && hop_.host.count == 0) return refused(HttpError::MissingHost);
  head_.authority = named ? authority_ : hop_.host.value;
  const auto target = parseAuthority(head_.authority, head_.fields.arena());
  if (!target) return refused(target.error());
  head_.host = target->host;
  if (!named || hop_.host.count == 0 || hop_.host.value == authority_) return true;
  const auto host = parseAuthority(hop_.host.value, head_.fields.arena());
  if (!host) return refused(host.error());
  const std::uint16_t usual = equalsIgnoreCase(scheme_, "https") ? 443 : 80;
  const auto port = [usual](const Authority& authority) {
    return authority.port == 0 ? usual : authority.port;
  };
  return (host->host == target->host && port(*host) == port(*target)) ||
         refused(HttpError::HostMismatch);
}

// RFC 9113 §8.2.3: HTTP/1 knows one Cookie line only.
void H2RequestReader::joinCookies() {
  std::size_t size = 0;
  Field* first = nullptr;
  for (Field& line : head_.fields.lines()) {
    if (line.id != FieldId::Cookie) continue;
    if (first == nullptr) first = &line;
    size += line.value_size + 2U;
  }
  auto* const joined = static_cast<char*>(head_.fields.arena().allocate(size, 1));
  char* at = joined;
  for (Field& line : head_.fields.lines()) {
    if (line.id != FieldId::Cookie) continue;
    if (line.value_size != 0) {  // a piece without content joins nothing
      if (at != joined) {
        *at++ = ';';
        *at++ = ' ';
      }
      std::memcpy(at, line.value_data, line.value_size);
      at += line.value_size;
    }
    line.removed = &line != first;
  }
  first->value_data = joined;
  first->value_size = static_cast<std::uint32_t>(at - joined);
}

HttpError takeH2Trailer(std::string_view name, std::string_view value, HeaderMap& trailers,
                        std::size_t& bytes) {
  bytes += name.size() + value.size() + kLineBytes;
  if (bytes > BodyDecoder::kMaxTrailerBytes ||
      trailers.lines().size() >= BodyDecoder::kMaxTrailerFields)
    return HttpError::BadTrailer;
  if (!isValidH2Name(name) || !isValidFieldValue(value) || h1::isForbiddenTrailer(name))
    return HttpError::BadTrailer;
  trailers.add(name, value);
  return HttpError::None;
}

}  // namespace hyperway::http
