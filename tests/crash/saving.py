"""Operations that save what a holder left: it is in his slot or in a salvage, at every moment, and at last in one."""

import os
import shutil

from crash.kept import Kept
from crash.scenarios import Scenario
from support import git, salvage, slotctl, wait
from support.paths import product


class Saving(Scenario):
    """What has to be kept is in self.kept from prepare() on; each death is looked at before slotd comes up again."""

    pool = "p"
    watched = True

    def lease_and_change(self, **parameters):
        self.lease = self.w.acquire(self.pool, **parameters)
        self.change(self.lease["path"])
        self.keep()

    def change(self, path):
        """Staged, and changed again; committed to no branch, left behind by a reset; gone; converted; odd."""
        git.commit(path, "left behind", behind="x")
        git.run(path, "reset", "-q", "--hard", "HEAD~1")
        git.commit(path, "on no branch", ahead="x", **{".gitattributes": "*.txt text\n"})
        git.write(path, "README", "staged\n")
        git.write(path, "added", "staged\n")
        git.run(path, "add", "README", "added")
        git.write(path, "README", "and changed\n")
        git.write(path, "dos.txt", "one\r\ntwo\r\n")
        git.write(path, "untracked/deep/er/file", "x")
        git.write(path, "untracked/git~1", "not for git\n")
        git.write(path, "cache.log", "ignored\n")
        os.symlink("nowhere", os.path.join(path, "dangling"))
        os.chmod(os.path.join(path, "README"), 0o600)
        shutil.rmtree(os.path.join(path, "src"))
        os.unlink(os.path.join(path, "run.sh"))
        git.write(path, "run.sh/now", "a directory\n")

    def keep(self, lease=None):
        stores = {p["name"]: p["store"] for p in self.w.call("PoolList")["pools"]}
        self.kept = Kept(stores[self.pool], lease or self.lease)
        self.before = self.kept.refs()
        self.expect(self.kept.count() > 1, "there is hardly anything to keep")

    def look(self):
        return self.kept.lost()

    def state(self):
        return self.w.slotd.slot(self.lease["slot"])["state"]

    def expect_saved(self, lease):
        """All of it is in one salvage, and slotd knows that. lease: whose; None: nobody's."""
        new = set(self.kept.refs()) - set(self.before)
        self.expect(len(new) == 1, "there are these salvages: %s" % sorted(new))
        lacking = self.kept.lacks(*new)
        self.expect(not any(lacking), "the salvage lacks %s" % [some for some in lacking if some])
        found = {s["ref"]: s for s in self.w.call("SalvageList", slot=self.kept.slot)["salvage"]}
        self.expect(new <= set(found), "slotd knows of %s only" % sorted(found))
        entry = found[new.pop()]
        self.expect((entry["lease"], bool(entry["summary"])) == (lease, True), "it is told of as %s" % entry)
        # it was found when a store was opened whose last job could not tell of it
        told = self.kinds_of(entry["id"])
        self.expect(told in (["salvaged"], ["salvage_found"]), "told: %s" % told)

    def kinds_of(self, name):
        """What is told of a salvage."""
        return [e["kind"] for e in self.w.slotd.events() if e["detail"] and name in e["detail"]]

    def expect_back(self):
        self.expect(self.lease["lease"] not in self.w.slotd.leases(), "a released lease is back")
        self.expect(self.state() == "ready", "the slot is " + self.state())
        self.expect_saved(self.lease["lease"])
        self.expect(git.read(self.lease["path"], "cache.log") == b"ignored\n", "what is ignored is gone")


class ReleaseSaved(Saving):
    def prepare(self):
        self.lease_and_change()

    def act(self):
        self.w.call_or(("LeaseGone",), "Release", lease=self.lease["lease"])

    def verify(self):
        self.expect_back()


class ReleaseSavedOfMerge(ReleaseSaved):
    """In the middle of a merge, on a branch."""

    def prepare(self):
        self.lease_and_change(branch=self.w.fresh("branch"))

    def change(self, path):
        git.commit(path, "mine", README="mine\n")
        git.run(path, "checkout", "-q", "-b", self.w.fresh("theirs"), "HEAD~1")
        git.commit(path, "theirs", README="theirs\n", other="theirs\n")
        git.run(path, "merge", "-q", self.lease["branch"], check=False)
        self.expect("UU README" in git.text(path, "status", "--porcelain"), "there is no conflict")
        git.write(path, "cache.log", "ignored\n")


class ReleaseSavedWithoutIndex(ReleaseSaved):
    """What is in the slot is compared with HEAD then."""

    def change(self, path):
        git.write(path, "README", "changed\n")
        git.write(path, "untracked/file", "x")
        git.write(path, "cache.log", "ignored\n")
        git.write(self.lease["gitDir"], "index", "no index\n")


class SalvageDrop(Saving):
    """Killed between its steps it is finished, and nobody is told that it was lost."""

    watched = False

    def prepare(self):
        self.lease_and_change()
        self.id = self.w.call("Release", lease=self.lease["lease"])["salvage"]["id"]

    def act(self):
        # Conflict: it goes on with it by itself
        self.w.call_or(("NotFound", "Conflict"), "SalvageDrop", id=self.id)

    def verify(self):
        wait.until(lambda: not self.w.call("SalvageList", lease=self.lease["lease"])["salvage"], "it is dropped", 60)
        self.expect(set(self.kept.refs()) <= set(self.before), "its ref is still there")
        told = self.kinds_of(self.id)
        self.expect(told == ["salvaged", "salvage_dropped"], "told: %s" % told)
        self.expect(git.is_clean(self.lease["path"]), "the slot is not clean")


