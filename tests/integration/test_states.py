"""Every state of the table (support/states.py): released, clean again, and restored byte for byte.

SLOTD_STATES=full takes the sizes that are too long for every day; SLOTD_STATES_ONLY=REGEX a part of the table.
"""

import ctypes
import os
import queue
import re
import subprocess
import threading
import time
import traceback

from support import git, states, states_files, states_git, states_hostile, trial  # noqa: F401 (they fill the table)
from support.case import Case
from support.paths import product
from support.runner import slow

THREADS = 4
NOBODY = 65534
CLONE_NEWNS = 0x00020000


def own_mounts():
    """Mounts of this process and its children are nobody else's from now on; False: not permitted."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        return False
    return subprocess.run(["mount", "--make-rprivate", "/"], check=False).returncode == 0


class States(Case):
    def run_table(self, table):
        repositories = [states.make_repository(self.path("repository-%d" % n)) for n in range(THREADS)]
        slotd = self.slotd({"p%d" % n: {"path": path, "slots": {"ready": 1, "max": 40},
                                        "clean": {"precious": states.PRECIOUS}}
                            for n, path in enumerate(repositories)}, {"workers": THREADS + 1})
        benches = [trial.Bench(slotd, "p%d" % n, path, self.path("bench-%d" % n))
                   for n, path in enumerate(repositories)]
        work, results = queue.Queue(), {}
        for state in table:
            work.put(state)
        threads = [threading.Thread(target=self.work, args=(bench, work, results)) for bench in benches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.report(table, results)

    @staticmethod
    def work(bench, work, results):
        while True:
            try:
                state = work.get_nowait()
            except queue.Empty:
                break
            one = trial.Trial(bench, state)
            began = time.monotonic()
            try:
                one.run()
            except Exception:  # a state that cannot be tried has failed; the others go on
                one.say("%s", traceback.format_exc())
            one.result.seconds = time.monotonic() - began
            results[state.name] = one.result
        try:
            for name, missing in bench.missing_objects().items():
                results[name].wrong.append("lost after git gc --prune=now: %s" % ", ".join(missing[:5]))
        except Exception:
            results[state.name].wrong.append(traceback.format_exc())

    def report(self, table, results):
        print()
        for state in table:
            print(results[state.name])
        failed = [results[state.name] for state in table if results[state.name].wrong]
        for result in failed:
            print("\n--- %s" % result.state.name)
            for sentence in result.wrong:
                print("    " + sentence)
        print("\n%d states, %d failed" % (len(table), len(failed)))
        slowest = sorted(results.values(), key=lambda r: -r.seconds)[:5]
        print("slowest: " + ", ".join("%s %.1f s" % (r.state.name, r.seconds) for r in slowest))
        self.assertEqual([result.state.name for result in failed], [])

    def wanted(self, condition):
        only = os.environ.get("SLOTD_STATES_ONLY", "")
        return [s for s in states.TABLE if condition(s) and re.search(only, s.name)]

    @slow(3600 if states.FULL else 400)
    def test_every_state_is_saved_cleaned_and_restored(self):
        own = {None}
        if os.getuid() == 0:
            own.add("root")
            if own_mounts():
                own.add("mount")
        else:
            own.add("user")
        for state in self.wanted(lambda s: s.needs not in own):
            print("not tried here, needs %s: %s" % (state.needs, state.name))
        self.run_table(self.wanted(lambda s: s.needs in own))

    @slow(400)
    def test_states_of_who_is_not_root(self):
        if os.getuid() != 0:
            self.skipTest("the other test did it: this is not root")
        seen = subprocess.run(["test", "-x", product("slotd-worker")], user=NOBODY, group=NOBODY,
                              extra_groups=[], check=False)
        if seen.returncode:
            self.skipTest("the build is in a directory that only root may enter")
        os.chown(self.dir, NOBODY, NOBODY)
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        self.run_table(self.wanted(lambda s: s.needs == "user" or s.as_user))
