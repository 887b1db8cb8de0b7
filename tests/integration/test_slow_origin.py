"""fetch.timeout is for an origin that stands still, not for one that is slow."""

import os
import random
import time

from support import git, servers
from support.case import Case
from support.trickle import Trickle

TIMEOUT = 2
RATE = 64 * 1024


class SlowOrigin(Case):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("served"))
        self.origin = git.init(self.path("served/origin"))
        self.fill("first")
        self.server = servers.Http(self.path("served"))
        self.addCleanup(self.server.close)

    def fill(self, directory):
        """A commit that takes three times as long to come as fetch.timeout allows to stand still."""
        noise = random.Random(directory)
        size = 3 * TIMEOUT * RATE // 100
        return git.commit(self.origin, directory, **{
            "%s__%d" % (directory, n): noise.randbytes(size) for n in range(100)})

    def behind(self, **kwargs):
        """A slotd whose pool "p" comes through a thin line; (slotd, the line)."""
        line = Trickle(self.server.server.server_port, RATE, **kwargs)
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
