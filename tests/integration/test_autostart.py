"""A user's own daemon: started by whoever needs it, once, and found by everybody."""

import datetime
import os
import signal
import time

from support import git, slotctl, wait
from support.case import Case
from support.daemon import is_alive
from support.varlink import Client


class Autostart(Case):
    def setUp(self):
        super().setUp()
        self.runtime = self.path("runtime")
        os.mkdir(self.runtime, 0o700)
        self.env = {"HOME": self.dir, "XDG_RUNTIME_DIR": self.runtime,
                    "XDG_STATE_HOME": self.path("state"), "XDG_CONFIG_HOME": self.path("config")}
        self.socket = os.path.join(self.runtime, "slotd", "slotd.sock")
        self.repository = git.make(self.path("repo"))
        self.addCleanup(self.end_daemon)

    def pid(self):
        try:
            with Client(self.socket) as c:
                return c.call("Ping")["pid"]
        except OSError:
            return None

    def end_daemon(self):
        pid = self.pid()
        if pid:
            os.kill(pid, signal.SIGTERM)
            wait.until(lambda: not is_alive(pid), "the user's slotd ends", 40)

    def ctl(self, *args, **kwargs):
        return slotctl.run("--user", *args, env=self.env, **kwargs)

    def test_run_inside_a_repository_is_all_it_takes(self):
        done = self.assert_exit(0, self.ctl("run", "--", "git", "rev-parse", "HEAD", cwd=self.repository))
        self.assertEqual(done.out.strip(), git.head(self.repository))
        self.assertIn("slotd", done.err)
        self.assertTrue(self.pid())
        again = self.assert_exit(0, self.ctl("run", "--", "true", cwd=self.repository))
        self.assertNotIn("started", again.err)
        pools = self.ctl("--json", "pool", "list").json()["pools"]
        self.assertEqual([(p["name"], p["path"]) for p in pools], [("repo", self.repository)])
        self.assertEqual(pools[0]["slotsReady"], 1)

    def test_what_a_pool_made_by_the_way_lacks_is_said(self):
        git.commit(self.repository, "large files", **{".gitattributes": "*.bin filter=lfs\n"})
        done = self.assert_exit(0, self.ctl("run", "--", "true", cwd=self.repository))
        self.assertRegex(done.err, r"(?m)^slotctl: pool repo lacks lfs \(.gitattributes\): ")
        shown = self.assert_exit(0, self.ctl("pool", "show", "repo"))
        self.assertRegex(shown.out, r"(?m)^lacks +lfs \(.gitattributes\): ")
        again = self.assert_exit(0, self.ctl("run", "--", "true", cwd=self.repository))
        self.assertNotIn("lfs", again.err)

    def test_quick_looks_do_not_start_one(self):
        for args in (("status",), ("slots",), ("ping",), ("acquire", "--no-start")):
            self.assert_exit(6, self.ctl(*args, cwd=self.repository))
        self.assertIsNone(self.pid())

    def test_configuration_written_later_is_taken(self):
        self.assert_exit(0, self.ctl("run", "--", "true", cwd=self.repository))
        pid = self.pid()
        git.write(self.path("config"), "slotd/slotd.yaml",
                  "pools: { late: { path: %s } }\n" % git.make(self.path("late")))
        os.kill(pid, signal.SIGHUP)  # nobody could watch a directory that was not there
        self.until(lambda: "late" in self.pools(), "the file is read")
        git.write(self.path("config"), "slotd/slotd.yaml",
                  "pools: { later: { path: %s } }\n" % git.make(self.path("later")))
        self.until(lambda: "later" in self.pools(), "its change is noticed")
        self.assertEqual(self.pid(), pid)

    def pools(self):
        return {p["name"] for p in self.ctl("--json", "pool", "list").json()["pools"]}

    def test_no_create_makes_no_pool(self):
        done = self.ctl("acquire", "--no-create", cwd=self.repository)
        self.assert_exit(4, done)
        self.assertEqual(self.ctl("--json", "pool", "list").json()["pools"], [])

    def test_of_many_who_start_it_exactly_one_wins(self):
        crowd = [slotctl.start("--user", "--json", "acquire", "--wait", "60s", env=self.env,
                               cwd=self.repository) for _ in range(5)]
        leases = set()
        for process in crowd:
            out, err = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, err)
            leases.add(out)
        self.assertEqual(len(leases), 5)
        pid = self.pid()
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            line = f.read()
        alike = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open("/proc/%s/cmdline" % entry, "rb") as f, \
                            open("/proc/%s/environ" % entry, "rb") as e:
                        if f.read() == line and self.runtime.encode() in e.read():
                            alike.append(int(entry))
                except OSError:
                    continue
        self.assertEqual(alike, [pid])

    def test_it_outlives_the_session_of_its_starter(self):
        process = slotctl.start("--user", "acquire", env=self.env, cwd=self.repository,
                                start_new_session=True)
        process.communicate(timeout=60)
        try:
            os.killpg(process.pid, signal.SIGHUP)
        except ProcessLookupError:
            pass
        pid = self.pid()
        self.assertTrue(pid)
        self.assertNotEqual(os.getsid(pid), process.pid)

    def test_remedy_is_for_a_daemon_that_does_not_run_only(self):
        done = self.assert_exit(6, self.ctl("status"))
        self.assertIn("slotctl daemon start", done.err)
        self.assert_exit(0, self.ctl("daemon", "start"))
        done = self.assert_exit(6, self.ctl("--timeout", "1us", "status"))
        self.assertIn("in time", done.err)
        self.assertNotIn("daemon start", done.err)
        done = slotctl.run("--system", "status", env=self.env)
        if "there is no socket" in done.err:
            self.assertIn("systemctl start slotd@USER.socket", done.err)

    def test_reload_without_a_configuration_keeps_the_defaults(self):
        self.assert_exit(0, self.ctl("daemon", "start"))
        os.kill(self.pid(), signal.SIGHUP)
        wait.until(lambda: "the configuration was read again" in self.ctl("daemon", "log").out,
                   "it was reloaded", 30)
        self.assertNotIn("was not taken", self.ctl("daemon", "log").out)

    def test_daemon_commands(self):
        self.assertNotEqual(self.ctl("daemon", "status").status, 0)
        self.assert_exit(0, self.ctl("daemon", "start"))
        self.assert_exit(0, self.ctl("daemon", "start"))
        self.assert_exit(0, self.ctl("daemon", "status"))
        log = self.assert_exit(0, self.ctl("daemon", "log")).out.splitlines()
        self.assertTrue(log)
        for line in log:
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ slotd(-worker)?: ")
        written = datetime.datetime.fromisoformat(log[-1].split()[0].replace("Z", "+00:00"))
        self.assertLess(abs(time.time() - written.timestamp()), 60)
        shown = self.ctl("--json", "daemon", "log", "-n", "1").json()
        self.assertEqual(shown, {"lines": log[-1:]})
        self.assertEqual(self.assert_exit(0, self.ctl("daemon", "log", "--lines", "0")).out, "")
        self.assertEqual(self.ctl("--json", "daemon", "log", "-n", "0").json(), {"lines": []})
        self.assert_exit(0, self.ctl("daemon", "stop"))
        self.assertIsNone(self.pid())
