# SPDX-License-Identifier: Apache-2.0
"""Includes point downwards only, and third-party code has an address."""
import os
import unittest

import includes
import tree

TABLE = {"base": set(), "http": {"base"}, "net": {"base"}, "route": {"http", "base"},
         "tls": {"net", "base"}, "plugin": {"proxy"}, "proxy": {"route"}}


def one(name, line, exists=lambda path: False):
    return includes.problems({name: line + "\n"}, TABLE, exists)


class Rules(unittest.TestCase):
    """The scanner finds what it has to find."""

    def test_breaking_an_include_rule_is_found(self):
        for name, line in (
                ("core/net/a.cpp", '#include "route/model.hpp"'),
                ("core/base/a.cpp", '#include "http/uri.hpp"'),
                ("core/net/a.cpp", "# include <openssl/ssl.h>"),
                ("core/proxy/a.cpp", "#include <Poco/Net/HTTPServer.h>"),
                ("core/proxy/a.cpp", "#include <dlfcn.h>"),
                ("core/proxy/a.cpp", "#include <sys/epoll.h>"),
                ("core/http/a.cpp", "#include <re2/re2.h>"),
                ("core/proxy/a.cpp", "#include <spdlog/spdlog.h>"),
                ("core/proxy/a.cpp", "#include <hyperway/abi/filter.h>"),
                ("core/proxy/a.cpp", '#include "hyperway/abi/filter.h"'),
                ("core/route/a.cpp", '#include "model.hpp"'),
                ("core/route/a.cpp", '#include "../net/loop.hpp"'),
                ("core/include/hyperway/abi/base.h", "#include <string.h>"),
                ("core/include/hyperway/abi/base.h", '#include "../sdk/filter.hpp"'),
                ("core/include/hyperway/sdk/filter.hpp", '#include "base/result.hpp"'),
                ("core/include/hyperway/sdk/filter.hpp", "#include <fmt/format.h>"),
                ("plugins/filters/cors/cors.cpp", '#include "http/uri.hpp"'),
                ("plugins/filters/cors/cors.cpp", "#include <dlfcn.h>"),
                ("plugins/filters/cors/cors.cpp", '#include "hyperway/core/x.h"'),
        ):
            with self.subTest(name=name, line=line):
                self.assertEqual(len(one(name, line)), 1)

    def test_what_is_allowed_passes(self):
        for name, line in (
                ("core/net/a.cpp", '#include "base/result.hpp"'),
                ("core/net/a.cpp", '#include "net/loop.hpp"'),
                ("core/net/a.cpp", "#include <sys/epoll.h>"),
                ("core/net/a.cpp", "#include <fmt/format.h>"),
                ("core/tls/a.cpp", "#include <openssl/ssl.h>"),
                ("core/net/a.cpp", '// #include "route/model.hpp"'),
                ("core/net/a.cpp", '/*\n#include "route/model.hpp"\n*/'),
                ("core/plugin/a.cpp", '#include "hyperway/abi/filter.h"'),
                ("core/include/hyperway/abi/base.h", "#include <stdint.h>"),
                ("core/include/hyperway/sdk/filter.hpp", "#include <hyperway/abi/filter.h>"),
                ("core/include/hyperway/sdk/filter.hpp", "#include <string_view>"),
                ("plugins/filters/cors/cors.cpp", '#include "hyperway/sdk/filter.hpp"'),
        ):
            with self.subTest(name=name, line=line):
                self.assertEqual(one(name, line), [])

    def test_the_abi_may_include_its_neighbours(self):
        there = {"core/include/hyperway/abi/base.h"}.__contains__
        self.assertEqual(
            one("core/include/hyperway/abi/service/log.h", '#include "../base.h"', there), [])

    def test_another_plugins_file_is_found(self):
        there = {"plugins/filters/cors/match.hpp", "plugins/k8s_client/rest.hpp",
                 "plugins/filters/path.hpp"}.__contains__
        self.assertEqual(one("plugins/filters/cors/a.cpp", '#include "match.hpp"', there), [])
        self.assertEqual(one("plugins/k8s_source/a.cpp", '#include "k8s_client/rest.hpp"', there), [])
        self.assertEqual(one("plugins/filters/redirect/a.cpp", '#include "../path.hpp"', there), [])
        self.assertEqual(
            len(one("plugins/filters/redirect/a.cpp", '#include "../cors/match.hpp"', there)), 1)

    def test_the_table_is_read_from_the_build(self):
        table = includes.layer_table("hyperway_add_layer(base PUBLIC_LIBS fmt::fmt)\n"
                                     "hyperway_add_layer(x\n  ALLOWED base y\n  LIBS z)\n")
        self.assertEqual(table, {"base": set(), "x": {"base", "y"}})


class Tree(unittest.TestCase):
    """This tree keeps the rules."""

    def test_every_include_keeps_the_rules(self):
        table = includes.layer_table(tree.read("CMakeLists.txt"))
        self.assertEqual(set(table), {d for d in os.listdir(os.path.join(tree.ROOT, "core"))
                                      if d != "include"}, "a core folder without a layer")
        files = {name: tree.read(name) for name in tree.under("core", "plugins")}
        self.assertGreater(len(files), 20, "the scan found hardly any file: is the path right?")
        found = includes.problems(files, table,
                                  lambda path: os.path.isfile(os.path.join(tree.ROOT, path)))
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_lower_layers_never_reach_up(self):
        table = includes.layer_table(tree.read("CMakeLists.txt"))
        done = set()
        while len(done) < len(table):
            ready = {n for n, needs in table.items() if n not in done and needs <= done}
            self.assertTrue(ready, f"a cycle between {sorted(set(table) - done)}")
            done |= ready


if __name__ == "__main__":
    unittest.main()
