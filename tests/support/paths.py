"""Where things are: the source tree, the build under test, a place for temporary files."""

import os

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TESTS = os.path.join(TOP, "tests")


def build():
    """The build directory under test, named by SLOTD_BUILD."""
    return os.environ["SLOTD_BUILD"]


def product(name):
    """The path of one built program or library."""
    where = {
        "slotd": "src/slotd/slotd",
        "slotd-worker": "src/worker/slotd-worker",
        "slotctl": "src/slotctl/slotctl",
        "libslot.so": "src/libslot/libslot.so",
        "wall-clock.so": "tests/wall-clock.so",
        "clock-worker": "tests/clock-worker",
    }
    return os.path.join(build(), where[name])
