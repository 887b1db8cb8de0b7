"""What must not be lost of a slot, and a look at the disk in the moment in which everybody has died."""

import hashlib
import os
import stat
import threading

from support import git, salvage

ZEROS = "0" * 40


def oid_of(content):
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()


def content_of(path):
    """The bytes of a file or link; None: there is none."""
    try:
        if stat.S_ISLNK(os.lstat(path).st_mode):
            return os.fsencode(os.readlink(path))
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return None


class Kept:
    """What a slot has and its base has not: contents, what is staged, commits, an operation in progress.

    Each of them has to be in its place in the slot, or in a salvage, whenever somebody looks.
    """

    def __init__(self, store, lease):
        self.store, self.slot, self.path, self.admin = store, lease["slot"], lease["path"], lease["gitDir"]
        self.base = salvage.tree_files(store, lease["head"])
        self.files = {name: oid for name, oid in self._in_slot().items()
                      if not self._is_of_base(name, oid) and not name.endswith(b".log")}  # which is ignored
        self.staged = {key: oid for key, oid in self._in_index().items()
                       if key[0] or not self._is_of_base(key[1], oid)}
        self.commits = self._commits() - set(git.lines(store, "rev-list", "--branches", "--tags", "--remotes"))
        self.state = {name: oid_of(content) for name, content in self._state().items()}

    def count(self):
        return len(self.files) + len(self.staged) + len(self.commits) + len(self.state)

    def _is_of_base(self, name, oid):
        return self.base.get(name, (0, None))[1] == oid

    # --- in the slot

    def _in_slot(self):
        found, top = {}, os.fsencode(self.path)
        for folder, folders, names in os.walk(top):
            if folder == top:
                names = [name for name in names if name != b".git"]
            names += [name for name in folders if os.path.islink(os.path.join(folder, name))]
            for name in names:
                content = content_of(os.path.join(folder, name))
                if content is not None:
                    found[os.path.relpath(os.path.join(folder, name), top)] = oid_of(content)
        return found

    def _in_index(self):
        """{(stage, path): oid}; the index may be gone."""
        out = git.run(self.store, "ls-files", "-s", "-z", check=False,
                      env={"GIT_INDEX_FILE": os.path.join(self.admin, "index"), "GIT_DIR": self.store,
                           "GIT_WORK_TREE": "/"}).stdout
        found = {}
        for line in out.split(b"\0")[:-1]:
            info, path = line.split(b"\t", 1)
            _, oid, stage = info.split()
            found[int(stage), path] = oid.decode()
        return found

    def _commits(self):
        """That HEAD is at, or has been at."""
        words = (content_of(os.path.join(self.admin, "HEAD")) or b"").split()
        for line in (content_of(os.path.join(self.admin, "logs", "HEAD")) or b"").splitlines():
            words += line.split()[:2]
        return {word.decode() for word in words if len(word) == 40} - {ZEROS}

    def _state(self):
        found = {name: content_of(os.path.join(self.admin, name)) for name in ("MERGE_HEAD", "MERGE_MSG", "MERGE_MODE")}
        return {name: content for name, content in found.items() if content is not None}

    # --- in the salvages

    def refs(self):
        return git.lines(self.store, "for-each-ref", "--format=%(refname)", "refs/slotd/salvage/%s/" % self.slot)

    def lacks(self, ref):
        """What one salvage does not have: (files, staged, commits, state)."""
        files, rest = salvage.tree_files(self.store, ref), salvage.tree_files(self.store, ref + "^3")
        index = salvage.tree_files(self.store, ref + "^2")
        exact = {name[len(b"files/"):]: entry for name, entry in rest.items() if name.startswith(b"files/")}
        there = {name: entry[1] for name, entry in {**files, **exact}.items()}
        staged = {(0, name): oid for name, (_, oid) in index.items()}
        for name, (_, oid) in rest.items():
            if name.startswith(b"stages/"):
                _, stage, path = name.split(b"/", 2)
                staged[int(stage), path] = oid
        commits = set(git.lines(self.store, "rev-list", ref))
        state = {name: rest.get(b"state/" + name.encode(), (0, None))[1] for name in self.state}
        return ({n for n, oid in self.files.items() if there.get(salvage.escape(n), there.get(n)) != oid},
                {k for k, oid in self.staged.items() if staged.get(k) != oid},
                self.commits - commits, {n for n, oid in self.state.items() if state[n] != oid})

    # --- both

    def is_in_slot(self):
        files, index = self._in_slot(), self._in_index()
        return ({n for n, oid in self.files.items() if files.get(n) == oid},
                {k for k, oid in self.staged.items() if index.get(k) == oid},
                self.commits & self._commits(),
                {n for n, content in self._state().items() if self.state.get(n) == oid_of(content)})

    def everything(self):
        return (set(self.files), set(self.staged), set(self.commits), set(self.state))

    def lost(self):
        """What is neither in the slot nor in a salvage, as sentences."""
        missing = [some - there for some, there in zip(self.everything(), self.is_in_slot())]
        for ref in self.refs() if any(missing) else []:
            missing = [some & lacking for some, lacking in zip(missing, self.lacks(ref))]
        return ["%s is neither in the slot nor in a salvage: %s" % (what, sorted(some))
                for what, some in zip(("content", "what is staged", "a commit", "an operation"), missing) if some]


class Watch(threading.Thread):
    """Ends everybody as soon as somebody stops at his point, and looks at the disk before slotd is started again."""

    def __init__(self, world, look):
        super().__init__(daemon=True)
        self.w, self.look = world, look
        self.over = threading.Event()
        self.wrong = []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception):
        self.over.set()
        self.join()

    def run(self):
        while self.w.crash.is_armed():
            if self.over.wait(0.001):
                return
        with self.w.starting:
            try:
                self.w.slotd.kill()
                self.wrong = self.look()
            except Exception as e:  # pylint: disable=broad-except # in a thread nobody would hear of it
                self.wrong = ["%s: %s" % (type(e).__name__, e)]
