# SPDX-License-Identifier: Apache-2.0
"""Small plugins compiled by the test: built outside the tree, with nothing but the public headers."""
import os
import shutil
import subprocess

SOURCE = """
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include "hyperway/sdk/plugin.hpp"

class Marker {{
 public:
  static constexpr const char* kId = "marker";
  explicit Marker(hyperway::sdk::Setup& setup) {{ setup.config().only({{"anything"}}); }}
  hyperway::sdk::Flow onRequestHead(hyperway::sdk::Stream& stream, hyperway::sdk::Flags) const {{
    {body}
    stream.request().set("x-marker", "{version}");
    return hyperway::sdk::Flow::Continue;
  }}
}};

HYPERWAY_PLUGIN("test.marker", "{version}", hyperway::sdk::Filters<Marker>);
"""

THROWS = 'if (stream.request().get("x-throw")) throw std::runtime_error("thrown by a test");'
SLEEPS = 'if (stream.request().get("x-sleep")) std::this_thread::sleep_for(std::chrono::milliseconds(300));'


def build(folder, name, version, body=""):
    """Compiles folder/name.so with class id `marker`, which sets X-Marker to `version`."""
    here = os.path.dirname(os.path.abspath(__file__))
    headers = os.path.join(here, "../../../core/include")
    source, library = os.path.join(folder, name + ".cpp"), os.path.join(folder, name + ".so")
    with open(source, "w", encoding="ascii") as file:
        file.write(SOURCE.format(version=version, body=body))
    subprocess.run([shutil.which("g++") or "c++", "-std=c++20", "-O1", "-shared", "-fPIC", "-fvisibility=hidden",
                    "-fno-gnu-unique", "-I", headers, "-o", library, source], check=True)
    return library
