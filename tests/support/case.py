"""The base of tests that start a slotd: a directory, daemons that end with the test, checks."""

import contextlib
import os
import signal
import tempfile
import time
import unittest

from support import git, saved, slotctl, wait
from support.daemon import Slotd
from support.invariants import Checker
from support.varlink import Closed, Error


class Case(unittest.TestCase):
    """self.dir is an empty directory; daemons of self.slotd() are stopped and judged at the end."""

    maxDiff = None

    def setUp(self):
        base = os.environ.get("SLOTD_TEST_DIR")
        if base:
            os.makedirs(base, mode=0o755, exist_ok=True)
        self.dir = tempfile.mkdtemp(prefix="t-", dir=base)
        os.chmod(self.dir, 0o755)
        os.environ["HOME"] = self.dir
        self.daemons = []
        self.addCleanup(self._judge_daemons)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    # --- a daemon and its pools

    def slotd(self, pools=None, settings=None, env=None, start=True, name="slotd"):
        """A slotd with pools as in slotd.yaml; started unless told otherwise."""
        daemon = Slotd(self.path(name), pools, settings, env)
        self.daemons.append(daemon)
        return daemon.start() if start else daemon

    def one_pool(self, repository=None, ready=2, maximum=4, settings=None, env=None, wait_ready=True,
                 **keys):
        """A slotd with one pool "p", adopted from a small repository; sets self.repository."""
        self.repository = repository or git.make(self.path("repository"))
        pools = {"p": {"path": self.repository, "slots": {"ready": ready, "max": maximum}, **keys}}
        daemon = self.slotd(pools, settings, env)
        if wait_ready and ready:
            daemon.wait_ready("p", ready)
        return daemon

    def stop_worker_of(self, slotd, pool):
        """SIGSTOP for the worker that works for a pool."""
        def find():
            for pid in slotd.workers():
                with open("/proc/%d/cmdline" % pid, "rb") as f:
                    args = f.read().split(b"\0")
                if pool.encode() in args:
                    return pid
            return None
        pid = self.until(find, "a worker of " + pool)
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(self.let_go, pid)
        return pid

    @staticmethod
    def let_go(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def _judge_daemons(self):
        for daemon in self.daemons:
            if daemon.is_running():
                status = daemon.stop()
                if status != 0:
                    print(daemon.log())
                self.assertEqual(status, 0, "exit status of slotd after SIGTERM")
        for daemon in self.daemons:
            if daemon.complaints():
                print(daemon.log())
            self.assertEqual(daemon.complaints(), [], "reports of sanitizers")
        if self._failed():
            for daemon in self.daemons:
                print("---- %s\n%s" % (daemon.log_file, daemon.log()))

    def _failed(self):
        result = self._outcome.result
        return any(test is self for test, _ in result.failures + result.errors)

    # --- assertions

    def assert_error(self, name, function, *args, **kwargs):
        """The call is answered with this error, which carries a message; returns the error."""
        with self.assertRaises(Error) as caught:
            function(*args, **kwargs)
        self.assertEqual(caught.exception.name, name, caught.exception.parameters)
        if not name.startswith("org.varlink."):
            self.assertTrue(caught.exception.message, "an error without a message")
        return caught.exception

    def assert_invariants(self, daemon):
        Checker(daemon).check()

    def assert_exit(self, status, result):
        self.assertEqual(result.status, status, str(result))
        return result

    def assert_saved(self, daemon, lease, files=None, reply=None):
        """A lease is over, its slot is ready and clean by git's word, and what was in it is in one salvage.

        files: {name: content} of what it has to have. reply: that of Release, which has to name it.
        Returns the salvage.
        """
        info = daemon.wait_state(lease["slot"], "ready", "isolated")
        self.assertEqual((info["state"], info["reason"]), ("ready", None))
        self.assertNotIn(lease["lease"], daemon.leases())
        self.assertTrue(git.is_clean(info["path"]), git.text(info["path"], "status"))
        found = saved.of_lease(daemon, lease["lease"])
        self.assertEqual(len(found), 1, [s.ref for s in found])
        salvage = found[0]
        if reply:
            self.assertEqual((reply["state"], reply["reason"]), ("ready", None))
            self.assertEqual(reply["salvage"], {"id": salvage.id, "ref": salvage.ref, "commit": salvage.commit,
                                                "summary": salvage.summary, "all": None})
        self.assertEqual(git.head(salvage.store, salvage.ref), salvage.commit)
        for name, content in (files or {}).items():
            self.assertEqual(salvage.read(name), content, name)
        return salvage

    def slotctl(self, daemon, *args, **kwargs):
        return slotctl.run(*args, socket=daemon.socket, **kwargs)

    def ok(self, daemon, *args, **kwargs):
        """slotctl with exit status 0."""
        return self.assert_exit(0, self.slotctl(daemon, *args, **kwargs))

    def holds(self, condition, what, seconds):
        """That something stays so, looked at all the time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.assertTrue(condition(), what)
            time.sleep(0.05)

    def until(self, condition, what, seconds=30):
        return wait.until(condition, what, seconds)


__all__ = ["Case", "Closed", "Error"]
