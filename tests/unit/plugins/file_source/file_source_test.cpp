// SPDX-License-Identifier: Apache-2.0
// The plugin as the host sees it: through its manifest, with a port of the test's own.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "hyperway/abi/draft/source.h"
#include "hyperway/abi/manifest.h"

extern "C" const hw_plugin_manifest hyperway_plugin_v1_file_source;

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

std::string text(hw_bytes bytes) { return {reinterpret_cast<const char*>(bytes.data), bytes.size}; }
hw_bytes bytes(std::string_view view) {
  return {reinterpret_cast<const uint8_t*>(view.data()), view.size()};
}

const void* noService(const hw_host* /*host*/, const char* /*id*/) { return nullptr; }

// Collects what the source publishes.
struct Port {
  struct Batch {
    std::uint32_t flags;
    std::string document;
    Clock::time_point at;
  };
  std::mutex mutex;
  std::condition_variable signal;
  std::vector<Batch> batches;
  std::string health = "not told";
  std::string refused;  // batches with this in them; set before the start

  static hw_status publish(void* ctx, std::int32_t kind, std::uint32_t flags,
                           const hw_scope* /*scope*/, std::uint64_t /*seq*/, hw_bytes document) {
    auto& self = *static_cast<Port*>(ctx);
    const std::lock_guard lock(self.mutex);
    if (kind != HW_DOC_OBJECTS) return HW_UNSUPPORTED;
    if (!self.refused.empty() && text(document).find(self.refused) != std::string::npos)
      return HW_INVALID;
    self.batches.push_back({flags, text(document), Clock::now()});
    self.signal.notify_all();
    return HW_OK;
  }
  static void onHealth(void* ctx, std::int32_t state, hw_bytes reason) {
    auto& self = *static_cast<Port*>(ctx);
    const std::lock_guard lock(self.mutex);
    self.health = state == HW_HEALTH_OK ? "" : text(reason);
    self.signal.notify_all();
  }
  bool wait(const std::function<bool()>& what) {
    std::unique_lock lock(mutex);
    return signal.wait_for(lock, std::chrono::seconds(30), what);
  }
};

std::string reported;
void report(void* /*ctx*/, std::int32_t severity, hw_bytes pointer, hw_bytes message) {
  reported += std::to_string(severity) + ' ' + text(pointer) + ": " + text(message) + '\n';
}

// A source on a folder of its own, made and ended by the test.
class Source {
 public:
  Source()
      : folder_("/tmp/hw-file-source-" + std::to_string(::getpid()) + '-' +
                std::to_string(++count_)) {
    fs::create_directories(folder_ / "m");
    host_.struct_size = sizeof host_;
    host_.abi_major = HW_ABI_MAJOR;
    host_.name = "test";
    host_.version = "0";
    host_.get_service = &noService;
    port_.struct_size = sizeof port_;
    port_.ctx = &port;
    port_.publish = &Port::publish;
    port_.health = &Port::onHealth;
    diag_.struct_size = sizeof diag_;
    diag_.report = &report;
    const auto* factory = static_cast<const hw_factory*>(
        hyperway_plugin_v1_file_source.get_factory(HW_SOURCE_FACTORY));
    REQUIRE(factory != nullptr);
    REQUIRE(factory->count == 1);
    class_ = static_cast<const hw_source_class*>(factory->classes[0]);
    reported.clear();
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  ~Source() {
    if (source_ != nullptr) {
      class_->stop(source_);
      class_->destroy(source_);
    }
    fs::remove_all(folder_);
  }

  hw_status create(const std::string& config) {
    return class_->create(&host_, &port_, bytes(config), &diag_, &source_);
  }
  void start(const std::string& more = "") {
    REQUIRE(create("{\"paths\":[\"" + path("m") + "\"]" + more + "}") == HW_OK);
    REQUIRE(class_->start(source_) == HW_OK);
    REQUIRE(port.wait([&] { return !port.batches.empty(); }));
    CHECK(port.batches[0].flags == (HW_PUBLISH_BEGIN | HW_PUBLISH_END | HW_PUBLISH_SYNCED));
  }
  [[nodiscard]] std::string path(const std::string& name) const {
    return (folder_ / name).string();
  }
  // Puts a file there in one step, and says when.
  Clock::time_point put(const std::string& name, const std::string& content) {
    std::ofstream(path("part")) << content;
    const auto at = Clock::now();
    fs::rename(path("part"), path("m/" + name));
    return at;
  }
  [[nodiscard]] const hw_source_class& type() const { return *class_; }
  [[nodiscard]] void* handle() const { return source_; }
  [[nodiscard]] const hw_diag* diag() const { return &diag_; }

  Port port;

 private:
  static inline int count_ = 0;
  fs::path folder_;
  hw_host host_{};
  hw_source_port port_{};
  hw_diag diag_{};
  const hw_source_class* class_ = nullptr;
  void* source_ = nullptr;
};

std::string route(int number, const std::string& target) {
  const std::string n = std::to_string(number);
  return "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: "
         "route-" +
         n + "\nspec:\n  parentRefs:\n  - name: gateway\n  hostnames:\n  - host-" + n +
         ".example.com\n  rules:\n  - matches:\n    - path:\n        type: PathPrefix\n        "
         "value: /" +
         target + "\n    backendRefs:\n    - name: backend\n      port: 8080\n";
}

double best(std::vector<double> values) { return *std::min_element(values.begin(), values.end()); }

}  // namespace

