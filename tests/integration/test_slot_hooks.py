"""acquire.run and release.run: the operator's commands when a slot is given out, and when it comes back."""

import os

from support import git
from support.case import Case


class Hooks(Case):
    def pool(self, acquire=None, release=None, ready=1, maximum=2, **keys):
        for name, script in (("acquire", acquire), ("release", release)):
            if script:
                keys[name] = {"run": ["sh", "-c", script]}
        return self.one_pool(ready=ready, maximum=maximum, **keys)

    def text(self, *names):
        with open(os.path.join(*names), encoding="utf-8") as f:
            return f.read()

    def variables(self, path):
        """Those that env(1) wrote there, but for what belongs to the shell."""
        env = dict(line.split("=", 1) for line in self.text(path).splitlines())
        return {name: env[name] for name in env if name.startswith("SLOT")}

    def home(self, slotd):
        return os.path.join(slotd.state_dir, "homes", "p")

    def events(self, slotd, kind):
        return [e["detail"] for e in slotd.events() if e["kind"] == kind]

    # --- acquire.run

    def test_acquire_run_has_ended_when_the_slot_is_given_out(self):
        slotd = self.pool(acquire="env >$SLOT_TMPDIR/env; sleep 0.3; touch $SLOT_TMPDIR/done")
        lease = slotd.acquire("p", branch="b", task="T 1", agent="anna")
        self.assertTrue(os.path.exists(os.path.join(lease["tmpDir"], "done")))
        self.assertEqual(self.variables(os.path.join(lease["tmpDir"], "env")), {
            "SLOT_PATH": lease["path"], "SLOT_ID": lease["slot"], "SLOT_POOL": "p", "SLOT_BRANCH": "b",
            "SLOT_TASK": "T 1", "SLOT_AGENT": "anna", "SLOT_LEASE": lease["lease"],
            "SLOT_TOKEN": str(lease["token"]), "SLOT_TMPDIR": lease["tmpDir"], "SLOTD_SOCKET": slotd.socket})
        self.assertEqual(git.text(lease["path"], "symbolic-ref", "--short", "HEAD"), "b")
        self.assert_invariants(slotd)

    def test_acquire_run_comes_before_every_lease(self):
        slotd = self.pool(acquire="echo $SLOT_ID >>$HOME/log", maximum=1)
        for n in (1, 2):
            slotd.release(slotd.acquire("p", key="k%d" % n)["lease"])
            slotd.acquire("p", key="k%d" % (n + 10), waitUsec=9000000)
            slotd.release(slotd.acquire("p", key="k%d" % (n + 10))["lease"])
        self.assertEqual(self.text(self.home(slotd), "log"), "p-1\n" * 4)

    def test_a_slot_in_which_it_fails_is_cleaned_and_another_is_tried(self):
        slotd = self.pool(acquire="touch left; echo $SLOT_ID >>$HOME/log; test $(wc -l <$HOME/log) -ge 2",
                          ready=2)
        lease = slotd.acquire("p")
        first, second = self.text(self.home(slotd), "log").split()
        self.assertEqual(lease["slot"], second)
        slotd.wait_state(first, "ready")
        self.assertFalse(os.path.exists(os.path.join(slotd.slot(first)["path"], "left")))
        (event,) = self.events(slotd, "hook_failed")
        self.assertIn("acquire.run: sh exited with 1", event)
        self.assert_invariants(slotd)

    def test_when_it_fails_everywhere_the_acquire_says_why(self):
        slotd = self.pool(acquire="echo no database >&2; exit 7")
        error = self.assert_error("HookFailed", slotd.acquire, "p", waitUsec=60000000)
        self.assertIn("acquire.run: sh exited with 7: no database", error.message)
        self.assertEqual(len(self.events(slotd, "hook_failed")), 3)
        self.assertIn("no database", self.events(slotd, "command_output"))
        done = self.assert_exit(1, self.slotctl(slotd, "acquire", "p", "--wait", "60s"))
        self.assertIn("no database", done.err)
        self.assertEqual(slotd.leases(), {})

    def test_one_that_hangs_is_ended_at_its_limit(self):
        slotd = self.one_pool(ready=1, maximum=1, acquire={"run": ["sleep", "1000"], "timeout": "1s"})
        error = self.assert_error("HookFailed", slotd.acquire, "p", waitUsec=60000000)
        self.assertIn("sleep did not end within 1s", error.message)

    def test_an_asker_who_goes_away_meanwhile_gets_nothing(self):
        slotd = self.pool(acquire="touch $HOME/begun; sleep 1", maximum=1)
        with slotd.client() as c:
            c.send("Acquire", {"pool": "p"})
            self.until(lambda: os.path.exists(os.path.join(self.home(slotd), "begun")), "it runs")
        slotd.wait_state("p-1", "ready")
        self.assertEqual(slotd.leases(), {})

    def test_a_killed_slotd_gives_nothing_out_that_was_not_said(self):
        slotd = self.pool(acquire="touch $HOME/begun; sleep 1000", maximum=1)
        with slotd.client() as c:
            c.send("Acquire", {"pool": "p", "key": "k"})
            self.until(lambda: os.path.exists(os.path.join(self.home(slotd), "begun")), "it runs")
            slotd.kill()
        slotd.pools["p"]["acquire"]["run"] = ["true"]
        slotd.write_config()
        slotd.start()
        slotd.wait_ready("p")
        self.assertEqual(slotd.leases(), {})
        self.assertEqual(slotd.acquire("p", key="k")["slot"], "p-1")
        self.assert_invariants(slotd)

    # --- release.run

    def test_release_run_sees_what_the_holder_left(self):
        slotd = self.pool(release="env >$HOME/env; cat note >$HOME/note; git branch --show-current >$HOME/branch",
                          maximum=1)
        lease = slotd.acquire("p", branch="b", task="T 1", agent="anna")
        git.commit(lease["path"], "work", note="of the holder")
        self.assertEqual(slotd.release(lease["lease"])["state"], "ready")
        home = self.home(slotd)
        self.assertEqual(self.text(home, "note"), "of the holder")
        self.assertEqual(self.text(home, "branch"), "b\n")
        self.assertEqual(self.variables(os.path.join(home, "env")), {
            "SLOT_PATH": lease["path"], "SLOT_ID": lease["slot"], "SLOT_POOL": "p", "SLOT_BRANCH": "b",
            "SLOT_TASK": "T 1", "SLOT_AGENT": "anna", "SLOT_LEASE": lease["lease"],
            "SLOT_TOKEN": str(lease["token"]), "SLOT_TMPDIR": lease["tmpDir"], "SLOTD_SOCKET": slotd.socket})

    def test_it_runs_before_unsaved_work_is_looked_for(self):
        slotd = self.pool(release="rm -f finish-me", maximum=1)
        lease = slotd.acquire("p")
        git.write(lease["path"], "finish-me", "x")
        self.assertEqual(slotd.release(lease["lease"])["state"], "ready")

    def test_it_runs_once_for_each_lease_however_that_ends(self):
        slotd = self.pool(release="echo $SLOT_LEASE >>$HOME/log", maximum=1,
                          lease={"mode": "fixed", "ttl": "1s", "min_ttl": "1s", "grace": "1s", "abandon_after": "1s",
                                 "warn_before": "500ms"})
        leases = [slotd.acquire("p")["lease"]]
        slotd.release(leases[0])
        leases.append(slotd.acquire("p", waitUsec=9000000)["lease"])
        slotd.call("Finish", lease=leases[1], state="done")
        leases.append(slotd.acquire("p", waitUsec=9000000)["lease"])
        slotd.release(leases[2], force=True, discard=True)
        leases.append(slotd.acquire("p", waitUsec=9000000)["lease"])
        self.until(lambda: leases[3] not in slotd.leases(), "nobody renews it")
        slotd.wait_state("p-1", "ready")
        self.assertEqual(self.text(self.home(slotd), "log").split(), leases)

    def test_its_failure_keeps_nobody(self):
        slotd = self.pool(release="echo no; exit 1", maximum=1)
        lease = slotd.acquire("p")
        self.assertEqual(slotd.release(lease["lease"])["state"], "ready")
        self.assertEqual(self.events(slotd, "hook_failed"), ["release.run: sh exited with 1: no"])
        self.assertEqual(self.events(slotd, "command_output"), ["no"])
        slotd.wait_log("release.run: sh exited with 1: no")

    def test_it_runs_again_when_slotd_was_killed_meanwhile(self):
        slotd = self.pool(release="echo $SLOT_LEASE >>$HOME/log; test $(wc -l <$HOME/log) -ge 2 || sleep 1000",
                          maximum=1)
        lease = slotd.acquire("p")
        log = os.path.join(self.home(slotd), "log")
        with slotd.client() as c:
            c.send("Release", {"lease": lease["lease"]})
            self.until(lambda: os.path.exists(log) and self.text(log), "it runs")
            slotd.kill()
        slotd.start()
        slotd.wait_ready("p")
        self.assertEqual(self.text(log).split(), [lease["lease"]] * 2)
