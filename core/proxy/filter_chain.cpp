// SPDX-License-Identifier: Apache-2.0
#include "proxy/filter_chain.hpp"

#include <algorithm>
#include <bit>
#include <new>
#include <optional>
#include <utility>

namespace hyperway::proxy {

/// The hook bits of one direction.
struct FilterChain::Hooks {
  std::uint32_t head, body, trailers;
};

/// One filter on one stream: its instance and what it holds back in each direction.
class FilterChain::Slot final : public FilterContext {
 public:
  /// State of one direction.
  struct Side {
    bool head_done = false;  // the head went on to the next filter
    bool head_held = false;  // HOLD: waits for a body hook that continues
    bool hooked =
        false;          // `held` was seen by the body hook (HOLD or PAUSE), not merely kept for it
    bool end = false;   // the message ends behind `held`
    bool told = false;  // trailers came, and the body hook knows that no chunk follows
    std::string held;
    std::optional<http::HeaderMap> trailers;  // wait behind `held`
  };

  Slot(FilterChain& the_chain, std::size_t the_index, const FilterBinding& the_binding) noexcept
      : chain(the_chain), binding(the_binding), index(the_index), hooks(the_binding.interest()) {}

  http::RequestHead& requestHead() noexcept override {
    return chain.owner_.filterRequestHead(chain);
  }
  bool requestHeadEditable() const noexcept override {
    return chain.owner_.requestHeadEditable(chain);
  }
  http::ResponseHead* responseHead() noexcept override { return chain.owner_.filterResponseHead(); }
  bool responseHeadEditable() const noexcept override {
    return chain.owner_.responseHeadEditable();
  }
  http::HeaderMap* requestTrailers() noexcept override { return chain.trailers_[0]; }
  http::HeaderMap* responseTrailers() noexcept override { return chain.trailers_[1]; }
  const StreamInfo& info() const noexcept override { return chain.owner_.filterInfo(); }
  Arena& arena() noexcept override { return chain.owner_.filterArena(); }
  bool respond(std::uint16_t status, std::span<const AnswerField> fields,
               std::string_view body) override {
    answered = chain.owner_.storeAnswer(status, fields, body);
    return answered;
  }
  bool resume(std::uint32_t hook, Flow verdict) noexcept override {
    if ((paused & hook) == 0 || (hook & (hook - 1)) != 0) return false;
    for (unsigned bit = 0; bit < 6; ++bit)
      if (hook == 1U << bit) verdicts[bit] = verdict;
    resumes |= hook;
    chain.any_resume_ = true;
    return true;
  }
  void ignore(std::uint32_t dropped) noexcept override { hooks &= ~(dropped & 0x3fU); }
  Waker waker() noexcept override { return chain.owner_.makeWaker(chain, index); }
  std::uint32_t calloutBackends() const noexcept override {
    return chain.owner_.calloutBackends(chain, index);
  }
  std::uint32_t beginCallout(const CalloutRequest& request) noexcept override {
    return chain.owner_.beginCallout(chain, index, request);
  }
  bool calloutAnswer(std::uint32_t callout, CalloutAnswer& answer) const noexcept override {
    return chain.owner_.calloutAnswer(chain, index, callout, answer);
  }
  bool endCallout(std::uint32_t callout) noexcept override {
    return chain.owner_.endCallout(chain, index, callout);
  }

  FilterChain& chain;
  const FilterBinding& binding;
  void* instance = nullptr;
  std::size_t index;
  std::uint32_t hooks;
  std::uint32_t paused = 0;
  std::uint32_t resumes = 0;
  Flow verdicts[6] = {};
  bool created = false;
  bool answered = false;
  Side sides[2];
};

/// Counts nesting, so that resumes asked for inside a hook happen after it.
class FilterChain::Entered {
 public:
  explicit Entered(FilterChain& chain) noexcept : chain_(chain) { ++chain_.depth_; }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;
  ~Entered() {
    if (chain_.depth_ == 1 && chain_.any_resume_) chain_.settleResumes();
    --chain_.depth_;
  }

