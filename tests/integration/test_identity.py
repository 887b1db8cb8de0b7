"""Who may do what: identity is what the kernel says about the peer."""

import os
import unittest

from support import elsewhere, git
from support.case import Case, Error

NOBODY = 65534


@unittest.skipUnless(os.getuid() == 0, "needs root, to be somebody else for a moment")
class SecondUid(Case):
    def open_pool(self, **access):
        slotd = self.one_pool(access=access) if access else self.one_pool()
        self.let_in(slotd)
        return slotd

    @staticmethod
    def let_in(slotd):
        """The socket is for the owner's group; a test lets everybody reach it."""
        os.chmod(slotd.socket, 0o666)

    def nobody(self, slotd, method, **parameters):
        return elsewhere.call(slotd.socket, method, uid=NOBODY, **parameters)

    def test_a_reset_takes_only_slots_of_pools_that_one_operates(self):
        pools = {name: {"path": git.make(self.path(name)), "slots": {"ready": 1, "max": 2}, "access": access}
                 for name, access in (("a", {"operators": ["nobody"]}), ("b", {"operators": ["daemon"]}))}
        slotd = self.slotd(pools)
        self.let_in(slotd)
        for name in pools:
            slotd.wait_ready(name)
        held = slotd.acquire("b")["lease"]
        self.assertEqual({s["slot"] for s in self.nobody(slotd, "PingReset")["slots"]}, {"a-1"})
        self.assertIn(held, slotd.leases())
        slotd.pools["a"]["access"] = {}
        slotd.write_config()
        self.until(lambda: self.refused(slotd, "PingReset"), "who operates no pool may not", 20)
        self.assertTrue(self.refused(slotd, "PingCleanup", all=True))
        self.assertTrue(self.refused(slotd, "Stats"))
        self.assertEqual(self.nobody(slotd, "PingCleanup")["cleared"], [])

    def refused(self, slotd, method, **parameters):
        try:
            self.nobody(slotd, method, **parameters)
        except Error as error:
            return error.name == "NotPermitted"
        return False

    def test_socket_is_for_owner_and_group_only(self):
        slotd = self.one_pool()
        self.assertEqual(os.stat(slotd.socket).st_mode & 0o777, 0o660)
        with self.assertRaisesRegex(AssertionError, "PermissionError"):
            self.nobody(slotd, "Ping")

    def test_acquire_is_refused_in_a_sentence_with_the_two_ways_out(self):
        for access in ({}, {"users": ["nobody"]}, {"operators": ["nobody"]}):
            slotd = self.slotd({"p": {"path": self.repository_once(), "access": access}},
                               name="slotd-%d" % len(self.daemons))
            self.let_in(slotd)
            error = self.assert_error("NotPermitted", self.nobody, slotd, "Acquire", pool="p")
            self.assertIn("--user", error.message)
            self.assertIn("uid 0", error.message)
            slotd.stop()

    def repository_once(self):
        return git.make(self.path("r%d" % len(self.daemons)))

    def test_stranger_may_neither_observe_nor_operate(self):
        slotd = self.open_pool()
        lease = slotd.acquire("p")
        for method, parameters in (("Release", {"lease": lease["lease"]}),
                                   ("Renew", {"lease": lease["lease"]}),
                                   ("Touch", {"lease": lease["lease"]}),
                                   ("Finish", {"lease": lease["lease"]}),
                                   ("PoolPause", {"pool": "p"}), ("PoolDrain", {"pool": "p"}),
                                   ("PoolResize", {"pool": "p", "ready": 0}),
                                   ("PoolRemove", {"pool": "p"}), ("PoolFetch", {"pool": "p"}),
                                   ("PoolAdd", {"pool": "q", "path": "/"}),
                                   ("SlotAdd", {"pool": "p"}), ("SlotRemove", {"slot": lease["slot"]}),
                                   ("PoolShow", {"pool": "p"})):
            with self.subTest(method=method):
                self.assert_error("NotPermitted", self.nobody, slotd, method, **parameters)
        self.assertIn(lease["lease"], slotd.leases())
        self.assertFalse(slotd.pool("p")["paused"])

    def test_user_of_the_pool_observes_without_seeing_lease_ids(self):
        slotd = self.open_pool(users=["nobody"])
        lease = slotd.acquire("p")
        seen = self.nobody(slotd, "Slots")["slots"]
        self.assertIn(lease["slot"], [s["slot"] for s in seen])
        self.assertNotIn(lease["lease"], str(seen))
        self.assertNotIn(lease["lease"], str(self.nobody(slotd, "Leases")))
        self.assertNotIn(lease["lease"], str(self.nobody(slotd, "Events")))
        self.assert_error("NotPermitted", self.nobody, slotd, "PoolPause", pool="p")

    def test_operator_of_the_pool_operates_and_sees_lease_ids(self):
        slotd = self.open_pool(operators=["nobody"])
        lease = slotd.acquire("p")
        self.assertIn(lease["lease"], str(self.nobody(slotd, "Leases")))
        self.nobody(slotd, "PoolPause", pool="p")
        self.assertTrue(slotd.pool("p")["paused"])
        done = self.nobody(slotd, "Release", lease=lease["slot"], force=True)
        self.assertEqual(done["lease"], lease["lease"])

    def test_stranger_sees_no_pool(self):
        slotd = self.open_pool()
        self.assertEqual(self.nobody(slotd, "Status")["pools"], [])
        self.assertEqual(self.nobody(slotd, "PoolList")["pools"], [])
        self.assertEqual(self.nobody(slotd, "Slots")["slots"], [])

    def test_ping_is_for_everybody(self):
        slotd = self.open_pool()
        self.assertTrue(self.nobody(slotd, "Ping")["version"])
