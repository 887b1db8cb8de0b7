"""One state of the table, tried: made in a leased slot, released, looked at, restored, compared.

A bench is a pool with the directories beside it that one thread works with; its slots belong to nobody
else, so that what a slot looks like after its release can be looked at before the next lease.
"""

import contextlib
import os
import shutil
import stat
import struct

from support import git, slotctl, snapshot, states

TRAP = """#!/bin/sh
echo "$0 $*" >>%s
exec cat
"""


PATIENCE = 900 if states.FULL else 60  # s for one call

ESSENTIAL = {b"HEAD", b"commondir", b"gitdir", b"index", b"locked"}


class Result:
    """How it went: outcome, the summary of the salvage, what is wrong (sentences)."""

    def __init__(self, state):
        self.state, self.outcome, self.summary, self.wrong, self.seconds = state, "", "", [], 0

    def __str__(self):
        return "%-55s %-9s %s" % (self.state.name, self.outcome or "-", "; ".join(self.summary.splitlines()))


class Bench:
    """A pool for trials, one at a time."""

    def __init__(self, slotd, pool, repository, directory):
        self.slotd, self.pool, self.directory = slotd, pool, directory
        self.repository, self.store = repository, os.path.join(repository, ".git")
        self.outside = os.path.join(directory, "outside")
        os.makedirs(self.outside)
        self.trapped = os.path.join(directory, "trapped")
        git.write(self.outside, "trap", TRAP % self.trapped, 0o755)
        git.commit(git.init(os.path.join(self.outside, "other")), "elsewhere", README="elsewhere\n")
        self.fresh = None  # what a slot looks like when it is handed out
        self.wanted = {}  # object: state that needs it
        self.count = 0

    def acquire(self, agent):
        return self.slotd.acquire(self.pool, agent=agent, waitUsec=60000000)

    def traps(self):
        """What ran that should not have run, since it was asked last."""
        try:
            with open(self.trapped, encoding="utf-8", errors="replace") as f:
                said = f.read()
            os.unlink(self.trapped)
            return said
        except FileNotFoundError:
            return ""

    @contextlib.contextmanager
    def shared_kept(self):
        """What all slots share is afterwards as it was: configuration, excludes, attributes, hooks, the stash."""
        names = ("config", "info/exclude", "info/attributes")
        before = {name: snapshot.read(os.path.join(self.store, name)) for name in names}
        hooks = set(os.listdir(os.path.join(self.store, "hooks")))
        try:
            yield
        finally:
            for name, content in before.items():
                path = os.path.join(self.store, name)
                if content is not None:
                    git.write(self.store, name, content)
                elif os.path.lexists(path):
                    os.unlink(path)
            for name in set(os.listdir(os.path.join(self.store, "hooks"))) - hooks:
                os.unlink(os.path.join(self.store, "hooks", name))

    def missing_objects(self):
        """After a gc that keeps nothing else: {state: objects that no reference leads to}."""
        git.run(self.repository, "stash", "clear")
        git.run(self.store, "reflog", "expire", "--expire=now", "--all")
        git.run(self.store, "gc", "-q", "--prune=now")
        there = set(git.lines(self.store, "rev-list", "--objects", "--no-object-names", "--single-worktree", "--all"))
        missing = {}
        for oid in set(self.wanted) - there:
            missing.setdefault(self.wanted[oid], []).append(oid)
        return missing


