"""One agent of the torture test: mixed operations until it is killed or told to end.

Whatever slotd has acknowledged is written down, one JSON line each, before the next step:
what was asked, the reply, and when (CLOCK_MONOTONIC) the first try began and the answer came.
"""

import json
import os
import random
import subprocess
import time

from support import git
from support.varlink import Client, Closed, Error

SECOND = 1000000


class Agent:
    def __init__(self, socket, log_path, seed, stop_file):
        self.socket = socket
        self.log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self.chance = random.Random(seed)
        self.name = "agent-%d" % seed
        self.stop_file = stop_file
        self.client = None
        self.keys = 0

    def run(self):
        while not os.path.exists(self.stop_file):
            self.chance.choices([self.work, self.look, self.hang_up], [12, 2, 1])[0]()

    # --- the wire

    def note(self, operation, began, tries, reply):
        line = json.dumps({"agent": self.name, "operation": operation, "began": began,
                           "ended": time.monotonic(), "tries": tries, "reply": reply})
        os.write(self.log, line.encode() + b"\n")

    def call(self, method, **parameters):
        """Repeat until it is answered; the reply, or the error. None: told to end."""
        began, tries = time.monotonic(), 0
        while not os.path.exists(self.stop_file):
            tries += 1
            try:
                if self.client is None:
                    self.client = Client(self.socket, timeout=120)
                reply = self.client.call(method, **parameters)
                self.note(method, began, tries, reply)
                return reply
            except (OSError, Closed):
                self.drop()
                time.sleep(self.chance.uniform(0.005, 0.1))
            except Error as e:
                if e.name in ("LedgerFailed", "Internal", "InvalidMessage") or "varlink" in e.name:
                    self.note("error", began, tries, {"method": method, "name": e.name, **e.parameters})
                if e.name not in ("ShuttingDown", "LimitReached"):
                    return e
                self.drop()
                time.sleep(self.chance.uniform(0.005, 0.1))
        return None

    def drop(self):
        if self.client is not None:
            self.client.close()
        self.client = None

    # --- what an agent does

    def hang_up(self):
        """Close in the middle of waiting."""
        self.drop()
        try:
            with Client(self.socket, timeout=1) as c:
                c.send("Acquire", {"pool": "p", "agent": self.name, "waitUsec": 10 * SECOND})
                time.sleep(self.chance.uniform(0, 0.05))
        except (OSError, Closed):
            pass

    def look(self):
        self.call(self.chance.choice(["Status", "Slots", "Leases", "Queue", "Ping", "PingHealth",
                                      "PoolList"]))

    def work(self):
        self.keys += 1
        request = {"pool": self.chance.choice(["p", "p", "q"]), "agent": self.name,
                   "key": "%s-%d-%d" % (self.name, os.getpid(), self.keys),
                   "waitUsec": self.chance.choice([0, 1, 5, 20]) * SECOND,
                   "priority": self.chance.randrange(4)}
        if self.chance.random() < 0.4:
            request["branch"] = "t/%s-%d-%d" % (self.name, os.getpid(), self.keys)
        if self.chance.random() < 0.2:
            request["ref"] = "one"
        lease = self.call("Acquire", **request)
        if lease is None or isinstance(lease, Error):
            return
        dirty = self.touch_files(lease)
        for _ in range(self.chance.randrange(3)):
            if self.chance.random() < 0.7:
                reply = self.call("Renew", lease=lease["lease"], progress=self.chance.randrange(101))
            else:
                reply = self.call("Touch", lease=lease["lease"])
            if reply is None or isinstance(reply, Error):
                return
            time.sleep(self.chance.uniform(0, 0.05))
        if self.chance.random() < 0.05:
            return  # forgotten: the lease has to expire
        self.end(lease, dirty)

    def touch_files(self, lease):
        """Change something in the slot; true if it is not saved afterwards."""
        kind = self.chance.random()
        try:
            if kind < 0.15:
                git.write(lease["path"], "README", self.name)
                return True
            if kind < 0.3 and lease["branch"]:
                git.commit(lease["path"], "work", note=self.name)
            elif kind < 0.4:
                git.write(lease["path"], "ignored.log", self.name)
        except (OSError, git.Failed, subprocess.TimeoutExpired):
            return True  # the lease has expired meanwhile, and the slot is another's
        return False

    def end(self, lease, dirty):
        if self.chance.random() < 0.2:
            self.call("Finish", lease=lease["lease"], state="done", discard=dirty or None)
            return
        keep = dirty and self.chance.random() < 0.3
        done = self.call("Release", lease=lease["lease"], discard=(dirty and not keep) or None,
                         wait=self.chance.random() < 0.5)
        if keep and done is not None:
            self.call("SlotRemove", slot=lease["slot"], discard=True)
