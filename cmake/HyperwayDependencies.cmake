# SPDX-License-Identifier: Apache-2.0
# Third-party libraries, all from Debian 12. docs/dependencies.md has the reason for each.

find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(simdjson REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(Poco 1.11 REQUIRED COMPONENTS Foundation JSON Net Util)
find_package(PkgConfig REQUIRED)
pkg_check_modules(re2 REQUIRED IMPORTED_TARGET re2)
pkg_check_modules(nghttp2 REQUIRED IMPORTED_TARGET libnghttp2)
pkg_check_modules(yaml REQUIRED IMPORTED_TARGET yaml-0.1)
if(HYPERWAY_TESTS)
  find_package(doctest REQUIRED)
  find_package(nlohmann_json REQUIRED)
  # The distribution's Python has the distribution's modules (yaml); one found on PATH may not.
  if(NOT DEFINED Python3_EXECUTABLE AND EXISTS /usr/bin/python3)
    set(Python3_EXECUTABLE /usr/bin/python3)
  endif()
  find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
endif()
