# SPDX-License-Identifier: Apache-2.0
# hyperway_add_plugin(): a shared object as the host wants it. Used by our own plugins and, through
# find_package(hyperway), by everyone else's; so it uses nothing that an installation lacks.

set(HYPERWAY_PLUGIN_CMAKE_DIR "${CMAKE_CURRENT_LIST_DIR}")

# hyperway_add_plugin(NAME <name> SOURCES <file>... [LIBS <target>...] [STATIC])
#
# NAME     file name without ".so", and the CMake target plugin_<name>
# SOURCES  C11 or C++20
# LIBS     the plugin's own libraries; link third-party code statically where you can
# STATIC   also plugin_<name>_static, whose manifest is called hyperway_plugin_v1_<name>: for unit
#          tests and for hosts that link plugins in
#
# The object exports hyperway_plugin_v1 and nothing else; the build fails if that is not so.
function(hyperway_add_plugin)
  cmake_parse_arguments(PARSE_ARGV 0 arg "STATIC" "NAME" "SOURCES;LIBS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "hyperway_add_plugin: unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT arg_NAME OR NOT arg_SOURCES)
    message(FATAL_ERROR "hyperway_add_plugin: NAME and SOURCES are needed")
  endif()

  set(target plugin_${arg_NAME})
  set(sources ${arg_SOURCES})
  if(arg_STATIC)
    add_library(${target}_objects OBJECT ${arg_SOURCES})
    _hyperway_plugin_compile(${target}_objects "${arg_LIBS}")
    set(sources $<TARGET_OBJECTS:${target}_objects>)
  endif()
  add_library(${target} MODULE ${sources})
  _hyperway_plugin_compile(${target} "${arg_LIBS}")

  set(exports "${HYPERWAY_PLUGIN_CMAKE_DIR}/plugin.map")
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS "${exports}")
  # The host copies and hashes the file at every start: debug information is most of it.
  target_link_options(${target} PRIVATE "-Wl,--version-script=${exports}" -Wl,--gc-sections
                      -Wl,--compress-debug-sections=zlib)
  # Clang leaves sanitizer symbols to the executable, so a sanitized object cannot be closed.
  if(NOT (CMAKE_CXX_COMPILER_ID MATCHES "Clang" AND HYPERWAY_SANITIZE))
    target_link_options(${target} PRIVATE -Wl,-z,defs)
  endif()
  set_target_properties(${target} PROPERTIES PREFIX "" SUFFIX ".so" OUTPUT_NAME "${arg_NAME}")
  if(DEFINED HYPERWAY_PLUGIN_OUTPUT_DIRECTORY)
    set_target_properties(${target} PROPERTIES
      LIBRARY_OUTPUT_DIRECTORY "${HYPERWAY_PLUGIN_OUTPUT_DIRECTORY}")
  endif()
  add_custom_command(TARGET ${target} POST_BUILD
    COMMAND "${CMAKE_COMMAND}" "-DNM=${CMAKE_NM}" "-DPLUGIN=$<TARGET_FILE:${target}>"
            -P "${HYPERWAY_PLUGIN_CMAKE_DIR}/CheckPluginExports.cmake"
    VERBATIM)
  set_property(GLOBAL APPEND PROPERTY HYPERWAY_PLUGIN_TARGETS ${target})

  if(arg_STATIC)
    add_library(${target}_static STATIC ${sources})
    _hyperway_plugin_compile(${target}_static "${arg_LIBS}")
    # The same objects: nothing is compiled twice, and what is tested is what is shipped. With
    # AddressSanitizer each global has a mark beside it, whose name clang and g++ spell differently.
    add_custom_command(TARGET ${target}_static POST_BUILD
      COMMAND "${CMAKE_OBJCOPY}"
              --redefine-sym hyperway_plugin_v1=hyperway_plugin_v1_${arg_NAME}
              --redefine-sym __odr_asan_gen_hyperway_plugin_v1=__odr_asan_gen_hyperway_plugin_v1_${arg_NAME}
              --redefine-sym __odr_asan.hyperway_plugin_v1=__odr_asan.hyperway_plugin_v1_${arg_NAME}
              "$<TARGET_FILE:${target}_static>"
      VERBATIM)
  endif()
endfunction()

function(_hyperway_plugin_compile target libs)
  target_include_directories(${target} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
  target_compile_features(${target} PRIVATE c_std_11 cxx_std_20)
  # Unique symbols bind across objects that know nothing of each other and pin them in memory.
  target_compile_options(${target} PRIVATE
    -ffunction-sections -fdata-sections $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>)
  set_target_properties(${target} PROPERTIES
    C_VISIBILITY_PRESET hidden
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(${target} PRIVATE hyperway::abi ${libs})
  if(TARGET hyperway_warnings)
    target_link_libraries(${target} PRIVATE hyperway_warnings)
  endif()
endfunction()
