"""The life of the daemon: one at a time, signals, kill and restart, what it links, systemd."""

import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

from support import git, wait
from support.case import Case
from support.daemon import is_alive
from support.invariants import Checker
from support.paths import product

SECOND = 1000000


class OneAtATime(Case):
    def test_second_slotd_on_the_same_state_refuses_and_names_the_holder(self):
        slotd = self.one_pool()
        second = self.slotd(start=False, name="second")
        second.state_dir = slotd.state_dir
        second.start(wait_for_socket=False)
        self.assertNotEqual(second.wait(), 0)
        self.assertIn(str(slotd.process.pid), second.log())
        slotd.acquire("p")

    def test_lock_that_a_child_of_a_killed_slotd_still_has_is_waited_for(self):
        slotd = self.one_pool(ready=1)
        slotd.kill()
        with open(os.path.join(slotd.state_dir, "lock"), "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            slotd.start(wait_for_socket=False)
            self.holds(slotd.is_running, "it waits", 1)
        wait.until(slotd.answers, "it has the lock")
        slotd.wait_ready("p", 1)

    def test_second_slotd_on_the_same_socket_does_not_take_it_away(self):
        slotd = self.one_pool()
        second = self.slotd(start=False, name="second")
        second.socket = slotd.socket
        second.start(wait_for_socket=False)
        self.assertNotEqual(second.wait(), 0)
        self.assertEqual(slotd.call("Ping")["pid"], slotd.process.pid)

    def test_socket_left_by_a_killed_slotd_is_replaced(self):
        slotd = self.slotd()
        slotd.kill()
        self.assertTrue(os.path.exists(slotd.socket))
        slotd.start()

    def test_worker_of_an_earlier_slotd_is_waited_for(self):
        slotd = self.one_pool(ready=1, maximum=1)
        lease = slotd.acquire("p")
        lock = os.path.join(slotd.state_dir, "locks", lease["slot"])
        slotd.stop()
        os.makedirs(os.path.dirname(lock), exist_ok=True)
        fd = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.fcntl(fd, 37, struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 0, 0))  # F_OFD_SETLK
        slotd.start()
        slotd.release(lease["lease"], wait=False)
        slotd.wait_log(r"a job waits until an earlier worker is gone lock=%s$" % lease["slot"])
        self.assertEqual(slotd.slot(lease["slot"])["state"], "cleaning")
        os.close(fd)
        slotd.wait_state(lease["slot"], "ready")


