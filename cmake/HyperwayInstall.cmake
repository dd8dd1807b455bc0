# SPDX-License-Identifier: Apache-2.0
# What an installation holds, and the .deb.
include(CMakePackageConfigHelpers)

# Packing takes what is built and builds nothing: the tests of the package run beside others.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)

if(TARGET hyperway)
  install(TARGETS hyperway RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(FILES "${CMAKE_BINARY_DIR}/bin/hyperway_controller"
    DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

# Beside the binary: bin/../lib/hyperway/plugins. They belong to this binary and not to a
# multiarch folder.
set(HYPERWAY_PLUGIN_INSTALL_DIR lib/hyperway/plugins)
get_property(plugins GLOBAL PROPERTY HYPERWAY_PLUGIN_TARGETS)
if(plugins)
  install(TARGETS ${plugins} LIBRARY DESTINATION ${HYPERWAY_PLUGIN_INSTALL_DIR})
endif()

# Configuration lies in /etc when the prefix is /usr, and below any other prefix.
file(GLOB configuration CONFIGURE_DEPENDS etc/*.yaml etc/*.json)
install(CODE "
  set(etc \"\${CMAKE_INSTALL_PREFIX}/etc/hyperway\")
  if(CMAKE_INSTALL_PREFIX STREQUAL \"/usr\")
    set(etc /etc/hyperway)
  endif()
  file(INSTALL DESTINATION \"\${etc}\" TYPE FILE FILES ${configuration})
  file(MAKE_DIRECTORY \"\$ENV{DESTDIR}\${etc}/manifests\")")

install(FILES packaging/hyperway.service DESTINATION lib/systemd/system)
install(FILES packaging/hyperway.sysusers DESTINATION lib/sysusers.d RENAME hyperway.conf)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
foreach(document README.md CHANGELOG.md)
  if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${document}")
    install(FILES ${document} DESTINATION ${CMAKE_INSTALL_DOCDIR})
  endif()
endforeach()

# For authors of plugins: the ABI, the SDK, and find_package(hyperway).
set(HYPERWAY_CMAKE_INSTALL_DIR lib/cmake/hyperway)
install(DIRECTORY core/include/hyperway DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")
set_target_properties(hyperway_abi PROPERTIES EXPORT_NAME abi)
install(TARGETS hyperway_abi EXPORT hyperway)
install(EXPORT hyperway NAMESPACE hyperway:: FILE hyperwayTargets.cmake
  DESTINATION ${HYPERWAY_CMAKE_INSTALL_DIR})
configure_package_config_file(cmake/hyperwayConfig.cmake.in
  "${CMAKE_BINARY_DIR}/cmake/hyperwayConfig.cmake"
  INSTALL_DESTINATION ${HYPERWAY_CMAKE_INSTALL_DIR}
  PATH_VARS HYPERWAY_PLUGIN_INSTALL_DIR NO_SET_AND_CHECK_MACRO)
# A plugin built with the headers of 1.2 runs on 1.2 and later; the ABI itself checks the rest.
write_basic_package_version_file("${CMAKE_BINARY_DIR}/cmake/hyperwayConfigVersion.cmake"
  COMPATIBILITY SameMajorVersion ARCH_INDEPENDENT)
install(FILES
  "${CMAKE_BINARY_DIR}/cmake/hyperwayConfig.cmake"
  "${CMAKE_BINARY_DIR}/cmake/hyperwayConfigVersion.cmake"
  cmake/HyperwayPlugin.cmake cmake/CheckPluginExports.cmake cmake/plugin.map
  DESTINATION ${HYPERWAY_CMAKE_INSTALL_DIR})

# dpkg asks before it replaces one of these when the administrator has changed it.
set(conffiles "")
foreach(file IN LISTS configuration)
  cmake_path(GET file FILENAME name)
  string(APPEND conffiles "/etc/hyperway/${name}\n")
endforeach()
file(WRITE "${CMAKE_BINARY_DIR}/packaging/conffiles" "${conffiles}")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}/dist")
set(CPACK_PACKAGE_NAME hyperway)
set(CPACK_PACKAGE_VENDOR "hyperway")
set(CPACK_PACKAGE_CONTACT "hyperway maintainers <maintainers@hyperway.arloor.dev>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Kubernetes Gateway API gateway")
set(CPACK_PACKAGE_DESCRIPTION "Serves Gateway API routes from plain files: HTTP/1.1 and TLS, with
filters as plugins. Holds the gateway, its plugins, and the headers and the CMake package to build
plugins with.")
# Absolute paths (/etc) need DESTDIR.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  "${CMAKE_BINARY_DIR}/packaging/conffiles"
  "${CMAKE_CURRENT_SOURCE_DIR}/packaging/debian/postinst"
  "${CMAKE_CURRENT_SOURCE_DIR}/packaging/debian/prerm"
  "${CMAKE_CURRENT_SOURCE_DIR}/packaging/debian/postrm")
include(CPack)
