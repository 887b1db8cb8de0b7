"""Small repositories with worktrees, for damages: made once in each kind, copied for each use.

A world is a directory: repository/ (with .git, the store), slots/p-1 and slots/p-2 with an administration as slotd
makes it, linked/ as "git worktree add" makes it, and whatever else a kind needs.
"""

import os
import shutil
import subprocess
import threading
import zlib

from support import forge, git

KINDS = {}

SLOTS = ("p-1", "p-2")
# 30 s of patience for a git that works, and what kills one that waits for a FIFO
PATIENCE = 60


def kind(name, of=None):
    """Decorator: function(world) makes a world of this kind, of a copy of another kind if there is one."""
    def add(make):
        KINDS[name] = (make, of)
        return make
    return add


class World:
    """A directory with a store; paths are relative to the store where nothing else is said."""

    def __init__(self, directory):
        self.dir = directory
        self.repository = os.path.join(directory, "repository")
        self.store = os.path.join(self.repository, ".git")
        self.linked = os.path.join(directory, "linked")

    def slot(self, name="p-1"):
        return os.path.join(self.dir, "slots", name)

    def admin(self, name="p-1", file=""):
        """Relative to the store."""
        return os.path.join("worktrees", "slotd-" + name, file) if file else "worktrees/slotd-" + name

    # --- git and the shell

    def environment(self):
        return {**os.environ, **git.ENV, "HOME": self.dir, "GIT_CEILING_DIRECTORIES": self.dir}

    def git(self, *args, cwd=None, data=None, check=True):
        return self.run(["git", *args], cwd, data, check).decode("utf-8", "surrogateescape").strip()

    def sh(self, script, cwd=None):
        return self.run(["sh", "-euc", script], cwd, None, True).decode("utf-8", "surrogateescape").strip()

    def run(self, argv, cwd, data, check):
        feed = {"input": data} if data is not None else {"stdin": subprocess.DEVNULL}
        done = subprocess.run(argv, cwd=cwd or self.repository, capture_output=True, env=self.environment(),
                              timeout=PATIENCE, check=False, **feed)
        if check and done.returncode:
            raise git.Failed("%s: exit %d\n%s%s" % (" ".join(argv), done.returncode,
                                                    done.stdout.decode(errors="replace"),
                                                    done.stderr.decode(errors="replace")))
        return done.stdout

    def sparse(self, path, *options):
        """A sparse checkout; the index has to know the files first, which a copy of a world does not."""
        self.git("update-index", "-q", "--refresh", cwd=path)
        self.git("sparse-checkout", "set", *options, cwd=path)

    def oid(self, name, cwd=None):
        return self.git("rev-parse", "--verify", name, cwd=cwd)

    # --- files of the store

    def path(self, name):
        return os.path.join(self.store, name)

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def write(self, name, content=b""):
        """In the place of what is there."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.remove(name)
        with open(path, "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())

    def edit(self, name, change):
        self.write(name, change(self.read(name)))

    def poke(self, name, at, content=None):
        """Other bytes at a place, from the end if it is below 0; without content one bit of the byte there."""
        def change(data):
            place = at if at >= 0 else len(data) + at
            new = bytes([data[place] ^ 1]) if content is None else content
            return data[:place] + new + data[place + len(new):]
        self.edit(name, change)

    def cut(self, name, length):
        """To so many bytes, or by so many if it is below 0."""
        self.edit(name, lambda data: data[:length])

    def remove(self, name):
        path = self.path(name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)

    def fifo(self, name):
        self.remove(name)
        os.mkfifo(self.path(name))

    # --- objects

    @staticmethod
    def loose(oid):
        return "objects/%s/%s" % (oid[:2], oid[2:])

    def put(self, kind_, content):
        """A loose object of any bytes; its name."""
        content = content if isinstance(content, bytes) else content.encode()
        oid, data = forge.loose(kind_, content)
        if not os.path.lexists(self.path(self.loose(oid))):
            self.write(self.loose(oid), data)
        return oid

    def put_as(self, oid, data):
        """A file in the place of an object."""
        self.write(self.loose(oid), data)

    def raw(self, oid):
        """What is in the zlib stream of a loose object."""
        return zlib.decompress(self.read(self.loose(oid)))

    def lose(self, name):
        """Take a loose object away; its name."""
        oid = self.oid(name)
        self.remove(self.loose(oid))
        return oid

    def pack(self, number=0):
        """The stem of a pack, the largest one first: "objects/pack/pack-1..."."""
        stems = {name.rpartition(".")[0] for name in os.listdir(self.path("objects/pack")) if name.startswith("pack-")}
        stems = sorted(stems, key=lambda s: -sum(os.path.getsize(self.path("objects/pack/" + s + end)) for end in
                                                 (".pack",) if os.path.exists(self.path("objects/pack/" + s + end))))
        return "objects/pack/" + stems[number]

    def install_pack(self, entries, **how):
        """A pack of our own making (forge.pack()); its stem."""
        pack, index = forge.pack(entries, **how)
        stem = "objects/pack/pack-" + forge.trailer(pack).hex()
        self.write(stem + ".pack", pack)
        self.write(stem + ".idx", index)
        return stem

    def set_ref(self, name, oid):
        self.write(name, oid + "\n")

    # --- moved

    def relocate(self, old):
        """Pointers that name the place of the world that this one is a copy of."""
        for top in ("repository/.git/worktrees",):
            names = os.path.join(self.dir, top)
            for name in os.listdir(names) if os.path.isdir(names) else ():
                self._replace(os.path.join(names, name, "gitdir"), old)
        for tree in [self.linked, *(self.slot(name) for name in SLOTS)]:
            self._replace(os.path.join(tree, ".git"), old)

    def _replace(self, path, old):
        if os.path.isfile(path):
            with open(path, encoding="utf-8") as f:
                text = f.read()
            with open(path, "w", encoding="utf-8") as f:
                f.write(text.replace(old + "/", self.dir + "/"))

    def trees(self):
        """Every worktree that git can be started in: [(name, path)], the store's first."""
        named = [("store", self.repository), *((name, self.slot(name)) for name in SLOTS), ("linked", self.linked)]
        return [(name, path) for name, path in named if os.path.isdir(path) and os.access(path, os.X_OK)]


