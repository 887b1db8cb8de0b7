"""Every operation of slotd as prepare, act and verify; act is what gets killed and repeated."""

import os
import shutil

from support import git, wait
from support.varlink import Error


class Scenario:
    """A scenario lives for one case."""

    errors = ()  # parts of lines of level error that it may cause
    rebuilds = False  # it loses what the ledger knew since its last copy
    watched = False  # what is on disk when everybody is dead is looked at: look() says what is wrong

    def __init__(self, world):
        self.w = world

    def prepare(self):
        """Nobody dies here."""

    def act(self):
        """Done through world.call(), which repeats it until it is answered."""
        raise NotImplementedError

    def verify(self):
        """After the world's own check."""

    def expect(self, condition, sentence):
        if not condition:
            raise AssertionError(sentence)


class Start(Scenario):
    def act(self):
        if self.w.slotd.is_running():
            self.w.slotd.stop()
        self.w.revive()


class AcquirePlain(Scenario):
    pool = "p"
    request = {}

    def prepare(self):
        self.key = self.w.fresh("key")

    def act(self):
        self.lease = self.w.call("Acquire", pool=self.pool, key=self.key, agent="a",
                                 waitUsec=60000000, **self.request)

    def verify(self):
        self.w.checker.granted(self.lease)
        again = self.w.call("Acquire", pool=self.pool, key=self.key, agent="a", **self.request)
        self.expect((again["lease"], again["token"]) == (self.lease["lease"], self.lease["token"]),
                    "the same key gave another lease")
        self.expect(self.lease["lease"] in self.w.slotd.leases(), "the lease is lost")
        path = self.lease["path"]
        self.expect(git.is_clean(path), "the slot is not clean")
        self.expect(git.head(path) == self.lease["head"], "HEAD is not what the reply said")


class AcquireRef(AcquirePlain):
    request = {"ref": "one"}

    def verify(self):
        super().verify()
        self.expect(self.lease["head"] == git.head(self.w.repository, "one^{commit}"), "wrong commit")


class AcquireBranch(AcquirePlain):
    def prepare(self):
        super().prepare()
        self.request = {"branch": self.w.fresh("branch")}

    def verify(self):
        super().verify()
        self.expect(git.text(self.lease["path"], "symbolic-ref", "HEAD") ==
                    "refs/heads/" + self.request["branch"], "not on the branch")


class AcquireBranchAtRef(AcquireBranch):
    def prepare(self):
        super().prepare()
        self.request["ref"] = "one"


class AcquireExistingBranch(AcquireBranch):
    def prepare(self):
        super().prepare()
        git.run(self.w.repository, "branch", self.request["branch"], "HEAD~1")


class AcquireFewerFiles(AcquirePlain):
    """A commit that lacks files which the slot has."""

    def prepare(self):
        super().prepare()
        self.request = {"ref": self.w.fresh("tag")}
        git.run(self.w.repository, "tag", self.request["ref"])
        git.commit(self.w.repository, "more", **{self.w.fresh("only-here"): "x"})
        self.w.rest()

    def verify(self):
        super().verify()
        self.expect(self.lease["head"] == git.head(self.w.repository, self.request["ref"]), "wrong commit")


class AcquireBranchOfClone(AcquireBranch):
    pool = "u"


class ReleaseClean(Scenario):
    discard = None
    branch = True

    def prepare(self):
        self.lease = self.w.acquire(branch=self.w.fresh("branch") if self.branch else None)
        self.change(self.lease["path"])

    def change(self, path):
        self.tip = git.commit(path, "work", new="x")

    def act(self):
        self.w.call_or(("LeaseGone",), "Release", lease=self.lease["lease"], discard=self.discard)

    def state(self):
        return self.w.slotd.slot(self.lease["slot"])["state"]

    def verify(self):
        self.expect(self.lease["lease"] not in self.w.slotd.leases(), "a released lease is back")
        self.expect(self.state() == "ready", "the slot is " + self.state())
        self.expect(git.head(self.w.repository, self.lease["branch"]) == self.tip, "the branch moved")


class ReleaseAtOnce(ReleaseClean):
    """Answered at its commit, so that nobody asks again after a kill: what was said must hold."""

    def act(self):
        self.w.call_or(("LeaseGone",), "Release", lease=self.lease["lease"], wait=False)


