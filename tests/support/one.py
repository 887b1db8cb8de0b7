"""python3 -m support.one ID - runs one test in this process; says by its exit status how it went."""

import signal
import sys
import unittest

from support import runner


def main(name):
    # who was started in the background of a script ignores these, and so would all its children
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    suite = unittest.defaultTestLoader.loadTestsFromName(name)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    if result.testsRun == 0 and not result.skipped:
        print("no such test: %s" % name)
        return 1
    if not result.wasSuccessful():
        return 1
    if result.skipped:
        print("skipped: %s" % result.skipped[0][1])
        return runner.SKIPPED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
