"""warmup.run: the operator's command makes slots usable, is contained, and says why when it cannot."""

import os
import signal
import time

from support import git
from support.case import Case
from support.daemon import is_alive


def landlock():
    """Is there Landlock with the right to rename? By its system call, as slotd asks."""
    import ctypes  # pylint: disable=import-outside-toplevel
    return ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1) >= 2


class Warmup(Case):
    COUNT = "mkdir -p node_modules; cat lock >>node_modules/runs"

    def repository_with(self, **files):
        """A small repository that ignores node_modules/ and has these files."""
        repository = git.make(self.path("repository"))
        git.commit(repository, "ignore", **{".gitignore": "node_modules/\n", "lock": "1\n", **files})
        return repository

    def script(self, text):
        return ["sh", "-c", text]

    def pool(self, run, ready=1, maximum=2, wait_ready=True, settings=None, **warmup):
        return self.one_pool(ready=ready, maximum=maximum, wait_ready=wait_ready, settings=settings,
                             repository=self.repository_with(),
                             warmup={"run": run, "when_changed": ["lock"], **warmup})

    def text(self, *names):
        with open(os.path.join(*names), encoding="utf-8") as f:
            return f.read()

    def failure(self, slotd, *words, slot="p-1"):
        """Until the slot says this, and is not ready."""
        def said():
            info = slotd.slots("p").get(slot)
            return info if info and info["reason"] and all(w in info["reason"] for w in words) else None
        info = self.until(said, "%s says %s" % (slot, words))
        self.assertNotEqual(info["state"], "ready")
        return info

    def kinds(self, slotd, slot="p-1"):
        return [e["kind"] for e in slotd.events() if e["slot"] == slot]

    def output(self, slotd, slot="p-1"):
        return "\n".join(e["detail"] for e in slotd.events()
                         if e["slot"] == slot and e["kind"] == "command_output")


    def runs(self, slotd, slot="p-1"):
        return self.text(slotd.slot(slot)["path"], "node_modules", "runs")

    def test_it_runs_in_a_new_slot_before_that_is_ready(self):
        slotd = self.pool(self.script(self.COUNT))
        lease = slotd.acquire("p")
        self.assertEqual(self.runs(slotd), "1\n")
        self.assertTrue(git.is_clean(lease["path"]))
        kinds = self.kinds(slotd)
        self.assertLess(kinds.index("warmed"), kinds.index("slot_ready"))
        self.assert_invariants(slotd)

    def test_it_runs_again_only_when_its_files_are_others(self):
        slotd = self.pool(self.script(self.COUNT), maximum=1)
        slotd.release(slotd.acquire("p")["lease"])
        self.assertEqual(self.runs(slotd), "1\n", "nothing changed")
        git.commit(self.repository, "another file", other="x")
        self.until(lambda: slotd.slot("p-1")["head"] == git.head(self.repository) and
                   slotd.slot("p-1")["state"] == "ready", "the slot follows")
        self.assertEqual(self.runs(slotd), "1\n", "another file changed")
        git.commit(self.repository, "the file", lock="2\n")
        self.until(lambda: slotd.slot("p-1")["head"] == git.head(self.repository) and
                   slotd.slot("p-1")["state"] == "ready", "the slot follows")
        self.assertEqual(self.runs(slotd), "1\n2\n")
        slotd.restart()
        slotd.release(slotd.acquire("p")["lease"])
        self.assertEqual(self.runs(slotd), "1\n2\n", "it is remembered across a restart")

    def test_what_a_holder_built_for_other_files_is_not_the_next_ones(self):
        slotd = self.pool(self.script(self.COUNT), maximum=1)
        lease = slotd.acquire("p", branch="b")
        git.commit(lease["path"], "other dependencies", lock="7\n")
        self.assertEqual(slotd.release(lease["lease"])["state"], "ready")
        self.assertEqual(self.runs(slotd), "1\n1\n")

    def test_with_ignored_files_removed_it_runs_after_every_cleaning(self):
        slotd = self.one_pool(ready=1, maximum=1, repository=self.repository_with(),
                              clean={"ignored": "remove"},
                              warmup={"run": self.script(self.COUNT), "when_changed": ["lock"]})
        slotd.release(slotd.acquire("p")["lease"])
        self.assertEqual(self.runs(slotd), "1\n")
        self.assertEqual(self.kinds(slotd).count("warmed"), 2)

    def test_slots_of_before_are_warmed_up_when_it_is_configured(self):
        slotd = self.one_pool(ready=1, maximum=1, repository=self.repository_with())
        slotd.pools["p"]["warmup"] = {"run": self.script(self.COUNT)}
        slotd.write_config()
        self.until(lambda: "warmed" in self.kinds(slotd), "it is warmed up")
        slotd.wait_ready("p")
        self.assertEqual(self.runs(slotd), "1\n")

    def test_an_operator_has_it_run_once_more(self):
        slotd = self.pool(self.script(self.COUNT), maximum=1)
        done = self.ok(slotd, "slot", "warm", "p-1")
        self.assertEqual(done.out, "p-1 is warm and ready\n")
        self.assertEqual(self.runs(slotd), "1\n1\n")
        lease = slotd.acquire("p")
        self.assertIn("is leased", self.assert_exit(1, self.slotctl(slotd, "slot", "warm", "p-1")).err)
        slotd.release(lease["lease"])
        self.assert_exit(4, self.slotctl(slotd, "slot", "warm", "p-99"))

    def test_a_pool_without_one_says_so(self):
        slotd = self.one_pool(ready=1)
        self.assertIn("no warmup.run", self.assert_exit(1, self.slotctl(slotd, "slot", "warm", "p-1")).err)

    # --- what it is given

    def test_its_environment_is_what_the_manual_says(self):
        write = "mkdir -p node_modules; env >node_modules/env; pwd >node_modules/pwd; umask >node_modules/umask"
        slotd = self.pool(self.script(write), env={"COLOUR": "blue = sky", "LANG": "C"})
        path = slotd.slot("p-1")["path"]
        env = dict(line.split("=", 1) for line in self.text(path, "node_modules", "env").splitlines())
        tmp = os.path.join(os.path.dirname(path), ".tmp-p-1")
        for name in ("_", "PWD", "OLDPWD", "SHLVL", "USER", "LOGNAME"):
            env.pop(name, None)
        self.assertEqual(env, {
            "PATH": os.environ["PATH"], "HOME": os.path.join(slotd.state_dir, "homes", "p"), "LANG": "C",
            "COLOUR": "blue = sky", "TMPDIR": tmp, "SLOT_TMPDIR": tmp, "SLOT_PATH": path, "SLOT_ID": "p-1",
            "SLOT_POOL": "p", "SLOTD_SOCKET": slotd.socket})
        self.assertEqual(self.text(path, "node_modules", "pwd").strip(), path)
        self.assertEqual(self.text(path, "node_modules", "umask").strip(), "0022")

    def test_it_yields_to_others_and_has_a_session_and_limits_of_its_own(self):
        write = ("mkdir -p node_modules; cut -d' ' -f5,6,19 /proc/self/stat >node_modules/stat; echo $$ >>node_modules/stat;"
                 "ionice -p $$ >node_modules/io; ulimit -v >node_modules/memory; ls /proc/self/fd >node_modules/fds;"
                 "grep NoNewPrivs /proc/self/status >node_modules/privileges")
        slotd = self.pool(self.script(write))
        at = os.path.join(slotd.slot("p-1")["path"], "node_modules")
        group, session, nice, shell = self.text(at, "stat").split()
        self.assertEqual((group, session, nice), (shell, shell, "19"))
        self.assertEqual(self.text(at, "io").strip(), "idle")
        self.assertEqual(self.text(at, "memory").strip(), "unlimited")
        self.assertEqual(self.text(at, "fds").split()[:3], ["0", "1", "2"])
        self.assertEqual(len(self.text(at, "fds").split()), 4, "and the one that ls reads")
        self.assertEqual(self.text(at, "privileges").split()[-1], "1")

    def test_it_writes_to_its_slot_and_nowhere_else(self):
        if not landlock():
            self.skipTest("no Landlock here")
        outside, named, home = self.path("outside"), self.path("named"), self.path("home")
        for path in (outside, named):
            os.mkdir(path)
        tried = {"slot": "$SLOT_PATH/node_modules/x", "tmp": "$TMPDIR/x", "home": "$HOME/x", "named": named + "/x",
                 "outside": outside + "/x", "state": "$STATE/x", "store": self.path("repository", ".git/x"),
                 "other": "$SLOT_PATH/../p-99", "system": "/tmp/slotd-test-x-%d" % os.getpid()}
        lines = ["mkdir -p node_modules", ": >node_modules/wrote"]
        lines += ["( : >\"%s\" ) 2>/dev/null && echo %s >>node_modules/wrote" % (at, name)
                  for name, at in tried.items()]
        lines += ["echo x >/dev/null && echo null >>node_modules/wrote", "git status --porcelain >&2",
                  "git log -1 --format=%s", "true"]
        slotd = self.pool(self.script("\n".join(lines)), home=home, writable=[named],
                          env={"STATE": self.path("slotd", "state")})
        wrote = self.text(slotd.slot("p-1")["path"], "node_modules", "wrote").split()
        self.assertEqual(wrote, ["slot", "tmp", "home", "named", "null"])
        self.assertEqual(os.listdir(outside), [])
        self.assertEqual(self.output(slotd), git.text(self.repository, "log", "-1", "--format=%s"),
                         "git can look at everything")

    def test_its_own_home_goes_with_the_pool(self):
        slotd = self.slotd({}, {"defaults": {"warmup": {"run": self.script("touch $HOME/cache")}}})
        self.ok(slotd, "pool", "add", "q", "--path", self.repository_with(), "--ready", "1")
        slotd.wait_ready("q")
        home = os.path.join(slotd.state_dir, "homes", "q")
        self.assertEqual(os.listdir(home), ["cache"])
        self.ok(slotd, "pool", "remove", "q")
        self.until(lambda: not os.path.exists(home), "it is gone")

    def test_a_writable_directory_that_is_missing_is_said(self):
        slotd = self.pool(self.script("true"), writable=[self.path("absent")], wait_ready=False)
        self.failure(slotd, "warmup.writable: " + self.path("absent"))

    # --- when it fails

    def test_one_that_fails_leaves_a_slot_that_is_not_handed_out(self):
        slotd = self.pool(self.script("echo begun; echo no registry today >&2; exit 3"), wait_ready=False)
        self.failure(slotd, "warm-up failed", "sh exited with 3", "no registry today")
        error = self.assert_error("Busy", slotd.acquire, "p", waitUsec=0)
        self.assertIn("no registry today", error.message)
        self.assertEqual(self.output(slotd), "begun\nno registry today")
        self.assertIn("no registry today", self.ok(slotd, "slots").out)
        self.assertEqual(len(slotd.slots("p")), 1, "no further slot meets the same fate")
        self.assertIn("it could not be warmed up", self.ok(slotd, "explain", "p-1").out)

    def test_it_is_tried_again_from_a_clean_tree_at_once_when_asked(self):
        run = self.script("test -e %s || { touch half; exit 1; }; test ! -e half" % self.path("registry"))
        slotd = self.pool(run, wait_ready=False)
        self.failure(slotd, "sh exited with 1")
        done = self.assert_exit(3, self.slotctl(slotd, "slot", "warm", "p-1"))
        self.assertIn("sh exited with 1", done.err)
        open(self.path("registry"), "w", encoding="utf-8").close()
        self.ok(slotd, "slot", "warm", "p-1")
        self.assertEqual(slotd.slot("p-1")["state"], "ready")
        self.assertIsNone(slotd.slot("p-1")["reason"])
        self.assertFalse(os.path.exists(os.path.join(slotd.slot("p-1")["path"], "half")))
        self.assert_invariants(slotd)

    def test_a_new_configuration_is_tried_at_once(self):
        slotd = self.pool(self.script("exit 1"), wait_ready=False)
        self.failure(slotd, "exited with 1")
        slotd.pools["p"]["warmup"]["run"] = ["true"]
        slotd.write_config()
        slotd.wait_ready("p", seconds=9)

    def test_what_it_leaves_is_said(self):
        slotd = self.pool(self.script("touch build.log new; echo 2 >lock"), wait_ready=False)
        self.failure(slotd, "warm-up failed: it left", "untracked files: build.log, new", "changed files: lock")

    def test_one_that_is_not_there_is_said(self):
        slotd = self.pool(["no-such-program-anywhere"], wait_ready=False)
        self.failure(slotd, "no-such-program-anywhere could not be run: No such file or directory")

    def test_one_that_is_killed_is_said(self):
        slotd = self.pool(self.script("kill -SEGV $$"), wait_ready=False)
        self.failure(slotd, "sh was killed by signal 11")

    def test_much_output_costs_nothing_and_its_end_is_kept(self):
        slotd = self.pool(self.script("yes 0123456789abcdef | head -c 30000000; printf '\\377\\001 the end'"))
        output = self.output(slotd)
        self.assertTrue(output.endswith("?? the end"), output[-40:])
        self.assertGreater(len(output), 14000)
        self.assertLess(len(output), 17000)
        self.assertTrue(output.startswith("0123456789abcdef\n0123"))

    # --- its processes

    def pids(self, slotd, seconds=30):
        """What the command wrote down about its processes."""
        path = os.path.join(slotd.slots_dir, "p", "p-1", "node_modules", "pids")

        def found():
            if not os.path.exists(path):
                return None
            pids = self.text(path).split()
            return [int(p) for p in pids[:-1]] if pids and pids[-1] == "." else None
        return self.until(found, "it wrote its pids down", seconds)

    # a child, a grandchild with a session of its own, and one whose parent has ended; none hears SIGTERM
    FAMILY = """mkdir -p node_modules
echo $$ >node_modules/p
( trap '' TERM; echo $(exec sh -c 'echo $PPID') >>node_modules/p; sleep 1000 & echo $! >>node_modules/p; wait; wait ) &
setsid sh -c 'trap "" TERM; echo $$ >>node_modules/p; sleep 1000; sleep 1000' &
( setsid sh -c 'trap "" TERM HUP; echo $$ >>node_modules/p; sleep 1000; sleep 1000' & )
while test $(wc -l <node_modules/p) -lt 5; do sleep 0.05; done
echo . >>node_modules/p
mv node_modules/p node_modules/pids
"""

    def all_end(self, pids):
        self.until(lambda: not any(is_alive(pid) for pid in pids), "all of them end: %s" % pids)

    def test_at_its_time_limit_all_of_it_ends(self):
        slotd = self.pool(self.script(self.FAMILY + "sleep 1000"), timeout="5s", wait_ready=False)
        pids = self.pids(slotd, 90)  # where others leave little to it, not at its first try
        self.assertEqual(len(pids), 5)
        self.failure(slotd, "sh did not end within 5s")
        self.all_end(pids)

    def test_what_it_leaves_behind_ends_with_it(self):
        slotd = self.pool(self.script(self.FAMILY))
        pids = [int(p) for p in self.text(slotd.slot("p-1")["path"], "node_modules", "pids").split()[:-1]]
        self.assertFalse([pid for pid in pids if is_alive(pid)])

    def test_it_ends_with_slotd_and_runs_anew_afterwards(self):
        slotd = self.pool(self.script(self.FAMILY + "test -e %s || sleep 1000" % self.path("go")),
                          wait_ready=False)
        pids = self.pids(slotd)
        slotd.kill()
        self.all_end(pids)
        os.close(os.open(self.path("go"), os.O_CREAT))
        slotd.start()
        slotd.wait_ready("p")
        self.assert_invariants(slotd)

    def test_slotd_does_not_wait_for_it_to_stop(self):
        slotd = self.pool(self.script(self.FAMILY + "sleep 1000"), wait_ready=False,
                          settings={"shutdown_timeout": "20s"})
        pids = self.pids(slotd)
        began = time.monotonic()
        self.assertEqual(slotd.stop(), 0)
        self.assertLess(time.monotonic() - began, 10)
        self.all_end(pids)

    def test_a_worker_that_is_killed_takes_it_along(self):
        slotd = self.pool(self.script(self.FAMILY + "sleep 1000"), wait_ready=False)
        pids = self.pids(slotd)
        worker = self.until(lambda: slotd.worker_on("p-1"), "its worker")
        os.kill(worker, signal.SIGKILL)
        self.all_end(pids)
        self.failure(slotd, "warm-up failed", "killed by signal 9")

    # --- beside others

    def test_so_many_run_at_once_and_others_are_served_meanwhile(self):
        gate = self.path("gate")
        run = self.script("echo $$ >$HOME/$SLOT_ID; until test -e %s; do sleep 0.05; done" % gate)
        slotd = self.pool(run, ready=4, maximum=4, concurrent=2, wait_ready=False, settings={"workers": 2})
        home = os.path.join(slotd.state_dir, "homes", "p")
        self.until(lambda: os.path.isdir(home) and len(os.listdir(home)) == 2, "two run")
        other = git.make(self.path("other"))
        slotd.call("PoolAdd", pool="q", path=other, ready=1, max=1)
        slotd.wait_ready("q")
        slotd.release(slotd.acquire("q")["lease"])
        slotd.call("PoolFetch", pool="q")
        self.assertEqual(len(os.listdir(home)), 2)
        os.close(os.open(gate, os.O_CREAT))
        slotd.wait_ready("p", 4)

    def test_with_little_room_it_does_not_run_and_the_slot_says_why(self):
        slotd = self.pool(self.script(self.COUNT), maximum=1)
        lease = slotd.acquire("p", branch="b")
        git.commit(lease["path"], "other dependencies", lock="7\n")
        slotd.settings["disk"] = {"reserve": "1000TiB"}
        slotd.write_config()
        slotd.wait_log("configuration was read again")
        done = slotd.release(lease["lease"])
        self.assertNotEqual(done["state"], "ready")
        self.assertIn("not warmed up", slotd.slot("p-1")["reason"])
        self.assertIn("disk.reserve", slotd.slot("p-1")["reason"])
        slotd.settings["disk"] = {"reserve": 0}
        slotd.write_config()
        slotd.wait_state("p-1", "ready")

    def test_a_pool_that_goes_does_not_wait_for_it(self):
        slotd = self.slotd({}, {"defaults": {"warmup": {"run": self.script("mkdir node_modules; sleep 1000")}}})
        self.slotctl(slotd, "pool", "add", "q", "--path", self.repository_with(), "--ready", "2")
        self.until(lambda: len(slotd.slots("q")) == 2 and any(map(slotd.worker_on, slotd.slots("q"))),
                   "one runs, one waits")
        self.ok(slotd, "pool", "remove", "q")
        self.assertEqual(slotd.slots(), {})

    def test_a_slot_whose_warm_up_failed_can_be_removed(self):
        slotd = self.pool(self.script("touch left; exit 1"), wait_ready=False)
        self.failure(slotd, "exited with 1")
        self.ok(slotd, "slot", "remove", "p-1")
        self.assertNotIn("p-1", slotd.slots())