class ReleaseDiscard(ReleaseClean):
    discard = True
    branch = False

    def change(self, path):
        git.commit(path, "unwanted", new="x")
        git.write(path, "README", "changed\n")
        git.write(path, "untracked/file", "x")
        os.unlink(os.path.join(path, "run.sh"))

    def verify(self):
        self.expect(self.lease["lease"] not in self.w.slotd.leases(), "a released lease is back")
        self.expect(self.state() == "ready", "the slot is " + self.state())
        self.expect(not os.path.exists(os.path.join(self.lease["path"], "untracked")), "still there")


class ReleaseRefused(ReleaseClean):
    """Of what cannot be saved."""

    branch = False

    def change(self, path):
        git.write(path, "README", "precious\n")
        git.write(path, "untracked", "precious\n")
        git.spoil(path)

    def verify(self):
        self.expect(self.lease["lease"] not in self.w.slotd.leases(), "a released lease is back")
        self.expect(self.state() == "isolated", "the slot is " + self.state())
        for name in ("README", "untracked"):
            self.expect(git.read(self.lease["path"], name) == b"precious\n", name + " is lost")


class ReleaseForced(ReleaseClean):
    """By the name of the slot; nobody may mean the next holder when it is repeated."""

    def prepare(self):
        self.task = self.w.fresh("task")
        self.lease = self.w.acquire(branch=self.w.fresh("branch"), task=self.task)
        self.change(self.lease["path"])

    def act(self):
        self.w.call_or(("LeaseGone",), "Release", lease=self.lease["slot"], force=True)

    def verify(self):
        super().verify()
        left = self.w.acquire(task=self.task)["handoff"]
        self.expect(left and (left["lease"], left["reason"]) == (self.lease["lease"], "forced"),
                    "the next one of the task got %s" % left)


class Finish(ReleaseClean):
    def act(self):
        self.w.call_or(("LeaseGone",), "Finish", lease=self.lease["lease"], state="done")


class Renew(Scenario):
    def prepare(self):
        self.lease = self.w.acquire()

    def act(self):
        self.reply = self.w.call("Renew", lease=self.lease["lease"], progress=50, message="half")

    def verify(self):
        shown = self.w.slotd.leases()[self.lease["lease"]]
        self.expect((shown["progress"], shown["message"]) == (50, "half"), "the report is lost")
        self.expect(shown["renewals"] in (self.reply["renewals"], self.reply["renewals"] + 1),
                    "the count is wrong")
        told = [e["kind"] for e in self.w.events(self.lease)].count("lease_renewed")
        self.expect(told == shown["renewals"], "told of %d renewals, counted %d" % (told, shown["renewals"]))


class Touch(Scenario):
    def prepare(self):
        self.lease = self.w.acquire()

    def act(self):
        self.w.call("Touch", lease=self.lease["lease"])

    def verify(self):
        self.expect(self.lease["lease"] in self.w.slotd.leases(), "the lease is lost")


class Expiry(Scenario):
    def prepare(self):
        self.lease = self.w.acquire("brief")

    def act(self):
        def ended():
            return self.w.call("Leases", pool="brief")["leases"] == []
        wait.until(ended, "the lease expires", 30, 0.1)

    def verify(self):
        self.expect(self.w.slotd.slot(self.lease["slot"])["state"] == "ready", "the slot is not ready")


class PoolAddPath(Scenario):
    def prepare(self):
        self.name = self.w.fresh("added").replace("-", "n")

    def source(self):
        return {"path": self.w.second}

    def act(self):
        self.w.call_or(("Exists",), "PoolAdd", pool=self.name, ready=1, max=2, **self.source())

    def verify(self):
        self.w.slotd.wait_ready(self.name, 1)
        lease = self.w.acquire(self.name)
        self.w.call("Release", lease=lease["lease"])
        self.w.rest()
        self.remove()

    def remove(self):
        # Conflict: it is being removed already
        self.w.call_or(("NotFound", "Conflict"), "PoolRemove", pool=self.name)
        wait.until(lambda: self.name not in {p["name"] for p in self.w.call("PoolList")["pools"]},
                   "the pool is gone")
        self.forget_slots()

    def forget_slots(self):
        self.w.checker.slots = {s for s in self.w.checker.slots if not s.startswith(self.name + "-")}


class PoolAddUrl(PoolAddPath):
    def source(self):
        return {"url": "file://" + self.w.second}


