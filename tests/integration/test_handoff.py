"""What a lease leaves to whoever goes on with its work, and reports that come too late for it."""

import json

from support import git
from support.case import Case
from support.idl import Interface

QUICK = {"ttl": "1s", "grace": "1s", "min_ttl": "1s", "warn_before": "500ms", "monitor_every": "1s",
         "abandon_after": "1s"}
ORDER = ("git merge", "git log", "git diff", "had come to", "last note", "saved", "Continue from there")


class Handoff(Case):
    def pool(self, **keys):
        return self.one_pool(ready=2, maximum=4, lease={**QUICK, **keys})

    def lost(self, slotd, **wishes):
        """A lease whose holder was not heard of any more; its branch has one commit."""
        lease = slotd.acquire("p", **wishes)
        if wishes.get("branch"):
            git.commit(lease["path"], "of the lost one", README="lost\n")
        slotd.call("Renew", lease=lease["lease"], progress=60, message="tests \"run\" by now")
        self.gone(slotd, lease)
        return lease

    def gone(self, slotd, lease):
        self.until(lambda: lease["lease"] not in slotd.leases(), "the lease is over", 30)
        self.until(lambda: slotd.slot(lease["slot"])["state"] in ("ready", "isolated"), "its slot is settled", 30)

    def test_the_next_of_the_task_gets_it_with_instructions_in_order(self):
        slotd = self.pool()
        before = self.lost(slotd, agent="anna", task="T-1", branch="work/t1")
        lease = slotd.acquire("p", agent="bert", task="T-1", branch="work/t1-again")
        self.assertEqual(Interface().mismatch_reply("Acquire", lease), [])
        left = lease["handoff"]
        self.assertEqual({k: left[k] for k in ("agent", "lease", "task", "branch", "progress", "message", "reason",
                                               "salvage", "checkpoint")},
                         {"agent": "anna", "lease": before["lease"], "task": "T-1", "branch": "work/t1",
                          "progress": 60, "message": "tests \"run\" by now", "reason": "recovered",
                          "salvage": None, "checkpoint": None})
        self.assertGreater(left["heldUsec"], 2000000)
        self.assertEqual(left["expiresAtUsec"] - left["recoveredAtUsec"], 24 * 3600 * 1000000)
        found = [next(n for n, line in enumerate(left["instructions"]) if part in line) for part in ORDER]
        self.assertEqual(found, sorted(found), left["instructions"])
        self.assertEqual(len(left["instructions"]), len(ORDER))

    def test_its_commands_do_what_they_say(self):
        slotd = self.pool()
        self.lost(slotd, task="T-1", branch="it's/branch")
        lease = slotd.acquire("p", task="T-1", branch="next")
        path, told = lease["path"], lease["handoff"]["instructions"]
        log = next(line for line in told if "git log" in line).split(": ", 1)[1]
        diff = next(line for line in told if "git diff" in line).split(": ", 1)[1]
        merge = next(line for line in told if "git merge" in line).split(": ", 1)[1]
        self.assertIn("of the lost one", git.shell(path, log))
        self.assertIn("+lost", git.shell(path, diff))
        git.shell(path, merge)
        self.assertEqual(git.read(path, "README"), b"lost\n")

    def test_the_same_branch_is_offered_as_well_and_needs_no_merge(self):
        slotd = self.pool()
        self.lost(slotd, branch="work/b")
        lease = slotd.acquire("p", branch="work/b", task="another")
        self.assertEqual(lease["handoff"]["branch"], "work/b")
        self.assertIn("nothing to merge", lease["handoff"]["instructions"][0])
        self.assertEqual(git.read(lease["path"], "README"), b"lost\n")

    def test_nothing_is_offered_of_what_came_to_its_end(self):
        slotd = self.pool()
        for n, end in enumerate((lambda l: slotd.release(l), lambda l: slotd.call("Finish", lease=l, state="done"))):
            lease = slotd.acquire("p", task="T-%d" % n)
            end(lease["lease"])
            lease = slotd.acquire("p", task="T-%d" % n)
            self.assertIsNone(lease["handoff"])
            slotd.release(lease["lease"])
        self.assertIsNone(slotd.acquire("p", task="T-9")["handoff"])

    def test_failed_and_blocked_work_is_offered(self):
        slotd = self.pool()
        for state in ("failed", "blocked"):
            lease = slotd.acquire("p", task=state)
            slotd.call("Finish", lease=lease["lease"], state=state, message="needs a key")
            left = slotd.acquire("p", task=state)["handoff"]
            self.assertEqual((left["reason"], left["message"]), (state, "needs a key"))
            self.assertIn("It declared its work %s." % state, left["instructions"])

    def test_it_survives_a_restart_and_the_same_key_gets_it_again(self):
        slotd = self.pool()
        before = self.lost(slotd, task="T-1")
        slotd.kill()
        slotd.start()
        lease = slotd.acquire("p", task="T-1", key="k", bind="manual")
        self.assertEqual(lease["handoff"]["lease"], before["lease"])
        slotd.restart()
        again = slotd.acquire("p", task="T-1", key="k", bind="manual")
        self.assertEqual(again["lease"], lease["lease"])
        self.assertEqual(again["handoff"]["lease"], before["lease"])

    def test_it_is_forgotten_in_its_time(self):
        slotd = self.pool(handoff_for="3s")
        before = self.lost(slotd, task="T-1")
        self.ok(slotd, "handoff", before["lease"])
        self.until(lambda: self.slotctl(slotd, "handoff", before["lease"]).status == 4, "it is forgotten", 30)
        self.assertIsNone(slotd.acquire("p", task="T-1")["handoff"])

    def test_resume_by_lease_task_or_branch_gets_slot_branch_and_task(self):
        slotd = self.pool()
        first = slotd.acquire("p", agent="anna", task="T-1", branch="work/t1")
        git.commit(first["path"], "one more", README="more\n")
        slotd.release(first["lease"])
        for what in (first["lease"], "T-1", "work/t1"):
            lease = slotd.acquire("p", resume=what)
            self.assertEqual({k: lease[k] for k in ("slot", "branch", "task")},
                             {"slot": first["slot"], "branch": "work/t1", "task": "T-1"}, what)
            self.assertEqual(git.read(lease["path"], "README"), b"more\n")
            self.assertEqual(lease["handoff"]["reason"], "released")
            slotd.release(lease["lease"])
        self.assertEqual(slotd.acquire("p", resume="T-1", branch="other")["branch"], "other")

    def test_resume_after_work_that_was_saved_says_how_to_have_it(self):
        slotd = self.pool()
        first = slotd.acquire("p", task="T-1", branch="work/t1")
        git.commit(first["path"], "committed", README="committed\n")
        git.write(first["path"], "unsaved", "u\n")
        self.gone(slotd, first)
        salvage = self.assert_saved(slotd, first, {"unsaved": b"u\n"})
        lease = slotd.acquire("p", resume="T-1")
        self.assertEqual(git.read(lease["path"], "README"), b"committed\n")
        left = lease["handoff"]
        self.assertEqual((left["salvage"]["ref"], left["salvage"]["commit"]), (salvage.ref, salvage.commit))
        self.assertTrue(any(left["salvage"]["id"] in line for line in left["instructions"]), left["instructions"])

    def test_resume_beside_work_that_is_kept_in_isolation(self):
        slotd = self.pool()
        first = slotd.acquire("p", task="T-1", branch="work/t1")
        git.commit(first["path"], "saved", README="saved\n")
        git.spoil(first["path"])
        self.gone(slotd, first)
        self.assertEqual(slotd.slot(first["slot"])["state"], "isolated")
        lease = slotd.acquire("p", resume="T-1")
        self.assertNotEqual(lease["slot"], first["slot"])
        self.assertEqual(git.read(lease["path"], "README"), b"saved\n")
        self.assertTrue(any(first["path"] in line for line in lease["handoff"]["instructions"]),
                        lease["handoff"]["instructions"])

    def test_resume_of_what_is_not_known_is_refused(self):
        slotd = self.pool()
        error = self.assert_error("NotFound", slotd.acquire, "p", resume="nothing")
        self.assertIn("nothing is left of nothing in pool p", error.message)
        self.assert_exit(4, self.slotctl(slotd, "acquire", "p", "--resume", "0123456789abcdef" * 2))
        self.assertEqual(slotd.leases(), {})

    def test_the_same_key_with_another_resume_is_another_request(self):
        slotd = self.pool()
        self.lost(slotd, task="T-1")
        slotd.acquire("p", resume="T-1", key="k")
        self.assert_error("KeyReused", slotd.acquire, "p", key="k")

    # --- late reports

    def test_a_late_report_is_kept_when_it_is_ahead_of_what_was_known(self):
        slotd = self.pool()
        before = self.lost(slotd, task="T-1")["lease"]
        error = self.assert_error("LeaseGone", slotd.call, "Renew", lease=before, progress=80,
                                  message="all but done")
        self.assertIn("report is kept", error.message)
        error = self.assert_error("LeaseGone", slotd.call, "Renew", lease=before, progress=70,
                                  message="an older one")
        self.assertNotIn("report is kept", error.message)
        self.assert_exit(5, self.slotctl(slotd, "renew", before))
        slotd.kill()
        slotd.start()
        left = slotd.acquire("p", task="T-1")["handoff"]
        self.assertEqual((left["progress"], left["message"]), (80, "all but done"))

    def test_a_late_end_is_kept_and_recovers_nothing(self):
        slotd = self.pool()
        before = self.lost(slotd, task="T-1")["lease"]
        self.assert_error("LeaseGone", slotd.call, "Finish", lease=before, state="done",
                          message="pushed")
        self.assertIsNone(slotd.acquire("p", task="T-1")["handoff"], "there is nothing to go on with")
        left = slotd.acquire("p", resume="T-1")["handoff"]
        self.assertEqual((left["progress"], left["message"]), (60, "pushed"))
        self.assertIn("It declared its work done.", left["instructions"])

    def test_an_end_that_is_declared_twice_is_no_late_report(self):
        slotd = self.pool()
        lease = slotd.acquire("p", task="T-1")["lease"]
        slotd.call("Finish", lease=lease, state="blocked", message="needs a key")
        error = self.assert_error("LeaseGone", slotd.call, "Finish", lease=lease, state="blocked", message="needs a key")
        self.assertNotIn("report is kept", error.message)
        self.assertEqual(slotd.call("Stats")["leases"]["lateReports"], 0)

    def test_a_late_end_that_is_declared_again_is_told_again_that_it_is_kept(self):
        slotd = self.pool()
        lease = slotd.acquire("p", task="T-1")["lease"]
        slotd.call("Release", lease=lease)
        for _ in range(2):
            error = self.assert_error("LeaseGone", slotd.call, "Finish", lease=lease, state="failed", message="needs a key")
            self.assertIn("report is kept", error.message)
        error = self.assert_error("LeaseGone", slotd.call, "Finish", lease=lease, state="blocked")
        self.assertNotIn("report is kept", error.message)
        self.assertEqual(slotd.call("Stats")["leases"]["lateReports"], 1)

    def test_a_task_that_is_named_like_a_slot_hides_nothing(self):
        slotd = self.pool()
        first = slotd.acquire("p", task="T", branch="b1")
        git.spoil(first["path"])
        self.gone(slotd, first)
        slotd.release(slotd.acquire("p", task=first["slot"])["lease"])
        self.assertTrue(any(first["path"] in line for line in
                            slotd.call("Handoff", what="T")["handoff"]["instructions"]))
        self.assertEqual(slotd.call("Handoff", what=first["slot"])["handoff"]["lease"], first["lease"])

    def test_letters_are_not_cut(self):
        slotd = self.pool()
        lease = slotd.acquire("p", agent="anna")
        slotd.call("Finish", lease=lease["lease"], state="failed", message="a" + "\u00e9" * 120)
        for method, parameters in (("Explain", {"what": lease["slot"]}), ("Events", {}), ("Handoff", {"what": lease["slot"]})):
            slotd.call(method, **parameters)
        result = self.assert_exit(4, self.slotctl(slotd, "acquire", "p", "--resume", "a" + "\u00e9" * 60))
        self.assertIn("nothing is left of a\u00e9", result.err)

    def test_the_first_declaration_is_final(self):
        slotd = self.pool()
        lease = slotd.acquire("p", task="T-1")["lease"]
        slotd.call("Finish", lease=lease, state="failed", message="needs a key")
        error = self.assert_error("LeaseGone", slotd.call, "Finish", lease=lease, state="done")
        self.assertNotIn("report is kept", error.message)
        left = slotd.acquire("p", task="T-1")["handoff"]
        self.assertEqual((left["reason"], left["message"]), ("failed", "needs a key"))

    # --- the command line

    def test_the_command_says_it_in_sentences(self):
        slotd = self.pool()
        before = self.lost(slotd, agent="anna", task="T-1", branch="work/t1")
        for what in (before["slot"], before["lease"], "T-1", "work/t1", before["path"]):
            told = self.ok(slotd, "handoff", what).out
            self.assertRegex(told, r"anna had it for \d+ s, for T-1; that ended .* ago \(recovered\)", what)
            self.assertIn('Its last note: "tests "run" by now"', told)
        lease = slotd.acquire("p", agent="bert", task="T-1", bind="manual")
        self.assertEqual(self.ok(slotd, "--json", "handoff", lease["slot"]).json()["handoff"]["lease"],
                         before["lease"])
        other = slotd.acquire("p", agent="carl", bind="manual")
        result = self.assert_exit(4, self.slotctl(slotd, "handoff", other["slot"]))
        self.assertIn("nobody's work", result.err)
        self.assert_exit(4, self.slotctl(slotd, "handoff", "never-there"))

    def test_run_and_env_give_it(self):
        slotd = self.pool()
        self.lost(slotd, task="T-1")
        out = self.ok(slotd, "run", "p", "--task", "T-1", "--", "sh", "-c", "printf %s \"$SLOT_HANDOFF\"").out
        self.assertEqual(json.loads(out)["task"], "T-1")
        out = self.ok(slotd, "run", "p", "--task", "T-2", "--", "sh", "-c", "echo \"<${SLOT_HANDOFF-unset}>\"",
                      env={"SLOT_HANDOFF": "of an outer one"}).out
        self.assertEqual(out, "<unset>\n")
        self.lost(slotd, task="T-3")
        out = self.ok(slotd, "acquire", "p", "--resume", "T-3", "--env").out
        values = git.shell(self.dir, out + "\nprintf %s \"$SLOT_HANDOFF\"")
        self.assertEqual(json.loads(values)["task"], "T-3")

    def test_a_message_cannot_play_with_the_terminal(self):
        slotd = self.pool()
        lease = slotd.acquire("p", task="T-1")
        slotd.call("Renew", lease=lease["lease"], message="\x1b[31mred\n")
        slotd.release(lease["lease"])
        self.assertNotIn("\x1b", self.ok(slotd, "handoff", "T-1").out)
