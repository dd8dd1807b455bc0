// SPDX-License-Identifier: Apache-2.0
#include "http/field.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "http/char_class.hpp"

namespace hyperway::http {
namespace {

struct KnownName {
  std::string_view name;  // Lower case.
  FieldId id;
};

// Sorted by length; kFirstOfLength finds the few candidates of one length.
constexpr std::array kKnownNames = {
    KnownName{"te", FieldId::Te},
    KnownName{"host", FieldId::Host},
    KnownName{"date", FieldId::Date},
    KnownName{"cookie", FieldId::Cookie},
    KnownName{"origin", FieldId::Origin},
    KnownName{"server", FieldId::Server},
    KnownName{"expect", FieldId::Expect},
    KnownName{"upgrade", FieldId::Upgrade},
    KnownName{"trailer", FieldId::Trailer},
    KnownName{"location", FieldId::Location},
    KnownName{"connection", FieldId::Connection},
    KnownName{"keep-alive", FieldId::KeepAlive},
    KnownName{"tracestate", FieldId::Tracestate},
    KnownName{"traceparent", FieldId::Traceparent},
    KnownName{"content-type", FieldId::ContentType},
    KnownName{"x-request-id", FieldId::XRequestId},
    KnownName{"content-length", FieldId::ContentLength},
    KnownName{"http2-settings", FieldId::Http2Settings},
    KnownName{"x-forwarded-for", FieldId::XForwardedFor},
    KnownName{"content-encoding", FieldId::ContentEncoding},
    KnownName{"x-forwarded-host", FieldId::XForwardedHost},
    KnownName{"proxy-connection", FieldId::ProxyConnection},
    KnownName{"x-forwarded-proto", FieldId::XForwardedProto},
    KnownName{"transfer-encoding", FieldId::TransferEncoding},
    KnownName{"sec-websocket-key", FieldId::SecWebSocketKey},
    KnownName{"proxy-authenticate", FieldId::ProxyAuthenticate},
    KnownName{"proxy-authorization", FieldId::ProxyAuthorization},
    KnownName{"access-control-request-method", FieldId::AccessControlRequestMethod},
};

constexpr std::size_t kLongestKnown = kKnownNames.back().name.size();

constexpr auto kFirstOfLength = [] {
  std::array<std::uint8_t, kLongestKnown + 2> first{};
  std::size_t at = 0;
  for (std::size_t length = 0; length < first.size(); ++length) {
    while (at < kKnownNames.size() && kKnownNames[at].name.size() < length) ++at;
    first[length] = static_cast<std::uint8_t>(at);
  }
  return first;
}();

// A known name as words, with the bits that letters may differ in: exact, unlike folding every
// byte.
struct NameWords {
  std::array<std::uint64_t, 4> text;
  std::array<std::uint64_t, 4> letter_case;
};

constexpr auto kNameWords = [] {
  std::array<NameWords, kKnownNames.size()> words{};
  for (std::size_t n = 0; n < words.size(); ++n) {
    const std::string_view name = kKnownNames[n].name;
    for (std::size_t i = 0; i < name.size(); ++i) {
      const auto shift = 8 * (i % 8);
      words[n].text[i / 8] |= std::uint64_t{static_cast<unsigned char>(name[i])} << shift;
      if (name[i] >= 'a' && name[i] <= 'z')
        words[n].letter_case[i / 8] |= std::uint64_t{0x20} << shift;
    }
  }
  return words;
}();

// Up to 8 bytes of `text` as a little-endian word, the rest zero.
std::uint64_t loadWord(const char* text, std::size_t bytes) noexcept {
  static_assert(std::endian::native == std::endian::little);
  if (bytes >= 8) {
    std::uint64_t word;
    std::memcpy(&word, text, 8);
    return word;
  }
  if (bytes >= 4) {
    std::uint32_t low;
    std::uint32_t high;
    std::memcpy(&low, text, 4);
    std::memcpy(&high, text + bytes - 4, 4);
    return low | (std::uint64_t{high} << (8 * (bytes - 4)));
  }
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < bytes; ++i)
    word |= std::uint64_t{static_cast<unsigned char>(text[i])} << (8 * i);
  return word;
}

bool sameName(const Field& field, FieldId id, std::string_view name) noexcept {
  if (field.id != id) return false;
  return id != FieldId::Other || equalsIgnoreCase(field.name(), name);
}

}  // namespace

