"""Neither a wall clock that is set, nor a sleep, a downtime or a reboot loses a lease or makes one immortal."""

import re
import subprocess
import time
import unittest

from support import clocks, git, slotctl
from support.case import Case

YEARS = 10 * 365 * 86400
HOUR = 3600
AGE = re.compile(r"\b(\d+) (d|h|min|s)\b")


class Clocks(Case):
    def process(self):
        process = subprocess.Popen(["sleep", "600"])
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        process.kill()
        process.wait()

    def bound(self, slotd, process, bind="process:%d"):
        return slotd.acquire("p", bind=bind % process.pid)["lease"]

    def kinds(self, slotd, lease):
        return [e["kind"] for e in slotd.events() if e["lease"] == lease]

    def detail(self, slotd, lease, kind):
        """Of the first event of that kind, once there is one."""
        def find():
            return next((e["detail"] for e in slotd.events() if e["lease"] == lease and e["kind"] == kind), None)
        return self.until(find, kind, 40)

    def seconds_until_gone(self, slotd, since):
        """{lease: how many seconds after its time in since it was there last}, once all have gone."""
        seen = {}

        def all_gone():
            now, there = time.monotonic(), slotd.leases()
            seen.update({lease: now for lease in since if lease in there})
            return not any(lease in there for lease in since)
        self.until(all_gone, "they have ended", 40)
        return {lease: seen.get(lease, began) - began for lease, began in since.items()}

    def assert_young(self, text, what):
        """No age in it is above two hours."""
        seconds = {"d": 86400, "h": 3600, "min": 60, "s": 1}
        for number, unit in AGE.findall(text):
            self.assertLessEqual(int(number) * seconds[unit], 7200, "%s says:\n%s" % (what, text))


