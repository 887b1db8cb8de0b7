"""Salvages made by git(1) alone, as git/salvage-read.h describes them, and what a slot looks like.

As a command: salvage.py capture SLOT REF     makes a salvage of the slot, prints its commit
              salvage.py look DIRECTORY       every name with type, mode and content, one a line
              salvage.py state SLOT           what git says about HEAD, index and operation
"""

import hashlib
import json
import os
import stat
import sys
import zlib

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import git  # noqa: E402

STATE_FILES = ["MERGE_HEAD", "MERGE_MSG", "MERGE_MODE", "MERGE_RR", "MERGE_AUTOSTASH", "AUTO_MERGE",
               "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "ORIG_HEAD", "BISECT_LOG", "BISECT_START",
               "BISECT_NAMES", "BISECT_TERMS", "BISECT_EXPECTED_REV", "BISECT_ANCESTORS_OK", "BISECT_RUN",
               "BISECT_HEAD", "BISECT_FIRST_PARENT", "COMMIT_EDITMSG", "SQUASH_MSG", "config.worktree"]
STATE_DIRS = ["rebase-merge", "rebase-apply", "sequencer", "refs", "logs", "info"]


# --- names


def _ends(rest, ends):
    rest = rest.lstrip(b". ")
    return rest == b"" or rest[:1] in ends


def _refused(name):
    """Would git refuse this one name, without a backslash in it, of a link?"""
    low = name.lower()
    if name in (b".", b"..") or low == b".gitmodules":
        return True
    for stem in (b".git", b"git~1"):
        if low.startswith(stem) and _ends(name[len(stem):], (b"\\", b"/", b":")):
            return True
    if low.startswith(b".gitmodules") and _ends(name[11:], (b":",)):
        return True
    if low[:7] == b"gitmod~" and name[7:8] in (b"1", b"2", b"3", b"4") and _ends(name[8:], (b":",)):
        return True
    letters = low.split(b"~")[0]
    if (b"~" in low and len(letters) <= 6 and b"gi7eba".startswith(letters) and len(name) >= 8
            and name[len(letters) + 1:len(letters) + 2] in [b"%d" % i for i in range(1, 10)]
            and name[len(letters) + 2:8].isdigit() | (len(letters) == 6)):
        return _ends(name[8:], (b":",))
    return False


def escape(path):
    out = []
    for name in path.split(b"/"):
        plain = name.replace(b"%", b"%25").replace(b"\\", b"%5c")
        if _refused(plain):
            rest = name[1:].replace(b"%", b"%25").replace(b"\\", b"%5c")
            plain = b"%%%02x" % name[0] + rest
        out.append(plain)
    return b"/".join(out)


# --- objects


_objects = {}


def _write(repo, kind, content):
    """A loose object, as it is: git would refuse many, and is a process for each."""
    if repo not in _objects:
        _objects[repo] = git.text(repo, "rev-parse", "--path-format=absolute", "--git-path", "objects")
    whole = b"%s %d\0%s" % (kind, len(content), content)
    oid = hashlib.sha1(whole).hexdigest()
    path = os.path.join(_objects[repo], oid[:2], oid[2:])
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(zlib.compress(whole, 1))
    return oid


def blob(repo, content):
    return _write(repo, b"blob", content)


def tree(repo, files):
    """A tree of {path as bytes: (mode as int, oid)}; no name is judged."""
    here, below = {}, {}
    for path, entry in files.items():
        name, slash, rest = path.partition(b"/")
        if slash:
            below.setdefault(name, {})[rest] = entry
        else:
            here[name] = entry
    items = [(name, mode, oid, name) for name, (mode, oid) in here.items()]
    items += [(name, 0o40000, tree(repo, inner), name + b"/") for name, inner in below.items()]
    raw = b"".join(b"%o %s\0%s" % (mode, name, bytes.fromhex(oid))
                   for name, mode, oid, _ in sorted(items, key=lambda item: item[3]))
    return _write(repo, b"tree", raw)


def commit(repo, tree_oid, parents, message="salvage"):
    who = "slotd <slotd@localhost> 1700000000 +0000"
    lines = ["tree " + tree_oid] + ["parent " + parent for parent in parents]
    text = "\n".join(lines + ["author " + who, "committer " + who, "", message])
    return _write(repo, b"commit", text.encode())


def tree_files(repo, treeish):
    """{path: (mode, oid)} of a tree."""
    out = git.run(repo, "ls-tree", "-r", "-z", "--full-tree", treeish).stdout
    files = {}
    for line in out.split(b"\0")[:-1]:
        info, path = line.split(b"\t", 1)
        mode, _, oid = info.split()
        files[path] = (int(mode, 8), oid.decode())
    return files


