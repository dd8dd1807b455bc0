// SPDX-License-Identifier: Apache-2.0
#include "naming.hpp"

namespace hyperway::gateway_deployer {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

}  // namespace

std::string sliceName(std::string_view service, std::string_view family, std::size_t part) {
  std::string name = std::string(service) + '-' + lower(family);
  return part == 0 ? name : name + '-' + std::to_string(part + 1);
}

std::string portName(std::uint16_t port, std::string_view protocol) {
  return lower(protocol) + '-' + std::to_string(port);
}

}  // namespace hyperway::gateway_deployer