class Trial:
    """run() returns the Result."""

    def __init__(self, bench, state):
        self.bench, self.state = bench, state
        bench.count += 1
        self.name = "n%d" % bench.count
        self.result = Result(state)

    def say(self, fmt, *args):
        self.result.wrong.append(fmt % args if args else fmt)

    def run(self):
        with self.bench.shared_kept():
            slot = self.make()
            try:
                self.release(slot)
            finally:
                for fn in reversed(slot.finals):
                    fn()
        return self.result

    # --- made

    def make(self):
        slot = states.Slot(self.bench.acquire("maker"), self.name, self.bench.outside)
        self.sweep_up(slot)
        self.names = set(snapshot.walk(slot.admin))
        self.state.make(slot)
        self.before = snapshot.Snapshot(slot, states.is_ignored)
        for oid in snapshot.objects_of(slot, slot.roots) if self.state.outcome != states.ISOLATED else ():
            self.bench.wanted.setdefault(oid, self.state.name)
        for fn in slot.lasts:
            fn()
        for name in self.state.special:
            self.before.files.pop(os.fsencode(name), None)
        self.bench.traps()
        self.canaries = snapshot.walk(self.bench.outside)
        return slot

    def sweep_up(self, slot):
        """What the state before left goes, if it was allowed to or not: it has been judged."""
        for name in os.listdir(slot.admin):
            if os.fsencode(name) not in ESSENTIAL | {b"logs", b"refs"}:
                remove(os.path.join(slot.admin, name))
        git.write(slot.admin, "logs/HEAD")
        slot.git("clean", "-ffdxq")
        now = snapshot.walk(slot.path)
        if self.bench.fresh is None:
            self.bench.fresh = now
        for path in (path for path, what in now.items() if self.bench.fresh.get(path) != what):
            remove(os.path.join(os.fsencode(slot.path), path))
        if now != self.bench.fresh:
            slot.git("checkout-index", "-qfau")

    # --- released

    def release(self, slot):
        with self.bench.slotd.client(PATIENCE) as client:
            reply = client.call("Release", lease=slot.lease["lease"])
        self.result.outcome = {"ready": states.CLEAN}.get(reply["state"], reply["state"])
        saved = self.salvages(slot)
        self.look_outside("the release")
        if reply["state"] == "isolated":
            self.result.summary = reply["reason"] or ""
            self.check_isolated(slot, reply)
            return
        if saved:
            self.result.outcome = states.SAVED
            self.result.summary = saved[-1]["summary"]
        if self.result.outcome != self.state.outcome:
            self.say("it was to be %s%s and is %s: %s", self.state.outcome,
                     self.state.reason and " (%s)" % self.state.reason, self.result.outcome, reply)
        told = (reply["salvage"] or {}).get("id")
        if told != (saved[-1]["id"] if saved else None):
            self.say("the release tells of salvage %s", told)
        self.check_clean(slot)
        if saved:
            self.check_saved(slot, saved)

    def salvages(self, slot):
        listed = slotctl.run("--json", "salvage", "list", socket=self.bench.slotd.socket)
        if listed.status:
            self.say("%s", listed)
            return []
        mine = [s for s in listed.json()["salvage"] if s["lease"] == slot.lease["lease"]]
        return sorted(mine, key=lambda s: int(s["id"].rpartition("/")[2]))

    def look_outside(self, what):
        """No trap was sprung, no canary touched."""
        ran = self.bench.traps()
        if ran:
            self.say("%s ran foreign code: %s", what, ran)
        now = snapshot.walk(self.bench.outside)
        for sentence in snapshot.differences(self.canaries, now, "outside"):
            self.say("%s: %s", what, sentence)

    def check_isolated(self, slot, reply):
        if self.state.outcome != states.ISOLATED:
            self.say("it was to be %s and is isolated: %s", self.state.outcome, reply["reason"])
        elif self.state.reason not in (reply["reason"] or ""):
            self.say("the reason does not say %s: %s", self.state.reason, reply["reason"])
        if not os.path.islink(slot.path) and os.path.isdir(slot.path) and os.path.isdir(slot.admin):
            now = snapshot.same_modules(snapshot.walk(slot.path), slot.path, slot.admin)
            for path in set(self.before.files) - {path for path in now if self.before.files.get(path) == now[path]}:
                if not slot.finals and "files" not in self.state.left_out:
                    self.say("isolated, and not as it was: %s", snapshot.show(path))

    # --- clean

    def check_clean(self, slot):
        lines = git.lines(slot.path, "-c", "core.fsmonitor=false", "status", "--porcelain=v2", "--branch", "--ignored",
                          "--untracked-files=all")
        info = self.bench.slotd.slot(slot.lease["slot"])
        head = git.head(self.bench.store, "refs/heads/main")
        if lines[:2] != ["# branch.oid " + head, "# branch.head (detached)"] or info["head"] != head:
            self.say("HEAD is not at %s: %s, the record says %s", head, lines[:2], info["head"])
        kept = sorted("! " + name for name in self.state.kept)
        if sorted(lines[2:]) != kept:
            self.say("git status after the release is %s, and should be %s", lines[2:][:10], kept)
        flags = [line for option in ("-v", "-t") for line in git.lines(slot.path, "ls-files", option)
                 if not line.startswith("H ")]
        if flags:
            self.say("flags in the index: %s", flags[:5])
        self.check_index(slot)
        self.check_admin(slot)
        self.check_files(slot)

    def check_index(self, slot):
        index = snapshot.read(os.path.join(slot.admin, "index")) or b""
        version, names = index_extensions(index)
        if version != 2 or names - {b"TREE"}:
            self.say("the index is of version %s, with %s", version, names)

    def check_admin(self, slot):
        if "clean admin" in self.state.left_out:
            return
        names = {name for name in snapshot.walk(slot.admin) if not name.startswith(b"modules") and name != b"info"}
        if names - self.names - {b"logs", b"logs/HEAD"}:
            self.say("the administration has %s", sorted(names - self.names))
        if ESSENTIAL - names:
            self.say("the administration lacks %s", sorted(ESSENTIAL - names))
        known = set(git.lines(self.bench.store, "rev-list", "refs/heads/main")) | {"0" * 40}
        left = [snapshot.show(why) for old, new, why in snapshot.read_log(os.path.join(slot.admin, "logs/HEAD"))
                if not {old.decode(), new.decode()} <= known]
        if left:
            self.say("the log of HEAD tells of commits of the agent: %s", left[:4])
        refs = git.lines(slot.path, "for-each-ref", "refs/worktree", "refs/bisect", "refs/rewritten")
        if refs:
            self.say("references of the worktree: %s", refs)

    def check_files(self, slot):
        """What is there is what is there in a new slot, modes aside that git does not know."""
        if "clean files" in self.state.left_out:
            return
        above = {os.fsencode(os.path.dirname(name)) for name in self.state.kept}
        now = {path: what for path, what in snapshot.walk(slot.path).items()
               if not states.is_ignored(path) and os.fsdecode(path) not in self.state.kept
               and path not in above and path != b"build"}
        for sentence in snapshot.differences(plain(self.bench.fresh), plain(now), "clean"):
            self.say("%s", sentence)

    # --- restored

    def check_saved(self, slot, saved):
        if len(saved) != 1:
            self.say("it was saved %d times: %s", len(saved), [s["summary"] for s in saved])
        identity = saved[-1]["id"]
        for name in self.state.special:
            shown = slotctl.run("salvage", "show", identity, socket=self.bench.slotd.socket)
            if shown.status or name not in shown.out:
                self.say("salvage show does not name %s: %s", name, shown)
        self.restore_into_slot(identity)
        self.restore_into_directory(slot, identity)

    def restore_into_slot(self, identity):
        lease = self.bench.acquire("maker" if self.bench.count % 2 else "other")
        slot = states.Slot(lease, self.name, self.bench.outside)
        self.sweep_up(slot)
        self.bench.traps()
        done = slotctl.run("salvage", "restore", identity, socket=self.bench.slotd.socket, cwd=slot.path,
                           env={"SLOT_LEASE": lease["lease"]}, timeout=PATIENCE)
        self.look_outside("salvage restore")
        if done.status:
            self.say("%s", done)
        else:
            self.compare(slot)
        self.bench.slotd.release(lease["lease"], discard=True)

    def compare(self, slot):
        parts = [part for part in snapshot.PARTS if part not in self.state.left_out]
        for sentence in self.before.compare(snapshot.Snapshot(slot, states.is_ignored), parts):
            self.say("restored: %s", sentence)
        if self.state.then:
            try:
                self.state.then(slot)
            except git.Failed as e:
                self.say("going on: %s", e)

    def restore_into_directory(self, slot, identity):
        to = os.path.join(self.bench.directory, "to")
        self.bench.traps()
        done = slotctl.run("salvage", "restore", identity, "--to", to, socket=self.bench.slotd.socket,
                           timeout=PATIENCE)
        self.look_outside("salvage restore --to")
        if done.status:
            self.say("%s", done)
            return
        if not self.state.left_out & {"files", "directory"}:
            after = snapshot.same_modules(snapshot.walk(to), to, slot.admin)
            for sentence in snapshot.differences(snapshot.without_empty(self.before.files),
                                                 snapshot.without_empty(after), "restored to a directory"):
                self.say("%s", sentence)
        remove(to)


def index_extensions(index):
    """The version of an index, and the names of its extensions (version 2 only)."""
    if index[:4] != b"DIRC":
        return None, set()
    version, entries = struct.unpack(">II", index[4:12])
    at, names = 12, set()
    for _ in range(entries if version == 2 else 0):
        at += (index.index(b"\0", at + 62) - at + 8) // 8 * 8
    while version == 2 and at < len(index) - 20:
        names.add(index[at:at + 4])
        at += 8 + struct.unpack(">I", index[at + 4:at + 8])[0]
    return version, names


def plain(files):
    """What git knows of files, and the bits that must not stay with a next agent."""
    kept = {}
    for path, what in files.items():
        if what[0] == "file":
            what = ("file", oct(int(what[1], 8) & (stat.S_IXUSR | 0o7000)), *what[2:])
        elif what[0] == "directory":
            what = ("directory",)
        kept[path] = what
    return kept


def remove(path):
    """A directory goes, whatever modes there are in it."""
    def again(function, name, _):
        os.chmod(os.path.dirname(name), stat.S_IRWXU)
        if not os.path.islink(name):
            os.chmod(name, stat.S_IRWXU)
        function(name)
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, onerror=again)
    else:
        os.unlink(path)
