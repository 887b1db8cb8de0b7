"""slotctl: exit statuses, JSON, help, and the pool that may be left out."""

import json
import os
import signal
import subprocess

from support import git, slotctl
from support.case import Case
from support.idl import Interface
from support.paths import product

COMMANDS = ["acquire", "release", "renew", "touch", "finish", "run", "status", "slots", "leases", "queue",
            "events", "ping", "pool list", "pool show", "pool add", "pool remove", "pool resize",
            "pool pause", "pool resume", "pool drain", "pool fetch", "slot add", "slot remove",
            "config check", "config show", "daemon start", "daemon stop", "daemon status", "daemon log"]

ACQUIRE_KEYS = {"lease", "token", "slot", "pool", "path", "commonDir", "gitDir", "head", "branch", "agent",
                "task", "acquiredAtUsec", "expiresAtUsec", "base", "handoff", "tmpDir", "portBase", "portCount"}
POOL_KEYS = {"name", "ready", "preparing", "leased", "cleaning", "creating", "recovering", "isolated",
             "total", "max", "waiting", "paused", "head"}
SLOT_KEYS = {"slot", "pool", "path", "state", "reason", "lease", "agent", "task", "head", "branch",
             "sinceAtUsec", "allocations", "usedUsec", "diskBytes", "portBase", "isolatedAtUsec", "isolatedBy",
             "meta"}
LEASE_KEYS = {"lease", "slot", "pool", "agent", "task", "status", "bind", "acquiredAtUsec", "expiresAtUsec",
              "renewedAtUsec", "renewals", "progress", "message", "graceUsec", "mergeExtensions"}
STATS_KEYS = {"totalActive", "expired", "expiringSoon", "highRenewalCount", "averageRenewalCount",
              "byStatus", "recoveriesSkippedTerminal"}


class Help(Case):
    """Needs no daemon."""

    def run_plain(self, *args, **kwargs):
        return slotctl.run(*args, socket=self.path("nowhere.sock"), **kwargs)

    def test_help_goes_to_standard_output_with_exit_0_at_every_level(self):
        texts = set()
        for args in ((), ("pool",), *[tuple(c.split()) for c in COMMANDS]):
            for how in ((*args, "--help"), (*args, "-h"), ("help", *args)):
                with self.subTest(args=how):
                    done = self.assert_exit(0, self.run_plain(*how))
                    self.assertTrue(done.out)
                    self.assertEqual(done.err, "")
            texts.add(done.out)
        self.assertEqual(len(texts), len(COMMANDS) + 2)

    def test_help_names_every_command_in_groups(self):
        self.assertIn("slotctl ping [COMMAND]", self.run_plain("help", "ping").out)
        out = self.run_plain("--help").out
        for word in {c.split()[0] for c in COMMANDS} | {"Agents", "Operators", "Diagnosis"}:
            self.assertIn(word, out)
        self.assertNotIn("\x1b", out)

    def test_version_at_every_level(self):
        for args in ((), ("acquire",), ("pool", "add")):
            done = self.assert_exit(0, self.run_plain(*args, "--version"))
            self.assertRegex(done.out, r"\d+\.\d+\.\d+")

    def test_wrong_use_is_exit_2_and_names_the_nearest(self):
        for args, word in ((("aquire",), "acquire"), (("pool", "lst"), "list"), (("acquire", "--brnch", "x"),
                           "--branch"), (("--jsn", "status"), "--json"), ((), ""), (("pool",), ""),
                           (("renew", "x", "--progress", "many"), ""), (("acquire", "--wait", "soon"), ""),
                           (("pool", "add"), ""), (("status", "extra"), ""), (("acquire", "--ref"), "")):
            with self.subTest(args=args):
                done = self.assert_exit(2, self.run_plain(*args))
                self.assertEqual(done.out, "")
                self.assertIn(word, done.err)

    def test_wrong_values_are_exit_2_and_say_why_before_a_daemon_is_asked(self):
        here = git.make(self.path("repository"))
        for args, why in ((("pool", "add", "X"), "lower-case letter"), (("pool", "add", "a-1"), "number"),
                          (("pool", "add", "q", "--url", "nonsense"), "https://"),
                          (("pool", "add", "q", "--ready", "5", "--max", "2"), "above"),
                          (("pool", "add", "q", "--max", "10001"), "10000"),
                          (("pool", "add", "q", "--ref", "a..b"), "git allows no"),
                          (("pool", "resize", "q", "--max", "0"), "1 to 10000"),
                          (("pool", "resize", "q", "--ready", "5", "--max", "2"), "above"),
                          (("acquire", "--branch", "a..b"), "git allows no \"..\""),
                          (("run", "--branch", "a b", "--", "true"), "git allows no spaces"),
                          (("acquire", "--branch", "HEAD"), "HEAD"),
                          (("acquire", "--bind", "foo"), "ttl, process, connection and manual"),
                          (("acquire", "--bind", "process:x"), "ttl, process, connection and manual"),
                          (("acquire", "--bind", "ttl+manual"), "stands alone"),
                          (("daemon", "log", "--lines", "100001"), "100000")):
            with self.subTest(args=args):
                done = self.assert_exit(2, self.run_plain(*args, cwd=here))
                self.assertEqual(done.out, "")
                self.assertIn(why, done.err)
                self.assertEqual(self.run_plain("--json", *args, cwd=here).json()["error"],
                                 "io.slotd.slotctl.Usage")

    def test_what_nobody_meant_is_not_proposed(self):
        for word in ("foo", "recover"):
            self.assertNotIn("did you mean", self.assert_exit(2, self.run_plain(word)).err)

    def test_path_that_is_not_there_is_exit_4(self):
        for path in ("/nonexistent", "nonexistent", "/etc/passwd/x"):
            done = self.assert_exit(4, self.run_plain("--json", "pool", "add", "q", "--path", path))
            self.assertEqual(done.json()["error"], "io.slotd.slotctl.NotFound")
            self.assertIn(path, done.err)

    def test_daemon_not_reachable_is_exit_6(self):
        for args in (("status",), ("ping",), ("slots",), ("release", "0" * 32), ("acquire", "--no-start", "p")):
            done = self.assert_exit(6, self.run_plain(*args))
            self.assertIn(self.path("nowhere.sock"), done.err)
            done = self.assert_exit(6, self.run_plain("--json", *args))
            self.assertEqual(set(done.json()), {"error", "message", "parameters"})
            self.assertEqual(len(done.err.strip().split("\n")), 1)

    def test_config_check_needs_no_daemon(self):
        good = git.write(self.dir, "good.yaml", "workers: 2\n")
        bad = git.write(self.dir, "bad.yaml", "workers: 2\nworkres: 3\ndisk: { reserve: much }\n")
        self.assert_exit(0, self.run_plain("config", "check", good))
        done = self.assert_exit(1, self.run_plain("config", "check", bad))
        self.assertRegex(done.out + done.err, r"bad\.yaml:2:1: .*workers")
        self.assertRegex(done.out + done.err, r"bad\.yaml:3:\d+: ")
        self.assertNotEqual(self.run_plain("config", "check", self.path("absent.yaml")).status, 0)


