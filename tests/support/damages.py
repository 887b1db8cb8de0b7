"""Damages that a repository can have: how each is made, and what has to be said of it.

The entries are in damages_content.py, damages_objects.py, damages_packs.py, damages_files.py, damages_worktrees.py and
damages_links.py; clean repositories in damages_clean.py. test_damage.py goes through them with git fsck as witness.
"""

TABLE = []
CLEAN = []

HANGS = {"hangs": True, "blind": "it waits for somebody to write into it"}


class Damage:
    """One entry: a name, what makes it of a world (worlds.py) of some kind, and what is expected.

    ids: each is among the ids of our findings. blind: why git 2.39 says nothing of it; without it git has to complain.
    quiet: neither git nor we complain; ids are of information then, or git's own that are warnings alone.
    excused: why we do not complain though git 2.39 does.
    slot: there is a finding of the first id that is of that slot. path: in the path of one. quick: what is found of
    slots alone, too. hangs: git does not end. once: git is asked in the store alone. slow: with SLOTD_SOAK_SECONDS.
    slots: it has those of its kind. needs: "root", or "user" (who is not root).
    """

    def __init__(self, name, make, ids, options):
        self.name, self.make, self.ids = name, make, ids
        self.kind = options.pop("kind", "loose")
        self.blind = options.pop("blind", None)
        self.quiet = options.pop("quiet", False)
        self.excused = options.pop("excused", None)
        self.slot = options.pop("slot", None)
        self.path = options.pop("path", None)
        self.quick = options.pop("quick", False)
        self.hangs = options.pop("hangs", False)
        self.once = options.pop("once", False)
        self.slow = options.pop("slow", False)
        self.slots = options.pop("slots", True)
        self.needs = options.pop("needs", None)
        assert not options, options
        assert not (self.blind and self.quiet), name

    @property
    def verdict(self):
        """What git has to say."""
        if self.hangs:
            return "hangs"
        return "" if self.blind or self.quiet else "complaint"


def damage(name, *ids, **options):
    """Decorator: makes a function(world) an entry of the table."""
    def add(make):
        assert name not in {entry.name for entry in TABLE}, name
        TABLE.append(Damage(name, make, ids, options))
        return make
    return add


def by(make, name, *ids, **options):
    """The same for a lambda."""
    damage(name, *ids, **options)(make)


class Clean:
    """A repository that has nothing wrong: what makes it of a world of some kind.

    slots: it has those of its kind. quick: libgit2, which the quick check reads objects with, can read it.
    """

    def __init__(self, name, make, kind, slots, quick):
        self.name, self.make, self.kind, self.slots, self.quick = name, make, kind, slots, quick


def clean(name, kind="loose", slots=True, quick=True):
    """Decorator: makes a function(world) a clean repository."""
    def add(make):
        assert name not in {entry.name for entry in CLEAN}, name
        CLEAN.append(Clean(name, make, kind, slots, quick))
        return make
    return add
