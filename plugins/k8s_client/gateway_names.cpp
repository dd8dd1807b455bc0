// SPDX-License-Identifier: Apache-2.0
#include "k8s_client/gateway_names.hpp"

#include <algorithm>
#include <cstdint>

namespace hyperway::k8s_client {
namespace {

constexpr std::size_t kMostLabel = 63;  // RFC 1123 labels, and values of Kubernetes labels
constexpr std::string_view kPrefix = "hyperway-";
constexpr std::size_t kHashDigits = 10;

bool isLabelChar(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; }

// `text`, cut so that "-" and a hash of `whole` fit behind it.
std::string withHash(std::string text, std::string_view whole) {
  text.resize(std::min(text.size(), kMostLabel - kHashDigits - 1));
  while (!text.empty() && (text.back() == '-' || text.back() == '.')) text.pop_back();
  return text + '-' + hashOf(whole).substr(0, kHashDigits);
}

}  // namespace

// FNV-1a, 64 bits: names are told apart, nothing is protected by it.
std::string hashOf(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3U;
  }
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out(16, '0');
  for (std::size_t i = 0; i < 16; ++i) out[i] = kHex[(hash >> (60 - 4 * i)) & 15];
  return out;
}

std::string serviceName(std::string_view gateway) {
  std::string name(kPrefix);
  name += gateway;
  const bool plain = std::all_of(gateway.begin(), gateway.end(), isLabelChar);
  if (plain && name.size() <= kMostLabel && !name.ends_with('-')) return name;
  for (char& c : name)
    if (!isLabelChar(c)) c = '-';
  return withHash(std::move(name), gateway);
}

std::string labelValue(std::string_view name) {
  return name.size() <= kMostLabel ? std::string(name) : withHash(std::string(name), name);
}

}  // namespace hyperway::k8s_client
