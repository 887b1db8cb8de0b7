"""One slotd that is killed again and again, and must always be whole afterwards."""

import os
import threading
import time

from support import git
from support.crashfile import CrashFile
from support.daemon import Slotd
from support.errors import OF_KILLED_WORKERS, ErrorLines
from support.invariants import Checker
from support.varlink import Closed, Error
from torture.history import Replay

SHORT = {"ttl": "2s", "grace": "1s", "min_ttl": "1s", "abandon_after": "1s", "warn_before": "1s",
         "monitor_every": "1s"}
# silence is noticed soon, and ends nothing
PATIENT = {**SHORT, "abandon_after": "1h", "silence_multiplier": 1, "max_age": "4s"}


class World:
    """Pools, a witness lease that must never be lost, and calls that survive the death of slotd."""

    def __init__(self, root):
        self.root = root
        self.repository = git.make(os.path.join(root, "repository"))
        self.second = git.make(os.path.join(root, "second"))
        self.brief = git.make(os.path.join(root, "brief"))
        self.one = git.make(os.path.join(root, "one"))
        self.origin = git.make(os.path.join(root, "origin"))
        self.furnished = git.make(os.path.join(root, "furnished"))
        git.commit(self.furnished, "files", lock="1\n", **{".gitignore": "node_modules/\n.env\n"})
        git.write(root, "seeds/.env", "seeded\n")
        self.counter = 0
        self.starting = threading.Lock()  # who has it looks at what a dead slotd has left
        self.crash = CrashFile(os.path.join(root, "crash"))
        self.slotd = Slotd(os.path.join(root, "slotd"), {
            "p": {"path": self.repository, "slots": {"ready": 2, "max": 12}},
            "brief": {"path": self.brief, "slots": {"ready": 1, "max": 4}, "lease": SHORT},
            "one": {"path": self.one, "slots": {"ready": 1, "max": 1}, "lease": PATIENT},
            "u": {"url": "file://" + self.origin, "slots": {"ready": 1, "max": 4},
                  "maintenance": {"every": "0s"}},
            "w": {"path": self.furnished, "slots": {"ready": 1, "max": 4},
                  "seed": {"from": os.path.join(root, "seeds"), "files": [".env"]},
                  "warmup": {"run": ["sh", "-c", "mkdir -p node_modules && cp lock node_modules/made-for"],
                             "when_changed": ["lock"]},
                  "acquire": {"run": ["sh", "-c", "echo $SLOT_LEASE >$SLOT_TMPDIR/acquired"]},
                  "release": {"run": ["sh", "-c", "echo $SLOT_LEASE >>$HOME/released"]}},
        }, {"workers": 2, "shutdown_timeout": "10s"}, {"SLOTD_CRASH_FILE": self.crash.path})
        self.slotd.start()
        for pool, count in (("p", 2), ("brief", 1), ("one", 1), ("u", 1), ("w", 1)):
            self.slotd.wait_ready(pool, count)
        self.checker = Checker(self.slotd)
        self.deaths = 0
        self.errors, self.log_seen = ErrorLines(), 0
        self.history, self.counted_before = Replay(), {}
        self.take_witness()
        self.rest()

    def take_witness(self):
        """The lease that must never be lost."""
        self.witness = self.acquire(agent="witness", bind="manual", branch="witness")

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

    def forget_memory(self):
        """What slotd said and did not write down is gone."""
        self.slotd.kill()
        self.revive()

    def _is_up(self):
        """One try: if there is no slotd, start one, and see whether it answers."""
        with self.starting:
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
        client, reply = self.call_and_stay(method, **parameters)
        client.close()
        return reply

    def call_and_stay(self, method, **parameters):
        """(the connection, which is the caller's, the reply) of a call that is repeated until it was answered."""
        for _ in range(20):
            client = None
            try:
                client = self.slotd.client(timeout=60)
                return client, client.call(method, **parameters)
            except TimeoutError as e:
                raise AssertionError("%s is not answered" % method) from e
            except (OSError, Closed):
                pass
            except Error as e:
                if e.name != "ShuttingDown":
                    raise
            if client:
                client.close()
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

    def events(self, lease):
        """All that happened to a lease, as its acquire was answered, oldest first."""
        for _ in range(20):
            try:
                return [e for e in self.slotd.events(lease["sequence"] - 1) if e["lease"] == lease["lease"]]
            except (OSError, Closed):
                self.revive()
        raise AssertionError("the history was never told")

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

    def check(self, accepted=()):
        """After every case; accepted: parts of lines of level error that it may cause."""
        self.rest()
        leases = self.slotd.leases()
        if self.witness["lease"] not in leases:
            raise AssertionError("the witness lease is lost")
        if not git.is_clean(self.witness["path"]):
            raise AssertionError("somebody touched the slot of the witness")
        self.checker.check()
        wrong = self.slotd.complaints() + self._new_errors(accepted) + self._follow_history()
        if wrong:
            raise AssertionError("\n".join(wrong))

    def _new_errors(self, accepted):
        log = self.slotd.log()
        new, self.log_seen = log[self.log_seen:], len(log)
        return self.errors.find(new, (*OF_KILLED_WORKERS, *accepted))

    def _follow_history(self):
        """What has happened since the last look could have happened, and is counted."""
        for _ in range(20):
            self.history.feed(self.slotd.events(self.history.last))
            leases, stats = self.slotd.leases(), self.slotd.call("Stats")["leases"]
            if not self.slotd.events(self.history.last):
                break
        self.history.compare({lease: info["slot"] for lease, info in leases.items()})
        self.history.compare_counters(stats, self.counted_before)
        wrong, self.history.wrong = self.history.wrong, []
        return wrong

    def forget_history(self):
        """A ledger that was rebuilt from its copy knows nothing of what came after the copy."""
        self.rest()
        self.history = Replay()
        self.history.last = self.slotd.call("PingHealth")["ledger"]["sequence"]
        self.history.holder = {info["slot"]: lease for lease, info in self.slotd.leases().items()}
        self.history.tokens = {slot: token for slot, (token, _) in self.checker.tokens.items()}
        self.counted_before = self.slotd.call("Stats")["leases"]

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
