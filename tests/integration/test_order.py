"""What is saved is on disk before the first byte of it is discarded: by the order of system calls."""

import os
import re
import signal
import subprocess

from support import git, wait
from support.case import Case

CALL = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+)")
CHANGES = ("unlinkat", "renameat", "renameat2", "linkat", "fsync", "fdatasync", "openat", "openat2", "mkdirat", "ftruncate")


class Strace:
    """The file system calls of a process and its threads, each with the paths of its descriptors."""

    def __init__(self, pid, output):
        self.output = output
        self.process = subprocess.Popen(["strace", "-f", "-y", "-s", "4096", "-o", output, "-e",
                                         "trace=" + ",".join(CHANGES), "-p", str(pid)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        if "attached" not in line:
            raise AssertionError("strace does not attach: %s" % line)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)

    def calls(self):
        """(name, arguments) of each that succeeded, in order."""
        with open(self.output, encoding="utf-8", errors="replace") as f:
            found = [CALL.match(line) for line in f]
        return [(m.group(1), m.group(2)) for m in found if m and int(m.group(3)) >= 0]


def first(calls, begin, what, matches):
    for i in range(begin, len(calls)):
        if matches(*calls[i]):
            return i
    raise AssertionError("no %s from call %d of %s" % (what, begin, "\n".join("%s(%s)" % c for c in calls)))


class Order(Case):
    def release_traced(self, leave):
        slotd = self.one_pool(ready=1, maximum=1)
        lease = slotd.acquire("p")
        leave(lease["path"])
        # the worker that made or moved the slot is still there, and gets the next job
        workers = wait.until(slotd.workers, "a worker is there")
        traces = [Strace(pid, os.path.join(slotd.root, "trace-%d" % pid)) for pid in workers]
        done = slotd.release(lease["lease"])
        for trace in traces:
            trace.stop()
        self.assertEqual(done["state"], "ready")
        self.assertIsNotNone(done["salvage"])
        calls = [trace.calls() for trace in traces]
        return lease, done, max(calls, key=len)

    def check(self, leave):
        lease, done, calls = self.release_traced(leave)
        ref = done["salvage"]["ref"]
        placed = {}
        for ending in (".keep", ".pack", ".idx"):
            placed[ending] = first(calls, 0, "link of " + ending, lambda name, args, e=ending: name in (
                "linkat", "renameat", "renameat2") and re.search(r'pack-[0-9a-f]{40}' + re.escape(e) + '"', args))
        self.assertLess(placed[".pack"], placed[".idx"], "git sees a pack by its index, which comes last")
        self.assertLess(placed[".keep"], placed[".pack"])
        synced = [i for i, (name, args) in enumerate(calls[:placed[".pack"]]) if name == "fsync" and "/objects/pack" in args]
        self.assertGreaterEqual(len(synced), 3, "pack, index and keep are synced before they are placed")
        directory = first(calls, placed[".idx"], "sync of objects/pack",
                          lambda name, args: name == "fsync" and args.endswith("/objects/pack>"))
        published = first(calls, directory, "the ref", lambda name, args: name == "renameat" and
                          '"%s"' % os.path.basename(ref) in args and os.path.dirname(ref) in args)
        held = first(calls, published, "sync of the ref's directory",
                     lambda name, args: name == "fsync" and args.endswith(os.path.dirname(ref) + ">"))
        dropped = first(calls, held, "end of .keep", lambda name, args: name == "unlinkat" and '.keep"' in args)
        pool = os.path.dirname(lease["path"])
        touched = first(calls, 0, "change of the slot", lambda name, args: name in (
            "unlinkat", "renameat", "renameat2", "ftruncate") and pool in args)
        self.assertLess(held, touched, "it is discarded before it is saved")
        self.assertLess(dropped, len(calls))

    def test_files(self):
        def leave(path):
            git.write(path, "README", "changed\n")
            git.write(path, "new", "untracked\n")
        self.check(leave)

    def test_commits_on_no_branch(self):
        def leave(path):
            git.commit(path, "work", README="mine\n")
            git.run(path, "reset", "-q", "--hard", "HEAD~")
            git.write(path, "README", "changed\n")
        self.check(leave)
