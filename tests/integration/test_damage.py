"""Every damage of the table (support/damages.py) and every clean repository, as git fsck sees it and as slotd does.

SLOTD_DAMAGE_ONLY=REGEX: a part of the tables.
"""

import os
import queue
import re
import subprocess
import threading
import time
import traceback
import unittest

from support import (damages, damages_clean, damages_content, damages_files, damages_links,  # noqa: F401
                     damages_modes, damages_objects, damages_packs, damages_worktrees, witness, worlds)
from support.runner import slow

THREADS = 2
NOBODY = 65534
HANGS = 3  # s that a git gets which is expected to hang

SOAK = bool(os.environ.get("SLOTD_SOAK_SECONDS"))


class Result:
    """How it went with one entry: what git said, what we said, what is wrong (sentences)."""

    def __init__(self, entry):
        self.entry, self.git, self.ours, self.wrong, self.seconds = entry, None, None, [], 0

    def say(self, fmt, *args):
        self.wrong.append(fmt % args)

    def __str__(self):
        git = self.git.severity or "-" if self.git else "?"
        ours = self.ours.severity or "-" if self.ours else "?"
        ids = sorted(self.ours.ids) if self.ours else []
        why = getattr(self.entry, "blind", None) or getattr(self.entry, "excused", None)
        told = "; git: " + why if why else ""
        both = sorted(self.git.ids) if self.git else []
        return "%-70s %-8s %-8s %s%s%s" % (self.entry.name, git, ours, " ".join(ids),
                                           " (git too: %s)" % " ".join(both) if both else "", told)


def slots_of(entry):
    return worlds.SLOTS if entry.slots else ()


class Judge:
    """Tries entries one after the other, with checkers of its own."""

    def __init__(self, all_worlds, directory):
        self.worlds = all_worlds
        os.makedirs(directory)
        self.full = witness.Checker(os.path.join(directory, "full.log"))
        self.memory = witness.Checker(os.path.join(directory, "memory.log"), remembers=True)

    def close(self):
        return [checker.close() for checker in (self.full, self.memory)]

    # --- damages

    def judge(self, damage):
        result, began = Result(damage), time.monotonic()
        world = self.worlds.copy(damage.kind)
        try:
            self.memory.check(world, "plain", slots_of(damage))
            damage.make(world)
            self.ask(world, damage, result)
            self.compare(damage, result)
        except Exception:  # an entry that cannot be tried has failed; the others go on
            result.say("%s", traceback.format_exc())
        self.worlds.drop(world)
        result.seconds = time.monotonic() - began
        return result

    def ask(self, world, damage, result):
        slots = slots_of(damage)
        result.ours = self.full.check(world, slots=slots)
        result.git = witness.ask_git(world, not damage.once, HANGS if damage.hangs else 120)
        again = self.memory.check(world, "plain", slots)
        if bool(again.severity) != bool(result.ours.severity):
            result.say("a check that knew of what was before says: %s", again.lines)
        quick = self.full.check(world, "quick", slots)
        if quick.severity and not result.ours.severity or (damage.quick and not quick.severity):
            result.say("a quick check says: %s", quick.lines)

    def compare(self, damage, result):
        git, ours = result.git, result.ours
        verdict = git.severity if git.severity == "hangs" else "complaint" if git.severity else ""
        if verdict != damage.verdict and not (damage.hangs and verdict):
            result.say("git was to say %s, and said %s", damage.verdict or "nothing", git.lines or "nothing")
        if ours.severity == "failed":
            result.say("the check failed")
        if git.severity and not ours.severity and not damage.excused:
            result.say("git complains, we do not")
        if damage.excused and ours.severity:
            result.say("we complain as git does, and should not")
        if damage.blind and not ours.severity:
            result.say("where git is blind, we are, too")
        # what git calls a warning even with --strict may be one of ours
        if not git.severity and not damage.blind and ours.severity and not (git.ids and ours.severity == "warning"):
            result.say("git does not complain, we do")
        missing = (git.ids | set(damage.ids)) - ours.ids
        if missing:
            result.say("not told: %s", sorted(missing))
        self.compare_places(damage, result)
        if result.wrong:
            result.wrong += ["git: %s" % line for line in git.lines[:8]]
            result.wrong += ["ours: %s" % line for line in ours.lines[:12]]

    @staticmethod
    def compare_places(damage, result):
        first = [f for f in result.ours.findings if not damage.ids or f.id == damage.ids[0]]
        if damage.slot and not any(f.slot == damage.slot for f in first):
            result.say("no finding is of slot %s", damage.slot)
        if damage.path and not any(damage.path in f.path for f in result.ours.findings):
            result.say("no finding has %s in its path", damage.path)

    # --- clean

    def judge_clean(self, clean):
        result, began = Result(clean), time.monotonic()
        world = self.worlds.copy(clean.kind)
        try:
            clean.make(world)
            result.git = witness.ask_git(world)
            slots = slots_of(clean)
            result.ours = self.full.check(world, slots=slots)
            verdicts = [(result.git, "git"), (result.ours, "slotd"),
                        (self.memory.check(world, "plain", slots), "plain"),
                        (self.memory.check(world, "plain", slots), "plain, again")]
            if clean.quick:
                verdicts.append((self.full.check(world, "quick", slots), "quick"))
            for verdict, who in verdicts:
                if verdict.severity:
                    result.say("%s complains: %s", who, "\n        ".join(verdict.lines))
        except Exception:
            result.say("%s", traceback.format_exc())
        self.worlds.drop(world)
        result.seconds = time.monotonic() - began
        return result