class Signals(Case):
    def test_sigterm_ends_it_in_order(self):
        slotd = self.one_pool(ready=1, maximum=1)
        lease = slotd.acquire("p")
        waiter = slotd.client()
        waiter.send("Acquire", {"pool": "p", "waitUsec": 60 * SECOND})
        self.until(lambda: slotd.call("Queue")["queue"], "somebody waits")
        slotd.signal(signal.SIGTERM)
        reply = waiter.receive()
        self.assertEqual(reply["error"], "io.slotd.pool.ShuttingDown")
        self.assertEqual(slotd.wait(), 0)
        self.assertFalse(os.path.exists(slotd.socket))
        slotd.start()
        self.assertIn(lease["lease"], slotd.leases())

    def test_sigint_is_as_good(self):
        slotd = self.one_pool()
        slotd.signal(signal.SIGINT)
        self.assertEqual(slotd.wait(), 0)

    def stop_workers(self, slotd):
        """SIGSTOP for every worker: what they do, or are given now, comes to no end."""
        workers = slotd.workers()
        self.assertTrue(workers, "no worker runs")
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)

    def steps(self, slotd, mark):
        """What the log says of the end since a mark."""
        return [line.partition(": ")[2] for line in slotd.log()[mark:].split("\n")
                if " slotd: stop" in line]

    def test_steps_of_the_end_are_logged_in_order_with_their_counts(self):
        slotd = self.one_pool(ready=2, maximum=2, settings={"shutdown_timeout": "1s"})
        main, follower, releaser, *waiters = (self.enterContext(slotd.client()) for _ in range(5))
        leases = [main.call("Acquire", pool="p")["lease"] for _ in range(2)]
        follower.send("Events", {"follow": True}, more=True)
        self.stop_workers(slotd)
        releaser.send("Release", {"lease": leases[0]})
        for waiter in waiters:
            waiter.send("Acquire", {"pool": "p", "waitUsec": 60 * SECOND})
        self.until(lambda: len(main.call("Queue")["queue"]) == 2, "two wait")
        self.until(lambda: main.call("PingHealth")["activeOperations"] == 1, "one job runs")
        mark = len(slotd.log())
        self.assertEqual(slotd.stop(), 0)
        self.assertEqual(self.steps(slotd, mark), [
            "stopping: no new connections; open count=5",
            "stopping: who waited was refused count=2",
            "stopping: running jobs may end count=1",
            "stopping: jobs given up count=1",
            "stopping: streams and watches ended count=2",
            "stopping: last changes are recorded count=0",
            "stopping: pending calls ended count=1",
            "stopping: answers sent, not taken bytes=0",
            "stopped"])

    def test_job_under_way_is_finished_or_undone(self):
        many = git.make_many(self.path("many.git"), 20000)
        slotd = self.one_pool(many, ready=3, maximum=3, wait_ready=False)
        self.until(lambda: slotd.pool("p")["creating"], "slots are being made")
        self.assertEqual(slotd.stop(), 0)
        slotd.start()
        slotd.wait_ready("p", 3)
        self.assert_invariants(slotd)

    def wait_for_a_job(self, slotd):
        """Before a slot is cleaned it is looked who is in it."""
        self.until(lambda: slotd.call("PingHealth")["activeOperations"], "a worker has a job")

    def test_second_signal_ends_it_at_once_and_loses_nothing(self):
        slotd = self.one_pool(ready=2, maximum=2, settings={"shutdown_timeout": "60s"})
        kept, given = slotd.acquire("p"), slotd.acquire("p")
        slotd.wait_quiet()
        self.stop_workers(slotd)
        slotd.release(given["lease"], wait=False)
        self.wait_for_a_job(slotd)
        mark = len(slotd.log())
        slotd.signal(signal.SIGTERM)
        slotd.wait_log(r"stopping: running jobs may end count=1$", after=mark)
        time.sleep(0.5)  # a slotd that does not wait for its jobs would be gone
        self.assertTrue(slotd.is_running(), "one signal was enough")
        began = time.monotonic()
        slotd.signal(signal.SIGTERM)
        self.assertEqual(slotd.wait(10), 0)
        self.assertLess(time.monotonic() - began, 3)
        self.assertIn("a second signal: leaving at once", slotd.log()[mark:])
        self.assertNotIn("jobs given up", slotd.log()[mark:])
        slotd.start()
        self.assertEqual(set(slotd.leases()), {kept["lease"]})
        slotd.wait_state(given["slot"], "ready")
        self.assert_invariants(slotd)

    def test_shutdown_timeout_is_kept_even_with_a_stopped_worker(self):
        many = git.make_many(self.path("many.git"), 20000)
        slotd = self.one_pool(many, ready=2, maximum=2, wait_ready=False,
                              settings={"shutdown_timeout": "4s"})
        self.until(lambda: slotd.pool("p")["creating"], "slots are being made")
        self.stop_workers(slotd)
        mark = len(slotd.log())
        began = time.monotonic()
        self.assertEqual(slotd.stop(), 0)
        took = time.monotonic() - began
        self.assertRegex(slotd.log()[mark:], r"stopping: jobs given up count=[12]\n")
        # most of the time is the jobs', a part is kept for the steps after them
        self.assertGreater(took, 2)
        self.assertLess(took, 8)

    def test_whoever_waits_is_told_when_slotd_stops(self):
        origin = git.make_many(self.path("origin.git"), 20000)
        slotd = self.slotd({"a": {"path": origin, "slots": {"ready": 0, "max": 1}},
                            "b": {"path": git.make(self.path("b")), "slots": {"ready": 2, "max": 4}}},
                           settings={"shutdown_timeout": "2s", "workers": 2})
        slotd.wait_ready("b", 2)
        lease = slotd.acquire("b")["lease"]
        slotd.wait_quiet()
        slot = next(s["slot"] for s in slotd.slots("b").values() if s["state"] == "ready")
        # two that take long, for each of the two workers; the others wait for one
        calls = (("PoolAdd", {"pool": "new", "url": "file://" + origin}, "new"),
                 ("SlotAdd", {"pool": "a"}, "a"),
                 ("SlotRemove", {"slot": slot}, None),
                 ("Release", {"lease": lease}, None))
        clients = []
        for method, parameters, busy in calls:
            clients.append(self.enterContext(slotd.client()))
            clients[-1].send(method, parameters)
            if busy:
                self.stop_worker_of(slotd, busy)
        slotd.call("Ping")  # served after what was sent before
        slotd.stop()
        for client, (method, _, _) in zip(clients, calls):
            with self.subTest(method):
                self.assert_error("ShuttingDown", client.result)

    def test_workers_die_with_slotd(self):
        many = git.make_many(self.path("many.git"), 20000)
        slotd = self.one_pool(many, ready=2, maximum=2, wait_ready=False)
        workers = self.until(slotd.workers, "a worker runs")
        slotd.process.kill()
        slotd.process.wait()
        wait.until(lambda: not any(is_alive(pid) for pid in workers), "its workers die with it", 10)


