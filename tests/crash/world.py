"""One slotd that is killed again and again, and must always be whole afterwards."""

import os
import time

from support import git
from support.crashfile import CrashFile
from support.daemon import Slotd
from support.invariants import Checker
from support.varlink import Closed, Error

SHORT = {"ttl": "2s", "grace": "1s", "min_ttl": "1s", "abandon_after": "1s", "warn_before": "1s"}


class World:
    """Pools, a witness lease that must never be lost, and calls that survive the death of slotd."""

    def __init__(self, root):
        self.root = root
        self.repository = git.make(os.path.join(root, "repository"))
        self.second = git.make(os.path.join(root, "second"))
        self.brief = git.make(os.path.join(root, "brief"))
        self.origin = git.make(os.path.join(root, "origin"))
        self.counter = 0
        self.crash = CrashFile(os.path.join(root, "crash"))
        self.slotd = Slotd(os.path.join(root, "slotd"), {
            "p": {"path": self.repository, "slots": {"ready": 2, "max": 12}},
            "brief": {"path": self.brief, "slots": {"ready": 1, "max": 4}, "lease": SHORT},
            "u": {"url": "file://" + self.origin, "slots": {"ready": 1, "max": 4}},
        }, {"workers": 2, "shutdown_timeout": "10s"}, {"SLOTD_CRASH_FILE": self.crash.path})
        self.slotd.start()
        for pool, count in (("p", 2), ("brief", 1), ("u", 1)):
            self.slotd.wait_ready(pool, count)
        self.checker = Checker(self.slotd)
        self.deaths = 0
        self.witness = self.slotd.acquire("p", agent="witness", bind="manual", branch="witness")
        self.checker.granted(self.witness)
        self.rest()

    def close(self):
        self.crash.reset()
        self.slotd.stop()
        self.crash.close()

    def fresh(self, word):
        """A name that was not used before."""
        self.counter += 1
        return "%s-%d" % (word, self.counter)

    # --- living through deaths

    def revive(self):
        """Start slotd again if it has died; True if it had."""
        dead = False
        deadline = time.monotonic() + 60
        while not self._is_up():
            dead = True
            if time.monotonic() > deadline:
                raise AssertionError("slotd does not come up again:\n" + self.slotd.log()[-4000:])
        return dead

    def _is_up(self):
        """One try: if there is no slotd, start one, and see whether it answers."""
        if not self.slotd.is_running():
            self.deaths += 1
            self.slotd.start(wait_for_socket=False)
        try:
            with self.slotd.client(timeout=20) as c:
                c.call("Ping")
            return True
        except (OSError, Closed, Error):
            time.sleep(0.01)
            return False

    def call(self, method, **parameters):
        """A call that is repeated until it was answered."""
        for _ in range(20):
            try:
                with self.slotd.client(timeout=60) as c:
                    return c.call(method, **parameters)
            except TimeoutError as e:
                raise AssertionError("%s is not answered" % method) from e
            except (OSError, Closed):
                self.revive()
            except Error as e:
                if e.name != "ShuttingDown":
                    raise
                self.revive()
        raise AssertionError("%s was never answered" % method)

    def call_or(self, accepted, method, **parameters):
        """The same; these errors are as good as an answer: what was asked for had been done."""
        try:
            return self.call(method, **parameters)
        except Error as e:
            if e.name in accepted:
                return None
            raise

    def acquire(self, pool="p", **parameters):
        """Acquire, with a key, until it is answered."""
        lease = self.call("Acquire", pool=pool, key=self.fresh("key"), waitUsec=30000000, **parameters)
        self.checker.granted(lease)
        return lease

    def rest(self):
        """Until nothing moves any more, through any number of deaths."""
        for _ in range(20):
            self.revive()
            try:
                self.slotd.wait_quiet(60)
                return
            except (OSError, Closed):
                continue  # it has died, or is about to
            except AssertionError:
                if self.slotd.is_running():
                    raise
        raise AssertionError("no rest")

    # --- what must hold

    def check(self):
        """After every case."""
        self.rest()
        leases = self.slotd.leases()
        if self.witness["lease"] not in leases:
            raise AssertionError("the witness lease is lost")
        if not git.is_clean(self.witness["path"]):
            raise AssertionError("somebody touched the slot of the witness")
        self.checker.check()
        complaints = self.slotd.complaints()
        if complaints:
            raise AssertionError("\n".join(complaints))

    def clean_up(self, also=()):
        """Release and remove whatever a case has left, so that the next one finds room."""
        for lease in self.slotd.leases().values():
            if lease["lease"] != self.witness["lease"]:
                self.call_or(("LeaseGone",), "Release", lease=lease["lease"], discard=True, force=True)
        self.rest()
        for slot in self.slotd.slots().values():
            if slot["state"] == "isolated":
                self.call_or(("NotFound",), "SlotRemove", slot=slot["slot"], discard=True)
                self.checker.removed(slot["slot"])
        self.rest()
        gone = self.checker.slots - set(self.slotd.slots())
        for slot in gone:
            self.checker.removed(slot)
