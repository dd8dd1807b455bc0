// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// A second reader of HTTP/1 messages, written for tests from RFC 9112 alone: slow, plain, and
/// without any leniency. What hyperway sends must read the same here as hyperway meant it.
namespace strict {

/// How the reader finds the body's end.
enum class Body { None, Length, Chunked, UntilClose, Tunnel };

/// One message head as the strict reader understands it.
struct Message {
  std::string start[3];  ///< Method, target, version; or version, status, reason.
  std::vector<std::pair<std::string, std::string>> fields;  ///< Names in lower case.
  Body body = Body::None;
  std::uint64_t length = 0;
  std::size_t consumed = 0;  ///< Bytes of the head.

  /// Values of the lines with that (lower-case) name.
  [[nodiscard]] std::vector<std::string> all(std::string_view name) const {
    std::vector<std::string> found;
    for (const auto& [key, value] : fields)
      if (key == name) found.push_back(value);
    return found;
  }
};

inline bool isTokenByte(char c) {
  return std::string_view(
             "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
             "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
             .find(c) != std::string_view::npos;
}

inline bool isToken(std::string_view text) {
  for (const char c : text)
    if (!isTokenByte(c)) return false;
  return !text.empty();
}

inline std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

inline bool isVisible(std::string_view text) {
  for (const char c : text)
    if (c < 0x21 || c > 0x7e) return false;
  return !text.empty();
}

/// Reads the lines up to the empty one. Each ends with CRLF and holds no other CR, LF, NUL.
inline std::optional<std::vector<std::string>> linesOf(std::string_view text, std::size_t& used) {
  std::vector<std::string> lines;
  used = 0;
  while (true) {
    const std::size_t end = text.find("\r\n", used);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view line = text.substr(used, end - used);
    used = end + 2;
    if (line.empty()) return lines;
    for (const char c : line) {
      const auto byte = static_cast<unsigned char>(c);
      if ((byte < 0x20 && c != '\t') || byte == 0x7f) return std::nullopt;
    }
    lines.emplace_back(line);
  }
}

/// Reads start line and fields; `spaces` in the start line are exact. Framing is left to the
/// callers.
inline std::optional<Message> readHead(std::string_view text) {
  Message message;
  const auto lines = linesOf(text, message.consumed);
  if (!lines || lines->empty()) return std::nullopt;
  const std::string& start = lines->front();
  const std::size_t first = start.find(' ');
  if (first == std::string::npos) return std::nullopt;
  const std::size_t second = start.find(' ', first + 1);
  if (second == std::string::npos) return std::nullopt;
  message.start[0] = start.substr(0, first);
  message.start[1] = start.substr(first + 1, second - first - 1);
  message.start[2] = start.substr(second + 1);
  for (std::size_t i = 1; i < lines->size(); ++i) {
    const std::string& line = (*lines)[i];
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || !isToken(line.substr(0, colon))) return std::nullopt;
    std::string value = line.substr(colon + 1);
    while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.erase(0, 1);
    while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.pop_back();
    message.fields.emplace_back(lower(line.substr(0, colon)), value);
  }
  return message;
}

/// Sets body and length from the two framing fields; false if they leave any doubt.
inline bool frame(Message& message, Body without) {
  const auto lengths = message.all("content-length");
  const auto codings = message.all("transfer-encoding");
  if (lengths.size() + codings.size() > 1) return false;
  message.body = without;
  if (!codings.empty()) {
    message.body = Body::Chunked;
    return codings[0] == "chunked";
  }
  if (lengths.empty()) return true;
  const std::string& text = lengths[0];
  if (text.empty() || text.size() > 19) return false;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    message.length = message.length * 10 + static_cast<std::uint64_t>(c - '0');
  }
  message.body = message.length == 0 ? Body::None : Body::Length;
  return true;
}

/// Reads a request as a backend without leniency would.
inline std::optional<Message> readRequest(std::string_view text) {
  auto message = readHead(text);
  if (!message || !isToken(message->start[0]) || !isVisible(message->start[1]) ||
      message->start[2] != "HTTP/1.1" || message->all("host").size() != 1)
    return std::nullopt;
  const std::string& target = message->start[1];
  if (target.find('#') != std::string::npos) return std::nullopt;
  if (target[0] != '/' && !(target == "*" && message->start[0] == "OPTIONS")) return std::nullopt;
  if (!frame(*message, Body::None)) return std::nullopt;
  return message;
}

/// Reads a response to a request that was or was not HEAD, as a client without leniency would.
inline std::optional<Message> readResponse(std::string_view text, bool head_request) {
  auto message = readHead(text);
  if (!message || message->start[0] != "HTTP/1.1" || message->start[1].size() != 3)
    return std::nullopt;
  int status = 0;
  for (const char c : message->start[1]) {
    if (c < '0' || c > '9') return std::nullopt;
    status = status * 10 + (c - '0');
  }
  if (!frame(*message, Body::UntilClose)) return std::nullopt;
  const bool bodyless = status < 200 || status == 204;
  if (bodyless &&
      (!message->all("content-length").empty() || !message->all("transfer-encoding").empty()))
    return std::nullopt;
  if (bodyless || status == 304 || head_request) message->body = Body::None;
  if (status == 101) message->body = Body::Tunnel;
  return message;
}

}  // namespace strict
