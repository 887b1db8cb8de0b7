"""Operations about holders: what leases are bound to, what they leave, who waits for them."""

import os
import subprocess
import time

from crash.asker import Asker, line_up, serve, waiting
from crash.scenarios import AcquirePlain, Scenario
from support import git, wait
from support.varlink import Error

SECOND = 1000000
GRACE_USEC = 1 * SECOND  # of the world's brief pool
MAX_AGE_USEC = 4 * SECOND  # of its pool of one slot


class Process:
    """A process to bind a lease to."""

    def __init__(self):
        self.process = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL)
        self.bind = "process:%d" % self.process.pid

    def end(self):
        self.process.kill()
        self.process.wait()


class OfHolder(Scenario):
    """What these have in common: self.lease of self.task."""

    pool = "p"

    def lease_something(self, **parameters):
        self.task = self.w.fresh("task")
        self.lease = self.w.acquire(self.pool, task=self.task, **parameters)

    def kinds(self):
        return [e["kind"] for e in self.w.events(self.lease)]

    def shown(self):
        return {entry["lease"]: entry for entry in self.w.call("Leases")["leases"]}.get(self.lease["lease"])

    def is_ended(self):
        """There is the lease, or what it left: never neither."""
        if self.shown():
            return False
        self.w.call("Handoff", what=self.lease["lease"])
        return True

    def expect_left(self, **wanted):
        """What the lease left is what the next one of its task is given, and nobody else."""
        left = self.w.call("Handoff", what=self.lease["lease"])["handoff"]
        given = self.w.acquire(self.pool, task=self.task)["handoff"]
        self.expect(given and given["lease"] == self.lease["lease"], "the next one of its task got %s" % given)
        for handoff in (left, given):
            found = {name: handoff[name] for name in wanted}
            self.expect(found == wanted, "it left %s, not %s" % (found, wanted))


# --- bindings

class LeaseOfDeadProcess(OfHolder):
    """It ends once, after the grace; its slot is ready, what it left is there."""

    pool = "brief"

    def prepare(self):
        self.process = Process()
        self.lease_something(bind=self.process.bind, branch=self.w.fresh("branch"))
        self.w.call("Renew", lease=self.lease["lease"], progress=40, message="half")

    def act(self):
        self.process.end()
        wait.until(self.is_ended, "the lease ends", 30, 0.05)

    def verify(self):
        events = self.w.events(self.lease)
        self.expect([e["kind"] for e in events] ==
                    ["lease_created", "lease_renewed", "holder_ended", "lease_recovered"],
                    "it went: %s" % [e["kind"] for e in events])
        self.expect(events[-1]["atUsec"] - events[-2]["atUsec"] >= GRACE_USEC, "it had no grace")
        self.expect(self.w.slotd.slot(self.lease["slot"])["state"] == "ready", "the slot is not ready")
        self.expect_left(reason="recovered", progress=40, message="half", branch=self.lease["branch"])


class LeaseOfLivingProcess(OfHolder):
    """Its time passes, and its process keeps it."""

    pool = "brief"

    def prepare(self):
        self.process = Process()
        self.lease_something(bind=self.process.bind + "+ttl")

    def act(self):
        wait.until(lambda: "lease_kept" in self.kinds(), "it was inquired about", 40, 0.05)

    def verify(self):
        self.expect(self.shown(), "its process lives, and it has ended")
        self.process.end()
        wait.until(self.is_ended, "the lease ends", 30, 0.05)
        self.w.rest()
        self.expect(self.w.slotd.slot(self.lease["slot"])["state"] == "ready", "the slot is not ready")