class Commands(Case):
    def test_acquire_prints_the_path_and_release_takes_it(self):
        slotd = self.one_pool()
        path = self.ok(slotd, "acquire", "p").out
        self.assertTrue(path.endswith("\n"))
        self.assertTrue(os.path.isdir(path.strip()))
        (lease,) = slotd.leases()
        self.ok(slotd, "release", lease)
        self.assertEqual(slotd.leases(), {})

    def test_json_of_every_listing_has_the_keys_of_the_design(self):
        slotd = self.one_pool()
        lease = self.ok(slotd, "--json", "acquire", "p", "--agent", "a").json()
        self.assertEqual(set(lease), ACQUIRE_KEYS | {"sequence"})
        self.assertEqual(set(lease["base"]), {"ref", "ageUsec", "behind"})
        status = self.ok(slotd, "--json", "status").json()
        self.assertLessEqual({"version", "uptimeUsec", "pools", "findings"}, set(status))
        self.assertLessEqual(POOL_KEYS, set(status["pools"][0]))
        slots = self.ok(slotd, "--json", "slots").json()
        self.assertEqual(set(slots["slots"][0]), SLOT_KEYS)
        leases = self.ok(slotd, "--json", "leases").json()
        self.assertEqual(set(leases["leases"][0]), LEASE_KEYS)
        self.assertEqual(set(leases["stats"]), STATS_KEYS)
        health = self.ok(slotd, "--json", "ping", "health").json()
        self.assertEqual(Interface().mismatch_reply("PingHealth", health), [])
        done = self.ok(slotd, "--json", "release", lease["lease"]).json()
        self.assertLessEqual({"lease", "slot", "pool", "salvage", "state"}, set(done))

    def test_json_is_what_the_daemon_said(self):
        slotd = self.one_pool()
        for command, method in (("slots", "Slots"), ("leases", "Leases"), ("queue", "Queue"),
                                ("pool list", "PoolList")):
            self.assertEqual(self.ok(slotd, *command.split(), "--json").json(), slotd.call(method))

    def test_exit_statuses(self):
        slotd = self.one_pool(ready=1, maximum=1)
        lease = self.ok(slotd, "--json", "acquire", "p").json()
        cases = [
            (3, ["acquire", "p"]), (3, ["acquire", "p", "--wait", "1s"]), (4, ["acquire", "nope"]),
            (5, ["renew", "f" * 32]), (4, ["renew", "nonsense"]), (4, ["release", "p-99"]),
            (4, ["pool", "show", "nope"]), (1, ["slot", "remove", lease["slot"]]),
            (1, ["pool", "remove", "p"]), (2, ["pool", "remove", "p", "--delete-store"]),
            (0, ["renew", lease["lease"], "--progress", "50", "--message", "half"]),
            (0, ["touch", lease["lease"]]), (0, ["finish", lease["lease"], "--state", "done"]),
            (5, ["release", lease["lease"]]), (0, ["pool", "pause", "p"]), (3, ["acquire", "p"]),
            (0, ["pool", "resume", "p"]), (0, ["ping"]), (0, ["ping", "health"]), (0, ["events"]),
            (0, ["config", "show"]), (0, ["queue"]), (1, ["pool", "resize", "p", "--max", "3"]),
            (3, ["slot", "add", "p"]), (0, ["pool", "fetch", "p"]), (0, ["version"]),
        ]
        for status, args in cases:
            with self.subTest(args=args):
                done = self.assert_exit(status, self.slotctl(slotd, *args))
                if status:
                    self.assertTrue(done.err.startswith("slotctl: "), done.err)
                    self.assertEqual(done.out, "")

    def test_repository_that_is_not_there_is_exit_4_however_it_is_named(self):
        slotd = self.slotd()
        for source in (("--path", "/nonexistent"), ("--path", self.dir), ("--url", "file:///nonexistent"),
                       ("--url", "/nonexistent"), ("--url", "file://" + self.dir)):
            with self.subTest(source=source):
                self.assert_exit(4, self.slotctl(slotd, "pool", "add", "q", *source))

    def test_value_that_only_the_daemon_refuses_is_exit_2_and_says_why(self):
        slotd = self.one_pool()
        for args, why in ((("--ttl", "0"), "--ttl"), (("--task", "x" * 3000), "too long"),
                          (("--branch", "x" * 3000), "too long"), (("--meta", "a=" + "x" * 9000), "too long")):
            with self.subTest(args=args[0]):
                self.assertIn(why, self.assert_exit(2, self.slotctl(slotd, "acquire", "p", *args)).err)

    def test_failure_with_json_is_one_document(self):
        slotd = self.one_pool()
        done = self.assert_exit(4, self.slotctl(slotd, "--json", "acquire", "nope"))
        answer = done.json()
        self.assertEqual(set(answer), {"error", "message", "parameters"})
        self.assertEqual(answer["error"], "io.slotd.pool.NotFound")
        self.assertIn("nope", answer["message"])

    def test_release_says_what_was_saved_and_how_to_have_it_back(self):
        slotd = self.one_pool()
        lease = self.ok(slotd, "--json", "acquire", "p").json()
        git.write(lease["path"], "README", "mine\n")
        done = self.ok(slotd, "release", lease["lease"])
        salvage = self.assert_saved(slotd, lease, {"README": b"mine\n"})
        self.assertIn("%s was given back and is ready again" % lease["slot"], done.out + done.err)
        self.assertIn("(1 changed file): slotctl salvage restore %s --to DIR" % salvage.id, done.out + done.err)

    def test_isolated_release_is_exit_0_and_says_where(self):
        slotd = self.one_pool()
        lease = self.ok(slotd, "--json", "acquire", "p").json()
        git.spoil(lease["path"])
        done = self.ok(slotd, "release", lease["lease"])
        self.assertIn("isolated", done.out + done.err)
        shown = self.ok(slotd, "status")
        self.assertIn("1", shown.out)
        self.assertEqual(shown.out.splitlines()[-1], "1 finding; see slotctl slots --state isolated")
        self.assertIn("isolated", self.ok(slotd, "slots").out)

    def test_env_prints_exports_for_a_shell(self):
        slotd = self.one_pool()
        done = subprocess.run(
            ["sh", "-ec", 'eval "$(%s acquire p --env --task "a \'b\' $HOME")"; cd "$SLOT_PATH"; pwd;'
             ' echo "$SLOT_LEASE $SLOT_TOKEN $SLOT_POOL $SLOT_ID"; printf "%%s\n" "$SLOT_TASK";'
             ' %s release' % ((product("slotctl"),) * 2)],
            env={**slotctl.environment(slotd.socket), "HOME": "/x y"}, capture_output=True, text=True,
            timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.split("\n")
        self.assertTrue(lines[0].startswith(slotd.slots_dir))
        self.assertEqual(lines[1].split()[2], "p")
        self.assertEqual(lines[2], "a 'b' /x y")
        self.assertEqual(slotd.leases(), {})

    def test_release_without_argument_takes_lease_from_environment_or_directory(self):
        slotd = self.one_pool()
        lease = self.ok(slotd, "--json", "acquire", "p").json()
        self.ok(slotd, "release", env={"SLOT_LEASE": lease["lease"]})
        lease = self.ok(slotd, "--json", "acquire", "p").json()
        self.ok(slotd, "release", cwd=lease["path"])
        lease = self.acquired_apart(slotd)
        self.assert_exit(8, self.slotctl(slotd, "release", cwd=lease["path"]))
        self.ok(slotd, "release", "--agent", "me", cwd=os.path.join(lease["path"], "src"))
        self.assertEqual(slotd.leases(), {})

    def acquired_apart(self, slotd):
        done = slotctl.run_apart("--json", "acquire", "p", "--agent", "me", socket=slotd.socket)
        return self.assert_exit(0, done).json()

    def test_release_by_slot_or_path_of_somebody_else_is_exit_8(self):
        slotd = self.one_pool()
        lease = self.acquired_apart(slotd)
        done = self.assert_exit(8, self.slotctl(slotd, "release", lease["slot"]))
        self.assertIn("--agent NAME", done.err)
        self.assertIn("acquire --env", done.err)
        self.assert_exit(8, self.slotctl(slotd, "release", lease["path"]))
        self.assert_exit(8, self.slotctl(slotd, "release", lease["slot"], "--agent", "you"))
        self.ok(slotd, "release", lease["slot"], "--force")

    def test_each_command_in_a_shell_of_its_own_as_the_manual_has_it(self):
        slotd = self.one_pool()
        for line in ("acquire p --agent agent-7 --env > %s", ". %s && slotctl renew", ". %s && slotctl release"):
            script = line % self.path("agent-7.slot")
            script = script.replace("slotctl", product("slotctl"))
            done = subprocess.run(["sh", "-c", script if script[0] == "." else product("slotctl") + " " + script],
                                  env=slotctl.environment(slotd.socket), capture_output=True, text=True,
                                  timeout=60, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(slotd.leases(), {})
        done = slotctl.run_apart("acquire", "p", "--agent", "agent-7", socket=slotd.socket)
        self.assert_exit(0, slotctl.run_apart("release", "--agent", "agent-7", done.out.strip(),
                                              socket=slotd.socket))
        self.assertEqual(slotd.leases(), {})

    def test_outside_of_any_repository_one_line_says_what_to_do(self):
        slotd = self.one_pool()
        for args in (("acquire",), ("run", "--", "true")):
            done = self.assert_exit(4, self.slotctl(slotd, *args, cwd="/usr"))
            self.assertRegex(done.err, r"\Aslotctl: /usr is in no repository.*name a POOL.*\n\Z")
        self.assertIn("/usr", self.slotctl(slotd, "--json", "acquire", cwd="/usr").json()["message"])

    def test_unavailable_is_explained_once(self):
        slotd = self.one_pool()
        self.ok(slotd, "pool", "pause", "p")
        done = self.assert_exit(3, self.slotctl(slotd, "acquire", "p"))
        self.assertEqual(done.err.count("\n"), 1, done.err)

    def test_status_names_the_command_that_shows_its_findings(self):
        slotd = self.slotd({"broken": {"url": "file:///nonexistent"}})
        self.until(lambda: slotd.pool("broken")["problem"], "the pool has a problem")
        last = self.ok(slotd, "status").out.splitlines()[-1]
        self.assertEqual(last, "1 finding; see slotctl pool list")
        self.assertIn("nonexistent", self.ok(slotd, "pool", "list").out)

    def test_events_stand_in_columns(self):
        slotd = self.one_pool(lease={"ttl": "2s", "grace": "1s", "min_ttl": "1s", "abandon_after": "1s", "warn_before": "1s"})
        slotd.acquire("p", agent="a")
        self.until(lambda: "lease_expiring_soon" in [e["kind"] for e in slotd.events()], "the warning")
        lines = self.ok(slotd, "events").out.splitlines()
        self.assertEqual([line for line in lines if line[48:50] != "  " or line[50] == " "], [])

    def test_pool_may_be_left_out_inside_the_repository_or_a_slot(self):
        slotd = self.one_pool()
        path = self.ok(slotd, "acquire", cwd=os.path.join(self.repository, "src")).out.strip()
        self.ok(slotd, "acquire", cwd=path)
        done = self.slotctl(slotd, "acquire", "--no-create", cwd="/usr")
        self.assertNotEqual(done.status, 0)
        self.assertTrue(done.err)

    def test_pool_may_be_left_out_inside_a_worktree_of_the_repository(self):
        slotd = self.one_pool()
        git.run(self.repository, "worktree", "add", "-q", "-b", "own", self.path("own"))
        self.ok(slotd, "acquire", cwd=self.path("own"))

    def test_priorities_by_name(self):
        slotd = self.one_pool(ready=1, maximum=1)
        held = slotd.acquire("p")
        waiting = []
        for count, priority in enumerate(("low", "medium", "high", "critical"), 1):
            waiting.append(slotctl.start("acquire", "p", "--wait", "60s", "--priority", priority,
                                         "--agent", priority, socket=slotd.socket))
            self.until(lambda n=count: len(slotd.call("Queue")["queue"]) == n, "%s waits" % priority)
        queue = sorted(slotd.call("Queue")["queue"], key=lambda w: w["position"])
        order = [w["agent"] for w in queue]
        self.assertEqual(order, ["critical", "high", "medium", "low"])
        for _ in waiting:
            slotd.release(held["lease"])
            (lease,) = self.until(slotd.leases, "the next one holds it")
            held = {"lease": lease}
        for process in waiting:
            process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0)

    def test_meta_and_key_and_ttl_arrive(self):
        slotd = self.one_pool()
        args = ("--json", "acquire", "p", "--key", "k", "--ttl", "2m", "--meta", "a=b", "--meta", "c=d=e")
        first = self.ok(slotd, *args).json()
        self.assertEqual(self.ok(slotd, *args).json()["lease"], first["lease"])
        self.assertEqual(slotd.slot(first["slot"])["meta"], {"a": "b", "c": "d=e"})
        self.assertAlmostEqual(first["expiresAtUsec"] - first["acquiredAtUsec"], 120e6, delta=2e6)

    def test_events_with_json_are_one_document_a_line(self):
        slotd = self.one_pool()
        slotd.release(slotd.acquire("p")["lease"])
        lines = self.ok(slotd, "--json", "events").out.strip().split("\n")
        numbers = [e["sequence"] for line in lines for e in json.loads(line)["events"]]
        self.assertEqual(numbers, [e["sequence"] for e in slotd.events()])
        since = self.ok(slotd, "--json", "events", "--since", str(numbers[1])).out.strip().split("\n")
        self.assertEqual(json.loads(since[0])["events"][0]["sequence"], numbers[2])

    def test_tables_have_no_colour_when_nobody_looks(self):
        slotd = self.one_pool()
        slotd.acquire("p")
        for command in ("status", "slots", "leases", "queue", "pool list", "pool show p", "events"):
            done = self.ok(slotd, *command.split())
            self.assertNotIn("\x1b", done.out)
            self.assertEqual([line for line in done.out.split("\n") if line != line.rstrip()], [])

    def test_pool_add_and_remove(self):
        slotd = self.slotd()
        source = git.make(self.path("source"))
        self.ok(slotd, "pool", "add", "q", "--path", source, "--ready", "1", "--max", "2")
        slotd.wait_ready("q")
        self.assertIn("q", self.ok(slotd, "pool", "list").out)
        self.ok(slotd, "pool", "remove", "q")
        self.assertEqual(slotd.call("PoolList")["pools"], [])

    def test_relative_path_is_the_caller_s(self):
        slotd = self.slotd()
        git.make(self.path("source"))
        self.ok(slotd, "pool", "add", "q", "--path", "source", cwd=self.dir)
        self.assertEqual(slotd.call("PoolShow", pool="q")["pool"]["path"], self.path("source"))

    def test_timeout_is_kept(self):
        slotd = self.slotd()
        slotd.signal(signal.SIGSTOP)
        try:
            done = self.slotctl(slotd, "--timeout", "1s", "status")
        finally:
            slotd.signal(signal.SIGCONT)
        self.assert_exit(6, done)
