# SPDX-License-Identifier: Apache-2.0
"""Who may include whom. The table of the core folders is the one in CMakeLists.txt."""
import os
import re

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
LAYER = re.compile(r"hyperway_add_layer\((\w+)\s*(.*?)\)\n", re.DOTALL)

# Third-party and system headers that have an address: prefix -> folders that may include it.
ADDRESSES = {
    "openssl/": ("core/tls", "plugins/k8s_client", "plugins/file_source"),
    "openssl/evp.h": ("core/tls", "core/plugin", "plugins/k8s_client", "plugins/file_source",
                      "plugins/snapshot_sink"),
    "nghttp2/": ("core/codec", "plugins/k8s_client"),
    "re2/": ("core/route",),
    "simdjson": ("core/route", "core/gateway", "core/plugin", "plugins"),
    "nlohmann/": (),  # of tests only: the product reads JSON with simdjson, and writes it itself
    "rapidjson/": (),
    "Poco/Net/": ("core/admin", "core/app"),
    "Poco/": ("core/admin", "core/app"),
    "yaml-cpp/": ("core/app", "plugins/file_source", "plugins/k8s_client"),
    "yaml.h": ("core/app", "plugins/file_source"),
    "spdlog/": ("core/observe",),
    "prometheus/": ("core/observe",),
    "dlfcn.h": ("core/plugin",),
    "sys/epoll.h": ("core/net", "plugins"),
    "doctest/": (),
    "hyperway/": ("core/plugin", "core/app", "core/include", "plugins"),
}
# What the ABI may need from a C compiler.
ABI_SYSTEM = ("stddef.h", "stdint.h")


def layer_table(cmake_text):
    """{layer: set of layers it may include} from the hyperway_add_layer() calls."""
    table = {}
    for name, arguments in LAYER.findall(cmake_text):
        words = arguments.split()
        allowed = set()
        if "ALLOWED" in words:
            for word in words[words.index("ALLOWED") + 1:]:
                if word.isupper():
                    break
                allowed.add(word)
        table[name] = allowed
    return table


def includes(text):
    """[(line number, "<" or the quote, header)] of one file, comments left out."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())
    code = re.sub(r"//[^\n]*|/\*.*?\*/", blank, text, flags=re.DOTALL)
    return [(code.count("\n", 0, m.start()) + 1, m.group(1), m.group(2))
            for m in INCLUDE.finditer(code)]


def address_problem(name, header):
    """Why this file may not include this third-party header, or None."""
    for prefix in sorted(ADDRESSES, key=len, reverse=True):
        if header.startswith(prefix):
            homes = ADDRESSES[prefix]
            if name.startswith(tuple(h + "/" for h in homes)):
                return None
            return f"<{header}> belongs in {', '.join(homes) or 'no file of core or plugins'}"
    return None


def core_problem(name, quote, header, table):
    """Why a file of core/<layer>/ may not have this include, or None."""
    layer = name.split("/")[1]
    if quote == "<" or header.startswith("hyperway/"):
        return address_problem(name, header)
    other = header.split("/")[0]
    if "/" not in header or other not in table:
        return f'write the layer: "{layer}/..." instead of "{header}"'
    if other != layer and other not in table[layer]:
        return f"{layer} may include {', '.join(sorted(table[layer])) or 'nothing'}, not {other}"
    return None


def abi_problem(name, quote, header, exists):
    """Why a file of core/include/hyperway/ may not have this include, or None."""
    target = os.path.normpath(os.path.join(os.path.dirname(name), header))
    if "/hyperway/abi/" in name:
        if quote == '"':
            inside = header.startswith("hyperway/abi/") or (
                "/hyperway/abi/" in target and exists(target))
            return None if inside else f'the ABI includes only itself, not "{header}"'
        return None if header in ABI_SYSTEM else f"the ABI includes {ABI_SYSTEM}, not <{header}>"
    if quote == '"':
        inside = header.startswith("hyperway/") or (
            target.startswith("core/include/hyperway/") and exists(target))
        return None if inside else f'the SDK includes the ABI and itself, not "{header}"'
    if "/" in header and not header.startswith("hyperway/"):
        return f"the SDK includes the standard library, not <{header}>"
    return None


def plugin_problem(name, quote, header, table, exists):
    """Why a file of plugins/ may not have this include, or None."""
    if header.startswith("hyperway/"):
        inside = header.startswith(("hyperway/abi/", "hyperway/sdk/"))
        return None if inside else f"plugins include hyperway/abi and hyperway/sdk, not {header}"
    if quote == "<":
        return address_problem(name, header)
    parts = name.split("/")
    home = "/".join(parts[:3] if parts[1] == "filters" else parts[:2])
    for folder in (os.path.dirname(name), home, "plugins", "plugins/k8s_client"):
        target = os.path.normpath(os.path.join(folder, header))
        if exists(target):
            shared = os.path.dirname(target) == "plugins/filters"
            if shared or target.startswith((home + "/", "plugins/k8s_client/")):
                return None
            return f'"{header}" is another plugin\'s file'
    if header.split("/")[0] in table:
        return f'"{header}" is a header of core: plugins have hyperway/abi and hyperway/sdk'
    return f'"{header}" is not a file of this plugin'


def problems(files, table, exists):
    """Lines "file:line: why" for every include that breaks a rule. files: {name: text}."""
    found = []
    for name, text in sorted(files.items()):
        for line, quote, header in includes(text):
            if name.startswith("core/include/"):
                why = abi_problem(name, quote, header, exists)
            elif name.startswith("core/"):
                why = core_problem(name, quote, header, table)
            else:
                why = plugin_problem(name, quote, header, table, exists)
            if why:
                found.append(f"{name}:{line}: {why}")
    return found
