# SPDX-License-Identifier: Apache-2.0
# cmake -DNM=nm -DPLUGIN=x.so -P CheckPluginExports.cmake
# Fails unless the object exports exactly the data symbol hyperway_plugin_v1.

execute_process(COMMAND "${NM}" --dynamic --defined-only "${PLUGIN}"
  OUTPUT_VARIABLE symbols RESULT_VARIABLE status OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${PLUGIN}: cannot list its symbols")
endif()
# "<address> <kind> <name>"; D, B or R is data, T would be a function.
if(NOT symbols MATCHES "^[0-9a-f]+ [DBR] hyperway_plugin_v1$")
  message(FATAL_ERROR "${PLUGIN}: must export hyperway_plugin_v1, as data, and nothing else; has:\n"
                      "${symbols}\nWrite HYPERWAY_PLUGIN(...) or define the manifest at file scope.")
endif()
