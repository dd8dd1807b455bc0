// SPDX-License-Identifier: Apache-2.0
// LINK: hw_route hw_http
// Any text is read without harm; what was read and written again reads as the same and is written
// as the same; and whatever was read compiles.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "route/compile.hpp"
#include "route/model_json.hpp"

using namespace hyperway;
using namespace hyperway::route;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Problems problems;
  const auto first = readSnapshot(text, problems);
  if (!first) {
    if (!problems.failed()) std::abort();
    return 0;
  }
  const std::string written = snapshotSpec(first->model, first->header);
  Problems none;
  const auto second = readSnapshot(written, none);
  if (!second || none.failed()) std::abort();
  if (snapshotSpec(second->model, second->header) != written) std::abort();

  Compiler compiler;
  (void)compiler.apply(first->model);
  if (compiler.apply(second->model).table != nullptr) std::abort();
  return 0;
}
