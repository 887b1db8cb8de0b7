"""Worktrees, their administration and their indexes."""

import os
import shutil
import struct

from support import forge, git
from support.damages import HANGS, by, damage

NOBODY = 65534
OTHERS = "2.39 does not look at how worktrees and administrations lead to each other"


# --- pointers

def admin(make, name, *ids, **options):
    by(make, "worktree: " + name, *ids, **{"quick": True, **options})


def gitfile(world, text, slot="p-1"):
    git.write(world.slot(slot), ".git", text(world) if callable(text) else text)


admin(lambda w: os.unlink(os.path.join(w.slot(), ".git")), ".git is not there", "bad-gitdir", slot="p-1")
admin(lambda w: gitfile(w, ""), ".git is empty", "bad-gitdir", slot="p-1")
admin(lambda w: gitfile(w, "garbage\n"), ".git is garbage", "bad-gitdir", slot="p-1")
admin(lambda w: gitfile(w, "gitdir: /nonexistent/worktrees/x\n"), ".git leads to nothing", "bad-gitdir", slot="p-1")
admin(lambda w: gitfile(w, "gitdir: %s\n" % w.path(w.admin("p-2"))), ".git leads to another slot", "bad-gitdir",
      slot="p-1",
      blind=OTHERS)
admin(lambda w: gitfile(w, "gitdir: %s\n" % w.store), ".git leads to the store", "bad-gitdir", slot="p-1", blind=OTHERS)


@damage("worktree: .git is a repository", "bad-gitdir", slot="p-1", quick=True, blind=OTHERS)
def _(world):
    os.unlink(os.path.join(world.slot(), ".git"))
    git.init(world.slot(), "--template=")


@damage("worktree: .git is a pipe", "bad-gitdir", slot="p-1", quick=True)
def _(world):
    os.unlink(os.path.join(world.slot(), ".git"))
    os.mkfifo(os.path.join(world.slot(), ".git"))


@damage("worktree: .git is a link", "bad-gitdir", slot="p-1", quick=True, blind=OTHERS)
def _(world):
    os.unlink(os.path.join(world.slot(), ".git"))
    os.symlink(world.path(world.admin()), os.path.join(world.slot(), ".git"))


admin(lambda w: w.remove(w.admin(file="gitdir")), "gitdir is not there", "bad-gitdir", slot="p-1", blind=OTHERS)
admin(lambda w: w.write(w.admin(file="gitdir")), "gitdir is empty", "bad-gitdir", slot="p-1", blind=OTHERS)
admin(lambda w: w.write(w.admin(file="gitdir"), "\0" * 60), "gitdir is NULs", "bad-gitdir", slot="p-1", blind=OTHERS)
admin(lambda w: w.write(w.admin(file="gitdir"), "/nonexistent/.git\n"), "gitdir leads to nothing", "bad-gitdir",
      slot="p-1",
      blind=OTHERS)
admin(lambda w: w.write(w.admin(file="gitdir"), w.slot("p-2") + "/.git\n"), "gitdir leads to another slot",
      "bad-gitdir",
      slot="p-1", blind=OTHERS)
admin(lambda w: w.fifo(w.admin(file="gitdir")), "gitdir is a pipe", **HANGS,
      slot=None)
admin(lambda w: w.remove(w.admin(file="commondir")), "commondir is not there", "bad-commondir", slot="p-1")
admin(lambda w: w.write(w.admin(file="commondir")), "commondir is empty", "bad-commondir", slot="p-1")
admin(lambda w: w.write(w.admin(file="commondir"), "../../..\n"), "commondir leads elsewhere", "bad-commondir",
      slot="p-1")
admin(lambda w: w.write(w.admin(file="commondir"), "/nonexistent\n"), "commondir leads to nothing", "bad-commondir",
      slot="p-1")
admin(lambda w: w.write(w.admin(file="commondir"), w.store + "\n"), "commondir is absolute", quiet=True, quick=False)


@damage("worktree: the linked one has an empty commondir", "bad-commondir")
def _(world):
    world.write("worktrees/linked/commondir")


@damage("worktree: an administration without a worktree", "missing-worktree", blind=OTHERS)
def _(world):
    shutil.rmtree(world.linked)


@damage("worktree: an administration of a slot without a slot", "missing-worktree", blind=OTHERS, quick=True)
def _(world):
    shutil.rmtree(world.slot())


