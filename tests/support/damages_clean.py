"""Repositories of every feature that git 2.39 has, with nothing wrong in them."""

import os
import shutil

from support import forge, git, worlds
from support.damages import clean
from support.damages_worktrees import conflict


def fresh(world, *args):
    """Nothing but an empty repository."""
    shutil.rmtree(world.dir)
    os.makedirs(world.dir)
    git.init(world.repository, "--template=", *args)


for kind in worlds.KINDS:
    clean("kind %s" % kind, kind, slots=kind not in ("partial", "shallow"))(lambda world: None)


@clean("empty", slots=False)
def _(world):
    fresh(world)


@clean("empty and bare", slots=False)
def _(world):
    shutil.rmtree(world.dir)
    os.makedirs(world.dir)
    git.init(world.repository, "--bare")
    world.store = world.repository


@clean("HEAD on a branch without commits")
def _(world):
    world.git("symbolic-ref", "HEAD", "refs/heads/new")
    world.git("rm", "-rq", "--cached", ".")


@clean("HEAD of a slot on a branch without commits")
def _(world):
    world.git("symbolic-ref", "HEAD", "refs/heads/new", cwd=world.slot())
    world.git("rm", "-rq", "--cached", ".", cwd=world.slot())


for options in ((), ("--bare",), ("--mirror",), ("--depth=1",), ("--depth=2", "--bare"),
                ("--filter=blob:none", "--no-checkout"),
                ("--filter=blob:none",), ("--filter=tree:0", "--bare"), ("--filter=blob:limit=100",), ("--no-tags",),
                ("--single-branch",), ("--sparse",)):
    clean("clone %s" % " ".join(options), "packed", slots=False)(lambda world,
                                                                 options=options: worlds.clone(world, *options))


@clean("a clone that borrows", "packed", slots=False)
def _(world):
    os.rename(world.repository, os.path.join(world.dir, "origin"))
    for name in ("slots", "linked"):
        shutil.rmtree(os.path.join(world.dir, name))
    world.git("clone", "-q", "--shared", os.path.join(world.dir, "origin"), world.repository, cwd=world.dir)


@clean("alternates with a comment, an empty line and quotes", "borrowed", quick=False)
def _(world):
    os.rename(os.path.join(world.dir, "other"), os.path.join(world.dir, 'ot"her'))
    world.write("objects/info/alternates", '# a comment\n\n"../../../ot\\"her"\n')


@clean("alternates, a relative one of an alternate", "borrowed")
def _(world):
    os.rename(os.path.join(world.dir, "other"), os.path.join(world.dir, "another"))
    world.write("../../other/info/alternates", "../another\n")


@clean("alternates six deep", "borrowed", quick=False)
def _(world):
    last = os.path.join(world.dir, "other")
    for n in range(5):
        world.write("../../deep%d/info/alternates" % n, last + "\n")
        last = os.path.join(world.dir, "deep%d" % n)
    world.write("objects/info/alternates", last + "\n")


@clean("a bare store", "packed")
def _(world):
    world.git("config", "core.bare", "true")
    for name in ("index", "logs/HEAD"):
        world.remove(name)


@clean("shallow, then fetched deeper", "packed", slots=False)
def _(world):
    worlds.clone(world, "--depth=1")
    world.git("fetch", "-q", "--deepen=1")


@clean("shallow, with a worktree", "packed", slots=False)
def _(world):
    worlds.clone(world, "--depth=1")
    world.git("worktree", "add", "-q", "--detach", world.linked)


@clean("after gc")
def _(world):
    world.git("gc", "-q")


@clean("after gc --prune=now --aggressive")
def _(world):
    world.git("gc", "-q", "--prune=now", "--aggressive")


@clean("after gc --cruft")
def _(world):
    world.put("blob", "unreachable\n")
    world.git("gc", "-q", "--cruft")


@clean("after repack -adb, then more commits", "bitmap")
def _(world):
    git.commit(world.repository, "more", more="more\n")


@clean("geometric repack with a multi-pack-index and its bitmap", "two")
def _(world):
    world.git("repack", "-dq", "--geometric=2", "--write-midx", "--write-bitmap-index")


@clean("multi-pack-index with a bitmap", "two")
def _(world):
    world.git("repack", "-adq")
    git.commit(world.repository, "more", more="more\n")
    world.git("repack", "-dq")
    world.git("multi-pack-index", "write", "--bitmap")


@clean("bitmaps with hashes and lookup table")
def _(world):
    world.git("-c", "pack.writeBitmapHashCache=true", "-c", "pack.writeBitmapLookupTable=true", "repack", "-adbq")


