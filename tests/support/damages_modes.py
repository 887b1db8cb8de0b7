"""Files and directories that may not be read, by who is not root."""

import os

from support.damages import by

FINE = "2.39 passes over it, or does not look there"


def closed(file, name, *ids, **options):
    """file: a name, or a function(world) that gives it."""
    def make(world):
        os.chmod(world.path(file(world) if callable(file) else file), 0)
    by(make, "mode 0: " + name, *(ids or ("unreadable-file",)), **{"needs": "user", **options})


def loose(world):
    return world.loose(world.oid("main:README"))


closed(loose, "a loose object", "corrupt-object", path="README")
closed(lambda world: os.path.dirname(loose(world)), "a directory of loose objects")
closed("objects/pack", "the directory of packs", kind="packed")
closed(lambda world: world.pack() + ".pack", "a pack", kind="packed")
closed(lambda world: world.pack() + ".idx", "an index of a pack", kind="packed")
closed(lambda world: world.pack() + ".rev", "a .rev", "corrupt-rev-index", kind="packed", blind=FINE)
closed("objects/info/commit-graph", "a commit-graph", "corrupt-commit-graph", kind="graph")
closed("objects/pack/multi-pack-index", "a multi-pack-index", "corrupt-multi-pack-index", kind="midx")
closed("objects/info/alternates", "alternates", kind="borrowed")
closed("refs/heads/side", "a ref")
closed("refs/heads", "a directory of refs")
closed("packed-refs", "packed-refs", kind="packed")
closed("HEAD", "HEAD")
closed("config", "config")
closed("logs/HEAD", "a log", blind=FINE)
closed("worktrees/slotd-p-1", "an administration", slot="p-1", quick=True)
closed("worktrees/slotd-p-1/HEAD", "HEAD of a slot", slot="p-1", quick=True)
closed("worktrees/slotd-p-1/index", "an index", slot="p-1", quick=True)
closed("worktrees/slotd-p-1/commondir", "commondir", slot="p-1", quick=True)
closed("worktrees/slotd-p-1/gitdir", "gitdir", slot="p-1", quick=True, blind=FINE)
closed(lambda world: os.path.join(world.slot(), ".git"), ".git of a slot", "bad-gitdir", slot="p-1", quick=True)
closed(lambda world: world.slot(), "a slot", slot="p-1", quick=True, blind="nobody can run it there")
