# SPDX-License-Identifier: Apache-2.0
"""HTTPRoute retry: which answers, how often, how far apart, and what is never repeated."""
import time
import unittest

from harness import gateway as gw
from harness.backend import answer
from harness.case import GatewayCase, patience
from harness.client import Client, ask
from harness.manifests import app, gateway, gateway_class, path_match, route, rule


def retry_rule(path, service="app", **retry):
    """A rule with a retry stanza."""
    return rule([service], [path_match(path)], retry=retry)


class Retry(GatewayCase):
    @classmethod
    def make(cls):
        first = cls.backend("app")
        cls.backend("other")
        timed = retry_rule("/timed", codes=[503], attempts=50, backoff="100ms")
        timed["timeouts"] = {"request": "600ms"}
        return gw.Gateway(
            gateway_class(), gateway(), *app("app", first), *app("two", first, cls.backends["other"]),
            route(rules=[retry_rule("/codes", codes=[503, 500], attempts=2),
                         retry_rule("/off", codes=[503], attempts=0),
                         retry_rule("/default", codes=[503]),
                         retry_rule("/backoff", codes=[503], attempts=2, backoff="200ms"),
                         retry_rule("/two", "two", codes=[503], attempts=3), timed,
                         rule(["app"], [path_match("/plain")])]))

    def fail_first(self, times, status=503):
        """The backend refuses so many requests and takes the next."""
        left = [times]

        def handler(_):
            left[0] -= 1
            return answer(status, "bad") if left[0] >= 0 else answer(200, "good")
        self.app.handler = handler

    def test_named_codes_are_retried_up_to_the_attempts(self):
        for fails, status, count in ((0, 200, 1), (1, 200, 2), (2, 200, 3), (3, 503, 3)):
            with self.subTest(fails=fails):
                self.app.forget()
                self.fail_first(fails)
                self.assertEqual(ask(self.port, "GET", "/codes").status, status)
                self.assertEqual(len(self.app.requests), count)

    def test_other_codes_are_not_retried(self):
        self.fail_first(1, 502)
        self.assertEqual(ask(self.port, "GET", "/codes").status, 502)
        self.assertEqual(len(self.app.requests), 1)

    def test_zero_attempts_switch_it_off(self):
        self.fail_first(1)
        self.assertEqual(ask(self.port, "GET", "/off").status, 503)
        self.assertEqual(len(self.app.requests), 1)

    def test_one_retry_is_the_default(self):
        self.fail_first(5)
        self.assertEqual(ask(self.port, "GET", "/default").status, 503)
        self.assertEqual(len(self.app.requests), 2)

    def test_without_a_stanza_codes_are_not_retried(self):
        self.fail_first(1)
        self.assertEqual(ask(self.port, "GET", "/plain").status, 503)
        self.assertEqual(len(self.app.requests), 1)

    def test_backoff_is_the_least_wait(self):
        self.fail_first(2)
        begin = time.monotonic()
        self.assertEqual(ask(self.port, "GET", "/backoff").status, 200)
        took = time.monotonic() - begin
        self.assertGreaterEqual(took, 0.4)
        self.assertLess(took, 3 * patience())

    def test_a_retry_goes_to_another_endpoint(self):
        self.app.handler = lambda r: answer(503)
        for _ in range(10):
            self.assertEqual(ask(self.port, "GET", "/two").body, b"other")

    def test_a_body_is_sent_again_from_its_beginning(self):
        self.fail_first(2)
        self.assertEqual(ask(self.port, "PUT", "/codes", body=b"abc" * 100).status, 200)
        self.assertEqual([r.body for r in self.app.requests], [b"abc" * 100] * 3)

    def test_a_post_is_retried_by_code_where_the_route_says_so(self):
        self.fail_first(1)
        got = ask(self.port, "POST", "/codes", body=b"abc")
        # The route's owner named the codes: these answers are safe to repeat.
        self.assertEqual((got.status, [r.body for r in self.app.requests]), (200, [b"abc"] * 2))

    def test_a_request_timeout_bounds_all_attempts(self):
        self.app.handler = lambda r: answer(503)
        begin = time.monotonic()
        self.assertIn(ask(self.port, "GET", "/timed").status, (503, 504))
        self.assertLess(time.monotonic() - begin, 1.2 * patience())
        self.assertLess(len(self.app.requests), 10)

    def test_nothing_is_retried_once_the_answer_has_begun(self):
        def script(connection):
            connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            connection.close()
        self.app.script = script
        with Client(self.port) as client:
            client.request("GET", "/codes")
            client.head()
            self.assertEqual(client.reader.rest(), b"half")
        self.assertEqual(len(self.app.requests), 1)

    def test_a_get_whose_connection_breaks_is_repeated(self):
        calls = []

        def script(connection):
            while connection.read_request() is not None:
                calls.append(1)
                if len(calls) == 1:
                    connection.close()
                    return
                connection.send(answer(200, "second"))
        self.app.script = script
        self.assertEqual(ask(self.port, "GET", "/codes").body, b"second")


if __name__ == "__main__":
    unittest.main()
