# SPDX-License-Identifier: Apache-2.0
"""The admin page in a real browser, as an operator has it."""
import hashlib
import json
import threading
import unittest

from harness import gateway as gw
from harness import ports, tls
from harness.browser import Browser
from harness.case import GatewayCase, until
from harness.client import Client, ask
from harness.manifests import (app, backend_ref, endpoints, extension, filter_object, gateway, gateway_class, listener,
                               path_match, route, rule, secret, service)

MARKUP = "<script>alert(1)<script>"
IMAGE = "<img src=x onerror=alert(2)>"


class Page(GatewayCase):
    """One gateway with good and bad routes; each test opens a browser of its own."""

    limit_seconds = 120
    CERT = tls.self_signed("a.example")

    @classmethod
    def make(cls):
        cls.loopback = ports.free_port()
        rules = [rule(["app"], [path_match("/shop")], name="shop"),
                 rule(["app"], [{**path_match("/admin", "Exact"), "method": "GET"}], [extension("keys")])]
        return gw.Gateway(
            gateway_class(), gateway([listener(), listener("https", 443, "HTTPS", None, ["cert"])]),
            secret("cert", *cls.CERT), *app("app", cls.backend("app")), route(rules=rules),
            filter_object("keys", "api_key", {"keys": [{"name": "alice", "sha256": hashlib.sha256(b"key").hexdigest()}]}),
            route("broken", [rule([backend_ref("nowhere")], [path_match("/broken")])]),
            route("marked", [rule(["app"], [{**path_match("/marked"), "headers": [{"name": "x-a", "value": IMAGE}]}],
                                  name=MARKUP)]),
            service("dead"), endpoints("dead", [("127.0.0.1", ports.free_port())]),
            route("dead", [rule(["dead"], [path_match("/dead")])]),
            settings={"admin": {"loopback": f"127.0.0.1:{cls.loopback}"}})

    def visit(self, view="overview", **how):
        """A browser on a view of the page, after its first values came."""
        browser = self.use(Browser(**how))
        browser.open(f"http://localhost:{self.loopback}/#{view}")
        browser.wait("Number(document.documentElement.dataset.turns) > 0", message="the first values")
        self.addCleanup(self.judge, browser)
        return browser

    def judge(self, browser):
        """No test may leave a complaint of the browser, or a request to elsewhere."""
        self.assertEqual(browser.complaints, [])
        strangers = [url for url in browser.requests
                     if not url.startswith((f"http://localhost:{self.loopback}/", "data:", "about:"))]
        self.assertEqual(strangers, [])

    def test_a_route_that_fails_shows_its_reason(self):
        browser = self.visit()
        text = browser.text("#attention")
        for part in ("HTTPRoute default/broken", "ResolvedRefs, BackendNotFound"):
            self.assertIn(part, text)
        browser.value("document.querySelector('nav a[href=\"#routes\"]').click()")
        browser.wait("document.querySelector('#v-routes tbody .name')")
        self.assertEqual(browser.value("document.querySelector('#v-routes tbody .name').firstChild.data"), "default/broken")
        self.assertIn("BackendNotFound", browser.text("#v-routes"))
        self.assertEqual(browser.value("document.querySelector('#v-routes tbody .pill').textContent"), "failing")

    def test_live_numbers_move(self):
        browser = self.visit()
        served = "Number(document.querySelectorAll('.tile .value')[4].textContent.replace(/,/g, ''))"
        before = browser.value(served)
        stop = threading.Event()

        def traffic():
            with Client(self.port) as client:
                while not stop.wait(0.005):
                    client.request("GET", "/shop/1")
                    client.response()
        thread = threading.Thread(target=traffic)
        thread.start()
        try:
            browser.wait(f"{served} > {before} + 100", message="requests are counted")
            browser.wait("parseFloat(document.querySelector('.tile .value').textContent) > 1", message="a rate is shown")
            browser.wait("/ (µs|ms)/.test(document.querySelectorAll('.tile .value')[2].textContent)", message="a p99 is shown")
            browser.wait("document.querySelector('#busiest').innerText.includes('default/route')")
            first = browser.value("document.querySelectorAll('.tile path')[0].getAttribute('d')")
            browser.wait(f"document.querySelectorAll('.tile path')[0].getAttribute('d') !== {json.dumps(first)}")
        finally:
            stop.set()
            thread.join()

    def test_explain_answers(self):
        browser = self.visit("explain")
        fill = ("const f = document.forms.ask || document.getElementById('ask'); f.elements.host.value = 'a.example';"
                "f.elements.path.value = '/shop/1'; f.requestSubmit();")
        browser.value(fill)
        browser.wait("!document.getElementById('answer').hidden")
        text = browser.text("#answer")
        for part in ("HTTPRoute default/route", "0 (shop)", "default/app:8080"):
            self.assertIn(part, text)
        browser.value("const g = document.getElementById('ask'); g.elements.path.value = '/marked';"
                      "g.elements.header.value = 'x-a: other'; g.requestSubmit();")
        browser.wait("document.getElementById('answer').innerText.includes('404')")
        self.assertIn("not chosen", browser.text("#answer"))
        browser.value("const h = document.getElementById('ask'); h.elements.header.value = 'no header'; h.requestSubmit();")
        browser.wait("document.getElementById('answer').innerText.includes('is no header')")
        # The browser itself notes an answer of 400; nothing else may be noted.
        self.assertTrue(all("400 (Bad Request)" in text for text in browser.complaints), browser.complaints)
        browser.complaints.clear()

    def test_what_comes_from_outside_is_text(self):
        browser = self.visit("routes")
        browser.wait("document.querySelector('#v-routes').innerText.includes('default/marked')")
        text = browser.text("#v-routes")
        self.assertIn(MARKUP, text)
        self.assertIn(IMAGE, text)
        self.assertEqual(browser.value("document.querySelectorAll('tbody script, tbody img').length"), 0)
        self.assertEqual(browser.value("document.scripts.length"), 1)

    def test_script_that_is_not_the_pages_own_does_not_run(self):
        browser = self.visit()
        browser.value("{const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s)}")
        self.assertIsNone(browser.value("window.ran"))
        until(lambda: browser.value("1") and any("Content Security Policy" in text for text in browser.complaints))
        browser.complaints.clear()

    def test_gateways_backends_certificates_and_plugins_are_shown(self):
        for _ in range(3):
            ask(self.port, "GET", "/admin")
            ask(self.port, "GET", "/dead")
        browser = self.visit("gateways")
        for view, parts in {
                "gateways": ("default/gw", "HTTPS 443", "default/cert", f"127.0.0.1:{self.port}"),
                "backends": ("default/app:8080", f"127.0.0.1:{self.app.port}", "ejected"),
                "certificates": ("a.example", "default/gw/https", "in 29 days"),
                "plugins": ("api_key", "file_source (source)")}.items():
            with self.subTest(view):
                browser.value(f"location.hash = '{view}'")
                for part in parts:
                    browser.wait(f"document.querySelector('#v-{view}').innerText.includes({json.dumps(part)})", message=part)
        browser.wait("/[0-9] (ns|µs)/.test(document.querySelector('#v-plugins').innerText)", message="what a call costs")

    def test_lists_are_filtered_and_turned_by_page(self):
        many = [route(f"page{n:03}", [rule(["app"], [path_match(f"/page{n}")])]) for n in range(120)]
        self.gateway.apply(*many)
        self.addCleanup(self.gateway.delete, *many)
        until(lambda: ask(self.port, "GET", "/page119").status == 200)
        browser = self.visit("routes")
        names = "[...document.querySelectorAll('#v-routes td.name')].map(n => n.firstChild.data)"
        browser.value("{const s = document.querySelector('#v-routes input[type=search]'); s.value = 'PAGE'; s.dispatchEvent(new Event('input'))}")
        browser.wait("document.querySelector('#v-routes .count').textContent.startsWith('120 of')")
        self.assertEqual(browser.value(names), [f"default/page{n:03}" for n in range(50)])
        for _ in range(2):
            first = browser.value(names)[0]
            browser.value("document.querySelector('#v-routes .on').click()")
            browser.wait(f"{names}[0] !== '{first}'")
        self.assertEqual(browser.value(names), [f"default/page{n:03}" for n in range(100, 120)])
        self.assertTrue(browser.value("document.querySelector('#v-routes .on').disabled"))
        browser.value("document.querySelector('#v-routes input[type=checkbox]').click()")
        browser.wait("document.querySelector('#v-routes').innerText.includes('Nothing fits.')")

    def test_the_keyboard_reaches_everything(self):
        browser = self.visit()
        reached = []
        for _ in range(16):
            browser.key("Tab", 9)
            reached.append(browser.value("document.activeElement.textContent.trim() || document.activeElement.tagName"))
        for name in ("To the content", "Pause", "Overview", "Explain"):
            self.assertIn(name, reached)
        browser.value("document.querySelector('nav a[href=\"#explain\"]').focus()")
        browser.key("Enter", 13, "\r")
        browser.wait("!document.getElementById('v-explain').hidden")
        browser.value("{const f = document.getElementById('ask'); f.elements.host.value = 'a.example'; f.elements.path.value = '/shop'; f.elements.path.focus()}")
        browser.key("Enter", 13, "\r")
        browser.wait("document.getElementById('answer').innerText.includes('default/route')")

    def test_it_is_dark_where_that_is_wanted(self):
        shade = "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number).reduce((a, b) => a + b)"
        self.assertGreater(self.visit().value(shade), 600)
        self.assertLess(self.visit(dark=True).value(shade), 200)

    def test_it_says_that_values_are_old_when_nobody_answers(self):
        with gw.Gateway(gateway_class(), gateway(), settings={
                "admin": {"loopback": f"127.0.0.1:{(port := ports.free_port())}"}}) as other:
            browser = self.use(Browser())
            browser.open(f"http://localhost:{port}/")
            browser.wait("Number(document.documentElement.dataset.turns) > 0")
            other.stop()
            browser.wait("!document.getElementById('lost').hidden")
        self.assertIn("What is shown is old", browser.text("#lost"))


if __name__ == "__main__":
    unittest.main()
