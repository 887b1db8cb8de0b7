"""Workers that die, hang or misbehave cost one job of one slot, and nothing else."""

import os
import signal
import threading
import time

from support import git
from support.case import Case
from support.daemon import is_alive
from support.runner import slow

SECOND = 1000000


class Workers(Case):
    def two_pools(self):
        slow = git.make_many(self.path("many.git"), 20000)
        quick = git.make(self.path("quick"))
        slotd = self.slotd({"slow": {"path": slow, "slots": {"ready": 0, "max": 4}},
                            "quick": {"path": quick, "slots": {"ready": 2, "max": 4}}},
                           settings={"workers": 2})
        slotd.wait_ready("quick", 2)
        return slotd

    def test_stopped_worker_delays_nobody_else(self):
        slotd = self.two_pools()
        with slotd.client(timeout=120) as stuck:
            stuck.send("Acquire", {"pool": "slow"})
            self.stop_worker_of(slotd, "slow")
            began = time.monotonic()
            for _ in range(4):
                lease = slotd.acquire("quick", ref="one", waitUsec=10 * SECOND)
                slotd.release(lease["lease"])
            self.assertLess(time.monotonic() - began, 10)

    def test_killed_worker_s_job_is_done_by_a_fresh_one(self):
        many = git.make_many(self.path("many.git"), 20000)
        slotd = self.one_pool(many, ready=1, maximum=1, wait_ready=False)
        (worker, *_) = self.until(slotd.workers, "a worker runs")
        self.until(lambda: slotd.pool("p")["creating"], "a slot is being made")
        os.kill(worker, signal.SIGKILL)
        slotd.wait_ready("p")
        self.assert_invariants(slotd)

    def test_slot_whose_job_kills_every_worker_is_isolated_with_the_reason(self):
        slotd = self.one_pool(ready=1, maximum=1)
        lease = slotd.acquire("p")
        stop = threading.Event()

        def kill_all():
            while not stop.is_set():
                for pid in slotd.workers():
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                time.sleep(0.001)
        killer = threading.Thread(target=kill_all)
        killer.start()
        try:
            slotd.release(lease["lease"], wait=False)
            info = slotd.wait_state(lease["slot"], "isolated", "ready")
        finally:
            stop.set()
            killer.join()
        if info["state"] == "isolated":
            self.assertIn("worker", info["reason"])
        self.assertTrue(slotd.call("Ping"))
        self.assertNotIn(lease["lease"], slotd.leases())

    def test_killed_worker_while_preparing_does_not_lose_the_request(self):
        many = git.make_many(self.path("many"), 20000)
        git.fast_import(many, [(b"100644", b"other/%d" % n, b"x") for n in range(5000)])
        slotd = self.one_pool(many, ready=1, maximum=1)
        with slotd.client(timeout=120) as c:
            c.send("Acquire", {"pool": "p", "branch": "topic"})
            self.until(lambda: self.kill_busy(slotd) or slotd.leases(), "a worker was killed, or too late")
            lease = c.result()
        self.assertTrue(git.is_clean(lease["path"]))
        self.assertEqual(git.text(lease["path"], "symbolic-ref", "HEAD"), "refs/heads/topic")
        slotd.release(lease["lease"])
        self.assert_invariants(slotd)

    def kill_busy(self, slotd):
        if not slotd.pool("p")["preparing"]:
            return False
        for pid in slotd.workers():
            os.kill(pid, signal.SIGKILL)
        return True

    def test_worker_is_confined(self):
        many = git.make_many(self.path("many.git"), 20000)
        slotd = self.one_pool(many, ready=1, maximum=1, wait_ready=False)
        (worker, *_) = self.until(slotd.workers, "a worker runs")

        def confined():
            with open("/proc/%d/status" % worker, encoding="ascii") as f:
                return "NoNewPrivs:\t1" in f.read()
        self.until(confined, "no_new_privs is set", 10)
        with open("/proc/%d/limits" % worker, encoding="ascii") as f:
            limits = f.read()
        self.assertRegex(limits, r"Max core file size\s+0\s")
        with open("/proc/%d/environ" % worker, "rb") as f:
            names = {item.split(b"=")[0] for item in f.read().split(b"\0")}
        self.assertFalse(names & {b"GIT_DIR", b"LD_PRELOAD", b"SLOTD_TEST_MARK", b"PYTHONPATH"})
        descriptors = os.listdir("/proc/%d/fd" % worker)
        self.assertLess(len(descriptors), 40)

    @slow(150)
    def test_idle_workers_end(self):
        slotd = self.one_pool()
        workers = slotd.workers()
        self.assertTrue(workers, "those that made the slots are still there")
        self.until(lambda: not any(is_alive(pid) for pid in workers), "idle workers end", 100)

    def test_damaged_object_costs_its_job_only(self):
        repository = git.make(self.path("repository"))
        git.run(repository, "branch", "bad", "HEAD")
        git.run(repository, "switch", "-q", "bad")
        git.commit(repository, "to be damaged", victim="victim content\n")
        blob = git.text(repository, "rev-parse", "HEAD:victim")
        git.run(repository, "switch", "-q", "main")
        path = os.path.join(repository, ".git/objects", blob[:2], blob[2:])
        os.chmod(path, 0o600)
        os.truncate(path, 4)
        slotd = self.one_pool(repository)
        with self.assertRaises(Exception) as caught:
            slotd.acquire("p", branch="bad", waitUsec=30 * SECOND)
        self.assertTrue(caught.exception.message)
        lease = slotd.acquire("p", waitUsec=30 * SECOND)
        self.assertTrue(git.is_clean(lease["path"]))