class KeyOfAnotherProcess(OfHolder):
    """The same key asks again for another process: that one keeps it from then on."""

    def prepare(self):
        self.first, self.second = Process(), Process()
        self.key = self.w.fresh("key")
        self.lease = self.ask(self.first)
        self.w.checker.granted(self.lease)

    def ask(self, process):
        return self.w.call("Acquire", pool="p", key=self.key, bind=process.bind, waitUsec=30 * SECOND)

    def act(self):
        self.first.end()
        self.again = self.ask(self.second)

    def verify(self):
        self.expect(self.again["lease"] == self.lease["lease"], "the same key gave another lease")
        self.expect(self.shown()["status"] == "active", "its process lives, and it is " + self.shown()["status"])
        self.second.end()
        wait.until(lambda: self.shown()["status"] == "grace", "its grace begins", 10, 0.05)


class LeaseOfConnection(OfHolder):
    """Who was told of it has it while that connection is there, and may come back with the key."""

    def prepare(self):
        self.key = self.w.fresh("key")

    def ask(self):
        return self.w.call_and_stay("Acquire", pool="p", key=self.key, bind="connection", waitUsec=30 * SECOND)

    def act(self):
        self.client, self.lease = self.ask()
        self.w.checker.granted(self.lease)

    def verify(self):
        before, (self.client, again) = self.client, self.ask()
        self.expect(again["lease"] == self.lease["lease"], "the same key gave another lease")
        before.close()
        self.expect(self.shown()["status"] == "active", "it is not the connection's that came last")
        self.client.close()
        wait.until(lambda: self.shown()["status"] == "grace", "its grace begins", 10, 0.05)


# --- what a lease leaves

class RecoveredOfSilence(OfHolder):
    """Nobody is heard any more: the lease is there, or what it left."""

    pool = "brief"

    def prepare(self):
        self.lease_something(branch=self.w.fresh("branch"))
        git.commit(self.lease["path"], "work", new="x")
        self.w.call("Renew", lease=self.lease["lease"], progress=70, message="tests run")

    def act(self):
        wait.until(self.is_ended, "the lease ends", 40, 0.05)

    def verify(self):
        self.expect(self.kinds().count("lease_recovered") == 1, "it went: %s" % self.kinds())
        self.expect_left(reason="recovered", progress=70, message="tests run", branch=self.lease["branch"])


class LateReport(OfHolder):
    """A report that was said to be kept is kept."""

    declared = None

    def prepare(self):
        self.lease_something()
        self.w.call("Renew", lease=self.lease["lease"], progress=40, message="half")
        self.w.call("Release", lease=self.lease["slot"], force=True)

    def report(self):
        self.w.call("Renew", lease=self.lease["lease"], progress=80, message="all but done")

    def act(self):
        try:
            self.report()
            self.answer = None
        except Error as e:
            self.answer = e

    def verify(self):
        self.expect(self.answer and self.answer.name == "LeaseGone", "answered with %s" % self.answer)
        self.expect("report is kept" in self.answer.message, "it was not kept: " + self.answer.message)
        self.w.forget_memory()
        self.expect_left(reason="forced", progress=80, message="all but done")


class LateEnd(LateReport):
    def report(self):
        self.w.call("Finish", lease=self.lease["lease"], state="failed", message="needs a key")

    def verify(self):
        self.expect("report is kept" in self.answer.message, "it was not kept: " + self.answer.message)
        self.w.forget_memory()
        left = self.w.call("Handoff", what=self.lease["lease"])["handoff"]
        self.expect("It declared its work failed." in left["instructions"], "the end is lost")
        self.expect_left(reason="forced", progress=40, message="needs a key")


class FinishBlocked(OfHolder):
    """Declared and answered at its commit, so that nobody asks again: what was said must hold."""

    def prepare(self):
        self.lease_something(branch=self.w.fresh("branch"))
        git.commit(self.lease["path"], "work", new="x")

    def act(self):
        self.w.call_or(("LeaseGone",), "Finish", lease=self.lease["lease"], state="blocked",
                       message="needs a key", wait=False)

    def verify(self):
        self.expect(not self.shown(), "a finished lease is back")
        self.expect(self.kinds() == ["lease_created", "lease_finished"], "it went: %s" % self.kinds())
        self.expect(self.w.slotd.slot(self.lease["slot"])["state"] == "ready", "the slot is not ready")
        self.expect_left(reason="blocked", message="needs a key")