@damage("worktree: a slot without an administration", slot="p-1", quick=True)
def _(world):
    world.remove(world.admin())


@damage("worktree: an administration that is a file", "stray-file", quiet=True)
def _(world):
    world.write("worktrees/file", "no directory")


@damage("worktree: an empty administration", quiet=True)
def _(world):
    os.mkdir(world.path("worktrees/empty"))


@damage("worktree: two administrations of one worktree", "duplicate-worktree", blind=OTHERS)
def _(world):
    shutil.copytree(world.path("worktrees/linked"), world.path("worktrees/again"))


@damage("worktree: a directory among the slots that no administration knows", "unknown-worktree", blind=OTHERS)
def _(world):
    os.mkdir(world.slot("p-3"))
    git.write(world.slot("p-3"), ".git", "gitdir: %s/worktrees/slotd-p-3\n" % world.store)


@damage("worktree: a slot that is a link", "moved-slot", slot="p-1", quick=True, blind=OTHERS)
def _(world):
    moved = os.path.join(world.dir, "moved")
    os.rename(world.slot(), moved)
    os.symlink(moved, world.slot())


@damage("worktree: a slot that is a link to another one", "moved-slot", slot="p-1", quick=True, blind=OTHERS)
def _(world):
    shutil.rmtree(world.slot())
    os.symlink(world.slot("p-2"), world.slot())


@damage("worktree: a slot that is a file", "moved-slot", slot="p-1", quick=True, blind=OTHERS)
def _(world):
    shutil.rmtree(world.slot())
    git.write(world.dir, "slots/p-1", "no directory")


@damage("worktree: a slot of another owner", "wrong-owner", slot="p-1", quick=True, needs="root")
def _(world):
    os.chown(world.slot(), NOBODY, NOBODY)
    os.lchown(os.path.join(world.slot(), ".git"), NOBODY, NOBODY)


@damage("worktree: an administration of another owner", "wrong-owner", slot="p-1", quick=True, needs="root")
def _(world):
    os.chown(world.path(world.admin()), NOBODY, NOBODY)


# --- HEAD of a slot

def head(content, name, *ids, **options):
    def make(world):
        world.write(world.admin(file="HEAD"), content(world) if callable(content) else content)
    by(make, "HEAD of a slot: " + name, *(ids or (() if "quiet" in options else ("bad-head",))),
       **{"slot": "p-1", "quick": True, **options})


head("", "empty")
head("garbage\n", "garbage")
head("\0" * 41, "NULs, as after a crash")
head("0" * 40 + "\n", "zeros")
head("ref: refs/tags/light\n", "a symbolic one to a tag")
head("ref: HEAD\n", "a symbolic one to itself")
head("12" * 20 + "\n", "a commit that is not there", "missing-object")
head(lambda w: w.oid("HEAD:README") + "\n", "a blob", "wrong-type", quick=False)
head("ref: refs/heads/nothing\n", "a branch that is not there", quiet=True, slot=None, quick=False)
by(lambda w: w.remove(w.admin(file="HEAD")), "HEAD of a slot: not there", "bad-head", slot="p-1", quick=True)
by(lambda w: w.fifo(w.admin(file="HEAD")), "HEAD of a slot: a pipe", quick=True, slot="p-1", **HANGS)
by(lambda w: w.write("worktrees/linked/HEAD", "garbage\n"), "HEAD of a worktree: garbage", "bad-head")


# --- indexes

INDEX = "worktrees/slotd-p-1/index"


def index(change, name, *ids, is_sealed=True, **options):
    """change(bytes of the slot's index)"""
    def make(world):
        new = change(world.read(INDEX))
        world.write(INDEX, forge.seal(new) if is_sealed else new)
    by(make, "index: " + name, *(ids or (() if "quiet" in options else ("bad-index",))),
       **{"slot": "p-1", "quick": True, **options})


def put(at, content):
    return lambda data: data[:at] + content + data[at + len(content):]


def entries(data):
    """(begin, end) of each, in version 2."""
    at, found = 12, []
    for _ in range(struct.unpack(">I", data[8:12])[0]):
        end = at + (data.index(b"\0", at + 62) - at + 8) // 8 * 8
        found.append((at, end))
        at = end
    return found


def change_entry(number, at, content):
    return lambda data: put(entries(data)[number][0] + at, content)(data)


