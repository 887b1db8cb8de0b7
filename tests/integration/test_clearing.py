"""ping cleanup, ping reset, stats, and the command that is told about recovered leases."""

import json
import os
import time

from support import git, slotctl
from support.case import Case
from support.idl import Interface

SECOND = 1000000
QUICK = {"ttl": "1s", "grace": "1s", "min_ttl": "1s", "warn_before": "500ms", "monitor_every": "1s",
         "abandon_after": "1s"}

# writes down what it was told, one JSON a line
TOLD = """import json, os, sys
with open(sys.argv[1], "a") as f:
    f.write(json.dumps({k: v for k, v in os.environ.items() if k.startswith("SLOT_")}) + "\\n")
sys.exit(int(sys.argv[2]))
"""


class Clearing(Case):
    def waits(self, slotd, count):
        self.until(lambda: len(slotd.call("Queue")["queue"]) == count, "%d wait" % count, 20)

    def busy_pool(self):
        slotd = self.one_pool(ready=1, maximum=1)
        self.held = slotd.acquire("p")
        return slotd

    # --- cleanup

    def test_cleanup_by_the_agent_s_name(self):
        slotd = self.busy_pool()
        waiting = [slotctl.start("acquire", "p", "--agent", agent, "--wait", "60s", socket=slotd.socket)
                   for agent in ("anna", "bert")]
        for process in waiting:
            self.addCleanup(process.kill)
        self.waits(slotd, 2)
        out = self.ok(slotd, "--json", "ping", "cleanup", "--agent", "anna").json()
        self.assertEqual(Interface().mismatch_reply("PingCleanup", out), [])
        self.assertEqual([(c["what"], c["pool"], c["agent"]) for c in out["cleared"]], [("acquire", "p", "anna")])
        _, err = waiting[0].communicate(timeout=30)
        self.assertEqual(waiting[0].returncode, 1)
        self.assertIn(b"it was cleared", err)
        self.waits(slotd, 1)

    def test_cleanup_of_what_an_ancestor_asked_for(self):
        slotd = self.busy_pool()
        with slotd.client() as mine:  # this process, of which slotctl is a child
            mine.send("Acquire", {"pool": "p", "waitUsec": 60 * SECOND})
            self.waits(slotd, 1)
            apart = slotctl.start("acquire", "p", "--wait", "60s", socket=slotd.socket, start_new_session=True)
            self.addCleanup(apart.kill)
            self.waits(slotd, 2)
            out = self.ok(slotd, "ping", "cleanup").out
            self.assertEqual(out.count("an acquire that waited for pool p"), 2)
            self.assert_error("Conflict", mine.result)
        self.assertIn("nothing to clear", self.ok(slotd, "ping", "cleanup").out)
        self.assertIn(self.held["lease"], slotd.leases())

    def test_cleanup_for_everyone_clears_places_of_who_is_gone_and_delays(self):
        slotd = self.busy_pool()
        gone, there = slotd.client(), slotd.client()
        gone.send("Acquire", {"pool": "p", "key": "k-1", "agent": "gone", "waitUsec": 60 * SECOND})
        there.send("Acquire", {"pool": "p", "agent": "there", "waitUsec": 60 * SECOND})
        self.waits(slotd, 2)
        gone.close()
        self.until(lambda: any("asker is gone" in w["reason"] for w in slotd.call("Queue")["queue"]), "it is away", 20)
        out = self.ok(slotd, "--json", "ping", "cleanup", "--all").json()
        self.assertEqual([c["agent"] for c in out["cleared"]], ["gone"])
        self.assertEqual([w["agent"] for w in slotd.call("Queue")["queue"]], ["there"])
        slotd.release(self.held["lease"])
        self.assertEqual(there.result()["agent"], "there")
        there.close()

    def test_nothing_to_clear_is_answered_at_once_and_holds_up_nobody(self):
        slotd = self.one_pool(ready=1, maximum=1)
        slotd.wait_quiet()
        began = time.monotonic()
        for _ in range(2):
            self.assertEqual(slotd.call("PingCleanup")["cleared"], [])
            slotd.call("Status")
        self.assertLess(time.monotonic() - began, 5)

    # --- reset

    def test_reset_takes_every_slot_back_and_loses_nothing(self):
        slotd = self.one_pool(ready=3, maximum=3)
        plain, dirty = slotd.acquire("p", agent="anna", task="T-1"), slotd.acquire("p", bind="manual")
        git.write(dirty["path"], "unsaved", "u\n")
        reply = self.ok(slotd, "--json", "ping", "reset", "--yes").json()
        self.assertEqual(Interface().mismatch_reply("PingReset", reply), [])
        states = {s["slot"]: s["state"] for s in reply["slots"]}
        self.assertEqual(states, {"p-%d" % n: "ready" for n in (1, 2, 3)})
        self.assertEqual(slotd.leases(), {})
        self.assert_saved(slotd, dirty, {"unsaved": b"u\n"})
        self.assert_error("LeaseGone", slotd.call, "Renew", lease=plain["lease"])
        self.assertEqual(slotd.acquire("p", task="T-1")["handoff"]["reason"], "forced")
        self.assert_invariants(slotd)

    def test_reset_gives_what_was_isolated_another_look(self):
        slotd = self.one_pool(ready=1, maximum=1)
        lease = slotd.acquire("p")
        git.spoil(lease["path"])
        slotd.release(lease["lease"])
        self.assertEqual(slotd.slot(lease["slot"])["state"], "isolated")
        self.assertIn("isolated", self.ok(slotd, "ping", "reset", "--yes").out)
        git.run(lease["path"], "rm", "-q", "--cached", "-f", "lost")
        self.assertIn("p-1 is ready", self.ok(slotd, "ping", "reset", "--yes").out)
        self.assert_saved(slotd, lease, {"lost": b"changed since\n"})

    def test_reset_without_a_terminal_wants_yes(self):
        slotd = self.busy_pool()
        result = self.assert_exit(2, self.slotctl(slotd, "ping", "reset", data=b"yes\n"))
        self.assertIn("--yes", result.err)
        self.assertIn(self.held["lease"], slotd.leases())

    # --- statistics

    def test_stats_count_what_happened_and_survive_a_restart(self):
        slotd = self.one_pool(ready=2, maximum=3, lease=QUICK)
        first = slotd.acquire("p", task="T-1", agent="a")["lease"]
        for _ in range(3):
            slotd.call("Renew", lease=first)
        self.until(lambda: first not in slotd.leases(), "it is over", 30)
        self.assert_error("LeaseGone", slotd.call, "Renew", lease=first, progress=5)
        slotd.acquire("p", task="T-1", bind="manual")
        self.assert_exit(0, slotctl.run("stats", socket=slotd.socket))
        for _ in range(2):
            shown = self.ok(slotd, "--json", "stats").json()
            self.assertEqual(Interface().mismatch_reply("Stats", shown), [])
            self.assertEqual({k: shown["leases"][k] for k in ("total", "active", "stuck", "renewals", "recoveries",
                                                              "lateReports", "handoffs", "extensions")},
                             {"total": 1, "active": 1, "stuck": 0, "renewals": 3, "recoveries": 1, "lateReports": 1,
                              "handoffs": 1, "extensions": 0})
            slotd.kill()
            slotd.start()

    def test_stats_know_recoveries_that_were_stopped_or_skipped(self):
        slotd = self.one_pool(ready=1, maximum=2, lease={**QUICK, "abandon_after": "1h"})
        lease = slotd.acquire("p")["lease"]
        self.until(lambda: slotd.leases()[lease]["status"] == "expired", "its grace is over", 20)
        self.until(lambda: slotd.call("Stats")["leases"]["recoveriesStopped"] == 1, "an inquiry kept it", 20)
        slotd.call("Finish", lease=lease, state="done")
        self.assertEqual(slotd.call("Stats")["leases"]["recoveriesSkippedTerminal"], 1)
        self.assertEqual(slotd.call("Leases")["stats"]["recoveriesSkippedTerminal"], 1)
        slotd.wait_log("about to be recovered was finished by its holder")
        lease = slotd.acquire("p", bind="manual")["lease"]
        slotd.call("Finish", lease=lease, state="done")
        self.assertEqual(slotd.call("Stats")["leases"]["recoveriesSkippedTerminal"], 1)

    # --- lease.recovered.run

    def told(self, path):
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as f:
            return [json.loads(line) for line in f if line.endswith("\n")]

    def telling_pool(self, status=0, argv=None):
        script, self.log = self.path("told.py"), self.path("told.log")
        git.write(self.dir, "told.py", TOLD)
        run = argv or ["python3", script, self.log, str(status)]
        return self.one_pool(ready=1, maximum=2, lease={**QUICK, "recovered": {"run": run}})

    def test_the_command_is_told_about_each_recovered_lease(self):
        slotd = self.telling_pool()
        lease = slotd.acquire("p", agent="anna", task="T 1", branch="b")
        slotd.call("Renew", lease=lease["lease"], progress=30, message="half\nway")
        (told,) = self.until(lambda: self.told(self.log), "it is told", 30)
        held = int(told.pop("SLOT_HELD"))
        self.assertTrue(1 < held < 30, held)
        self.assertRegex(told.pop("SLOT_REASON"), "no sign for")
        self.assertEqual(told, {"SLOT_LEASE": lease["lease"], "SLOT_TASK": "T 1", "SLOT_AGENT": "anna",
                                "SLOT_PROGRESS": "30", "SLOT_POOL": "p", "SLOT_ID": lease["slot"],
                                "SLOT_BRANCH": "b", "SLOT_TOKEN": str(lease["token"]),
                                "SLOT_MESSAGE": "half\nway"})
        slotd.release(slotd.acquire("p")["lease"])
        self.holds(lambda: len(self.told(self.log)) == 1, "only of those without their holder", 2)

    def recovers_all_the_same(self, logged, **keys):
        slotd = self.telling_pool(**keys)
        lease = slotd.acquire("p")
        self.until(lambda: lease["lease"] not in slotd.leases(), "it is recovered", 30)
        slotd.wait_log(logged)
        slotd.wait_state(lease["slot"], "ready")

    def test_its_failure_fails_no_recovery(self):
        self.recovers_all_the_same("exited with 3", status=3)

    def test_one_that_is_not_there_fails_no_recovery(self):
        self.recovers_all_the_same("cannot run /nowhere/at/all", argv=["/nowhere/at/all"])