class Worlds:
    """Makes each kind when it is asked for first, and copies."""

    def __init__(self, directory):
        self.directory, self.made, self.count = directory, {}, 0
        self.lock = threading.RLock()
        os.makedirs(directory, exist_ok=True)

    def base(self, name):
        with self.lock:
            if name not in self.made:
                make, of = KINDS[name]
                path = os.path.join(self.directory, "base-" + name)
                if of:
                    self._copy(self.base(of).dir, path)
                else:
                    os.makedirs(path)
                world = World(path)
                make(world)
                self.made[name] = world
            return self.made[name]

    def copy(self, name):
        base = self.base(name)
        with self.lock:
            self.count += 1
            path = os.path.join(self.directory, "%d-%s" % (self.count, name))
        self._copy(base.dir, path)
        return World(path)

    @staticmethod
    def _copy(old, new):
        subprocess.run(["cp", "-a", old, new], check=True)
        World(new).relocate(old)

    @staticmethod
    def drop(world):
        try:
            shutil.rmtree(world.dir)
        except PermissionError:  # damages_modes.py
            subprocess.run(["chmod", "-R", "u+rwX", world.dir], check=True)
            shutil.rmtree(world.dir)


def add_slot(world, name, commit):
    """As slotd makes one (src/git/worktree-create.c)."""
    slot, admin = world.slot(name), world.admin(name)
    os.makedirs(slot)
    oid = world.oid(commit)
    git.write(slot, ".git", "gitdir: %s/%s\n" % (world.store, admin))
    world.write(admin + "/gitdir", slot + "/.git\n")
    world.write(admin + "/commondir", "../..\n")
    world.write(admin + "/locked", "slotd\n")
    world.write(admin + "/HEAD", oid + "\n")
    world.write(admin + "/logs/HEAD", "%s %s slotd <slotd@localhost> 1700000000 +0000\tslotd: created\n" % ("0" * 40,
                                                                                                            oid))
    world.git("read-tree", oid, cwd=slot)
    world.git("checkout-index", "-aqu", cwd=slot)
    world.git("update-ref", "refs/slotd/pin/" + name, oid)


VERSION = "".join("line %d of a file that has many versions\n" % n for n in range(60))


