# SPDX-License-Identifier: Apache-2.0
"""What the tests here run around the gateway: clients and servers of others, from build/cluster/protocols/."""
import os
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TOOLS = os.path.join(ROOT, "build/cluster/protocols")
sys.path[:0] = [os.path.join(ROOT, "tests/integration"), os.path.join(TOOLS, "python")]

from harness import ports  # noqa: E402  (its folder is only now on the path)


def tool(name):
    """The path of a program."""
    path = os.path.join(TOOLS, name)
    if not os.path.exists(path):
        raise AssertionError(f"{path} is not built: ./dev cluster builds it")
    return path


class Server:
    """A program that listens on 127.0.0.1 within `with`: `host` and `port` are where. The word PORT in its arguments is
    replaced by a free port; if none has it, the program prints its address."""

    host = "127.0.0.1"

    def __init__(self, name, *arguments, environment=None):
        self._log = tempfile.TemporaryFile("w+")
        self.port = ports.free_port() if any("PORT" in a for a in arguments) else None
        command = [tool(name), *[a.replace("PORT", str(self.port)) for a in arguments]]
        self._process = subprocess.Popen(command, stdout=self._log if self.port else subprocess.PIPE, stderr=self._log,
                                         text=True, env={**os.environ, **(environment or {})})
        if self.port is None:
            self.port = int(self._process.stdout.readline().rpartition(":")[2])
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection((self.host, self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > end or self._process.poll() is not None:
                    said = self.said()
                    self.__exit__()
                    raise AssertionError(f"{name} does not listen: {said}") from None
                time.sleep(0.01)

    def said(self):
        """What it has written."""
        self._log.seek(0)
        return self._log.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._log.close()


def run(name, *arguments, seconds=60, environment=None):
    """(status, output) of a program that ends."""
    try:
        done = subprocess.run([tool(name), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=seconds, check=False, env={**os.environ, **(environment or {})})
    except subprocess.TimeoutExpired as expired:
        return None, f"not done after {seconds} s: {(expired.stdout or b'').decode()[-4000:]}"
    return done.returncode, done.stdout
