"""Runs the Python tests: each in a process of its own, a few at a time, with a deadline.

A test that needs longer than the usual deadline says so with @slow(seconds).
"""

import os
import shutil
import stat
import sys
import tempfile
import unittest

from support import criterion, paths

SKIPPED = 77  # exit status of a test process that was skipped


def slow(seconds):
    """Decorator: this test may take so long."""
    def mark(function):
        function.deadline = seconds
        return function
    return mark


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def tests_of(folder):
    """(id, deadline) of every test in tests/<folder>/test_*.py."""
    found = unittest.defaultTestLoader.discover(os.path.join(paths.TESTS, folder),
                                                top_level_dir=paths.TESTS)
    for test in flatten(found):
        method = getattr(test, test._testMethodName, None)
        yield test.id(), getattr(method, "deadline", 120)


def remove_tree(path):
    """Delete a directory, whatever modes a test left in it."""
    def again(function, name, _):
        os.chmod(os.path.dirname(name), stat.S_IRWXU)
        if os.path.lexists(name) and not os.path.islink(name):
            os.chmod(name, stat.S_IRWXU)
        function(name)
    if os.path.isdir(path):
        shutil.rmtree(path, onerror=again)


def run(folder, tally, pool, logs, names):
    """Run the tests of a folder whose id contains one of names (all, if there are none)."""
    tasks = []
    base = tempfile.mkdtemp(prefix="slotd-test-")
    os.chmod(base, 0o755)
    # what takes long begins first, and keeps nobody waiting at the end
    for number, (name, seconds) in enumerate(sorted(tests_of(folder), key=lambda test: -test[1])):
        if names and not any(n in name for n in names):
            continue
        home = os.path.join(base, str(number))
        log = os.path.join(logs, "%s.log" % name)
        if os.path.exists(log):
            os.unlink(log)
        env = {**os.environ, "SLOTD_TEST_DIR": home, "PYTHONPATH": paths.TESTS,
               "PYTHONDONTWRITEBYTECODE": "1"}
        tasks.append((name, [sys.executable, "-m", "support.one", name], log, env, seconds))

    def on_end(task, returncode, seconds):
        name, _, log, env, _ = task
        outcome = {0: "passed", SKIPPED: "skipped"}.get(returncode, "failed")
        tally.add(name, outcome)
        print("%-7s %s%s%s" % ({"passed": "ok"}.get(outcome, outcome.upper()), name,
              " (too late)" if returncode is None else "", criterion.how_long(seconds)), flush=True)
        if outcome == "failed":
            criterion.show([log])
        elif outcome == "skipped":
            print("        " + reason_of(log), flush=True)
        remove_tree(env["SLOTD_TEST_DIR"])

    pool.run(tasks, on_end)
    remove_tree(base)


def reason_of(log):
    """The last line that a skipped test left."""
    with open(log, encoding="utf-8", errors="replace") as f:
        return ([line.strip() for line in f if line.strip()] or ["no reason given"])[-1]
