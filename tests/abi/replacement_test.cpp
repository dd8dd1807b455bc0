// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "plugin_host.hpp"

namespace hyperway::plugin {
namespace {

struct Replacement : PluginProcess {
  Replacement() : file(folder.path + "/versioned.so") { overwrite("versioned_1"); }

  /// Writes another plugin's bytes into the same inode, as `cp` does.
  void overwrite(const std::string& name) {
    std::ifstream from(kPluginDirectory + "/" + name + ".so", std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(from)), {});
    const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    REQUIRE(fd >= 0);
    REQUIRE(::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    ::close(fd);
  }
  [[nodiscard]] std::vector<PluginSpec> specs(std::string config = "") const {
    return {{"versioned", file, "", std::move(config)}};
  }
  /// The version that a stream with this binding meets.
  static std::string versionOf(const std::shared_ptr<const proxy::FilterBinding>& binding) {
    FakeContext context;
    void* filter = nullptr;
    REQUIRE(binding != nullptr);
    REQUIRE(binding->create(context, &filter));
    REQUIRE(binding->onRequestHead(filter, context, 0) == proxy::Flow::Continue);
    binding->destroy(filter, proxy::StreamEnd::Complete);
    return linesOf(context.request.fields).substr(11, 5);
  }
  TestFolder folder;
  std::string file;
};

TEST_CASE_FIXTURE(
    Replacement,
    "overwriting the file in place harms nobody; a reload puts the new version beside the old") {
  registry.load(specs());
  registry.start();
  auto old = bind("versioned");
  CHECK(versionOf(old) == "1.0.0");
  overwrite("versioned_2");
  CHECK(versionOf(old) == "1.0.0");  // What runs is a sealed copy.
  CHECK(versionOf(bind("versioned", "{}", "another")) == "1.0.0");

  const ReloadReport report = registry.reload(specs());
  CHECK(report.replaced == std::vector<std::string>{"versioned"});
  CHECK(report.filter_classes == std::vector<std::string>{"versioned"});
  CHECK(report.refused.empty());
  CHECK(registry.list()[0].version == "2.0.0");
  CHECK(versionOf(bind("versioned")) == "2.0.0");
  CHECK(versionOf(old) == "1.0.0");  // Requests under way finish on the old one.
  CHECK(ports.count("stop 1.0.0") == 0);
  old.reset();
  CHECK(ports.count("stop 1.0.0") == 1);  // The last instance is gone.
  CHECK(ports.count("deinit 1.0.0") == 1);
  CHECK(ports.count("start 2.0.0") == 1);
  CHECK(ports.count("deinit 2.0.0") == 0);
}

TEST_CASE_FIXTURE(Replacement,
                  "nothing changed, nothing is loaded; a new configuration is a new version") {
  registry.load(specs());
  auto report = registry.reload(specs());
  CHECK(report.replaced.empty());
  CHECK(report.filter_classes.empty());
  CHECK(ports.count("init 1.0.0") == 1);
  report = registry.reload(specs("{}"));
  CHECK(report.replaced.size() == 1);
  CHECK(ports.count("init 1.0.0") == 2);
}

TEST_CASE_FIXTURE(Replacement,
                  "a refused replacement leaves the old version at work, and says why each time") {
  registry.load(specs());
  const auto before = bind("versioned");
  overwrite("init_fails");
  for (int i = 0; i < 3; ++i) {
    const auto report = registry.reload(specs());
    REQUIRE(report.refused.size() == 1);
    CHECK(report.refused[0].find("cannot reach my licence") != std::string::npos);
    CHECK(report.filter_classes.empty());
    CHECK(bind("versioned") == before);
  }
  std::ofstream(file, std::ios::trunc) << "rubbish";
  CHECK(registry.reload(specs()).refused.size() == 1);
  std::filesystem::remove(file);
  CHECK(registry.reload(specs()).refused.size() == 1);
  CHECK(versionOf(before) == "1.0.0");
  CHECK(registry.replacedCount() == 0);
}

TEST_CASE_FIXTURE(
    Replacement, "a plugin that is taken out of the configuration goes, one that is put in comes") {
  registry.load(specs());
  auto report = registry.reload({});
  CHECK(report.filter_classes == std::vector<std::string>{"versioned"});
  CHECK_FALSE(configs.knows("versioned"));
  CHECK(ports.count("deinit 1.0.0") == 1);
  report = registry.reload({{"plain", "", "", ""}});
  CHECK(report.replaced == std::vector<std::string>{"plain"});
  CHECK(report.filter_classes == std::vector<std::string>{"plain"});
  CHECK(configs.knows("plain"));
}

TEST_CASE_FIXTURE(Replacement,
                  "replaced versions are counted, and beyond the cap a restart is asked for") {
  registry.load(specs());
  for (std::uint32_t i = 0; i < PluginRegistry::kMaxReplaced; ++i) {
    overwrite(i % 2 == 0 ? "versioned_2" : "versioned_1");
    CHECK(registry.reload(specs()).replaced.size() == 1);
  }
  CHECK(registry.replacedCount() == PluginRegistry::kMaxReplaced);
  overwrite("versioned_2");
  const auto report = registry.reload(specs());
  REQUIRE(report.refused.size() == 1);
  CHECK(report.refused[0].find("restart") != std::string::npos);
  CHECK(versionOf(bind("versioned")) == "1.0.0");
}

}  // namespace
}  // namespace hyperway::plugin