class WallClockIsSet(Clocks):
    grace = 4

    def pool(self, **keys):
        self.clock = clocks.WallClock()
        return self.one_pool(ready=4, maximum=8, env=self.clock.env(), lease={
            "ttl": "2s", "grace": "%ds" % self.grace, "min_ttl": "1s", "warn_before": "500ms",
            "monitor_every": "1s", **keys})

    def ctl(self, slotd, *args):
        """slotctl in the same time."""
        return self.assert_exit(0, slotctl.run(*args, socket=slotd.socket, env=self.clock.env()))

    def set_clock(self, slotd, seconds, lease):
        """Renews the lease, and sees by that that slotd goes by the new time."""
        self.clock.set(seconds)
        slotd.call("Renew", lease=lease)
        listed = {entry["lease"]: entry for entry in self.ctl(slotd, "--json", "leases").json()["leases"]}
        self.assertAlmostEqual(listed[lease]["renewedAtUsec"] / 1e6, time.time() + seconds, delta=60)

    def agent(self, slotd):
        """One that renews by itself; its process and its lease."""
        agent = slotctl.start("run", "p", "--agent", "busy", "--bind", "ttl", "--", "sleep", "600",
                              socket=slotd.socket, env=self.clock.env())
        self.addCleanup(lambda: (agent.stdout.close(), agent.stderr.close()))
        self.addCleanup(self.end, agent)
        return agent, self.until(lambda: next((lease for lease, entry in slotd.leases().items()
                                               if entry["agent"] == "busy"), None), "it has a lease")

    def play(self, seconds):
        slotd = self.pool(abandon_after="8s")
        living, early, late = (self.process() for _ in range(3))
        agent, renewed = self.agent(slotd)
        manual = slotd.acquire("p", bind="manual")["lease"]
        kept = self.bound(slotd, living)
        first, second = self.bound(slotd, early), self.bound(slotd, late)
        ends = slotd.leases()[renewed]["expiresAtUsec"]
        self.until(lambda: slotd.leases()[renewed]["expiresAtUsec"] > ends, "the agent gives signs of life")
        since = {}
        silent = slotd.acquire("p")["lease"]
        since[silent] = time.monotonic()
        self.end(early)
        since[first] = time.monotonic()
        self.until(lambda: slotd.leases()[first]["status"] == "grace", "its grace begins", 2)
        self.set_clock(slotd, seconds, manual)
        self.end(late)
        since[second] = time.monotonic()
        ends = slotd.leases()[renewed]["expiresAtUsec"]
        gone = self.seconds_until_gone(slotd, since)
        for lease in (first, second):
            self.assertGreater(gone[lease], self.grace - 0.2)
            self.assertEqual(self.kinds(slotd, lease), ["lease_created", "holder_ended", "lease_recovered"])
        self.assertGreater(gone[silent], 7.8)
        self.assertRegex(self.detail(slotd, silent, "lease_recovered"), "no sign for ([89]|1[0-9]) s, nobody")
        there = slotd.leases()
        self.assertLessEqual({renewed, manual, kept}, set(there))
        self.assertGreater(there[renewed]["expiresAtUsec"], ends + 3000000)
        self.assertLessEqual(set(self.kinds(slotd, renewed)), {"lease_created"})
        self.assertEqual(there[kept]["status"], "active")
        self.assertIsNone(agent.poll())

    def test_forward_robs_nobody_and_makes_nobody_immortal(self):
        self.play(YEARS)

    def test_back_robs_nobody_and_makes_nobody_immortal(self):
        self.play(-YEARS)

    def write_until_set(self, seconds):
        slotd = self.pool(abandon_after="8s")
        manual = slotd.acquire("p", bind="manual")["lease"]
        lease = slotd.acquire("p")
        began = time.monotonic()
        self.detail(slotd, lease["lease"], "lease_kept")
        # the next inquiry is made when it has been silent for 8 s, as far as the last one could see
        while time.monotonic() - began < 13:
            git.write(lease["path"], "notes", "%f\n" % time.monotonic())
            time.sleep(0.2)  # between two writes
        self.set_clock(slotd, seconds, manual)
        wrote = time.monotonic()
        self.assertGreater(self.seconds_until_gone(slotd, {lease["lease"]: wrote})[lease["lease"]], 7)

    def test_forward_who_was_writing_is_not_robbed(self):
        self.write_until_set(YEARS)

    def test_back_who_was_writing_is_not_robbed(self):
        self.write_until_set(-YEARS)

    def ask_by_key(self, seconds):
        slotd = self.pool(ttl="10m")
        living = slotd.acquire("p", key="living")["lease"]
        slotd.release(slotd.acquire("p", key="ended")["lease"])
        self.set_clock(slotd, seconds, living)
        for _ in range(2):
            self.assertEqual(slotd.acquire("p", key="living")["lease"], living)
            self.assert_error("KeyReused", slotd.acquire, "p", key="living", agent="anna")
            # as long as it takes until keys are looked through
            self.holds(lambda: self.assert_error("LeaseGone", slotd.acquire, "p", key="ended"), "it has ended", 2)
            slotd.restart()

    def test_forward_a_key_still_answers(self):
        self.ask_by_key(YEARS)

    def test_back_a_key_still_answers(self):
        self.ask_by_key(-YEARS)

    def look(self, seconds):
        slotd = self.pool(ttl="10m")
        lease = slotd.acquire("p", agent="anna")
        other = slotd.acquire("p", bind="manual")
        self.set_clock(slotd, seconds, other["lease"])
        told = self.ctl(slotd, "explain", lease["slot"]).out
        self.assert_young(told.partition("anna holds")[2].splitlines()[0], "explain")
        self.assertRegex(told, "Its time ends in (10|9) min")
        table = self.ctl(slotd, "leases").out
        self.assertRegex(table, r"in (10|9) min")
        self.assert_young(table, "leases")
        listed = {entry["lease"]: entry for entry in self.ctl(slotd, "--json", "leases").json()["leases"]}
        end = time.time() + seconds + 600
        self.assertAlmostEqual(listed[lease["lease"]]["expiresAtUsec"] / 1e6, end, delta=60)
        touched = slotd.call("Touch", lease=lease["lease"])
        self.assertAlmostEqual(touched["expiresAtUsec"] / 1e6, end, delta=60)
        history = self.ctl(slotd, "events").out
        self.assertIn(time.strftime("%Y-", time.gmtime(time.time() + seconds)), history)
        sequences = [e["sequence"] for e in slotd.events()]
        self.assertEqual(sequences, sorted(sequences))
        return slotd

    def test_forward_ages_are_what_they_are(self):
        self.look(YEARS)

    def test_back_ages_are_what_they_are(self):
        slotd = self.look(-YEARS)
        for command in ("slots", "status", "queue"):
            self.assert_young(self.ctl(slotd, command).out, command)