def swap_entries(data):
    one, two = entries(data)[:2]
    return data[:one[0]] + data[two[0]:two[1]] + data[one[0]:one[1]] + data[two[1]:]


def repeat_entry(data):
    one = entries(data)[0]
    count = struct.unpack(">I", data[8:12])[0] + 1
    return data[:8] + struct.pack(">I", count) + data[12:one[1]] + data[one[0]:]


def extended(name, content):
    """An extension before the checksum."""
    return lambda data: data[:-20] + name + struct.pack(">I", len(content)) + content + data[-20:]


index(lambda d: b"", "empty", is_sealed=False)
index(lambda d: d[:11], "cut in the header", is_sealed=False)
index(lambda d: d[:-30], "cut at the end", is_sealed=False)
index(lambda d: b"\0" * len(d), "NULs, as after a crash", is_sealed=False)
index(put(0, b"JUNK"), "another signature")
index(put(4, struct.pack(">I", 5)), "a version that there is not")
index(put(4, struct.pack(">I", 1)), "version 1")
index(put(8, struct.pack(">I", 10000)), "more entries than there are")
index(put(8, b"\xff\xff\xff\xff"), "4 billion entries")
index(put(8, struct.pack(">I", 2)), "fewer entries than there are")
index(lambda d: d[:-1] + bytes([d[-1] ^ 1]), "its checksum", is_sealed=False)
index(lambda d: put(entries(d)[0][0] + 30, b"\x55")(d), "a byte of an entry, not sealed", is_sealed=False)
index(swap_entries, "two entries in the wrong order")
index(repeat_entry, "an entry twice")
index(change_entry(0, 24, struct.pack(">I", 0o140644)), "a mode that there is not",
      blind="2.39 takes any mode for a blob's")
index(change_entry(0, 40, b"\x12" * 20), "a blob that is not there", "missing-object")
index(change_entry(0, 40, bytes(20)), "a null name of an object")
index(change_entry(0, 62, b"/tmp"), "a name that begins at the root", blind="2.39 looks at names when it writes them")
index(change_entry(0, 62, b".git/x"), "an entry for .git", blind="2.39 looks at names when it writes them")
index(change_entry(0, 60, b"\x00\x14"), "a length of a name that is larger than the name")
index(change_entry(0, 60, b"\x00\x02"), "a length of a name that is smaller than the name",
      blind="2.39 takes the length for true")
index(change_entry(0, 60, b"\x40\x06"), "an extended entry in version 2")
index(extended(b"junk", b"data"), "an extension that it needs and that there is not", "unsupported-index")
index(extended(b"JUNK", b"data"), "an extension that it does not need", quiet=True, quick=False, slot=None,
      is_sealed=True)
index(lambda d: d[:-20] + b"TREE\0\0\xff\xff" + d[-20:], "an extension beyond the end",
      blind="2.39 looks at no extension that begins too near to the end")


@damage("index: a checksum of zeros, as later ones write it when they are told to skip it",
        excused="later ones take it")
def _(world):
    world.edit(INDEX, lambda d: d[:-20] + bytes(20))


@damage("index: a cache-tree that is the empty tree, which nobody wrote", excused="it has that one built in")
def _(world):
    world.git("switch", "-q", "--orphan", "new", cwd=world.slot())


def tree_of(change):
    """The cache-tree of the slot's index is changed: its bytes behind the header."""
    def make(data):
        at = data.index(b"TREE")
        size = struct.unpack(">I", data[at + 4:at + 8])[0]
        new = change(data[at + 8:at + 8 + size])
        return data[:at + 4] + struct.pack(">I", len(new)) + new + data[at + 8 + size:]
    return make


index(tree_of(lambda t: t[:t.index(b"\n") + 1] + b"\x12" * 20 + t[t.index(b"\n") + 21:]),
      "a cache-tree that is not there",
      "missing-object", quick=False)
index(tree_of(lambda t: t.replace(b"\x006 ", b"\x00999 ", 1)), "a cache-tree of more entries than there are",
      blind="2.39 looks at that only when a cache-tree is written")
index(tree_of(lambda t: t[:-5]), "a cache-tree that is cut", blind="2.39 goes on without it")


