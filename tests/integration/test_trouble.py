"""What is in the way, gone, moved or full: nothing is lost, and status says what it is."""

import os
import shutil

from support import git, saved, slotctl
from support.case import Case


class Places(Case):
    """Directories that the ledger does not know."""

    def test_what_never_was_a_slot_is_not_touched(self):
        slotd = self.slotd({"p": {"path": git.make(self.path("r")), "slots": {"ready": 1, "max": 4}}},
                           start=False)
        git.write(slotd.slots_dir, "p/p-1/thesis", "mine\n")
        slotd.start()
        slotd.wait_ready("p", 1)
        self.assertEqual(git.read(slotd.slots_dir, "p/p-1/thesis"), b"mine\n")
        self.assertEqual(slotd.slot("p-1")["state"], "isolated")

    def test_place_taken_while_it_runs_is_passed_over(self):
        slotd = self.one_pool(ready=1, maximum=4)
        git.write(slotd.slots_dir, "p/p-2/thesis", "mine\n")
        slotd.acquire("p")
        slotd.wait_log("p-2 is there already")
        self.assertEqual(git.read(slotd.slots_dir, "p/p-2/thesis"), b"mine\n")
        self.until(lambda: "p-2" not in slotd.slots(), "its record is gone")

    def test_second_slotd_leaves_the_slots_of_the_first_alone(self):
        first = self.one_pool(ready=1)
        lease = first.acquire("p")
        git.write(lease["path"], "precious", "mine\n")
        second = self.slotd({"p": {"path": git.make(self.path("other")), "slots": {"ready": 1}}},
                            settings={"slots_dir": first.slots_dir}, name="second")
        self.until(lambda: second.pool("p")["state"] == "broken", "the pool cannot serve")
        self.assertIn(first.state_dir, second.pool("p")["problem"])
        self.assertEqual(git.read(lease["path"], "precious"), b"mine\n")

    def test_slots_are_found_again_when_the_state_directory_is_lost(self):
        slotd = self.one_pool(ready=2, maximum=4)
        work, clean, hard = (slotd.acquire("p", waitUsec=20000000) for _ in range(3))
        git.write(work["path"], "precious", "mine\n")
        git.spoil(hard["path"])
        slotd.stop()
        shutil.rmtree(slotd.state_dir)
        slotd.start()
        info = slotd.wait_state(work["slot"], "isolated", "ready")
        self.assertEqual(info["state"], "isolated", "its work is kept")
        self.assertEqual(git.read(work["path"], "precious"), b"mine\n")
        self.assertIn("1 untracked file", slotd.slot(work["slot"])["reason"])
        salvage, = saved.of_slot(slotd, work["slot"])
        self.assertEqual((salvage.lease, salvage.read("precious")), (None, b"mine\n"))
        self.until(lambda: self.state(slotd, hard["slot"]) == "isolated", "what cannot be saved is kept")
        self.assertEqual(git.read(hard["path"], "lost"), b"changed since\n")
        self.assertIn("missing", slotd.slot(hard["slot"])["reason"])
        self.until(lambda: self.state(slotd, clean["slot"]) == "ready", "the clean one is ready")
        self.assert_invariants(slotd)

    @staticmethod
    def state(slotd, name):
        return slotd.slots().get(name, {}).get("state")

    def test_ready_slot_that_is_gone_is_not_handed_out(self):
        slotd = self.one_pool(ready=2, maximum=4)
        first, second = sorted(slotd.slots("p"))
        shutil.rmtree(slotd.slot(first)["path"])
        os.unlink(os.path.join(slotd.slot(second)["path"], ".git"))
        lease = slotd.acquire("p", waitUsec=20000000)
        self.assertNotIn(lease["slot"], (first, ))
        self.assertTrue(git.is_clean(lease["path"]))
        self.until(lambda: first not in slotd.slots("p"), "what is gone is forgotten")
        self.assert_invariants(slotd)