@clean("all deltas by name", "packed")
def _(world):
    world.git("-c", "repack.useDeltaBaseOffset=false", "repack", "-adfq")


@clean("an index of a pack of version 1", "packed")
def _(world):
    stem = world.path(world.pack())
    for end in (".idx", ".rev"):
        os.unlink(stem + end)
    world.git("index-pack", "--index-version=1", stem + ".pack")


@clean("an index of a pack with 64-bit offsets", "packed")
def _(world):
    stem = world.path(world.pack())
    for end in (".idx", ".rev"):
        os.unlink(stem + end)
    world.git("index-pack", "--index-version=2,0x40", stem + ".pack")


@clean("a multi-pack-index without indexes of packs in between", "midx")
def _(world):
    world.git("multi-pack-index", "repack", "--batch-size=0")
    world.git("multi-pack-index", "expire")


@clean("a pack of any name", "packed", quick=False)
def _(world):
    stem = world.path(world.pack())
    for end in (".pack", ".idx", ".rev"):
        os.rename(stem + end, world.path("objects/pack/a name" + end))


@clean("commit-graph with changed paths", "packed")
def _(world):
    world.git("commit-graph", "write", "--reachable", "--changed-paths")


@clean("commit-graph of generation version 1", "packed")
def _(world):
    world.git("-c", "commitGraph.generationVersion=1", "commit-graph", "write", "--reachable")


@clean("an octopus merge, and a commit-graph of it")
def _(world):
    for name in ("a", "b", "c"):
        world.git("switch", "-q", "-c", name, "light")
        git.commit(world.repository, name, **{"in_" + name: name})
    world.git("merge", "-q", "-m", "octopus", "a", "b")
    world.git("commit-graph", "write", "--reachable")


for version in (2, 3, 4):
    def with_version(world, version=version):
        for path in (world.slot(), world.repository, world.linked):
            git.write(path, "later", "")
            world.git("add", "-N", "later", cwd=path)
            world.git("update-index", "--index-version", str(version),
                      "--skip-worktree" if version > 2 else "--assume-unchanged",
                      "README", cwd=path)
    clean("index of version %d" % version)(with_version)


@clean("split index")
def _(world):
    for path in (world.slot(), world.repository):
        world.git("update-index", "--split-index", cwd=path)
        git.write(path, "added", "in %s\n" % path)
        world.git("add", "added", cwd=path)
        world.git("rm", "-q", "--cached", "long", cwd=path)


@clean("sparse index")
def _(world):
    world.sparse(world.slot(), "--cone", "--sparse-index", "docs")
    assert "src/\n" in world.git("ls-files", "--sparse", cwd=world.slot()) + "\n"


@clean("sparse checkout")
def _(world):
    world.sparse(world.slot(), "--no-cone", "README")
    assert not os.path.exists(os.path.join(world.slot(), "src"))


@clean("untracked cache and fsmonitor")
def _(world):
    for path in (world.slot(), world.repository):
        world.git("update-index", "--force-untracked-cache", cwd=path)
        world.git("status", cwd=path)
        hook = git.write(world.dir, "hook", "#!/bin/sh\nprintf 'token\\0/\\0'\n", 0o755)
        world.git("-c", "core.fsmonitor=" + hook, "-c", "core.fsmonitorHookVersion=2", "update-index", "--fsmonitor",
                  cwd=path)


@clean("index with threads' tables")
def _(world):
    for n in range(50):
        git.write(world.slot(), "many/%d" % n, "%d\n" % n)
    world.git("add", "many", cwd=world.slot())
    world.git("-c", "index.threads=2", "-c", "index.recordEndOfIndexEntries=true", "-c", "index.recordOffsetTable=true",
              "update-index", "--force-write-index", cwd=world.slot(), check=False)
    world.git("-c", "index.threads=2", "-c", "index.recordEndOfIndexEntries=true", "-c", "index.recordOffsetTable=true",
              "update-index", "--index-version", "4", cwd=world.slot())


@clean("a merge that stopped in a slot")
def _(world):
    conflict(world)


@clean("a merge that was resolved in a slot")
def _(world):
    conflict(world)
    git.write(world.slot(), "README", "resolved\n")
    world.git("add", "README", cwd=world.slot())


@clean("a rebase that stopped in a slot")
def _(world):
    conflict(world)
    world.git("merge", "--abort", cwd=world.slot())
    world.git("rebase", "theirs", cwd=world.slot(), check=False)
    assert os.path.isdir(world.path(world.admin(file="rebase-merge")))


