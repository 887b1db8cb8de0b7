"""What slotd saved of a slot, read by git(1): see src/git/salvage-read.h for its form."""

from support import git


class Saved:
    """One salvage. store: the repository that has it; told: as replies of slotd name it."""

    def __init__(self, store, told):
        self.store, self.id, self.lease = store, told["id"], told["lease"]
        self.ref, self.commit, self.summary = told["ref"], told["commit"], told["summary"]

    def show(self, where, name):
        """The bytes of a path in one of its commits, None if there is none."""
        done = git.run(self.store, "show", "%s%s:%s" % (self.commit, where, name), check=False)
        return None if done.returncode else done.stdout

    def read(self, name):
        """A file as it was in the slot."""
        exact = self.show("^3", "files/" + name)
        return self.show("", name) if exact is None else exact

    def staged(self, name):
        return self.show("^2", name)

    def state(self, name):
        """A file of the slot's administration."""
        return self.show("^3", "state/" + name)

    def has(self, commit):
        """Is a commit of the agent's reachable from it?"""
        return git.run(self.store, "merge-base", "--is-ancestor", commit, self.ref, check=False).returncode == 0


def find(slotd, **which):
    """Those that slotd lists, oldest first; which: as in SalvageList."""
    stores = {p["name"]: p["store"] for p in slotd.call("PoolList")["pools"]}
    return [Saved(stores[s["pool"]], s) for s in slotd.call("SalvageList", **which)["salvage"]]


def of_lease(slotd, lease):
    return find(slotd, lease=lease)


def of_slot(slotd, slot):
    return find(slotd, slot=slot)