class Stores(Case):
    def test_repository_away_for_a_while_isolates_nothing(self):
        slotd = self.one_pool(ready=1, maximum=3)
        leases = [slotd.acquire("p", waitUsec=20000000) for _ in range(2)]
        slotd.wait_ready("p", 1)
        os.rename(self.repository, self.path("away"))
        reply = slotd.release(leases[0]["lease"])
        self.assertEqual(reply["state"], "cleaning")
        self.assertIn(self.repository, reply["reason"])
        self.assertIn(self.repository, slotd.pool("p")["problem"])
        os.rename(self.path("away"), self.repository)
        slotd.wait_ready("p", 2)
        self.assertEqual(slotd.pool("p")["isolated"], 0)
        self.assertIsNone(slotd.pool("p")["problem"])
        self.assertEqual(slotd.release(leases[1]["lease"])["state"], "ready")
        self.assert_invariants(slotd)

    def test_slots_that_cannot_be_made_leave_no_wrecks(self):
        repository = git.make(self.path("r"))
        git.commit(repository, "to be damaged", victim="victim content\n")
        blob = git.text(repository, "rev-parse", "HEAD:victim")
        os.unlink(os.path.join(repository, ".git/objects", blob[:2], blob[2:]))
        slotd = self.one_pool(repository, ready=2, maximum=4, wait_ready=False)
        self.until(lambda: blob in (slotd.pool("p")["problem"] or ""), "status says why")
        error = self.assert_error("Busy", slotd.acquire, "p", waitUsec=1000000)
        self.assertIn(blob, error.message)
        self.until(lambda: slotd.slots("p") == {}, "nothing is left of them")
        self.assertEqual(git.worktrees(repository), [repository])

    def test_health_says_what_is_stuck_with_exit_7(self):
        slotd = self.one_pool(ready=1)
        health = slotd.call("PingHealth")
        self.assertEqual((health["ok"], health["stuck"]), (True, []))
        slotd.stop()
        os.rename(self.repository, self.path("away"))
        slotd.start()
        self.until(lambda: slotd.pool("p")["state"] == "broken", "the pool is broken")
        done = self.assert_exit(7, slotctl.run("--socket", slotd.socket, "--json", "ping", "health"))
        self.assertFalse(done.json()["ok"])
        self.assertEqual([(s["what"], s["pool"]) for s in done.json()["stuck"]], [("pool", "p")])
        self.assertIn(self.repository, done.json()["stuck"][0]["message"])

    def test_broken_pool_stays_broken_when_its_removal_is_refused(self):
        slotd = self.slotd()
        repository = git.make(self.path("r"))
        slotd.call("PoolAdd", pool="q", path=repository, ready=1, max=2)
        lease = slotd.acquire("q", waitUsec=20000000)
        git.spoil(lease["path"])
        self.assertEqual(slotd.release(lease["lease"])["state"], "isolated")
        slotd.stop()
        os.rename(repository, self.path("away"))
        slotd.start()
        self.until(lambda: slotd.pool("q")["state"] == "broken", "the pool is broken")
        self.assert_error("Conflict", slotd.call, "PoolRemove", pool="q")
        self.assertEqual(slotd.pool("q")["state"], "broken")

    def test_ready_slots_follow_their_pool(self):
        slotd = self.one_pool(ready=2, maximum=2)
        tip = git.commit(self.repository, "more", README="more\n")
        self.until(lambda: all(s["head"] == tip and s["state"] == "ready"
                               for s in slotd.slots("p").values()), "both stand at the new commit")
        self.assertEqual(slotd.acquire("p")["head"], tip)

    def test_fetches_come_as_often_as_the_file_says(self):
        origin = git.make(self.path("origin"))
        slotd = self.slotd({"u": {"url": "file://" + origin, "slots": {"ready": 1, "max": 2},
                                  "fetch": {"every": "1s"}}})
        slotd.wait_ready("u", 1)
        tip = git.commit(origin, "more", README="more\n")
        self.until(lambda: slotd.pool("u")["head"] == tip, "the new commit is fetched", 15)


class Reserve(Case):
    def test_below_the_reserve_nothing_is_made_or_fetched_and_it_is_said(self):
        origin = git.make(self.path("origin"))
        slotd = self.slotd({"u": {"url": "file://" + origin, "slots": {"ready": 1, "max": 4}}})
        slotd.wait_ready("u", 1)
        slotd.settings["disk"] = {"reserve": "1000TiB"}
        slotd.write_config()
        slotd.reload()
        slotd.acquire("u")
        self.until(lambda: "disk.reserve" in (slotd.pool("u")["problem"] or ""), "status says why")
        self.assertRegex(slotd.pool("u")["problem"],
                         r"^\d+(\.\d)? [KMGT]?i?B are free at .*disk.reserve is 1000 TiB")
        for method, parameters in (("PoolFetch", {}), ("SlotAdd", {})):
            with self.subTest(method):
                error = self.assert_error("Unavailable", slotd.call, method, pool="u", **parameters)
                self.assertIn("disk.reserve", error.message)
        error = self.assert_error("Busy", slotd.acquire, "u", waitUsec=500000)
        self.assertIn("disk.reserve", error.message)
        slotd.settings["disk"] = {"reserve": 0}
        slotd.write_config()
        slotd.reload()
        slotd.wait_ready("u", 1)
        self.assertIsNone(slotd.pool("u")["problem"])

    def test_below_the_reserve_no_pool_is_cloned_by_hand_and_those_of_the_file_wait(self):
        url = "file://" + git.make(self.path("origin"))
        slotd = self.slotd({"u": {"url": url, "slots": {"ready": 1, "max": 4}}},
                           settings={"disk": {"reserve": "1000TiB"}})
        self.until(lambda: "disk.reserve" in (slotd.pool("u")["problem"] or ""), "status says why")
        self.assertEqual(slotd.pool("u")["state"], "opening")
        self.assertFalse(os.path.exists(os.path.join(slotd.state_dir, "stores", "u.git")))
        error = self.assert_error("Unavailable", slotd.call, "PoolAdd", pool="v", url=url)
        self.assertRegex(error.message, r"B are free at .*disk.reserve is 1000 TiB")
        done = self.assert_exit(3, self.slotctl(slotd, "pool", "add", "v", "--url", url))
        self.assertIn("disk.reserve is 1000 TiB", done.err)
        # what is there already needs no room to be adopted
        slotd.call("PoolAdd", pool="w", path=git.make(self.path("r")))
        self.assertEqual({p["name"] for p in slotd.call("PoolList")["pools"]}, {"u", "w"})
        slotd.settings["disk"] = {"reserve": 0}
        slotd.write_config()
        slotd.reload()
        slotd.wait_ready("u", 1)
        self.assertIsNone(slotd.pool("u")["problem"])
        self.assertEqual(slotd.call("PoolAdd", pool="v", url=url)["pool"]["state"], "active")

    def test_pool_that_waits_for_room_can_be_removed(self):
        slotd = self.slotd({"u": {"url": "file://" + git.make(self.path("origin"))}},
                           settings={"disk": {"reserve": "1000TiB"}})
        self.until(lambda: "disk.reserve" in (slotd.pool("u")["problem"] or ""), "status says why")
        slotd.pools = {}
        slotd.write_config()
        mark = len(slotd.log())
        slotd.reload()
        slotd.wait_log("was read again", after=mark)
        self.assertEqual(slotd.call("PoolRemove", pool="u")["pool"], "u")
        self.assertEqual(slotd.call("PoolList")["pools"], [])