 private:
  FilterChain& chain_;
};

FilterChain::FilterChain(FilterChainOwner& owner, std::span<const route::FilterBindingPtr> bindings)
    : owner_(owner) {
  (void)append(bindings);
}

std::size_t FilterChain::append(std::span<const route::FilterBindingPtr> bindings) {
  Arena& arena = owner_.filterArena();
  const std::size_t first = slots_.size();
  const std::span<Slot*> slots = arena.array<Slot*>(first + bindings.size());
  std::copy(slots_.begin(), slots_.end(), slots.begin());
  for (std::size_t i = 0; i < bindings.size(); ++i) {
    // The compiler binds proxy filters only; route::FilterBinding has no other descendants.
    const auto& binding = static_cast<const FilterBinding&>(*bindings[i]);
    slots[first + i] =
        new (arena.allocate(sizeof(Slot), alignof(Slot))) Slot(*this, first + i, binding);
    interest_ |= binding.interest();
  }
  slots_ = slots;
  response_limit_ = slots.size();
  return first;
}

FilterChain::~FilterChain() {
  end(StreamEnd::Aborted);
  for (Slot* slot : slots_) slot->~Slot();
}

void FilterChain::end(StreamEnd reason) noexcept {
  if (ended_) return;
  ended_ = request_dead_ = true;
  for (std::size_t i = slots_.size(); i-- > 0;)
    if (slots_[i]->created) slots_[i]->binding.destroy(slots_[i]->instance, reason);
}

unsigned FilterChain::requestPauses() const noexcept {
  constexpr std::uint32_t kRequest = kRequestHead | kRequestBody | kRequestTrailers;
  int count = 0;
  for (const Slot* slot : slots_) count += std::popcount(slot->paused & kRequest);
  return static_cast<unsigned>(count);
}

const FilterChain::Hooks& FilterChain::hooksOf(Direction direction) noexcept {
  static constexpr Hooks kHooks[2] = {{kRequestHead, kRequestBody, kRequestTrailers},
                                      {kResponseHead, kResponseBody, kResponseTrailers}};
  return kHooks[static_cast<int>(direction)];
}

FilterChain::Slot& FilterChain::at(Direction direction, std::size_t position) noexcept {
  return *slots_[direction == Direction::Request ? position : response_limit_ - 1 - position];
}

bool FilterChain::ensure(Slot& slot) noexcept {
  if (!slot.created) slot.created = slot.binding.create(slot, &slot.instance);
  return slot.created;
}

Flow FilterChain::callHead(Direction direction, Slot& slot) noexcept {
  const std::uint32_t flags = end_with_head_[static_cast<int>(direction)] ? kEndOfStream : 0;
  return direction == Direction::Request ? slot.binding.onRequestHead(slot.instance, slot, flags)
                                         : slot.binding.onResponseHead(slot.instance, slot, flags);
}

Flow FilterChain::callBody(Direction direction, Slot& slot, BodyChunk& chunk, bool last) noexcept {
  const std::uint32_t flags = last ? kEndOfStream : 0;
  return direction == Direction::Request
             ? slot.binding.onRequestBody(slot.instance, slot, chunk, flags)
             : slot.binding.onResponseBody(slot.instance, slot, chunk, flags);
}

Flow FilterChain::callTrailers(Direction direction, Slot& slot) noexcept {
  return direction == Direction::Request ? slot.binding.onRequestTrailers(slot.instance, slot)
                                         : slot.binding.onResponseTrailers(slot.instance, slot);
}

void FilterChain::pause(Direction direction, bool on) noexcept {
  if (direction == Direction::Request)
    owner_.pauseRequest(on);
  else
    owner_.pauseResponse(on);
}

void FilterChain::fault(Slot& slot, std::uint16_t status) noexcept {
  request_dead_ = true;
  owner_.filterFailed(*this, status, slot.binding.pluginId());
}

void FilterChain::answer(Slot& slot) noexcept {
  if (!slot.answered) return fault(slot, 500);
  slot.answered = false;
  request_dead_ = true;
  owner_.answered(*this, slot.index);
}

void FilterChain::requestHead(bool end, bool preflight, std::size_t from) noexcept {
  const Entered entered(*this);
  end_with_head_[0] = end;
  preflight_ = preflight;
  headAt(Direction::Request, from);
}

void FilterChain::requestBody(std::span<char> data, bool end) noexcept {
  const Entered entered(*this);
  bodyAt(Direction::Request, 0, data, end);
}

void FilterChain::requestTrailers(http::HeaderMap& trailers) noexcept {
  const Entered entered(*this);
  trailersAt(Direction::Request, 0, trailers);
}

void FilterChain::responseHead(bool end) noexcept {
  const Entered entered(*this);
  end_with_head_[1] = end;
  headAt(Direction::Response, 0);
}

void FilterChain::answerFrom(std::size_t index, bool end) noexcept {
  response_limit_ = std::min(response_limit_, index);
  forgetResponse();  // what a filter held of an earlier response is not part of this one
  responseHead(end);
}

void FilterChain::forgetResponse() noexcept {
  ++answers_;
  constexpr std::uint32_t kResponse = kResponseHead | kResponseBody | kResponseTrailers;
  for (Slot* slot : slots_) {
    slot->sides[1] = {};
    slot->paused &= ~kResponse;
    slot->resumes &= ~kResponse;
  }
}

void FilterChain::responseBody(std::span<char> data, bool end) noexcept {
  const Entered entered(*this);
  bodyAt(Direction::Response, 0, data, end);
}

void FilterChain::responseTrailers(http::HeaderMap& trailers) noexcept {
  const Entered entered(*this);
  trailersAt(Direction::Response, 0, trailers);
}

void FilterChain::headAt(Direction direction, std::size_t position) noexcept {
  const bool request = direction == Direction::Request;
  for (; position < (request ? slots_.size() : response_limit_); ++position) {
    if (ended_ || (request && request_dead_)) return;
    Slot& slot = at(direction, position);
    Slot::Side& side = slot.sides[static_cast<int>(direction)];
    const bool skipped =
        request ? preflight_ && (slot.binding.interest() & kPreflight) == 0 : !slot.created;
    if (!skipped) {
      if (!ensure(slot)) return fault(slot, 500);
      if ((slot.hooks & hooksOf(direction).head) != 0 &&
          !headVerdict(direction, position, callHead(direction, slot)))
        return;
    }
    side.head_done = true;
  }
  if (request)
    owner_.requestHeadThrough(*this);
  else
    owner_.responseHeadThrough(*this, end_with_head_[1]);
}

/// True if no body follows the head that filters see: bytes of a tunnel go past them.
bool FilterChain::isWhole(Direction direction) noexcept {
  if (end_with_head_[static_cast<int>(direction)]) return true;
  if (direction == Direction::Request) return false;
  const http::ResponseHead* const head = owner_.filterResponseHead();
  return head != nullptr && head->framing.kind == http::BodyKind::Tunnel;
}

/// True if the message that a caller was busy with is over: its stream ended, or an answer took its
/// place (`answers`: how many there were when it began).
bool FilterChain::isOver(Direction direction, unsigned answers) const noexcept {
  return ended_ || (direction == Direction::Request ? request_dead_ : answers_ != answers);
}

/// True if the head goes on.
bool FilterChain::headVerdict(Direction direction, std::size_t position, Flow verdict) noexcept {
  Slot& slot = at(direction, position);
  switch (verdict) {
    case Flow::Continue: return true;
    case Flow::Hold:
      if (isWhole(direction)) return true;  // there is nothing to wait for
      slot.sides[static_cast<int>(direction)].head_held = true;
      if (direction == Direction::Request) owner_.requestHeadHeld();
      return false;
    case Flow::Pause:
      slot.paused |= hooksOf(direction).head;
      pause(direction, true);
      return false;
    case Flow::Responded: answer(slot); return false;
    case Flow::Fault: break;
  }
  fault(slot, 500);
  return false;
}

/// The head left a filter that had held or paused it: the rest of the message follows.
void FilterChain::headPassed(Direction direction, std::size_t position) noexcept {
  Slot::Side& side = at(direction, position).sides[static_cast<int>(direction)];
  side.head_done = true;
  side.head_held = false;
  headAt(direction, position + 1);
}

void FilterChain::bodyAt(Direction direction, std::size_t position, std::span<char> data,
                         bool end) noexcept {
  const bool request = direction == Direction::Request;
  std::string carried;
  for (; position < (request ? slots_.size() : response_limit_); ++position) {
    if (ended_ || (request && request_dead_)) return;
    Slot& slot = at(direction, position);
    Slot::Side& side = slot.sides[static_cast<int>(direction)];
    if (!side.head_done) {
      keep(direction, position, data, end);
      if (side.head_held && (slot.paused & hooksOf(direction).body) == 0)
        runHeldHead(direction, position);
      return;
    }
    if ((slot.paused & hooksOf(direction).body) != 0) return keep(direction, position, data, end);
    if (!slot.created || (slot.hooks & hooksOf(direction).body) == 0) continue;
    if (!runBody(direction, position, data, end, end, carried)) return;
  }
  if (request)
    owner_.requestBodyThrough(*this, data, end);
  else
    owner_.responseBodyThrough(*this, data, end);
}

/// Calls one body hook with what was held and `data`. True if bytes go on: `data` is then what
/// goes, kept alive by `carried`. `end`: the message ends behind the data; `last`: the hook is told
/// that no chunk follows.
bool FilterChain::runBody(Direction direction, std::size_t position, std::span<char>& data,
                          bool end, bool last, std::string& carried) noexcept {
  Slot& slot = at(direction, position);
  Slot::Side& side = slot.sides[static_cast<int>(direction)];
  std::string held;
  if (!side.held.empty()) {
    held = std::move(side.held);
    side.held.clear();
    held.append(data.data(), data.size());
    data = held;
  }
  BodyChunk chunk(data);
  const Flow verdict = callBody(direction, slot, chunk, last);
  if (verdict == Flow::Continue) {
    side.hooked = false;
    if (!held.empty() || chunk.edited()) {
      carried = chunk.release();
      data = carried;
    } else {
      data = chunk.edit();  // less what was drained
    }
    return true;
  }
  side.held = chunk.release();
  side.hooked = true;
  if (side.held.size() > owner_.holdLimit()) {
    fault(slot, direction == Direction::Request ? 413 : 502);
    return false;
  }
  return bodyVerdict(direction, position, verdict, end || last);
}

/// Deals with every verdict of a body hook but Continue; always false.
bool FilterChain::bodyVerdict(Direction direction, std::size_t position, Flow verdict,
                              bool end) noexcept {
  Slot& slot = at(direction, position);
  Slot::Side& side = slot.sides[static_cast<int>(direction)];
  if (verdict == Flow::Hold && !end) return false;
  if (verdict == Flow::Pause) {
    side.end = end;
    slot.paused |= hooksOf(direction).body;
    pause(direction, true);
    return false;
  }
  if (verdict == Flow::Responded && direction == Direction::Request)
    answer(slot);
  else
    fault(slot, 500);  // a HOLD at the end waits for nothing
  return false;
}

/// A filter holds the head: its body hook sees all that came so far, and may let go.
void FilterChain::runHeldHead(Direction direction, std::size_t position) noexcept {
  Slot& slot = at(direction, position);
  Slot::Side& side = slot.sides[static_cast<int>(direction)];
  const bool end = side.end;
  const unsigned answers = answers_;
  std::span<char> data;
  std::string carried;
  if ((slot.hooks & hooksOf(direction).body) != 0) {
    if (!runBody(direction, position, data, end, end, carried)) return;
  } else {
    carried = std::move(side.held);
    side.held.clear();
    data = carried;
  }
  side.end = false;
  headPassed(direction, position);
  if ((!data.empty() || end) && !isOver(direction, answers))
    bodyAt(direction, position + 1, data, end);
}

void FilterChain::keep(Direction direction, std::size_t position, std::span<char> data,
                       bool end) noexcept {
  Slot& slot = at(direction, position);
  Slot::Side& side = slot.sides[static_cast<int>(direction)];
  side.held.append(data.data(), data.size());
  side.end = side.end || end;
  if (side.held.size() > owner_.holdLimit())
    fault(slot, direction == Direction::Request ? 413 : 502);
}

void FilterChain::trailersAt(Direction direction, std::size_t position,
                             http::HeaderMap& trailers) noexcept {
  const bool request = direction == Direction::Request;
  const unsigned answers = answers_;
  trailers_[static_cast<int>(direction)] = &trailers;
  for (; position < (request ? slots_.size() : response_limit_); ++position) {
    if (ended_ || (request && request_dead_)) return;
    Slot& slot = at(direction, position);
    Slot::Side& side = slot.sides[static_cast<int>(direction)];
    const Hooks& hooks = hooksOf(direction);
    if (slot.created && (slot.hooks & hooks.body) != 0 && (slot.paused & hooks.body) == 0 &&
        (side.head_done || side.head_held) && !side.told) {
      side.told = true;
      std::span<char> rest;
      std::string carried;
      if (!runBody(direction, position, rest, false, true, carried)) {
        side.trailers = trailers;
        side.end = false;
        return;
      }
      if (!side.head_done) headPassed(direction, position);
      if (!rest.empty() && !isOver(direction, answers))
        bodyAt(direction, position + 1, rest, false);
      if (isOver(direction, answers)) return;
    } else if (side.head_held && (slot.hooks & hooks.body) == 0) {
      runHeldHead(direction, position);  // without a body hook nothing else will let it go
      if (isOver(direction, answers)) return;
    } else if (!side.head_done || (slot.paused & hooks.body) != 0) {
      side.trailers = trailers;
      return;
    }
    if (!slot.created || (slot.hooks & hooks.trailers) == 0) continue;
    const Flow verdict = callTrailers(direction, slot);
    if (verdict == Flow::Pause) {
      slot.paused |= hooks.trailers;
      side.trailers = trailers;
      return pause(direction, true);
    }
    if (verdict != Flow::Continue) return fault(slot, 500);
  }
  if (request)
    owner_.requestTrailersThrough(*this, trailers);
  else
    owner_.responseTrailersThrough(*this, trailers);
}

/// Takes the trailers that wait at a filter, to where they came in: filters look at them there for
/// the rest of the stream.
http::HeaderMap& FilterChain::keptTrailers(Slot& slot, Direction direction) noexcept {
  const auto at = static_cast<int>(direction);
  *trailers_[at] = *std::exchange(slot.sides[at].trailers, std::nullopt);
  return *trailers_[at];
}

void FilterChain::wake(std::size_t index, std::uint64_t token) noexcept {
  const Entered entered(*this);
  Slot& slot = *slots_[index];
  if (!ended_ && slot.created) slot.binding.onWake(slot.instance, slot, slot.paused, token);
}

void FilterChain::settleResumes() noexcept {
  while (any_resume_ && !ended_) {
    any_resume_ = false;
    for (Slot* slot : slots_) {
      for (unsigned bit = 0; bit < 6 && !ended_; ++bit) {
        const std::uint32_t hook = 1U << bit;
        if ((slot->resumes & hook) == 0) continue;
        slot->resumes &= ~hook;
        slot->paused &= ~hook;
        resumed(*slot, hook, slot->verdicts[bit]);
      }
    }
  }
}

/// A pause is over, with the verdict that the hook would have given.
void FilterChain::resumed(Slot& slot, std::uint32_t hook, Flow verdict) noexcept {
  const Direction direction = hook < kResponseHead ? Direction::Request : Direction::Response;
  const bool request = direction == Direction::Request;
  if (request && request_dead_) return;
  const std::size_t position = request ? slot.index : response_limit_ - 1 - slot.index;
  Slot::Side& side = slot.sides[static_cast<int>(direction)];
  const Hooks& hooks = hooksOf(direction);
  const unsigned answers = answers_;
  if (hook == hooks.head) {
    if (headVerdict(direction, position, verdict)) {
      const bool end = std::exchange(side.end, false);
      std::string kept = std::move(side.held);
      side.held.clear();
      headPassed(direction, position);
      if ((!kept.empty() || end) && !isOver(direction, answers))
        bodyAt(direction, position, kept, end);
    } else if (verdict == Flow::Hold && (!side.held.empty() || side.end)) {
      runHeldHead(direction, position);
    }
  } else if (hook == hooks.body) {
    const bool end = std::exchange(side.end, false);
    if (verdict != Flow::Continue) {
      (void)bodyVerdict(direction, position, verdict, end);
    } else {
      std::string kept = std::move(side.held);
      side.held.clear();
      side.hooked = false;
      if (!side.head_done) headPassed(direction, position);
      if (!isOver(direction, answers)) bodyAt(direction, position + 1, kept, end);
    }
  } else if (verdict != Flow::Continue) {
    return fault(slot, 500);
  } else if (side.trailers) {
    trailersAt(direction, position + 1, keptTrailers(slot, direction));
  }
  if (side.trailers && !isOver(direction, answers) &&
      (slot.paused & (hooks.head | hooks.body | hooks.trailers)) == 0)
    trailersAt(direction, position, keptTrailers(slot, direction));
  if (!ended_) pause(direction, false);
}

}  // namespace hyperway::proxy
