# SPDX-License-Identifier: Apache-2.0
"""A real browser without a window: Debian's chromium, driven by the DevTools protocol over two pipes."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PROGRAM = "chromium"


class BrowserError(AssertionError):
    """The browser did not do what it was asked to."""


class Browser:
    """A context manager. One page; everything that it complains about is in `complaints`, every address that
    it asked for in `requests`."""

    def __init__(self, width=1280, height=900, dark=False, scale=1):
        self.folder = tempfile.mkdtemp(prefix="hw-browser-")
        self.size, self.dark, self.scale = (width, height), dark, scale
        self.complaints, self.requests, self.events = [], [], []
        self._number, self._buffer, self._session = 0, b"", None
        to_read, self._to = os.pipe()
        self._from, from_write = os.pipe()

        def pipes():
            # The browser reads commands from descriptor 3 and writes to 4. Both copies first go out of the way.
            read, write = os.dup2(to_read, 60), os.dup2(from_write, 61)
            os.dup2(read, 3)
            os.dup2(write, 4)

        self.log = open(os.path.join(self.folder, "log"), "wb")
        self.process = subprocess.Popen(
            [shutil.which(PROGRAM) or PROGRAM, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", "--no-first-run", "--no-default-browser-check", "--hide-scrollbars",
             "--force-color-profile=srgb", "--font-render-hinting=none", "--proxy-server=direct://",
             f"--user-data-dir={self.folder}/profile", f"--window-size={width},{height}", "about:blank"],
            preexec_fn=pipes, close_fds=False, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env={**os.environ, "HOME": self.folder, "XDG_CONFIG_HOME": self.folder, "XDG_CACHE_HOME": self.folder})
        os.close(to_read)
        os.close(from_write)
        try:
            self._attach()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends the browser."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        os.close(self._to)
        os.close(self._from)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _attach(self):
        targets = self.call("Target.getTargets", timeout=60)["targetInfos"]
        page = next(t["targetId"] for t in targets if t["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")
        self.call("Emulation.setDeviceMetricsOverride", width=self.size[0], height=self.size[1],
                  deviceScaleFactor=self.scale, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if self.dark else "light"}])

    # ---- the protocol

    def _read(self, end):
        while b"\0" not in self._buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._from], [], [], left)[0]:
                raise BrowserError("no answer from the browser in time")
            data = os.read(self._from, 1 << 16)
            if not data:
                with open(self.log.name, encoding="utf-8", errors="replace") as file:
                    raise BrowserError(f"the browser has ended:\n{file.read()[-3000:]}")
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(text)

    def _take(self, event):
        method, params = event["method"], event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"])[:600])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(params["args"])[:600])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(json.dumps(params["entry"])[:600])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Page.javascriptDialogOpening":
            self.complaints.append("a dialog: " + params.get("message", ""))
        self.events.append(method)

    def call(self, method, timeout=30, **params):
        """One command; returns its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + timeout
        while True:
            answer = self._read(end)
            if "method" in answer:
                self._take(answer)
            elif answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']}")
                return answer["result"]

    # ---- what tests do

    def open(self, url):
        """Goes to a page, and waits until it is loaded."""
        got = self.call("Page.navigate", url=url)
        if got.get("errorText"):
            raise BrowserError(f"{url}: {got['errorText']}")
        self.wait("document.readyState === 'complete'")

    def value(self, expression):
        """The value of an expression in the page; promises are waited for."""
        got = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in got:
            raise BrowserError(f"{expression}: {got['exceptionDetails']}")
        return got["result"].get("value")

    def wait(self, expression, timeout=20, message=""):
        """Waits until an expression is true."""
        end = time.monotonic() + timeout
        while not self.value(f"Boolean({expression})"):
            if time.monotonic() > end:
                raise BrowserError(f"{message or expression} not true after {timeout} s; the page says:\n"
                                   f"{self.text()[:3000]}\n{self.complaints}")
            time.sleep(0.05)

    def text(self, selector="body"):
        """What a reader sees of an element."""
        return self.value(f"document.querySelector({json.dumps(selector)}).innerText")

    def key(self, name, code=0, text=""):
        """Presses and releases a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, windowsVirtualKeyCode=code,
                      **({"text": text} if text and kind == "keyDown" else {}))

    def screenshot(self, path, whole=False):
        """Writes a PNG of what is in the window, or of the whole page."""
        clip = {}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1},
                    "captureBeyondViewport": True}
        data = self.call("Page.captureScreenshot", format="png", **clip)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))
