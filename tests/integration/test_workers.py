"""Workers that die, hang or misbehave cost one job of one slot, and nothing else."""

import errno
import os
import resource
import shutil
import signal
import time

from support import git
from support.case import Case
from support.daemon import is_alive
from support.paths import product
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

    def stop_workers_while(self, slotd, pool, state):
        """SIGSTOP for all workers while a slot of the pool is in a state; their pids."""
        self.until(lambda: any(slotd.worker_on(name) for name, slot in slotd.slots(pool).items()
                               if slot["state"] == state), "a worker has a slot that is %s" % state)
        workers = slotd.workers()
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
            self.addCleanup(self.let_go, pid)
        self.assertTrue(slotd.pool(pool)[state], "the job was over before its worker was stopped")
        return workers

    def test_stopped_worker_delays_nobody_else(self):
        slotd = self.two_pools()
        self.until(lambda: slotd.pool("slow")["state"] == "active", "the store is open")
        with slotd.client(timeout=120) as stuck:
            stuck.send("Acquire", {"pool": "slow"})
            pid = self.until(lambda: slotd.worker_on("slow-1"), "a slot is being made")
            os.kill(pid, signal.SIGSTOP)
            self.addCleanup(self.let_go, pid)
            began = time.monotonic()
            for _ in range(4):
                lease = slotd.acquire("quick", ref="one", waitUsec=10 * SECOND)
                slotd.release(lease["lease"])
            self.assertLess(time.monotonic() - began, 10)
            self.assertEqual(slotd.pool("slow")["creating"], 1, "the job was over before it was stopped")
            self.let_go(pid)
            self.assertEqual(stuck.result()["pool"], "slow")

    def test_killed_worker_s_job_is_done_by_a_fresh_one(self):
        many = git.make_many(self.path("many.git"), 20000)
        slotd = self.one_pool(many, ready=1, maximum=1, wait_ready=False)
        for worker in self.stop_workers_while(slotd, "p", "creating"):
            os.kill(worker, signal.SIGKILL)
        slotd.wait_ready("p")
        self.assertRegex(slotd.log(), r"killed by signal 9 .* during SlotCreate")
        self.assert_invariants(slotd)

    def poisoned(self, **keys):
        """A slotd with a lease whose workers are no workers from now on; (slotd, lease)."""
        program = shutil.copy(product("slotd-worker"), self.path("slotd-worker"))
        slotd = self.one_pool(ready=2, maximum=2, env={"SLOTD_WORKER": program}, **keys)
        lease = slotd.acquire("p")
        slotd.wait_quiet()

        def overwritten():
            for pid in slotd.workers():
                os.kill(pid, signal.SIGKILL)
            try:
                # in place: slotd has the file open, and starts what is in it
                with open("/bin/false", "rb") as false, open(program, "r+b") as f:
                    f.write(false.read())
                    f.truncate()
                return True
            except OSError as e:
                self.assertEqual(e.errno, errno.ETXTBSY)
                return False
        self.until(overwritten, "no worker runs any more")
        return slotd, lease

    def assert_isolated_after(self, attempts, slotd, lease):
        slotd.release(lease["lease"], wait=False)
        info = slotd.wait_state(lease["slot"], "isolated")
        self.assertEqual(info["reason"], "cannot clean: %d workers lost over it, the last: "
                         "the worker exited with status 1" % attempts)
        lost = [line for line in slotd.log().split("\n") if "exited with status 1 during SlotClean" in line]
        self.assertEqual(len(lost), attempts)
        self.assertNotIn(lease["lease"], slotd.leases())
        # the other slot needs no worker
        self.assertEqual(slotd.pool("p")["ready"], 1)
        self.assertNotEqual(slotd.acquire("p")["slot"], lease["slot"])

    def test_slot_whose_job_kills_every_worker_is_isolated_with_the_reason(self):
        slotd, lease = self.poisoned()
        self.assert_isolated_after(3, slotd, lease)

    def test_number_of_workers_that_may_be_lost_is_the_strategy_s(self):
        slotd, lease = self.poisoned(settings={"strategies": {"quick": {"retry": {"attempts": 2}}}},
                                     strategy="quick")
        self.assert_isolated_after(2, slotd, lease)

    def test_shortage_of_descriptors_isolates_nothing_and_is_said(self):
        slotd = self.one_pool(ready=2, maximum=2)
        with slotd.client() as c, slotd.client() as asker:
            lease = c.call("Acquire", pool="p")
            slotd.wait_quiet()
            for pid in slotd.workers():
                os.kill(pid, signal.SIGKILL)
            self.until(lambda: not slotd.workers(), "no worker runs any more")
            _, most = resource.prlimit(slotd.process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(slotd.process.pid, resource.RLIMIT_NOFILE, (3, most))
            mark = len(slotd.log())
            self.assertEqual(c.call("Release", lease=lease["lease"], wait=False)["state"], "cleaning")
            slotd.wait_log("who is in the slots cannot be found out for now: Too many open files", after=mark)
            asker.send("Acquire", {"pool": "p", "branch": "b"})
            slotd.wait_log("jobs wait until a worker can be started: .*Too many open files", after=mark)
            # three attempts of a job take 1.5 s, and then its slot would be isolated
            self.holds(lambda: [s["state"] for s in c.call("Slots")["slots"]
                                if s["slot"] == lease["slot"]] == ["cleaning"], "the slot waits", 3)
            health = c.call("PingHealth")
            self.assertFalse(health["ok"])
            self.assertEqual([s["what"] for s in health["stuck"]], ["jobs"])
            self.assertIn("Too many open files", health["stuck"][0]["message"])
            for line in ("jobs wait until", "cannot be found out"):
                self.assertEqual(slotd.log()[mark:].count(line), 1, "it is said once")
            resource.prlimit(slotd.process.pid, resource.RLIMIT_NOFILE, (most, most))
            self.assertEqual(asker.receive()["parameters"]["branch"], "b")
        slotd.wait_state(lease["slot"], "ready")
        slotd.wait_log("workers can be started again", after=mark)
        self.assertTrue(slotd.call("PingHealth")["ok"])
        self.assert_invariants(slotd)

    def test_killed_worker_while_preparing_does_not_lose_the_request(self):
        many = git.make_many(self.path("many"), 20000)
        git.run(many, "tag", "many", "main")
        git.fast_import(many, [(b"100644", b"other/%d" % n, b"x") for n in range(5000)])
        slotd = self.one_pool(many, ready=1, maximum=1)
        with slotd.client(timeout=120) as c:
            c.send("Acquire", {"pool": "p", "branch": "topic", "ref": "many"})
            for worker in self.stop_workers_while(slotd, "p", "preparing"):
                os.kill(worker, signal.SIGKILL)
            lease = c.result()
        self.assertRegex(slotd.log(), r"killed by signal 9 .* during SlotPrepare")
        self.assertTrue(git.is_clean(lease["path"]))
        self.assertEqual(git.text(lease["path"], "symbolic-ref", "HEAD"), "refs/heads/topic")
        self.assertEqual(git.head(lease["path"]), git.head(many, "many"))
        slotd.release(lease["lease"])
        self.assert_invariants(slotd)

    def test_worker_is_the_program_of_slotd_s_start_though_another_has_its_name(self):
        program = shutil.copy(product("slotd-worker"), self.path("slotd-worker"))
        slotd = self.one_pool(ready=1, maximum=1, env={"SLOTD_WORKER": program})
        earlier = slotd.workers()
        lease = slotd.acquire("p")
        os.rename(shutil.copy("/bin/false", self.path("upgrade")), program)
        for pid in earlier:
            os.kill(pid, signal.SIGKILL)
        self.until(lambda: not any(is_alive(pid) for pid in earlier), "they end")
        self.assertEqual(slotd.release(lease["lease"])["state"], "ready")
        workers = slotd.workers()
        self.assertTrue(workers)
        self.assertFalse(set(workers) & set(earlier))
        for pid in workers:
            self.assertEqual(os.readlink("/proc/%d/exe" % pid), program + " (deleted)")

    # what a worker may find in its environment; SLOTD_DEBUG and what follows matter to tests only
    ENVIRONMENT = {"LANG", "HOME", "USER", "LOGNAME", "PATH", "SSH_AUTH_SOCK", "SSL_CERT_FILE",
                   "SSL_CERT_DIR", "TZ", "http_proxy", "https_proxy", "no_proxy", "JOURNAL_STREAM",
                   "SLOTD_DEBUG", "SLOTD_CRASH_FILE", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"}

    def names_in_environment(self, pid):
        with open("/proc/%d/environ" % pid, "rb") as f:
            return {item.split(b"=")[0].decode() for item in f.read().split(b"\0") if item}

    def test_worker_is_confined(self):
        many = git.make_many(self.path("many.git"), 20000)
        slotd = self.one_pool(many, ready=1, maximum=1, wait_ready=False,
                              env={"GIT_DIR": self.path("elsewhere"), "LD_PRELOAD": "", "PYTHONPATH": "/x"})
        (worker, *_) = self.until(slotd.workers, "a worker runs")

        def confined():
            with open("/proc/%d/status" % worker, encoding="ascii") as f:
                return "NoNewPrivs:\t1" in f.read()
        self.until(confined, "no_new_privs is set", 10)
        with open("/proc/%d/limits" % worker, encoding="ascii") as f:
            limits = f.read()
        self.assertRegex(limits, r"Max core file size\s+0\s")
        self.assertLess({"GIT_DIR", "LD_PRELOAD", "PYTHONPATH"}, self.names_in_environment(slotd.process.pid))
        self.assertEqual(self.names_in_environment(worker) - self.ENVIRONMENT, set())
        descriptors = os.listdir("/proc/%d/fd" % worker)
        self.assertLess(len(descriptors), 40)

    @slow(150)
    def test_idle_workers_end(self):
        slotd = self.one_pool()
        workers = slotd.workers()
        self.assertTrue(workers, "those that made the slots are still there")
        # half a minute after their last job
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
