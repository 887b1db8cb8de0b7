"""fetch.timeout is for an origin that stands still, not for one that is slow."""

import os
import random
import time

from support import git, servers
from support.case import Case
from support.trickle import Trickle

TIMEOUT = 2
RATE = 64 * 1024
SLOWEST = 2 * 1024


class SlowOrigin(Case):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("served"))
        self.origin = git.init(self.path("served/origin"))
        self.server = servers.Http(self.path("served"))
        self.addCleanup(self.server.close)

    def fill(self, directory, rate=RATE):
        """A commit that takes three times as long to come as fetch.timeout allows to stand still."""
        noise = random.Random(directory)
        size = 3 * TIMEOUT * rate // 100
        return git.commit(self.origin, directory, **{
            "%s__%d" % (directory, n): noise.randbytes(size) for n in range(100)})

    def behind(self, rate=RATE, **kwargs):
        """A slotd whose pool "p" comes through a thin line; (slotd, the line)."""
        self.fill("first", rate)
        line = Trickle(self.server.server.server_port, rate, **kwargs)
        self.addCleanup(line.close)
        pool = {"url": "http://127.0.0.1:%d/origin/.git" % line.port, "slots": {"ready": 1, "max": 1},
                "fetch": {"timeout": "%ds" % TIMEOUT, "every": "0s"}}
        return self.slotd({"p": pool}), line

    def test_slow_clone_and_fetch_come_to_their_end(self):
        slotd, _ = self.behind()
        began = time.monotonic()
        slotd.wait_ready("p")
        self.assertGreater(time.monotonic() - began, 2 * TIMEOUT, "the line was not slow")
        self.assertEqual(slotd.pool("p")["head"], git.head(self.origin))
        tip = self.fill("second")
        began = time.monotonic()
        self.assertEqual(slotd.call("PoolFetch", pool="p")["pool"]["head"], tip)
        self.assertGreater(time.monotonic() - began, 2 * TIMEOUT, "the line was not slow")
        self.assertNotIn("not finished in time", slotd.log())

    def test_clone_that_stands_still_in_the_middle_is_given_up(self):
        slotd, line = self.behind(stop_after=3 * TIMEOUT * RATE // 2)
        began = time.monotonic()
        slotd.wait_log("not finished in time, its worker is killed: StoreOpen", 60)
        self.assertGreater(line.sent, TIMEOUT * RATE)
        # it came for one and a half times as long, and then it took fetch.timeout to see that nothing comes
        self.assertGreater(time.monotonic() - began, 2 * TIMEOUT)
        self.assertTrue(self.until(lambda: slotd.pool("p")["problem"], "the pool has a problem", 90))

    def test_line_that_brings_less_than_a_packet_within_the_time_is_not_dead(self):
        # git sends up to 64 KiB as one packet, and all refs before the first
        head = git.commit(self.origin, "zeroth", README="hello\n")
        for n in range(100):
            git.write(self.origin, ".git/refs/tags/a-long-name-for-a-tag-%03d" % n, head + "\n")
        slotd, _ = self.behind(SLOWEST)
        began = time.monotonic()
        slotd.wait_ready("p")
        self.assertGreater(time.monotonic() - began, 4 * TIMEOUT, "the line was not slow")
        self.assertNotIn("not finished in time", slotd.log())

    def test_thinnest_line_that_stands_still_is_given_up_as_soon(self):
        slotd, line = self.behind(SLOWEST, stop_after=2 * TIMEOUT * SLOWEST)
        slotd.wait_log("not finished in time, its worker is killed: StoreOpen", 60)
        self.assertGreaterEqual(line.sent, 2 * TIMEOUT * SLOWEST)
        self.assertLess(time.monotonic() - line.last, 3 * TIMEOUT)