class Damages(unittest.TestCase):
    def setUp(self):
        base = os.environ["SLOTD_TEST_DIR"]
        # names of objects are the same each time
        os.environ["GIT_AUTHOR_DATE"] = os.environ["GIT_COMMITTER_DATE"] = "1700000000 +0000"
        self.worlds = worlds.Worlds(os.path.join(base, "worlds"))
        self.base = base

    def run_table(self, table, method):
        work, results = queue.Queue(), {}
        for entry in table:
            work.put(entry)
        judges = [Judge(self.worlds, os.path.join(self.base, "judge-%d" % n)) for n in range(THREADS)]
        threads = [threading.Thread(target=self.work, args=(judge, method, work, results)) for judge in judges]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.report(table, results)
        self.assertEqual([judge.close() for judge in judges], [[0, 0]] * THREADS, "exit status of the checkers")

    @staticmethod
    def work(judge, method, work, results):
        while True:
            try:
                entry = work.get_nowait()
            except queue.Empty:
                return
            results[entry.name] = getattr(judge, method)(entry)

    def report(self, table, results):
        print("\n%-70s %-8s %-8s %s" % ("what", "git", "slotd", "ids"))
        for entry in table:
            print(results[entry.name])
        failed = [results[entry.name] for entry in table if results[entry.name].wrong]
        for result in failed:
            print("\n--- %s" % result.entry.name)
            for sentence in result.wrong:
                print("    " + sentence)
        blind = [entry for entry in table if getattr(entry, "blind", None)]
        print("\n%d entries, %d that git is blind for, %d failed" % (len(table), len(blind), len(failed)))
        slowest = sorted(results.values(), key=lambda r: -r.seconds)[:5]
        print("slowest: " + ", ".join("%s %.1f s" % (r.entry.name, r.seconds) for r in slowest))
        self.assertEqual([result.entry.name for result in failed], [])

    @staticmethod
    def wanted(table):
        only = os.environ.get("SLOTD_DAMAGE_ONLY", "")
        return [entry for entry in table if re.search(only, entry.name)]

    @slow(900)
    def test_every_damage_that_git_fsck_sees_is_found_and_what_it_is_blind_to(self):
        own = {None, "root" if os.getuid() == 0 else "user"}
        table = [damage for damage in self.wanted(damages.TABLE) if damage.needs in own and (not damage.slow or SOAK)]
        self.run_table(table, "judge")

    @slow(300)
    def test_damages_for_who_is_not_root(self):
        if os.getuid() != 0:
            self.skipTest("the other test did it: this is not root")
        if subprocess.run(["test", "-x", witness.program()], user=NOBODY, group=NOBODY, extra_groups=[],
                          check=False).returncode:
            self.skipTest("the build is in a directory that only root may enter")
        os.chown(self.base, NOBODY, NOBODY)
        os.chown(self.worlds.directory, NOBODY, NOBODY)
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        self.run_table([damage for damage in self.wanted(damages.TABLE) if damage.needs == "user"], "judge")

    @slow(600)
    def test_nothing_is_wrong_in_a_clean_repository(self):
        self.run_table(self.wanted(damages.CLEAN), "judge_clean")