@clean("an interactive rebase that stopped in a slot")
def _(world):
    world.git("-c", "sequence.editor=sed -i 's/^pick/edit/'", "rebase", "-i", "light", cwd=world.slot(), check=False)
    assert os.path.isdir(world.path(world.admin(file="rebase-merge")))


@clean("am that stopped in a slot")
def _(world):
    patch = world.run(["git", "format-patch", "--stdout", "-1", "main"], None, None, True)
    git.write(world.slot(), "long", "something else\n")
    world.git("commit", "-qam", "other", cwd=world.slot())
    world.run(["git", "am", "-3"], world.slot(), patch, False)
    assert os.path.isdir(world.path(world.admin(file="rebase-apply")))


@clean("a cherry-pick that stopped in a slot")
def _(world):
    conflict(world)
    world.git("merge", "--abort", cwd=world.slot())
    world.git("cherry-pick", "theirs", cwd=world.slot(), check=False)
    assert os.path.exists(world.path(world.admin(file="CHERRY_PICK_HEAD")))


@clean("cherry-picks of which the second stopped")
def _(world):
    conflict(world)
    world.git("merge", "--abort", cwd=world.slot())
    world.git("cherry-pick", "linked", "theirs", cwd=world.slot(), check=False)
    assert os.path.exists(world.path(world.admin(file="CHERRY_PICK_HEAD")))


@clean("a revert that stopped in a slot")
def _(world):
    git.write(world.slot(), "long", "something else\n")
    world.git("commit", "-qam", "other", cwd=world.slot())
    world.git("revert", "--no-edit", "main", cwd=world.slot(), check=False)
    assert os.path.exists(world.path(world.admin(file="REVERT_HEAD")))


@clean("a bisect in a slot and in the store")
def _(world):
    for path in (world.slot(), world.repository):
        world.git("bisect", "start", "main", "light", cwd=path)


@clean("stashes")
def _(world):
    for n in range(3):
        git.write(world.slot(), "README", "stash %d\n" % n)
        git.write(world.slot(), "untracked", "stash %d\n" % n)
        world.git("stash", "-uq", cwd=world.slot())


@clean("refs of worktrees alone")
def _(world):
    world.git("update-ref", "refs/worktree/mine", "HEAD", cwd=world.slot())
    world.git("update-ref", "refs/worktree/mine", "HEAD~1", cwd=world.linked)
    world.git("update-ref", "refs/rewritten/x", "HEAD", cwd=world.linked)


@clean("replaced and grafted commits")
def _(world):
    world.git("replace", "main", "light")
    world.git("replace", "--graft", "side")


@clean("a remote, fetched, with FETCH_HEAD", "packed")
def _(world):
    other = worlds.World(os.path.join(world.dir, "other-world"))
    git.make(other.repository)
    world.git("remote", "add", "origin", other.repository)
    world.git("fetch", "-q", "--multiple", "origin")
    world.git("fetch", "-q", "origin", "main", cwd=world.slot())
    world.git("remote", "set-head", "origin", "main")
    world.git("pull", "-q", "--rebase", "origin", "main", cwd=world.linked, check=False)


@clean("submodules")
def _(world):
    inner = git.make(os.path.join(world.dir, "inner"))
    world.git("submodule", "--quiet", "add", inner, "vendor/inner")
    world.git("submodule", "--quiet", "add", "../inner", "vendor/again", check=False)
    world.git("commit", "-qm", "submodule")
    world.git("checkout", "-q", "--detach", "main", cwd=world.slot())
    world.git("submodule", "--quiet", "update", "--init", "vendor/inner", cwd=world.slot())


@clean("pointers of LFS, attributes and .mailmap")
def _(world):
    git.write(world.repository, ".gitattributes", "*.lfs filter=lfs diff=lfs merge=lfs -text\n")
    git.write(world.repository, ".mailmap", "A <a@example.org> B <b@example.org>\n")
    git.write(world.repository, "big.lfs",
              "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 12345\n" % ("ab" * 32))
    git.commit(world.repository, "lfs")


@clean("names and messages that are not UTF-8", slots=False)
def _(world):
    fresh(world)
    git.fast_import(world.repository, [(b"100644", name, b"in " + name) for name in git.ODD_NAMES], b"caf\xe9\n")
    git.run(world.repository, "-c", "i18n.commitEncoding=ISO-8859-1", "commit", "-q", "--allow-empty", "-m", b"caf\xe9")


@clean("odd names, modes and links", slots=False)
def _(world):
    shutil.rmtree(world.dir)
    os.makedirs(world.dir)
    git.make_odd(world.repository)
    world.store = world.repository


