// SPDX-License-Identifier: Apache-2.0
// Asking a Service: the host sends the question, and the worker serves others meanwhile.
#include "hyperway/sdk/callout.hpp"
#include "hyperway/sdk/plugin.hpp"

namespace ask {
namespace sdk = hyperway::sdk;

class Ask {
 public:
  static constexpr const char* kId = "ask";
  struct Config {
    explicit Config(sdk::Setup& setup) { setup.config().only({}); }
  };
  explicit Ask(const Config&) {}

  sdk::Flow onRequestHead(sdk::Stream& stream, sdk::Flags) {
    sdk::CalloutRequest request;  // To number 0 of the Filter's backendRefs.
    request.authority = "directory";
    request.path = "/may-pass";
    request.fields = {{"x-user", stream.requestHeader("x-user")}};
    const auto begun = sdk::Callout::begin(stream, request);
    if (!begun) return stream.respond(500, "nobody to ask\n");
    callout_ = *begun;
    return sdk::Flow::Pause;
  }

  // The answer is there, or will never be.
  void onWake(sdk::Stream& stream, sdk::Hooks, std::uint64_t) {
    const hw_callout_answer answer = callout_.answer(stream);
    const bool yes = answer.outcome == HW_CALLOUT_ANSWERED && answer.status == 200;
    callout_.end(stream);
    stream.resume(HW_HOOK_REQUEST_HEAD,
                  yes ? sdk::Flow::Continue : stream.respond(403, "you may not\n"));
  }

 private:
  sdk::Callout callout_;
};

}  // namespace ask

HYPERWAY_PLUGIN("com.example.ask", "1.0.0", hyperway::sdk::Filters<ask::Ask>);