class PoolRemovePath(PoolAddPath):
    def prepare(self):
        super().prepare()
        PoolAddPath.act(self)
        self.w.slotd.wait_ready(self.name, 1)

    def act(self):
        self.remove()

    def verify(self):
        self.expect(not os.path.exists(os.path.join(self.w.slotd.slots_dir, self.name)),
                    "the slots directory is still there")
        self.expect(git.worktrees(self.w.second) == [self.w.second], "a worktree is left behind")


class PoolRemoveUrl(PoolRemovePath):
    def source(self):
        return {"url": "file://" + self.w.second}

    def verify(self):
        super().verify()
        stores = os.listdir(os.path.join(self.w.slotd.state_dir, "stores"))
        self.expect(self.name + ".git" not in stores, "the store is still there")
        removed = os.listdir(os.path.join(self.w.slotd.state_dir, "removed"))
        self.expect(any(name.startswith(self.name) for name in removed), "the store is gone")


class PoolRemoveDelete(PoolRemoveUrl):
    def remove(self):
        self.w.call_or(("NotFound", "Conflict"), "PoolRemove", pool=self.name, deleteStore=True)
        wait.until(lambda: self.name not in {p["name"] for p in self.w.call("PoolList")["pools"]},
                   "the pool is gone")
        self.forget_slots()

    def verify(self):
        for name in ("stores", "removed"):
            path = os.path.join(self.w.slotd.state_dir, name)
            wait.until(lambda: not any(n.startswith(self.name) for n in os.listdir(path)),
                       "nothing of it is left in " + name)


class PoolPause(Scenario):
    """Paused, resumed, drained and filled again."""

    def act(self):
        for method in ("PoolPause", "PoolResume", "PoolDrain", "PoolResume"):
            self.w.call(method, pool="brief")
        # draining removes ready slots, how many depends on when it ends
        self.w.rest()
        self.w.checker.slots = {s for s in self.w.checker.slots if not s.startswith("brief-")}

    def verify(self):
        pool = self.w.slotd.pool("brief")
        self.expect((pool["paused"], pool["draining"]) == (False, False), "it does not serve")
        self.w.slotd.wait_ready("brief", 1)


class Fetch(Scenario):
    def prepare(self):
        self.tip = git.commit(self.w.origin, "more", README=self.w.fresh("content"))

    def act(self):
        self.w.call("PoolFetch", pool="u")

    def verify(self):
        lease = self.w.acquire("u")
        self.expect(lease["head"] == self.tip, "the slot is not at the fetched commit")


class Maintain(Scenario):
    """The store is packed anew, what is on nothing goes: and at no time is anything else gone."""

    pool = "u"
    wanted = ("rev-list", "--objects", "--all", "--reflog", "--indexed-objects", "--no-object-names")

    def prepare(self):
        self.lease = self.w.acquire(self.pool, branch=self.w.fresh("branch"))
        self.path, self.store = self.lease["path"], self.lease["commonDir"]
        for n in range(3):
            git.commit(self.path, "work %d" % n, **{"f%d" % n: self.w.fresh("content") * 300})
            git.run(self.path, "repack", "-q", "-d")
        git.commit(self.path, "last", last=self.w.fresh("content"))
        git.write(self.path, "staged", self.w.fresh("content"))
        git.run(self.path, "add", "staged")
        self.litter = git.text(self.store, "hash-object", "-w", "--stdin", data=self.w.fresh("litter").encode())
        self.garbage = self.make_garbage_pack()
        self.make_old()
        self.before = set(git.lines(self.path, *self.wanted))

    def make_garbage_pack(self):
        """One that slotd has known to be on nothing for long; what is in it."""
        blob = git.text(self.store, "hash-object", "-w", "--stdin", data=self.w.fresh("garbage").encode())
        name = git.text(self.store, "pack-objects", "-q", "objects/pack/pack", data=blob.encode())
        git.run(self.store, "prune-packed")
        git.write(self.store, "slotd/garbage/pack-" + name)
        return blob

    def make_old(self):
        for directory in ("objects", "slotd/garbage"):
            for where, _, names in os.walk(os.path.join(self.store, directory)):
                for name in names:
                    os.utime(os.path.join(where, name), (1600000000, 1600000000))
        git.write(self.store, "slotd/maintained")
        os.utime(os.path.join(self.store, "slotd/maintained"), (1600000000, 1600000000))

    def set_every(self, every):
        self.w.slotd.pools[self.pool]["maintenance"]["every"] = every
        self.w.slotd.write_config()

    def is_over(self):
        """In whatever state it is now, all is there."""
        self.expect_all_there()
        self.w.revive()
        return os.stat(os.path.join(self.store, "slotd/maintained")).st_mtime > 1600000000

    def expect_all_there(self):
        missing = self.before - set(git.lines(self.path, *self.wanted))
        self.expect(not missing, "lost: %s" % sorted(missing))

    def act(self):
        self.set_every("1s")
        wait.until(self.is_over, "the store is maintained", 60, 0.02)
        self.set_every("0s")

    def verify(self):
        self.expect_all_there()
        for path in (self.store, self.path):
            out = git.run(path, "fsck", "--full", "--no-dangling", check=False)
            self.expect((out.returncode, out.stdout) == (0, b""), "fsck: %s %s" % (out.stdout, out.stderr))
        self.expect(git.text(self.path, "status", "--porcelain") == "A  staged", "what is staged is not")
        for oid in (self.litter, self.garbage):
            self.expect(git.run(self.store, "cat-file", "-e", oid, check=False).returncode, oid + " is still there")
        self.expect(not [n for n in os.listdir(os.path.join(self.store, "objects/pack")) if n.endswith(".pack") and
                         not os.path.exists(os.path.join(self.store, "objects/pack", n[:-5] + ".idx"))],
                    "half a pack is left")


