"""Objects that are led to and are not there, or are something else; and whom that concerns."""

from support import git
from support.damages import by, damage
from support.forge import tree

WHO = "A U Thor <author@example.org> 1700000000 +0000"
OPERATIONS = "2.39 does not look at the files of operations"


def lost(name, title, *ids, **options):
    by(lambda world: world.lose(name), "missing: " + title, *(ids or ("missing-object",)), **options)


lost("main:README", "a blob", path="README")
lost("light:README", "an old blob", path="README")
lost("main:src", "a tree", path="src")
lost("main^{tree}", "the tree of a commit")
lost("linked", "the commit of a branch", path="refs/heads/linked")
lost("light", "an old commit")
lost("side", "the second parent of a merge")
lost("one", "a tag", path="refs/tags/one")
lost("refs/notes/commits^{tree}", "a tree of notes", path="refs/notes/commits")


@damage("missing: what a tag leads to", "missing-object", path="refs/tags/other")
def _(world):
    oid = world.put("blob", "tagged\n")
    world.git("tag", "-a", "-m", "x", "other", oid)
    world.remove(world.loose(oid))


@damage("missing: out of a pack", "missing-object", kind="two", path="README")
def _(world):
    oid = world.oid("main:loose")
    world.remove(world.loose(oid))
    tree_ = world.put("tree", tree(("100644", "README", oid)))
    world.set_ref("refs/heads/t", world.git("commit-tree", "-m", "x", tree_))


@damage("missing: in a partial clone, what the remote never promised", "missing-object", kind="partial", path="x",
        slots=False)
def _(world):
    oid = world.put("tree", tree(("100644", "x", "12" * 20)))
    world.set_ref("refs/heads/t", world.git("commit-tree", "-m", "x", oid))


@damage("missing: in a clone that is partial no more, as its pack is no promise", "missing-object", kind="partial",
        slots=False)
def _(world):
    for stem in {world.pack(n) for n in range(2)}:
        world.remove(stem + ".promisor")


@damage("missing: in a clone that is shallow no more", "missing-object", kind="shallow", slots=False)
def _(world):
    world.remove("shallow")


@damage("missing: what a commit is replaced by", "missing-object")
def _(world):
    world.write("refs/replace/" + world.oid("main"), "12" * 20 + "\n")


@damage("missing: two blobs at once", "missing-object")
def _(world):
    world.lose("main:README")
    world.lose("side:beside")


@damage("missing: a submodule's commit", quiet=True)
def _(world):
    oid = world.put("tree", tree(("160000", "inner", "12" * 20)))
    world.set_ref("refs/heads/t", world.git("commit-tree", "-m", "x", oid))


@damage("missing: what nothing in use leads to", "missing-object", quiet=True)
def _(world):
    world.put("tree", tree(("100644", "x", "12" * 20)))


# --- whom it concerns

def lonely(world, slot="p-1"):
    """A commit that the slot alone has, without a log; its blob."""
    git.write(world.slot(slot), "alone", "alone in %s\n" % slot)
    world.git("add", "alone", cwd=world.slot(slot))
    world.git("commit", "-qm", "alone", cwd=world.slot(slot))
    world.git("read-tree", "HEAD~1", cwd=world.slot(slot))
    world.remove(world.admin(slot, "logs"))
    world.remove(world.admin(slot, "COMMIT_EDITMSG"))
    return world.oid("HEAD:alone", cwd=world.slot(slot))


@damage("missing: a blob that HEAD of one slot alone needs", "missing-object", slot="p-1", path="alone", quick=True)
def _(world):
    world.remove(world.loose(lonely(world)))


@damage("missing: a tree that HEAD of one slot alone needs", "missing-object", slot="p-2", quick=True)
def _(world):
    lonely(world, "p-2")
    world.remove(world.loose(world.oid("HEAD^{tree}", cwd=world.slot("p-2"))))


@damage("missing: a blob that the log of one slot alone needs", "missing-object", slot="p-1")
def _(world):
    slot = world.slot()
    git.write(slot, "alone", "alone\n")
    world.git("add", "alone", cwd=slot)
    world.git("commit", "-qm", "alone", cwd=slot)
    oid = world.oid("HEAD:alone", cwd=slot)
    world.git("reset", "-q", "--hard", "HEAD~1", cwd=slot)
    world.remove(world.admin(file="ORIG_HEAD"))
    world.remove(world.admin(file="COMMIT_EDITMSG"))
    world.remove(world.loose(oid))


