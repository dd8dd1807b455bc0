// SPDX-License-Identifier: Apache-2.0
#include "naming.hpp"

#include <algorithm>

namespace hyperway::gateway_deployer {
namespace {

constexpr std::size_t kMostLabel = 63;  // RFC 1123 labels, and values of Kubernetes labels
constexpr std::string_view kPrefix = "hyperway-";
constexpr std::size_t kHashDigits = 10;

bool isLabelChar(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

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

std::string sliceName(std::string_view service, std::string_view family, std::size_t part) {
  std::string name = std::string(service) + '-' + lower(family);
  return part == 0 ? name : name + '-' + std::to_string(part + 1);
}

std::string portName(std::uint16_t port, std::string_view protocol) {
  return lower(protocol) + '-' + std::to_string(port);
}

}  // namespace hyperway::gateway_deployer