class SlotAdd(Scenario):
    def prepare(self):
        self.before = set(self.w.slotd.slots("p"))

    def act(self):
        self.w.call_or(("Conflict", "Unavailable"), "SlotAdd", pool="p")

    def verify(self):
        made = set(self.w.slotd.slots("p")) - self.before
        self.expect(made, "no slot was made")
        for slot in made:
            self.w.call("SlotRemove", slot=slot, discard=True)
            self.w.checker.removed(slot)


class SlotRemove(Scenario):
    discard = None

    def prepare(self):
        lease = self.w.acquire()
        self.slot, self.path = lease["slot"], lease["path"]
        self.change(lease)
        self.w.call("Release", lease=lease["lease"])
        self.w.rest()

    def change(self, lease):
        pass

    def act(self):
        self.w.checker.removed(self.slot)
        # Conflict: it is being removed already; verify() tells that from a refusal
        self.w.call_or(("NotFound", "Conflict"), "SlotRemove", slot=self.slot, discard=self.discard)
        self.w.rest()
        self.w.checker.removed(self.slot)

    def verify(self):
        self.expect(self.slot not in self.w.slotd.slots(), "the slot is still there")
        self.expect(not os.path.exists(self.path), "the directory is still there")
        self.expect(self.path not in git.worktrees(self.w.repository), "the worktree is still there")


class SlotRemovePacked(SlotRemove):
    """What slotd keeps of the slot among the refs has been packed by somebody's gc."""

    def change(self, lease):
        git.run(self.w.repository, "pack-refs", "--all")


class SlotRemoveDiscard(SlotRemove):
    discard = True

    def change(self, lease):
        git.write(lease["path"], "README", "unwanted\n")
        git.commit(lease["path"], "unwanted", other="x")


class Resize(PoolAddPath):
    """Grows and shrinks a pool that was made at run time."""

    def prepare(self):
        super().prepare()
        PoolAddPath.act(self)
        self.w.slotd.wait_ready(self.name, 1)

    def act(self):
        self.w.call("PoolResize", pool=self.name, ready=3, max=3)
        self.w.rest()
        self.forget_slots()
        self.w.call("PoolResize", pool=self.name, ready=1, max=1)

    def verify(self):
        self.expect(self.w.slotd.pool(self.name)["total"] == 1, "the pool has not shrunk")
        super().verify()


class Rebuild(Scenario):
    """The ledger is damaged; slotd rebuilds it from the copy and from what is on disk."""

    errors = ("the ledger cannot be used and is rebuilt",)
    rebuilds = True

    def prepare(self):
        self.held = self.w.acquire(bind="manual")
        self.w.slotd.copy_ledger()
        self.w.slotd.stop()
        os.truncate(os.path.join(self.w.slotd.state_dir, "ledger", "data.mdb"), 8192)

    def act(self):
        self.w.revive()

    def verify(self):
        self.expect(self.held["lease"] in self.w.slotd.leases(), "a lease of the copy is lost")


