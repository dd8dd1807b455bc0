// SPDX-License-Identifier: Apache-2.0
// LINK: hw_http
// Whatever request head is accepted must, written upstream, read the same to a reader without
// leniency.
#include <array>
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

// The lines that we forward, as the strict reader should see them.
std::vector<std::pair<std::string, std::string>> expectedFields(const RequestHead& head) {
  std::vector<std::pair<std::string, std::string>> out;
  out.emplace_back("host", head.authority);
  for (const Field& field : head.fields.lines())
    if (!field.removed) out.emplace_back(strict::lower(field.name()), field.value());
  return out;
}

void checkWritten(const RequestHead& head) {
  H1RequestOut out;
  out.authority = head.authority;
  out.upgrade = head.upgrade;
  out.expect_continue = head.expect_continue;
  std::vector<char> room(requestHeadBound(head, out));
  char* const end = writeRequestHead(head, out, room.data());
  require(end <= room.data() + room.size());
  const std::string text = std::string(room.data(), end) + "BODY";

  const auto message = strict::readRequest(text);
  require(message.has_value());
  require(message->consumed == text.size() - 4);
  require(message->start[0] == head.method);
  std::string target(head.path);
  if (head.has_query) target.append("?").append(head.query);
  require(message->start[1] == target);

  const auto expected = expectedFields(head);
  require(message->fields.size() >= expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) require(message->fields[i] == expected[i]);
  for (std::size_t i = expected.size(); i < message->fields.size(); ++i) {
    const std::string& name = message->fields[i].first;
    require(name == "content-length" || name == "transfer-encoding" || name == "connection" ||
            name == "upgrade" || name == "expect");
  }
  for (const auto* name : {"te", "trailer", "keep-alive", "proxy-connection", "http2-settings"})
    require(message->all(name).empty());
  require(message->all("connection").size() == (head.upgrade.empty() ? 0U : 1U));
  require(message->all("upgrade").size() == message->all("connection").size());

  switch (head.framing.kind) {
    case BodyKind::None: require(message->body == strict::Body::None); break;
    case BodyKind::Length:
      require(message->body == strict::Body::Length && message->length == head.framing.length);
      break;
    case BodyKind::Chunked: require(message->body == strict::Body::Chunked); break;
    default: std::abort();
  }
}

// What we send must be accepted by ourselves, unchanged: a second hyperway behind this one.
void checkStable(const RequestHead& head) {
  if (head.authority.empty())
    return;  // HTTP/1.0 without Host becomes an empty Host, refused in 1.1.
  H1RequestOut out;
  out.authority = head.authority;
  std::string text(requestHeadBound(head, out), '\0');
  text.resize(static_cast<std::size_t>(writeRequestHead(head, out, text.data()) - text.data()));
  Arena arena({});
  RequestHead again(arena);
  std::size_t scanned = 0;
  const H1Limits limits{.head_bytes = 1 << 20, .target_bytes = 1 << 20, .fields = 1000};
  const H1Parse parse = parseRequestHead(text, limits, scanned, again);
  require(parse.state == H1Parse::State::Done && parse.consumed == text.size());
  require(again.path == head.path && again.query == head.query && again.host == head.host);
  require(again.framing.kind == head.framing.kind && again.framing.length == head.framing.length);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  // The first byte says where the input is cut, so that dripped heads are covered too.
  const std::string_view input(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::size_t cut = input.size() * data[0] / 255;
  alignas(16) std::array<std::byte, 2048> memory;
  Arena arena(memory);
  Arena cut_arena({});
  RequestHead head(arena);
  RequestHead cut_head(cut_arena);
  std::size_t scanned = 0;
  const H1Limits limits;
  const H1Parse parse = parseRequestHead(input, limits, scanned, head);

  std::size_t cut_scanned = 0;
  H1Parse dripped = parseRequestHead(input.substr(0, cut), limits, cut_scanned, cut_head);
  if (dripped.state == H1Parse::State::NeedMore)
    dripped = parseRequestHead(input, limits, cut_scanned, cut_head);
  if (parse.state == H1Parse::State::Done || dripped.state == H1Parse::State::Done) {
    require(dripped.state == parse.state && dripped.consumed == parse.consumed);
    require(cut_head.path == head.path && cut_head.framing.kind == head.framing.kind);
  }
  if (parse.state != H1Parse::State::Done) return 0;
  require(parse.consumed <= input.size());
  checkWritten(head);
  checkStable(head);
  return 0;
}