@clean("an empty tree and an empty blob")
def _(world):
    tree = world.put("tree", b"")
    world.set_ref("refs/heads/empty", world.git("commit-tree", "-m", "x", tree))
    git.commit(world.repository, "empty file", empty="")


@clean("signed commits and tags")
def _(world):
    signature = "".join(" line of a signature %d\n" % n for n in range(5))
    who = "A U Thor <a@example.org> 1700000000 +0000"
    oid = world.put("commit", "tree %s\nauthor %s\ncommitter %s\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n%s"
                    " -----END PGP SIGNATURE-----\n\nsigned\n" % (world.oid("HEAD^{tree}"), who, who, signature))
    world.set_ref("refs/heads/signed", oid)
    world.set_ref("refs/tags/signed", world.put("tag",
                                                "object %s\ntype commit\ntag signed\ntagger %s\n\nx\n-----BEGIN PGP "
                  "SIGNATURE-----\n\n%s-----END PGP SIGNATURE-----\n" % (oid, who, signature)))
    world.git("switch", "-q", "-c", "merged", "main")
    world.set_ref("refs/heads/with-mergetag", world.put(
        "commit", "tree %s\nparent %s\nparent %s\nauthor %s\ncommitter %s\nmergetag object %s\n type commit\n tag x\n"
        " tagger %s\n"
        " \n message\n\nmerge\n" % (world.oid("main^{tree}"), world.oid("main"), oid, who, who, oid, who)))


@clean("tags of tags, trees and blobs")
def _(world):
    world.git("tag", "-a", "-m", "x", "of-a-tag", "one")
    world.git("tag", "-a", "-m", "x", "of-a-tree", "HEAD^{tree}")
    world.git("tag", "-a", "-m", "x", "of-a-blob", "HEAD:README")
    world.git("tag", "blob", "HEAD:README")
    world.git("tag", "tree", "HEAD:src")
    world.git("pack-refs", "--all")


@clean("dates far away, before 1970 apart")
def _(world):
    for date in ("0 +0000", "4102444800 +1400", "9999999999 -1200"):
        world.git("commit-tree", "-m", "x", "HEAD^{tree}")
        oid = world.put("commit", "tree %s\nauthor A <a@b> %s\ncommitter A <a@b> %s\n\nx\n" % (world.oid("HEAD^{tree}"),
                                                                                               date, date))
        world.set_ref("refs/heads/at-" + date.split()[0], oid)
    world.git("commit-graph", "write", "--reachable")


@clean("a deep tree and a wide one")
def _(world):
    for n in range(300):
        git.write(world.repository, "wide/%d" % n, "%d\n" % n)
    git.write(world.repository, "/".join(["d"] * 60).lstrip("/") + "/file", "deep\n")
    git.commit(world.repository, "deep and wide")
    world.git("repack", "-adq")


@clean("large files, in pieces")
def _(world):
    git.write(world.repository, "zeros", bytes(3 << 20))
    git.write(world.repository, "numbers", b"".join(b"%d\n" % n for n in range(400000)))
    git.commit(world.repository, "large")
    git.write(world.repository, "numbers", b"".join(b"%d\n" % n for n in range(1, 400000)))
    git.commit(world.repository, "large again")
    world.git("repack", "-adfq")


@clean("fast-import's pack")
def _(world):
    git.fast_import(world.repository, [(b"100644", b"f%d" % n, b"content %d\n" % n) for n in range(200)])
    world.git("reset", "-q", "--hard", "main")


@clean("unreachable objects", "packed")
def _(world):
    tree = world.put("tree", forge.tree(("100644", "x", world.put("blob", "x\n"))))
    world.git("commit-tree", "-m", "x", tree)


@clean("worktrees locked, detached, moved, and on a branch without commits")
def _(world):
    world.git("worktree", "lock", "--reason", "on a stick", world.linked)
    for name, options in (("detached", ("--detach",)), ("moving", ("-b", "moving"))):
        world.git("worktree", "add", "-q", *options, os.path.join(world.dir, name))
    world.git("worktree", "move", os.path.join(world.dir, "moving"), os.path.join(world.dir, "moved"))
    world.git("symbolic-ref", "HEAD", "refs/heads/none", cwd=os.path.join(world.dir, "detached"))


@clean("configuration by worktree")
def _(world):
    world.git("config", "extensions.worktreeConfig", "true")
    world.git("config", "--worktree", "user.name", "A", cwd=world.slot())


@clean("reftable of nobody: logs of everything")
def _(world):
    world.git("config", "core.logAllRefUpdates", "always")
    world.git("update-ref", "refs/other/x", "main")
    world.git("tag", "-f", "light", "light")
    world.git("reflog", "expire", "--expire=now", "refs/heads/side")
