// SPDX-License-Identifier: Apache-2.0
#include "app/commands.hpp"

int main(int argc, char** argv) {
  return hyperway::app::runProgram(
      argc > 0 ? argv[0] : "", std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
