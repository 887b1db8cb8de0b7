"""A ledger that is missing, damaged or cannot be written: noticed, and nothing is handed out twice."""

import contextlib
import glob
import os
import random
import resource
import shutil
import signal
import subprocess
import unittest

from support import git, older, saved
from support.case import Case, Error
from support.invariants import Checker


class Damage(Case):
    """Each test damages the ledger of a stopped slotd in its own way and starts it again."""

    def prepared(self, with_copy):
        """A slotd that was stopped with one lease, two ready slots, one isolated slot and one salvage."""
        slotd = self.one_pool(ready=2, maximum=5)
        self.checker = Checker(slotd)
        self.held = slotd.acquire("p", agent="holder", key="k")
        git.write(self.held["path"], "work", "of the holder\n")
        dirty = slotd.acquire("p")
        git.write(dirty["path"], "README", "unsaved\n")
        git.spoil(dirty["path"])
        self.dirty = slotd.release(dirty["lease"])["slot"]
        self.assertEqual(slotd.slot(self.dirty)["state"], "isolated")
        left = slotd.acquire("p")
        git.write(left["path"], "left", "and saved\n")
        slotd.release(left["lease"])
        self.saved = self.assert_saved(slotd, left, {"left": b"and saved\n"})
        old = slotd.acquire("p")
        self.old_token = (old["slot"], old["token"])
        slotd.release(old["lease"])
        slotd.wait_ready("p", 2)
        self.checker.check()
        slotd.copy_ledger()
        slotd.stop()
        self.ledger = os.path.join(slotd.state_dir, "ledger")
        if not with_copy:
            shutil.rmtree(self.ledger + ".copy")
        return slotd

    @property
    def data(self):
        return os.path.join(self.ledger, "data.mdb")

    def content(self, directory):
        """The bytes of the ledger in a directory, None if there is none."""
        try:
            return git.read(directory, "data.mdb")
        except FileNotFoundError:
            return None

    def assert_rebuilt(self, slotd, with_copy):
        damaged = self.content(self.ledger)
        slotd.start()
        self.assertIn("the ledger was rebuilt", slotd.log())
        aside = [self.content(path) for path in glob.glob(self.ledger + ".damaged-*")]
        self.assertTrue(aside == ([] if damaged is None else [damaged]), "what was damaged is kept as it was")
        slotd.wait_quiet()
        slots = slotd.slots("p")
        if with_copy:
            self.assertIn(self.held["lease"], slotd.leases())
            self.assertEqual(slotd.call("Renew", lease=self.held["lease"])["token"], self.held["token"])
            self.assertEqual(slotd.acquire("p", agent="holder", key="k")["lease"], self.held["lease"])
        else:
            # he may be at work, and is only unknown
            self.assertEqual(slots.get(self.held["slot"], {}).get("state"), "isolated")
            self.assertEqual(saved.of_slot(slotd, self.held["slot"])[-1].read("work"), b"of the holder\n")
        self.assertEqual(git.read(self.held["path"], "work"), b"of the holder\n")
        self.assertEqual(git.head(self.repository, self.saved.ref), self.saved.commit)
        dirty = slots.get(self.dirty)
        self.assertIsNotNone(dirty, "the isolated slot is lost")
        self.assertEqual(dirty["state"], "isolated")
        self.assertEqual(git.read(dirty["path"], "README"), b"unsaved\n")
        again = slotd.acquire("p", waitUsec=60000000)
        self.assertNotEqual(again["slot"], self.dirty)
        self.assertGreater(again["token"], self.old_token[1])
        self.assertGreater(again["token"], self.held["token"])
        self.checker.check()

    def test_missing_ledger_with_copy(self):
        slotd = self.prepared(True)
        shutil.rmtree(self.ledger)
        self.assert_rebuilt(slotd, True)

    def test_missing_ledger_without_copy(self):
        slotd = self.prepared(False)
        shutil.rmtree(self.ledger)
        self.assert_rebuilt(slotd, False)

    def test_empty_ledger_with_copy(self):
        slotd = self.prepared(True)
        os.truncate(self.data, 0)
        self.assert_rebuilt(slotd, True)

    def test_empty_ledger_without_copy(self):
        slotd = self.prepared(False)
        os.truncate(self.data, 0)
        self.assert_rebuilt(slotd, False)

    def test_truncated_ledger_with_copy(self):
        slotd = self.prepared(True)
        os.truncate(self.data, os.path.getsize(self.data) // 2)
        self.assert_rebuilt(slotd, True)

    def test_truncated_ledger_without_copy(self):
        slotd = self.prepared(False)
        os.truncate(self.data, os.path.getsize(self.data) // 2)
        self.assert_rebuilt(slotd, False)

    def test_ledger_of_noise_with_copy(self):
        slotd = self.prepared(True)
        with open(self.data, "r+b") as f:
            f.write(random.Random(1).randbytes(os.path.getsize(self.data)))
        self.assert_rebuilt(slotd, True)

    def test_ledger_and_copy_of_noise(self):
        slotd = self.prepared(True)
        for path in (self.data, os.path.join(self.ledger + ".copy", "data.mdb")):
            with open(path, "r+b") as f:
                f.write(random.Random(2).randbytes(os.path.getsize(path)))
        self.assert_rebuilt(slotd, False)

    def test_flipped_bits_never_hand_out_a_slot_twice(self):
        slotd = self.prepared(True)
        spare = self.path("spare")
        shutil.copytree(self.ledger, spare)
        size = os.path.getsize(self.data)
        for seed in range(12):
            with self.subTest(seed=seed):
                shutil.rmtree(self.ledger)
                shutil.copytree(spare, self.ledger)
                chance = random.Random(seed)
                with open(self.data, "r+b") as f:
                    for _ in range(40):
                        place = chance.randrange(size)
                        f.seek(place)
                        byte = f.read(1)[0]
                        f.seek(place)
                        f.write(bytes([byte ^ (1 << chance.randrange(8))]))
                slotd.start()
                slotd.wait_quiet()
                self.assertIn(self.held["lease"], slotd.leases())
                taken = slotd.acquire("p", waitUsec=60000000)
                self.assertNotIn(taken["slot"], (self.held["slot"], self.dirty))
                slotd.release(taken["lease"])
                self.assertEqual(slotd.slot(self.dirty)["state"], "isolated")
                Checker(slotd).check()
                slotd.stop()

    def test_state_that_is_lost_altogether_costs_no_work(self):
        slotd = self.prepared(False)
        git.write(self.held["path"], "README", "the holder's\n")
        commit = git.commit(self.held["path"], "on no branch", staged="more of it\n")
        shutil.rmtree(slotd.state_dir)
        slotd.start()
        slotd.wait_quiet()
        for path, content in ((self.held["path"], b"the holder's\n"),
                              (os.path.join(slotd.slots_dir, "p", self.dirty), b"unsaved\n")):
            self.assertEqual(git.read(path, "README"), content, path)
        self.assertEqual(git.head(self.held["path"]), commit)
        salvage = saved.of_slot(slotd, self.held["slot"])[-1]
        self.assertEqual(salvage.read("README"), b"the holder's\n")
        self.assertTrue(salvage.has(commit))
        self.assertEqual(git.head(self.repository, self.saved.ref), self.saved.commit)
        taken = slotd.acquire("p", waitUsec=60000000)
        self.assertNotIn(taken["slot"], (self.held["slot"], self.dirty))

    def test_fresh_start_is_no_damage(self):
        slotd = self.slotd()
        self.assertFalse(glob.glob(os.path.join(slotd.state_dir, "ledger.damaged-*")))
        slotd.restart()
        self.assertFalse(glob.glob(os.path.join(slotd.state_dir, "ledger.damaged-*")))


class Age(Case):
    """A ledger that another version of slotd has made."""

    def prepared(self):
        slotd = self.one_pool(ready=2, maximum=4)
        held = slotd.acquire("p", agent="holder", key="k")
        left = slotd.acquire("p")
        git.write(left["path"], "left", "and saved\n")
        slotd.release(left["lease"])
        slotd.wait_ready("p", 2)
        self.entry, = slotd.call("SalvageList", pool=None, slot=None, lease=None)["salvage"]
        slotd.stop()
        return slotd, held, os.path.join(slotd.state_dir, "ledger")

    def test_one_of_an_older_slotd_is_taken_over_as_it_is(self):
        slotd, held, ledger = self.prepared()
        older.set_schema(ledger, 1, older.LATER)
        slotd.start()
        slotd.wait_log("the ledger was raised from schema 1")
        slotd.wait_quiet()
        self.assertNotIn("rebuilt", slotd.log())
        self.assertEqual(glob.glob(ledger + ".damaged-*"), [])
        self.assertTrue(os.path.exists(os.path.join(ledger + ".schema-1", "data.mdb")))
        self.assertEqual(slotd.acquire("p", agent="holder", key="k")["lease"], held["lease"])
        self.assertEqual(slotd.acquire("p", agent="holder", key="k")["token"], held["token"])
        found = self.until(lambda: slotd.call("SalvageList", pool=None, slot=None, lease=None)["salvage"],
                           "the refs say what was saved")
        self.assertEqual([e["ref"] for e in found], [self.entry["ref"]])
        Checker(slotd).check()
        slotd.restart()
        self.assertEqual(slotd.log().count("raised from schema"), 1)

    def test_one_of_a_newer_slotd_is_refused_and_left_alone(self):
        slotd, _, ledger = self.prepared()
        older.set_schema(ledger, 99)
        before = git.read(ledger, "data.mdb")
        slotd.start(wait_for_socket=False)
        self.assertNotEqual(slotd.wait(), 0)
        self.assertRegex(slotd.log(), "has schema 99, and this slotd knows [0-9]+: it was made by a newer one")
        self.assertEqual(git.read(ledger, "data.mdb"), before)
        self.assertEqual(glob.glob(ledger + ".*"), [])


@unittest.skipUnless(os.getuid() == 0, "needs root, for a small file system")
class FullDisk(Case):
    """The state directory on a file system that can be filled."""

    def setUp(self):
        super().setUp()
        self.small = self.path("small")
        os.mkdir(self.small)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "slotd-test", self.small],
                              capture_output=True, check=False)
        if done.returncode:
            self.skipTest("cannot mount a tmpfs here: %s" % done.stderr.decode().strip())
        # registered before the daemons' end, so that it runs after it
        self._cleanups.insert(0, (subprocess.run, (["umount", "-l", self.small],), {"check": False}))

    def test_full_disk_is_a_clear_error_and_nothing_is_lost(self):
        repository = git.make(self.path("repository"))
        slotd = self.slotd({"p": {"path": repository, "slots": {"ready": 2, "max": 4}}},
                           settings={"disk": {"reserve": 0}}, start=False)
        slotd.state_dir = os.path.join(self.small, "state")
        slotd.start()
        slotd.wait_ready("p", 2)
        checker = Checker(slotd)
        held = slotd.acquire("p", key="before")
        checker.granted(held)
        slotd.wait_ready("p", 2)
        self.fill()
        errors = 0
        for number in range(2000):
            try:
                checker.granted(slotd.acquire("p", key="full-%d" % number, meta={"pad": "x" * 500}))
            except Error as e:
                self.assertIn(e.name, ("LedgerFailed", "Busy", "Unavailable"))
                errors += e.name == "LedgerFailed"
                if errors:
                    break
            for lease in list(slotd.leases()):
                if lease != held["lease"]:
                    try:
                        slotd.release(lease)
                    except Error as e:
                        self.assertEqual(e.name, "LedgerFailed")
                        errors += 1
        self.assertTrue(errors, "the disk was never full")
        self.assertIn(held["lease"], slotd.leases())
        os.unlink(os.path.join(self.small, "filler"))
        slotd.call("Renew", lease=held["lease"])
        checker.check()
        slotd.kill()
        slotd.start()
        self.assertIn(held["lease"], slotd.leases())
        checker.check()

    def fill(self):
        """Leave no block free."""
        with open(os.path.join(self.small, "filler"), "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass

    def test_full_disk_of_the_slots_isolates_none_and_loses_none(self):
        repository = git.make_many(self.path("many.git"), 3000)
        slotd = self.slotd({"p": {"path": repository, "slots": {"ready": 0, "max": 4}}},
                           settings={"disk": {"reserve": 0}}, start=False)
        slotd.slots_dir = os.path.join(self.small, "slots")
        slotd.start()
        self.fill()
        with self.assertRaises(Error):
            slotd.acquire("p", waitUsec=2000000)
        os.unlink(os.path.join(self.small, "filler"))
        lease = self.until(lambda: self.try_acquire(slotd), "a slot once there is room", 90)
        self.assertTrue(git.is_clean(lease["path"]))

    def test_pool_can_be_removed_while_there_is_no_room_for_a_slot_of_it(self):
        slotd = self.slotd(settings={"disk": {"reserve": 0}}, start=False)
        slotd.slots_dir = os.path.join(self.small, "slots")
        slotd.start()
        slotd.call("PoolAdd", pool="q", path=git.make_many(self.path("many.git"), 3000), ready=0, max=2)
        self.fill()
        with slotd.client() as adder:
            adder.send("SlotAdd", {"pool": "q"})
            slotd.wait_log("cannot make the worktree: .*No space")
            self.assertEqual(slotd.call("PoolRemove", pool="q")["pool"], "q")
            self.assertIn("No space", self.assert_error("Unavailable", adder.result).message)

    def try_acquire(self, slotd):
        try:
            return slotd.acquire("p", waitUsec=1000000)
        except Error:
            return None


class Unwritable(Case):
    """The ledger cannot be written for a while: no file that slotd writes may grow."""

    def setUp(self):
        super().setUp()
        self.slotd_ = self.one_pool(ready=1, maximum=3, wait_ready=False)
        self.slotd_.stop()
        self.slotd_.start(preexec=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN))
        self.slotd_.wait_ready("p", 1)
        self.slotd_.wait_quiet()

    def unwritable(self, slotd):
        pid = slotd.process.pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
        stack = contextlib.ExitStack()
        stack.callback(resource.prlimit, pid, resource.RLIMIT_FSIZE, (soft, hard))
        return stack

    def test_whoever_waits_for_a_slot_is_told(self):
        slotd = self.slotd_
        lease = slotd.acquire("p")
        slotd.wait_ready("p", 1)
        slotd.wait_quiet()
        free = next(s["slot"] for s in slotd.slots().values() if s["state"] == "ready")
        calls = (("Release", {"lease": lease["lease"]}), ("Finish", {"lease": lease["lease"]}),
                 ("SlotRemove", {"slot": free}), ("SlotAdd", {"pool": "p"}))
        with self.unwritable(slotd):
            for method, parameters in calls:
                with self.subTest(method), slotd.client(timeout=10) as client:
                    self.assert_error("LedgerFailed", client.call, method, **parameters)
        self.assertEqual(set(slotd.leases()), {lease["lease"]})
        self.assertEqual(slotd.slot(free)["state"], "ready")
        for method, parameters in calls[:1] + calls[2:]:
            slotd.call(method, **parameters)
        self.assert_invariants(slotd)