class AcquireResume(AcquirePlain):
    """By the task: its branch, its commit and what was left."""

    def prepare(self):
        super().prepare()
        self.task = self.w.fresh("task")
        self.before = self.w.acquire(task=self.task, branch=self.w.fresh("branch"))
        self.tip = git.commit(self.before["path"], "work", new="x")
        self.w.call("Finish", lease=self.before["lease"], state="done", message="to be gone on with")
        self.request = {"resume": self.task}

    def verify(self):
        super().verify()
        wanted = {"branch": self.before["branch"], "task": self.task, "head": self.tip}
        found = {name: self.lease[name] for name in wanted}
        self.expect(found == wanted, "it got %s, not %s" % (found, wanted))
        left = self.lease["handoff"]
        self.expect(left and (left["lease"], left["message"]) == (self.before["lease"], "to be gone on with"),
                    "it was handed %s" % left)


# --- the line

class KeyedWait(Scenario):
    """Two who wait with keys have their places after a restart, whoever comes back first."""

    def prepare(self):
        self.held = self.w.acquire("one")
        self.askers = [Asker(self.w, "one"), Asker(self.w, "one")]
        self.agents = [a.agent for a in self.askers]

    def act(self):
        line_up(self.askers[:1])
        line_up(self.askers)
        self.w.slotd.stop()
        self.w.revive()
        line_up(self.askers[::-1])

    def give(self):
        """Free the slot; both are served, one after the other."""
        self.w.call_or(("LeaseGone",), "Release", lease=self.held["lease"])
        self.served = serve(self.askers)

    def expect_served(self):
        self.expect(self.served == self.agents, "served were %s, not %s" % (self.served, self.agents))
        granted = [e["detail"] for e in self.w.slotd.events(self.held["sequence"])
                   if e["kind"] == "lease_created"]
        for agent in self.agents:
            self.expect(granted.count(agent) == 1, "%s was granted %d leases" % (agent, granted.count(agent)))
        self.expect(self.w.call("Queue", pool="one")["queue"] == [], "somebody still waits")

    def verify(self):
        line_up(self.askers[::-1])
        found = waiting(self.w, "one")
        self.expect(found == self.agents, "the line is %s, not %s" % (found, self.agents))
        self.give()
        self.expect_served()


class KeyedGrant(KeyedWait):
    """The slot is freed, and given to the first and to the second, once each."""

    def prepare(self):
        super().prepare()
        line_up(self.askers[:1])
        line_up(self.askers)

    def act(self):
        self.give()

    def verify(self):
        self.expect_served()


class PingCleanup(KeyedWait):
    """A place that was cleared is gone, the other one stays."""

    def act(self):
        line_up(self.askers[:1])
        line_up(self.askers)
        self.askers[0].hang_up()
        self.w.call("PingCleanup", agent=self.agents[0])

    def verify(self):
        self.w.forget_memory()
        line_up(self.askers[1:])
        queue = [w["agent"] for w in self.w.call("Queue", pool="one")["queue"]]
        self.expect(queue == self.agents[1:], "there wait %s" % queue)
        del self.askers[0], self.agents[0]
        self.give()
        self.expect_served()


# --- everything back

