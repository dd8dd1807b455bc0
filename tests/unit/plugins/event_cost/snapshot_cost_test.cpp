// SPDX-License-Identifier: Apache-2.0
// What the edit of a route costs the writer of a snapshot with few and with many parts.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "instructions.hpp"
#include "k8s_client/fake_api.hpp"
#include "writer.hpp"

namespace hyperway::snapshot_sink {
namespace {

using namespace std::chrono_literals;

// A writer that has written a snapshot with so many routes, each of which is a part.
class World {
 public:
  explicit World(int size) {
    Settings settings;
    settings.name = "snap";
    settings.name_space = "ns";
    settings.data_plane_account = "ns/planes";
    Writer::Listener listener;
    listener.written = [](std::uint64_t) {};
    listener.programmed = [](const auto&) {};
    listener.trouble = [](const std::string&) {};
    listener.attempted = [](const auto&, const auto&) {};
    listener.now = [] { return "now"; };
    writer_ = std::make_unique<Writer>(api_, settings, listener, Cut{10, 10, 7});
    writer_->start();
    writer_->lead(true);
    Batch batch;
    for (int i = 0; i < size; ++i) batch.routes.push_back(routeOf(i, 0));
    writer_->take(++generation_, std::move(batch));
    while (serve()) {
    }
    api_.pass(3s);  // After many parts it pauses.
  }

  // A route has another text: a part is made, and the index names it.
  void edit() {
    Batch batch;
    batch.routes.push_back(routeOf(7, 1));
    writer_->take(++generation_, std::move(batch));
    api_.pass(10ms);
    if (api_.calls.empty()) throw std::runtime_error("no part is written");
    api_.answer("{}");
    api_.pass(10ms);
    if (api_.calls.empty() || api_.calls.front().request.method != "PATCH")
      throw std::runtime_error("no index is written");
  }

  [[nodiscard]] std::size_t parts() const { return parts_; }

 private:
  static Batch::Route routeOf(int number, int edition) {
    return {"HTTPRoute/ns/r" + std::to_string(number),
            "{\"x\":" + std::to_string(number) + ",\"edition\":" + std::to_string(edition) + '}',
            1};
  }

  // Answers the oldest call; false if there is none.
  bool serve() {
    api_.pass(10ms);
    if (api_.calls.empty()) return false;
    const k8s_client::Request request = api_.calls.front().request;
    if (request.method == "GET") {
      api_.answer(R"({"apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]})");
    } else if (request.method == "POST") {
      ++parts_;
      api_.answer("{}");
    } else if (request.path.find("/status") != std::string::npos) {
      api_.refuse(403);
    } else {
      k8s_client::ObjectText object;
      (void)object.read(request.body);
      ++version_;
      api_.answer(R"({"metadata":{"namespace":"ns","name":"snap","uid":"u","generation":)" +
                  std::to_string(version_) + R"(,"resourceVersion":")" + std::to_string(version_) +
                  R"("},"spec":)" + std::string(object.member("spec")) + '}');
    }
    return true;
  }

  k8s_client::FakeApi api_;
  std::unique_ptr<Writer> writer_;
  std::uint64_t generation_ = 0;
  int version_ = 1;
  std::size_t parts_ = 0;
};

TEST_CASE("An edit reads no index again, however many parts it names") {
  World few(10), many(80);
  REQUIRE(few.parts() > 5);
  REQUIRE(many.parts() > 40);
  const auto among_few = instructionsOf([&] { few.edit(); });
  const auto among_many = instructionsOf([&] { many.edit(); });
  const auto for_each = (among_many - among_few) / (many.parts() - few.parts());
  MESSAGE(among_few << " and " << among_many << " instructions, " << for_each << " for each part");
  // Their names are written, and compared; to read them takes ten times as much.
  CHECK(for_each < 10000);
}

}  // namespace
}  // namespace hyperway::snapshot_sink
