"""python3 -m support.writer SLOT ADMIN ASIDE CANARY SEED files|git - an agent that goes on in a released slot.

Whatever it does is one system call that is done or not: files are made in ASIDE and renamed, linked or
exchanged into the slot, so that nothing of it is ever in a file that is open there. It destroys nothing: what
it takes out of the slot is in ASIDE afterwards. Each token that has arrived is written to standard output;
from then on it must be somewhere. Ends after SIGTERM, between two of its deeds.
"""

import ctypes
import os
import random
import signal
import subprocess
import sys
import time

from support import git

AT_FDCWD = -100
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
LIBC = ctypes.CDLL(None, use_errno=True)
DIRECTORIES = ("w0", "w1", "w0/w2", "w1/w3/w4", "docs", "build")
TRACKED = ("README", "run.sh", "both", "dos.crlf", "ident.id")


def rename(old, new, flags):
    if LIBC.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), new)


class Writer:
    def __init__(self, slot, admin, aside, canary, seed, what):
        self.slot, self.admin, self.aside, self.canary = slot, admin, aside, canary
        self.random = random.Random(int(seed))
        self.count = 0
        self.placed = []
        self.ended = False
        signal.signal(signal.SIGTERM, self.end)
        self.log = os.path.join(aside, "log")
        self.git_deeds = (self.commit, self.stage, self.rebase) if what == "git" else ()
        self.deeds = [self.place] * 8 + [self.exchange] * 6 + [self.link] * 4 + [self.move] * 2 + \
            [self.swap_directory, self.swap_link, self.swap_link, self.grow, self.grow, self.remove_link]

    def end(self, *_):
        self.ended = True

    def run(self):
        """Busy for some time, then quiet for some, so that sometimes cleaning finds it quiet."""
        while not self.ended:
            until = time.monotonic() + self.random.uniform(0, 0.2)
            while time.monotonic() < until and not self.ended:
                self.do(self.random.choice(self.deeds))
                time.sleep(self.random.choice((0, 0.001, 0.004)))
            if self.git_deeds:
                self.do(self.random.choice(self.git_deeds))
            time.sleep(self.random.choice((0, 0.01, 0.1, 0.3)))

    @staticmethod
    def do(deed):
        try:
            deed()
        except OSError:
            pass  # it was not done: what should have been there is just being taken away

    # --- what it works with

    def path(self, name):
        return os.path.join(self.slot, name)

    def fresh(self, deed):
        """A new file aside; its token is told when it has arrived somewhere."""
        self.count += 1
        token = "token %s %d %016x\n" % (deed, self.count, self.random.getrandbits(64))
        path = os.path.join(self.aside, "f-%d" % self.count)
        size = self.random.choice((0,) * 20 + (100, 100, 5000, 50000))
        with open(path, "wb") as f:
            f.write(token.encode() + self.random.randbytes(size))
        return token, path

    @staticmethod
    def arrived(token):
        sys.stdout.write(token)
        sys.stdout.flush()

    # --- deeds

    def place(self):
        name = os.path.join(self.random.choice(DIRECTORIES), "n-%d" % self.count)
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        token, path = self.fresh("place")
        rename(path, self.path(name), RENAME_NOREPLACE)
        self.arrived(token)
        self.placed = self.placed[-50:] + [name]

    def exchange(self):
        """A file of the slot and a new one change places: what was there is aside now."""
        name = self.random.choice(list(TRACKED) + self.placed[-10:])
        token, path = self.fresh("exchange")
        rename(path, self.path(name), RENAME_EXCHANGE)
        self.arrived(token)

    def link(self):
        token, path = self.fresh("link")
        os.link(path, self.path("l-%d" % self.count))
        os.unlink(path)
        self.arrived(token)

    def move(self):
        a, b = (self.random.choice(DIRECTORIES[:4]) for _ in range(2))
        rename(self.path(a), self.path(b) + self.random.choice(("", "/inside")), RENAME_NOREPLACE)

    def swap_directory(self):
        """A directory with all that is in it and a new file change places."""
        token, path = self.fresh("swap_directory")
        rename(path, self.path(self.random.choice(DIRECTORIES[:4])), RENAME_EXCHANGE)
        self.arrived(token)

    def swap_link(self):
        """A link to the canaries stands where a directory belongs, for a moment or until it is cleaned."""
        self.count += 1
        path = os.path.join(self.aside, "c-%d" % self.count)
        # never through a link of its own: nobody else makes any
        name = self.path("src" if os.path.islink(self.path("src")) else self.random.choice(("src", "src/deep")))
        os.symlink(self.canary, path)
        rename(path, name, RENAME_EXCHANGE)
        if self.random.random() < 0.7:
            rename(path, name, RENAME_EXCHANGE)

    def remove_link(self):
        """Where a link was left, the directory may come back."""
        for name in ("src", "src/deep"):
            if os.path.islink(self.path(name)):
                os.rename(self.path(name), os.path.join(self.aside, "gone"))
                return

    def grow(self):
        """A file that has another name outside grows while it may be read."""
        with open(self.log, "ab") as f:
            f.write(b"another line\n" * self.random.randrange(2000))
        if os.path.getsize(self.log) > 1 << 20:
            os.truncate(self.log, 0)
        os.link(self.log, self.path("growing"))

    # --- deeds of git, without a step into the slot

    def git(self, *args, data=None):
        done = subprocess.run(["git", "--git-dir=" + self.admin, *args], input=data, capture_output=True, cwd="/",
                              env={**os.environ, **git.ENV}, check=False)
        if done.returncode:
            raise OSError(0, done.stderr.decode(errors="replace"))
        return done.stdout.decode().strip()

    def commit(self):
        token, path = self.fresh("commit")
        os.unlink(path)
        old = self.git("rev-parse", "--verify", "HEAD")
        new = self.git("commit-tree", "-p", old, "-m", token, old + "^{tree}")
        self.git("update-ref", "--no-deref", "HEAD", new, old)
        self.arrived(token)

    def stage(self):
        token, path = self.fresh("stage")
        os.unlink(path)
        blob = self.git("hash-object", "-w", "--stdin", data=token.encode())
        self.git("update-index", "--add", "--cacheinfo", "100644,%s,staged-%d" % (blob, self.count))
        self.arrived(token)

    def rebase(self):
        """A file of an operation in progress."""
        directory = os.path.join(self.admin, "rebase-merge")
        os.makedirs(directory, exist_ok=True)
        token, path = self.fresh("rebase")
        rename(path, os.path.join(directory, "n-%d" % self.count), RENAME_NOREPLACE)
        self.arrived(token)


if __name__ == "__main__":
    Writer(*sys.argv[1:]).run()