@damage("index: a cache-tree that leads to a blob", "wrong-type", slot="p-1", quick=False)
def _(world):
    oid = bytes.fromhex(world.oid("HEAD:README"))
    change = tree_of(lambda t: t[:t.index(b"\n") + 1] + oid + t[t.index(b"\n") + 21:])
    world.edit(INDEX, lambda d: forge.seal(change(d)))


@damage("index: a resolve-undo that leads to a blob that is not there", "missing-object", slot="p-1", path="README")
def _(world):
    conflict(world)
    git.write(world.slot(), "README", "resolved\n")
    world.git("add", "README", cwd=world.slot())
    world.lose("refs/heads/theirs:README")
    index_alone(world)


def conflict(world):
    """A merge in p-1 that stopped at README."""
    slot = world.slot()
    world.git("checkout", "-q", "-b", "theirs", cwd=slot)
    git.write(slot, "README", "theirs\n")
    world.git("commit", "-qam", "theirs", cwd=slot)
    world.git("checkout", "-q", "--detach", "HEAD~1", cwd=slot)
    git.write(slot, "README", "ours\n")
    world.git("commit", "-qam", "ours", cwd=slot)
    world.git("merge", "-q", "theirs", cwd=slot, check=False)
    world.remove(world.admin(file="AUTO_MERGE"))


def index_alone(world):
    """Nothing else leads to what was to be merged."""
    world.remove("refs/heads/theirs")
    world.remove("logs/refs/heads/theirs")
    for name in ("MERGE_HEAD", "MERGE_MODE", "MERGE_MSG", "ORIG_HEAD", "logs"):
        world.remove(world.admin(file=name))


@damage("index: a blob of a conflict is not there", "missing-object", slot="p-1", path="README", quick=True)
def _(world):
    conflict(world)
    world.lose("theirs:README")
    index_alone(world)


@damage("index: of a worktree, a blob that is not there", "missing-object", path="staged")
def _(world):
    git.spoil(world.linked, "staged")


@damage("index: of the store's own worktree, a blob that is not there", "missing-object", path="staged")
def _(world):
    git.spoil(world.repository, "staged")


@damage("index: of a slot, a blob that is not there", "missing-object", slot="p-1", path="staged", quick=True)
def _(world):
    git.spoil(world.slot(), "staged")


@damage("index: of the store's own worktree, its checksum", "bad-index")
def _(world):
    world.poke("index", -1)


@damage("index: split, the shared one is not there", slot="p-1", quick=True)
def _(world):
    world.git("update-index", "--split-index", cwd=world.slot())
    shared = [name for name in os.listdir(world.path(world.admin())) if name.startswith("sharedindex.")]
    world.remove(world.admin(file=shared[0]))


@damage("index: split, the shared one is damaged", "bad-index", slot="p-1", quick=True)
def _(world):
    world.git("update-index", "--split-index", cwd=world.slot())
    shared = [name for name in os.listdir(world.path(world.admin())) if name.startswith("sharedindex.")]
    world.poke(world.admin(file=shared[0]), 50)


@damage("index: split, a blob of the shared one is not there", "missing-object", slot="p-1", quick=True)
def _(world):
    git.spoil(world.slot(), "staged")
    world.git("update-index", "--split-index", cwd=world.slot())


@damage("index: version 4, a name that takes away more than there is", "bad-index", slot="p-1", quick=True)
def _(world):
    world.git("update-index", "--index-version", "4", cwd=world.slot())
    world.edit(INDEX, lambda d: forge.seal(put(d.index(b"\0", 12 + 63) + 63, b"\x7f")(d)))


@damage("index: version 3, a blob that is not there", "missing-object", slot="p-1", path="staged", quick=True)
def _(world):
    git.write(world.slot(), "later", "")
    world.git("add", "-N", "later", cwd=world.slot())
    git.spoil(world.slot(), "staged")


@damage("index: sparse, a directory that is not there", "missing-object", slot="p-1")
def _(world):
    slot = world.slot()
    world.sparse(slot, "--cone", "--sparse-index", "docs")
    oid = world.put("tree", forge.tree(("100644", "x", world.put("blob", "sparse only\n"))))
    src = bytes.fromhex(world.oid("HEAD:src", cwd=slot))
    world.edit(INDEX, lambda d: forge.seal(d.replace(src, bytes.fromhex(oid))))
    world.remove(world.loose(oid))


@damage("index: a pipe", slot="p-1", quick=True, **HANGS)
def _(world):
    world.fifo(INDEX)
