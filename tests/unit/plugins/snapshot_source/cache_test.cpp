// SPDX-License-Identifier: Apache-2.0
#include "cache.hpp"

#include <doctest/doctest.h>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "k8s_client/fake_api.hpp"
#include "reader.hpp"

namespace hyperway::snapshot_source {
namespace {

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/hyperway-cache-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string file() const { return path_ + "/cache"; }

 private:
  std::string path_;
};

using Objects = std::map<std::string, std::string>;
using namespace std::chrono_literals;

// Some time.
const Cache::TimePoint at{1h};

TEST_CASE("A cache gives back what was there at the last commit") {
  const Folder folder;
  {
    Cache cache(folder.file());
    CHECK(cache.load().empty());
    cache.put("Service", "ns/a", "{\"a\":\n1}");
    cache.put("Service", "ns/b", "{}");
    CHECK(cache.commit(at).empty());
    cache.put("Service", "ns/a", "{\"a\":2}");
    cache.remove("Service", "ns/b");
    CHECK(cache.commit(at).empty());
    cache.put("Secret", "ns/c", "{}");
  }
  CHECK(Cache(folder.file()).load() == Objects{{"Service ns/a", "{\"a\":2}"}});
  struct stat info {};
  REQUIRE(::stat(folder.file().c_str(), &info) == 0);
  CHECK((info.st_mode & 0777U) == 0600U);
}

TEST_CASE("What was written takes no memory any more") {
  const Folder folder;
  Cache cache(folder.file());
  const auto used = [] {
    const auto info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
  };
  const std::string text(100'000, 'x');
  const auto before = used();
  for (int i = 0; i < 100; ++i) cache.put("Service", "ns/a", text);
  CHECK(cache.commit(at).empty());
  CHECK(used() < before + 1'000'000);
}

TEST_CASE("A cache belongs to the process that wrote it last, as long as that one lives") {
  const Folder folder;
  Cache old(folder.file());
  old.put("Secret", "ns/a", "{1}");
  old.put("Service", "ns/old", "{}");
  CHECK(old.commit(at).empty());
  {
    // A successor begins with what is there, and makes a file of its own.
    Cache successor(folder.file());
    CHECK(successor.load().size() == 2);
    successor.put("Secret", "ns/a", "{2}");
    CHECK(successor.commit(at).empty());
    // A Secret that changes has the whole file written anew; here it must not.
    old.put("Secret", "ns/a", "{3}");
    CHECK(old.commit(at).empty());
    successor.put("Service", "ns/b", "{4}");
    CHECK(successor.commit(at).empty());
    CHECK(successor.load() == Objects{{"Secret ns/a", "{2}"}, {"Service ns/b", "{4}"}});
  }
  // It ended first, since nothing came of the upgrade: the old one has lost nothing.
  old.put("Service", "ns/c", "{5}");
  CHECK(old.commit(at).empty());
  CHECK(old.load() ==
        Objects{{"Secret ns/a", "{3}"}, {"Service ns/c", "{5}"}, {"Service ns/old", "{}"}});
}

TEST_CASE("What was written of a batch before the end of a process does not count") {
  const Folder folder;
  {
    Cache cache(folder.file());
    cache.put("RouteSnapshot", "ns/index", "{1}");
    CHECK(cache.commit(at).empty());
  }
  std::ofstream(folder.file(), std::ios::app) << "+RouteSnapshot ns/index\t{2}\n+Service ns/a\t{";
  CHECK(Cache(folder.file()).load() == Objects{{"RouteSnapshot ns/index", "{1}"}});
}

TEST_CASE("A cache is written anew when most of it is of no use") {
  const Folder folder;
  Cache cache(folder.file());
  const std::string large(100000, 'x');
  for (int i = 0; i < 100; ++i) {
    cache.put("Service", "ns/a", "{\"" + large + std::to_string(i) + "\":1}");
    cache.put("Service", "ns/b", "{}");
    CHECK(cache.commit(at).empty());
  }
  CHECK(std::filesystem::file_size(folder.file()) < 3000000);
  const auto objects = cache.load();
  REQUIRE(objects.size() == 2);
  CHECK(objects.at("Service ns/a").ends_with("99\":1}"));
}

std::string textOf(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

TEST_CASE("A key that was replaced or removed is in the file no more") {
  const Folder folder;
  Cache cache(folder.file());
  cache.put("Service", "ns/a", "{}");
  cache.put("Secret", "ns/one", "{\"first\"}");
  cache.put("Secret", "ns/two", "{\"second\"}");
  CHECK(cache.commit(at).empty());
  cache.put("Secret", "ns/one", "{\"third\"}");
  cache.put("Secret", "ns/one", "{\"fourth\"}");  // twice in one commit
  CHECK(cache.commit(at).empty());
  CHECK(textOf(folder.file()).find("first") == std::string::npos);
  CHECK(textOf(folder.file()).find("third") == std::string::npos);
  cache.remove("Secret", "ns/two");
  CHECK(cache.commit(at).empty());
  CHECK(textOf(folder.file()).find("second") == std::string::npos);
  cache.put("Secret", "ns/new", "{\"fifth\"}");
  cache.remove("Secret", "ns/new");  // never seen by anybody
  CHECK(cache.commit(at).empty());
  CHECK(textOf(folder.file()).find("fifth") == std::string::npos);
  CHECK(cache.load() == Objects{{"Service ns/a", "{}"}, {"Secret ns/one", "{\"fourth\"}"}});
}

TEST_CASE("A cache is never written into a file that somebody else made") {
  const Folder folder;
  const std::string other = folder.file() + ".other";
  std::ofstream(other) << "mine";
  std::filesystem::create_symlink(other, folder.file() + ".new");
  Cache cache(folder.file());
  cache.put("Secret", "ns/a", "{}");
  CHECK(cache.commit(at).empty());
  CHECK(textOf(other) == "mine");
  CHECK_FALSE(std::filesystem::is_symlink(folder.file()));
  CHECK(cache.load().size() == 1);
}

TEST_CASE("A cache that cannot be written says so, and is tried again") {
  const Folder folder;
  const std::string file = folder.file() + "/none/cache";
  Cache cache(file);
  cache.put("Service", "ns/a", "{}");
  CHECK(cache.commit(at).find("cannot be made") != std::string::npos);
  std::filesystem::create_directory(folder.file());
  std::filesystem::create_directory(folder.file() + "/none");
  // Not at each turn.
  cache.put("Service", "ns/b", "{}");
  CHECK(cache.commit(at + 900ms).find("cannot be made") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(file));
  CHECK(cache.commit(at + 1s).empty());
  CHECK(cache.load().size() == 2);
  Cache none("");
  none.put("Service", "ns/a", "{}");
  CHECK(none.commit(at).empty());
  CHECK(none.load().empty());
}

// An index with a certificate and backends in each of these namespaces.
std::string indexOf(int generation, const std::vector<std::string>& namespaces) {
  std::string references, names;
  for (const std::string& one : namespaces) {
    const std::string comma = names.empty() ? "" : ",";
    references += comma + R"({"namespace":")" + one + R"(","name":"cert"})";
    names += comma + '"' + one + '"';
  }
  const std::string number = std::to_string(generation);
  return R"({"apiVersion":"hyperway.arloor.dev/v1alpha1","kind":"RouteSnapshot","metadata":{)"
         R"("namespace":"ns","name":"snap","uid":"u","generation":)" +
         number + R"(,"resourceVersion":")" + number +
         R"("},"spec":{"checksum":"c","listeners":[{"tls":{"certificateRefs":[)" + references +
         R"(]}}],"backendNamespaces":[)" + names + "]}}";
}

TEST_CASE("What is gone goes from what the cache gave, though another namespace is forbidden") {
  const Folder folder;
  const std::string there =
      R"({"metadata":{"namespace":"a","name":"there","resourceVersion":"3"},"spec":{}})";
  {
    Cache cache(folder.file());
    cache.put("RouteSnapshot", "ns/snap", indexOf(1, {"a", "b"}));
    cache.put("Service", "a/there", there);
    for (const std::string name_space : {"a", "b"}) {
      cache.put("Service", name_space + "/old", "{}");
      cache.put("EndpointSlice", name_space + "/old-1", "{}");
      cache.put("Secret", name_space + "/cert", "{}");
    }
    REQUIRE(cache.commit(at).empty());
  }
  k8s_client::FakeApi api;
  std::string removed, trouble;
  Settings settings;
  settings.name = "snap";
  settings.name_space = "ns";
  settings.backends_of_snapshot = true;
  settings.cache = folder.file();
  Reader::Listener listener;
  listener.publish = [&](const std::string&, const std::string& removals, bool) {
    removed += removals;
  };
  listener.trouble = [&](const std::string& text) { trouble = text; };
  listener.now = [] { return std::string("now"); };
  Reader reader(api, settings, {"pod", "ns"}, listener);
  const auto gone = [&](const std::string& kind, const std::string& key) {
    const std::size_t slash = key.find('/');
    return removed.find(R"("kind":")" + kind + R"(","namespace":")" + key.substr(0, slash) +
                        R"(","name":")" + key.substr(slash + 1) + '"') != std::string::npos;
  };
  reader.start();
  api.pass(3s);
  reader.endTurn();
  CHECK(trouble.starts_with("what is served is from the cache"));
  CHECK(removed.empty());

  // The server is back. Of "a" it has one Service; "b" is not for us.
  while (!api.calls.empty()) {
    const std::string path = api.calls.front().request.path;
    std::string items;
    if (path.find("/routesnapshots?") != std::string::npos) items = indexOf(1, {"a", "b"});
    if (path.find("/namespaces/a/services?") != std::string::npos) items = there;
    if (path.find("/namespaces/b/") != std::string::npos)
      api.refuse(403);
    else
      api.answer(R"({"apiVersion":"v1","metadata":{"resourceVersion":"10"},"items":[)" + items +
                 "]}");
  }
  reader.endTurn();
  CHECK(gone("Service", "a/old"));
  CHECK(gone("EndpointSlice", "a/old-1"));
  CHECK(gone("Secret", "a/cert"));
  CHECK_FALSE(gone("Service", "a/there"));
  CHECK(removed.find(R"("namespace":"b")") == std::string::npos);
  CHECK(trouble.find("some of what is served is from the cache") != std::string::npos);

  // Nothing leads to "b" any more.
  k8s_client::StreamHandler* watch = nullptr;
  for (const auto& [id, stream] : api.streams)
    if (stream.request.path.find("/routesnapshots?") != std::string::npos) watch = stream.handler;
  REQUIRE(watch != nullptr);
  watch->onData(R"({"type":"MODIFIED","object":)" + indexOf(11, {"a"}) + "}\n");
  reader.endTurn();
  CHECK(gone("Service", "b/old"));
  CHECK(gone("EndpointSlice", "b/old-1"));
  CHECK(gone("Secret", "b/cert"));
  CHECK_FALSE(gone("Service", "a/there"));
  CHECK(trouble.empty());
  std::vector<std::string> kept;
  for (const auto& [name, text] : Cache(folder.file()).load()) kept.push_back(name);
  CHECK(kept == std::vector<std::string>{"RouteSnapshot ns/snap", "Service a/there"});
}

TEST_CASE("The cache does not put older objects over those that came in time") {
  const Folder folder;
  {
    Cache cache(folder.file());
    cache.put("RouteSnapshot", "ns/snap", indexOf(1, {}));
    cache.put("Service", "a/x", R"({"old":"x"})");
    cache.put("Service", "a/gone", R"({"old":"gone"})");
    cache.put("EndpointSlice", "a/x-1", R"({"old":"x-1"})");
    REQUIRE(cache.commit(at).empty());
  }
  k8s_client::FakeApi api;
  std::string told;
  Settings settings;
  settings.name = "snap";
  settings.name_space = "ns";
  settings.cache = folder.file();
  Reader::Listener listener;
  listener.publish = [&](const std::string& upserts, const std::string&, bool) { told += upserts; };
  listener.trouble = [](const std::string&) {};
  listener.now = [] { return std::string("now"); };
  Reader reader(api, settings, {"pod", "ns"}, listener);
  reader.start();
  // Services come, the rest does not.
  bool answered = false;
  while (!answered) {
    REQUIRE(!api.calls.empty());
    answered = api.calls.front().request.path.find("/services?") != std::string::npos;
    if (answered)
      api.answer(R"({"apiVersion":"v1","metadata":{"resourceVersion":"10"},"items":[{"metadata":)"
                 R"({"namespace":"a","name":"x","resourceVersion":"9"},"spec":{}}]})");
    else
      api.calls.pop_front();
  }
  reader.endTurn();
  api.pass(3s);
  reader.endTurn();
  CHECK(told.find(R"("resourceVersion":"9")") != std::string::npos);
  CHECK(told.find(R"({"old":"x"})") == std::string::npos);
  CHECK(told.find(R"({"old":"gone"})") == std::string::npos);
  CHECK(told.find(R"({"old":"x-1"})") != std::string::npos);
}

}  // namespace
}  // namespace hyperway::snapshot_source
