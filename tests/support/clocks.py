"""Other clocks for a slotd: a wall clock that somebody sets; time that passed, a sleep of the machine and
a reboot, while slotd was down.
"""

import ctypes
import os
import struct
import time

from support import criterion
from support.paths import product

BOOT_ID = "/proc/sys/kernel/random/boot_id"
CLONE_NEWNS = 0x00020000
CLONE_NEWTIME = 0x00000080
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18


class WallClock:
    """A wall clock that set() moves under running programs; what counts since boot stays as it is.

    It is a file in the home directory, where a worker looks for it.
    """

    def __init__(self):
        self.path = os.path.join(os.environ["HOME"], "clock")
        with open(self.path, "wb") as f:
            f.write(struct.pack("=q", 0))

    def set(self, seconds):
        """So far from the real time, from now on."""
        with open(self.path, "r+b", buffering=0) as f:
            f.write(struct.pack("=q", seconds * 1000000))

    def env(self):
        """For programs that go by it; a slotd and its workers do."""
        options = criterion.sanitizer_env()["ASAN_OPTIONS"] + ":verify_asan_link_order=0"
        return {"LD_PRELOAD": product("wall-clock.so"), "SLOTD_TEST_CLOCK": self.path,
                "SLOTD_WORKER": product("clock-worker"), "ASAN_OPTIONS": options}


class Machine:
    """What a slotd finds that is started later: start(preexec=machine.enter).

    passed, asleep: seconds by which it is later than it is; in the second ones the machine slept, so that
    only CLOCK_BOOTTIME counts them. booted: the machine was started again so many seconds ago. A time
    namespace moves the start times of processes too; those of the given pids stay as they are.
    """

    def __init__(self, directory, passed=0, asleep=0, booted=None, pids=()):
        self.boottime, self.monotonic = passed + asleep, passed
        self.mounts = {}
        if booted is not None:
            self.boottime = booted - int(time.clock_gettime(time.CLOCK_BOOTTIME))
            self.monotonic = booted - int(time.clock_gettime(time.CLOCK_MONOTONIC))
            self._show(directory, BOOT_ID, "01234567-89ab-4cde-8f01-23456789abcd\n")
        for pid in pids:
            path = "/proc/%d/stat" % pid
            with open(path, encoding="ascii") as f:
                self._show(directory, path, f.read())

    def _show(self, directory, path, text):
        instead = os.path.join(directory, path.strip("/").replace("/", "-"))
        with open(instead, "w", encoding="ascii") as f:
            f.write(text)
        self.mounts[path] = instead

    def enter(self):
        """In the child, before it executes slotd."""
        libc = ctypes.CDLL(None, use_errno=True)
        check(libc.unshare(CLONE_NEWNS | CLONE_NEWTIME))
        check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
        for path, instead in self.mounts.items():
            check(libc.mount(instead.encode(), path.encode(), None, MS_BIND, None))
        with open("/proc/self/timens_offsets", "w", encoding="ascii") as f:
            f.write("boottime %d 0\nmonotonic %d 0\n" % (self.boottime, self.monotonic))
        fd = os.open("/proc/self/ns/time_for_children", os.O_RDONLY)
        check(libc.setns(fd, CLONE_NEWTIME))
        os.close(fd)


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def may_enter():
    """May this process make such namespaces?"""
    return os.geteuid() == 0 and os.path.exists("/proc/self/ns/time")
