// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "fake_context.hpp"
#include "plugin/filter_configs.hpp"
#include "plugin/load_error.hpp"
#include "plugin/registry.hpp"
#include "proxy/filter.hpp"

namespace hyperway::plugin {

/// Where the build left the test plugins.
inline const std::string kPluginDirectory = ABI_PLUGINS;

/// A folder of its own, gone at the end.
struct TestFolder {
  TestFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "hyperway-abi-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() { std::filesystem::remove_all(path); }
  std::string path;
};

/// A host with a registry, whose log and wakes can be looked at.
struct PluginProcess {
  struct Ports final : PluginLog, proxy::WakeSink {
    bool enabled(std::int32_t) const noexcept override { return true; }
    void write(const PluginLine& line) noexcept override {
      const std::lock_guard lock(mutex);
      lines.emplace_back(line.message);
    }
    void wake(proxy::Waker waker, std::uint64_t token) noexcept override {
      const std::lock_guard lock(mutex);
      woken.emplace_back(waker.where, token);
    }
    [[nodiscard]] long count(std::string_view message) {
      const std::lock_guard lock(mutex);
      return std::count(lines.begin(), lines.end(), message);
    }
    std::mutex mutex;
    std::vector<std::string> lines;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> woken;
  };

  Ports ports;
  HostServices services{{"1.2.3", 1, &ports, &ports, 10'000}};
  PluginRegistry registry{services, {kPluginDirectory}, {}};
  FilterConfigs configs{registry};

  /// Why a plugin of the test directory is refused; "" if it is not.
  std::string refusal(const std::string& name, const std::string& config = "") {
    try {
      registry.load({{name, "", "", config}});
      return "";
    } catch (const LoadError& error) {
      return error.what();
    }
  }
  /// A binding of `type`, or null with the first problem in `problem`.
  std::shared_ptr<const proxy::FilterBinding> bind(std::string_view type,
                                                   std::string_view config = "{}",
                                                   std::string_view owner = "owner") {
    Problems problems;
    auto bound = configs.parse(type, owner, config, problems);
    problem = problems.list().empty() ? "" : problems.list()[0].message;
    return std::static_pointer_cast<const proxy::FilterBinding>(bound);
  }
  /// The sum of the fault counters.
  double faults() {
    double sum = 0;
    for (const SeriesValue& series : services.metrics().collect())
      if (series.name == "hyperway_plugin_faults_total") sum += series.value;
    return sum;
  }

  std::string problem;
};

}  // namespace hyperway::plugin
