// SPDX-License-Identifier: Apache-2.0
#include "proxy/udp_session.hpp"

#include <cerrno>

#include "proxy/udp_flows.hpp"

namespace hyperway::proxy {

std::size_t UdpSession::send(net::UdpBatch& batch,
                             std::span<const net::Datagram> datagrams) noexcept {
  const std::size_t count = batch.send(parts_.back.get(), datagrams);
  for (std::size_t i = 0; i < count; ++i) received_ += datagrams[i].bytes.size();
  return count;
}

void UdpSession::onEvents(std::uint32_t) noexcept {
  if (over_) return;
  net::UdpBatch& batch = flows_.batch();
  const auto came = batch.receive(parts_.back.get());
  if (!came) {
    if (net::isUnreachable(came.error())) flows_.unreachable(*this);
    return;
  }
  if (!answered_) {
    answered_ = true;
    flows_.firstAnswer(*this);
  }
  flows_.used(*this);
  // A client that is gone, or a network that is full: what does not go out is lost.
  std::span<const net::Datagram> rest = *came;
  while (!rest.empty()) {
    const std::size_t out =
        batch.sendTo(parts_.front->get(), rest, parts_.key.client, parts_.key.asked);
    for (std::size_t i = 0; i < out; ++i) sent_ += rest[i].bytes.size();
    flows_.countSent(out);
    rest = rest.subspan(out);
    if (rest.empty()) break;
    flows_.countDropped(1);
    rest = rest.subspan(1);
  }
}

}  // namespace hyperway::proxy
