# SPDX-License-Identifier: Apache-2.0
"""Fetches the Go module that module.sum names, by the ordinary go command, and checks what came.

A newer Go than the installed one may be asked for by the module's go.mod; `go mod download` then
ends with an error but has fetched the zip, which is all that is needed here: nothing is compiled.
"""
import base64
import hashlib
import json
import os
import shutil
import subprocess
import zipfile


def read_sum(path):
    """(module, version, hash) of the one line in a file like go.sum."""
    with open(path, encoding="utf-8") as lines:
        module, version, digest = lines.read().split()
    return module, version, digest


def hash_of_zip(path):
    """The h1: hash of a module zip (golang.org/x/mod/sumdb/dirhash, Hash1)."""
    with zipfile.ZipFile(path) as archive:
        lines = [f"{hashlib.sha256(archive.read(name)).hexdigest()}  {name}\n"
                 for name in sorted(archive.namelist())]
    return "h1:" + base64.b64encode(hashlib.sha256("".join(lines).encode()).digest()).decode()


def download(module, version, folder):
    """Path of the module's zip, fetched into `folder`."""
    go = shutil.which("go")
    if go is None:
        raise RuntimeError("go is not installed: ./dev installs it, or put one on PATH")
    scratch = os.path.join(folder, "scratch")
    os.makedirs(scratch, exist_ok=True)
    with open(os.path.join(scratch, "go.mod"), "w", encoding="utf-8") as out:
        out.write("module scratch\n")
    env = dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="-mod=mod -modcacherw", GONOSUMDB="*",
               GOMODCACHE=os.path.join(folder, "mod"), GO111MODULE="on")
    run = subprocess.run([go, "mod", "download", "-json", f"{module}@{version}"], cwd=scratch,
                         env=env, capture_output=True, text=True, check=False)
    try:
        return json.loads(run.stdout)["Zip"]
    except (ValueError, KeyError):
        raise RuntimeError(f"cannot fetch {module}@{version}: {run.stdout}{run.stderr}") from None


def ensure(sum_path, folder):
    """Folder with the module's files, fetched if it is not there. The zip is checked every time."""
    module, version, digest = read_sum(sum_path)
    root = os.path.join(folder, "files")
    stamp = os.path.join(folder, "hash")
    if os.path.exists(stamp):
        with open(stamp, encoding="utf-8") as known:
            if known.read() == digest:
                return root
    path = download(module, version, folder)
    found = hash_of_zip(path)
    if found != digest:
        raise RuntimeError(f"{module}@{version} has the hash {found}, but {sum_path} says {digest}")
    shutil.rmtree(root, ignore_errors=True)
    prefix = f"{module}@{version}/"
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            target = os.path.normpath(os.path.join(root, name[len(prefix):]))
            if not target.startswith(root + os.sep):
                raise RuntimeError(f"{name} would leave {root}")
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as out:
                out.write(archive.read(name))
    with open(stamp, "w", encoding="utf-8") as out:
        out.write(digest)
    return root
