# SPDX-License-Identifier: Apache-2.0
# Compiler settings for every target of this tree: standard, warnings, hardening, sanitizers.

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()

if(NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(HYPERWAY_CCACHE ccache)
  if(HYPERWAY_CCACHE)
    set(CMAKE_C_COMPILER_LAUNCHER "${HYPERWAY_CCACHE}")
    # With what is precompiled ccache does not see the macros in it; they come from headers that it hashes.
    set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros "${HYPERWAY_CCACHE}")
  endif()
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# accept4, splice, epoll and memmem are used throughout; C needs to be told (C++ has it from g++).
add_compile_definitions($<$<COMPILE_LANGUAGE:C>:_GNU_SOURCE>)

# A path of the machine that builds must not end up in assertions or packages.
add_compile_options("-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=")

# Kept in release builds too: a proxy without usable stack traces cannot be debugged in the field.
add_compile_options(-fno-omit-frame-pointer -fstack-protector-strong)
add_link_options(-Wl,-z,relro,-z,now)

if(HYPERWAY_SANITIZE)
  add_compile_options("-fsanitize=${HYPERWAY_SANITIZE}" -fno-sanitize-recover=all)
  add_link_options("-fsanitize=${HYPERWAY_SANITIZE}")
  add_compile_definitions(HYPERWAY_SANITIZED=1)
  # Instrumented, what simdjson forces inline takes g++ four times as long to compile.
  add_compile_definitions(simdjson_inline=inline)
  if(HYPERWAY_FUZZ)
    if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
      message(FATAL_ERROR "HYPERWAY_FUZZ needs clang: use the preset asan")
    endif()
    add_compile_options(-fsanitize=fuzzer-no-link)
  endif()
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()

# Our own code answers to these; third-party headers come from system directories and do not.
add_library(hyperway_warnings INTERFACE)
target_compile_options(hyperway_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wformat=2 -Wundef
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>
  $<$<COMPILE_LANGUAGE:CXX>:-Wold-style-cast>
  $<$<COMPILE_LANGUAGE:CXX>:-Woverloaded-virtual>
  $<$<COMPILE_LANGUAGE:CXX>:-Wsuggest-override>)
if(HYPERWAY_WERROR)
  target_compile_options(hyperway_warnings INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports overlapping copies inside std::string's operator+ (GCC bug 105329) and, once it
  # instruments code, uninitialised values in std::optional; both are false.
  target_compile_options(hyperway_warnings INTERFACE -Wno-restrict)
  if(HYPERWAY_SANITIZE)
    target_compile_options(hyperway_warnings INTERFACE -Wno-maybe-uninitialized)
  endif()
endif()
