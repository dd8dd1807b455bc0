// SPDX-License-Identifier: Apache-2.0
#include "check_message.hpp"

#include <algorithm>

namespace hyperway::external_auth {
namespace {

enum WireType : std::uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

// ---- writing

class Writer {
 public:
  void number(std::uint32_t field, std::uint64_t value) {
    if (value == 0) return;  // the default is not written
    tag(field, kVarint);
    varint(value);
  }
  void text(std::uint32_t field, std::string_view value) {
    if (!value.empty()) message(field, value);
  }
  void message(std::uint32_t field, std::string_view bytes) {
    tag(field, kBytes);
    varint(bytes.size());
    out_ += bytes;
  }
  [[nodiscard]] const std::string& bytes() const noexcept { return out_; }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  void tag(std::uint32_t field, WireType type) { varint(field << 3 | type); }
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_ += static_cast<char>(value | 0x80);
    out_ += static_cast<char>(value);
  }
  std::string out_;
};

std::string peer(std::string_view address, std::uint32_t port) {
  Writer socket;  // envoy.config.core.v3.SocketAddress
  socket.text(2, address);
  socket.number(3, port);
  Writer wrapped;  // Address
  wrapped.message(1, socket.bytes());
  Writer out;  // AttributeContext.Peer
  out.message(1, wrapped.bytes());
  return out.take();
}

std::string httpRequest(const CheckRequest& request) {
  Writer out;  // AttributeContext.HttpRequest
  out.text(1, request.id);
  out.text(2, request.method);
  for (const auto& [name, value] : request.headers) {
    Writer entry;
    entry.text(1, name);
    entry.text(2, asUtf8(value));
    out.message(3, entry.bytes());
  }
  out.text(4, request.path);
  out.text(5, request.host);
  out.text(6, request.scheme);
  out.number(9, static_cast<std::uint64_t>(request.size));
  out.text(10, request.protocol);
  if (isUtf8(request.body))
    out.text(11, request.body);
  else
    out.text(12, request.body);
  return out.take();
}

// ---- reading

// One message's fields, one after the other.
class Reader {
 public:
  explicit Reader(std::string_view bytes) noexcept : rest_(bytes) {}

  // Goes to the next field; false at the end, or if what is there is no field (see sound()).
  bool next() noexcept {
    if (rest_.empty() || !sound_) return false;
    const std::uint64_t tag = varint();
    field_ = tag >> 3;
    type_ = static_cast<std::uint32_t>(tag & 7);
    sound_ = sound_ && field_ != 0 && field_ < (std::uint64_t{1} << 29);
    if (!sound_) return false;
    switch (type_) {
      case kVarint: number_ = varint(); break;
      case kFixed64: (void)take(8); break;
      case kFixed32: (void)take(4); break;
      case kBytes: {
        const std::uint64_t size = varint();
        bytes_ = sound_ ? take(size) : std::string_view();
        break;
      }
      default: sound_ = false;
    }
    return sound_;
  }
  // The current field is that one, with that type; known fields of another type are no such
  // message.
  [[nodiscard]] bool isBytes(std::uint64_t field) noexcept { return is(field, kBytes); }
  [[nodiscard]] bool isNumber(std::uint64_t field) noexcept { return is(field, kVarint); }
  [[nodiscard]] std::string_view bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }
  // False if it was no message.
  [[nodiscard]] bool sound() const noexcept { return sound_; }

 private:
  [[nodiscard]] bool is(std::uint64_t field, WireType type) noexcept {
    if (field_ != field) return false;
    if (type_ != type) sound_ = false;
    return type_ == type;
  }
  std::uint64_t varint() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) break;
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      if (shift == 63 && byte > 1) break;
      value |= std::uint64_t{byte & 0x7fU} << shift;
      if (byte < 0x80) return value;
    }
    sound_ = false;
    return 0;
  }
  std::string_view take(std::uint64_t size) noexcept {
    if (size > rest_.size()) {
      sound_ = false;
      return {};
    }
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }

  std::string_view rest_;
  std::string_view bytes_;
  std::uint64_t field_ = 0;
  std::uint64_t number_ = 0;
  std::uint32_t type_ = 0;
  bool sound_ = true;
};

// HeaderValue of envoy.config.core.v3.
bool readHeaderValue(std::string_view bytes, HeaderChange& out) {
  Reader reader(bytes);
  std::string raw;
  while (reader.next()) {
    if (reader.isBytes(1)) out.name = reader.bytes();
    if (reader.isBytes(2)) out.value = reader.bytes();
    if (reader.isBytes(3)) raw = reader.bytes();
  }
  if (out.value.empty()) out.value = std::move(raw);
  return reader.sound();
}

// HeaderValueOption. `usual`: what no word about it means, which is not the same everywhere.
bool readHeader(std::string_view bytes, HeaderChange::How usual, std::vector<HeaderChange>& list) {
  if (list.size() >= kMostChanges) return false;
  HeaderChange change;
  std::optional<bool> append;
  std::uint64_t action = 0;
  Reader reader(bytes);
  bool fine = true;
  while (fine && reader.next()) {
    if (reader.isBytes(1)) fine = readHeaderValue(reader.bytes(), change);
    if (reader.isBytes(2)) {  // google.protobuf.BoolValue
      append = false;
      Reader wrapper(reader.bytes());
      while (wrapper.next())
        if (wrapper.isNumber(1)) append = wrapper.number() != 0;
      fine = wrapper.sound();
    }
    if (reader.isNumber(3)) action = reader.number();
  }
  if (!fine || !reader.sound() || action > 3 || change.name.empty()) return false;
  if (append)
    change.how = *append ? HeaderChange::How::Add : HeaderChange::How::Set;
  else
    change.how = action == 1   ? HeaderChange::How::AddIfAbsent
                 : action == 2 ? HeaderChange::How::Set
                 : action == 3 ? HeaderChange::How::SetIfPresent
                               : usual;
  list.push_back(std::move(change));
  return true;
}

