"""/run/systemd/system, whose existence tells systemd's programs that systemd runs.

Where it does not, the first of several tests makes the directory and the last one removes it. Who needs
it has a shared lock, which ends with its process: what a test that was killed left is removed by the
last one after it.
"""

import contextlib
import fcntl
import os

MARKER = "/run/systemd/system"
USERS = "/run/slotd-tests.users"  # locked by each that needs the marker, as long as it does
TURN = "/run/slotd-tests.turn"  # locked while somebody comes or goes
MADE = "/run/slotd-tests.made"  # the marker was made here, and is no real systemd's


@contextlib.contextmanager
def locked(path, how):
    """Yields whether the lock was to be had; how: as for flock."""
    with open(path, "ab") as f:
        try:
            fcntl.flock(f, how)
        except BlockingIOError:
            yield False
        else:
            yield True


def come():
    if not os.path.isdir(MARKER):
        with open(MADE, "wb"):
            pass
        os.makedirs(MARKER)


def go():
    """Nobody else can come meanwhile; is anybody there who came before?"""
    with locked(USERS, fcntl.LOCK_EX | fcntl.LOCK_NB) as alone:
        if alone and os.path.exists(MADE):
            os.rmdir(MARKER)
            os.unlink(MADE)


@contextlib.contextmanager
def present():
    """The marker is there meanwhile."""
    with contextlib.ExitStack() as stack:
        with locked(TURN, fcntl.LOCK_EX):
            come()
            stack.enter_context(locked(USERS, fcntl.LOCK_SH))
        try:
            yield
        finally:
            with locked(TURN, fcntl.LOCK_EX):
                stack.close()
                go()
