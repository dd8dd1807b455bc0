// SPDX-License-Identifier: Apache-2.0
// LINK: hw_http
// Whatever response head is accepted must, written to a client, read the same to a client without
// leniency.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "http/h1.hpp"
#include "strict_message.hpp"

using namespace hyperway;
using namespace hyperway::http;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void checkBody(const ResponseHead& head, const H1ResponseOut& out, const strict::Message& message) {
  switch (head.framing.kind) {
    case BodyKind::None: require(message.body == strict::Body::None); break;
    case BodyKind::Length:
      require(message.body == strict::Body::Length && message.length == head.framing.length);
      break;
    case BodyKind::Chunked:
      require(message.body ==
              (out.client == Version::Http10 ? strict::Body::UntilClose : strict::Body::Chunked));
      break;
    case BodyKind::UntilClose: require(message.body == strict::Body::UntilClose); break;
    case BodyKind::Tunnel: require(message.body == strict::Body::Tunnel); break;
  }
  if (message.body == strict::Body::UntilClose)
    require(message.all("connection") == std::vector<std::string>{"close"});
  if (out.client == Version::Http10) require(message.all("transfer-encoding").empty());
}

void checkWritten(const ResponseHead& head, const H1ResponseOut& out) {
  std::vector<char> room(responseHeadBound(head));
  char* const end = writeResponseHead(head, out, room.data());
  require(end <= room.data() + room.size());
  const std::string text = std::string(room.data(), end) + "BODY";
  const auto message = strict::readResponse(text, out.head_request);
  require(message.has_value());
  require(message->consumed == text.size() - 4);
  require(message->start[1] == std::to_string(head.status));
  std::size_t at = 0;
  for (const Field& field : head.fields.lines()) {
    if (field.removed) continue;
    require(at < message->fields.size());
    require(message->fields[at].first == strict::lower(field.name()));
    require(message->fields[at].second == field.value());
    ++at;
  }
  for (; at < message->fields.size(); ++at) {
    const std::string& name = message->fields[at].first;
    require(name == "content-length" || name == "transfer-encoding" || name == "connection" ||
            name == "upgrade");
  }
  checkBody(head, out, *message);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  // Bits of the first byte: request method, offered upgrade, version and wish of the client.
  const unsigned choice = data[0];
  const std::string_view input(reinterpret_cast<const char*>(data + 1), size - 1);
  const Method request = (choice & 1) != 0 ? Method::Head : Method::Get;
  const std::string_view offered = (choice & 2) != 0 ? "websocket" : "";
  Arena arena({});
  ResponseHead head(arena);
  std::size_t scanned = 0;
  const H1Parse parse = parseResponseHead(input, {}, request, offered, scanned, head);
  if (parse.state != H1Parse::State::Done) return 0;
  require(parse.consumed <= input.size());
  if (head.status == 101) require(!offered.empty());
  if (head.framing.kind == BodyKind::UntilClose) require(!head.keep_alive);
  H1ResponseOut out;
  out.client = (choice & 4) != 0 ? Version::Http10 : Version::Http11;
  out.head_request = request == Method::Head;
  out.keep_alive = (choice & 8) != 0;
  checkWritten(head, out);
  return 0;
}
