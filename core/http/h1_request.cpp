// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "base/bytes.hpp"
#include "http/char_class.hpp"
#include "http/h1.hpp"
#include "http/h1_head_reader.hpp"
#include "http/h1_hop.hpp"
#include "http/h1_scan.hpp"
#include "http/uri.hpp"

namespace hyperway::http {
namespace {

using h1::FieldLine;

constexpr std::size_t kLongestMethod = 64;
constexpr std::size_t kVersionBytes = 8;  // "HTTP/1.1"

// One attempt to read a head. Each step returns NeedMore, Bad (with error_) or Done.
class RequestParser : public h1::HeadReader {
 public:
  RequestParser(std::string_view input, const H1Limits& limits, RequestHead& head) noexcept
      : HeadReader(input, limits, head.fields), head_(head) {}

  H1Parse::State parse() {
    H1Parse::State state = readRequestLine();
    if (state == H1Parse::State::Done) state = readFields(accept);
    if (state == H1Parse::State::Done && !finish()) state = H1Parse::State::Bad;
    return state;
  }

 private:
  // RFC 9112 §3: method SP request-target SP HTTP-version CRLF.
  H1Parse::State readRequestLine() noexcept {
    if (at_ != end_ && *at_ == '\r') {  // RFC 9112 §2.2: an empty line before it is ignored.
      if (end_ - at_ < 2) return H1Parse::State::NeedMore;
      if (at_[1] != '\n') return bad(HttpError::BadLineEnd);
      at_ += 2;
    }
    unsigned classes = 0;
    const char* method = at_;
    const char* p = h1::findTokenEnd(at_, end_, classes);
    if (static_cast<std::size_t>(p - method) > kLongestMethod) return bad(HttpError::BadMethod);
    if (p == end_) return H1Parse::State::NeedMore;
    if (*p != ' ' || p == method) return bad(lineError(p, HttpError::BadMethod));
    head_.method = {method, static_cast<std::size_t>(p - method)};

    const char* target = ++p;
    p = h1::findTargetEnd(p, end_);
    target_ = {target, static_cast<std::size_t>(p - target)};
    if (target_.size() > limits_.target_bytes) return bad(HttpError::UriTooLong);
    if (p == end_) return H1Parse::State::NeedMore;
    if (*p != ' ') return bad(lineError(p, HttpError::BadTarget));
    if (target_.empty()) return bad(HttpError::BadRequestLine);
    return readVersion(p + 1);
  }

  H1Parse::State readVersion(const char* p) noexcept {
    const auto have = static_cast<std::size_t>(end_ - p);
    constexpr std::string_view kPrefix = "HTTP/";
    if (std::string_view(p, std::min(have, kPrefix.size())) != kPrefix.substr(0, have))
      return bad(lineError(p, HttpError::BadVersion));
    if (have < kVersionBytes + 2) return shortVersion({p, have});
    const char major = p[5];
    const char minor = p[7];
    if (!isClass(major, kDigit) || p[6] != '.' || !isClass(minor, kDigit))
      return bad(HttpError::BadVersion);
    if (p[8] != '\r' || p[9] != '\n')
      return bad(p[8] == '\r' || p[8] == '\n' ? HttpError::BadLineEnd : HttpError::BadVersion);
    if (major != '1') return bad(HttpError::UnsupportedVersion);
    head_.version = minor == '0' ? Version::Http10 : Version::Http11;
    head_.method_id = methodId(head_.method);
    at_ = p + kVersionBytes + 2;
    return H1Parse::State::Done;
  }

  // A version that is not there in full: bad at once if what is there ends a line too early.
  H1Parse::State shortVersion(std::string_view text) noexcept {
    for (const char c : text.substr(0, std::min(text.size(), kVersionBytes)))
      if (!isClass(c, kToken) && c != '/') return bad(lineError(&c, HttpError::BadVersion));
    return H1Parse::State::NeedMore;
  }

  static HttpError lineError(const char* p, HttpError otherwise) noexcept {
    if (*p == '\n') return HttpError::BadLineEnd;
    return *p == '\r' ? HttpError::BadRequestLine : otherwise;
  }

  static HttpError accept(const FieldLine& line) noexcept {
    return line.underscore && h1::isAliasOfProtected(line.name) ? HttpError::BadFieldName
                                                                : HttpError::None;
  }

  // Decides what the complete head means. Framing comes first: it is what others could misread.
  bool finish() {
    const auto stated = h1::statedFraming(hop_, head_.version);
    if (!stated) return refuse(stated.error());
    head_.framing = stated->framing;
    if (head_.method_id == Method::Connect) return refuse(HttpError::MethodNotSupported);
    if (head_.method_id == Method::Trace && head_.framing.kind != BodyKind::None)
      return refuse(HttpError::MethodNotSupported);  // RFC 9110 §9.3.8: no content in TRACE.
    return finishTarget() && finishHost() && finishConnection() && finishExpect();
  }

  bool finishTarget() {
    if (target_[0] == '/') return finishPath(target_);
    if (target_ == "*") {
      if (head_.method_id != Method::Options) return refuse(HttpError::BadTarget);
      head_.target_form = TargetForm::Asterisk;
      head_.path = target_;
      return true;
    }
    return finishAbsolute();
  }

