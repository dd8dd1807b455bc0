// SPDX-License-Identifier: Apache-2.0
// Stream: requests of its filters to backends of theirs.
#include <algorithm>
#include <utility>

#include "proxy/callout.hpp"
#include "proxy/stream.hpp"
#include "proxy/worker.hpp"

namespace hyperway::proxy {

/// The upstreams that a filter may call, in the order of its configuration.
std::span<const route::SlotMap::SlotPtr> Stream::calloutSlots(const FilterChain& chain,
                                                              std::size_t index) const noexcept {
  const bool of_backend = backend_chain_ && &chain == &*backend_chain_;
  if (of_backend) return rule_->calloutsOf(rule_->placeOf(*backend_), index);
  if (index < listener_filter_count_)
    return (listener_filters_ ? listener_filters_ : listener_->filters())->calloutsOf(index);
  if (rule_ == nullptr) return {};
  return rule_->calloutsOf(route::CompiledCallouts::kRule, index - listener_filter_count_);
}

std::uint32_t Stream::calloutBackends(const FilterChain& chain, std::size_t index) noexcept {
  return static_cast<std::uint32_t>(calloutSlots(chain, index).size());
}

std::uint32_t Stream::beginCallout(FilterChain& chain, std::size_t index,
                                   const CalloutRequest& request) noexcept {
  const auto slots = calloutSlots(chain, index);
  if (finished_ || request.backend >= slots.size()) return 0;
  std::uint32_t count = 0;
  for (const Callout* each = callouts_; each != nullptr; each = each->next) ++count;
  if (count >= kMaxCallouts) return 0;
  const Callout::Place place{*this,
                             chain,
                             index,
                             ++callout_ids_,
                             slots[request.backend]->number(),
                             identity_,
                             down_->connection()};
  auto* const callout =
      new Callout(worker_, place, request, std::min(request.max_body, holdLimit()));
  callout->next = std::exchange(callouts_, callout);
  return callout_ids_;
}

bool Stream::calloutAnswer(const FilterChain& chain, std::size_t index, std::uint32_t callout,
                           CalloutAnswer& answer) noexcept {
  for (const Callout* each = callouts_; each != nullptr; each = each->next) {
    if (!each->is(chain, index, callout)) continue;
    answer = each->answer();
    return true;
  }
  return false;
}

bool Stream::endCallout(const FilterChain& chain, std::size_t index,
                        std::uint32_t callout) noexcept {
  for (Callout** link = &callouts_; *link != nullptr; link = &(*link)->next) {
    if (!(*link)->is(chain, index, callout)) continue;
    Callout* const gone = *link;
    *link = gone->next;
    delete gone;
    return true;
  }
  return false;
}

/// Ends those of a chain's filters, or all.
void Stream::endCallouts(const FilterChain* chain) noexcept {
  for (Callout** link = &callouts_; *link != nullptr;) {
    Callout* const each = *link;
    if (chain != nullptr && each->chain() != chain) {
      link = &each->next;
      continue;
    }
    *link = each->next;
    delete each;
  }
}

}  // namespace hyperway::proxy
