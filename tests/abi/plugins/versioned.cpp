// SPDX-License-Identifier: Apache-2.0
// A plugin in two versions (PLUGIN_VERSION), to be replaced by each other.
#include <atomic>

#include "hyperway/sdk/plugin.hpp"

namespace versioned {
namespace sdk = hyperway::sdk;

/// Says when the plugin itself comes and goes.
class Life {
 public:
  explicit Life(sdk::Setup& setup) : log_(setup.log()) {
    log_.write(sdk::Level::Info, "init " PLUGIN_VERSION);
  }
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;
  ~Life() { log_.write(sdk::Level::Info, "deinit " PLUGIN_VERSION); }
  void start() { log_.write(sdk::Level::Info, "start " PLUGIN_VERSION); }
  void stop() { log_.write(sdk::Level::Info, "stop " PLUGIN_VERSION); }

 private:
  sdk::Log log_;
};

// A static of an inline function: two objects must not share it (STB_GNU_UNIQUE would make them).
inline int& configurations() {
  static int count = 0;
  return count;
}

class Version {
 public:
  static constexpr const char* kId = "versioned";
  explicit Version(sdk::Setup& setup)
      : name_(setup.header("x-version")), number_(++configurations()) {
    if (setup.config()["bad"].present()) setup.config()["bad"].error("is bad");
  }
  sdk::Flow onRequestHead(sdk::Stream& stream, sdk::Flags) const {
    stream.request().set(name_, PLUGIN_VERSION "." + std::to_string(number_));
    return sdk::Flow::Continue;
  }

 private:
  sdk::HeaderName name_;
  int number_;
};

}  // namespace versioned

HYPERWAY_PLUGIN("test.versioned", PLUGIN_VERSION, hyperway::sdk::Filters<versioned::Version>,
                hyperway::sdk::Global<versioned::Life>);
