# SPDX-License-Identifier: Apache-2.0
"""What the package does with a service that runs: an upgrade in place, or why not."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ["HYPERWAY_SOURCE_DIR"]

# Answers what postinst asks, out of files; notes everything else.
SYSTEMCTL = """#!/bin/sh
case "$*" in
  "--quiet is-active hyperway.service") test -e "$FAKE/active" ;;
  "show --property=MainPID --value hyperway.service") cat "$FAKE/MainPID" ;;
  "show --property=StatusText --value hyperway.service") cat "$FAKE/StatusText" ;;
  *) echo "$*" >>"$FAKE/calls" ;;
esac
"""

# A main process. On SIGUSR2 it does what an upgrade leaves behind.
SERVICE = """
import os, signal, sys, time
mine = {signal.SIGUSR2} if sys.argv[1] != "old" else set()
signal.pthread_sigmask(signal.SIG_BLOCK, mine)
print("up", flush=True)
if not mine:
    signal.pause()
while signal.SIGUSR2 not in signal.sigpending():  # what waits in sigwait() does not count as blocked
    time.sleep(0.01)
name, text = {"upgrades": ("MainPID", "1"), "fails": ("StatusText", "upgrade failed: by design")}[sys.argv[1]]
with open(os.path.join(os.environ["FAKE"], name), "w") as file:
    file.write(text + "\\n")
signal.pause()
"""


class Postinst(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="hw-postinst-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.environment = {**os.environ, "FAKE": self.folder, "PATH": self.folder + ":" + os.environ["PATH"]}
        self.write("systemctl", SYSTEMCTL, 0o755)
        self.write("systemd-sysusers", "#!/bin/sh\n", 0o755)
        self.write("StatusText", "\n")
        os.mkdir(os.path.join(self.folder, "system"))
        with open(os.path.join(SOURCE, "packaging/debian/postinst"), encoding="utf-8") as file:
            self.write("postinst", file.read().replace("/run/systemd/system", self.folder + "/system"), 0o755)

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)

    def read(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as file:
            return file.read()

    def service(self, kind):
        """A running service; `kind` says what SIGUSR2 does to it."""
        process = subprocess.Popen([sys.executable, "-c", SERVICE, kind], env=self.environment,
                                   stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), "up\n")
        self.write("active", "")
        self.write("MainPID", f"{process.pid}\n")
        return process

    def configure(self, old_version):
        """Runs it as dpkg does; what it said."""
        done = subprocess.run([os.path.join(self.folder, "postinst"), "configure", old_version],
                              env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout + done.stderr

    def test_a_running_service_is_upgraded_in_place(self):
        process = self.service("upgrades")
        self.assertEqual(self.configure("0.1.0"), "hyperway: upgraded in place, without a gap\n")
        self.assertEqual(self.read("calls"), "daemon-reload\n")
        self.assertIsNone(process.poll())

    def test_an_upgrade_that_fails_is_told_and_fails_no_installation(self):
        process = self.service("fails")
        said = self.configure("0.1.0")
        self.assertIn("hyperway: upgrade failed: by design\n", said)
        self.assertIn("the old version goes on", said)
        self.assertIsNone(process.poll())

    def test_a_process_that_does_not_know_the_signal_is_restarted(self):
        process = self.service("old")
        self.configure("0.1.0")
        self.assertEqual(self.read("calls"), "daemon-reload\ntry-restart hyperway.service\n")
        self.assertIsNone(process.poll(), f"sent a signal that it dies of: {signal.SIGUSR2}")

    def test_a_service_that_does_not_run_is_not_started(self):
        for old_version in ("", "0.1.0"):
            self.configure(old_version)
        self.assertEqual(self.read("calls"), "daemon-reload\n" * 2)


if __name__ == "__main__":
    unittest.main()
