// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "proxy/filter.hpp"

namespace hyperway::proxy {

class FilterChain;

/// What a chain tells its stream: what came out at its far end. Request parts come out behind the
/// last filter, response parts before the first.
class FilterChainOwner {
 public:
  /// The request head went through all filters.
  virtual void requestHeadThrough(FilterChain& chain) noexcept = 0;
  /// Body bytes came through; valid during the call.
  virtual void requestBodyThrough(FilterChain& chain, std::span<char> data, bool end) noexcept = 0;
  /// Trailers came through; they end the request.
  virtual void requestTrailersThrough(FilterChain& chain, http::HeaderMap& trailers) noexcept = 0;
  /// The response head went through.
  virtual void responseHeadThrough(FilterChain& chain, bool end) noexcept = 0;
  /// Body bytes came through; valid during the call.
  virtual void responseBodyThrough(FilterChain& chain, std::span<char> data, bool end) noexcept = 0;
  /// Trailers came through; they end the response.
  virtual void responseTrailersThrough(FilterChain& chain, http::HeaderMap& trailers) noexcept = 0;
  /// A filter waits: stop (true) or go on (false) reading that side.
  virtual void pauseRequest(bool paused) noexcept = 0;
  /// The same for the response.
  virtual void pauseResponse(bool paused) noexcept = 0;
  /// The head is held until a body hook continues: a client that expects 100 must be told to send.
  virtual void requestHeadHeld() noexcept = 0;
  /// A filter answers by itself; the answer is in the stream's response head and `body`. It has to
  /// go through the response side of the filters before `index` (FilterChain::answerFrom).
  virtual void answered(FilterChain& chain, std::size_t index) noexcept = 0;
  /// A filter is broken, or buffered more than allowed (`status` 413 or 502, else 500).
  virtual void filterFailed(FilterChain& chain, std::uint16_t status,
                            std::string_view plugin) noexcept = 0;

  /// For FilterContext.
  [[nodiscard]] virtual http::RequestHead& filterRequestHead(FilterChain& chain) noexcept = 0;
  /// True while edits of the request head still take effect.
  [[nodiscard]] virtual bool requestHeadEditable(FilterChain& chain) noexcept = 0;
  /// Null before there is one.
  [[nodiscard]] virtual http::ResponseHead* filterResponseHead() noexcept = 0;
  /// True while edits of the response head still take effect.
  [[nodiscard]] virtual bool responseHeadEditable() noexcept = 0;
  /// Facts.
  [[nodiscard]] virtual const StreamInfo& filterInfo() noexcept = 0;
  /// Memory of the stream.
  [[nodiscard]] virtual Arena& filterArena() noexcept = 0;
  /// Stores an answer; false once a response head is out.
  [[nodiscard]] virtual bool storeAnswer(std::uint16_t status, std::span<const AnswerField> fields,
                                         std::string_view body) noexcept = 0;
  /// A waker that comes back as FilterChain::wake(index, token).
  [[nodiscard]] virtual Waker makeWaker(FilterChain& chain, std::size_t index) noexcept = 0;
  /// Bytes that one filter may hold back in one direction.
  [[nodiscard]] virtual std::size_t holdLimit() noexcept = 0;
  /// The rest is for FilterContext's members of the same names, of filter `index`.
  [[nodiscard]] virtual std::uint32_t calloutBackends(const FilterChain&, std::size_t) noexcept {
    return 0;
  }
  /// Its answer comes back as FilterChain::wake(index, token).
  [[nodiscard]] virtual std::uint32_t beginCallout(FilterChain&, std::size_t,
                                                   const CalloutRequest&) noexcept {
    return 0;
  }
  /// See FilterContext::calloutAnswer().
  [[nodiscard]] virtual bool calloutAnswer(const FilterChain&, std::size_t, std::uint32_t,
                                           CalloutAnswer&) noexcept {
    return false;
  }
  /// See FilterContext::endCallout().
  [[nodiscard]] virtual bool endCallout(const FilterChain&, std::size_t, std::uint32_t) noexcept {
    return false;
  }

 protected:
  ~FilterChainOwner() = default;
};

/// The filter instances of one segment (rule or backend) of one stream, and what they hold back.
/// Message parts go in at one end and come out at the other, through FilterChainOwner, at once or
/// after a filter has made up its mind. Lives in its stream, which must not destroy it while one of
/// its functions runs. [worker]
class FilterChain {
 public:
  /// Instances for `bindings`, which must live as long as the chain; the memory is the stream's.
  FilterChain(FilterChainOwner& owner, std::span<const route::FilterBindingPtr> bindings);
  FilterChain(const FilterChain&) = delete;
  FilterChain& operator=(const FilterChain&) = delete;
  /// Ends all instances with reason Aborted, if end() was not called.
  ~FilterChain();

