# SPDX-License-Identifier: Apache-2.0
"""Files of Go modules, fetched at test time into the build tree: they are not ours to copy."""
import functools
import json
import os
import shutil
import subprocess

# The checksums are part of the name: what the proxy serves must be this.
SUMS = {
    ("sigs.k8s.io/gateway-api", "v1.7.0"): "h1:duVnm7nO6oXfMMUWfcDoBph47CYR/ME3NGxccOVglaY=",
    ("sigs.k8s.io/gateway-api/conformance", "v1.7.0"): "h1:8Llf3aLHmeuiKA1AolOpeTIp0tmEuo6BSPOmw/w8tnk=",
}


@functools.lru_cache(maxsize=None)
def folder(path, version):
    """The folder with the files of a module."""
    here = os.path.dirname(os.path.abspath(__file__))
    build = os.environ.get("HYPERWAY_BUILD_DIR") or os.path.join(here, "../../../build/release")
    cache = os.path.abspath(os.path.join(build, "go-mod"))
    where = os.path.join(cache, f"{path}@{version}")
    program = os.environ.get("HYPERWAY_GO") or shutil.which("go")
    if program is None:
        raise AssertionError("no `go` in PATH: install Debian's golang-go, or name one in HYPERWAY_GO")
    # The module names a newer Go than we need for reading its files; with GOTOOLCHAIN=local the
    # command ends with an error about that, after the files are there and checked.
    done = subprocess.run(
        [program, "mod", "download", "-json", f"{path}@{version}"], capture_output=True, text=True,
        cwd="/", check=False, timeout=300,
        env={**os.environ, "GOMODCACHE": cache, "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw", "GO111MODULE": "on"})
    try:
        told = json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"go mod download {path}@{version}: {done.stderr}") from None
    if told.get("Sum") != SUMS[path, version] or not os.path.isdir(where):
        raise AssertionError(f"go mod download {path}@{version}: {told.get('Error')} {done.stderr}")
    return where
