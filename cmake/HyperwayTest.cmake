# SPDX-License-Identifier: Apache-2.0
# Tests as ctest entries. Every test process finds in HYPERWAY_TEST_RESULTS a directory, and writes
# there a file <ctest name>.results with one line "PASS <case>" or "FAIL <case>" for each case it
# ran: docs/coverage.md is checked against these lines.

# Only what is tested is worth optimising: test code takes twice as long to compile with -O2, instrumented three times.
set(HYPERWAY_TEST_OPTIONS -O0 -g1 -U_FORTIFY_SOURCE)

set(HYPERWAY_TEST_RESULTS "${CMAKE_BINARY_DIR}/test-results")
file(MAKE_DIRECTORY "${HYPERWAY_TEST_RESULTS}")

if(NOT TARGET hyperway_doctest_main)
  add_library(hyperway_doctest_main STATIC "${CMAKE_CURRENT_LIST_DIR}/../tests/unit/doctest_main.cpp")
  target_link_libraries(hyperway_doctest_main
    PUBLIC doctest::doctest Threads::Threads
    PRIVATE hyperway_warnings)
endif()

# What most tests include, compiled once: it is half of what a test costs. By g++ only: clang builds
# the tests too, and there a missing #include does not compile.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT TARGET hyperway_test_headers)
  file(WRITE "${CMAKE_BINARY_DIR}/test_headers.cpp" "")
  add_library(hyperway_test_headers OBJECT "${CMAKE_BINARY_DIR}/test_headers.cpp")
  # All that changes what the compiler defines has to be as in the tests: the options, warnings
  # (-Wpedantic) and libraries (-pthread), and that they are executables.
  target_link_libraries(hyperway_test_headers
    PRIVATE hyperway_warnings doctest::doctest Threads::Threads)
  set_target_properties(hyperway_test_headers PROPERTIES
    POSITION_INDEPENDENT_CODE OFF
    EXCLUDE_FROM_ALL ON)
  target_compile_options(hyperway_test_headers PRIVATE ${HYPERWAY_TEST_OPTIONS} -fPIE)
  target_precompile_headers(hyperway_test_headers PRIVATE
    <algorithm> <array> <chrono> <cstdint> <cstring> <functional> <map> <memory> <optional> <set>
    <span> <string> <string_view> <thread> <unordered_map> <utility> <variant> <vector>
    <doctest/doctest.h>)
endif()

# What the tests labelled "threads" need; ThreadSanitizer builds are slow, so no more than that.
add_custom_target(threads_tests)

function(_hyperway_test_properties name labels)
  set_tests_properties(${name} PROPERTIES
    LABELS "${labels}"
    ENVIRONMENT "HYPERWAY_TEST_RESULTS=${HYPERWAY_TEST_RESULTS};HYPERWAY_TEST_NAME=${name};HYPERWAY_BUILD_DIR=${CMAKE_BINARY_DIR};HYPERWAY_SOURCE_DIR=${CMAKE_SOURCE_DIR};PYTHONDONTWRITEBYTECODE=1")
endfunction()

# hyperway_add_unit_test(<name> SOURCES file... [LIBS target...] [LABELS label...] [TIMEOUT s])
# A doctest executable; main() is supplied.
function(hyperway_add_unit_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "SOURCES;LIBS;LABELS")
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${arg_LIBS} hyperway_doctest_main hyperway_warnings)
  target_compile_definitions(${name} PRIVATE "HYPERWAY_SOURCE_DIR=\"${CMAKE_SOURCE_DIR}\"")
  target_compile_options(${name} PRIVATE ${HYPERWAY_TEST_OPTIONS})
  if(TARGET hyperway_test_headers)
    # ccache takes what was precompiled for granted if it may, and with this only.
    target_compile_options(${name} PRIVATE -fpch-preprocess)
    target_precompile_headers(${name} REUSE_FROM hyperway_test_headers)
  endif()
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  if("threads" IN_LIST arg_LABELS)
    add_dependencies(threads_tests ${name})
  endif()
  add_test(NAME ${name} COMMAND ${name})
  _hyperway_test_properties(${name} "${arg_LABELS}")
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT})
endfunction()

# hyperway_add_py_test(<name> FILE file.py [LABELS label...] [TIMEOUT s] [ARGS arg...])
# A unittest file; its cases are recorded as file.py::Class.test. One labelled threads may use the
# hyperway binary and the plugins.
function(hyperway_add_py_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "FILE;TIMEOUT" "LABELS;ARGS")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 600)
  endif()
  cmake_path(ABSOLUTE_PATH arg_FILE BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}")
  add_test(NAME ${name}
    COMMAND Python3::Interpreter "${CMAKE_SOURCE_DIR}/tests/run_unittest.py" "${arg_FILE}"
            ${arg_ARGS})
  _hyperway_test_properties(${name} "${arg_LABELS}")
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT})
endfunction()

# Every <folder>/<name>_fuzz.cpp becomes fuzz_<name>. Its line "// LINK: hw_x hw_y" names what it
# links. With HYPERWAY_FUZZ it is a libFuzzer binary; otherwise it replays <folder>/corpus/<name>/.
function(hyperway_add_fuzz_targets folder)
  add_custom_target(fuzzers)
  file(GLOB sources CONFIGURE_DEPENDS "${folder}/*_fuzz.cpp")
  foreach(source IN LISTS sources)
    cmake_path(GET source STEM stem)
    string(REGEX REPLACE "_fuzz$" "" name "${stem}")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${source}")
    file(STRINGS "${source}" link REGEX "^// LINK:")
    string(REGEX REPLACE "^// LINK:" "" link "${link}")
    separate_arguments(link)
    add_executable(fuzz_${name} "${source}")
    target_link_libraries(fuzz_${name} PRIVATE ${link} hyperway_warnings)
    add_dependencies(fuzzers fuzz_${name})
    set_target_properties(fuzz_${name} PROPERTIES
      RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/fuzz")
    if(HYPERWAY_FUZZ)
      target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    else()
      target_sources(fuzz_${name} PRIVATE "${folder}/replay_main.cpp")
      add_test(NAME fuzz_${name} COMMAND fuzz_${name} "${folder}/corpus/${name}")
      _hyperway_test_properties(fuzz_${name} "fuzz-regression")
    endif()
  endforeach()
endfunction()
