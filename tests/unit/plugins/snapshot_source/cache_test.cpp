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

}  // namespace
}  // namespace hyperway::snapshot_source
