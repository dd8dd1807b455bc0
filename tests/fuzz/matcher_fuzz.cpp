// SPDX-License-Identifier: Apache-2.0
// LINK: hw_route hw_http
// A table under edits answers like a linear scan over the model, and like a table that was built in
// one go.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "../unit/route/random_model.hpp"

using namespace hyperway::route;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  random_model::ByteChoices choices{std::span(data, size)};
  random_model::World world(choices);
  for (int step = 0; step < 12 && !choices.done(); ++step) {
    world.step();
    for (int i = 0; i < 4; ++i) {
      const auto asked = random_model::request(choices);
      if (!world.agrees(*asked)) std::abort();
    }
  }
  Compiler rebuilt;
  world.rebuildIn(rebuilt);
  if (rebuilt.current()->ruleCount() != world.compiler().current()->ruleCount()) std::abort();
  for (int i = 0; i < 4; ++i) {
    if (!world.agrees(*rebuilt.current(), *random_model::request(choices))) std::abort();
  }
  return 0;
}
