# SPDX-License-Identifier: Apache-2.0
"""The README's five minutes: every command is run against the demo, and must print what stands there."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

from harness import gateway as gw
from harness import ports

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
DEMO_PORTS = ("8080", "8443", "9180", "9181", "9081", "9082", "9083")
PORT = re.compile(r"(?<![0-9])(" + "|".join(DEMO_PORTS) + r")(?![0-9])")


def steps(text):
    """(command, lines printed) of each "$ command" in the README's indented blocks."""
    found = []
    for line in text.splitlines():
        if line.startswith("    $ "):
            found.append((line[6:], []))
        elif line.startswith("    ") and found and found[-1][1] is not None:
            found[-1][1].append(line[4:])
        elif line.strip() and found:
            found.append((None, None))  # prose ends what a command printed
    return [(command, printed) for command, printed in found if command]


def settled(lines):
    """What differs from run to run, made equal: ids, curl's version, and the shares of the split."""
    text = "\n".join(lines).strip()
    text = re.sub(r"[0-9a-f]{32}", "ID", text)
    text = re.sub(r"curl/[0-9.]+", "curl/VERSION", text)
    return [line.rstrip() for line in text.splitlines()]


class ReadmeTour(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="hw-tour-")
        cls.ports = {port: str(ports.free_port()) for port in DEMO_PORTS}
        demo = os.path.join(cls.folder, "demo")
        shutil.copytree(os.path.join(ROOT, "etc", "demo"), demo)
        for folder, _, names in os.walk(demo):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8") as file:
                    text = cls.moved(file.read())
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text.replace("/tmp/hyperway-demo.sock", os.path.join(cls.folder, "admin.sock")))
        cls.demo = demo
        backend = os.path.join(demo, "backend.py")
        cls.backend = subprocess.Popen([sys.executable, backend])
        cls.gateway = subprocess.Popen([gw.binary(), "--config", os.path.join(demo, "hyperway.yaml")],
                                       stdout=subprocess.DEVNULL)
        subprocess.run([sys.executable, backend, "--wait-for", f"http://127.0.0.1:{cls.ports['9180']}/readyz",
                        "--pid", str(cls.gateway.pid)], check=True, timeout=60)

    @classmethod
    def tearDownClass(cls):
        cls.gateway.send_signal(signal.SIGTERM)
        status = cls.gateway.wait(30)
        cls.backend.terminate()
        cls.backend.wait()
        shutil.rmtree(cls.folder)
        assert status == 0, f"the gateway ended with {status}"

    @classmethod
    def moved(cls, text):
        return PORT.sub(lambda match: cls.ports[match.group(1)], text)

    def run_step(self, command):
        command = self.moved(command).replace("build/release/bin/hyperway", gw.binary())
        command = command.replace("etc/demo", self.demo)
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
        back = {new: old for old, new in self.ports.items()}
        printed = re.sub("|".join(back), lambda match: back[match.group(0)], done.stdout)
        return printed.replace("\r", "").splitlines(), done.stderr

    def test_every_command_prints_what_the_readme_says(self):
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
            found = steps(file.read())
        self.assertGreaterEqual(len(found), 8)
        for command, expected in found:
            if "uniq -c" in command:
                continue
            with self.subTest(command=command):
                printed, errors = self.run_step(command)
                self.assertEqual(settled(printed), settled(expected), errors)

    def test_the_split_is_nine_to_one(self):
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
            (command,) = [command for command, _ in steps(file.read()) if "uniq -c" in command]
        self.assertIn("seq 20", command)
        printed, errors = self.run_step(command.replace("seq 20", "seq 300"))
        shares = {line.split()[-1].strip('",'): int(line.split()[0]) for line in printed}
        self.assertEqual(sum(shares.values()), 300, errors)
        self.assertTrue(9 <= shares.get("v2", 0) <= 60, shares)  # 30 expected, four sigma


if __name__ == "__main__":
    unittest.main()