@kind("loose")
def make_loose(world):
    """Every object loose: two branches and a merge, tags, notes, two slots and a worktree."""
    git.init(world.repository, "--template=")
    world.git("config", "gc.auto", "0")
    git.write(world.repository, "README", "hello\n")
    git.write(world.repository, "src/main.c", "int main(void)\n{\n\treturn 0;\n}\n")
    git.write(world.repository, "src/deep/file", "deep\n")
    git.write(world.repository, "long", VERSION)
    os.symlink("src/main.c", os.path.join(world.repository, "link"))
    git.commit(world.repository, "first")
    world.git("tag", "light")
    world.git("branch", "side")
    git.commit(world.repository, "second", long=VERSION.replace("line 7 ", "line seven "))
    world.git("tag", "-a", "-m", "a tag", "one")
    world.git("switch", "-q", "side")
    git.commit(world.repository, "beside", beside="beside\n")
    world.git("switch", "-q", "main")
    world.git("merge", "-q", "-m", "merged", "side")
    git.commit(world.repository, "last", long=VERSION.replace("line 9 ", "line nine "), README="bye\n")
    world.git("notes", "add", "-m", "a note", "light")
    add_slot(world, "p-1", "main~1")
    add_slot(world, "p-2", "main")
    world.git("worktree", "add", "-q", "-b", "linked", world.linked, "main~1")
    git.write(world.linked, "README", "elsewhere\n")
    world.git("commit", "-qam", "in the worktree", cwd=world.linked)
    for name in ("ORIG_HEAD", "COMMIT_EDITMSG", "worktrees/linked/ORIG_HEAD", "worktrees/linked/COMMIT_EDITMSG"):
        world.remove(name)


@kind("packed", "loose")
def make_packed(world):
    """One pack with deltas, packed refs, nothing loose."""
    world.git("-c", "pack.writeReverseIndex=true", "repack", "-adfq", "--depth=10", "--window=20")
    world.git("prune-packed")
    world.git("pack-refs", "--all")


@kind("two", "packed")
def make_two(world):
    """A second pack, with other objects, and loose ones."""
    for n in range(3):
        git.commit(world.repository, "more %d" % n, long=VERSION.replace("line %d " % n, "more "),
                   **{"new%d" % n: "%d\n" % n})
    world.git("repack", "-dq")
    git.commit(world.repository, "loose", loose="loose\n")
    world.remove("COMMIT_EDITMSG")


@kind("graph", "packed")
def make_graph(world):
    world.git("commit-graph", "write", "--reachable")


@kind("chain", "two")
def make_chain(world):
    """A commit-graph of two layers."""
    world.git("commit-graph", "write", "--reachable", "--split=no-merge")
    git.commit(world.repository, "upon", upon="upon\n")
    git.commit(world.repository, "upon that", upon="upon that\n")
    world.git("commit-graph", "write", "--reachable", "--split=no-merge")
    world.remove("COMMIT_EDITMSG")


@kind("midx", "two")
def make_midx(world):
    world.git("multi-pack-index", "write")


@kind("midx-bitmap", "two")
def make_midx_bitmap(world):
    world.git("repack", "-dq")
    world.git("multi-pack-index", "write", "--bitmap")


@kind("cruft", "loose")
def make_cruft(world):
    """What nothing leads to is in a pack of its own, which says how old it is."""
    world.put("blob", b"unreachable\n")
    world.git("repack", "-dq", "--cruft")
    world.git("pack-refs", "--all")


@kind("partial", "packed")
def make_partial(world):
    """A clone without blobs but of what is checked out."""
    clone(world, "--filter=blob:none")


@kind("shallow", "packed")
def make_shallow(world):
    clone(world, "--depth=1")


def clone(world, *args):
    """The repository is a clone of what it was; the slots were the origin's."""
    origin = os.path.join(world.dir, "origin")
    os.rename(world.repository, origin)
    for name in ("slots", "linked"):
        shutil.rmtree(os.path.join(world.dir, name))
    for name in ("Filter", "AnySHA1InWant"):
        world.git("config", "uploadpack.allow" + name, "true", cwd=origin)
    world.git("clone", "-q", *args, "file://" + origin, world.repository, cwd=world.dir)
    if "--bare" in args or "--mirror" in args:
        world.store = world.repository


@kind("bitmap", "loose")
def make_bitmap(world):
    world.git("-c", "pack.writeReverseIndex=true", "repack", "-adbfq")
    world.git("prune-packed")


@kind("borrowed", "packed")
def make_borrowed(world):
    """What was there is in another store that this one borrows from; one commit of its own."""
    os.rename(world.path("objects"), os.path.join(world.dir, "other"))
    os.makedirs(world.path("objects/info"))
    os.makedirs(world.path("objects/pack"))
    world.write("objects/info/alternates", "../../../other\n")
    git.commit(world.repository, "own", own="own\n")
    world.remove("COMMIT_EDITMSG")