FieldId fieldId(std::string_view name) noexcept {
  const std::size_t size = name.size();
  if (size > kLongestKnown) return FieldId::Other;
  std::size_t at = kFirstOfLength[size];
  const std::size_t stop = kFirstOfLength[size + 1];
  if (at == stop) return FieldId::Other;
  const std::uint64_t first = loadWord(name.data(), size);
  for (; at != stop; ++at) {
    const NameWords& known = kNameWords[at];
    if (((first ^ known.text[0]) & ~known.letter_case[0]) != 0) continue;
    bool same = true;
    for (std::size_t i = 8; i < size; i += 8) {
      const std::uint64_t word = loadWord(name.data() + i, size - i);
      same = same && ((word ^ known.text[i / 8]) & ~known.letter_case[i / 8]) == 0;
    }
    if (same) return kKnownNames[at].id;
  }
  return FieldId::Other;
}

bool isValidFieldName(std::string_view name) noexcept {
  return !name.empty() && name.size() <= 0xffff &&
         std::all_of(name.begin(), name.end(), [](char c) { return isClass(c, kToken); });
}

bool isValidFieldValue(std::string_view value) noexcept {
  if (trimOws(value).size() != value.size() || value.size() > 0xffffffffU) return false;
  return std::all_of(value.begin(), value.end(), [](char c) { return isClass(c, kFieldText); });
}

void HeaderMap::grow() {
  const std::uint32_t capacity = capacity_ == 0 ? 24 : capacity_ * 2;
  auto* fields = arena_->array<Field>(capacity).data();
  if (size_ != 0) std::memcpy(fields, fields_, size_ * sizeof(Field));
  fields_ = fields;
  capacity_ = capacity;
}

void HeaderMap::add(std::string_view name, std::string_view value) {
  HW_ASSERT(!name.empty() && name.size() <= 0xffff && value.size() <= 0xffffffffU);
  appendView(fieldId(name), arena_->copy(name), arena_->copy(value));
}

void HeaderMap::set(std::string_view name, std::string_view value) {
  const FieldId id = fieldId(name);
  Field* first = nullptr;
  for (Field& field : lines()) {
    if (field.removed || !sameName(field, id, name)) continue;
    if (first == nullptr) {
      first = &field;
    } else {
      field.removed = true;
    }
  }
  if (first == nullptr) return add(name, value);
  HW_ASSERT(value.size() <= 0xffffffffU);
  const std::string_view own_name = arena_->copy(name);
  const std::string_view own_value = arena_->copy(value);
  *first = {own_name.data(),
            own_value.data(),
            static_cast<std::uint32_t>(own_value.size()),
            static_cast<std::uint16_t>(own_name.size()),
            id,
            false};
}

std::size_t HeaderMap::remove(std::string_view name) noexcept {
  const FieldId id = fieldId(name);
  if (id != FieldId::Other) return remove(id);
  std::size_t removed = 0;
  for (Field& field : lines()) {
    if (field.removed || !sameName(field, id, name)) continue;
    field.removed = true;
    ++removed;
  }
  return removed;
}

std::size_t HeaderMap::remove(FieldId id) noexcept {
  if (!mayHave(id)) return 0;
  std::size_t removed = 0;
  for (Field& field : lines()) {
    if (field.removed || field.id != id) continue;
    field.removed = true;
    ++removed;
  }
  return removed;
}

const Field* HeaderMap::find(std::string_view name) const noexcept {
  const FieldId id = fieldId(name);
  if (id != FieldId::Other) return find(id);
  for (const Field& field : lines())
    if (!field.removed && sameName(field, id, name)) return &field;
  return nullptr;
}

const Field* HeaderMap::find(FieldId id) const noexcept {
  if (!mayHave(id)) return nullptr;
  for (const Field& field : lines())
    if (!field.removed && field.id == id) return &field;
  return nullptr;
}

std::size_t HeaderMap::count() const noexcept {
  const auto all = lines();
  return static_cast<std::size_t>(
      std::count_if(all.begin(), all.end(), [](const Field& field) { return !field.removed; }));
}

}  // namespace hyperway::http
