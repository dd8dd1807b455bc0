// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstring>

#include "base/bytes.hpp"
#include "http/h1.hpp"

namespace hyperway::http {
namespace {

// Start line decoration, every field that we add, their line ends, and a length in decimal.
constexpr std::size_t kFixedBytes = 256;

char* put(char* to, std::string_view text) noexcept {
  if (!text.empty()) std::memcpy(to, text.data(), text.size());
  return to + text.size();
}

template <std::size_t N>
char* put(char* to, const char (&text)[N]) noexcept {
  std::memcpy(to, text, N - 1);
  return to + N - 1;
}

char* putNumber(char* to, std::uint64_t number) noexcept {
  std::array<char, 20> digits;
  std::size_t at = digits.size();
  do {
    digits[--at] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number != 0);
  return put(to, {digits.data() + at, digits.size() - at});
}

char* putFields(char* to, const HeaderMap& fields) noexcept {
  for (const Field& field : fields.lines()) {
    if (field.removed) continue;
    to = put(to, field.name());
    to = put(to, ": ");
    to = put(to, field.value());
    to = put(to, "\r\n");
  }
  return to;
}

std::size_t fieldBytes(const HeaderMap& fields) noexcept {
  std::size_t bytes = 0;
  for (const Field& field : fields.lines()) bytes += field.name_size + field.value_size + 4;
  return bytes;
}

char* putLength(char* to, std::uint64_t length) noexcept {
  to = put(to, "Content-Length: ");
  to = putNumber(to, length);
  return put(to, "\r\n");
}

char* putRequestFraming(char* to, const RequestHead& head) noexcept {
  switch (head.framing.kind) {
    case BodyKind::Length: return putLength(to, head.framing.length);
    case BodyKind::Chunked: return put(to, "Transfer-Encoding: chunked\r\n");
    default: break;
  }
  const Method method = head.method_id;
  if (method == Method::Post || method == Method::Put || method == Method::Patch)
    return putLength(to, 0);  // RFC 9110 §8.6: these say that there is no content.
  return to;
}

// True if no Content-Length may stand in a response of that status (RFC 9110 §8.6).
bool isBodyless(std::uint16_t status) noexcept { return status < 200 || status == 204; }

// Framing fields of a response; `close` becomes true if only the end of the connection ends the
// body.
char* putResponseFraming(char* to, const ResponseHead& head, const H1ResponseOut& out,
                         bool& close) noexcept {
  if (isBodyless(head.status)) return to;
  const bool no_content = out.head_request || head.status == 304;
  switch (head.framing.kind) {
    case BodyKind::Length: return putLength(to, head.framing.length);
    case BodyKind::None:
      if (!no_content) return putLength(to, 0);
      return head.framing.length == 0 ? to : putLength(to, head.framing.length - 1);
    case BodyKind::Chunked:
      if (out.client != Version::Http10) return put(to, "Transfer-Encoding: chunked\r\n");
      break;
    default: break;
  }
  close = close || !no_content;
  return to;
}

char* putResponseConnection(char* to, const ResponseHead& head, const H1ResponseOut& out,
                            bool close) noexcept {
  if (head.framing.kind == BodyKind::Tunnel) {
    to = put(to, "Connection: upgrade\r\nUpgrade: ");
    to = put(to, head.upgrade);
    return put(to, "\r\n");
  }
  if (head.status < 200) return to;  // Interim responses say nothing about the connection.
  if (close) return put(to, "Connection: close\r\n");
  if (out.client == Version::Http10) return put(to, "Connection: keep-alive\r\n");
  return to;
}

}  // namespace

std::size_t requestHeadBound(const RequestHead& head, const H1RequestOut& out) noexcept {
  return kFixedBytes + head.method.size() + head.path.size() + head.query.size() +
         out.authority.size() + out.upgrade.size() + fieldBytes(head.fields);
}

char* writeRequestHead(const RequestHead& head, const H1RequestOut& out, char* to) noexcept {
  to = put(to, head.method);
  *to++ = ' ';
  to = put(to, head.path);
  if (head.has_query) {
    *to++ = '?';
    to = put(to, head.query);
  }
  to = put(to, " HTTP/1.1\r\nHost: ");
  to = put(to, out.authority);
  to = put(to, "\r\n");
  to = putFields(to, head.fields);
  to = putRequestFraming(to, head);
  if (out.expect_continue) to = put(to, "Expect: 100-continue\r\n");
  if (!out.upgrade.empty()) {
    to = put(to, "Connection: upgrade\r\nUpgrade: ");
    to = put(to, out.upgrade);
    to = put(to, "\r\n");
  } else if (out.close) {
    to = put(to, "Connection: close\r\n");
  }
  return put(to, "\r\n");
}

std::size_t responseHeadBound(const ResponseHead& head) noexcept {
  return kFixedBytes + head.reason.size() + head.upgrade.size() + fieldBytes(head.fields);
}

char* writeResponseHead(const ResponseHead& head, const H1ResponseOut& out, char* to) noexcept {
  to = put(to, "HTTP/1.1 ");
  *to++ = static_cast<char>('0' + head.status / 100);
  *to++ = static_cast<char>('0' + head.status / 10 % 10);
  *to++ = static_cast<char>('0' + head.status % 10);
  *to++ = ' ';
  to = put(to, head.reason.empty() ? reasonPhrase(head.status) : head.reason);
  to = put(to, "\r\n");
  to = putFields(to, head.fields);
  bool close = !out.keep_alive;
  to = putResponseFraming(to, head, out, close);
  to = putResponseConnection(to, head, out, close);
  return put(to, "\r\n");
}

}  // namespace hyperway::http
