// SPDX-License-Identifier: Apache-2.0
// LINK: hyperway::abi plugin_external_auth_static
// What an authorization server sends: whatever it is, reading it ends, keeps its bounds, and is the
// same the second time; and only what says so lets a request pass.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "../../plugins/filters/external_auth/check_message.hpp"

using namespace hyperway::external_auth;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto message = grpcMessage(bytes)) require(message->size() + 5 == size);
  require(grpcMessage(grpcFrame(bytes)) == bytes);
  require(isUtf8(asUtf8(bytes)));
  const auto verdict = decodeCheckResponse(bytes);
  if (!verdict) return 0;
  require(verdict->request.size() <= kMostChanges && verdict->removed.size() <= kMostChanges &&
          verdict->response.size() <= kMostChanges && verdict->query_set.size() <= kMostChanges &&
          verdict->query_removed.size() <= kMostChanges);
  require(verdict->status >= 200 && verdict->status <= 599);
  if (!verdict->allowed)
    require(verdict->request.empty() && verdict->removed.empty() && verdict->query_set.empty());
  require(decodeCheckResponse(bytes)->allowed == verdict->allowed);
  // A field of a response that denies, behind it, makes a no of every yes.
  std::string refused(bytes);
  refused.append("\x12\x00", 2);
  const auto denied = decodeCheckResponse(refused);
  require(!denied || !denied->allowed);
  return 0;
}