class Restart(Case):
    def test_everything_acknowledged_survives_a_kill(self):
        slotd = self.one_pool(ready=2, maximum=4)
        checker = Checker(slotd)
        leases = [slotd.acquire("p", branch="b%d" % n) for n in range(3)]
        for lease in leases:
            checker.granted(lease)
        slotd.call("Renew", lease=leases[0]["lease"], progress=70)
        slotd.release(leases[2]["lease"], wait=False)
        slotd.kill()
        slotd.start()
        self.assertEqual(set(slotd.leases()), {leases[0]["lease"], leases[1]["lease"]})
        self.assertEqual(slotd.leases()[leases[0]["lease"]]["progress"], 70)
        self.assert_error("LeaseGone", slotd.release, leases[2]["lease"])
        slotd.release(leases[0]["lease"])
        checker.check()

    def test_many_kills_in_a_row_lose_nothing(self):
        slotd = self.one_pool(ready=2, maximum=3)
        checker = Checker(slotd)
        for number in range(5):
            lease = slotd.acquire("p", key="k%d" % number, waitUsec=30 * SECOND)
            checker.granted(lease)
            slotd.release(lease["lease"], wait=False)
            slotd.kill()
            slotd.start()
        checker.check()

    def test_kills_during_one_cleaning_are_no_attempts_of_it(self):
        many = git.make_many(self.path("many.git"), 20000)
        slotd = self.one_pool(many, ready=1, maximum=1)
        lease = slotd.acquire("p")
        for name in os.listdir(lease["path"]):
            if name != ".git":
                shutil.rmtree(os.path.join(lease["path"], name))
        slotd.release(lease["lease"], discard=True, wait=False)
        # more often than a job may fail
        for _ in range(5):
            pid = self.until(lambda: slotd.worker_on(lease["slot"]), "a worker cleans")
            os.kill(pid, signal.SIGSTOP)
            self.assertEqual(slotd.worker_on(lease["slot"]), pid, "the job was over too early")
            slotd.kill()
            slotd.start()
        slotd.wait_state(lease["slot"], "ready")
        self.assertNotIn("slot_isolated", [e["kind"] for e in slotd.events()])
        self.assertNotIn("attempts=", slotd.log())
        self.assert_invariants(slotd)

    def test_unfinished_creation_is_finished_at_the_next_start(self):
        many = git.make_many(self.path("many.git"), 20000)
        slotd = self.one_pool(many, ready=2, maximum=2, wait_ready=False)
        self.until(lambda: slotd.pool("p")["creating"], "slots are being made")
        slotd.kill()
        slotd.start()
        slotd.wait_ready("p", 2)
        self.assert_invariants(slotd)


