// SPDX-License-Identifier: Apache-2.0
// The smallest useful filter: greets the backend in a header.
#include <string>

#include "hyperway/sdk/plugin.hpp"

namespace hello {
namespace sdk = hyperway::sdk;

class Hello {
 public:
  static constexpr const char* kId = "hello";  // What a Filter object names.

  // Made once per configuration, on the control thread. Problems are reported where they are,
  // all of them; one error refuses the configuration.
  explicit Hello(sdk::Setup& setup) : header_(setup.header("x-greeting")) {
    setup.config().only({"greeting"});
    greeting_ = setup.config()["greeting"].textOr("hello");
    if (greeting_.empty()) setup.config()["greeting"].error("must not be empty");
  }

  // Runs for each request, on the worker that owns it, many at once: hence const.
  sdk::Flow onRequestHead(sdk::Stream& stream, sdk::Flags) const {
    stream.request().set(header_, greeting_);
    return sdk::Flow::Continue;
  }

 private:
  sdk::HeaderName header_;
  std::string greeting_;
};

}  // namespace hello

HYPERWAY_PLUGIN("com.example.hello", "1.0.0", hyperway::sdk::Filters<hello::Hello>);