class LedgerCopy(Scenario):
    """The copy is made by a child, which may be killed as well; one that is whole is always there."""

    errors = ("the ledger cannot be used and is rebuilt",)
    rebuilds = True

    def prepare(self):
        self.w.slotd.copy_ledger()
        self.w.acquire(bind="manual")

    def act(self):
        copy = os.path.join(self.w.slotd.state_dir, "ledger.copy", "data.mdb")
        before = os.stat(copy).st_mtime_ns
        mark = len(self.w.slotd.log())
        self.w.slotd.stop()
        self.w.revive()
        wait.until(lambda: os.stat(copy).st_mtime_ns != before or
                   "copy of the ledger failed" in self.w.slotd.log()[mark:] or
                   not self.w.slotd.is_running(), "the ledger is copied, or the copy has failed")

    def verify(self):
        self.w.slotd.stop()
        shutil.rmtree(os.path.join(self.w.slotd.state_dir, "ledger"))
        self.w.revive()


class RebuildMissing(Rebuild):
    def prepare(self):
        super().prepare()
        shutil.rmtree(os.path.join(self.w.slotd.state_dir, "ledger"))


class Furnished:
    """What a slot of the pool w has in it."""

    def expect_furnished(self, slot):
        path = self.w.slotd.slot(slot)["path"]
        self.expect(git.read(path, ".env") == b"seeded\n", "the seed is not there")
        self.expect(git.read(path, "node_modules/made-for") == git.read(path, "lock"), "it is not warm")
        self.expect(not any(name.startswith(".slotd") for name in os.listdir(path)), "something was left beside")


class AcquireFurnished(AcquirePlain, Furnished):
    pool = "w"

    def verify(self):
        super().verify()
        self.expect_furnished(self.lease["slot"])
        self.expect(git.read(self.lease["tmpDir"], "acquired").decode().strip() == self.lease["lease"],
                    "acquire.run was told of another lease, or did not run")


class ReleaseFurnished(Scenario, Furnished):
    """Of a slot whose holder had other dependencies."""

    def prepare(self):
        self.lease = self.w.acquire("w", branch=self.w.fresh("branch"))
        git.commit(self.lease["path"], "other dependencies", lock=self.w.fresh("lock"))
        shutil.rmtree(os.path.join(self.lease["path"], "node_modules"))

    def act(self):
        self.w.call_or(("LeaseGone",), "Release", lease=self.lease["lease"])

    def verify(self):
        slot = self.w.slotd.slot(self.lease["slot"])
        self.expect(slot["state"] == "ready", "the slot is " + slot["state"])
        self.expect_furnished(slot["slot"])
        told = git.read(self.w.slotd.state_dir, "homes/w/released").decode().split()
        self.expect(self.lease["lease"] in told, "release.run did not run")


class SlotWarm(Scenario, Furnished):
    def prepare(self):
        self.slot = next(name for name, slot in self.w.slotd.slots("w").items() if slot["state"] == "ready")
        shutil.rmtree(os.path.join(self.w.slotd.slot(self.slot)["path"], "node_modules"))

    def act(self):
        # Unavailable: its worker was killed, and it is tried again
        self.w.call_or(("Unavailable",), "SlotWarm", slot=self.slot)

    def verify(self):
        self.expect_furnished(self.slot)


SCENARIOS = {cls.__name__: cls for cls in (
    Start, AcquirePlain, AcquireRef, AcquireFewerFiles, AcquireBranchOfClone, AcquireBranch, AcquireBranchAtRef, AcquireExistingBranch,
    ReleaseClean, ReleaseAtOnce, ReleaseDiscard,
    ReleaseRefused, ReleaseForced, Finish, Renew, Touch, Expiry,
    PoolAddPath, PoolAddUrl, PoolRemovePath, PoolRemoveUrl, PoolRemoveDelete, PoolPause,
    Fetch, Maintain, SlotAdd, SlotRemove, SlotRemovePacked, SlotRemoveDiscard, Resize, LedgerCopy, Rebuild,
    RebuildMissing, AcquireFurnished, ReleaseFurnished, SlotWarm)}

__all__ = ["SCENARIOS", "Error"]
