// SPDX-License-Identifier: Apache-2.0
#include "codec/byte_buffer.hpp"

#include <doctest/doctest.h>

#include <string>

#include "codec/chunk.hpp"

using namespace hyperway::codec;

TEST_CASE("Bytes come out of a buffer in order, whatever was put in front or taken away") {
  BlockPool pool;
  ByteBuffer buffer;
  buffer.append(pool, "world");
  buffer.prepend(pool, "hello ");
  CHECK(buffer.view() == "hello world");
  buffer.consume(pool, 6);
  CHECK(buffer.view() == "world");
  buffer.prepend(pool, "new ");
  buffer.append(pool, "");
  CHECK(buffer.view() == "new world");
  buffer.consume(pool, 9);
  CHECK(buffer.empty());
}

TEST_CASE("A buffer grows beyond a block and keeps what it has") {
  BlockPool pool;
  ByteBuffer buffer;
  std::string expected;
  for (int i = 0; i < 300; ++i) {
    const std::string piece(997, static_cast<char>('a' + i % 26));
    buffer.append(pool, piece);
    expected += piece;
    if (i % 3 == 0) {
      buffer.consume(pool, 500);
      expected.erase(0, 500);
    }
  }
  CHECK(buffer.view() == expected);
  buffer.clear(pool);
  CHECK(buffer.empty());
}

TEST_CASE("An empty buffer owns no memory: its block is the next one's") {
  BlockPool pool;
  ByteBuffer first, second;
  char* const block = first.reserve(pool, 10);
  first.commit(10);
  first.consume(pool, 10);
  CHECK(second.reserve(pool, 10) == block);
  CHECK(first.reserve(pool, 10) != block);
  first.clear(pool);
  second.clear(pool);
}

TEST_CASE("Room that was consumed is used again before a buffer grows") {
  BlockPool pool;
  ByteBuffer buffer;
  buffer.append(pool, std::string(BlockPool::kBlockBytes, 'a'));
  buffer.consume(pool, BlockPool::kBlockBytes - 1);
  const char* const before = buffer.view().data() - (BlockPool::kBlockBytes - 1);
  buffer.append(pool, std::string(BlockPool::kBlockBytes - 1, 'b'));
  CHECK(buffer.view().data() == before);
  CHECK(buffer.size() == BlockPool::kBlockBytes);
  buffer.clear(pool);
}

TEST_CASE("A chunk's size is hexadecimal without leading zeros") {
  struct Row {
    std::size_t size;
    std::string_view text;
  };
  for (const Row& row : {Row{0, "0\r\n"},
                         {9, "9\r\n"},
                         {10, "a\r\n"},
                         {255, "ff\r\n"},
                         {65536, "10000\r\n"},
                         {~std::size_t{0}, "ffffffffffffffff\r\n"}}) {
    char text[20];
    CHECK(std::string_view(text, writeChunkSize(row.size, text)) == row.text);
  }
}
