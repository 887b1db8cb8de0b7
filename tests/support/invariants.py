"""What must hold at any moment of rest, by the word of slotd, of the file system and of git."""

import os
import re

from support import git

OPERATIONS = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "BISECT_LOG", "rebase-merge",
              "rebase-apply", "sequencer")

MOVING = ("creating", "preparing", "cleaning", "recovering", "removing")  # what is on disk says nothing then


class Broken(AssertionError):
    """All that is wrong, one sentence a line."""


class Checker:
    """Remembers what it has seen, so that it notices what goes back or gets lost."""

    def __init__(self, slotd):
        self.slotd = slotd
        self.tokens = {}  # slot: (highest token, its lease)
        self.slots = set()  # every slot seen and not removed since
        self.wrong = []

    def granted(self, reply):
        """Note a lease that slotd has acknowledged."""
        self._see_token(reply["slot"], reply["token"], reply["lease"])
        self.slots.add(reply["slot"])

    def removed(self, slot):
        self.slots.discard(slot)

    def check(self, wait=True):
        """Raises Broken when something does not hold. What changed meanwhile is looked at again."""
        for _ in range(20):
            if wait:
                self.slotd.wait_quiet()
            self.wrong = []
            before = self._listings()
            self._look(*before)
            after = self._listings()
            if before == after and not any(s["state"] in MOVING for s in after[0]):
                break
        if self.wrong:
            raise Broken("\n".join(self.wrong))
        self.slots |= {s["slot"] for s in after[0]}

    def _listings(self):
        with self.slotd.client() as c:
            return (c.call("Slots")["slots"], c.call("Leases")["leases"], c.call("PoolList")["pools"])

    def _look(self, slots, leases, pools):
        self._check_leases(slots, leases)
        self._check_lost(slots)
        for pool in pools:
            if pool["state"] == "active":
                mine = [s for s in slots if s["pool"] == pool["name"]]
                self._check_disk(pool, mine)
                self._check_git(pool, mine)

    def _say(self, fmt, *args):
        self.wrong.append(fmt % args)

    def _see_token(self, slot, token, lease):
        last, owner = self.tokens.get(slot, (0, None))
        if token < last or (token == last and lease != owner):
            self._say("token of %s went from %d (%s) to %d (%s)", slot, last, owner, token, lease)
        self.tokens[slot] = (token, lease)

    def _check_leases(self, slots, leases):
        by_slot = {}
        for lease in leases:
            if lease["slot"] in by_slot:
                self._say("%s has two leases", lease["slot"])
            by_slot[lease["slot"]] = lease["lease"]
        for slot in slots:
            held = by_slot.pop(slot["slot"], None)
            if held != slot["lease"]:
                self._say("%s says lease %s, the leases say %s", slot["slot"], slot["lease"], held)
            if (slot["state"] == "leased") != (slot["lease"] is not None):
                self._say("%s is %s with lease %s", slot["slot"], slot["state"], slot["lease"])
        for name in by_slot:
            self._say("a lease of %s, which does not exist", name)

    def _check_lost(self, slots):
        for name in self.slots - {s["slot"] for s in slots}:
            self._say("%s is lost", name)

    def _check_disk(self, pool, slots):
        """Every directory has a record and an administration, and the other way round."""
        records = {s["slot"] for s in slots}
        damaged = {s["slot"] for s in slots if s["state"] == "isolated"}
        names = set(listdir(os.path.join(self.slotd.slots_dir, pool["name"])))
        temporary = {name[len(".tmp-"):] for name in names if name.startswith(".tmp-")}
        directories = {name for name in names if not name.startswith(".tmp-")}
        admins = {name[len("slotd-"):] for name in listdir(os.path.join(pool["store"], "worktrees"))
                  if name.startswith("slotd-")}
        for what, found in (("directory", directories), ("administration", admins),
                            ("directory for temporary files", temporary)):
            for name in sorted(found - records):
                self._say("%s of %s without a record", what, name)
            for name in sorted(records - found - damaged):
                self._say("record of %s without a %s", name, what)
        # who next works on a slot clears what a killed worker left of a branch being made
        # and when the store was maintained last, what is found to be garbage, what is about to be moved
        known = {"owner", "maintained", "garbage", "maintain"} | {name + end for name in records for end in (".ref", ".ref-name")}
        for name in set(listdir(os.path.join(pool["store"], "slotd"))) - known:
            self._say("%s/slotd/%s was left behind", pool["store"], name)

    def _check_git(self, pool, slots):
        store = pool["store"]
        fsck = git.run(store, "fsck", "--connectivity-only", "--no-dangling", "--no-progress",
                       check=False)
        if fsck.returncode:
            self._say("git fsck of %s: %s", store, fsck.stderr.decode(errors="replace"))
        try:
            listed = git.worktrees(store)
        except git.Failed as e:
            self._say("%s", e)
            return
        for slot in slots:
            if slot["path"] not in listed and slot["state"] != "isolated":
                self._say("git worktree list does not show %s", slot["path"])
            if slot["state"] == "ready":
                self._check_ready(slot)

    def _check_ready(self, slot):
        """A ready slot is clean, by git's own word."""
        path = slot["path"]
        try:
            status = git.run(path, "status", "--porcelain", "--untracked-files=all").stdout
            flags = [line for line in git.lines(path, "ls-files", "-v") if line[:1] in "hsS"]
            head = git.head(path)
            detached = git.run(path, "symbolic-ref", "-q", "HEAD", check=False).returncode == 1
            admin = git.text(path, "rev-parse", "--absolute-git-dir")
        except git.Failed as e:
            self._say("%s", e)
            return
        if status:
            self._say("%s is ready and not clean:\n%s", path, status.decode(errors="replace"))
        if flags:
            self._say("%s is ready with hidden entries: %s", path, flags[:5])
        if head != slot["head"]:
            self._say("%s is at %s, its record says %s", path, head, slot["head"])
        if not detached:
            self._say("%s is ready on a branch", path)
        for name in listdir(admin):
            if name in OPERATIONS or re.search(r"\.lock$", name):
                self._say("%s is ready with %s", path, name)


def listdir(path):
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []
