#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""agent/push/push.c against a real HTTP server that is away, slow, hostile, or comes back.

  push_test.py path/to/push_driver
"""

import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
DRIVER = sys.argv.pop(1) if len(sys.argv) > 1 else "build/tests/live/push_driver"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Receiver:
    def __init__(self, test, script, port=0):
        self.dir = tempfile.mkdtemp(dir=test.tmp)
        self.out, self.requests_file = os.path.join(self.dir, "o"), os.path.join(self.dir, "r")
        self.proc = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "push_receiver.py"), "--port", str(port),
             "--out", self.out, "--requests", self.requests_file, "--script", script],
            stdout=subprocess.PIPE, text=True)
        test.addCleanup(self.stop)
        self.port = json.loads(self.proc.stdout.readline())["port"]
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self):
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait()
        self.proc.stdout.close()

    @staticmethod
    def lines(path):
        if not os.path.exists(path):
            return []
        with open(path) as f:
            return [json.loads(line) for line in f]

    def profiles(self):
        return self.lines(self.out)

    def requests(self):
        return self.lines(self.requests_file)


class PushTest(unittest.TestCase):
    def setUp(self):
        tmp = tempfile.TemporaryDirectory()
        self.addCleanup(tmp.cleanup)
        self.tmp = tmp.name

    def drive(self, *args, env=None):
        """The counters of each endpoint; the log is in self.log."""
        p = subprocess.run([DRIVER, *map(str, args)], capture_output=True, text=True, timeout=60,
                           env={**os.environ, **(env or {})})
        self.log = p.stderr
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertNotIn("Sanitizer", p.stderr)
        return [json.loads(line) for line in p.stdout.splitlines()]

    def assert_valid(self, receiver, n):
        got = receiver.profiles()
        self.assertEqual([p["error"] for p in got if "error" in p], [])
        self.assertEqual(len(got), n)
        return got

    def test_profiles_arrive_as_the_server_wants_them(self):
        r = Receiver(self, "ok")
        s, = self.drive("--count", 20, r.url + "/prefix/")
        got = self.assert_valid(r, 20)
        self.assertEqual((s["sent"], s["retries"], s["queued"]), (20, 0, 0))
        self.assertEqual(sorted(p["total"] for p in got), [10000000 + i for i in range(20)])
        self.assertEqual(got[0]["top"][0]["name"], "main")
        self.assertEqual(set(got[0]["labels"]), {"__name__", "env", "n", "service_name"})
        self.assertEqual(got[0]["labels"]["env"], "external")
        request = r.requests()[0]
        self.assertEqual(request["path"], "/prefix/push.v1.PusherService/Push")
        self.assertEqual(request["headers"]["x-scope-orgid"], "t1")
        self.assertEqual(request["headers"]["x-empty"], "")
        self.assertEqual(request["headers"]["connect-timeout-ms"], "1000")
        self.assertNotIn("expect", request["headers"])

    def test_every_kind_of_failure_is_retried_until_it_works(self):
        r = Receiver(self, "500,503,429,400:plain,413:plain,close,empty,cut,garbage,html,ok")
        s, = self.drive("--count", 1, "--max-retries", 20, r.url)
        self.assert_valid(r, 1)
        self.assertEqual((s["sent"], len(r.requests())), (1, 11))
        # libcurl repeats a request by itself when a kept connection turns out to be dead.
        self.assertIn(s["retries"], (9, 10))
        self.assertRegex(self.log, "works again after (9|10) failed attempts")
        self.assertRegex(self.log, r"internal: scripted 500; retrying in \d+ms, 1 profile queued")

    def test_a_hanging_and_a_trickling_server_cost_one_timeout_each(self):
        r = Receiver(self, "hang,trickle,ok")
        start = time.monotonic()
        s, = self.drive("--timeout-ms", 300, r.url)
        took = time.monotonic() - start
        self.assert_valid(r, 1)
        self.assertEqual((s["sent"], s["retries"]), (1, 2))
        self.assertGreater(took, 0.6)
        self.assertLess(took, 5)

    def test_an_endless_reply_costs_no_memory(self):
        r = Receiver(self, "flood,ok")
        s, = self.drive("--timeout-ms", 5000, r.url)
        self.assertEqual((s["sent"], s["retries"]), (1, 1))
        self.assertLess(s["max_rss_kib"], 30000)

    def test_what_the_server_refuses_is_dropped_at_once(self):
        r = Receiver(self, "400,401,403,404,ok")
        s, = self.drive("--count", 5, r.url)
        self.assertEqual((s["sent"], s["dropped"]["refused"], s["retries"]), (1, 4, 0))
        self.assertIn("the server refused a profile: 4", self.log)

    def test_429_follows_the_option(self):
        r = Receiver(self, "429,ok")
        s, = self.drive("--no-429", "--count", 1, r.url)
        self.assertEqual((s["sent"], s["dropped"]["refused"]), (0, 1))

    def test_retry_after_is_honoured(self):
        r = Receiver(self, "429:1,ok")
        s, = self.drive("--count", 1, r.url)
        self.assertEqual(s["sent"], 1)
        first, second = r.requests()
        self.assertGreaterEqual(second["at"] - first["at"], 0.99)

    def test_retries_end(self):
        r = Receiver(self, "500")
        s, = self.drive("--max-retries", 3, "--max-backoff-ms", 60, r.url)
        self.assertEqual((s["sent"], s["retries"], s["dropped"]["retries"]), (0, 3, 1))
        self.assertEqual(len(r.requests()), 4)
        self.assertIn("giving up on a profile after 3 retries", self.log)

    def test_backoff_grows_with_jitter(self):
        r = Receiver(self, "500,500,500,500,ok")
        self.drive("--min-backoff-ms", 50, "--max-backoff-ms", 10000, r.url)
        at = [q["at"] for q in r.requests()]
        for i, (a, b) in enumerate(zip(at, at[1:])):
            self.assertGreaterEqual(b - a, 0.05 * 2 ** i - 0.005)
            self.assertLess(b - a, 0.05 * 2 ** (i + 1) + 0.5)

    def test_one_bad_profile_does_not_hold_up_the_others(self):
        # The first request and each of its retries fail; what is behind it must arrive meanwhile.
        r = Receiver(self, "500,ok")
        s, = self.drive("--count", 6, r.url)
        self.assert_valid(r, 6)
        self.assertEqual((s["sent"], s["retries"]), (6, 1))

    def test_a_server_that_comes_back_gets_what_was_kept(self):
        port = free_port()
        p = subprocess.Popen([DRIVER, "--count", "10", "--interval-ms", "50", "--max-backoff-ms",
                              "200", "--max-retries", "0", f"http://127.0.0.1:{port}"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(p.kill)
        # The first failure is on its way once it is logged.
        line = p.stderr.readline()
        self.assertRegex(line, "refused|connect")
        r = Receiver(self, "ok", port)
        out, _ = p.communicate(timeout=30)
        s = json.loads(out)
        self.assertEqual((s["sent"], s["queued"]), (10, 0))
        self.assertGreater(s["retries"], 0)
        self.assert_valid(r, 10)

    def test_a_server_that_dies_in_between_loses_nothing(self):
        r = Receiver(self, "ok,ok,ok,hang")
        p = subprocess.Popen([DRIVER, "--count", "12", "--timeout-ms", "5000", "--max-backoff-ms",
                              "200", "--max-retries", "0", r.url],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(p.kill)
        deadline = time.monotonic() + 10
        while len(r.requests()) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        r.stop()
        again = Receiver(self, "ok", r.port)
        out, _ = p.communicate(timeout=30)
        self.assertEqual(json.loads(out)["sent"], 12)
        seen = {q["labels"]["n"] for q in r.profiles() + again.profiles()}
        self.assertEqual(len(seen), 12)

    def test_memory_is_bounded_while_the_server_is_away(self):
        budget = 4 << 20
        s, = self.drive("--count", 400, "--bytes", 100000, "--budget", budget, "--run-ms", 300,
                        f"http://127.0.0.1:{free_port()}")
        self.assertLessEqual(s["queued_bytes"], budget)
        self.assertGreater(s["queued"], 38)
        self.assertEqual(s["queued"] + s["dropped"]["budget"], 400)
        self.assertIn("the queue is full (4 MiB): dropping the oldest profile", self.log)
        self.assertLess(s["max_rss_kib"], 30000)

    def test_the_oldest_goes_first(self):
        port = free_port()
        p = subprocess.Popen([DRIVER, "--count", "30", "--bytes", "100000", "--budget", "1000000",
                              "--interval-ms", "10", "--max-retries", "0", "--min-backoff-ms",
                              "700", "--max-backoff-ms", "700", f"http://127.0.0.1:{port}"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(p.kill)
        for line in p.stderr:
            if "queue is full" in line:
                break
        r = Receiver(self, "ok", port)
        out, _ = p.communicate(timeout=30)
        s = json.loads(out)
        got = {int(q["labels"]["n"]) for q in self.assert_valid(r, s["sent"])}
        self.assertEqual(s["sent"] + s["dropped"]["budget"], 30)
        self.assertGreater(s["dropped"]["budget"], 0)
        self.assertEqual(got, set(range(30 - s["sent"], 30)))

    def test_what_is_larger_than_the_budget_is_dropped_and_said(self):
        s, = self.drive("--bytes", 200000, "--budget", 100000, "http://127.0.0.1:1")
        self.assertEqual((s["dropped"]["too_large"], s["queued"]), (1, 0))

    def test_what_the_server_would_find_too_old_is_not_sent(self):
        r = Receiver(self, "ok")
        s, = self.drive("--count", 3, "--age-s", 4000, r.url)
        self.assertEqual((s["dropped"]["too_old"], s["sent"]), (3, 0))
        self.assertEqual(r.requests(), [])

    def test_what_becomes_too_old_while_it_waits_is_dropped(self):
        s, = self.drive("--window-ms", 200, "--max-retries", 0, f"http://127.0.0.1:{free_port()}")
        self.assertEqual((s["dropped"]["too_old"], s["sent"], s["queued"]), (1, 0, 0))

    def test_a_dead_endpoint_does_not_touch_the_other(self):
        good = Receiver(self, "ok")
        dead, well = self.drive("--count", 10, "--run-ms", 500,
                                f"http://127.0.0.1:{free_port()}", good.url)
        self.assertEqual((dead["sent"], dead["queued"]), (0, 10))
        self.assertEqual((well["sent"], well["queued"]), (10, 0))
        self.assert_valid(good, 10)

    def test_redirects_keep_the_request(self):
        r = Receiver(self, "redirect,redirect302")
        s, = self.drive("--count", 3, r.url)
        self.assertEqual((s["sent"], s["retries"]), (3, 0))
        self.assertEqual({q["step"] for q in self.assert_valid(r, 3)}, {"redirected"})

    def test_credentials_are_sent_and_kept_out_of_the_log(self):
        r = Receiver(self, "500,ok")
        self.drive("--user", "12345", r.url)
        want = "Basic " + base64.b64encode(b"12345:secret").decode()
        self.assertEqual([q["headers"]["authorization"] for q in r.requests()], [want] * 2)
        self.assertNotIn("secret", self.log)
        self.drive(r.url.replace("//", "//someone:hidden@"))
        self.assertNotIn("hidden", self.log)

    def test_a_token_file_is_read_for_each_request(self):
        path = os.path.join(self.tmp, "token")
        r = Receiver(self, "ok")
        p = subprocess.Popen([DRIVER, "--token-file", path, "--max-retries", "0", r.url],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(p.kill)
        self.assertIn(f"cannot read '{path}': No such file", p.stderr.readline())
        with open(path + ".new", "w") as f:
            f.write(" abc\n")
        os.rename(path + ".new", path)
        p.communicate(timeout=20)
        self.assertEqual(r.requests()[0]["headers"]["authorization"], "Bearer abc")

    def test_a_proxy_of_the_environment_is_not_used_unasked(self):
        r = Receiver(self, "ok")
        s, = self.drive(r.url, env={"http_proxy": "http://127.0.0.1:1", "no_proxy": ""})
        self.assertEqual(s["sent"], 1)

    def test_draining_tries_at_once_and_ends_in_time(self):
        r = Receiver(self, "500,ok")
        s, = self.drive("--count", 3, "--run-ms", 100, "--min-backoff-ms", 60000,
                        "--max-backoff-ms", 60000, "--drain-ms", 5000, r.url)
        self.assertEqual((s["sent"], s["queued"]), (3, 0))
        start = time.monotonic()
        s, = self.drive("--run-ms", 0, "--drain-ms", 500, "--max-retries", 0,
                        f"http://127.0.0.1:{free_port()}")
        self.assertLess(time.monotonic() - start, 3)
        self.assertEqual(s["queued"], 1)
        self.assertIn("dropping 1 queued profiles", self.log)

    def test_log_lines_are_limited(self):
        self.drive("--count", 50, "--run-ms", 2500, "--min-backoff-ms", 1, "--max-backoff-ms", 2,
                   "--max-retries", 0, f"http://127.0.0.1:{free_port()}")
        self.assertLess(len(self.log.splitlines()), 8, self.log)


if __name__ == "__main__":
    unittest.main(verbosity=2)