@unittest.skipUnless(clocks.may_enter(), "needs root, for namespaces")
class SlotdWasDown(Clocks):
    grace = 6

    def pools(self):
        lease = {"mode": "fixed", "ttl": "10m", "grace": "%ds" % self.grace, "min_ttl": "1s",
                 "monitor_every": "1s"}
        made = {name: {"path": git.make(self.path(name)), "slots": {"ready": 1, "max": 8},
                       "lease": {**lease, "abandon_after": after}} for name, after in (("p", "2h"), ("q", "30m"))}
        self.clock = clocks.WallClock()
        slotd = self.slotd(made, env=self.clock.env())
        slotd.wait_ready("p")
        slotd.wait_ready("q")
        return slotd

    def down_for_an_hour(self, awake, **times):
        """While the machine slept nobody could give a sign: that is no silence."""
        slotd = self.pools()
        living, dead = self.process(), self.process()
        kept, both = self.bound(slotd, living), self.bound(slotd, living, "process:%d+ttl")
        ended = self.bound(slotd, dead)
        silent, busy = slotd.acquire("p", key="k")["lease"], slotd.acquire("p")["lease"]
        abandoned = slotd.acquire("q")["lease"]
        slotd.kill()
        self.end(dead)
        self.clock.set(HOUR)
        began = time.monotonic()
        slotd.start(preexec=clocks.Machine(self.dir, pids=[living.pid], **times).enter)
        status = {lease: entry["status"] for lease, entry in slotd.leases().items()}
        self.assertEqual(status, {kept: "active", both: "grace", ended: "grace", silent: "grace", busy: "grace",
                                  abandoned: "grace"})
        slotd.call("Renew", lease=busy)
        over = {ended: began, **({abandoned: began} if awake else {})}
        gone = self.seconds_until_gone(slotd, over)
        self.assertGreater(min(gone.values()), self.grace - 0.2)
        self.assertEqual(self.detail(slotd, ended, "lease_recovered"), "its holder is gone")
        if awake:
            self.assertRegex(self.detail(slotd, abandoned, "lease_recovered"), "no sign for 6[01] min, nobody")
            self.assertRegex(self.detail(slotd, silent, "lease_suspect"), "^no sign for 6[01] min$")
        else:
            self.assertRegex(self.detail(slotd, abandoned, "lease_kept"), r"no sign for \d+ s, which is not long")
            slotd.release(abandoned)
        self.assertRegex(self.detail(slotd, both, "lease_kept"), "but its process lives")
        self.holds(lambda: {kept, both, silent, busy} == set(slotd.leases()), "they are kept", 2)
        self.assertEqual(slotd.leases()[busy]["status"], "renewed")
        self.assertEqual(slotd.acquire("p", key="k")["lease"], silent)
        slotd.call("Renew", lease=silent)
        self.assertEqual(slotd.leases()[silent]["status"], "renewed")
        self.end(living)
        self.until(lambda: {silent, busy} == set(slotd.leases()), "its process has ended")

    def test_for_an_hour(self):
        self.down_for_an_hour(awake=True, passed=HOUR)

    def test_while_the_machine_slept_for_an_hour(self):
        self.down_for_an_hour(awake=False, asleep=HOUR)

    def test_a_merge_gets_its_extensions_and_no_more(self):
        slotd = self.pools()
        lease = slotd.acquire("q", branch="mine")
        path = lease["path"]
        git.commit(path, "mine", README="mine\n")
        git.run(path, "checkout", "-q", "-b", "theirs", "HEAD~1")
        git.commit(path, "theirs", README="theirs\n")
        git.run(path, "merge", "-q", "mine", check=False)
        for minutes, kind, extensions in ((12, "merge_conflict_extension", 1), (19, "merge_conflict_extension", 2),
                                          (26, "lease_suspect", 2), (31, "lease_recovered", 2)):
            slotd.kill()
            self.clock.set(60 * minutes)
            slotd.start(preexec=clocks.Machine(self.dir, passed=60 * minutes).enter)
            kinds = lambda: [e["kind"] for e in slotd.events() if e["lease"] == lease["lease"]]
            self.until(lambda k=kind, n=extensions: k in kinds() and kinds().count("merge_conflict_extension") == n,
                       "%s after %d min" % (kind, minutes), 60)
            if kind != "lease_recovered":
                self.assertEqual(slotd.leases()[lease["lease"]]["mergeExtensions"], extensions)
        salvage = self.assert_saved(slotd, lease)
        self.assertIn(b"<<<<<<<", salvage.read("README"))
        self.assertEqual([salvage.show("^3", "stages/%d/README" % n) for n in (1, 2, 3)],
                         [b"hello again\n", b"theirs\n", b"mine\n"])
        self.assertEqual(salvage.state("MERGE_HEAD").decode().strip(), git.head(salvage.store, "mine"))

    def test_while_the_machine_was_started_again(self):
        slotd = self.pools()
        living = self.process()
        process, both = self.bound(slotd, living), self.bound(slotd, living, "process:%d+ttl")
        client = slotd.client()
        self.addCleanup(client.close)
        connection = client.call("Acquire", pool="p", bind="connection")["lease"]
        silent, busy = slotd.acquire("p")["lease"], slotd.acquire("p", key="k")["lease"]
        late, manual = slotd.acquire("p")["lease"], slotd.acquire("p", bind="manual")["lease"]
        slotd.kill()
        began = time.monotonic()
        slotd.start(preexec=clocks.Machine(self.dir, booted=60).enter)
        status = {lease: entry["status"] for lease, entry in slotd.leases().items()}
        in_grace = dict.fromkeys((process, both, connection, silent, busy, late), "grace")
        self.assertEqual(status, {manual: "active", **in_grace})
        slotd.call("Renew", lease=busy)
        time.sleep(max(0, began + self.grace / 2 - time.monotonic()))  # still within the grace
        slotd.call("Renew", lease=late)
        gone = self.seconds_until_gone(slotd, dict.fromkeys((process, both, connection, silent), began))
        self.assertGreater(min(gone.values()), self.grace - 0.2)
        for lease in (process, both, connection):
            self.assertEqual(self.detail(slotd, lease, "lease_recovered"), "its holder is gone")
        self.assertEqual(self.detail(slotd, silent, "lease_recovered"),
                         "the machine was started again since its holder was heard")
        self.holds(lambda: {busy, late, manual} == set(slotd.leases()), "they are kept", 2)
        self.assertEqual(slotd.leases()[busy]["status"], "renewed")
        self.assertEqual(slotd.acquire("p", key="k")["lease"], busy)
