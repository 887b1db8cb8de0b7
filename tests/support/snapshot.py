"""What a slot holds, byte for byte, and in which ways two of them differ.

Files are read by this file's own walk, relative to handles of directories, so that it gets below names
longer than PATH_MAX; index, HEAD, references and operations are read by git(1) and, where git refuses,
as the bytes that they are.
"""

import contextlib
import difflib
import hashlib
import os
import re
import stat

# flags of an index entry that a user can set: intent to add, skip-worktree, assume-unchanged
ENTRY_FLAGS = 0x20000000 | 0x40000000 | 0x8000

# what is compared in a way of its own, or is nobody's work
NOT_STATE = re.compile(r"HEAD|commondir|gitdir|index|locked|logs(/.*)?|.*\.lock|FETCH_HEAD|modules(/.*)?|slotd.*|"
                       r"fsmonitor--daemon.*|refs|refs/worktree|refs/bisect|info")

LOG_LINE = re.compile(rb"([0-9a-f]{40}) ([0-9a-f]{40}) .*?> (\d+) [-+]\d+\t?(.*)")


# --- files

def walk(root):
    """{path as bytes: what is there} of everything below a directory but its own ".git"."""
    found = {}
    stack = [(os.open(root, os.O_RDONLY | os.O_DIRECTORY), b"")]
    while stack:
        fd, prefix = stack.pop()
        try:
            for name in sorted(os.listdir(fd)):
                name = os.fsencode(name)
                path = prefix + name
                if path == b".git":
                    continue
                found[path] = look(fd, name)
                if found[path][0] == "directory":
                    with contextlib.suppress(PermissionError):
                        stack.append((os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd),
                                      path + b"/"))
        finally:
            os.close(fd)
    return found


def look(fd, name):
    """One name: its type and all that there is to say about it, but for times and the inode."""
    st = os.stat(name, dir_fd=fd, follow_symlinks=False)
    mode = stat.S_IMODE(st.st_mode)
    if stat.S_ISLNK(st.st_mode):
        return ("link", os.readlink(name, dir_fd=fd))
    if stat.S_ISDIR(st.st_mode):
        return ("directory", oct(mode))
    if stat.S_ISREG(st.st_mode):
        return ("file", oct(mode), st.st_size, digest(fd, name))
    return ("special", stat.S_IFMT(st.st_mode), st.st_rdev)


def digest(fd, name):
    """None: it may not be read."""
    total = hashlib.sha256()
    try:
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=fd)
    except PermissionError:
        return None
    with open(opened, "rb") as f:
        while block := f.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def same_modules(files, root, admin):
    """The .git of a submodule leads into the slot's own administration: as if all were called the same."""
    own = os.path.basename(os.fsencode(admin))
    for path, what in files.items():
        if path.endswith(b"/.git") and what[0] == "file":
            content = read(os.path.join(os.fsencode(root), path)) or b""
            files[path] = (*what[:2], content.replace(own + b"/modules/", b"SLOT/modules/"))
    return files


def without_empty(files):
    """The same without directories in which there is no file: git does not know them."""
    needed = set()
    for path, what in files.items():
        if what[0] != "directory":
            while b"/" in path:
                path = path[:path.rindex(b"/")]
                needed.add(path)
    return {path: what for path, what in files.items() if what[0] != "directory" or path in needed}


def differences(before, after, what="", limit=12):
    """Sentences on how two dictionaries differ."""
    said = []
    for path in sorted(set(before) | set(after), key=str):
        if before.get(path) != after.get(path):
            said.append("%s %s: was %s, is %s" % (what, show(path), show(before.get(path, "not there")),
                                                  show(after.get(path, "not there"))))
    return said[:limit] + (["%s: %d more" % (what, len(said) - limit)] if len(said) > limit else [])


def show(value):
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= 300 else text[:300] + "..."


# --- everything

PARTS = ("files", "index", "head", "admin", "log", "refs", "status")


