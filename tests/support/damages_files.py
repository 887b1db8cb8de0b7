"""Refs, packed-refs, HEAD, logs, configuration and the other files of a store."""

import os
import shutil
import socket

from support import git
from support.damages import HANGS, by, damage

ZERO = "0" * 40


def ref(content, name, *ids, **options):
    """refs/heads/broken is a file with that content."""
    def make(world):
        text = content(world) if callable(content) else content
        world.write("refs/heads/broken", text)
    by(make, "ref: " + name, *ids, **options)


ref("", "empty", "empty-ref")
ref("\n", "a newline", "empty-ref")
ref("\0" * 41, "NULs, as after a crash", "empty-ref")
ref("garbage\n", "garbage", "broken-ref")
ref(lambda w: w.oid("HEAD")[:20] + "\n", "half a name", "broken-ref")
ref(lambda w: w.oid("HEAD")[:39] + "g\n", "a letter that is no digit", "broken-ref")
ref(lambda w: w.oid("HEAD") + "x\n", "a letter behind the name", "broken-ref")
ref(lambda w: w.oid("HEAD") + " garbage\n", "garbage behind the name", "broken-ref", quiet=True)
ref(lambda w: w.oid("HEAD"), "no newline behind the name", quiet=True)
ref(lambda w: " " + w.oid("HEAD") + "\n", "a space before the name", "broken-ref")
ref(ZERO + "\n", "zeros", "broken-ref")
ref("12" * 20 + "\n", "an object that is not there", "missing-object", path="refs/heads/broken")
ref(lambda w: w.oid("HEAD:README") + "\n", "a branch that is a blob", "wrong-type")
ref(lambda w: w.oid("HEAD^{tree}") + "\n", "a branch that is a tree", "wrong-type")
ref(lambda w: w.oid("one") + "\n", "a branch that is a tag", "wrong-type")
ref("ref: refs/heads/nothing\n", "a symbolic one that leads to nothing", "broken-symref")
ref("ref: refs/heads/broken\n", "one that leads to itself", "ref-loop")
ref("ref: ../../../etc/passwd\n", "one that leads out", "broken-ref")
ref("ref: \n", "one that leads to no name", "broken-ref")
ref("ref: refs/heads/main\n", "a symbolic one", quiet=True)


@damage("ref: two that lead to each other", "ref-loop")
def _(world):
    world.write("refs/heads/broken", "ref: refs/heads/other\n")
    world.write("refs/heads/other", "ref: refs/heads/broken\n")


@damage("ref: a chain of seven", "ref-loop")
def _(world):
    for n in range(7):
        world.write("refs/heads/s%d" % n, "ref: refs/heads/s%d\n" % (n + 1))
    world.write("refs/heads/s7", world.oid("HEAD") + "\n")


@damage("ref: a pipe", **HANGS)
def _(world):
    world.fifo("refs/heads/pipe")


@damage("ref: a socket")
def _(world):
    there = os.getcwd()
    at = socket.socket(socket.AF_UNIX)
    os.chdir(world.path("refs/heads"))
    try:
        at.bind("socket")
    finally:
        os.chdir(there)
        at.close()


@damage("ref: a link to nothing", blind="2.39 takes it for nothing at all")
def _(world):
    os.symlink("/nonexistent/ref", world.path("refs/heads/link"))


def bad_name(file, name):
    def make(world):
        world.write(file, world.oid("HEAD") + "\n")
    by(make, "ref: " + name, "bad-ref-name")


bad_name("refs/heads/two..dots", "two dots in its name")
bad_name("refs/heads/a space", "a space in its name")
bad_name("refs/heads/tilde~1", "a tilde in its name")
bad_name("refs/heads/end.", "a dot at the end of its name")
bad_name("refs/heads/@{x", "@{ in its name")
bad_name("refs/heads/back\\slash", "a backslash in its name")
bad_name("refs/heads/new\nline", "a newline in its name")


@damage("ref: a lock", "lock-file", quiet=True)
def _(world):
    world.write("refs/heads/main.lock")
    world.write("packed-refs.lock")
    world.write("config.lock")
    world.write("objects/info/commit-graph.lock")
    world.write("HEAD.lock")
    world.write(world.admin(file="index.lock"))
    world.write(world.admin(file="HEAD.lock"))


@damage("ref: empty directories", quiet=True)
def _(world):
    os.makedirs(world.path("refs/heads/a/b/c"))


@damage("ref: a directory where a packed one has its name", kind="packed", quiet=True)
def _(world):
    os.makedirs(world.path("refs/heads/main"))


# --- packed-refs

FORMAT = "2.39 reads it as it is"


