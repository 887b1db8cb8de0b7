"""How old what an acquire is given may be, and what becomes of it when the origin does not answer."""

import fcntl
import os
import struct
import threading
import time

from support import git, servers
from support.case import Case

SECOND = 1000000


class Gate(servers.GitHandler):
    """A server that counts who asks for its refs, and answers when the test lets it."""

    def do_GET(self):
        self.server.asked += 1
        self.server.gate.wait(120)
        try:
            super().do_GET()
        except (BrokenPipeError, ConnectionResetError):
            pass  # who asked has given up


class Fresh(Case):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("served"))
        self.origin = git.make(self.path("served/origin"))
        self.http = servers.Http(self.path("served"), handler=Gate)
        self.server = self.http.server
        self.server.asked, self.server.gate = 0, threading.Event()
        self.server.gate.set()
        self.addCleanup(self.http.close)
        self.addCleanup(self.server.gate.set)

    def pool(self, ready=2, maximum=4, max_age="1s", timeout="30s", every="0s", **keys):
        """A slotd with a pool "p" that is cloned and at rest; the server has counted none of that."""
        slotd = self.slotd({"p": {
            "url": self.http.url("origin/.git"), "slots": {"ready": ready, "max": maximum},
            "fetch": {"every": every, "max_age": max_age, "timeout": timeout}, **keys}})
        slotd.wait_ready("p", ready)
        slotd.wait_quiet()
        self.server.asked = 0
        return slotd

    def grow_old(self, slotd, seconds=1.0):
        """Until the last fetch is so long ago."""
        def is_old():
            return time.time() - slotd.call("PoolShow", pool="p")["pool"]["fetchedAtUsec"] / SECOND > seconds
        self.until(is_old, "the last fetch is %s s ago" % seconds)

    def ask(self, slotd, count=1, **parameters):
        """So many acquires that wait for a fetch; their connections."""
        clients = []
        for _ in range(count):
            clients.append(slotd.client())
            self.addCleanup(clients[-1].close)
            clients[-1].send("Acquire", {"pool": "p", "waitUsec": 60 * SECOND, **parameters})
        self.until(lambda: len(self.waiting_for_fetch(slotd)) >= count, "%d wait for a fetch" % count)
        return clients

    def waiting_for_fetch(self, slotd):
        return [w for w in slotd.call("Queue", pool="p")["queue"] if "fetch.max_age" in w["reason"]]

    def failures(self, slotd):
        return [e for e in slotd.events() if e["kind"] == "fetch_failed"]

    # --- the origin answers

    def test_acquire_of_a_stale_pool_gets_what_the_origin_has_now(self):
        slotd = self.pool(max_age="2s")
        old = git.head(self.origin)
        self.grow_old(slotd, 2)
        new = git.commit(self.origin, "new", README="new\n")
        lease = slotd.acquire("p")
        self.assertEqual((lease["head"], git.head(lease["path"])), (new, new))
        self.assertEqual(lease["base"]["behind"], 0)
        self.assertLess(lease["base"]["ageUsec"], 2 * SECOND)
        self.assertNotEqual(old, new)
        self.assertEqual(self.server.asked, 1)

    def test_acquire_of_a_fresh_pool_asks_nobody(self):
        slotd = self.pool(max_age="1h")
        old = git.head(self.origin)
        git.commit(self.origin, "new", README="new\n")
        self.server.gate.clear()
        lease = slotd.acquire("p")
        self.assertEqual(lease["head"], old)
        self.assertEqual(lease["base"]["behind"], 0, "of the pool's ref, as far as it is known")
        self.assertGreater(lease["base"]["ageUsec"], 0)
        self.assertEqual(self.server.asked, 0)

    def test_all_who_wait_wait_for_one_fetch(self):
        slotd = self.pool(ready=4, maximum=8)
        self.grow_old(slotd)
        new = git.commit(self.origin, "new", README="new\n")
        self.server.gate.clear()
        clients = self.ask(slotd, 6)
        self.assertEqual(slotd.leases(), {})
        self.server.gate.set()
        self.assertEqual({c.result()["head"] for c in clients}, {new})
        self.assertEqual(self.server.asked, 1)
        self.assert_invariants(slotd)

    def test_fetch_that_is_under_way_is_shared(self):
        slotd = self.pool()
        self.grow_old(slotd)
        self.server.gate.clear()
        with slotd.client() as operator:
            operator.send("PoolFetch", {"pool": "p"})
            self.until(lambda: self.server.asked == 1, "the fetch is under way")
            client, = self.ask(slotd)
            self.server.gate.set()
            self.assertTrue(client.result()["lease"])
            self.assertTrue(operator.result())
        self.assertEqual(self.server.asked, 1)

    def test_who_stood_in_line_for_long_gets_what_is_fresh_then(self):
        slotd = self.pool(ready=1, maximum=1)
        first = slotd.acquire("p")
        with slotd.client() as waiting:
            waiting.send("Acquire", {"pool": "p", "waitUsec": 60 * SECOND})
            self.until(lambda: slotd.call("Queue", pool="p")["queue"], "it waits")
            self.grow_old(slotd)
            new = git.commit(self.origin, "new", README="new\n")
            slotd.release(first["lease"])
            self.assertEqual(waiting.result()["head"], new)

    def test_branch_and_other_ref_say_how_far_they_are_behind_the_pools_ref(self):
        slotd = self.pool(max_age="1h")
        same = slotd.acquire("p", branch="made-now")
        self.assertEqual((same["base"]["ref"], same["base"]["behind"]), ("refs/remotes/origin/main", 0))
        slotd.release(same["lease"], discard=True)
        for n in range(3):
            tip = git.commit(self.origin, "more %d" % n, README="%d\n" % n)
        slotd.call("PoolFetch", pool="p")
        stands = slotd.acquire("p", branch="made-now")
        self.assertEqual((stands["head"], stands["base"]["behind"]), (same["head"], 3))
        tagged = slotd.acquire("p", ref="one")
        self.assertEqual(tagged["base"]["behind"], 4)
        self.assertEqual(tagged["base"]["ref"], "refs/remotes/origin/main")
        ahead = slotd.acquire("p")
        self.assertEqual((ahead["head"], ahead["base"]["behind"]), (tip, 0))

    def test_same_key_gets_the_same_base(self):
        slotd = self.pool(max_age="1h")
        lease = slotd.acquire("p", ref="one", key="k")
        self.assertEqual(lease["base"]["behind"], 1)
        self.assertEqual(slotd.acquire("p", ref="one", key="k")["base"]["behind"], 1)
        slotd.restart()
        # what was counted is not kept, and nothing is made up for it
        self.assertIsNone(slotd.acquire("p", ref="one", key="k")["base"]["behind"])

    # --- it does not

    def test_origin_that_is_gone_delays_one_acquire_and_the_age_grows(self):
        slotd = self.pool(ready=3, max_age="8s")
        head = git.head(self.origin)
        os.rename(self.path("served"), self.path("gone"))
        self.grow_old(slotd, 8)
        first = slotd.acquire("p")
        self.assertEqual((first["head"], first["base"]["behind"]), (head, 0))
        self.assertGreater(first["base"]["ageUsec"], 8 * SECOND)
        asked = self.server.asked
        self.assertEqual(len(self.failures(slotd)), 1)
        second = slotd.acquire("p")
        self.assertGreater(second["base"]["ageUsec"], first["base"]["ageUsec"])
        self.assertEqual((self.server.asked, len(self.failures(slotd))), (asked, 1))
        self.assertEqual(self.waiting_for_fetch(slotd), [])

    def test_pause_ends_and_the_first_success_ends_it_for_good(self):
        slotd = self.pool(ready=3, max_age="1s")
        os.rename(self.path("served"), self.path("gone"))
        self.grow_old(slotd)
        slotd.acquire("p")
        self.assertEqual(len(self.failures(slotd)), 1)
        os.rename(self.path("gone"), self.path("served"))
        new = git.commit(self.origin, "new", README="new\n")

        def again():
            lease = slotd.acquire("p")
            if lease["head"] == new:
                return lease
            slotd.release(lease["lease"])
            return None
        self.assertLess(self.until(again, "it is fetched again")["base"]["ageUsec"], 30 * SECOND)
        self.assertEqual(len(self.failures(slotd)), 1)

    def test_origin_that_stands_still_costs_the_time_out_once(self):
        slotd = self.pool(ready=3, max_age="1s", timeout="3s")
        self.grow_old(slotd)
        self.server.gate.clear()
        began = time.monotonic()
        lease = slotd.acquire("p")
        self.assertGreaterEqual(time.monotonic() - began, 2.9)
        self.assertGreater(lease["base"]["ageUsec"], SECOND)
        began = time.monotonic()
        slotd.acquire("p")
        self.assertLess(time.monotonic() - began, 2)

    def test_nobody_waits_longer_than_he_said(self):
        slotd = self.pool(ready=3)
        self.grow_old(slotd)
        self.server.gate.clear()
        began = time.monotonic()
        self.assertTrue(slotd.acquire("p", waitUsec=0)["lease"], "who does not wait is given what is there")
        self.assertLess(time.monotonic() - began, 5)
        self.until(lambda: self.server.asked == 1, "the origin is asked all the same")
        began = time.monotonic()
        self.assertTrue(slotd.acquire("p", waitUsec=SECOND)["lease"])
        self.assertGreaterEqual(time.monotonic() - began, 0.95)
        self.assertLess(time.monotonic() - began, 20)
        # which says nothing about the origin: the next one waits for it
        client, = self.ask(slotd)
        self.server.gate.set()
        self.assertLess(client.result()["base"]["ageUsec"], 20 * SECOND)
        self.assertEqual(self.server.asked, 1)

    # --- what comes between

    def test_reload_that_takes_max_age_away_lets_them_go(self):
        slotd = self.pool()
        self.grow_old(slotd)
        self.server.gate.clear()
        client, = self.ask(slotd)
        slotd.pools["p"]["fetch"]["max_age"] = "0s"
        slotd.write_config()
        self.assertTrue(client.result()["lease"])
        self.assertFalse(self.server.gate.is_set())

    def test_reload_that_makes_it_shorter_holds_who_waits(self):
        slotd = self.pool(ready=1, maximum=1, max_age="1h")
        first = slotd.acquire("p")
        with slotd.client() as waiting:
            waiting.send("Acquire", {"pool": "p", "waitUsec": 60 * SECOND})
            self.until(lambda: slotd.call("Queue", pool="p")["queue"], "it waits")
            self.grow_old(slotd)
            new = git.commit(self.origin, "new", README="new\n")
            slotd.pools["p"]["fetch"]["max_age"] = "1s"
            slotd.write_config()
            self.until(lambda: self.server.asked, "the origin is asked")
            slotd.release(first["lease"])
            self.assertEqual(waiting.result()["head"], new)

    def test_asker_that_goes_leaves_nothing(self):
        slotd = self.pool()
        self.grow_old(slotd)
        self.server.gate.clear()
        client, = self.ask(slotd)
        client.close()
        self.until(lambda: not slotd.call("Queue", pool="p")["queue"], "nobody waits")
        self.server.gate.set()
        self.until(lambda: not self.pending(slotd), "the fetch has come to its end")
        self.assertEqual(slotd.leases(), {})
        self.assertTrue(slotd.acquire("p")["lease"])

    def pending(self, slotd):
        return time.time() - slotd.call("PoolShow", pool="p")["pool"]["fetchedAtUsec"] / SECOND > 1

    def test_pool_that_is_removed_refuses_who_waits_for_its_fetch(self):
        slotd = self.slotd(settings={"defaults": {"fetch": {"every": "0s", "max_age": "1s"}}})
        slotd.call("PoolAdd", pool="p", url=self.http.url("origin/.git"), ready=1, max=2)
        slotd.wait_ready("p")
        self.grow_old(slotd)
        self.server.gate.clear()
        client, = self.ask(slotd)
        with slotd.client() as remover:
            remover.send("PoolRemove", {"pool": "p"})
            self.assert_error("Unavailable", client.result)
            self.server.gate.set()
            self.assertTrue(remover.result()["store"])

    def test_restart_keeps_the_age(self):
        slotd = self.pool(max_age="1h")
        self.grow_old(slotd, 2)
        slotd.restart()
        slotd.wait_ready("p")
        self.assertGreater(slotd.acquire("p")["base"]["ageUsec"], 2 * SECOND)

    # --- repositories of operators

    def adopted(self, fetch):
        self.repository = git.run(self.dir, "clone", "-q", self.origin, "clone") and self.path("clone")
        slotd = self.slotd({"p": {"path": self.repository, "slots": {"ready": 1, "max": 2},
                                  **({"fetch": fetch} if fetch else {})}})
        slotd.wait_ready("p")
        return slotd

    def test_adopted_repository_is_not_fetched_unless_its_pool_says_so(self):
        slotd = self.adopted(None)
        before = git.text(self.repository, "for-each-ref")
        git.commit(self.origin, "new", README="new\n")
        lease = slotd.acquire("p")
        self.assertIsNone(lease["base"]["ageUsec"])
        self.assertEqual(lease["base"]["behind"], 0)
        slotd.call("PoolFetch", pool="p")
        self.assertEqual([line for line in git.lines(self.repository, "for-each-ref") if "slotd" not in line],
                         [line for line in before.split("\n") if "slotd" not in line])

    def test_in_adopted_repository_only_the_remotes_refs_move(self):
        slotd = self.adopted({"max_age": "1s"})
        local = git.head(self.repository, "refs/heads/main")
        new = git.commit(self.origin, "new", README="new\n")
        lease = slotd.acquire("p")
        self.assertEqual(git.head(self.repository, "refs/remotes/origin/main"), new)
        self.assertEqual((git.head(self.repository, "refs/heads/main"), lease["head"]), (local, local))
        self.assertLess(lease["base"]["ageUsec"], 60 * SECOND)

    def test_adopted_repository_is_fetched_now_and_then_when_its_pool_says_so(self):
        slotd = self.adopted({"every": "1s"})
        new = git.commit(self.origin, "new", README="new\n")
        self.until(lambda: git.head(self.repository, "refs/remotes/origin/main") == new, "it is fetched")
        self.assertTrue(slotd.is_running())

    # --- what happens while nobody asks

    def test_ready_slots_follow_and_no_acquire_waits_for_that(self):
        slotd = self.pool(ready=2, maximum=2, max_age="1h")
        new = git.commit(self.origin, "new", README="new\n")
        # one of them cannot be moved: its lock is held
        with open(os.path.join(slotd.state_dir, "locks", "p-1"), "ab") as lock:
            fcntl.fcntl(lock, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))  # F_OFD_SETLK
            slotd.call("PoolFetch", pool="p")
            slotd.wait_state("p-1", "recovering")
            lease = slotd.acquire("p", waitUsec=20 * SECOND)
            self.assertEqual((lease["slot"], lease["head"]), ("p-2", new))
            self.assertEqual(slotd.slot("p-1")["state"], "recovering")
            slotd.release(lease["lease"])
        self.until(lambda: {s["head"] for s in slotd.slots("p").values() if s["state"] == "ready"} == {new} and
                   slotd.pool("p")["ready"] == 2, "all ready slots stand where the pool does")
