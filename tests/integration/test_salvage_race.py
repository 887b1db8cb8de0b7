"""An agent that goes on writing while its slot is saved and cleaned: nothing that it wrote is lost.

20 s of it, half with commits and staged files, half with a git gc beside; SLOTD_SOAK_SECONDS takes longer.
"""

import collections
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

from support import git, paths, snapshot, states
from support.case import Case
from support.runner import slow

SECONDS = float(os.environ.get("SLOTD_SOAK_SECONDS", "20"))
TOKEN = re.compile(rb"token \w+ \d+ [0-9a-f]{16}\n")
OVERLAP = 60  # longer than a token


def tokens_in(stream):
    """All tokens that can be read from a stream."""
    found, rest = set(), b""
    while block := stream.read(1 << 20):
        rest += block
        found.update(TOKEN.findall(rest))
        rest = rest[-OVERLAP:]
    return found


def tokens_below(directory):
    found = set()
    for path, what in snapshot.walk(directory).items():
        if what[0] == "file":
            with open(os.path.join(os.fsencode(directory), path), "rb") as f:
                found |= tokens_in(f)
    return found


class SalvageRace(Case):
    def start_writer(self, lease, what):
        self.aside, self.canary, self.journal = self.path("aside"), self.path("canary"), self.path("journal")
        os.mkdir(self.aside)
        for name in ("main.c", "list.txt", "deep/er/file.txt", "er/file.txt", "other"):
            git.write(self.canary, name, "victim\n")
        self.canaries = snapshot.walk(self.canary)
        with open(self.journal, "wb") as out:
            self.writer = subprocess.Popen(
                [sys.executable, "-m", "support.writer", lease["path"], lease["gitDir"], self.aside, self.canary,
                 str(os.getpid()), what], stdout=out, cwd=paths.TESTS)
        self.addCleanup(self.writer.kill)

    def end_writer(self):
        self.writer.send_signal(signal.SIGCONT)
        self.writer.terminate()
        self.assertEqual(self.writer.wait(60), 0)
        with open(self.journal, "rb") as f:
            return tokens_in(f)

    def one_round(self, slotd):
        """A lease, for a moment; what the slot was afterwards."""
        lease = slotd.acquire("p", waitUsec=60000000)
        time.sleep(random.uniform(0, 0.2))
        reply = slotd.release(lease["lease"])
        if reply["state"] == "isolated":
            # who wrote all the time is asked to wait until it was saved
            self.writer.send_signal(signal.SIGSTOP)
            print("isolated: %s" % reply["reason"])
            self.ok(slotd, "ping", "reset", "--yes", timeout=120)
            slotd.wait_state(reply["slot"], "ready")
            self.writer.send_signal(signal.SIGCONT)
        self.assertEqual(snapshot.differences(self.canaries, snapshot.walk(self.canary), "canary"), [])
        return reply["state"]

    def saved_tokens(self, store):
        """What is in any file, message or staged file that a salvage leads to."""
        listed = self.path("objects")
        names = git.text(store, "for-each-ref", "--format=%(objectname)", "refs/slotd/salvage")
        with open(listed, "wb") as f:
            f.write(git.run(store, "rev-list", "--objects", "--no-object-names", "--stdin",
                            data=names.encode() + b"\n").stdout)
        with open(listed, "rb") as f, subprocess.Popen(["git", "-C", store, "cat-file", "--batch"], stdin=f,
                                                       stdout=subprocess.PIPE) as reader:
            return tokens_in(reader.stdout)

    @contextlib.contextmanager
    def gc_beside(self, repository):
        """Somebody runs git gc in the store again and again, which keeps nothing for later."""
        ended, done = threading.Event(), []

        def run():
            while not ended.wait(1):
                done.append(git.run(repository, "gc", "-q", "--prune=now", check=False).returncode)
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
        self.assertIn(0, done, "git gc never came through")

    @slow(SECONDS * 2 + 200)
    def test_nothing_is_lost_of_what_is_written_meanwhile(self):
        with self.gc_beside(self.path("repository")):
            self.race("files")

    @slow(SECONDS * 2 + 200)
    def test_nothing_is_lost_of_what_is_committed_and_staged_meanwhile(self):
        self.race("git")

    def race(self, what):
        repository = states.make_repository(self.path("repository"))
        slotd = self.one_pool(repository, ready=1, maximum=1)
        lease = slotd.acquire("p")
        fresh = snapshot.walk(lease["path"])
        self.start_writer(lease, what)
        slotd.release(lease["lease"])
        rounds, end = collections.Counter(), time.monotonic() + SECONDS / 2
        while time.monotonic() < end:
            rounds[self.one_round(slotd)] += 1
        written = self.end_writer()
        last = slotd.acquire("p", waitUsec=60000000)
        self.assertEqual(slotd.release(last["lease"])["state"], "ready", "nobody writes any more")
        now = {path: what for path, what in snapshot.walk(lease["path"]).items() if not states.is_ignored(path)}
        self.assertEqual(snapshot.differences(fresh, now, "clean"), [])
        self.assertTrue(git.is_clean(lease["path"]))
        saved = self.saved_tokens(lease["commonDir"])
        beside = tokens_below(self.aside) | tokens_below(lease["path"])
        print("%d written; %d saved, %d still there or with the agent; releases: %s" % (
            len(written), len(written & saved), len(written & beside), dict(rounds)))
        lost = written - saved - beside
        kinds = collections.Counter(token.split()[1].decode() for token in lost)
        self.assertEqual(sorted(lost)[:10], [], "%d of %d are lost: %s" % (len(lost), len(written), dict(kinds)))
        # it was a race
        self.assertGreater(len(written & saved), 20)
        self.assertGreater(rounds["ready"], 5)
        self.assert_invariants(slotd)
