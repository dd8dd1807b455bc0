#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Takes the README's picture of the admin page, docs/images/page.png: a real hyperway with some traffic, in a real browser.

usage: screenshot.py [--seconds N] [--out FOLDER] [--all]     --all: every view, light and dark, for looking at them
"""
import argparse
import hashlib
import math
import os
import random
import sys
import threading
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
# pylint: disable=wrong-import-position
from harness import gateway as gw  # noqa: E402
from harness import ports, tls  # noqa: E402
from harness.backend import Backend, answer  # noqa: E402
from harness.browser import Browser  # noqa: E402
from harness.client import Client  # noqa: E402
from harness.manifests import (app, backend_ref, extension, filter_object, gateway, gateway_class, listener,  # noqa: E402
                               path_match, route, rule, secret, service)

VIEWS = ("overview", "routes", "gateways", "backends", "certificates", "plugins", "explain")
ALL = {"namespaces": {"from": "All"}}


def serving(name, milliseconds, failing=0.0):
    """A backend that takes its time, and fails now and then."""
    def handler(_request):
        time.sleep(milliseconds / 1000 * random.lognormvariate(0, 0.5))
        return answer(503 if random.random() < failing else 200, b"x" * 300)
    return Backend(name, handler=handler)


def objects(backends):
    """A small shop on three namespaces; one route is broken."""
    parents = [{"name": "edge", "namespace": "infra"}]

    def made(name, namespace, host, rules):
        return route(name, rules, [host], namespace, parents)
    keys = {"keys": [{"name": "alice", "sha256": hashlib.sha256(b"key").hexdigest()}], "nameHeader": "x-staff"}
    out = [gateway_class(),
           gateway([listener("http", 80, routes=ALL),
                    listener("https", 443, "HTTPS", "*.example.com", ["example-com"], ALL)], "edge", "infra"),
           secret("example-com", *tls.self_signed("*.example.com", days=75), namespace="infra"),
           filter_object("staff", "api_key", keys, "shop")]
    for name, namespace in (("web", "shop"), ("web-next", "shop"), ("api", "shop"), ("admin", "shop"), ("site", "blog"), ("login", "accounts")):
        out += app(name, backends[name], *([backends["web-2"]] if name == "web" else []), namespace=namespace)
    out.append(service("media", "blog"))
    header = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-api-version", "value": "2"}]}}
    beta = {**path_match("/"), "headers": [{"name": "x-beta", "value": "yes"}]}
    out += [
        made("storefront", "shop", "shop.example.com", [
            rule([backend_ref("web-next")], [beta], name="beta"),
            rule([backend_ref("api")], [path_match("/api/v2")], [header], name="api"),
            rule([backend_ref("web", weight=9), backend_ref("web-next", weight=1)], name="split")]),
        made("staff", "shop", "staff.example.com", [rule([backend_ref("admin")], [path_match("/")], [extension("staff")])]),
        made("login", "accounts", "login.example.com", [
            rule([backend_ref("login")], [{**path_match("/session", "Exact"), "method": "POST"}, path_match("/")])]),
        made("site", "blog", "blog.example.com", [rule([backend_ref("site")], [path_match("/")])]),
        made("preview", "blog", "preview.example.com", [rule([backend_ref("site-preview")], [path_match("/")])]),
    ]
    return out


ASKED = (("shop.example.com", "/", (), 42), ("shop.example.com", "/api/v2/items", (), 30), ("shop.example.com", "/", (("x-beta", "yes"),), 4),
         ("staff.example.com", "/", (("x-api-key", "key"),), 3), ("login.example.com", "/session", (), 9), ("blog.example.com", "/2026/11", (), 14))


def traffic(port, stop, phase):
    """Requests in waves, as people make them."""
    began = time.monotonic()
    with Client(port) as client:
        while not stop.is_set():
            host, path, fields, _ = random.choices(ASKED, [weight for *_, weight in ASKED])[0]
            client.request("GET", path, host=host, fields=fields)
            client.response()
            wave = 1 + 0.45 * math.sin((time.monotonic() - began) / 9 + phase)
            stop.wait(0.02 / wave * random.uniform(0.5, 1.5))


def shoot(loopback, folder, seconds, chosen):
    """Takes the pictures."""
    shots = [("page.png", "overview", False)]
    if chosen.all:
        shots = [(f"{view}{'-dark' if dark else ''}.png", view, dark) for dark in (False, True) for view in VIEWS]
    browsers = {}
    for _, _, dark in shots:
        if dark not in browsers:
            browsers[dark] = Browser(1240, 900, dark=dark, scale=1.5)
            browsers[dark].open(f"http://localhost:{loopback}/#overview")
    time.sleep(seconds)
    for name, view, dark in shots:
        browser = browsers[dark]
        turns = browser.value("Number(document.documentElement.dataset.turns)")
        browser.value(f"location.hash = '{view}'")
        if view == "explain":
            browser.value("{const f = document.getElementById('ask'); f.elements.host.value = 'shop.example.com';"
                          "f.elements.path.value = '/api/v2/items'; f.requestSubmit();}")
            browser.wait("!document.getElementById('answer').hidden")
        browser.wait(f"Number(document.documentElement.dataset.turns) > {turns} + 1")
        browser.screenshot(os.path.join(folder, name), whole=True)
        print(os.path.join(folder, name))
    complaints = [text for browser in browsers.values() for text in browser.complaints]
    for browser in browsers.values():
        browser.close()
    if complaints:
        sys.exit("the browser complains: " + "\n".join(complaints))


def main():
    """Starts everything, waits, takes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=50)
    parser.add_argument("--out", default=os.path.join(ROOT, "docs", "images"))
    parser.add_argument("--all", action="store_true")
    chosen = parser.parse_args()
    random.seed(7)
    os.makedirs(chosen.out, exist_ok=True)
    backends = {name: serving(name, slow, failing) for name, slow, failing in (
        ("web", 4, 0), ("web-2", 5, 0), ("web-next", 6, 0.02), ("api", 9, 0.004), ("admin", 3, 0), ("site", 2, 0), ("login", 14, 0))}
    loopback, stop = ports.free_port(), threading.Event()
    try:
        with gw.Gateway(*objects(backends), workers=2, settings={"admin": {"loopback": f"127.0.0.1:{loopback}"}}) as made:
            threads = [threading.Thread(target=traffic, args=(made.port(80), stop, phase / 3)) for phase in range(3)]
            for thread in threads:
                thread.start()
            try:
                shoot(loopback, chosen.out, chosen.seconds, chosen)
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
    finally:
        for backend in backends.values():
            backend.close()


if __name__ == "__main__":
    main()
