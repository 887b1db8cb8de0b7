"""A store that slotd cloned is packed anew, and nothing that anybody may want is taken from it."""

import contextlib
import os
import subprocess
import time

from support import git
from support.case import Case

ALL = ("rev-list", "--objects", "--all", "--reflog", "--indexed-objects", "--no-object-names")


class Maintenance(Case):
    def setUp(self):
        super().setUp()
        self.origin = git.make(self.path("origin"))

    def pool(self, every="1s", **keys):
        slotd = self.slotd({"p": {"url": self.origin, "slots": {"ready": 1, "max": 4},
                                  "fetch": {"every": "0s", "max_age": "0s"}, "maintenance": {"every": every},
                                  **keys}})
        slotd.wait_ready("p")
        self.store = os.path.join(slotd.state_dir, "stores", "p.git")
        return slotd

    def told(self, slotd, kind="maintenance_done"):
        return [e for e in slotd.events() if e["kind"] == kind]

    def wait_for_more(self, slotd, count=1):
        """Until so many more of them were told; the last one."""
        before = len(self.told(slotd))
        return self.until(lambda: len(self.told(slotd)) >= before + count and self.told(slotd)[-1],
                          "maintenance is done", 60)

    def stop(self, slotd):
        """No more of it: what it leaves for a moment is not mistaken for what was left behind."""
        slotd.pools["p"]["maintenance"]["every"] = "0s"
        slotd.write_config()
        slotd.wait_log("the configuration was read again")
        self.until(lambda: slotd.call("PingHealth")["activeOperations"] == 0, "no job runs")

    def packs(self):
        return sorted(n for n in os.listdir(os.path.join(self.store, "objects", "pack")) if n.endswith(".pack"))

    def loose(self):
        return [os.path.join(d, n) for d, _, names in os.walk(os.path.join(self.store, "objects"))
                for n in names if len(n) == 38]

    def make_old(self):
        """All that is loose is a month old."""
        for path in self.loose():
            with contextlib.suppress(FileNotFoundError):  # it has just gone
                os.utime(path, (time.time() - 30 * 86400,) * 2)

    def assert_whole(self, *paths):
        for path in (self.store, *paths):
            out = git.run(path, "fsck", "--full", "--no-dangling", check=False)
            self.assertEqual((out.returncode, out.stdout), (0, b""), "%s: %s" % (path, out.stderr))

    def test_loose_objects_are_packed_and_it_is_told_what_was_gained(self):
        slotd = self.pool()
        lease = slotd.acquire("p", branch="work")
        for n in range(30):
            git.commit(lease["path"], "work %d" % n, **{"f%d" % n: "%d\n" % n * 500})
        before = git.lines(lease["path"], *ALL)
        self.until(lambda: not self.loose(), "nothing is loose", 120)
        detail = self.wait_until_told(slotd)["detail"]
        self.assertRegex(detail, r"^\S+ \S+ became \S+ \S+: \d+ packs and \d+ loose objects before, \d+ and \d+ after; "
                         r"0 thrown away")
        self.assertEqual(sorted(git.lines(lease["path"], *ALL)), sorted(before))
        self.assertLessEqual(len(self.packs()), 3)
        self.assert_whole(lease["path"])
        self.stop(slotd)
        self.assert_invariants(slotd)

    def wait_until_told(self, slotd):
        # it runs when nobody else wants the processor
        return self.until(lambda: self.told(slotd) and self.told(slotd)[-1], "it is told", 120)

    def test_what_nothing_reaches_goes_unless_a_lease_is_older(self):
        slotd = self.pool()
        litter = git.text(self.store, "hash-object", "-w", "--stdin", data=b"litter")
        self.make_old()
        self.until(lambda: git.run(self.store, "cat-file", "-e", litter, check=False).returncode, "it has gone", 120)
        self.assertRegex(self.wait_until_told(slotd)["detail"], "1 thrown away")
        young = git.text(self.store, "hash-object", "-w", "--stdin", data=b"young")
        git.text(self.store, "hash-object", "-w", "--stdin", data=b"litter")
        litter_path = os.path.join(self.store, "objects", litter[:2], litter[2:])
        os.utime(litter_path, (time.time() - 30 * 86400,) * 2)
        self.until(lambda: not os.path.exists(litter_path), "it has gone again", 120)
        self.assertEqual(git.text(self.store, "cat-file", "blob", young), "young")

    def test_git_works_in_a_leased_slot_while_it_runs_all_the_time(self):
        slotd = self.pool()
        lease = slotd.acquire("p", branch="busy", agent="a")
        path, end, rounds = lease["path"], time.monotonic() + 12, 0
        latest = end + 60
        old = git.text(self.store, "hash-object", "-w", "--stdin", data=b"came back\n")
        while time.monotonic() < end or (len(self.told(slotd)) < 4 and time.monotonic() < latest):
            rounds += 1
            # what is old and on nothing, until git freshens it
            self.make_old()
            git.shell(path, """
                echo 'came back' >back; git add back
                echo %(n)d >f; mkdir -p d; seq %(n)d 900 >d/g; git add -A; git commit -qm %(n)d
                echo more%(n)d >>f; git commit -qa --amend --no-edit
                echo staged%(n)d >s; git add s; git stash -q; git stash pop -q; git reset -q; rm -f s
                git checkout -q -b side%(n)d HEAD~1; seq %(n)d >f; git add f; git commit -qm side
                git merge -q busy >/dev/null 2>&1 || { git checkout -q --theirs f; git add f; git commit -qm merged; }
                git checkout -q busy; git branch -qD side%(n)d; git rm -q --cached back; git commit -qm x; rm -f back
                """ % {"n": rounds})
            git.run(path, "fsck", "--connectivity-only", "--no-dangling")
        self.assertGreater(rounds, 3)
        self.assertGreater(len(self.told(slotd)), 3, "it did not run")
        self.assertEqual(self.told(slotd, "maintenance_skipped"), [])
        self.assertEqual(git.text(path, "cat-file", "blob", old), "came back")
        self.assert_whole(path)
        self.assertEqual(git.text(path, "status", "--porcelain"), "")
        slotd.release(lease["lease"])
        slotd.wait_quiet()
        self.stop(slotd)
        self.assert_invariants(slotd)

    def test_slots_come_and_go_while_it_runs_all_the_time(self):
        slotd = self.pool()
        end = time.monotonic() + 8
        n = 0
        while time.monotonic() < end or (not self.told(slotd) and time.monotonic() < end + 60):
            n += 1
            git.commit(self.origin, "more", README="%d\n" % n)
            slotd.call("PoolFetch", pool="p")
            lease = slotd.acquire("p", branch="b%d" % n, waitUsec=30000000)
            git.commit(lease["path"], "work", new="%d" % n)
            slotd.release(lease["lease"])
            time.sleep(0.3)  # quiet for a while: what is looked for is what it disturbs
        self.assertTrue(self.told(slotd), "it did not run")
        self.assertEqual({s["state"] for s in slotd.slots().values()} - {"ready"}, set())
        self.assert_whole()
        self.stop(slotd)
        self.assert_invariants(slotd)

    def test_never_when_it_is_not_wanted_or_the_repository_is_somebodys(self):
        never = self.pool(every="0s")
        git.text(self.store, "hash-object", "-w", "--stdin", data=b"litter")
        self.make_old()
        before = self.loose()
        mine = git.make(self.path("mine"))
        adopted = self.slotd({"q": {"path": mine, "slots": {"ready": 1, "max": 2},
                                    "maintenance": {"every": "1s"}}}, name="adopted")
        adopted.wait_ready("q")
        time.sleep(4)  # nothing can be waited for that does not happen
        self.assertEqual(self.loose(), before)
        self.assertFalse(os.path.exists(os.path.join(self.store, "slotd", "maintained")))
        self.assertFalse(os.path.exists(os.path.join(mine, ".git", "slotd", "maintained")))
        self.assertNotIn("StoreMaintain", never.log() + adopted.log())

    def half_written(self, objects):
        """A pack that somebody has begun to write before the machine was started; its path and the open file."""
        path = os.path.join(objects, "pack", "tmp_pack_abcdef")
        file = open(path, "wb")
        self.addCleanup(file.close)
        file.write(b"PACK" * 256)
        file.flush()
        booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        os.utime(path, (booted - 86400,) * 2)
        return path, file

    def test_what_a_dead_writer_left_goes_and_never_from_somebody_s_repository(self):
        mine = git.make(self.path("mine"))
        slotd = self.pool()
        gone, writer = self.half_written(os.path.join(self.store, "objects"))
        writer.close()
        stays, writer = self.half_written(os.path.join(mine, ".git", "objects"))
        writer.close()
        adopted = self.slotd({"q": {"path": mine, "slots": {"ready": 1, "max": 2},
                                    "maintenance": {"every": "1s"}}}, name="adopted")
        adopted.wait_ready("q")
        told = self.until(lambda: [e for e in self.told(slotd) if "half-written" in e["detail"]], "it is told", 120)
        self.assertIn("; 1 half-written file, 1 KiB, removed", told[0]["detail"])
        self.assertFalse(os.path.exists(gone))
        self.assertTrue(os.path.exists(stays))
        self.assertNotIn("StoreMaintain", adopted.log())
        self.assert_whole()

    def test_what_somebody_still_writes_stays(self):
        slotd = self.pool()
        lease = slotd.acquire("p")
        path, writer = self.half_written(os.path.join(self.store, "objects"))
        git.commit(lease["path"], "work", f="1\n")
        self.wait_for_more(slotd)
        self.assertTrue(os.path.exists(path))
        writer.close()
        self.until(lambda: not os.path.exists(path), "nobody has it open any more", 120)

    def test_what_is_not_understood_is_named_once(self):
        slotd = self.pool()
        git.write(self.store, "objects/info/alternates", "/nowhere\n")
        self.until(lambda: self.told(slotd, "maintenance_skipped"), "it is told", 120)
        self.assertEqual(self.told(slotd, "maintenance_skipped")[0]["detail"], "it has objects of another repository")
        time.sleep(3)  # it is asked every second: time to be told again
        self.assertEqual(len(self.told(slotd, "maintenance_skipped")), 1)
        os.unlink(os.path.join(self.store, "objects/info/alternates"))
        git.text(self.store, "hash-object", "-w", "--stdin", data=b"litter")
        self.make_old()
        self.wait_until_told(slotd)

    def test_worker_runs_it_with_low_priority_and_others_pass(self):
        slotd = self.pool(every="0s")
        noise = os.urandom(16 << 20)
        for n in range(2):
            git.run(self.store, "hash-object", "-w", "--stdin", data=noise[n:])
        lease = slotd.acquire("p", branch="big")
        git.write(lease["path"], "noise", noise)
        git.commit(lease["path"], "noise")
        slotd.pools["p"]["maintenance"]["every"] = "1s"
        slotd.write_config()
        nice = self.until(lambda: self.nice_of_a_thread(slotd), "it runs", 60)
        self.assertEqual(nice, 19)
        git.commit(self.origin, "more", README="more\n")
        began = time.monotonic()
        slotd.call("PoolFetch", pool="p")
        other = slotd.acquire("p", waitUsec=30000000)
        self.assertLess(time.monotonic() - began, 20)
        self.assertEqual(other["head"], git.head(self.origin))
        self.wait_until_told(slotd)
        self.assert_whole(lease["path"])

    def nice_of_a_thread(self, slotd):
        """The highest of all threads of all workers, if one has any."""
        found = 0
        for pid in slotd.workers():
            out = subprocess.run(["ps", "-L", "-o", "ni=", "-p", str(pid)], capture_output=True, text=True, check=False)
            found = max([found, *(int(n) for n in out.stdout.split() if n.lstrip("-").isdigit())])
        return found

    def test_pool_is_removed_while_it_runs(self):
        slotd = self.slotd(settings={"defaults": {"maintenance": {"every": "1s"}, "fetch": {"max_age": "0s"}}})
        slotd.call("PoolAdd", pool="p", url=self.origin, ready=1, max=2)
        slotd.wait_ready("p")
        self.store = os.path.join(slotd.state_dir, "stores", "p.git")
        lease = slotd.acquire("p", branch="big")
        for n in range(6):
            git.write(lease["path"], "noise%d" % n, os.urandom(8 << 20))
        git.commit(lease["path"], "noise")
        slotd.release(lease["lease"])
        slotd.wait_quiet()
        tip = git.head(self.store, "refs/heads/big")
        self.until(lambda: self.nice_of_a_thread(slotd) == 19, "it runs", 60)
        moved = slotd.call("PoolRemove", pool="p")["store"]
        git.run(moved, "fsck", "--full", "--no-dangling")
        self.assertEqual(git.head(moved, "refs/heads/big"), tip)


