"""What becomes of a lease that was not renewed: nothing, as long as its holder shows life."""

import os
import shutil
import signal
import subprocess
import time

from support import git, slotctl
from support.case import Case
from support.daemon import children, program
from support.idl import Interface

QUICK = {"ttl": "1s", "grace": "1s", "min_ttl": "1s", "warn_before": "500ms", "monitor_every": "1s"}


class Inquiry(Case):
    def pool(self, **keys):
        return self.one_pool(ready=1, maximum=2, lease={**QUICK, **keys})

    def kinds(self, slotd, lease):
        return [e["kind"] for e in slotd.events() if e["lease"] == lease]

    def decided(self, slotd, lease, kind):
        """The detail of the first event of that kind."""
        def find():
            return next((e["detail"] for e in slotd.events() if e["lease"] == lease and e["kind"] == kind), None)
        return self.until(find, kind, 40)

    def in_slot(self, path, *argv):
        process = subprocess.Popen(argv or ("sleep", "600"), cwd=path)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_a_holder_with_a_process_in_its_slot_is_not_robbed(self):
        slotd = self.pool(abandon_after="1s")
        lease = slotd.acquire("p")
        process = self.in_slot(lease["path"])
        self.assertRegex(self.decided(slotd, lease["lease"], "lease_kept"), "1 process is in the slot")
        self.holds(lambda: lease["lease"] in slotd.leases(), "it is kept", 5)
        slotd.restart()
        self.holds(lambda: lease["lease"] in slotd.leases(), "it is kept across a restart", 4)
        process.kill()
        process.wait()
        self.until(lambda: lease["lease"] not in slotd.leases(), "it ends when nobody is there", 30)
        self.assertIn("lease_recovered", self.kinds(slotd, lease["lease"]))

    def test_an_open_file_is_a_sign_as_well(self):
        slotd = self.pool(abandon_after="1s")
        lease = slotd.acquire("p")
        with open(os.path.join(lease["path"], "README"), encoding="utf-8") as f:
            self.decided(slotd, lease["lease"], "lease_kept")
            self.assertIn(lease["lease"], slotd.leases())
            f.read()
        self.until(lambda: lease["lease"] not in slotd.leases(), "it ends when nobody is there", 30)

    def test_who_writes_now_and_then_is_not_robbed(self):
        slotd = self.pool(abandon_after="4s")
        lease = slotd.acquire("p")
        for n in range(6):
            time.sleep(2)  # less than abandon_after between two writes
            git.write(lease["path"], "notes", "%d\n" % n)
        self.assertIn(lease["lease"], slotd.leases())
        self.assertNotIn("lease_recovered", self.kinds(slotd, lease["lease"]))

    def test_silence_makes_suspect_and_a_renewal_clears_it(self):
        slotd = self.pool(abandon_after="1h", silence_multiplier=1)
        lease = slotd.acquire("p")["lease"]
        for _ in range(3):
            slotd.call("Renew", lease=lease)
        self.until(lambda: slotd.leases()[lease]["status"] == "suspect", "it is suspect", 20)
        self.assertEqual(slotd.call("Leases")["stats"]["byStatus"], {"suspect": 1})
        slotd.restart()
        self.assertEqual(slotd.leases()[lease]["status"], "suspect")
        self.assertEqual(slotd.call("Renew", lease=lease)["renewals"], 4)
        self.assertEqual(slotd.leases()[lease]["status"], "renewed")
        self.assertEqual(self.kinds(slotd, lease).count("lease_suspect"), 1)

    def test_silence_alone_ends_nothing_before_abandon_after(self):
        slotd = self.pool(abandon_after="8s")
        began = time.monotonic()
        lease = slotd.acquire("p")["lease"]
        self.until(lambda: lease not in slotd.leases(), "it ends", 30)
        self.assertGreater(time.monotonic() - began, 7.9)
        self.assertRegex(self.decided(slotd, lease, "lease_recovered"), "no sign for [89] s, nobody in the slot")

    def test_in_the_middle_of_a_merge_it_gets_more_time(self):
        slotd = self.pool(abandon_after="1s", ttl="5s")
        lease = slotd.acquire("p", branch="mine")
        path = lease["path"]
        git.commit(path, "mine", README="mine\n")
        git.run(path, "checkout", "-q", "-b", "theirs", "HEAD~1")
        git.commit(path, "theirs", README="theirs\n")
        git.run(path, "merge", "-q", "mine", check=False)
        self.assertIn("UU README", git.text(path, "status", "--porcelain"))
        told = self.decided(slotd, lease["lease"], "merge_conflict_extension")
        self.assertRegex(told, "in the middle of: merge; extension 1 of 2")
        for _ in range(2):
            shown = slotd.leases()[lease["lease"]]
            self.assertEqual(shown["mergeExtensions"], 1)
            self.assertGreater(shown["expiresAtUsec"] / 1e6 - time.time(), 280)
            slotd.restart()

    def test_a_slot_that_was_deleted_is_held_by_nobody(self):
        slotd = self.pool(abandon_after="1s")
        lease = slotd.acquire("p")
        shutil.rmtree(lease["path"])
        self.until(lambda: lease["lease"] not in slotd.leases(), "the lease ends", 30)

    def test_max_age_tells_of_a_lease_and_takes_nothing_away(self):
        slotd = self.pool(abandon_after="1h", max_age="2s")
        lease = slotd.acquire("p", bind="manual")
        self.in_slot(lease["path"])
        told = self.decided(slotd, lease["lease"], "lease_max_age")
        self.assertRegex(told, r"held for \d+ s, renewed 0 times; last sign of life 0 s ago; what it is bound to: "
                               r"not known; processes in the slot: yes; in the middle of: nothing")
        self.until(lambda: self.kinds(slotd, lease["lease"]).count("lease_max_age") > 1, "and again when older", 20)
        slotd.restart()
        n = self.kinds(slotd, lease["lease"]).count("lease_max_age")
        self.until(lambda: self.kinds(slotd, lease["lease"]).count("lease_max_age") > n, "also after a restart", 20)
        self.assertEqual(slotd.leases()[lease["lease"]]["status"], "active")

    def test_max_age_of_one_that_is_bound_to_nothing_and_silent_makes_it_suspect(self):
        slotd = self.pool(abandon_after="2s", max_age="3s")
        lease = slotd.acquire("p", bind="manual")["lease"]
        self.until(lambda: slotd.leases()[lease]["status"] == "suspect", "it is suspect", 20)
        self.holds(lambda: lease in slotd.leases(), "it is kept all the same", 5)
        slotd.call("Touch", lease=lease)
        self.assertEqual(slotd.leases()[lease]["status"], "active")

    def test_a_shorter_max_age_holds_after_a_reload(self):
        slotd = self.pool(max_age="1h")
        lease = slotd.acquire("p", bind="manual")["lease"]
        slotd.pools["p"]["lease"]["max_age"] = "1s"
        slotd.write_config()
        self.decided(slotd, lease, "lease_max_age")

    def test_many_are_asked_about_in_turn(self):
        slotd = self.one_pool(ready=24, maximum=24, lease={**QUICK, "abandon_after": "1s"})
        for _ in range(24):
            slotd.acquire("p")
        most = 0
        def over():
            nonlocal most
            most = max(most, sum(program(pid) == "slotd" for pid in children(slotd.process.pid)))
            return slotd.leases() == {}
        self.until(over, "all are over", 60)
        self.assertLessEqual(most, 17, "sixteen at once, and a copy of the ledger")

    def test_explain_says_evidence_and_decisions(self):
        slotd = self.pool(abandon_after="1s")
        lease = slotd.acquire("p", agent="anna", task="t-1")
        slotd.call("Renew", lease=lease["lease"], progress=40, message="half way")
        process = self.in_slot(lease["path"])
        self.decided(slotd, lease["lease"], "lease_kept")
        told = slotd.call("Explain", what=lease["slot"])
        self.assertEqual(Interface().mismatch_reply("Explain", told), [])
        now = " ".join(told["sentences"])
        for part in ("Slot p-1 of pool p is leased", "Agent anna holds it", "for t-1", "40 % done", '"half way"',
                     "can still be renewed"):
            self.assertIn(part, now)
        self.assertRegex(told["history"][-1], "^20[0-9T:-]+Z an inquiry kept the lease: .*1 process is in the slot")
        process.kill()
        process.wait()
        self.until(lambda: lease["lease"] not in slotd.leases(), "it has ended", 30)
        told = slotd.call("Explain", what=lease["lease"])
        self.assertIn("has ended", " ".join(told["sentences"]))
        self.assertRegex(told["history"][0], "it was leased: anna")
        self.assertRegex(told["history"][-1], "the lease ended without its holder: no sign for")
        printed = slotctl.run("explain", lease["path"], socket=slotd.socket)
        self.assertIn("Slot p-1 of pool p is", self.assert_exit(0, printed).out)
        self.assert_exit(4, slotctl.run("explain", "p-99", socket=slotd.socket))
        self.assert_exit(4, slotctl.run("explain", "0" * 32, socket=slotd.socket))

    def test_each_round_says_how_the_leases_are(self):
        slotd = self.one_pool(ready=2, maximum=2, settings={"defaults": {"lease": {"monitor_every": "1s"}}},
                              lease={**QUICK, "grace": "3s", "abandon_after": "3s"})
        slotd.acquire("p", bind="manual")
        slotd.acquire("p")
        slotd.wait_log(r"leases: active=1 expiring=0 expired=1 past_grace=0 recovered=0")
        slotd.wait_log(r"leases: active=1 expiring=0 expired=0 past_grace=[01] recovered=[01]")
        self.until(lambda: len(slotd.leases()) == 1, "one has ended")
        slotd.wait_log(r"leases: .* recovered=1")

    def test_what_cannot_be_found_out_is_no_proof(self):
        slotd = self.pool(abandon_after="1s")
        lease = slotd.acquire("p")["lease"]
        os.rename(os.path.join(self.store(slotd), "HEAD"), os.path.join(self.store(slotd), "HEAD.away"))
        self.assertRegex(self.decided(slotd, lease, "lease_suspect"), "not everything could be looked at")
        os.rename(os.path.join(self.store(slotd), "HEAD.away"), os.path.join(self.store(slotd), "HEAD"))
        self.until(lambda: lease not in slotd.leases(), "it ends once that is known", 30)

    def test_what_is_too_deep_to_be_read_may_hide_what_was_written(self):
        slotd = self.pool(abandon_after="3s")
        lease = slotd.acquire("p")
        deep = os.path.join(lease["path"], "0")
        subprocess.run(["mkdir", "-p", os.path.join(deep, "d/" * 1100)], check=True)
        self.addCleanup(subprocess.run, ["rm", "-rf", deep], check=True)
        for n in range(4):
            time.sleep(2)  # less than abandon_after between two writes
            git.write(lease["path"], "notes", "%d\n" % n)
        self.assertNotIn("lease_suspect", self.kinds(slotd, lease["lease"]), "what can be read is a sign")
        self.assertRegex(self.decided(slotd, lease["lease"], "lease_suspect"), "not everything could be looked at")
        self.holds(lambda: lease["lease"] in slotd.leases(), "it is kept", 5)

    def store(self, slotd):
        return os.path.join(slotd.pools["p"]["path"], ".git")

    def test_a_worker_that_hangs_delays_nobody_s_renewal(self):
        slotd = self.pool(abandon_after="5s")
        lease, other = slotd.acquire("p")["lease"], slotd.acquire("p")["lease"]
        deadline = time.monotonic() + 30
        while "lease_suspect" not in self.kinds(slotd, lease):
            self.assertLess(time.monotonic(), deadline)
            for pid in slotd.workers():
                os.kill(pid, signal.SIGSTOP)
            before = time.monotonic()
            slotd.call("Renew", lease=other)
            self.assertLess(time.monotonic() - before, 1)
            time.sleep(0.2)  # between two renewals
        self.assertIn(other, slotd.leases())