class SalvageBranch(Saving):
    """As one ordinary commit, the same each time."""

    watched = False

    def prepare(self):
        self.lease_and_change()
        self.told = self.w.call("Release", lease=self.lease["lease"])["salvage"]
        self.branch = self.w.fresh("rescued")

    def act(self):
        self.reply = self.w.call("SalvageBranch", id=self.told["id"], branch=self.branch)

    def verify(self):
        tip, saved = git.head(self.kept.store, self.branch), self.told["commit"]
        self.expect(tip == self.reply["commit"], "the branch is not where the reply says")
        for what in ("^{tree}", "^1"):
            self.expect(git.head(self.kept.store, tip + what) == git.head(self.kept.store, saved + what),
                        "%s of the branch is not that of the salvage" % what)
        self.expect(git.head(self.kept.store, self.told["ref"]) == saved, "the salvage is gone")


class Restoring(Saving):
    """By slotctl, with a worker of its own; it is called again until it has ended well."""

    watched = False

    def prepare(self):
        self.lease_and_change()
        self.was = salvage.look(self.lease["path"]), salvage.state(self.lease["path"])
        self.told = self.w.call("Release", lease=self.lease["lease"])["salvage"]

    def arguments(self):
        """(options of slotctl, working directory)"""
        raise NotImplementedError

    def act(self):
        env = {"SLOTD_CRASH_FILE": self.w.crash.path, "SLOTD_WORKER": product("slotd-worker")}
        for _ in range(10):
            self.w.revive()
            options, cwd = self.arguments()
            done = slotctl.run("salvage", "restore", self.told["id"], *options, socket=self.w.slotd.socket, env=env,
                               cwd=cwd)
            if done.status == 0:
                return
        raise AssertionError("it was never restored: %s" % done)

    def expect_restored(self, path):
        found, was = salvage.look(path), dict(self.was[0])
        was.pop(b"cache.log")  # is ignored, and not saved
        found.pop(b"cache.log", None)
        self.expect(found == was, "it is not as it was: %s" % sorted(set(found.items()) ^ set(was.items())))
        self.expect(git.head(self.kept.store, self.told["ref"]) == self.told["commit"], "the salvage is gone")


class RestoreSlot(Restoring):
    def prepare(self):
        super().prepare()
        self.other = self.w.acquire(bind="manual")

    def arguments(self):
        return (), self.other["path"]

    def verify(self):
        self.expect_restored(self.other["path"])
        state = salvage.state(self.other["path"])
        self.expect(state == self.was[1], "git says:\n%s\nit said:\n%s" % (state, self.was[1]))
        left = [name for name in os.listdir(self.other["gitDir"]) if "slotd" in name or name.endswith(".lock")]
        self.expect(not left, "left in the administration: %s" % left)


class RestoreSlotOfMerge(RestoreSlot):
    def change(self, path):
        ReleaseSavedOfMerge.change(self, path)

    def lease_and_change(self, **parameters):
        super().lease_and_change(branch=self.w.fresh("branch"), **parameters)


class RestoreDirectory(Restoring):
    """One that was killed leaves what it has made; it is for who asked to take that away."""

    def arguments(self):
        self.target = os.path.join(self.w.root, self.w.fresh("restored"))
        return ("--to", self.target), "/"

    def verify(self):
        self.expect_restored(self.target)


class ExpirySaved(Saving):
    pool = "brief"

    def prepare(self):
        self.lease_and_change()

    def act(self):
        wait.until(lambda: self.w.call("Leases", pool="brief")["leases"] == [], "the lease expires", 30, 0.1)

    def verify(self):
        self.expect_back()


class SlotRemoveSaved(Saving):
    """Somebody has worked in a slot that he had not leased."""

    def prepare(self):
        lease = self.w.acquire()
        self.w.call("Release", lease=lease["lease"])
        self.w.rest()
        self.change(lease["path"])
        self.keep(lease)
        self.lease = lease

    def act(self):
        self.w.checker.removed(self.lease["slot"])
        # Conflict: it is being removed already; verify() tells that from a refusal
        self.w.call_or(("NotFound", "Conflict"), "SlotRemove", slot=self.lease["slot"])
        self.w.rest()
        self.w.checker.removed(self.lease["slot"])

    def verify(self):
        self.expect(self.lease["slot"] not in self.w.slotd.slots(), "the slot is still there")
        self.expect(not os.path.exists(self.lease["path"]), "the directory is still there")
        self.expect_saved(None)


class RebuildSaved(Saving):
    """The ledger is lost, and with it the lease of somebody who was at work."""

    errors = ("the ledger cannot be used and is rebuilt",)
    rebuilds = True

    def prepare(self):
        self.w.slotd.copy_ledger()
        self.lease_and_change(bind="manual")
        self.w.slotd.stop()
        shutil.rmtree(os.path.join(self.w.slotd.state_dir, "ledger"))

    def act(self):
        self.w.revive()

    def verify(self):
        self.expect(self.lease["lease"] not in self.w.slotd.leases(), "how can it know of that lease?")
        # who had it may still be at work
        self.expect(self.state() == "isolated", "the slot is " + self.state())
        self.expect(not any(some - there for some, there in zip(self.kept.everything(), self.kept.is_in_slot())),
                    "the slot was touched")
        self.expect_saved(None)


SCENARIOS = {cls.__name__: cls for cls in (
    ReleaseSaved, ReleaseSavedOfMerge, ReleaseSavedWithoutIndex, SalvageDrop, SalvageBranch, RestoreSlot,
    RestoreSlotOfMerge, RestoreDirectory, ExpirySaved, SlotRemoveSaved, RebuildSaved)}