class Removed(Case):
    """What goes with a pool is kept, and a pool of the same name and url takes nothing from it."""

    def add(self, slotd):
        slotd.call("PoolAdd", pool="p", url=self.origin, ready=1, max=2)
        slotd.wait_ready("p")
        return os.path.join(slotd.state_dir, "stores", "p.git")

    def test_store_in_removed_keeps_its_salvage_and_a_new_pool_leaves_it_alone(self):
        self.origin = git.make(self.path("origin"))
        slotd = self.slotd()
        store = self.add(slotd)
        blob = git.text(store, "hash-object", "-w", "--stdin", data=b"saved\n")
        tree = git.text(store, "mktree", data=b"100644 blob %s\tx\n" % blob.encode())
        saved = git.text(store, "commit-tree", "-m", "saved", tree)
        ref = "refs/slotd/salvage/p-1/%032d/1" % 0
        git.run(store, "update-ref", ref, saved)
        removal = slotd.call("PoolRemove", pool="p")
        self.assertTrue(any("salvage" in name for name in removal["branches"]), removal)
        moved = removal["store"]
        before = git.lines(moved, "for-each-ref")
        self.assertEqual(git.head(moved, ref), saved)
        new = self.add(slotd)
        self.assertNotEqual(os.path.realpath(new), os.path.realpath(moved))
        lease = slotd.acquire("p")
        slotd.release(lease["lease"])
        slotd.wait_quiet()
        again = slotd.call("PoolRemove", pool="p")["store"]
        self.assertNotEqual(again, moved)
        slotd.restart()
        self.assertEqual(git.lines(moved, "for-each-ref"), before)
        self.assertEqual(git.text(moved, "show", ref + ":x"), "saved")
        git.run(moved, "fsck", "--full", "--no-dangling")
        self.assertTrue(os.path.isdir(again))
