// SPDX-License-Identifier: Apache-2.0
#include "proxy/udp_listener.hpp"

#include "proxy/udp_flows.hpp"

namespace hyperway::proxy {
namespace {

// Then others get their turn; the socket is watched level-triggered.
constexpr int kBatchesPerTurn = 4;

}  // namespace

void UdpListener::onEvents(std::uint32_t) noexcept {
  for (int i = 0; i < kBatchesPerTurn; ++i) {
    const auto came = flows_.batch().receive(socket_->get());
    if (!came) return;
    flows_.arrived(*this, *came);
    if (came->size() < net::UdpBatch::kMost) return;
  }
}

}  // namespace hyperway::proxy