  // RFC 9112 §3.2.2, with http and https only.
  bool finishAbsolute() {
    const std::size_t colon = target_.find(':');
    if (colon == target_.npos || target_.substr(colon, 3) != "://")
      return refuse(HttpError::BadTarget);
    const std::string_view scheme = target_.substr(0, colon);
    const bool secure = equalsIgnoreCase(scheme, "https");
    if (!secure && !equalsIgnoreCase(scheme, "http")) return refuse(HttpError::BadTarget);
    default_port_ = secure ? 443 : 80;
    head_.target_form = TargetForm::Absolute;
    const std::string_view rest = target_.substr(colon + 3);
    const std::size_t slash = std::min(rest.find_first_of("/?#"), rest.size());
    head_.authority = rest.substr(0, slash);
    const std::string_view path = rest.substr(slash);
    if (path.empty()) {
      // RFC 9112 §3.2.4: without a path, OPTIONS is about the server as a whole.
      head_.path = head_.method_id == Method::Options ? "*" : "/";
      return true;
    }
    if (path[0] == '/') return finishPath(path);
    head_.path = "/";
    return path[0] == '?' ? finishQuery(path.substr(1)) : refuse(HttpError::BadTarget);
  }

  bool finishPath(std::string_view text) {
    const auto* mark = static_cast<const char*>(std::memchr(text.data(), '?', text.size()));
    const std::size_t size =
        mark == nullptr ? text.size() : static_cast<std::size_t>(mark - text.data());
    const auto path = normalisePath(text.substr(0, size), head_.fields.arena());
    if (!path) return refuse(path.error());
    head_.path = *path;
    return mark == nullptr || finishQuery(text.substr(size + 1));
  }

  bool finishQuery(std::string_view query) noexcept {
    head_.query = query;
    head_.has_query = true;
    return isValidQuery(query) || refuse(HttpError::BadTarget);
  }

  bool finishHost() {
    if (hop_.host.count > 1) return refuse(HttpError::DuplicateHost);
    if (hop_.host.count == 0 && head_.version == Version::Http11)
      return refuse(HttpError::MissingHost);
    const bool absolute = head_.target_form == TargetForm::Absolute;
    if (hop_.host.count == 0 && !absolute) return true;  // HTTP/1.0 without Host.
    const auto host =
        parseAuthority(absolute ? head_.authority : hop_.host.value, head_.fields.arena());
    if (!host) return refuse(absolute ? HttpError::BadTarget : host.error());
    head_.host = host->host;
    if (!absolute) {
      head_.authority = hop_.host.value;
      return true;
    }
    return hop_.host.count == 0 || sameAuthority(*host);
  }

  // Host must repeat the authority of an absolute target; a default port may be spelled out in one.
  bool sameAuthority(const Authority& target) {
    const auto host = parseAuthority(hop_.host.value, head_.fields.arena());
    if (!host) return refuse(host.error());
    const auto port = [this](const Authority& authority) {
      return authority.port == 0 ? default_port_ : authority.port;
    };
    if (host->host != target.host || port(*host) != port(target))
      return refuse(HttpError::HostMismatch);
    return true;
  }

  bool finishConnection() noexcept {
    const bool old = head_.version == Version::Http10;
    if (hop_.connection_count == 0) {
      head_.keep_alive = !old;
      return true;  // Upgrade without the Connection option means nothing and is dropped.
    }
    const auto options = h1::applyConnection(hop_, head_.fields);
    if (!options) return refuse(options.error());
    head_.keep_alive = !options->close && (!old || options->keep_alive);
    // RFC 9110 §7.8: without the option, and in HTTP/1.0, Upgrade means nothing and is dropped.
    if (old || options->upgrades == 0 || hop_.upgrade.count == 0) return true;
    return finishUpgrade(options->upgrades);
  }

  bool finishUpgrade(std::uint32_t options) noexcept {
    if (hop_.upgrade.count > 1 || options > 1) return refuse(HttpError::BadUpgrade);
    const auto token = h1::upgradeToken(hop_.upgrade.value);
    if (!token) return refuse(token.error());
    if (token->empty()) return true;  // Only h2c: an ordinary request.
    // A body before the switch could be read as the new protocol by one side.
    if (head_.method_id != Method::Get || head_.framing.kind != BodyKind::None)
      return refuse(HttpError::BadUpgrade);
    head_.upgrade = *token;
    return true;
  }

  bool finishExpect() noexcept {
    if (hop_.expect.count == 0 || head_.version == Version::Http10) return true;  // §10.1.1
    if (hop_.expect.count > 1 || !equalsIgnoreCase(hop_.expect.value, "100-continue"))
      return refuse(HttpError::BadExpect);
    // Without a body there is nothing to continue with; forwarding it would only confuse a backend.
    head_.expect_continue = head_.framing.kind != BodyKind::None;
    return true;
  }

  RequestHead& head_;
  std::string_view target_;
  std::uint16_t default_port_ = 80;
};

}  // namespace

H1Parse parseRequestHead(std::string_view input, const H1Limits& limits, std::size_t& scanned,
                         RequestHead& head) {
  return h1::parseHead<RequestParser>(input, limits, scanned, head);
}

}  // namespace hyperway::http