class Snapshot:
    """All that a slot holds; slot: see states.Slot. is_ignored(path): files of no interest unless staged."""

    def __init__(self, slot, is_ignored):
        self.admin = walk_state(slot.admin)
        self.log = read_log(os.path.join(slot.admin, "logs/HEAD"))
        self.head = read(os.path.join(slot.admin, "HEAD"))
        self.index = read_index(slot)
        self.refs = read_refs(slot)
        self.status = read_status(slot)
        staged = {path for path, _ in self.index} if isinstance(self.index, dict) else ()
        files = same_modules(walk(slot.path), slot.path, slot.admin)
        self.files = {path: what for path, what in files.items()
                      if path in staged or what[0] == "directory" or not is_ignored(path)}

    def compare(self, other, names=PARTS):
        """What another one, restored from this, lacks or has too much: sentences."""
        said = []
        for name in names:
            mine, theirs = getattr(self, name), getattr(other, name)
            if name == "files":
                said += differences(without_empty(mine), without_empty(theirs), "file")
            elif name == "log":
                said += ["the log of HEAD lacks %s" % show(line) for line in lacking(mine, theirs)]
            elif isinstance(mine, dict) and isinstance(theirs, dict):
                said += differences(mine, theirs, name)
            elif name == "status":
                said += ["git status: " + line for line in difflib.ndiff(mine.split("\n"), theirs.split("\n"))
                         if line[0] in "+-"]
            elif mine != theirs:
                said.append("%s was %s, is %s" % (name, show(mine), show(theirs)))
        return said


def lacking(mine, theirs):
    """Lines of one log that are not, in this order, in another."""
    rest = iter(theirs)
    return [line for line in mine if not any(line == other for other in rest)]


def read(path):
    """What a file holds, None if it is none."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return None
        with open(path, "rb") as f:
            return f.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def walk_state(admin):
    """{name: digest} of what operations keep in the administration."""
    return {path: what[-1] for path, what in walk(admin).items()
            if not NOT_STATE.fullmatch(path.decode(errors="replace")) and what[0] in ("file", "link")}


def read_log(path):
    """(old, new, what for) of a log."""
    lines = (read(path) or b"").split(b"\n")
    return [(m[1], m[2], m[4]) for m in map(LOG_LINE.fullmatch, lines) if m]


def read_index(slot):
    """{(path, stage): (mode, object, flags)}, or the bytes of an index that git does not read."""
    done = slot.git("ls-files", "-z", "--stage", "--debug", check=False)
    if done.returncode:
        return read(os.path.join(slot.admin, "index"))
    found = {}
    pattern = re.compile(rb"(\d{6}) ([0-9a-f]{40}) (\d)\t([^\0]+)\0(?:  [^\n]*\n)*?"
                         rb"  size: \d+\tflags: ([0-9a-f]+)\n")
    at = 0
    while at < len(done.stdout):
        m = pattern.match(done.stdout, at)
        assert m, "git ls-files --debug wrote %r" % done.stdout[at:at + 300]
        found[m[4], int(m[3])] = (m[1], m[2], int(m[5], 16) & ENTRY_FLAGS)
        at = m.end()
    return found


def read_refs(slot):
    """{name: object} of all that git shows in the slot, slotd's own aside."""
    done = slot.git("for-each-ref", "--format=%(refname) %(objectname)", check=False)
    lines = done.stdout.decode(errors="surrogateescape").splitlines()
    return dict(line.split(" ", 1) for line in lines if not line.startswith("refs/slotd/"))


def read_status(slot):
    """git status as people see it; where HEAD was detached is told by its log, and left out."""
    done = slot.git("-c", "core.fsmonitor=false", "-c", "status.aheadBehind=false", "status", "--untracked-files=all",
                    check=False)
    text = re.sub(rb"HEAD detached (at|from) \S+", b"HEAD detached", done.stdout)
    text = re.sub(rb"/\S*/worktrees/slotd-[^/]+/", b"ADMIN/", text)
    return text.replace(b"Not currently on any branch.", b"HEAD detached").decode(errors="backslashreplace")


# --- objects

def objects_of(slot, more=()):
    """Every object that is reachable from HEAD, the index, the log of HEAD and the stash of a slot."""
    roots = set(more)
    for old, new, _ in read_log(os.path.join(slot.admin, "logs/HEAD")):
        roots |= {old.decode(), new.decode()}
    for args in (("rev-parse", "HEAD"), ("rev-list", "-g", "refs/stash")):
        done = slot.git(*args, check=False)
        if done.returncode == 0:
            roots |= set(done.stdout.decode().split())
    index = read_index(slot)
    if isinstance(index, dict):
        roots |= {oid.decode() for mode, oid, _ in index.values() if mode != b"160000"}
    done = slot.git("cat-file", "--batch-check", data="".join(r + "\n" for r in roots).encode())
    there = [line.split()[0] for line in done.stdout.decode().splitlines() if not line.endswith("missing")]
    done = slot.git("rev-list", "--objects", "--no-object-names", "--stdin", "--not", slot.base,
                    data="".join(t + "\n" for t in there).encode())
    return set(done.stdout.decode().split())