@damage("missing: a blob that a log of the store alone needs", "missing-object")
def _(world):
    git.commit(world.repository, "soon gone", alone="alone\n")
    oid = world.oid("HEAD:alone")
    world.git("reset", "-q", "--hard", "HEAD~1")
    for name in ("ORIG_HEAD", "COMMIT_EDITMSG"):
        world.remove(name)
    world.remove(world.loose(oid))


def operation(file, text, name, *ids, **options):
    """A file of an operation in p-1."""
    by(lambda world: world.write(world.admin(file=file), text(world) if callable(text) else text), "operation: " + name,
       *ids,
       **{"slot": "p-1", "blind": OPERATIONS, **options})


operation("MERGE_HEAD", "12" * 20 + "\n", "MERGE_HEAD leads to nothing", "missing-object")
operation("CHERRY_PICK_HEAD", "12" * 20 + "\n", "CHERRY_PICK_HEAD leads to nothing", "missing-object")
operation("REVERT_HEAD", "12" * 20 + "\n", "REVERT_HEAD leads to nothing", "missing-object")
operation("MERGE_HEAD", "garbage\n", "MERGE_HEAD is garbage", "bad-operation")
operation("MERGE_HEAD", "", "MERGE_HEAD is empty", "bad-operation")
operation("ORIG_HEAD", "12" * 20 + "\n", "ORIG_HEAD leads to nothing", "missing-object", blind=None, quiet=True)
operation("FETCH_HEAD", "12" * 20 + "\tnot-for-merge\tbranch 'x' of y\n", "FETCH_HEAD leads to nothing",
          "missing-object",
          slot=None, blind=None, quiet=True)
operation("MERGE_HEAD", lambda w: w.oid("side") + "\n", "MERGE_HEAD", slot=None, blind=None, quiet=True)


@damage("operation: MERGE_HEAD of the store leads to nothing", "missing-object", blind=OPERATIONS)
def _(world):
    world.write("MERGE_HEAD", "12" * 20 + "\n")


# --- refs that one worktree has, and those of slotd

@damage("missing: of refs/bisect of a slot", "missing-object", slot="p-1")
def _(world):
    world.write(world.admin(file="refs/bisect/bad"), "12" * 20 + "\n")


@damage("missing: of refs/worktree of a slot", "missing-object", slot="p-1")
def _(world):
    world.write(world.admin(file="refs/worktree/mine"), "12" * 20 + "\n")


@damage("missing: of refs/slotd", "missing-object", path="refs/slotd/salvage/p-1/1")
def _(world):
    world.write("refs/slotd/salvage/p-1/1", "12" * 20 + "\n")


@damage("missing: of the stash", "missing-object")
def _(world):
    git.write(world.repository, "README", "stashed\n")
    world.git("stash", "-q")
    world.lose("stash:README")


# --- something else

def commit_of(world, tree_, parent=None):
    return world.put("commit", "tree %s\n%sauthor %s\ncommitter %s\n\nx\n" % (
        tree_, "parent %s\n" % parent if parent else "", WHO, WHO))


def wrong(name, make, *ids, **options):
    by(make, "wrong type: " + name, *(ids or ("wrong-type",)), **options)


wrong("the tree of a commit is a blob", lambda w: w.set_ref("refs/heads/t", commit_of(w, w.oid("main:README"))))
wrong("the tree of a commit is a commit", lambda w: w.set_ref("refs/heads/t", commit_of(w, w.oid("main"))))
wrong("the parent of a commit is a tree",
      lambda w: w.set_ref("refs/heads/t", commit_of(w, w.oid("main^{tree}"), w.oid("main:src"))))
wrong("a directory is a blob", lambda w: w.set_ref("refs/heads/t", commit_of(w, w.put("tree", tree(
    ("40000", "x", w.oid("main:README")))))))
wrong("a file is a tree", lambda w: w.set_ref("refs/heads/t", commit_of(w, w.put("tree", tree(
    ("100644", "x", w.oid("main:src")))))))
wrong("a tag of a commit leads to a blob", lambda w: w.set_ref("refs/tags/t", w.put("tag", (
    "object %s\ntype commit\ntag t\ntagger %s\n\nx\n" % (w.oid("main:README"), WHO)))))
wrong("a tag of a blob leads to a commit", lambda w: w.set_ref("refs/tags/t", w.put("tag", (
    "object %s\ntype blob\ntag t\ntagger %s\n\nx\n" % (w.oid("main"), WHO)))))
