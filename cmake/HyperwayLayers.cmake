# SPDX-License-Identifier: Apache-2.0
# One core folder, one target. Each layer's headers get an include root of their own in the build
# tree (build/inc/X holding the link X -> core/X), and a target sees the roots of the layers it
# links and no others.

# Everything of core, without plugins and tests.
add_custom_target(core)

# hyperway_add_layer(<name> [ALLOWED layer...] [LIBS lib...] [PUBLIC_LIBS lib...] [EXCLUDE file...])
#
# Defines hw_<name> from core/<name>/**/*.cpp; an INTERFACE library while there is no .cpp.
# LIBS are third-party libraries that stay out of the layer's headers.
function(hyperway_add_layer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "ALLOWED;LIBS;PUBLIC_LIBS;EXCLUDE")
  set(folder "${CMAKE_CURRENT_SOURCE_DIR}/core/${name}")
  set(root "${CMAKE_BINARY_DIR}/inc/${name}")
  file(MAKE_DIRECTORY "${root}")
  if(NOT IS_SYMLINK "${root}/${name}")
    file(CREATE_LINK "${folder}" "${root}/${name}" SYMBOLIC)
  endif()

  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${folder}/*.cpp")
  foreach(file IN LISTS arg_EXCLUDE)
    list(REMOVE_ITEM sources "${folder}/${file}")
  endforeach()

  set(layers ${arg_ALLOWED})
  list(TRANSFORM layers PREPEND hw_)
  if(sources)
    add_library(hw_${name} STATIC ${sources})
    target_include_directories(hw_${name} PUBLIC "${root}")
    target_compile_options(hw_${name} PUBLIC "-ffile-prefix-map=${root}/=core/")
    target_link_libraries(hw_${name}
      PUBLIC ${layers} ${arg_PUBLIC_LIBS}
      PRIVATE ${arg_LIBS} hyperway_warnings)
    add_dependencies(core hw_${name})
    set_target_properties(hw_${name} PROPERTIES ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/core")
  else()
    add_library(hw_${name} INTERFACE)
    target_include_directories(hw_${name} INTERFACE "${root}")
    target_compile_options(hw_${name} INTERFACE "-ffile-prefix-map=${root}/=core/")
    target_link_libraries(hw_${name} INTERFACE ${layers} ${arg_PUBLIC_LIBS})
  endif()
endfunction()
