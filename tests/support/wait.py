"""Waiting for something to become true, with a deadline."""

import time


def until(condition, what, seconds=30, pause=0.02):
    """Call condition() until it returns something true, which is returned."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("not within %g s: %s" % (seconds, what))
        time.sleep(pause)
