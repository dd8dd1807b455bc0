// SPDX-License-Identifier: Apache-2.0
// The same with the SDK, and with one setting: {"greeting": "hi"}.
#include <string>

#include <hyperway/sdk/filter.hpp>
#include <hyperway/sdk/plugin.hpp>

namespace {

namespace sdk = hyperway::sdk;

// Adds its greeting to every response.
class Hello {
 public:
  static constexpr const char* kId = "hello_cpp";

  explicit Hello(sdk::Setup& setup) : greeting_(setup.config()["greeting"].text()) {
    setup.config().only({"greeting"});
  }

  sdk::Flow onResponseHead(sdk::Stream& stream, sdk::Flags) const {
    stream.response().set("x-hello", greeting_);
    return sdk::Flow::Continue;
  }

 private:
  std::string greeting_;
};

}  // namespace

HYPERWAY_PLUGIN("com.example.hello-cpp", "1.0.0", sdk::Filters<Hello>);