def packed(change, name, *ids, **options):
    by(lambda world: world.edit("packed-refs", lambda text: change(world, text)), "packed-refs: " + name,
       *(ids or ("bad-packed-refs",)), **{"kind": "packed", **options})


def swapped(_, text):
    lines = text.split(b"\n")
    return b"\n".join([lines[0], lines[2], lines[1], *lines[3:]])


packed(swapped, "two lines changed places", blind=FORMAT)
packed(lambda w, t: t + b"garbage\n", "a line of garbage")
packed(lambda w, t: t[:-1], "no newline at the end")
packed(lambda w, t: t + w.oid("HEAD").encode() + b" refs/tags/z", "a last line that is cut")
packed(lambda w, t: t + w.oid("HEAD").encode()[:20] + b"\n", "half a name at the end")
packed(lambda w, t: t + b"z" * 40 + b" refs/tags/z\n", "a name of no digits")
packed(lambda w, t: t + b"^" + b"12" * 20 + b"\n", "two values peeled of one tag")
packed(lambda w, t: t.replace(b"^", b"^1", 1)[:-1], "a peeled value that is too long")
packed(lambda w, t: t.replace(b"\n^" + w.oid("one^{}").encode(), b"\n^" + w.oid("light").encode()),
       "another peeled value",
       blind=FORMAT)
packed(lambda w, t: t.replace(b"# pack-refs with:", b"# pack-refs without:", 1), "another first line")
packed(lambda w, t: t + w.oid("HEAD").encode() + b" refs/tags/z..z\n", "a name that no ref may have")
packed(lambda w, t: t + b"12" * 20 + b" refs/tags/z\n", "an object that is not there", "missing-object",
       path="refs/tags/z")
packed(lambda w, t: t + ZERO.encode() + b" refs/tags/z\n", "zeros")
packed(lambda w, t: t.replace(b"refs/slotd/pin/p-2\n",
                              b"refs/slotd/pin/p-2\n" + w.oid("main").encode() + b" refs/slotd/pin/p-2\n"),
       "a line twice", blind=FORMAT)
packed(lambda w, t: t.replace(b"refs/heads/side\n", b"refs/heads/side\n^" + w.oid("side").encode() + b"\n"),
       "a value peeled of what is no tag", blind=FORMAT)
packed(lambda w, t: t + b"\0" * 50, "NULs at the end")
packed(lambda w, t: b"", "empty", blind="HEAD leads to no branch then, as in a new repository")


@damage("packed-refs: a pipe", "unreadable-file", kind="packed", **HANGS)
def _(world):
    world.fifo("packed-refs")


@damage("packed-refs: a directory", "unreadable-file", kind="packed")
def _(world):
    world.remove("packed-refs")
    os.mkdir(world.path("packed-refs"))


# --- HEAD of the store

def head(content, name, *ids, **options):
    def make(world):
        world.write("HEAD", content(world) if callable(content) else content)
    by(make, "HEAD: " + name, *(ids or (() if "quiet" in options else ("bad-head",))), **options)


head("", "empty")
head("garbage\n", "garbage")
head(ZERO + "\n", "zeros")
head("ref: refs/tags/light\n", "a symbolic one to a tag")
head("ref: refs/heads/bad..name\n", "a symbolic one to a name that no ref may have")
head("ref: HEAD\n", "a symbolic one to itself")
head(lambda w: w.oid("HEAD")[:30] + "\n", "half a name")
head("12" * 20 + "\n", "a commit that is not there", "missing-object")
head(lambda w: w.oid("HEAD:README") + "\n", "a blob", "wrong-type")
head("ref: refs/heads/nothing\n", "a branch that is not there", quiet=True)
head(lambda w: w.oid("HEAD~1") + "\n", "a commit", quiet=True)
by(lambda world: world.remove("HEAD"), "HEAD: not there", "bad-head")


# --- logs

def log(make, name, *ids, **options):
    by(make, "log: " + name, *ids, **options)


def entry(old, new, message="x"):
    return ("%s %s A U Thor <a@example.org> 1700000000 +0000\t%s\n" % (old, new, message)).encode()


LINE = "2.39 passes over lines that it cannot read"
log(lambda w: w.edit("logs/HEAD", lambda t: t + entry(w.oid("HEAD"), "12" * 20)), "a commit that is not there",
    "missing-object")
log(lambda w: w.edit("logs/refs/heads/side", lambda t: entry("34" * 20, w.oid("side")) + t),
    "an older commit that is not there",
    "missing-object")
log(lambda w: w.edit(w.admin(file="logs/HEAD"), lambda t: t + entry(w.oid("HEAD"), "12" * 20)),
    "a commit that is not there, of a slot", "missing-object", slot="p-1")