class Binary(Case):
    def test_slotd_does_not_link_libgit2(self):
        needed = subprocess.run(["ldd", product("slotd")], capture_output=True, text=True,
                                check=True).stdout
        self.assertNotIn("git2", needed)
        worker = subprocess.run(["ldd", product("slotd-worker")], capture_output=True, text=True,
                                check=True).stdout
        self.assertIn("git2", worker)
        self.assertNotIn("lmdb", worker)

    def test_slotctl_has_libslot_inside(self):
        needed = subprocess.run(["ldd", product("slotctl")], capture_output=True, text=True,
                                check=True).stdout
        self.assertIn("json-c", needed)
        self.assertNotIn("libslot", needed)
        for library in ("git2", "lmdb"):
            self.assertNotIn(library, needed)

    def test_help_and_version(self):
        for option in ("--help", "-h", "--version"):
            done = subprocess.run([product("slotd"), option], capture_output=True, text=True,
                                  timeout=30, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("slotd", done.stdout)

    def test_wrong_option_is_named(self):
        for args in (["--confgi", "x"], ["extra"], ["--config"], ["--log-level", "loud"]):
            done = subprocess.run([product("slotd"), *args], capture_output=True, text=True,
                                  timeout=30, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertTrue(done.stderr)


class Systemd(Case):
    """What systemd would see, without a systemd."""

    def notify_socket(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.bind(self.path("notify"))
        s.settimeout(30)
        return s

    def wait_message(self, s, wanted):
        seen = []
        while True:
            seen.append(s.recv(65536).decode())
            if any(line.startswith(wanted) for line in seen[-1].split("\n")):
                return seen

    def test_ready_reloading_stopping_status_and_watchdog_are_told(self):
        s = self.notify_socket()
        slotd = self.slotd(start=False)
        slotd.start(env={"NOTIFY_SOCKET": self.path("notify"), "WATCHDOG_USEC": "1000000"})
        self.wait_message(s, "READY=1")
        self.wait_message(s, "WATCHDOG=1")
        slotd.reload()
        seen = self.wait_message(s, "RELOADING=1")
        said = int(re.search(r"MONOTONIC_USEC=(\d+)", seen[-1]).group(1))
        self.assertLess(abs(said / 1e6 - time.clock_gettime(time.CLOCK_MONOTONIC)), 60)
        self.wait_message(s, "READY=1")
        slotd.signal(signal.SIGTERM)
        seen = self.wait_message(s, "STOPPING=1")
        self.assertEqual(slotd.wait(), 0)

    def test_status_says_something(self):
        s = self.notify_socket()
        slotd = self.slotd(start=False)
        slotd.start(env={"NOTIFY_SOCKET": self.path("notify")})
        seen = self.wait_message(s, "STATUS=")
        self.assertRegex(seen[-1], r"(?m)^STATUS=\w")

    def test_socket_from_systemd_is_used_and_left_alone(self):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(listener.close)
        slotd = self.slotd(start=False)
        slotd.socket = self.path("activated.sock")
        listener.bind(slotd.socket)
        listener.listen(16)
        early = slotd.client()
        early.send("Ping")

        slotd.write_config()
        # LISTEN_PID has to be the daemon's own, which only it knows: a shell says it and execs
        self.start_activated(slotd, listener)
        self.assertTrue(early.result()["version"])
        self.assertEqual(slotd.stop(), 0)
        self.assertTrue(os.path.exists(slotd.socket), "slotd removed a socket that is not its own")

    def start_activated(self, slotd, listener):
        with open(slotd.log_file, "ab") as log:
            slotd.process = subprocess.Popen(
                ["sh", "-c", 'exec env LISTEN_PID=$$ LISTEN_FDS=1 "$0" --config "$1"', product("slotd"),
                 slotd.config_file], stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(3,),
                preexec_fn=lambda: os.dup2(listener.fileno(), 3, inheritable=True),
                env={**os.environ, "SLOTD_WORKER": product("slotd-worker")})
        wait.until(slotd.answers, "slotd answers on the socket it was given")
