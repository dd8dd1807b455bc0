// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace hyperway::app {

/// The program: reads the arguments behind its `name` (see programOf()), does what they ask,
/// returns the exit code (sysexits.h: 0 done, 64 wrong usage, 69 no gateway answers, 70 an error of
/// ours, 71 the system refuses, 78 wrong configuration). Called once, before there is any other
/// thread.
[[nodiscard]] int runProgram(const std::string& name, const std::vector<std::string>& arguments);

}  // namespace hyperway::app
