// SPDX-License-Identifier: Apache-2.0
#include "plugin/elf_probe.hpp"

#include <doctest/doctest.h>
#include <elf.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "plugin/load_error.hpp"

namespace hyperway::plugin {
namespace {

std::vector<std::byte> bytesOfFile(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  std::vector<std::byte> out(text.size());
  std::memcpy(out.data(), text.data(), text.size());
  return out;
}

TEST_CASE("a file that is no shared object is refused with a reason") {
  for (const std::string& text : {std::string(), std::string("#!/bin/sh\n"),
                                  std::string("\x7f"
                                              "ELF"),
                                  std::string(64, '\0'),
                                  std::string("\x7f"
                                              "ELF") +
                                      std::string(60, '\1')}) {
    const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
    CHECK_THROWS_AS((void)probeElf(bytes, "symbol", "x.so"), LoadError);
  }
}

TEST_CASE("an image of this machine is read: it needs libc and has no manifest") {
  // This executable is position independent, and so an ET_DYN like a shared object.
  const auto image = bytesOfFile("/proc/self/exe");
  const ElfProbe probe = probeElf(image, "hyperway_plugin_v1", "self");
  CHECK_FALSE(probe.manifest.has_value());
  bool libc = false;
  for (const std::string& needed : probe.needed) libc = libc || needed.starts_with("libc.so");
  CHECK(libc);
}

TEST_CASE("damage anywhere in the headers is an error or ignored, never a crash") {
  auto image = bytesOfFile("/proc/self/exe");
  Elf64_Ehdr head;
  REQUIRE(image.size() > sizeof head);
  std::memcpy(&head, image.data(), sizeof head);
  const auto try_probe = [](std::span<const std::byte> bytes) {
    try {
      (void)probeElf(bytes, "hyperway_plugin_v1", "x");
    } catch (const LoadError&) {
    }
  };
  for (std::size_t i = 0; i < sizeof head; ++i) {
    for (const int value : {0x00, 0x7f, 0xff}) {
      const std::byte old = std::exchange(image[i], static_cast<std::byte>(value));
      try_probe(image);
      image[i] = old;
    }
  }
  const std::size_t table = head.e_shnum * sizeof(Elf64_Shdr);
  REQUIRE(head.e_shoff + table <= image.size());
  for (std::size_t i = 0; i < table; i += 4) {
    std::byte old[8];
    const std::size_t size = std::min<std::size_t>(8, table - i);
    std::memcpy(old, image.data() + head.e_shoff + i, size);
    std::memset(image.data() + head.e_shoff + i, 0xff, size);
    try_probe(image);
    std::memcpy(image.data() + head.e_shoff + i, old, size);
  }
  for (const std::size_t size :
       {std::size_t{63}, std::size_t{64}, std::size_t{1000}, image.size() / 2, image.size() - 1})
    try_probe(std::span(image).first(size));
  CHECK(true);  // Reached under the sanitizers.
}

}  // namespace
}  // namespace hyperway::plugin
