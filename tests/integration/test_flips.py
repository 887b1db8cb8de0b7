"""Every byte of a small repository changed, one at a time: no crash, no hang, and no "ok" where git fsck complains.

Every eighth byte; with SLOTD_SOAK_SECONDS each one. Several thousand variants: git is asked only of those that we found
nothing in.
"""

import collections
import os
import queue
import threading
import unittest

from support import git, witness, worlds
from support.runner import slow

THREADS = 2
STEP = 1 if os.environ.get("SLOTD_SOAK_SECONDS") else 8


@worlds.kind("flips", "two")
def make_flips(world):
    """Something of everything, and a conflict in a slot's index."""
    git.write(world.slot(), "README", "staged\n")
    world.git("add", "README", cwd=world.slot())
    world.write(world.admin(file="MERGE_HEAD"), world.oid("side") + "\n")
    world.git("update-ref", "refs/worktree/mine", "HEAD~1", cwd=world.slot())
    world.git("branch", "fresh")
    world.git("symbolic-ref", "refs/heads/symbolic", "refs/heads/fresh")


@worlds.kind("flips-graph", "two")
def make_flips_graph(world):
    """What git has beside the packs to find its way faster."""
    world.git("commit-graph", "write", "--reachable")
    world.git("multi-pack-index", "write")


def files(world, wanted):
    """Names of regular files of the store, and of the .git files that lead to it."""
    found = [os.path.relpath(os.path.join(path, ".git"), world.store) for _, path in world.trees()[1:]]
    for at, _, names in os.walk(world.store):
        found += [os.path.relpath(os.path.join(at, name), world.store) for name in names]
    return sorted(name for name in found if wanted(name) and os.path.getsize(world.path(name)))


def is_ordinary(path):
    return not path.startswith(("objects/info/", "hooks/", "info/")) and path != "COMMIT_EDITMSG"


def is_graph(path):
    return path in ("objects/info/commit-graph", "objects/pack/multi-pack-index")


class Flipper:
    """Tries one variant after the other in a world of its own."""

    def __init__(self, world, log):
        self.world, self.checker = world, witness.Checker(log + ".log")
        # trusts what has not changed since the variant before
        self.memory = witness.Checker(log + "-memory.log", remembers=True)
        self.counts = collections.Counter()
        self.wrong = []

    def close(self):
        return [self.checker.close(), self.memory.close()]

    def flip(self, name, at):
        content = self.world.read(name)
        mask = 0xff if at // STEP % 2 else 1
        self.world.write(name, content[:at] + bytes([content[at] ^ mask]) + content[at + 1:])
        try:
            self.judge(name, "%s, byte %d ^ %#x" % (name, at, mask))
        finally:
            self.world.write(name, content)

    def judge(self, name, variant):
        try:
            ours = self.checker.check(self.world)
            again = self.memory.check(self.world, "plain")
        except witness.Crashed as e:
            self.wrong.append("%s: %s" % (variant, e))
            return
        if ours.severity == "failed":
            self.wrong.append("%s: the check failed: %s" % (variant, ours.lines[-1]))
        if bool(again.severity) != bool(ours.severity):
            self.wrong.append("%s: a check that knew of what was before says: %s" % (variant, again.lines))
        self.counts[name, "variants"] += 1
        self.counts[name, "told"] += bool(ours.severity)
        if ours.severity:
            return
        theirs = witness.ask_git(self.world)
        self.counts[name, "asked"] += 1
        if theirs.severity:
            self.wrong.append("%s: git complains, we do not\n        %s" % (variant,
                                                                            "\n        ".join(theirs.lines[:5])))


class Flips(unittest.TestCase):
    def setUp(self):
        os.environ["GIT_AUTHOR_DATE"] = os.environ["GIT_COMMITTER_DATE"] = "1700000000 +0000"
        self.base = os.environ["SLOTD_TEST_DIR"]
        self.worlds = worlds.Worlds(os.path.join(self.base, "worlds"))

    def run_all(self, kind, wanted):
        flippers = [Flipper(self.worlds.copy(kind),
                            os.path.join(self.base, "checker-%d" % n)) for n in range(THREADS)]
        for flipper in flippers:
            self.assertEqual((flipper.checker.check(flipper.world).lines[:-1], witness.ask_git(flipper.world).lines),
                             ([], []))
        names = files(flippers[0].world, wanted)
        work = queue.Queue()
        for number, name in enumerate(names):
            for at in range(number % STEP, os.path.getsize(flippers[0].world.path(name)), STEP):
                work.put((name, at))
        threads = [threading.Thread(target=self.work, args=(flipper, work)) for flipper in flippers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.report(flippers, names)

    @staticmethod
    def work(flipper, work):
        while True:
            try:
                name, at = work.get_nowait()
            except queue.Empty:
                return
            try:
                flipper.flip(name, at)
            except Exception as e:
                flipper.wrong.append("%s, byte %d cannot be tried: %s" % (name, at, e))

    def report(self, flippers, names):
        counts = sum((flipper.counts for flipper in flippers), collections.Counter())
        print("\n%-70s %8s %8s %8s" % ("file", "variants", "told", "git too"))
        for name in names:
            print("%-70s %8d %8d %8d" % (name, *(counts[name, what] for what in ("variants", "told", "asked"))))
        total = sum(n for (_, what), n in counts.items() if what == "variants")
        wrong = [sentence for flipper in flippers for sentence in flipper.wrong]
        print("%d variants, %d wrong" % (total, len(wrong)))
        for sentence in wrong:
            print("    " + sentence)
        self.assertEqual(len(wrong), 0)
        self.assertEqual([flipper.close() for flipper in flippers], [[0, 0]] * THREADS, "exit status of the checkers")

    @slow(3600)
    def test_no_changed_byte_goes_unnoticed_that_git_fsck_notices(self):
        self.run_all("flips", is_ordinary)

    @slow(3600)
    def test_no_changed_byte_of_commit_graph_and_multi_pack_index_does(self):
        self.run_all("flips-graph", is_graph)
