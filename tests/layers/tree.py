# SPDX-License-Identifier: Apache-2.0
"""The files of the source tree, for the tests that read them as text."""
import os
import subprocess

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
CODE = (".c", ".h", ".cpp", ".hpp")


def tracked():
    """Paths, relative to ROOT, of what belongs to the project: tracked by git or about to be.

    Without git (a source archive), everything that is not a build product.
    """
    try:
        out = subprocess.run(
            ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            capture_output=True, check=True).stdout.decode()
        names = [name for name in out.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        names = []
        for folder, dirs, files in os.walk(ROOT):
            dirs[:] = [d for d in dirs if d not in ("build", "dist", ".git", "__pycache__")]
            names += [os.path.relpath(os.path.join(folder, f), ROOT) for f in files]
    return sorted(n for n in set(names) if os.path.isfile(os.path.join(ROOT, n)))


def under(*folders, suffixes=CODE):
    """The tracked files below these folders with one of these endings."""
    starts = tuple(f.rstrip("/") + "/" for f in folders)
    return [n for n in tracked() if n.startswith(starts) and n.endswith(suffixes)]


def read(name):
    """The text of a file, named relative to ROOT."""
    with open(os.path.join(ROOT, name), encoding="utf-8", errors="replace") as file:
        return file.read()
