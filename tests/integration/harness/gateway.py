# SPDX-License-Identifier: Apache-2.0
"""The process under test: its manifests, its configuration, its ports, its logs, its end."""
import contextlib
import functools
import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time

import yaml

from . import client, config, manifests, ports

SANITIZER = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:",
             "WARNING: ThreadSanitizer", "ERROR: ThreadSanitizer", "AddressSanitizer:DEADLYSIGNAL")


def binary():
    """The program under test: HYPERWAY_BIN, else that of the build that runs the tests."""
    named = os.environ.get("HYPERWAY_BIN")
    if named:
        return named
    here = os.path.dirname(os.path.abspath(__file__))
    root = os.environ.get("HYPERWAY_SOURCE_DIR") or os.path.abspath(os.path.join(here, "../../.."))
    build = os.environ.get("HYPERWAY_BUILD_DIR") or os.path.join(root, "build", "release")
    return os.path.join(build, "bin", "hyperway")


@functools.lru_cache(maxsize=None)
def sanitized():
    """"address", "thread" or "" by what the binary was built with."""
    with open(binary(), "rb") as file:
        data = file.read()
    return "address" if b"__asan_init" in data else "thread" if b"__tsan_init" in data else ""


class Gateway:
    """One process. start() by default in the constructor; stop() asserts a clean end.

    listen    {port in manifests: port on 127.0.0.1}; made for the Gateways' listeners if not given; False:
              no map, ports are bound as the manifests say.
    settings  laid over the configuration file (see config.py).
    program   another name to start it under.
    flags     given instead of a configuration file: the arguments after the program's name, with
              {manifests} for the folder; then `admin` is the admin port they lead to.
    """

    def __init__(self, *objects, listen=None, settings=None, flags=None, workers=1, start=True,
                 descriptors=None, access_log=None, ready=True, environment=None, admin=None,
                 program="hyperway"):
        self.program = program
        self.folder = tempfile.mkdtemp(prefix="hw-")
        self.manifests = os.path.join(self.folder, "manifests")
        os.mkdir(self.manifests)
        self.map_ports = listen is not False
        self.listen = dict(listen or {})
        self.admin = admin or ports.free_port()
        self.socket = os.path.join(self.folder, "admin.sock")
        self.config_file = os.path.join(self.folder, "hyperway.yaml")
        self.log_file = os.path.join(self.folder, "stderr.log")
        self.out_file = os.path.join(self.folder, "stdout.log")
        self.status_file = os.path.join(self.folder, "status.json")
        self.flags, self.workers, self.descriptors = flags, workers, descriptors
        self.environment = environment or {}
        self.settings, self.access_log = settings or {}, access_log
        # What else the configuration file of config.py may ask for; `source` is file_source's part.
        self.manifest_paths, self.source = [self.manifests], {}
        self.default_endpoints = {}
        self.command = []  # In front of the program: valgrind and the like.
        self.process = None
        self._stdout = None
        self.expected_exit = 0
        self.apply(*objects)
        if start:
            self.start(ready=ready)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            self.kill()

    # ---- manifests

    def _map_ports(self, objects):
        for item in objects:
            if item.get("kind") in ("Gateway", "ListenerSet"):
                for entry in item["spec"].get("listeners", []):
                    if entry["port"] not in self.listen:
                        self.listen[entry["port"]] = ports.free_port()

    @staticmethod
    def file_name(item):
        """The file that holds an object here."""
        meta = item["metadata"]
        return f"{item['kind']}-{meta.get('namespace', '')}-{meta['name']}.yaml"

    def write(self, name, text):
        """Puts a file among the manifests in one step."""
        path = os.path.join(self.manifests, name)
        part = os.path.join(self.folder, name.replace("/", "_") + ".part")
        with open(part, "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(part, path)

    def apply(self, *objects):
        """Writes each object into a file of its own. Lists are taken apart."""
        flat = []
        for item in objects:
            flat += item if isinstance(item, (list, tuple)) else [item]
        if self.map_ports:
            self._map_ports(flat)
        for item in flat:
            # JSON is YAML, and much faster to write.
            self.write(self.file_name(item), json.dumps(item, indent=1) + "\n")
        return self

    def delete(self, *objects):
        """Removes the files of objects."""
        for item in objects:
            for one in item if isinstance(item, (list, tuple)) else [item]:
                os.unlink(os.path.join(self.manifests, self.file_name(one)))
        return self

    # ---- the process

    def start(self, ready=True):
        """Starts the process and waits until /readyz says 200 (unless `ready` is false)."""
        if self.flags is None:
            self.write_config()
            arguments = ["run", "--config", self.config_file]
        else:
            arguments = [a.format(manifests=self.manifests, folder=self.folder) for a in self.flags]
        environment = dict(os.environ)
        environment.setdefault("ASAN_OPTIONS",
                               "detect_leaks=1:quarantine_size_mb=8:malloc_context_size=12")
        environment.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        environment.setdefault("TSAN_OPTIONS", "second_deadlock_stack=1:halt_on_error=0")
        environment.update(self.environment)

        def limits():
            if self.descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptors, self.descriptors))

        self._stdout = open(self.out_file, "ab")
        with open(self.log_file, "ab") as err:
            self.process = subprocess.Popen([*self.command, self.binary(), *arguments], stdin=subprocess.DEVNULL,
                                            stdout=self._stdout, stderr=err, cwd=self.folder,
                                            env=environment, preexec_fn=limits)
        if ready:
            self.wait_ready()
        return self

    def write_config(self):
        """Writes the configuration file as the settings now are."""
        document = config.build(self)
        part = self.config_file + ".part"
        with open(part, "w", encoding="utf-8") as file:
            yaml.safe_dump(document, file, sort_keys=False)
        os.rename(part, self.config_file)

    def binary(self):
        """What is started: the binary, or a name of it beside it."""
        if self.program == "hyperway":
            return binary()
        return os.path.join(os.path.dirname(binary()), self.program)

    @property
    def pid(self):
        """Process id."""
        return self.process.pid

    def wait_ready(self, timeout=None):
        """Waits for readiness; tells what the process said if it does not come."""
        timeout = timeout or (60 if sanitized() else 20)
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"gateway ended with {self.process.returncode}:\n{self.logs()}")
            with contextlib.suppress(OSError, Exception):
                if self.ask_admin("/readyz").status == 200:
                    return
            time.sleep(0.02)
        raise AssertionError(f"not ready after {timeout} s:\n{self.logs()}")

    def ask_admin(self, path, method="GET", port=None):
        """A request to the admin port."""
        with client.Client(port or self.admin, timeout=5) as connection:
            connection.request(method, path, host="localhost", fields=[("Connection", "close")])
            return connection.response(method)

    def metrics(self):
        """{series with labels: value} of /metrics."""
        out = {}
        for line in self.ask_admin("/metrics").body.decode().splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                out[name] = float(value)
        return out

    def metric(self, name, **labels):
        """Sum of the series of that name that have all these labels."""
        total = 0.0
        for series, value in self.metrics().items():
            base, _, rest = series.partition("{")
            if base == name and all(f'{k}="{v}"' in rest for k, v in labels.items()):
                total += value
        return total

    def logs(self):
        """Everything the process has said so far."""
        if self._stdout:
            self._stdout.flush()
        text = ""
        for path in (self.out_file, self.log_file):
            with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
                text += file.read()
        return text

    def run(self, *arguments, timeout=30, check=False):
        """Runs the program with other arguments, e.g. "status"; returns the finished process."""
        done = subprocess.run([binary(), *arguments], capture_output=True, text=True, cwd=self.folder,
                              timeout=timeout, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"hyperway {' '.join(arguments)} ended with {done.returncode}:\n"
                                 f"{done.stdout}{done.stderr}")
        return done

    def status(self):
        """{"Kind/namespace/name": status} from `hyperway status`."""
        return config.statuses(self)

    def condition(self, key, kind, listener=None, parent=0):
        """One condition of an object's status, of a listener or of a route's parent, or None."""
        status = self.status().get(key)
        if status is None:
            return None
        if listener is not None:
            found = [x for x in status.get("listeners", []) if x["name"] == listener]
            status = found[0] if found else {}
        elif "parents" in status:
            status = status["parents"][parent] if len(status["parents"]) > parent else {}
        for condition in status.get("conditions", []):
            if condition["type"] == kind:
                return condition
        return None

    def port(self, port=80):
        """Where a listener's port is bound."""
        return self.listen[port]

    def sanitizer_reports(self):
        """Lines of the logs that a sanitizer wrote."""
        return [line for line in self.logs().splitlines() if any(s in line for s in SANITIZER)]

    def terminate(self):
        """SIGTERM, without waiting."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self, timeout=None):
        """SIGTERM; asserts exit code 0 in time and no report of a sanitizer. Idempotent."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.terminate()
        try:
            code = self.process.wait(timeout or (40 if sanitized() else 15))
        except subprocess.TimeoutExpired:
            logs = self.logs()
            self.kill()
            raise AssertionError(f"still running after SIGTERM:\n{logs[-4000:]}") from None
        logs, reports = self.logs(), self.sanitizer_reports()
        self._clean()
        if code != self.expected_exit or reports:
            raise AssertionError(f"exit code {code}, reports {reports}:\n{logs[-12000:]}")

    def kill(self):
        """Ends the process at once; for failed tests."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._clean()

    def _clean(self):
        self.process = None
        if self._stdout:
            self._stdout.close()
        if not os.environ.get("HYPERWAY_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)


def simple(backend, *more, rules=None, **kwargs):
    """The usual set: class, Gateway on port 80, Service app behind which `backend` stands, one route."""
    return Gateway(manifests.gateway_class(), manifests.gateway(), *manifests.app("app", backend),
                   manifests.route(rules=rules), *more, **kwargs)
