"""The tree is the architecture: what may include what."""

import os
import re
import unittest

from support.paths import TOP

SRC = os.path.join(TOP, "src")
INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.MULTILINE)

# each folder with those of src/ that it may include besides itself and util
BELOW = {
    "util": set(),
    "rpc": set(),
    "config": set(),
    "ledger": set(),
    "lease": set(),
    "watch": set(),
    "jobs": {"rpc", "config", "ledger", "watch"},
    "pool": {"rpc", "config", "lease", "ledger", "watch", "jobs"},
    "slotd": {"rpc", "config", "lease", "ledger", "watch", "jobs", "pool"},
    "git": {"rpc"},
    "integrity": {"rpc", "git"},
    "worker": {"rpc", "git", "integrity"},
    "libslot": {"rpc"},
    "slotctl": {"rpc", "libslot", "config"},
}

# public headers, in include/, with those who may include them
PUBLIC = {"slotd/slot.h": {"libslot", "slotctl"}, "slotd/slot-file.h": {"libslot", "slotctl"}}

# foreign headers that only these folders may see
OWNERS = {
    "lmdb.h": {"ledger"},
    "yaml.h": {"config"},
    "git2.h": {"git", "integrity", "worker"},
    "git2/": {"git", "integrity", "worker"},
    "sys/inotify.h": {"watch"},
}


def sources():
    """(folder, path, names it includes) of every C file below src/."""
    for root, _, files in os.walk(SRC):
        for name in files:
            if name.endswith((".c", ".h")):
                path = os.path.join(root, name)
                with open(path, encoding="utf-8") as f:
                    folder = os.path.relpath(path, SRC).split(os.sep)[0]
                    yield folder, os.path.relpath(path, TOP), INCLUDE.findall(f.read())


class Layers(unittest.TestCase):
    def test_every_folder_has_its_place(self):
        folders = {name for name in os.listdir(SRC) if os.path.isdir(os.path.join(SRC, name))}
        self.assertEqual(folders - set(BELOW), set(), "folders of src/ that no rule names")

    def test_includes_point_downwards_only(self):
        wrong = []
        for folder, path, names in sources():
            for name in names:
                target = name.split("/")[0]
                if name in PUBLIC:
                    if folder not in PUBLIC[name]:
                        wrong.append("%s includes %s" % (path, name))
                elif "/" in name and target in BELOW and target not in BELOW[folder] | {folder, "util"}:
                    wrong.append("%s includes %s" % (path, name))
        self.assertEqual(wrong, [])

    def test_foreign_headers_stay_behind_their_border(self):
        wrong = []
        for folder, path, names in sources():
            for name in names:
                for header, owners in OWNERS.items():
                    if name.startswith(header) and folder not in owners:
                        wrong.append("%s includes %s" % (path, name))
        self.assertEqual(wrong, [])

    def test_headers_are_named_from_src(self):
        wrong = [(path, name) for _, path, names in sources() for name in names
                 if name.startswith(".")]
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main()