class PingReset(OfHolder):
    """Every lease is over, its slot is clean, and what was not saved is; what they left is there."""

    def prepare(self):
        self.unsaved = self.w.acquire(bind="manual")
        git.write(self.unsaved["path"], "precious", "mine\n")
        self.lease_something(branch=self.w.fresh("branch"))
        self.tip = git.commit(self.lease["path"], "work", new="x")

    def act(self):
        self.reset = {s["slot"]: s["state"] for s in self.w.call("PingReset")["slots"]}
        self.w.rest()
        self.w.take_witness()

    def verify(self):
        held = [entry["lease"] for entry in self.w.slotd.leases().values()]
        self.expect(held == [self.w.witness["lease"]], "still held: %s" % held)
        slots = self.w.slotd.slots()
        for lease in (self.lease, self.unsaved):
            found = (self.reset.get(lease["slot"]), slots[lease["slot"]]["state"])
            self.expect(found == ("ready", "ready") or lease["slot"] == self.w.witness["slot"],
                        "%s was told to be %s, and is %s" % (lease["slot"], *found))
        saved, = self.w.call("SalvageList", lease=self.unsaved["lease"])["salvage"]
        self.expect(git.text(self.w.repository, "show", saved["commit"] + ":precious") == "mine", "work is lost")
        self.expect(git.head(self.w.repository, self.lease["branch"]) == self.tip, "the branch moved")
        self.expect_left(reason="forced", branch=self.lease["branch"])


# --- what is decided about a silent one

class MergeExtension(OfHolder):
    """In the middle of a merge it gets more time, and that once."""

    pool = "brief"

    def prepare(self):
        self.lease_something(branch=self.w.fresh("branch"))
        path = self.lease["path"]
        git.commit(path, "mine", README="mine\n")
        git.run(path, "checkout", "-q", "-b", self.w.fresh("theirs"), "HEAD~1")
        git.commit(path, "theirs", README="theirs\n")
        git.run(path, "merge", "-q", self.lease["branch"], check=False)
        self.expect("UU README" in git.text(path, "status", "--porcelain"), "there is no conflict")

    def act(self):
        wait.until(lambda: self.shown()["mergeExtensions"], "it gets more time", 60, 0.05)

    def verify(self):
        shown, kinds = self.shown(), self.kinds()
        told = kinds.count("merge_conflict_extension")
        self.expect((told, shown["mergeExtensions"]) == (1, 1),
                    "told of %d extensions, counted %d" % (told, shown["mergeExtensions"]))
        self.expect(shown["expiresAtUsec"] / SECOND - time.time() > 200, "it has no more time")
        self.expect(os.path.exists(os.path.join(self.lease["gitDir"], "MERGE_HEAD")), "the merge is gone")


class Suspect(OfHolder):
    """Silent for longer than it usually is: told once, and it stays."""

    pool = "one"

    def prepare(self):
        self.lease_something()
        for _ in range(3):
            self.w.call("Renew", lease=self.lease["lease"])

    def act(self):
        wait.until(lambda: self.shown()["status"] == "suspect", "it is suspect", 60, 0.05)

    def verify(self):
        self.expect(self.kinds().count("lease_suspect") == 1, "it went: %s" % self.kinds())
        self.w.call("Renew", lease=self.lease["lease"])
        self.expect(self.shown()["status"] == "renewed", "it is " + self.shown()["status"])


class MaxAge(OfHolder):
    """It is told of at that age, not more often than it is due."""

    pool = "one"

    def prepare(self):
        self.lease_something(bind="manual")

    def act(self):
        wait.until(lambda: "lease_max_age" in self.kinds(), "it is told of", 60, 0.05)

    def verify(self):
        events = self.w.events(self.lease)
        ages = [e["atUsec"] - events[0]["atUsec"] for e in events if e["kind"] == "lease_max_age"]
        due = [age // MAX_AGE_USEC for age in ages]
        self.expect(due == sorted(set(due)) and due[0] >= 1, "it was told of at the ages %s" % ages)
        self.expect(self.shown(), "it was taken away")


SCENARIOS = {cls.__name__: cls for cls in (
    LeaseOfDeadProcess, LeaseOfLivingProcess, KeyOfAnotherProcess, LeaseOfConnection, RecoveredOfSilence,
    LateReport, LateEnd, FinishBlocked, AcquireResume, KeyedWait, KeyedGrant, PingCleanup, PingReset,
    MergeExtension, Suspect, MaxAge)}
