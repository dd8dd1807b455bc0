// SPDX-License-Identifier: Apache-2.0
#include "codec/transport.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "wire.hpp"

using namespace hyperway::codec;
using State = Transport::State;

TEST_CASE("Pieces leave in order with one write") {
  test::Wire wire;
  Transport transport(std::move(wire.near));
  const std::string_view pieces[] = {"one ", "", "three"};
  const auto sent = transport.write(pieces);
  CHECK(sent.state == State::Moved);
  CHECK(sent.bytes == 9);
  CHECK(wire.hear() == "one three");
}

TEST_CASE("A short read says that the socket has no more; then nothing, then the end") {
  test::Wire wire;
  Transport transport(std::move(wire.near));
  CHECK(transport.nothingThere());
  wire.say("12345");
  CHECK_FALSE(transport.nothingThere());
  char room[4];
  auto got = transport.read(room, sizeof room);
  CHECK(got.state == State::Moved);
  CHECK(got.bytes == 4);
  CHECK_FALSE(got.drained);
  got = transport.read(room, sizeof room);
  CHECK(got.bytes == 1);
  CHECK(got.drained);
  CHECK(transport.read(room, sizeof room).state == State::Again);
  wire.finish();
  CHECK(transport.read(room, sizeof room).state == State::End);
}

TEST_CASE("A peer that is gone is told by a write, not by a signal") {
  test::Wire wire;
  Transport transport(std::move(wire.near));
  wire.far.reset();
  const std::string_view pieces[] = {"x"};
  CHECK(transport.write(pieces).state == State::Broken);
}

TEST_CASE("A full socket takes what fits and says so") {
  test::Wire wire;
  Transport transport(std::move(wire.near));
  const std::string large(std::size_t{8} << 20, 'x');
  const std::string_view pieces[] = {large};
  const auto sent = transport.write(pieces);
  CHECK(sent.state == State::Moved);
  CHECK(sent.bytes < large.size());
  CHECK(transport.write(pieces).state == State::Again);
}