TEST_CASE("A wrong configuration is refused with a pointer") {
  struct Row {
    std::string_view config, problem;
  };
  for (const Row& row :
       {Row{"{}", "/paths: is required"},
        {"{\"paths\":[\"\"]}", "/paths: a path must not be empty"},
        {"{\"paths\":\"/x\"}", "/paths: must be a list"},
        {"{\"paths\":[\"/x\"],\"poll\":3}", "/poll: unknown field"},
        {"{\"paths\":[\"/x\"],\"poll_seconds\":0}", "/poll_seconds: 0 is outside"},
        {"{\"paths\":[\"/x\"],\"self_signed\":{\"hosts\":[]}}", "/self_signed/hosts: must name"},
        {"{\"paths\":[\"/x\"],\"self_signed\":{\"hosts\":[\"a b\"]}}",
         "/self_signed/hosts: \"a b\""},
        {"{\"paths\":[\"/x\"],\"certificates\":[{}]}", "/certificates/0/directory: is required"}}) {
    CAPTURE(row.config);
    Source source;
    CHECK(source.create(std::string(row.config)) != HW_OK);
    CAPTURE(reported);
    CHECK(reported.find(row.problem) != std::string::npos);
  }
}

TEST_CASE("The first list is complete, later batches have what changed") {
  Source source;
  source.put("a.yaml", route(1, "x") + route(2, "x"));
  source.start();
  CHECK(source.port.batches[0].document.find("route-2") != std::string::npos);
  CHECK(source.port.health.empty());
  source.put("a.yaml", route(1, "x"));
  REQUIRE(source.port.wait([&] { return source.port.batches.size() == 2; }));
  CHECK(source.port.batches[1].flags == 0);
  CHECK(source.port.batches[1].document ==
        R"({"upserts":[],"removals":[{"group":"gateway.networking.k8s.io","kind":"HTTPRoute",)"
        R"("namespace":"default","name":"route-2"}]})");
}

