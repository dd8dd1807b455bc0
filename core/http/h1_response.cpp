// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/bytes.hpp"
#include "http/char_class.hpp"
#include "http/h1.hpp"
#include "http/h1_head_reader.hpp"
#include "http/h1_hop.hpp"
#include "http/h1_scan.hpp"

namespace hyperway::http {
namespace {

using h1::FieldLine;

// One attempt to read a response head. Each step returns NeedMore, Bad (with error_) or Done.
class ResponseParser : public h1::HeadReader {
 public:
  ResponseParser(std::string_view input, const H1Limits& limits, ResponseHead& head) noexcept
      : HeadReader(input, limits, head.fields), head_(head) {}

  H1Parse::State parse(Method request, std::string_view upgrade_offered) {
    H1Parse::State state = readStatusLine();
    if (state == H1Parse::State::Done)
      state = readFields([](const FieldLine&) { return HttpError::None; });
    if (state == H1Parse::State::Done && !finish(request, upgrade_offered))
      state = H1Parse::State::Bad;
    return state;
  }

 private:
  // RFC 9112 §4: HTTP-version SP status-code SP [reason-phrase] CRLF. The second SP may be
  // missing if there is no reason: many servers do that, and it can be read in one way only.
  H1Parse::State readStatusLine() noexcept {
    constexpr std::string_view kPattern = "HTTP/1.v ddd";
    const auto have = static_cast<std::size_t>(end_ - at_);
    for (std::size_t i = 0; i < std::min(have, kPattern.size()); ++i) {
      const char want = kPattern[i];
      const char c = at_[i];
      const bool fits = want == 'd'   ? isClass(c, kDigit)
                        : want == 'v' ? c == '0' || c == '1'
                                      : c == want;
      if (!fits) return bad(HttpError::BadStatusLine);
    }
    if (have <= kPattern.size()) return H1Parse::State::NeedMore;
    const char* p = at_ + kPattern.size();
    head_.version = at_[7] == '0' ? Version::Http10 : Version::Http11;
    head_.status =
        static_cast<std::uint16_t>((p[-3] - '0') * 100 + (p[-2] - '0') * 10 + (p[-1] - '0'));
    if (head_.status < 100 || head_.status > 599) return bad(HttpError::BadStatusLine);
    if (*p == ' ') {
      ++p;
    } else if (*p != '\r' && *p != '\n') {
      return bad(HttpError::BadStatusLine);
    }
    const char* reason_end = h1::findControl(p, end_);
    if (reason_end == end_) return H1Parse::State::NeedMore;
    if (*reason_end != '\r')
      return bad(*reason_end == '\n' ? HttpError::BadLineEnd : HttpError::BadStatusLine);
    if (end_ - reason_end < 2) return H1Parse::State::NeedMore;
    if (reason_end[1] != '\n') return bad(HttpError::BadLineEnd);
    head_.reason = {p, static_cast<std::size_t>(reason_end - p)};
    at_ = reason_end + 2;
    return H1Parse::State::Done;
  }

  bool finish(Method request, std::string_view upgrade_offered) noexcept {
    const auto stated = h1::statedFraming(hop_, head_.version);
    if (!stated) return refuse(stated.error());
    const auto options = h1::applyConnection(hop_, head_.fields);
    if (!options) return refuse(options.error());
    head_.keep_alive = !options->close && (head_.version == Version::Http11 || options->keep_alive);
    if (head_.status == 101) return finishUpgrade(*stated, options->upgrades, upgrade_offered);
    return finishFraming(*stated, request);
  }

  // RFC 9112 §6.3, in its order.
  bool finishFraming(const h1::StatedFraming& stated, Method request) noexcept {
    const bool chunked = stated.framing.kind == BodyKind::Chunked;
    if (head_.status < 200 || head_.status == 204) {
      // RFC 9110 §8.6, RFC 9112 §6.1: neither field may come here. A zero length is common and
      // harmless; anything else promises bytes that would be taken for the next response.
      if (stated.framing.kind != BodyKind::None)
        return refuse(chunked ? HttpError::BadTransferEncoding : HttpError::BadContentLength);
      return true;
    }
    if (request == Method::Head || head_.status == 304) {
      head_.framing = {BodyKind::None, 0};
      if (stated.named && !chunked) head_.framing.length = stated.framing.length + 1;
      return true;
    }
    head_.framing = stated.framing;
    if (!stated.named) {
      head_.framing.kind = BodyKind::UntilClose;
      head_.keep_alive = false;
    }
    return true;
  }

  // A tunnel opens only if we asked for exactly this protocol (RFC 9110 §15.2.2).
  bool finishUpgrade(const h1::StatedFraming& stated, std::uint32_t options,
                     std::string_view upgrade_offered) noexcept {
    if (upgrade_offered.empty() || head_.version == Version::Http10)
      return refuse(HttpError::UnexpectedUpgrade);
    if (stated.framing.kind != BodyKind::None || options == 0 || hop_.upgrade.count != 1 ||
        !equalsIgnoreCase(hop_.upgrade.value, upgrade_offered))
      return refuse(HttpError::UnexpectedUpgrade);
    head_.upgrade = hop_.upgrade.value;
    head_.framing = {BodyKind::Tunnel, 0};
    head_.keep_alive = false;
    return true;
  }

  ResponseHead& head_;
};

}  // namespace

H1Parse parseResponseHead(std::string_view input, const H1Limits& limits, Method request,
                          std::string_view upgrade_offered, std::size_t& scanned,
                          ResponseHead& head) {
  return h1::parseHead<ResponseParser>(input, limits, scanned, head, request, upgrade_offered);
}

}  // namespace hyperway::http
