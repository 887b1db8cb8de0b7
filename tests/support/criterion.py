"""Runs the executables that meson knows as tests, and counts their cases.

A Criterion executable says at its end how many cases passed, failed and crashed; another one
counts as a single case. A leak does not fail a Criterion test by itself, so every report of a
sanitizer, which goes to a log file, fails the executable that caused it.
"""

import glob
import json
import os
import re
import subprocess
import zlib

from support import paths

SYNTHESIS = re.compile(r"Tested: .*?(\d+).*?\| Passing: .*?(\d+).*?\| Failing: .*?(\d+)"
                       r".*?\| Crashing: .*?(\d+)")
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")

# leaks are LeakSanitizer's part: valgrind would charge a forked child with what its parent holds;
# slotd-worker is confined and limited, which leaves valgrind no room in it
VALGRIND = ["valgrind", "--quiet", "--error-exitcode=99", "--leak-check=no",
            "--trace-children=yes", "--trace-children-skip=/bin/*,/usr/bin/*,/usr/lib/*,/proc/*,*/slotd-worker",
            "--child-silent-after-fork=no"]


# what cannot be shown under valgrind, and why
OUTSIDE = "what it tests runs in slotd-worker, outside valgrind"
NOT_UNDER_VALGRIND = {
    "worker-adopted": OUTSIDE,
    "worker-confined": OUTSIDE,
    "worker-hostile": OUTSIDE,
    "worker-jobs": OUTSIDE,
    "worker-together": OUTSIDE,
    "ledger-rebuild": "hundreds of judging children take longer there than their deadline",
    "git-blob-stream": "hundreds of megabytes of content go through it, byte by byte",
    "git-salvage-round-trip": "most of it is git's work; git-salvage and git-salvage-restore have the same code",
    "git-tree-race": "it is about who comes first, and there nobody comes fast",
    "pool-leftovers": "it knows no pidfd_open, without which nobody is ended",
    "pool-bind": "it knows no pidfd_open, without which a process is looked at once a minute",
    "pool-model": "it knows no pidfd_open, and it is about decisions, not about memory",
    "slotctl-child": "terminals and job control do not pass through it",
    "integrity-check": "it says how long a check may take at most",
    "integrity-index-check": "it changes every byte of many indexes, for longer than its deadline",
    "integrity-refs-check": "it looks on while others work, who are much faster than it there",
    "git-credentials": "its posix_spawn does not say that a program is missing",
}

# each takes long, some with the sanitizers and some under valgrind: they begin first, so that nobody waits
# for one at the end, and are dealt to the shares in this order, so that no share takes much longer than another
LONG = ["worker-crash-points", "git-salvage-round-trip", "git-tree-trash", "slotctl-hostile", "git-salvage",
        "git-convert", "git-store", "git-tree-build", "pool-failure", "git-tree-race", "ledger-rebuild",
        "integrity-index-check", "integrity-check"]


def tests_of(build):
    """The tests of a build directory: [(name, command, environment)]."""
    text = subprocess.run(["meson", "introspect", "--tests", build], check=True,
                          capture_output=True, text=True).stdout
    return [(t["name"], t["cmd"], t["env"]) for t in json.loads(text)]


def counts(log):
    """(passed, failed) as the executable's own summary says, or None."""
    with open(log, encoding="utf-8", errors="replace") as f:
        found = SYNTHESIS.findall(ESCAPES.sub("", f.read()))
    if not found:
        return None
    tested, passing, failing, crashing = (int(n) for n in found[-1])
    return passing, max(failing + crashing, tested - passing)


def judge(log, returncode, reports):
    """(passed, failed) of one executable, whatever way it ended."""
    passed, failed = counts(log) or ((1, 0) if returncode == 0 else (0, 1))
    if (returncode != 0 or reports) and not failed:
        failed = 1
    return passed, failed


def is_report(path):
    """LeakSanitizer also notes that a process was killed while it looked at it: no report."""
    with open(path, encoding="utf-8", errors="replace") as f:
        text = f.read()
    return "ERROR: " in text or "runtime error" in text


def sanitizer_env(prefix=None):
    """The environment that makes every report fatal; into files prefix.PID, or standard error."""
    common = "halt_on_error=1:print_stacktrace=1" + (":log_path=" + prefix if prefix else "")
    known = os.path.join(paths.TESTS, "support/lsan.supp")
    return {"ASAN_OPTIONS": common + ":detect_leaks=1", "UBSAN_OPTIONS": common,
            "LSAN_OPTIONS": "suppressions=%s:print_suppressions=0" % known}


def under_valgrind_env():
    """What a test can know it by, and what makes Criterion's tests children of one process."""
    return {"SLOTD_UNDER_VALGRIND": "1", "LD_PRELOAD": os.path.abspath("tests/in-process.so")}


def rank(test):
    """What sorts tests: those that take long first, the others by their names."""
    name = test[0]
    return LONG.index(name) if name in LONG else len(LONG), name


def share_of(tests, count, seed):
    """One of count shares of the tests, which together are all; the seed says which one."""
    number = zlib.crc32(seed.encode()) % count
    # in turn, so that each has some of every folder, and of what takes long
    share = sorted(tests, key=rank)[number::count]
    if count > 1:
        print("share %d of %d, as \"%s\" decides: %d of %d executables" %
              (number + 1, count, seed, len(share), len(tests)), flush=True)
    return share


def chosen(names, under_valgrind):
    """The tests of the build in the current directory that are wanted and can be run."""
    for name, command, env in tests_of("."):
        if names and not any(n in name for n in names):
            continue
        if under_valgrind and name in NOT_UNDER_VALGRIND:
            print("left out %s: %s" % (name, NOT_UNDER_VALGRIND[name]), flush=True)
            continue
        yield name, command, env


def run(build, tally, pool, logs, names, under_valgrind=False, share=(1, "")):
    """Run the tests of a build whose name contains one of names (all, if there are none).

    share: (count, seed), see share_of().
    """
    tasks = []
    os.chdir(build)  # where meson test runs them
    for name, command, env in share_of(list(chosen(names, under_valgrind)), *share):
        log = os.path.join(logs, "unit-%s.log" % name.replace("/", "_"))
        prefix = os.path.join(logs, "unit-%s.sanitizer" % name.replace("/", "_"))
        for old in glob.glob(prefix + "*") + [log]:
            if os.path.exists(old):
                os.unlink(old)
        argv = (VALGRIND if under_valgrind else []) + command
        mark = under_valgrind_env() if under_valgrind else {}
        tasks.append((name, argv, log, {**os.environ, **env, **sanitizer_env(prefix), **mark},
                      600 if under_valgrind else 120))

    def on_end(task, returncode, seconds):
        name, _, log, _, _ = task
        reports = [path for path in glob.glob(log[:-4] + ".sanitizer*") if is_report(path)]
        passed, failed = judge(log, returncode, reports)
        tally.add_many(name, passed, failed)
        print("%-6s %s: %d passed, %d failed%s%s" % ("ok" if not failed else "FAILED", name, passed,
              failed, " (too late)" if returncode is None else "", how_long(seconds)), flush=True)
        if failed:
            show([log] + reports)

    pool.run(tasks, on_end)


def how_long(seconds):
    """What took long is said, so that it is seen where the time goes."""
    return " (%d s)" % seconds if seconds >= 10 else ""


def show(paths, limit=20000):
    """Print what failed tests said, the end of it if it is long."""
    for path in paths:
        with open(path, encoding="utf-8", errors="replace") as f:
            text = f.read()
        print("---- %s" % path)
        print(text if len(text) <= limit else "[...]\n" + text[-limit:], flush=True)
