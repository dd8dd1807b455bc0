# SPDX-License-Identifier: Apache-2.0
"""The base of all cases: a time limit for each, one gateway for a class, nothing ambiguous behind it."""
import contextlib
import signal
import threading
import time
import unittest

from . import gateway as gateway_module
from . import probes
from .backend import Backend

MIB = 1 << 20


def patience():
    """How much longer things may take under a sanitizer."""
    return {"address": 3.0, "thread": 6.0}.get(gateway_module.sanitized(), 1.0)


def memory_factor():
    """How much more memory this build may take. AddressSanitizer keeps freed memory for a while and adds redzones; the
    exact figure is for the release build, the test itself runs in both."""
    return {"": 1.0, "address": 4.0, "thread": 6.0}[gateway_module.sanitized()]


def until(what, timeout=5.0, message="", every=0.01):
    """Waits until `what()` is true (an exception counts as not yet) and returns its value."""
    end = time.monotonic() + timeout * patience()
    last = None
    while True:
        try:
            value = what()
            if value:
                return value
            last = value
        except Exception as error:  # noqa: BLE001 (whatever it is, it is not yet right)
            last = error
        if time.monotonic() > end:
            raise AssertionError(f"{message or 'condition'} not met after {timeout} s, last: {last!r}")
        time.sleep(every)


class Case(unittest.TestCase):
    """A test case with a limit of `limit_seconds` (longer under sanitizers)."""

    limit_seconds = 30
    maxDiff = 4000

    def setUp(self):
        super().setUp()
        self._stack = contextlib.ExitStack()
        self.addCleanup(self._stack.close)

        def too_long(*_):
            raise AssertionError(f"{self.id()}: longer than {self.limit_seconds} s")

        signal.signal(signal.SIGALRM, too_long)
        signal.setitimer(signal.ITIMER_REAL, self.limit_seconds * patience())
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)

    def use(self, thing):
        """Enters a context manager until the end of this test."""
        return self._stack.enter_context(thing)


class GatewayCase(Case):
    """One gateway and its backends for all tests of a class.

    A class overrides make(): it makes backends with cls.backend(name) and returns a Gateway. After
    each test the gateway must be alive, and no backend may have met an ambiguous byte.
    """

    gateway = None
    backends = {}

    @classmethod
    def make(cls):
        """Returns the Gateway of this class."""
        return gateway_module.simple(cls.backend("app"))

    @classmethod
    def backend(cls, name, **kwargs):
        """Makes a backend; in tests it is self.backends[name]."""
        cls.backends[name] = Backend(name, **kwargs)
        return cls.backends[name]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.backends = {}
        try:
            cls.gateway = cls.make()
        except BaseException:
            for backend in cls.backends.values():
                backend.close()
            raise

    @classmethod
    def tearDownClass(cls):
        for backend in cls.backends.values():
            backend.close()
        if cls.gateway is not None:
            cls.gateway.stop()
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        self.addCleanup(self._judge)

    def _judge(self):
        ambiguous = {name: b.ambiguous for name, b in self.backends.items() if b.ambiguous}
        for backend in self.backends.values():
            backend.forget()
        self.assertEqual(ambiguous, {}, "ambiguous bytes reached a backend")
        if self.gateway.process is not None and self.gateway.process.poll() is not None:
            self.fail(f"the gateway has ended with {self.gateway.process.returncode}:\n"
                      f"{self.gateway.logs()[-8000:]}")

    @property
    def factor(self):
        """See memory_factor()."""
        return memory_factor()

    def rss(self):
        """Resident bytes of the gateway."""
        return probes.memory(self.gateway.pid)["rss"]

    @contextlib.contextmanager
    def growth_within(self, mib, ask_beside):
        """Watches memory, and how long a request of another client, `ask_beside()`, takes while something goes on."""
        ask_beside()
        before, peak, waits, over = self.rss(), [0], [], threading.Event()

        def watch():
            while not over.wait(0.02):
                peak[0] = max(peak[0], self.rss())
                begin = time.monotonic()
                ask_beside()
                waits.append(time.monotonic() - begin)
        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        grown = (max(peak[0], self.rss()) - before) / MIB
        self.assertLessEqual(grown, mib * self.factor, f"RSS grew by {grown:.1f} MiB")
        self.assertLessEqual(max(waits, default=0), 0.5 * patience(), "another client waited")

    @property
    def app(self):
        """The backend called app."""
        return self.backends["app"]

    @property
    def port(self):
        """Where port 80 is bound."""
        return self.gateway.port(80)