log(lambda w: w.edit("logs/HEAD", lambda t: t + b"garbage\n"), "a line of garbage", "bad-reflog", blind=LINE)
log(lambda w: w.edit("logs/HEAD", lambda t: t + b"\0" * 60), "NULs at the end, as after a crash", "bad-reflog",
    blind=LINE)
log(lambda w: w.edit("logs/HEAD", lambda t: t[:-30]), "the last line is cut", "bad-reflog", blind=LINE)
log(lambda w: w.edit("logs/HEAD", lambda t: t.replace(b"> 17", b"> x7", 1).replace(b"> 1", b"> x", 1)),
    "a line without a date",
    "bad-reflog", blind=LINE)
log(lambda w: w.write("logs/refs/heads/deleted", entry(w.oid("HEAD~1"), w.oid("HEAD"))), "of a ref that is not there",
    quiet=True)
log(lambda w: w.write("logs/refs/heads/side"), "empty", quiet=True)
log(lambda w: w.fifo("logs/refs/heads/side"), "a pipe",
    blind="2.39 passes over what is no file")


# --- configuration and format

def config(text, name, *ids, **options):
    by(lambda world: world.edit("config", lambda old: old + text.encode()), "config: " + name, *ids, **options)


config("[core\n", "does not parse", "bad-config")
config("[core]\n\tx = \"no end\n", "a string without an end", "bad-config")
config("[core]\n\trepositoryformatversion = 2\n", "a format that there is not yet", "unsupported-format")
config("[core]\n\trepositoryformatversion = 1\n[extensions]\n\tnoSuch = 1\n", "an extension that there is not",
       "unsupported-format")
config("[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectFormat = sha256\n", "another hash",
       "unsupported-format")
config("[core]\n\trepositoryformatversion = 1\n[extensions]\n\trefStorage = reftable\n", "another storage of refs",
       "unsupported-format")
config("[extensions]\n\tnoSuch = 1\n", "an extension in format 0, which has none", quiet=True)


@damage("config: an extension that there is not, and a damaged object", "unsupported-format", "corrupt-object")
def _(world):
    world.write(world.loose(world.oid("main:README")), "garbage")
    world.edit("config", lambda old: old + b"[core]\n\trepositoryformatversion = 1\n[extensions]\n\tnoSuch = 1\n")


@damage("store: of objects with SHA-256 names", "unsupported-format", slots=False,
        blind="it can read it, and slotd cannot")
def _(world):
    shutil.rmtree(world.dir)
    os.makedirs(world.dir)
    git.init(world.repository, "--template=", "--object-format=sha256")
    git.commit(world.repository, "first", README="hello\n")


config("[core]\n\trepositoryformatversion = x\n", "a format that is no number")
config("[core]\n\trepositoryformatversion = 1\n[extensions]\n\tworktreeConfig = true\n", "configuration by worktree",
       quiet=True)
config("[core]\n\tfileMode = urue\n", "a boolean that is none", "bad-config")
config("[core]\n\tcompression = fast\n", "a number that is none", "bad-config")
config("[core]\n\tautocrlf = input\n\tlogAllRefUpdates = Always\n\tsafecrlf = warn\n\tabbrev = no\n\tbigFileThreshold = 10M\n"
       "\tsymlinks\n\tquotePath =\n\ttrustctime = 2k\n\tcompression = -1\n", "odd booleans and numbers", quiet=True)
by(lambda world: world.remove("config"), "config: not there, so that what is usual holds", quiet=True)
by(lambda world: world.write("config", "\0" * 100), "config: NULs, as after a crash", "bad-config")
by(lambda world: world.fifo("config"), "config: a pipe", **HANGS)
by(lambda world: world.remove("refs"), "store: no refs/")
by(lambda world: world.remove("objects"), "store: no objects/", "unreadable-file")


# --- shallow

by(lambda world: world.write("shallow", "garbage\n"), "shallow: garbage", "bad-shallow")
by(lambda world: world.write("shallow", world.oid("HEAD")[:20] + "\n"), "shallow: half a name", "bad-shallow")


@damage("shallow: a boundary that is lost", "missing-object")
def _(world):
    """The parent of a commit is gone, and no boundary says that it may be."""
    world.remove(world.loose(world.oid("light")))
    world.write("shallow", world.oid("main") + "\n")


@damage("shallow: a boundary", quiet=True)
def _(world):
    for name in ("logs", world.admin(file="logs"), world.admin("p-2", "logs"), "worktrees/linked/logs"):
        world.remove(name)
    boundary, tree = world.oid("light"), world.oid("light^{tree}")
    oid = world.put("commit",
                    "tree %s\nparent %s\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nx\n" % (tree, "12" * 20))
    world.set_ref("refs/heads/cut", oid)
    world.write("shallow", oid + "\n")
    assert boundary
