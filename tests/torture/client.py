"""One agent of the torture test: mixed operations until it is killed or told to end.

Whatever slotd has acknowledged is written down, one JSON line each, before the next step:
what was asked, the reply, and when (CLOCK_MONOTONIC) the first try began and the answer came.
So is, before it happens, the end of whatever a lease may be bound to, and that a lease is given up.
"""

import ctypes
import json
import os
import random
import signal
import subprocess
import time

from support import git
from support.varlink import Client, Closed, Error

SECOND = 1000000
TTL, GRACE = 4, 2  # seconds, of every lease
PR_SET_PDEATHSIG = 1


class Notes:
    """What one process writes down."""

    def __init__(self, path, agent):
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self.agent = agent

    def write(self, operation, **what):
        line = json.dumps({"operation": operation, "agent": self.agent, "pid": os.getpid(),
                           "ended": time.monotonic(), "wall": time.time(), **what})
        os.write(self.file, line.encode() + b"\n")

    def dies(self, what):
        """Something that leases may be bound to is about to end: a pid, "slotd" or a lease's connection."""
        self.write("dies", what=what)


def dies_with(parent):
    """In a child that begins: it is not to outlive its agent."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


class Agent:
    def __init__(self, socket, log_path, seed, stop_file):
        self.socket = socket
        self.chance = random.Random(seed)
        self.name = "agent-%d" % seed
        self.notes = Notes(log_path, self.name)
        self.stop_file = stop_file
        self.client = None
        self.keys = 0
        self.reports = 0
        self.process = None  # what its lease is bound to
        self.lost = []  # (lease, task) that it left alone

    def run(self):
        while not self.is_told_to_end():
            self.chance.choices([self.work, self.go_on, self.report_late, self.look, self.hang_up, self.clear],
                                [12, 2, 1, 2, 1, 1])[0]()
        self.notes.dies(os.getpid())

    def is_told_to_end(self):
        return os.path.exists(self.stop_file)

    # --- the wire

    def note_error(self, method, e):
        """An answer that is no acknowledgement, and yet says something."""
        if e.name in ("LedgerFailed", "Internal", "InvalidMessage") or "varlink" in e.name:
            self.complain(method=method, name=e.name, **e.parameters)

    def complain(self, **what):
        self.notes.write("error", reply=what)

    def call(self, method, **parameters):
        """Repeat until it is answered; the reply, or the error. None: told to end."""
        began, asked, tries = time.monotonic(), time.time(), 0
        while not self.is_told_to_end():
            tries += 1
            try:
                if self.client is None:
                    self.client = Client(self.socket, timeout=120)
                reply = self.client.call(method, **parameters)
                self.notes.write(method, began=began, asked=asked, tries=tries, request=parameters, reply=reply)
                return reply
            except (OSError, Closed):
                self.drop()
                time.sleep(self.chance.uniform(0.005, 0.1))
            except Error as e:
                self.note_error(method, e)
                if e.name not in ("ShuttingDown", "LimitReached"):
                    self.notes.write("refused", method=method, asked=asked, request=parameters, name=e.name,
                                     message=e.message)
                    return e
                self.drop()
                time.sleep(self.chance.uniform(0.005, 0.1))
        return None

    def drop(self):
        if self.client is not None:
            self.client.close()
        self.client = None

    # --- what an agent does

    def fresh(self, word):
        self.keys += 1
        return "%s-%s-%d-%d" % (word, self.name, os.getpid(), self.keys)

    def hang_up(self):
        """Close in the middle of waiting. Without a key nobody keeps a place, so it is another's name."""
        self.drop()
        try:
            with Client(self.socket, timeout=1) as c:
                c.send("Acquire", {"pool": "p", "agent": self.name + "-gone", "waitUsec": 10 * SECOND})
                time.sleep(self.chance.uniform(0, 0.05))
        except (OSError, Closed):
            pass

    def is_waiting(self, agent):
        queue = self.call("Queue")
        return isinstance(queue, dict) and any(w["agent"] == agent for w in queue["queue"])

    def clear(self):
        """Wait with a key, go or stay, and have the place cleared."""
        agent = self.fresh("cleared")  # what was sent and not read before is none of it
        try:
            with Client(self.socket, timeout=1) as c:
                c.send("Acquire", {"pool": "q", "agent": agent, "key": self.fresh("key"), "waitUsec": 10 * SECOND})
                if not self.is_waiting(agent):
                    return
                if self.chance.random() < 0.5:
                    c.close()
                if isinstance(self.call("PingCleanup", agent=agent), dict) and self.is_waiting(agent):
                    self.complain(method="PingCleanup", message="what was cleared is still there")
        except (OSError, Closed):
            pass

    def look(self):
        self.call(self.chance.choice(["Status", "Slots", "Leases", "Queue", "Ping", "PingHealth",
                                      "PoolList", "Stats"]))

    def bind(self):
        """To nothing, or to something of its own."""
        kind = self.chance.random()
        if kind < 0.6:
            return None
        if kind < 0.7:
            return "connection"
        if kind < 0.75:
            return "process"
        self.end_process()
        parent = os.getpid()
        # pylint: disable=subprocess-popen-preexec-fn,consider-using-with # one thread, and it is ended below
        self.process = subprocess.Popen(["sleep", "600"], preexec_fn=lambda: dies_with(parent))
        return "process:%d%s" % (self.process.pid, "+ttl" if kind < 0.85 else "")

    def end_process(self):
        if self.process is None:
            return
        self.notes.dies(self.process.pid)
        self.process.kill()
        self.process.wait()
        self.process = None

    def work(self, **more):
        task = more.pop("task", None) or self.fresh("task")
        request = {"pool": self.chance.choice(["p", "p", "q"]), "agent": self.name, "key": self.fresh("key"),
                   "waitUsec": self.chance.choice([0, 1, 5, 20]) * SECOND, "task": task, "bind": self.bind(),
                   "priority": self.chance.randrange(4), **more}
        if not more and self.chance.random() < 0.4:
            request["branch"] = self.fresh("t/b")
        if not more and self.chance.random() < 0.2:
            request["ref"] = "one"
        lease = self.call("Acquire", **request)
        if isinstance(lease, dict):
            self.hold(lease, request["bind"])
        self.end_process()

    def hold(self, lease, bind):
        dirty = self.touch_files(lease)
        for _ in range(self.chance.randrange(3)):
            if not isinstance(self.report(lease["lease"]), dict):
                return
            time.sleep(self.chance.uniform(0, 0.05))
        kind = self.chance.random()
        if kind < 0.02 and self.process:
            self.stay(lease, bind)
        elif kind < 0.03:
            self.keep_alive(lease)
        if kind > 0.95 and (not dirty or self.note_left(lease, dirty)):
            self.leave(lease, bind)
        else:
            self.end(lease, dirty)

    def report(self, lease):
        if self.chance.random() < 0.3:
            return self.call("Touch", lease=lease)
        self.reports += 1
        return self.call("Renew", lease=lease, progress=self.chance.randrange(101),
                         message="report %d" % self.reports)

    def stay(self, lease, bind):
        """Say nothing for longer than the lease's time: its process keeps it."""
        until = time.monotonic() + TTL + GRACE + 1
        while time.monotonic() < until and not self.is_told_to_end():
            time.sleep(0.1)
        answer = self.call("Touch", lease=lease["lease"])
        if isinstance(answer, Error) and answer.name == "LeaseGone":
            self.complain(method="Touch", message="gone though its process lives", lease=lease["lease"], bind=bind)

    def keep_alive(self, lease):
        """Hold it for longer than its time, by reports."""
        until = time.monotonic() + TTL + GRACE + 1
        while time.monotonic() < until and isinstance(self.report(lease["lease"]), dict):
            time.sleep(TTL / 4)

    def leave(self, lease, bind):
        """Forgotten: the lease has to end by itself, and somebody may go on with it."""
        self.lost = self.lost[-4:] + [(lease["lease"], lease["task"], lease["pool"])]
        if bind == "connection":
            self.notes.dies(lease["lease"])
            self.drop()

    def go_on(self):
        """With work that was left alone: by its lease, by its task, or just with the same task."""
        if not self.lost:
            return
        lease, task, pool = self.lost.pop(0)
        more = self.chance.choice([{"resume": lease}, {"resume": task}, {"task": task}])
        self.work(pool=pool, **more)

    def report_late(self):
        """Of work that was left alone; it may have ended by now or not."""
        if not self.lost:
            return
        lease, _, _ = self.chance.choice(self.lost)
        if self.chance.random() < 0.7:
            self.reports += 1
            self.call("Renew", lease=lease, progress=100, message="report %d" % self.reports)
            return
        self.notes.write("ending", lease=lease)
        self.call("Finish", lease=lease, state="failed")

    def touch_files(self, lease):
        """Change something in the slot; what has to be saved of it: {"<where>:<path>": content}, None: not known."""
        kind, path = self.chance.random(), lease["path"]
        mine = "%s of %s\n" % (self.fresh("work"), lease["lease"])
        try:
            if kind < 0.1:
                git.write(path, "README", mine)
                return {":README": mine}
            if kind < 0.15:
                git.write(path, "deep/er/untracked", mine)
                os.symlink(mine.strip(), os.path.join(path, "link-to"))
                return {":deep/er/untracked": mine, ":link-to": mine.strip()}
            if kind < 0.2:
                git.write(path, "staged", mine)
                git.run(path, "add", "staged")
                git.write(path, "staged", "later " + mine)
                return {"^2:staged": mine, ":staged": "later " + mine}
            if kind < 0.25 and not lease["branch"]:
                commit = git.commit(path, "on no branch", committed=mine)
                if self.chance.random() < 0.5:
                    git.run(path, "reset", "-q", "--hard", "HEAD~1")
                return {"@": commit}
            if kind < 0.35 and lease["branch"]:
                git.commit(path, "work", note=self.name)
            elif kind < 0.45:
                git.write(path, "ignored.log", self.name)
        except (OSError, git.Failed, subprocess.TimeoutExpired):
            return None  # the lease has expired meanwhile, and the slot is another's
        return {}

    def note_left(self, lease, files):
        """What is in the slot, if that is certain: the lease is still there, so nobody else has been at it."""
        if not files or not isinstance(self.call("Touch", lease=lease["lease"]), dict):
            return False
        self.notes.write("left", lease=lease["lease"], pool=lease["pool"], files=files)
        return True

    def end(self, lease, dirty):
        keep = dirty and self.chance.random() < 0.5 and self.note_left(lease, dirty)
        discard = (dirty != {} and not keep) or None
        self.notes.write("ending", lease=lease["lease"])
        if self.chance.random() < 0.2:
            self.call("Finish", lease=lease["lease"], state="done", discard=discard)
            return
        self.call("Release", lease=lease["lease"], discard=discard, wait=self.chance.random() < 0.5)
