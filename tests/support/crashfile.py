"""The file through which slotd and its workers count crash points and are told to die at one.

See src/util/crash.h: an array of cells, each a name, how often it was hit, and the hit that kills.
"""

import mmap
import os
import struct

CELLS = 1024
CELL = struct.Struct("=56sII")
STOP = 1 << 31  # the process stops, instead of dying


class CrashFile:
    """Map the file before any process of slotd does."""

    def __init__(self, path):
        self.path = path
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            os.fchmod(fd, 0o666)
            os.ftruncate(fd, CELLS * CELL.size)
            self.map = mmap.mmap(fd, CELLS * CELL.size)
        finally:
            os.close(fd)

    def close(self):
        self.map.close()

    def _cells(self):
        """(offset, name, hits, kill_at) of each cell in use."""
        for i in range(CELLS):
            name, hits, kill_at = CELL.unpack_from(self.map, i * CELL.size)
            if not name[:1].strip(b"\0"):
                return
            yield i * CELL.size, name.rstrip(b"\0").decode(), hits, kill_at

    def hits(self):
        """{name: hits} of all points hit since reset()."""
        return {name: hits for _, name, hits, _ in self._cells() if hits}

    def reset(self):
        """Count anew, kill nobody."""
        for offset, name, _, _ in self._cells():
            CELL.pack_into(self.map, offset, name.encode(), 0, 0)

    def arm(self, name, hit, stop=False):
        """Count anew; the process that hits this point for the hit-th time dies, or stops."""
        self.reset()
        place = 0
        for offset, known, _, _ in self._cells():
            if known == name:
                place = offset
                break
            place = offset + CELL.size
        CELL.pack_into(self.map, place, name.encode(), 0, hit | (STOP if stop else 0))

    def is_armed(self):
        """Has the wanted hit not happened yet?"""
        return any(kill_at for _, _, _, kill_at in self._cells())
