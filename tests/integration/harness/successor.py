# SPDX-License-Identifier: Apache-2.0
"""In-place upgrades: the process that takes over from the one a Gateway started."""
import ctypes
import os
import re
import signal
import subprocess
import time

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans():
    """From now on a process whose parent has ended is a child of this one, so that its end can be judged."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def state(pid):
    """The letter that /proc has for the state of a process."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


class Process:
    """A process that somebody else started; has the part of subprocess.Popen that the harness uses."""

    def __init__(self, pid):
        self.pid, self.returncode = pid, None

    def poll(self):
        """Its exit code, or None while it runs."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                return None  # Its parent still lives.
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout=None):
        """Waits for its end."""
        end = time.monotonic() + (timeout if timeout is not None else 60)
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.005)
        return self.returncode

    def send_signal(self, number):
        """Sends a signal."""
        os.kill(self.pid, number)

    def kill(self):
        """Ends it at once."""
        self.send_signal(signal.SIGKILL)


def upgrade(gateway, timeout=60):
    """`hyperway upgrade`; from then on the Gateway is the new process. Returns the old one."""
    done = gateway.run("upgrade", "--socket", gateway.socket, timeout=timeout)
    if done.returncode != 0:
        raise AssertionError(f"upgrade ended with {done.returncode}: {done.stderr}\n{gateway.logs()[-4000:]}")
    return follow(gateway, int(re.match(r"upgraded: process (\d+) ", done.stdout).group(1)))


def follow(gateway, pid):
    """The Gateway is this process from now on. Returns the old one."""
    old, gateway.process = gateway.process, Process(pid)
    return old