bool readQueryParameter(std::string_view bytes,
                        std::vector<std::pair<std::string, std::string>>& list) {
  if (list.size() >= kMostChanges) return false;
  auto& [name, value] = list.emplace_back();
  Reader reader(bytes);
  while (reader.next()) {
    if (reader.isBytes(1)) name = reader.bytes();
    if (reader.isBytes(2)) value = reader.bytes();
  }
  return reader.sound() && !name.empty();
}

bool readName(std::string_view bytes, std::vector<std::string>& list) {
  if (list.size() >= kMostChanges) return false;
  list.emplace_back(bytes);
  return true;
}

bool readOk(std::string_view bytes, CheckVerdict& out) {
  Reader reader(bytes);
  bool fine = true;
  while (fine && reader.next()) {
    if (reader.isBytes(2)) fine = readHeader(reader.bytes(), HeaderChange::How::Set, out.request);
    if (reader.isBytes(5)) fine = readName(reader.bytes(), out.removed);
    if (reader.isBytes(6)) fine = readHeader(reader.bytes(), HeaderChange::How::Add, out.response);
    if (reader.isBytes(7)) fine = readQueryParameter(reader.bytes(), out.query_set);
    if (reader.isBytes(8)) fine = readName(reader.bytes(), out.query_removed);
  }
  return fine && reader.sound();
}

bool readDenied(std::string_view bytes, CheckVerdict& out) {
  Reader reader(bytes);
  bool fine = true;
  while (fine && reader.next()) {
    if (reader.isBytes(1)) {  // envoy.type.v3.HttpStatus
      Reader status(reader.bytes());
      while (status.next())
        if (status.isNumber(1) && status.number() >= 200 && status.number() <= 599)
          out.status = static_cast<int>(status.number());
      fine = status.sound();
    }
    if (reader.isBytes(2)) fine = readHeader(reader.bytes(), HeaderChange::How::Add, out.response);
    if (reader.isBytes(3)) out.body = reader.bytes();
  }
  return fine && reader.sound();
}

}  // namespace

std::string encodeCheckRequest(const CheckRequest& request) {
  Writer time;  // google.protobuf.Timestamp
  time.number(1, static_cast<std::uint64_t>(request.time_ns / 1'000'000'000));
  time.number(2, static_cast<std::uint64_t>(request.time_ns % 1'000'000'000));
  Writer parts;  // AttributeContext.Request
  parts.message(1, time.bytes());
  parts.message(2, httpRequest(request));
  Writer attributes;  // AttributeContext
  if (!request.peer_address.empty())
    attributes.message(1, peer(request.peer_address, request.peer_port));
  attributes.message(2, peer(request.server_name, request.server_port));
  attributes.message(4, parts.bytes());
  Writer out;
  out.message(1, attributes.bytes());
  return out.take();
}

std::optional<CheckVerdict> decodeCheckResponse(std::string_view bytes) {
  CheckVerdict ok;
  CheckVerdict denied;
  std::uint64_t code = 0;
  bool has_status = false;
  bool has_ok = false;
  bool has_other = false;
  Reader reader(bytes);
  bool fine = true;
  while (fine && reader.next()) {
    if (reader.isBytes(1)) {  // google.rpc.Status
      has_status = true;
      Reader status(reader.bytes());
      while (status.next())
        if (status.isNumber(1)) code = status.number();
      fine = status.sound();
    }
    if (reader.isBytes(2)) {
      has_other = true;
      fine = readDenied(reader.bytes(), denied);
    }
    if (reader.isBytes(3)) {
      has_ok = true;
      fine = readOk(reader.bytes(), ok);
    }
    if (reader.isBytes(5)) {  // error_response: of the form of a denied one
      has_other = true;
      fine = readDenied(reader.bytes(), denied);
    }
  }
  if (!fine || !reader.sound()) return std::nullopt;
  if (code == 0 && (has_status || has_ok) && !has_other) {
    ok.allowed = true;
    return ok;
  }
  return denied;
}

std::string grpcFrame(std::string_view message) {
  std::string out(1, '\0');
  for (const int shift : {24, 16, 8, 0})
    out += static_cast<char>(static_cast<std::uint32_t>(message.size()) >> shift & 0xff);
  out += message;
  return out;
}

std::optional<std::string_view> grpcMessage(std::string_view body) noexcept {
  if (body.size() < 5 || body.front() != '\0') return std::nullopt;
  std::size_t size = 0;
  for (std::size_t i = 1; i < 5; ++i) size = size << 8 | static_cast<unsigned char>(body[i]);
  if (body.size() - 5 != size) return std::nullopt;
  return body.substr(5);
}

namespace {

// Length of the well-formed sequence at the beginning; 0: there is none (Unicode, table 3-7).
std::size_t sequence(std::string_view text) noexcept {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = at(0);
  if (first < 0x80) return 1;
  const std::size_t size = first >= 0xc2 && first <= 0xdf   ? 2
                           : first >= 0xe0 && first <= 0xef ? 3
                           : first >= 0xf0 && first <= 0xf4 ? 4
                                                            : 0;
  if (size == 0 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i)
    if ((at(i) & 0xc0) != 0x80) return 0;
  const unsigned second = at(1);
  const bool bad = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                   (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
  return bad ? 0 : size;
}

}  // namespace

bool isUtf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t size = sequence(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

std::string asUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t size = sequence(text);
    if (size == 0)
      out += '!';
    else
      out += text.substr(0, size);
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return out;
}

}  // namespace hyperway::external_auth
