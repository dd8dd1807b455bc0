// SPDX-License-Identifier: Apache-2.0
#include "proxy/filter_chain.hpp"

#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace hyperway::proxy {
namespace {

/// A filter whose hooks are scripted; every call is written down as "name:hook[:data]".
class ScriptedFilter final : public FilterBinding {
 public:
  ScriptedFilter(std::string name, std::uint32_t interest, std::vector<std::string>& calls)
      : FilterBinding(interest), name_(std::move(name)), calls_(calls) {}

  std::function<Flow(FilterContext&)> request_head, response_head, request_trailers;
  std::function<Flow(FilterContext&, BodyChunk&, bool)> request_body, response_body;
  std::function<void(FilterContext&)> wake;
  bool creates = true;
  mutable int destroyed = 0;

  std::string_view pluginId() const noexcept override { return name_; }
  bool create(FilterContext&, void** filter) const noexcept override {
    *filter = nullptr;
    return creates;
  }
  Flow onRequestHead(void*, FilterContext& context, std::uint32_t) const noexcept override {
    calls_.push_back(name_ + ":request_head");
    return request_head ? request_head(context) : Flow::Continue;
  }
  Flow onRequestBody(void*, FilterContext& context, BodyChunk& chunk,
                     std::uint32_t flags) const noexcept override {
    calls_.push_back(name_ + ":request_body:" + std::string(chunk.data()) +
                     ((flags & kEndOfStream) != 0 ? "." : ""));
    return request_body ? request_body(context, chunk, (flags & kEndOfStream) != 0)
                        : Flow::Continue;
  }
  Flow onRequestTrailers(void*, FilterContext& context) const noexcept override {
    calls_.push_back(name_ + ":request_trailers");
    return request_trailers ? request_trailers(context) : Flow::Continue;
  }
  Flow onResponseHead(void*, FilterContext& context, std::uint32_t) const noexcept override {
    calls_.push_back(name_ + ":response_head");
    return response_head ? response_head(context) : Flow::Continue;
  }
  Flow onResponseBody(void*, FilterContext& context, BodyChunk& chunk,
                      std::uint32_t flags) const noexcept override {
    calls_.push_back(name_ + ":response_body:" + std::string(chunk.data()));
    return response_body ? response_body(context, chunk, (flags & kEndOfStream) != 0)
                         : Flow::Continue;
  }
  Flow onResponseTrailers(void*, FilterContext&) const noexcept override {
    calls_.push_back(name_ + ":response_trailers");
    return Flow::Continue;
  }
  void onWake(void*, FilterContext& context, std::uint32_t, std::uint64_t) const noexcept override {
    if (wake) wake(context);
  }
  void destroy(void*, StreamEnd) const noexcept override { ++destroyed; }

 private:
  std::string name_;
  std::vector<std::string>& calls_;
};

/// Stands for the stream: writes down what came out of the chain.
class RecordingOwner final : public FilterChainOwner {
 public:
  void requestHeadThrough(FilterChain& chain) noexcept override {
    if (on_head && std::exchange(on_head, nullptr)(chain)) return;
    out.push_back("head");
  }
  void requestBodyThrough(FilterChain&, std::span<char> data, bool end) noexcept override {
    out.push_back("body:" + std::string(data.data(), data.size()) + (end ? "." : ""));
  }
  void requestTrailersThrough(FilterChain&, http::HeaderMap&) noexcept override {
    out.push_back("trailers");
  }
  void responseHeadThrough(FilterChain&, bool) noexcept override { out.push_back("response"); }
  void responseBodyThrough(FilterChain& chain, std::span<char> data, bool end) noexcept override {
    out.push_back("response_body:" + std::string(data.data(), data.size()) + (end ? "." : ""));
    if (ends && end_at_body) chain.end(StreamEnd::ClientGone);
  }
  void responseTrailersThrough(FilterChain&, http::HeaderMap&) noexcept override {
    out.push_back("response_trailers");
  }
  void pauseRequest(bool paused) noexcept override { request_pauses += paused ? 1 : -1; }
  void pauseResponse(bool paused) noexcept override { response_pauses += paused ? 1 : -1; }
  void requestHeadHeld() noexcept override { out.push_back("held"); }
  void answered(FilterChain& chain, std::size_t index) noexcept override {
    out.push_back("answered");
    chain.answerFrom(index, true);
    if (ends) chain.end(StreamEnd::Complete);
  }
  void filterFailed(FilterChain&, std::uint16_t status, std::string_view plugin) noexcept override {
    out.push_back("failed:" + std::to_string(status) + ":" + std::string(plugin));
  }
  http::RequestHead& filterRequestHead(FilterChain&) noexcept override { return request; }
  bool requestHeadEditable(FilterChain&) noexcept override { return true; }
  http::ResponseHead* filterResponseHead() noexcept override { return &response; }
  bool responseHeadEditable() noexcept override { return true; }
  const StreamInfo& filterInfo() noexcept override { return info; }
  Arena& filterArena() noexcept override { return arena; }
  bool storeAnswer(std::uint16_t status, std::span<const AnswerField>,
                   std::string_view) noexcept override {
    response.status = status;
    return true;
  }
  Waker makeWaker(FilterChain&, std::size_t) noexcept override { return {}; }
  std::size_t holdLimit() noexcept override { return 16; }

