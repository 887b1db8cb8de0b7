"""A real slotd, started from the build directory with a state directory of its own."""

import json
import os
import re
import signal
import subprocess
import time

from support import criterion, wait
from support.paths import product
from support.varlink import Client, Closed

SANITIZER = re.compile(r"ERROR: (Address|Leak|Undefined)\w*Sanitizer|runtime error:|"
                       r"SUMMARY: \w+Sanitizer|Assertion .* failed")


class Slotd:
    """root: a directory for everything. pools: as in slotd.yaml. settings: other top-level keys."""

    def __init__(self, root, pools=None, settings=None, env=None):
        self.root = root
        self.state_dir = os.path.join(root, "state")
        self.slots_dir = os.path.join(root, "slots")
        self.socket = os.path.join(root, "run", "slotd.sock")
        self.config_file = os.path.join(root, "slotd.yaml")
        self.log_file = os.path.join(root, "slotd.log")
        self.pools = dict(pools or {})
        self.settings = dict(settings or {})
        self.env = dict(env or {})
        self.process = None
        for path in (root, os.path.join(root, "run")):
            os.makedirs(path, mode=0o755, exist_ok=True)

    # --- configuration

    def config(self):
        return {"state_dir": self.state_dir, "slots_dir": self.slots_dir, "socket": self.socket,
                **self.settings, "pools": self.pools}

    def write_config(self, text=None):
        """Write slotd.yaml (JSON is YAML), in place."""
        with open(self.config_file, "w", encoding="utf-8") as f:
            f.write(text if text is not None else json.dumps(self.config(), indent=2) + "\n")

    # --- life

    def start(self, args=(), wait_for_socket=True, env=None, pass_fds=(), preexec=None):
        if not os.path.exists(self.config_file):
            self.write_config()
        clean = {k: v for k, v in os.environ.items()
                 if k not in ("NOTIFY_SOCKET", "JOURNAL_STREAM", "LISTEN_FDS", "SLOTD_SOCKET")}
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [product("slotd"), "--config", self.config_file, *args],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", pass_fds=pass_fds,
                preexec_fn=preexec,
                env={**clean, "SLOTD_WORKER": product("slotd-worker"),
                     **criterion.sanitizer_env(),
                     **self.env, **(env or {})})
        if wait_for_socket:
            wait.until(self.answers, "slotd answers", 30)
        return self

    def answers(self):
        """Does it answer a ping? A slotd that has ended raises."""
        if self.process.poll() is not None:
            raise AssertionError("slotd ended with %s:\n%s" % (self.process.returncode, self.log()))
        try:
            with Client(self.socket, timeout=20) as c:
                c.call("Ping")
            return True
        except (OSError, Closed):
            return False

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=60):
        """Wait for its end; the exit status (negative: the signal)."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError("slotd does not end within %d s:\n%s" % (seconds, self.log())) \
                from None

    def stop(self, seconds=60):
        """SIGTERM; the exit status."""
        if not self.is_running():
            return self.process and self.process.returncode
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self):
        """SIGKILL, and wait until its workers are gone too."""
        workers = self.workers()
        self.process.kill()
        self.process.wait()
        wait.until(lambda: not any(is_alive(pid) for pid in workers), "the workers of a dead slotd end")

    def copy_ledger(self):
        """Start anew, and wait for the copy of the ledger that is made soon after."""
        copy = os.path.join(self.state_dir, "ledger.copy", "data.mdb")
        self.restart()
        # it begins 2 s after the start; what comes earlier is of the slotd before
        after = time.time() + 1
        wait.until(lambda: os.path.exists(copy) and os.stat(copy).st_mtime > after,
                   "the ledger is copied")

    def restart(self):
        self.stop()
        return self.start()

    def reload(self):
        self.signal(signal.SIGHUP)

    def workers(self):
        """Pids of its workers."""
        return [pid for pid in children(self.process.pid) if program(pid) == "slotd-worker"]

    def worker_on(self, slot):
        """The pid of the worker that has a slot's lock, None if there is none."""
        lock = os.path.join(self.state_dir, "locks", slot)
        for pid in self.workers():
            try:
                for fd in os.listdir("/proc/%d/fd" % pid):
                    if os.readlink("/proc/%d/fd/%s" % (pid, fd)) == lock:
                        return pid
            except OSError:
                continue
        return None

    # --- talk

    def client(self, timeout=60):
        return Client(self.socket, timeout)

    def call(self, method, **parameters):
        """One call on a connection of its own."""
        with self.client() as c:
            return c.call(method, **parameters)

    def acquire(self, pool=None, **parameters):
        return self.call("Acquire", pool=pool, **parameters)

    def release(self, lease, **parameters):
        return self.call("Release", lease=lease, **parameters)

    def slots(self, pool=None):
        """{name: SlotInfo}"""
        return {s["slot"]: s for s in self.call("Slots", pool=pool)["slots"]}

    def slot(self, name):
        return self.slots()[name]

    def leases(self):
        return {entry["lease"]: entry for entry in self.call("Leases")["leases"]}

    def pool(self, name):
        """Its counts, as Status has them."""
        return {p["name"]: p for p in self.call("Status")["pools"]}[name]

    def events(self, since=0):
        """The whole history after a sequence."""
        with self.client() as c:
            return [e for reply in c.call_more("Events", since=since, limit=1000000)
                    for e in reply["events"]]

    # --- wait

    def wait_ready(self, pool, count=1, seconds=60):
        """Until so many slots are ready; returns the pool's counts."""
        def enough():
            counts = self.pool(pool)
            return counts if counts["ready"] >= count else None
        return wait.until(enough, "%d slots of %s are ready" % (count, pool), seconds)

    def wait_state(self, slot, *states, seconds=60):
        def reached():
            info = self.slots().get(slot)
            return info if info and info["state"] in states else None
        return wait.until(reached, "%s becomes %s" % (slot, " or ".join(states)), seconds)

    def wait_gone(self, slot, seconds=60):
        wait.until(lambda: slot not in self.slots(), "%s is gone" % slot, seconds)

    def wait_quiet(self, seconds=120):
        """Until no slot is on its way anywhere, and every pool that can has its ready slots."""
        moving = ("creating", "preparing", "cleaning", "recovering", "removing")

        def quiet():
            pools = self.call("Status")["pools"]
            return all(p[state] == 0 for p in pools for state in moving) and \
                all(p["state"] != "opening" for p in pools)
        wait.until(quiet, "all slots are at rest", seconds, 0.05)

    def wait_log(self, pattern, seconds=30, after=0):
        """Until a line of the log matches; the match."""
        return wait.until(lambda: re.search(pattern, self.log()[after:], re.MULTILINE),
                          "the log says %r" % pattern, seconds)

    # --- evidence

    def log(self):
        try:
            with open(self.log_file, encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def complaints(self):
        """What the sanitizers said, about the daemon or a worker: each report, as far as it goes."""
        lines = self.log().split("\n")
        return ["\n".join(lines[n:n + 60]) for n, line in enumerate(lines) if SANITIZER.search(line)]


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
            return [int(child) for child in f.read().split()]
    except OSError:
        return []


def program(pid):
    """The name of the file that a process executes, "" if there is none."""
    try:
        return os.path.basename(os.readlink("/proc/%d/exe" % pid)).replace(" (deleted)", "")
    except OSError:
        return ""


def is_alive(pid):
    """Is there such a process, other than a zombie?"""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