def write(repo, base, tree_oid, index_tree, state, parents=(), message="salvage", ref=None):
    """The three commits from trees; state: {path of X: content or (mode, oid)}; returns W."""
    entries = {}
    for path, what in state.items():
        entries[path] = what if isinstance(what, tuple) else (0o100644, blob(repo, what))
    index = commit(repo, index_tree, [base], "index")
    rest = commit(repo, tree(repo, entries), list(dict.fromkeys(parents)), "state")
    made = commit(repo, tree_oid, [base, index, rest], message)
    if ref:  # not by git, which would not take a damaged one
        common = git.text(repo, "rev-parse", "--path-format=absolute", "--git-common-dir")
        git.write(common, ref, made + "\n")
    return made


# --- capturing


def _content(path, info):
    if stat.S_ISLNK(info.st_mode):
        return os.readlink(path)
    with open(path, "rb") as f:
        return f.read()


def _mode(info):
    if stat.S_ISLNK(info.st_mode):
        return 0o120000
    return 0o100755 if info.st_mode & 0o100 else 0o100644


class Capture:
    def __init__(self, slot):
        self.slot = os.fsencode(slot)
        self.repo = slot
        self.admin = os.fsencode(git.text(slot, "rev-parse", "--absolute-git-dir"))
        self.state = {}
        self.modes = []
        self.dirs = []
        self.parents = []
        self.operations = []

    def keep(self, name, relative=None):
        """A file below files/, byte for byte."""
        path = os.path.join(self.slot, relative or name)
        info = os.lstat(path)
        self.state[b"files/" + escape(name)] = (_mode(info), blob(self.repo, _content(path, info)))
        self.note_mode(name, info)

    def note_mode(self, name, info):
        if stat.S_ISREG(info.st_mode) and stat.S_IMODE(info.st_mode) not in (0o644, 0o755):
            self.modes.append(b"%06o %s\0" % (info.st_mode, name))

    def keep_nested(self, top):
        for root, dirs, files in os.walk(os.path.join(self.slot, top)):
            name = os.path.relpath(root, self.slot)
            info = os.lstat(root)
            if not dirs and not files:
                self.dirs.append(name + b"\0")
            if stat.S_IMODE(info.st_mode) != 0o755:
                self.modes.append(b"%06o %s\0" % (info.st_mode, name))
            links = [d for d in dirs if os.path.islink(os.path.join(root, d))]
            for file in files + links:
                self.keep(os.path.join(name, file))

    def keep_worktree(self, base_files):
        """W's tree: what git would store of each file that is not ignored; the rest below files/."""
        files = {}
        out = git.run(self.repo, "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout
        names = set(out.split(b"\0")) - {b""} | set(base_files)
        for name in sorted(names):
            path = os.path.join(self.slot, name.rstrip(b"/"))
            if name.endswith(b"/"):
                self.keep_nested(name.rstrip(b"/"))
                continue
            if not os.path.lexists(path) or os.path.islink(os.path.dirname(path)):
                continue
            info = os.lstat(path)
            if stat.S_ISDIR(info.st_mode):
                if name in base_files and base_files[name][0] == 0o160000:
                    files[name] = base_files[name]
                continue
            if not stat.S_ISREG(info.st_mode) and not stat.S_ISLNK(info.st_mode):
                continue
            self.keep_file(name, info, base_files, files)
        return files

    def keep_file(self, name, info, base_files, files):
        path = os.path.join(self.slot, name)
        raw = _content(path, info)
        if escape(name) != name and name.lower() != b".gitmodules" and b"%" not in name:
            self.keep(name)
            return
        oid = blob(self.repo, raw)
        if stat.S_ISREG(info.st_mode):
            converted = git.text(self.repo, "hash-object", "-w", "--path", os.fsdecode(name), "--stdin",
                                 data=raw)
            changed = base_files.get(name) != (_mode(info), converted)
            if converted != oid and changed:
                self.keep(name)
            else:
                self.note_mode(name, info)
            oid = converted
        files[name] = (_mode(info), oid)

    def keep_index(self):
        """I's tree; the raw index and the stages when it is not simply B's."""
        files, conflicts = {}, {}
        for line in git.run(self.repo, "ls-files", "-s", "-z").stdout.split(b"\0")[:-1]:
            info, path = line.split(b"\t", 1)
            mode, oid, stage = info.split()
            if stage == b"0":
                files[path] = (int(mode, 8), oid.decode())
            else:
                conflicts.setdefault(path, {})[stage] = (int(mode, 8), oid.decode())
        for path, stages in conflicts.items():
            ours = stages.get(b"2") or stages.get(b"3")
            if ours:
                files[path] = ours
            for stage, entry in stages.items():
                self.state[b"stages/" + stage + b"/" + escape(path)] = entry
        return files, bool(conflicts)

    def keep_state(self):
        for name in STATE_FILES:
            path = os.path.join(self.admin, name.encode())
            if os.path.isfile(path):
                self.keep_state_file(name.encode())
        for top in STATE_DIRS:
            for root, _, files in os.walk(os.path.join(self.admin, top.encode())):
                for file in files:
                    self.keep_state_file(os.path.relpath(os.path.join(root, file), self.admin))
        for name in os.listdir(self.admin):
            if name.startswith(b"sharedindex."):
                self.keep_state_file(name)

    def keep_state_file(self, name):
        with open(os.path.join(self.admin, name), "rb") as f:
            content = f.read()
        self.state[b"state/" + escape(name)] = content
        for word in content.split():
            if len(word) == 40 and not self.parents_full():
                found = git.run(self.repo, "cat-file", "-t", os.fsdecode(word), check=False)
                if found.returncode == 0 and found.stdout.strip() == b"commit":
                    self.parents.append(word.decode())

    def parents_full(self):
        return len(self.parents) > 30

    def head(self):
        with open(os.path.join(self.admin, b"HEAD"), "rb") as f:
            return f.read().strip()


def capture(slot, /, ref=None, base=None, **meta):
    """A salvage of a slot as it is now; returns its commit."""
    c = Capture(slot)
    unborn = git.run(slot, "rev-parse", "--verify", "-q", "HEAD^{commit}", check=False)
    base = unborn.stdout.decode().strip() or base or git.head(slot, "main")
    base_files = tree_files(slot, base)
    files = c.keep_worktree(base_files)
    index_files, conflicts = c.keep_index()
    if conflicts or index_files != base_files or git.run(slot, "ls-files", "-t").stdout.find(b"S ") >= 0:
        with open(os.path.join(c.admin, b"index"), "rb") as f:
            c.state[b"index"] = f.read()
    c.keep_state()
    c.state[b"head"] = c.head()
    if c.modes:
        c.state[b"modes"] = b"".join(c.modes)
    if c.dirs:
        c.state[b"dirs"] = b"".join(c.dirs)
    changed = {p for p in set(files) | set(base_files) if files.get(p) != base_files.get(p)}
    head = c.head().decode()
    told = {"version": 1, "slot": "p-1", "lease": "0" * 32, "pool": "p", "agent": "agent-7", "task": None,
            "branch": head[16:] if head.startswith("ref: refs/heads/") else None,
            "headCommit": unborn.stdout.decode().strip() or None, "base": base, "target": base,
            "takenAtUsec": 1700000000000000, "operations": [], "special": [], "hidden": [], "unstable": [],
            "stashes": [], "commits": 0,
            "counts": {"changed": len(changed), "untracked": 0, "staged": 0, "conflicts": 0, "nested": 0,
                       "precious": 0},
            "summary": "%d changed files" % len(changed), **meta}
    c.state[b"meta"] = json.dumps(told).encode()
    message = "%s\n\nSlot: %s\nLease: %s\nAgent: %s\n" % (told["summary"], told["slot"], told["lease"],
                                                         told["agent"])
    return write(slot, base, tree(slot, files), tree(slot, index_files), c.state, c.parents, message, ref)


# --- looking


def look(top, ignore=(b".git",)):
    """{path: (type and mode, what is in it)} of everything below a directory."""
    top = os.fsencode(top)
    seen = {}
    for root, dirs, files in os.walk(top):
        if root == top:
            dirs[:] = [d for d in dirs if d not in ignore]
            files = [f for f in files if f not in ignore]
        for name in dirs + files:
            path = os.path.join(root, name)
            info = os.lstat(path)
            what = b""
            if stat.S_ISLNK(info.st_mode):
                what = os.readlink(path)
            elif stat.S_ISREG(info.st_mode):
                with open(path, "rb") as f:
                    what = hashlib.sha1(f.read()).hexdigest().encode()
            mode = 0o120000 if stat.S_ISLNK(info.st_mode) else info.st_mode
            seen[os.path.relpath(path, top)] = ("%o" % mode, what)
    return seen


def state(slot):
    """What git says about HEAD, the index and what goes on, without the times in it."""
    told = []
    for args in (("status",), ("status", "--porcelain=v2", "--untracked-files=all"), ("ls-files", "-s"),
                 ("ls-files", "-u"), ("ls-files", "-v"), ("diff",), ("diff", "--cached"),
                 ("symbolic-ref", "-q", "HEAD"), ("rev-parse", "-q", "--verify", "HEAD"),
                 ("for-each-ref", "refs/bisect", "refs/worktree", "refs/rewritten")):
        done = git.run(slot, *args, check=False)
        told.append("$ git %s\n%s" % (" ".join(args), done.stdout.decode("utf-8", "surrogateescape")))
    return "".join(told)


def main(argv):
    if argv[:1] == ["capture"]:
        print(capture(argv[1], argv[2] if len(argv) > 2 else None))
    elif argv[:1] == ["look"]:
        for path, (mode, what) in sorted(look(argv[1]).items()):
            print(ascii(path), mode, ascii(what))
    elif argv[:1] == ["state"]:
        sys.stdout.buffer.write(state(argv[1]).encode("utf-8", "surrogateescape"))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
