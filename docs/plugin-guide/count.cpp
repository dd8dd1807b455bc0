// SPDX-License-Identifier: Apache-2.0
// Memory per stream and a body that streams through: counts request bytes, and bounds them.
#include <cstdint>

#include "hyperway/sdk/plugin.hpp"

namespace counting {
namespace sdk = hyperway::sdk;

class Count {
 public:
  static constexpr const char* kId = "count";

  // Shared by all streams of a configuration, constant.
  struct Config {
    explicit Config(sdk::Setup& setup)
        : limit(static_cast<std::uint64_t>(
              setup.config()["limit"].integer(1, std::int64_t{1} << 40))),
          bytes(setup.counter("bytes_total", "Bytes of request bodies that passed.")) {
      setup.config().only({"limit"});
    }
    std::uint64_t limit;
    sdk::Metric bytes;
  };

  // One for each stream, in the stream's arena; destroyed with it.
  explicit Count(const Config& config) : config_(config) {}

  sdk::Flow onRequestBody(sdk::Stream& stream, sdk::Body& body, sdk::Flags) {
    seen_ += body.size();
    if (seen_ > config_.limit) return stream.respond(413, "too much\n");
    config_.bytes.add(static_cast<double>(body.size()));
    return sdk::Flow::Continue;  // The chunk goes on; nothing is held back.
  }

 private:
  const Config& config_;
  std::uint64_t seen_ = 0;
};

}  // namespace counting

HYPERWAY_PLUGIN("com.example.count", "1.0.0", hyperway::sdk::Filters<counting::Count>);