TEST_CASE("Many files are read by several threads, and each is what it would be alone") {
  Source source;
  for (int i = 0; i < 500; ++i) source.put("r" + std::to_string(i) + ".yaml", route(i, "x"));
  source.put("broken.yaml", route(1000, "x") + "---\nkind: [\n");
  source.put("large.yaml", route(1001, "x") + "# " + std::string(100'000, '-') + "\n");
  source.put("rival.yaml", route(499, "rival"));  // r499.yaml comes first and counts
  fs::create_symlink(source.path("m/nowhere"), source.path("m/link.yaml"));
  source.start();
  const std::string& document = source.port.batches[0].document;
  for (int i = 0; i < 500; ++i)
    CHECK(document.find("\"route-" + std::to_string(i) + '"') != std::string::npos);
  CHECK(document.find("\"route-1000\"") != std::string::npos);
  CHECK(document.find("\"route-1001\"") != std::string::npos);
  CHECK(document.find("/rival") == std::string::npos);
  CHECK(source.port.health.find(source.path("m/broken.yaml") + ":") != std::string::npos);
  CHECK(source.port.health.find("route-499 is defined already") != std::string::npos);
}

TEST_CASE("An object that the host refuses costs the others nothing") {
  Source source;
  source.port.refused = "\"route-2\"";
  source.put("a.yaml", route(1, "x") + route(2, "x") + route(3, "x"));
  REQUIRE(source.create("{\"paths\":[\"" + source.path("m") + "\"]}") == HW_OK);
  REQUIRE(source.type().start(source.handle()) == HW_OK);
  REQUIRE(source.port.wait([&] { return source.port.batches.size() == 4; }));
  CHECK(source.port.batches[0].flags == HW_PUBLISH_BEGIN);
  CHECK(source.port.batches[1].document.find("\"route-1\"") != std::string::npos);
  CHECK(source.port.batches[2].document.find("\"route-3\"") != std::string::npos);
  CHECK(source.port.batches[3].flags == (HW_PUBLISH_END | HW_PUBLISH_SYNCED));
}

TEST_CASE("A file that is taken away and made anew is never gone") {
  Source source;
  source.put("a.yaml", route(1, "one"));
  source.start();
  fs::rename(source.path("m/a.yaml"), source.path("m/a.yaml~"));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  {
    std::ofstream file(source.path("m/a.yaml"));
    file.flush();
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    file << route(1, "two");
  }
  REQUIRE(source.port.wait([&] { return source.port.batches.size() == 2; }));
  CHECK(source.port.batches[1].document.find("/two") != std::string::npos);
  CHECK(source.port.batches[1].document.find("\"removals\":[]") != std::string::npos);
  fs::remove(source.path("m/a.yaml"));
  REQUIRE(source.port.wait([&] { return source.port.batches.size() == 3; }));
  CHECK(source.port.batches[2].document.find("\"removals\":[{") != std::string::npos);
}

TEST_CASE("A file that is emptied is empty soon, not at the next poll") {
  Source source;
  source.put("a.yaml", route(1, "x"));
  source.start(",\"poll_seconds\":3600");
  std::ofstream(source.path("m/a.yaml"), std::ios::trunc).flush();
  REQUIRE(source.port.wait([&] { return source.port.batches.size() == 2; }));
  CHECK(source.port.batches[1].document.find("\"removals\":[{") != std::string::npos);
}

TEST_CASE("The end of a write counts beside a change of the whole directory") {
  Source source;
  source.put("a.yaml", route(1, "x"));
  source.start(",\"poll_seconds\":3600");
  for (std::size_t round = 1; round <= 20; ++round) {
    {
      std::ofstream file(source.path("m/a.yaml"));
      file << route(1, "v" + std::to_string(round));
      file.flush();
      fs::remove(source.path("m/..data"));
      fs::create_symlink("nowhere", source.path("m/..data"));
    }
    const std::string wanted = "/v" + std::to_string(round) + "\"";
    REQUIRE(source.port.wait(
        [&] { return source.port.batches.back().document.find(wanted) != std::string::npos; }));
  }
}

TEST_CASE("A certificate's files come into force when a manifest of the same Secret goes") {
  Source maker;  // of a pair
  maker.start(",\"self_signed\":{\"directory\":\"" + maker.path("pair") +
              "\",\"hosts\":[\"a.example\"]}");
  Source source;
  fs::create_directories(source.path("certs/site"));
  for (const char* name : {"tls.crt", "tls.key"})
    fs::copy_file(maker.path(std::string("pair/") + name),
                  source.path(std::string("certs/site/") + name));
  const std::string secret =
      "apiVersion: v1\nkind: Secret\nmetadata: {name: site}\ntype: kubernetes.io/tls\n"
      "stringData: {tls.crt: old, tls.key: old}\n";
  source.put("a.yaml", route(1, "x"));
  // Before the certificates in the order of paths.
  std::ofstream(source.path("a-secret.yaml")) << secret;
  REQUIRE(source.create("{\"paths\":[\"" + source.path("m") + "\",\"" +
                        source.path("a-secret.yaml") + "\"],\"poll_seconds\":3600," +
                        "\"certificates\":[{\"directory\":\"" + source.path("certs") + "\"}]}") ==
          HW_OK);
  REQUIRE(source.type().start(source.handle()) == HW_OK);
  REQUIRE(source.port.wait([&] { return !source.port.batches.empty(); }));
  CHECK(source.port.batches[0].document.find("\"tls.crt\":\"old\"") != std::string::npos);
  std::ofstream(source.path("part")) << "# moved to certs/\n";
  fs::rename(source.path("part"), source.path("a-secret.yaml"));
  REQUIRE(source.port.wait([&] { return source.port.batches.size() == 2; }));
  const std::string& document = source.port.batches[1].document;
  CHECK(document.find("\"name\":\"site\"") != std::string::npos);
  CHECK(document.find("\"removals\":[]") != std::string::npos);
}

TEST_CASE("What is wrong is told with file and line, before the batch that it concerns") {
  Source source;
  source.put("a.yaml", route(1, "x") + "---\nkind: [\n");
  source.start();
  CHECK(source.port.health.find(source.path("m/a.yaml") + ":") != std::string::npos);
  source.put("a.yaml", route(1, "x"));
  CHECK(source.port.wait([&] { return source.port.health.empty(); }));
}

TEST_CASE("An object is found again by file and line") {
  Source source;
  source.put("a.yaml", "# c\n" + route(1, "x") + route(2, "x"));
  source.start();
  reported.clear();
  CHECK(source.type().locate(source.handle(), bytes("HTTPRoute/default/route-2"),
                             bytes("/spec/hostnames/0"), source.diag()) == HW_OK);
  CHECK(reported.find(source.path("m/a.yaml") + ":29") != std::string::npos);
  CHECK(source.type().locate(source.handle(), bytes("HTTPRoute/default/none"), bytes(""),
                             source.diag()) == HW_NOT_FOUND);
}

TEST_CASE("A self-signed certificate is kept and used again") {
  std::string first;
  Source source;
  const std::string kept = source.path("kept");
  source.start(",\"self_signed\":{\"directory\":\"" + kept + "\",\"hosts\":[\"a.example\"]}");
  CHECK(source.port.batches[0].document.find("\"name\":\"self-signed\"") != std::string::npos);
  CHECK((fs::status(kept + "/tls.key").permissions() & fs::perms::all) ==
        (fs::perms::owner_read | fs::perms::owner_write));
  std::ifstream in(kept + "/tls.crt");
  std::getline(in, first, '\0');
  Source again;
  again.start(",\"self_signed\":{\"directory\":\"" + kept + "\",\"hosts\":[\"a.example\"]}");
  std::string second;
  std::ifstream in2(kept + "/tls.crt");
  std::getline(in2, second, '\0');
  CHECK(first == second);
}

TEST_CASE("A path in a directory below is read where that is asked for") {
  for (const bool recursive : {true, false}) {
    CAPTURE(recursive);
    Source source;
    fs::create_directories(source.path("m/sub"));
    std::ofstream(source.path("m/sub/a.yaml")) << route(7, "x");
    source.start(recursive ? ",\"recursive\":true" : "");
    CHECK((source.port.batches[0].document.find("route-7") != std::string::npos) == recursive);
  }
}

TEST_CASE("A file that inotify did not tell of is found by the poll") {
  Source source;
  source.start(",\"poll_seconds\":1");
  // A hard link to a file elsewhere that then changes gives no event in the watched directory.
  std::ofstream(source.path("elsewhere.yaml")) << route(1, "one");
  fs::create_hard_link(source.path("elsewhere.yaml"), source.path("m/a.yaml"));
  REQUIRE(source.port.wait([&] { return source.port.batches.size() == 2; }));
  std::ofstream(source.path("elsewhere.yaml")) << route(1, "two");
  REQUIRE(source.port.wait([&] { return source.port.batches.size() == 3; }));
  CHECK(source.port.batches[2].document.find("/two") != std::string::npos);
}

TEST_CASE(
    "One edit among 10,000 is published within milliseconds of the rename, one file each or one "
    "for all") {
  for (const bool one_file : {false, true}) {
    CAPTURE(one_file);
    Source source;
    const auto all = [&](int changed) {
      std::string out;
      for (int i = 0; i < 10000; ++i) out += route(i, i == changed ? "changed" : "x");
      return out;
    };
    if (one_file)
      source.put("all.yaml", all(-1));
    else
      for (int i = 0; i < 10000; ++i)
        std::ofstream(source.path("m/" + std::to_string(i) + ".yaml")) << route(i, "x");
    source.start();
    std::vector<double> took;
    for (std::size_t round = 1; round <= 10; ++round) {
      const int number = static_cast<int>(round) * 900;
      const auto at = one_file
                          ? source.put("all.yaml", all(number))
                          : source.put(std::to_string(number) + ".yaml", route(number, "changed"));
      REQUIRE(source.port.wait([&] { return source.port.batches.size() == round + 1; }));
      took.push_back(
          std::chrono::duration<double, std::milli>(source.port.batches[round].at - at).count());
    }
    MESSAGE(std::string(one_file ? "one file: " : "one file each: ") << best(took) << " ms");
#ifndef HYPERWAY_SANITIZED
    CHECK(best(took) < 8);
#endif
  }
}
