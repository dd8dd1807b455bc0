// SPDX-License-Identifier: Apache-2.0
#include "k8s_client/list_turns.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "fake_api.hpp"
#include "k8s_client/reflector.hpp"

using namespace hyperway::k8s_client;
using namespace std::chrono_literals;

namespace {

struct Nobody final : Reflector::Observer {
  void onObject(const ObjectText&) override {}
  void onRemoved(std::string_view) override {}
  void onListed() override { ++lists; }
  void onTrouble(const Error&) override {}
  void onWell() override {}
  int lists = 0;
};

std::string emptyPage(int version) {
  return R"({"metadata":{"resourceVersion":")" + std::to_string(version) + R"("},"items":[]})";
}

// Reflectors of so many single objects of one kind.
struct World {
  explicit World(int count) {
    for (int i = 0; i < count; ++i) {
      Reflector::Options options;
      options.path = "/api/v1/secrets?fieldSelector=metadata.name%3D" + std::to_string(i);
      options.turns = &turns;
      options.silence = std::chrono::hours(1);
      reflectors.push_back(std::make_unique<Reflector>(api, options, nobody));
      reflectors.back()->start();
    }
  }
  // Answers all calls there are, and those that they bring.
  int answerAll() {
    int answered = 0;
    for (; !api.calls.empty(); ++answered) {
      most = std::max(most, api.calls.size());
      last = api.calls.front().request.path;
      api.answer(emptyPage(10));
    }
    return answered;
  }
  FakeApi api;
  ListTurns turns{api};
  Nobody nobody;
  std::size_t most = 0;  // calls at once
  std::string last;      // path that was listed
  std::vector<std::unique_ptr<Reflector>> reflectors;
};

}  // namespace

TEST_CASE("First lists of single objects go at once, sixteen at a time") {
  World world(1000);
  CHECK(world.api.calls.size() == 16);
  CHECK(world.answerAll() == 1000);
  CHECK(world.most == 16);
  CHECK(world.nobody.lists == 1000);
  CHECK(world.api.streams.size() == 1000);
}

TEST_CASE("Polls of single objects of a kind share one request in five seconds, all in turn") {
  World world(40);
  CHECK(world.answerAll() == 40);
  world.api.pass(29s);
  world.answerAll();
  std::set<std::string> polled;
  for (int i = 0; i < 40; ++i) {
    world.api.pass(5s);
    CHECK(world.answerAll() == 1);
    polled.insert(world.last);
  }
  CHECK(polled.size() == 40);
  // A few objects are polled as often as anything else.
  World few(2);
  few.answerAll();
  int polls = 0;
  for (int second = 0; second < 300; ++second) {
    few.api.pass(1s);
    polls += few.answerAll();
  }
  CHECK(polls >= 2 * (300 / 40));
  CHECK(polls <= 2 * (300 / 28));
}

TEST_CASE("A list that is needed waits for no poll, and takes nobody's turn") {
  World world(40);
  world.answerAll();
  world.api.pass(31s);
  CHECK(world.answerAll() == 1);
  for (int i = 0; i < 5; ++i) {
    auto stream = world.api.streams.extract(std::prev(world.api.streams.end()));
    stream.mapped().handler->onEnd(FakeApi::status(410));
  }
  CHECK(world.answerAll() == 5);
  world.api.pass(5s);
  CHECK(world.answerAll() == 1);
}

TEST_CASE("Lists that fail give their turn to others, and so do reflectors that end") {
  World world(40);
  for (int i = 0; i < 16; ++i) world.api.refuse(500);
  CHECK(world.api.calls.size() == 16);
  for (int i = 16; i < 40; ++i) world.reflectors[static_cast<std::size_t>(i)].reset();
  world.api.calls.clear();
  world.api.pass(6s);
  CHECK(world.answerAll() == 16);
}
