"""States that an agent can leave a slot in: how each is made, and what becomes of it at a release.

The entries are in states_files.py, states_git.py and states_hostile.py; test_states.py goes through them.
Each is made with git(1) and the shell, as an agent would.
"""

import os
import subprocess

from support import git

SAVED = "saved"  # the slot is clean again, and the salvage gives everything back
CLEAN = "clean"  # there was nothing to save: no salvage is made
ISOLATED = "isolated"  # it cannot be saved: the slot is left as it is, and says why

TABLE = []

# the sizes that are too long for every day
FULL = os.environ.get("SLOTD_STATES") == "full"

# ignored by the repository; what matches the pool's clean.precious is saved all the same
IGNORE = "*.log\n/build/\nnode_modules/\n*.precious\n"
PRECIOUS = ["*.precious"]


class State:
    """One entry: a name, what makes it, and what is expected.

    reason: in what is said about an isolated slot. special: names that cannot be saved and are named.
    then(slot): goes on with the work in the slot that it was restored into.
    kept: ignored names that are still in the slot after its release. needs: "root", "mount" or "user" (who is not
    root). as_user: is tried by such a one as well. left_out: parts of a snapshot that are not compared, "clean files"
    and "clean admin": what is not looked at of a clean slot; "directory": what was restored to a directory.
    """

    def __init__(self, name, outcome, make, options):
        self.name, self.outcome, self.make = name, outcome, make
        self.reason = options.pop("reason", "")
        self.special = options.pop("special", ())
        self.left_out = set(options.pop("left_out", ()))
        self.then = options.pop("then", None)
        self.kept = options.pop("kept", ())
        self.needs = options.pop("needs", None)
        self.as_user = options.pop("as_user", False)
        assert not options, options
        if self.special:
            self.left_out.add("status")


def state(name, outcome=SAVED, **options):
    """Decorator: makes a function(slot) an entry of the table."""
    def add(make):
        assert name not in {entry.name for entry in TABLE}, name
        TABLE.append(State(name, outcome, make, options))
        return make
    return add


def shell(name, script, outcome=SAVED, then=None, last=None, **options):
    """An entry that a shell script makes; then and last are scripts too."""
    def make(slot):
        slot.sh(script)
        if last:
            slot.last(lambda: slot.sh(last))
    after = (lambda slot: slot.sh(then)) if then else None
    state(name, outcome, then=after, **options)(make)


class Slot:
    """A leased slot, for who makes a state in it: git, sh, write, ... work there.

    last(fn): done after the slot was looked at, for what git does not survive.
    finally_(fn): done when the state has been tried.
    """

    def __init__(self, lease, name, outside):
        self.lease, self.name, self.outside = lease, name, outside
        self.path, self.admin, self.store = lease["path"], lease["gitDir"], lease["commonDir"]
        self.base = lease["head"]
        self.lasts, self.finals = [], []
        self.roots = set()

    # --- what a state is made with

    def git(self, *args, check=True, data=None, env=None):
        """git in this slot, whatever its .git says."""
        argv = ["git", "--git-dir=" + self.admin, "--work-tree=" + self.path, *args]
        return self._run(argv, check, data, env)

    def text(self, *args, **kwargs):
        return self.git(*args, **kwargs).stdout.decode("utf-8", "surrogateescape").strip()

    def sh(self, script, check=True):
        """A shell in this slot; NAME is of the state alone, in a name of a branch for instance."""
        return self._run(["sh", "-euc", script], check, None, None).stdout.decode(errors="replace")

    def write(self, name, content="", mode=None):
        """Write a file; names are text or bytes. It belongs to who makes the state."""
        path = os.path.join(os.fsencode(self.path), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        if mode is not None:
            os.chmod(path, mode)

    def keep_reachable(self, *names):
        """Commits that have to be there afterwards, besides those that HEAD, index and stash lead to."""
        self.roots |= {self.text("rev-parse", "--verify", name) for name in names}

    def last(self, fn):
        self.lasts.append(fn)

    def finally_(self, fn):
        self.finals.append(fn)

    def _run(self, argv, check, data, env):
        feed = {"input": data} if data is not None else {"stdin": subprocess.DEVNULL}
        done = subprocess.run(argv, cwd=self.path, capture_output=True, check=False, timeout=600, **feed,
                              env={**os.environ, **git.ENV, "HOME": self.outside, "NAME": self.name,
                                   "ADMIN": self.admin, "STORE": self.store, "OUTSIDE": self.outside,
                                   "TRAP": os.path.join(self.outside, "trap"), "GIT_EDITOR": "true",
                                   "BASE": self.base, "GIT_AUTHOR_EMAIL": self.name + "@example.org",
                                   **(env or {})})
        if check and done.returncode:
            raise git.Failed("%s: exit %d\n%s%s" % (" ".join(argv), done.returncode,
                             done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")))
        return done


def is_ignored(path):
    """By the rules of the pool's commit, and not precious; what is in a nested repository never is."""
    parts = path.split(b"/")
    return parts[0] != b"nested" and not path.endswith(b".precious") and \
        (parts[0] == b"build" or b"node_modules" in parts or parts[-1].endswith(b".log"))


def make_repository(path):
    """What the states are made of: main with six commits, branches that merge easily and with conflicts."""
    inner = git.init(path + ".inner")
    git.write(inner, "inner.txt", "inner\n")
    git.commit(inner, "inner")
    git.init(path)
    git.write(path, "README", "hello\n")
    git.write(path, "src/main.c", "int main(void)\n{\n\treturn 0;\n}\n")
    git.write(path, "src/deep/er/file.txt", "deep\n")
    git.write(path, "src/list.txt", "".join("line %d\n" % n for n in range(30)))
    git.write(path, "run.sh", "#!/bin/sh\necho ran\n", 0o755)
    git.write(path, ".gitignore", IGNORE)
    git.write(path, ".gitattributes", "*.crlf text eol=crlf\n*.txt text\n*.id ident\n*.lfs filter=trap\n*.bin -text\n")
    git.write(path, "dos.crlf", "one\ntwo\n")
    git.write(path, "ident.id", "/* $Id$ */\n")
    git.write(path, "big.lfs", "version 1\noid 5\n")
    git.write(path, "data.bin", bytes(range(256)) * 8)
    os.symlink("src/main.c", os.path.join(path, "link"))
    git.run(path, "submodule", "--quiet", "add", inner, "vendor/inner")
    git.commit(path, "first")
    git.run(path, "tag", "one")
    for n in (2, 3, 4):
        git.commit(path, "number %d" % n, **{"docs__%d.txt" % n: "%d\n" % n})
    git.run(path, "switch", "-q", "-c", "conflict")
    git.commit(path, "conflicting", README="theirs\n", both="theirs\n")
    git.commit(path, "after the conflict", docs__7="7\n")
    git.run(path, "switch", "-q", "-c", "easy", "main")
    git.commit(path, "easy", docs__easy="easy\n")
    git.run(path, "switch", "-q", "main")
    git.commit(path, "number 5", README="ours\n", both="ours\n")
    git.commit(path, "number 6", docs__6="6\n")
    return path