  /// Or-ed interest of all filters (Hook bits).
  [[nodiscard]] std::uint32_t interest() const noexcept { return interest_; }
  /// How often pauseRequest(true) of the owner waits for its counterpart.
  [[nodiscard]] unsigned requestPauses() const noexcept;
  /// Ends all instances, in reverse order. No call of theirs follows.
  void end(StreamEnd reason) noexcept;

  /// Adds filters behind the others, before the request's head comes or when it has gone through
  /// these; `bindings` as for the constructor. Returns where they begin, for requestHead().
  std::size_t append(std::span<const route::FilterBindingPtr> bindings);
  /// Sends a request head in; `preflight`: only filters that want preflights run; `from`: it has
  /// been through those before already.
  void requestHead(bool end, bool preflight = false, std::size_t from = 0) noexcept;
  /// Sends body bytes in.
  void requestBody(std::span<char> data, bool end) noexcept;
  /// Sends trailers in; they must stay where they are for the rest of the stream.
  void requestTrailers(http::HeaderMap& trailers) noexcept;
  /// Sends a response head in, through the filters that saw the request. None can hold that of a
  /// tunnel.
  void responseHead(bool end) noexcept;
  /// Sends another answer in: that of filter `index`, which only the filters before it see, or (an
  /// index beyond the last) the gateway's own. What was held of an earlier response is dropped.
  void answerFrom(std::size_t index, bool end) noexcept;
  /// An answer that does not come through here takes the place of the response: nothing of this
  /// comes out any more.
  void forgetResponse() noexcept;
  /// Sends body bytes in.
  void responseBody(std::span<char> data, bool end) noexcept;
  /// Sends trailers in; as for the request.
  void responseTrailers(http::HeaderMap& trailers) noexcept;
  /// A waker of filter `index` fired.
  void wake(std::size_t index, std::uint64_t token) noexcept;

 private:
  class Slot;
  class Entered;
  enum class Direction : std::uint8_t { Request, Response };
  struct Hooks;

  [[nodiscard]] static const Hooks& hooksOf(Direction direction) noexcept;
  [[nodiscard]] Slot& at(Direction direction, std::size_t position) noexcept;
  [[nodiscard]] bool ensure(Slot& slot) noexcept;
  [[nodiscard]] Flow callHead(Direction direction, Slot& slot) noexcept;
  [[nodiscard]] Flow callBody(Direction direction, Slot& slot, BodyChunk& chunk,
                              bool last) noexcept;
  [[nodiscard]] Flow callTrailers(Direction direction, Slot& slot) noexcept;
  void headAt(Direction direction, std::size_t position) noexcept;
  [[nodiscard]] bool isWhole(Direction direction) noexcept;
  [[nodiscard]] bool isOver(Direction direction, unsigned answers) const noexcept;
  [[nodiscard]] bool headVerdict(Direction direction, std::size_t position, Flow verdict) noexcept;
  void headPassed(Direction direction, std::size_t position) noexcept;
  void bodyAt(Direction direction, std::size_t position, std::span<char> data, bool end) noexcept;
  [[nodiscard]] bool runBody(Direction direction, std::size_t position, std::span<char>& data,
                             bool end, bool last, std::string& carried) noexcept;
  [[nodiscard]] bool bodyVerdict(Direction direction, std::size_t position, Flow verdict,
                                 bool end) noexcept;
  void runHeldHead(Direction direction, std::size_t position) noexcept;
  void trailersAt(Direction direction, std::size_t position, http::HeaderMap& trailers) noexcept;
  [[nodiscard]] http::HeaderMap& keptTrailers(Slot& slot, Direction direction) noexcept;
  void keep(Direction direction, std::size_t position, std::span<char> data, bool end) noexcept;
  void pause(Direction direction, bool on) noexcept;
  void settleResumes() noexcept;
  void resumed(Slot& slot, std::uint32_t hook, Flow verdict) noexcept;
  void answer(Slot& slot) noexcept;
  void fault(Slot& slot, std::uint16_t status) noexcept;

  FilterChainOwner& owner_;
  std::span<Slot*> slots_;
  std::uint32_t interest_ = 0;
  std::size_t response_limit_ = 0;  // the response passes the filters below this index only
  http::HeaderMap* trailers_[2] = {};
  int depth_ = 0;
  unsigned answers_ = 0;  // how often another answer took the place of a response
  bool any_resume_ = false;
  bool end_with_head_[2] = {};
  bool preflight_ = false;
  bool request_dead_ = false;  // answered or failed: request parts go nowhere
  bool ended_ = false;
};

}  // namespace hyperway::proxy
