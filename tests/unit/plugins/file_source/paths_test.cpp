// SPDX-License-Identifier: Apache-2.0
#include "paths.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/fsuid.h>

#include <filesystem>
#include <fstream>
#include <string>

using namespace hyperway::file_source;

namespace {
// A directory for one test.
struct Folder {
  std::string path = "/tmp/hyperway-paths-XXXXXX";
  Folder() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path); }
};

void put(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}
}  // namespace

TEST_CASE("A buffer that was used for a larger file shows nothing of it") {
  const Folder folder;
  FileBuffer buffer;
  Signature signature;
  std::string error;
  for (const std::size_t size : {std::size_t{5000}, std::size_t{3}, std::size_t{0},
                                 std::size_t{5001}, std::size_t{1000000}, std::size_t{1}}) {
    CAPTURE(size);
    const std::string path = folder.path + "/" + std::to_string(size);
    const std::string text(size, static_cast<char>('a' + size % 26));
    put(path, text);
    const auto read = readFile(path, buffer, signature, error);
    REQUIRE(read.has_value());
    CHECK(*read == text);
    Signature seen;
    CHECK(lookAt(path, &seen) == PathKind::File);
    CHECK(seen == signature);
  }
  buffer.release();
  CHECK(buffer.capacity() == 0);
  CHECK(readFile(folder.path + "/3", buffer, signature, error) == std::string(3, 'a' + 3));
}

TEST_CASE("A file that grows a little with each edit stays in the buffer that it has") {
  const Folder folder;
  const std::string path = folder.path + "/grows.yaml";
  FileBuffer buffer;
  Signature signature;
  std::string error;
  put(path, std::string(100000, 'a'));
  const auto first = readFile(path, buffer, signature, error);
  REQUIRE(first.has_value());
  const std::size_t room = buffer.capacity();
  CHECK(room < 120000);
  put(path, std::string(110000, 'b'));
  const auto second = readFile(path, buffer, signature, error);
  REQUIRE(second.has_value());
  CHECK(*second == std::string(110000, 'b'));
  CHECK(buffer.capacity() == room);
}

TEST_CASE("A file beyond the size that is asked for is not read") {
  const Folder folder;
  FileBuffer buffer;
  Signature signature;
  std::string error;
  constexpr std::size_t kMost = std::size_t{1} << 20;
  put(folder.path + "/fits", std::string(kMost, 'a'));
  put(folder.path + "/large", std::string(kMost + 1, 'a'));
  CHECK(readFile(folder.path + "/fits", buffer, signature, error, kMost).has_value());
  CHECK(!readFile(folder.path + "/large", buffer, signature, error, kMost).has_value());
  CHECK(error == "is larger than 1 MiB; split it");
}

TEST_CASE("A file whose size is not known beforehand is read to its end") {
  // Files of /proc have size 0.
  FileBuffer buffer;
  Signature signature;
  std::string error;
  const auto read = readFile("/proc/self/status", buffer, signature, error);
  REQUIRE(read.has_value());
  CHECK(read->find("Threads:") != std::string_view::npos);
}

TEST_CASE("What is no regular file is not read") {
  const Folder folder;
  FileBuffer buffer;
  Signature signature;
  std::string error;
  CHECK(!readFile(folder.path, buffer, signature, error).has_value());
  CHECK(error == "is not a regular file");
  CHECK(!readFile(folder.path + "/none", buffer, signature, error).has_value());
  CHECK(error.starts_with("cannot be read: "));
}

TEST_CASE("Manifests are listed sorted, and links are told") {
  const Folder folder;
  put(folder.path + "/b.yaml", "");
  put(folder.path + "/a.json", "");
  put(folder.path + "/.hidden.yaml", "");
  put(folder.path + "/note.txt", "");
  std::filesystem::create_symlink("b.yaml", folder.path + "/c.yml");
  std::filesystem::create_directory(folder.path + "/below");
  put(folder.path + "/below/d.yaml", "");
  Listing flat;
  REQUIRE(listManifests(folder.path, 0, flat));
  REQUIRE(flat.files.size() == 3);
  CHECK(flat.files[0].path == folder.path + "/a.json");
  CHECK(flat.files[1].path == folder.path + "/b.yaml");
  CHECK(flat.files[2].path == folder.path + "/c.yml");
  CHECK(flat.files[2].link);
  CHECK(flat.directories == std::vector<std::string>{folder.path});
  Listing deep;
  REQUIRE(listManifests(folder.path, 1, deep));
  CHECK(deep.files.size() == 4);
}

TEST_CASE("A directory below that cannot be read costs the others nothing") {
  const Folder folder;
  put(folder.path + "/a.yaml", "");
  const std::string closed = folder.path + "/closed";
  std::filesystem::create_directory(closed);
  std::filesystem::create_directory(folder.path + "/open");
  put(folder.path + "/open/b.yaml", "");
  std::filesystem::permissions(folder.path, std::filesystem::perms(0755));
  std::filesystem::permissions(closed, std::filesystem::perms::none);
  const auto before = static_cast<uid_t>(::setfsuid(65534));  // root reads everything
  Listing out;
  const bool listed = listManifests(folder.path, 1, out);
  ::setfsuid(before);
  CHECK(listed);
  CHECK(out.files.size() == 2);
  REQUIRE(out.unreadable.size() == 1);
  CHECK(out.unreadable[0].path == closed);
  CHECK(out.unreadable[0].reason == "Permission denied");
}
