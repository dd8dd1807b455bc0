# SPDX-License-Identifier: Apache-2.0
"""Where the bench finds and puts things."""
import os
import shutil

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
WORK = os.environ.get("BENCH_WORK") or os.path.join(ROOT, "build", "bench")
BASE_PORT = int(os.environ.get("BENCH_PORT", "21100"))
BACKEND_PORT = BASE_PORT + 900
TLS_BACKEND_PORT = BASE_PORT + 901  # the same behind TLS


def find(variable, name):
    """A program: by environment variable, else WORK/bin/<name>, else PATH; None if it is missing."""
    chosen = os.environ.get(variable)
    if chosen:
        return chosen
    ours = os.path.join(WORK, "bin", name)
    if os.access(ours, os.X_OK):
        return ours
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def put(folder, name, text):
    """Writes a file; gives its path."""
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path