  std::array<std::byte, 4096> room{};
  Arena arena{room};
  http::RequestHead request{arena};
  http::ResponseHead response{arena};
  StreamInfo info;
  std::vector<std::string> out;
  std::function<bool(FilterChain&)> on_head;  // asked once; true: the head went on otherwise
  bool ends = false;                          // the stream is over with an answer…
  bool end_at_body = false;                   // …or with the first bytes of the response
  int request_pauses = 0;
  int response_pauses = 0;
};

constexpr std::uint32_t kAll = 0x3f;
using Lines = std::vector<std::string>;

struct Fixture {
  std::vector<std::string> calls;
  RecordingOwner owner;
  std::vector<route::FilterBindingPtr> bindings;
  std::vector<std::shared_ptr<ScriptedFilter>> filters;

  ScriptedFilter& add(const std::string& name, std::uint32_t interest = kAll) {
    filters.push_back(std::make_shared<ScriptedFilter>(name, interest, calls));
    bindings.push_back(filters.back());
    return *filters.back();
  }
};

void body(FilterChain& chain, std::string data, bool end) {
  chain.requestBody({data.data(), data.size()}, end);
}

TEST_CASE("a request runs down the chain and the response up, in reverse order") {
  Fixture f;
  f.add("a");
  f.add("b");
  FilterChain chain(f.owner, f.bindings);
  chain.requestHead(false);
  body(chain, "x", true);
  chain.responseHead(false);
  std::string answer = "y";
  chain.responseBody({answer.data(), answer.size()}, true);
  CHECK(f.calls == Lines{"a:request_head", "b:request_head", "a:request_body:x.",
                         "b:request_body:x.", "b:response_head", "a:response_head",
                         "b:response_body:y", "a:response_body:y"});
  CHECK(f.owner.out == Lines{"head", "body:x.", "response", "response_body:y."});
}

TEST_CASE(
    "filters that come behind others see what these let through, and the answer before them") {
  for (const bool held : {false, true}) {
    CAPTURE(held);
    Fixture f;
    ScriptedFilter& first = f.add("a");
    if (held) {
      first.request_head = [](FilterContext&) { return Flow::Hold; };
      first.request_body = [](FilterContext&, BodyChunk&, bool end) {
        return end ? Flow::Continue : Flow::Hold;
      };
    }
    const std::vector<route::FilterBindingPtr> behind{
        std::make_shared<const ScriptedFilter>("b", kAll, f.calls)};
    FilterChain chain(f.owner, f.bindings);
    f.owner.on_head = [&](FilterChain& through) {
      through.requestHead(false, false, through.append(behind));
      return true;
    };
    chain.requestHead(false);
    body(chain, "x", false);
    body(chain, "y", true);
    chain.responseHead(false);
    CHECK(f.calls == (held ? Lines{"a:request_head", "a:request_body:x", "a:request_body:xy.",
                                   "b:request_head", "b:request_body:xy.", "b:response_head",
                                   "a:response_head"}
                           : Lines{"a:request_head", "b:request_head", "a:request_body:x",
                                   "b:request_body:x", "a:request_body:y.", "b:request_body:y.",
                                   "b:response_head", "a:response_head"}));
    CHECK(f.owner.out == (held ? Lines{"held", "head", "body:xy.", "response"}
                               : Lines{"head", "body:x", "body:y.", "response"}));
  }
}

TEST_CASE("hooks without interest are not called") {
  Fixture f;
  f.add("a", kResponseHead);
  FilterChain chain(f.owner, f.bindings);
  chain.requestHead(false);
  body(chain, "x", true);
  chain.responseHead(true);
  CHECK(f.calls == Lines{"a:response_head"});
}

TEST_CASE("HOLD keeps bytes until a later hook lets them go, edited") {
  Fixture f;
  auto& a = f.add("a");
  a.request_body = [](FilterContext&, BodyChunk& chunk, bool last) {
    if (!last) return Flow::Hold;
    chunk.replace("[" + std::string(chunk.data()) + "]");
    return Flow::Continue;
  };
  f.add("b");
  FilterChain chain(f.owner, f.bindings);
  chain.requestHead(false);
  body(chain, "one", false);
  body(chain, "two", false);
  CHECK(f.owner.out == Lines{"head"});
  body(chain, "", true);
  CHECK(f.owner.out == Lines{"head", "body:[onetwo]."});
  CHECK(f.calls.back() == "b:request_body:[onetwo].");
}

TEST_CASE("a head that is held goes on when the body hook continues, body behind it") {
  Fixture f;
  auto& a = f.add("a");
  a.request_head = [](FilterContext&) { return Flow::Hold; };
  a.request_body = [](FilterContext&, BodyChunk&, bool last) {
    return last ? Flow::Continue : Flow::Hold;
  };
  f.add("b");
  FilterChain chain(f.owner, f.bindings);
  chain.requestHead(false);
  CHECK(f.owner.out == Lines{"held"});
  body(chain, "ab", false);
  body(chain, "cd", true);
  CHECK(f.owner.out == Lines{"held", "head", "body:abcd."});
}

TEST_CASE("holding a head that no body follows does not wait") {
  Fixture f;
  f.add("a").request_head = [](FilterContext&) { return Flow::Hold; };
  FilterChain chain(f.owner, f.bindings);
  chain.requestHead(true);
  CHECK(f.owner.out == Lines{"head"});
}

TEST_CASE("holding more than the limit is 413 for a request and 502 for a response") {
  for (const bool request : {true, false}) {
    CAPTURE(request);
    Fixture f;
    auto& a = f.add("a");
    a.request_body = a.response_body = [](FilterContext&, BodyChunk&, bool) { return Flow::Hold; };
    FilterChain chain(f.owner, f.bindings);
    chain.requestHead(false);
    chain.responseHead(false);
    std::string data(17, 'x');
    if (request)
      chain.requestBody({data.data(), data.size()}, false);
    else
      chain.responseBody({data.data(), data.size()}, false);
    CHECK(f.owner.out.back() == (request ? "failed:413:a" : "failed:502:a"));
  }
}

TEST_CASE("PAUSE in the head stops the stream until resume, and the body waits its turn") {
  Fixture f;
  auto& a = f.add("a");
  a.request_head = [](FilterContext&) { return Flow::Pause; };
  a.wake = [](FilterContext& context) { CHECK(context.resume(kRequestHead, Flow::Continue)); };
  f.add("b");
  FilterChain chain(f.owner, f.bindings);
  chain.requestHead(false);
  CHECK(f.owner.request_pauses == 1);
  body(chain, "late", true);
  CHECK(f.owner.out.empty());
  chain.wake(0, 7);
  CHECK(f.owner.out == Lines{"head", "body:late."});
  CHECK(f.calls ==
        Lines{"a:request_head", "b:request_head", "a:request_body:late.", "b:request_body:late."});
  CHECK(f.owner.request_pauses == 0);
}

TEST_CASE("PAUSE in the body keeps that chunk and what follows, in order") {
  Fixture f;
  auto& a = f.add("a");
  bool first = true;
  a.request_body = [&](FilterContext&, BodyChunk&, bool) {
    return std::exchange(first, false) ? Flow::Pause : Flow::Continue;
  };
  a.wake = [](FilterContext& context) { (void)context.resume(kRequestBody, Flow::Continue); };
  FilterChain chain(f.owner, f.bindings);
  chain.requestHead(false);
  body(chain, "1", false);
  body(chain, "2", true);
  CHECK(f.owner.out == Lines{"head"});
  chain.wake(0, 0);
  CHECK(f.owner.out == Lines{"head", "body:12."});
}

TEST_CASE("resume of a hook that is not paused is refused") {
  Fixture f;
  auto& a = f.add("a");
  a.wake = [](FilterContext& context) {
    CHECK_FALSE(context.resume(kRequestHead, Flow::Continue));
  };
  FilterChain chain(f.owner, f.bindings);
  chain.requestHead(true);
  chain.wake(0, 0);
  CHECK(f.owner.out == Lines{"head"});
}

TEST_CASE("an answer of a filter goes through the response side of those before it only") {
  Fixture f;
  f.add("a");
  f.add("b").request_head = [](FilterContext& context) {
    CHECK(context.respond(403, {}, "no"));
    return Flow::Responded;
  };
  f.add("c");
  FilterChain chain(f.owner, f.bindings);
  chain.requestHead(false);
  body(chain, "ignored", true);
  CHECK(f.calls == Lines{"a:request_head", "b:request_head", "a:response_head"});
  CHECK(f.owner.out == Lines{"answered", "response"});
}

TEST_CASE("RESPONDED without an answer, FAULT and unknown verdicts are faults") {
  for (const Flow verdict : {Flow::Responded, Flow::Fault, static_cast<Flow>(77)}) {
    CAPTURE(static_cast<int>(verdict));
    Fixture f;
    f.add("a").request_head = [verdict](FilterContext&) { return verdict; };
    f.add("b");
    FilterChain chain(f.owner, f.bindings);
    chain.requestHead(true);
    CHECK(f.owner.out == Lines{"failed:500:a"});
    CHECK(f.calls.size() == 1);
  }
}

TEST_CASE("a filter that cannot be made fails closed") {
  Fixture f;
  f.add("a").creates = false;
  FilterChain chain(f.owner, f.bindings);
  chain.requestHead(true);
  CHECK(f.owner.out == Lines{"failed:500:a"});
}

TEST_CASE("every instance ends exactly once, whatever happens") {
  Fixture f;
  auto& a = f.add("a");
  auto& b = f.add("b");
  a.request_head = [](FilterContext&) { return Flow::Fault; };
  {
    FilterChain chain(f.owner, f.bindings);
    chain.requestHead(true);
    chain.end(StreamEnd::Aborted);
  }
  CHECK(a.destroyed == 1);
  CHECK(b.destroyed == 0);  // it was never made
}

TEST_CASE("trailers come behind what a filter held, and the body hook hears of the end") {
  Fixture f;
  auto& a = f.add("a");
  a.request_body = [](FilterContext&, BodyChunk&, bool last) {
    return last ? Flow::Continue : Flow::Hold;
  };
  FilterChain chain(f.owner, f.bindings);
  chain.requestHead(false);
  body(chain, "held", false);
  http::HeaderMap trailers(f.owner.arena);
  trailers.add("x-sum", "1");
  chain.requestTrailers(trailers);
  CHECK(f.owner.out == Lines{"head", "body:held", "trailers"});
}

TEST_CASE("a head that is held by a filter without body hook goes on before trailers") {
  Fixture f;
  f.add("a", kRequestHead).request_head = [](FilterContext&) { return Flow::Hold; };
  f.add("b");
  FilterChain chain(f.owner, f.bindings);
  chain.requestHead(false);
  CHECK(f.owner.out == Lines{"held"});
  http::HeaderMap trailers(f.owner.arena);
  trailers.add("x-sum", "1");
  chain.requestTrailers(trailers);
  CHECK(f.owner.out == Lines{"held", "head", "trailers"});
  CHECK(f.calls ==
        Lines{"a:request_head", "b:request_head", "b:request_body:.", "b:request_trailers"});
}

/// Holds what comes until it hears that this was all.
Flow untilLast(FilterContext&, BodyChunk&, bool last) { return last ? Flow::Continue : Flow::Hold; }

TEST_CASE("trailers go no further where what was held before them is answered") {
  for (const bool over : {true, false}) {
    CAPTURE(over);
    Fixture f;
    f.owner.ends = over;
    f.add("a").request_body = untilLast;
    f.add("b").request_body = [](FilterContext& context, BodyChunk&, bool) {
      CHECK(context.respond(403, {}, {}));
      return Flow::Responded;
    };
    FilterChain chain(f.owner, f.bindings);
    chain.requestHead(false);
    body(chain, "held", false);
    http::HeaderMap trailers(f.owner.arena);
    trailers.add("x-sum", "1");
    chain.requestTrailers(trailers);
    CHECK(f.calls == Lines{"a:request_head", "b:request_head", "a:request_body:held",
                           "a:request_body:held.", "b:request_body:held", "a:response_head"});
    CHECK(f.owner.out == Lines{"head", "answered", "response"});
  }
}

TEST_CASE("trailers go no further where the stream ends with what was held before them") {
  Fixture f;
  f.owner.ends = f.owner.end_at_body = true;
  f.add("a").response_body = untilLast;
  FilterChain chain(f.owner, f.bindings);
  chain.requestHead(true);
  chain.responseHead(false);
  std::string data = "held";
  chain.responseBody({data.data(), data.size()}, false);
  http::HeaderMap trailers(f.owner.arena);
  trailers.add("x-sum", "1");
  chain.responseTrailers(trailers);
  CHECK(f.calls ==
        Lines{"a:request_head", "a:response_head", "a:response_body:held", "a:response_body:held"});
  CHECK(f.filters[0]->destroyed == 1);
}

TEST_CASE("nothing of a response comes behind the answer that takes its place") {
  for (const bool with_trailers : {true, false}) {
    CAPTURE(with_trailers);
    Fixture f;
    f.add("a").response_head = [](FilterContext&) { return Flow::Pause; };
    f.add("b").response_head = [](FilterContext& context) {
      CHECK(context.respond(502, {}, {}));
      return Flow::Responded;
    };
    auto& c = f.add("c");
    c.response_head = [](FilterContext&) { return Flow::Hold; };
    c.response_body = untilLast;
    FilterChain chain(f.owner, f.bindings);
    chain.requestHead(true);
    chain.responseHead(false);
    std::string data = "held";
    chain.responseBody({data.data(), data.size()}, !with_trailers);
    http::HeaderMap trailers(f.owner.arena);
    trailers.add("x-sum", "1");
    if (with_trailers) chain.responseTrailers(trailers);
    CHECK(f.calls.back() == "a:response_head");
    CHECK(f.owner.out == Lines{"head", "answered"});
  }
}

TEST_CASE("a paused head that is held then goes on with the trailers that came meanwhile") {
  for (const bool with_body : {true, false}) {
    CAPTURE(with_body);
    Fixture f;
    auto& a = f.add("a");
    a.request_head = [](FilterContext&) { return Flow::Pause; };
    a.request_body = untilLast;
    a.wake = [](FilterContext& context) { CHECK(context.resume(kRequestHead, Flow::Hold)); };
    FilterChain chain(f.owner, f.bindings);
    chain.requestHead(false);
    if (with_body) body(chain, "late", false);
    http::HeaderMap trailers(f.owner.arena);
    trailers.add("x-sum", "1");
    chain.requestTrailers(trailers);
    CHECK(f.owner.out.empty());
    chain.wake(0, 0);
    CHECK(f.owner.out == (with_body ? Lines{"held", "head", "body:late", "trailers"}
                                    : Lines{"held", "head", "trailers"}));
    CHECK(f.owner.request_pauses == 0);
  }
}

TEST_CASE("a pause that ends with another one counts once") {
  Fixture f;
  auto& a = f.add("a");
  a.request_head = [](FilterContext&) { return Flow::Pause; };
  Flow verdict = Flow::Pause;
  a.wake = [&](FilterContext& context) { CHECK(context.resume(kRequestHead, verdict)); };
  FilterChain chain(f.owner, f.bindings);
  chain.requestHead(false);
  chain.wake(0, 0);
  CHECK(f.owner.request_pauses == 1);
  verdict = Flow::Continue;
  chain.wake(0, 0);
  CHECK(f.owner.request_pauses == 0);
  CHECK(f.owner.out == Lines{"head"});
}

TEST_CASE("trailers that waited stay where filters find them") {
  Fixture f;
  auto& a = f.add("a");
  a.request_trailers = [](FilterContext&) { return Flow::Pause; };
  a.wake = [](FilterContext& context) { CHECK(context.resume(kRequestTrailers, Flow::Continue)); };
  const http::HeaderMap* seen = nullptr;
  a.response_head = [&](FilterContext& context) {
    seen = context.requestTrailers();
    return Flow::Continue;
  };
  FilterChain chain(f.owner, f.bindings);
  chain.requestHead(false);
  http::HeaderMap trailers(f.owner.arena);
  trailers.add("x-sum", "1");
  chain.requestTrailers(trailers);
  chain.wake(0, 0);
  CHECK(f.owner.out == Lines{"head", "trailers"});
  chain.responseHead(true);
  CHECK(seen == &trailers);
}

TEST_CASE("what a body hook drains does not go on") {
  for (const bool request : {true, false}) {
    CAPTURE(request);
    Fixture f;
    auto& a = f.add("a");
    a.request_body = a.response_body = [](FilterContext&, BodyChunk& chunk, bool) {
      chunk.drain(3);
      return Flow::Continue;
    };
    FilterChain chain(f.owner, f.bindings);
    chain.requestHead(!request);
    chain.responseHead(request);
    std::string data = "one,two";
    if (request)
      chain.requestBody({data.data(), data.size()}, true);
    else
      chain.responseBody({data.data(), data.size()}, true);
    CHECK(f.owner.out.back() == (request ? "body:,two." : "response_body:,two."));
  }
}

TEST_CASE("the head of a tunnel cannot be held") {
  for (const bool paused : {false, true}) {
    CAPTURE(paused);
    Fixture f;
    auto& a = f.add("a");
    a.response_head = [&](FilterContext&) { return paused ? Flow::Pause : Flow::Hold; };
    a.wake = [](FilterContext& context) { CHECK(context.resume(kResponseHead, Flow::Hold)); };
    FilterChain chain(f.owner, f.bindings);
    chain.requestHead(true);
    f.owner.response.framing.kind = http::BodyKind::Tunnel;
    chain.responseHead(false);
    if (paused) chain.wake(0, 0);
    CHECK(f.owner.out == Lines{"head", "response"});
    CHECK(f.owner.response_pauses == 0);
  }
}

TEST_CASE("ignore() drops a hook for the rest of the stream") {
  Fixture f;
  auto& a = f.add("a");
  a.request_body = [](FilterContext& context, BodyChunk&, bool) {
    context.ignore(kRequestBody);
    return Flow::Continue;
  };
  FilterChain chain(f.owner, f.bindings);
  chain.requestHead(false);
  body(chain, "1", false);
  body(chain, "2", true);
  CHECK(f.calls == Lines{"a:request_head", "a:request_body:1"});
  CHECK(f.owner.out == Lines{"head", "body:1", "body:2."});
}

TEST_CASE("a preflight runs filters that want preflights only") {
  Fixture f;
  f.add("a");
  f.add("cors", kAll | kPreflight);
  FilterChain chain(f.owner, f.bindings);
  chain.requestHead(true, true);
  CHECK(f.calls == Lines{"cors:request_head"});
}

}  // namespace
}  // namespace hyperway::proxy
