"""slotctl run: a command in a slot, its status, its signals, its terminal."""

import os
import pty
import select
import signal
import subprocess
import sys
import time

from support import git, slotctl
from support.case import Case
from support.daemon import children, is_alive
from support.paths import product


class Run(Case):
    def run_in(self, slotd, *args, **kwargs):
        return self.slotctl(slotd, "run", "p", "--", *args, **kwargs)

    def assert_given_back(self, slotd):
        self.until(lambda: slotd.leases() == {}, "the lease has ended")

    def test_command_runs_in_the_slot_with_its_environment(self):
        slotd = self.one_pool()
        done = self.assert_exit(0, self.slotctl(
            slotd, "run", "p", "--branch", "topic", "--task", "t", "--", "sh", "-c",
            'pwd; echo "$SLOT_PATH|$SLOT_LEASE|$SLOT_TOKEN|$SLOT_POOL|$SLOT_ID|$SLOT_BRANCH|$SLOT_TASK|'
            '$SLOTD_SOCKET"; git rev-parse --abbrev-ref HEAD'))
        where, variables, branch = done.out.strip().split("\n")
        path, lease, token, pool, slot, name, task, sock = variables.split("|")
        self.assertEqual(where, path)
        self.assertRegex(lease, "^[0-9a-f]{32}$")
        self.assertTrue(int(token) > 0)
        self.assertEqual((pool, name, task, sock, branch), ("p", "topic", "t", slotd.socket, "topic"))
        self.assertEqual(os.path.basename(path), slot)
        self.assert_given_back(slotd)

    def test_exit_status_is_the_command_s(self):
        slotd = self.one_pool()
        for status in (0, 1, 2, 3, 5, 42, 255):
            self.assert_exit(status, self.run_in(slotd, "sh", "-c", "exit %d" % status))
            self.assert_given_back(slotd)

    def test_death_by_a_signal_is_128_plus_its_number(self):
        slotd = self.one_pool()
        for name, number in (("TERM", 15), ("KILL", 9), ("INT", 2)):
            self.assert_exit(128 + number, self.run_in(slotd, "sh", "-c", "kill -%s $$" % name))
        self.assert_given_back(slotd)

    def test_command_that_is_not_there_or_not_executable(self):
        slotd = self.one_pool()
        done = self.assert_exit(127, self.run_in(slotd, "no-such-command-anywhere"))
        self.assertTrue(done.err.startswith("slotctl: "))
        plain = git.write(self.dir, "plain", "text", 0o644)
        self.assert_exit(126, self.run_in(slotd, plain))
        self.assert_given_back(slotd)

    def test_refusal_comes_before_the_command_starts(self):
        slotd = self.one_pool(ready=1, maximum=1)
        slotd.acquire("p")
        marker = self.path("ran")
        done = self.assert_exit(3, self.run_in(slotd, "touch", marker))
        self.assertTrue(done.err.startswith("slotctl:"))
        self.assertFalse(os.path.exists(marker))

    def test_standard_input_and_output_are_passed_through(self):
        slotd = self.one_pool()
        done = self.run_in(slotd, "sh", "-c", "cat; echo oops >&2", data=b"hello")
        self.assertEqual((done.status, done.out), (0, "hello"))
        self.assertIn("oops\n", done.err)

    def wait_prolonged(self, slotd, lease, times):
        """Until the end of a lease has moved so many times."""
        for n in range(times):
            before = slotd.leases()[lease]["expiresAtUsec"]
            self.until(lambda b=before: slotd.leases()[lease]["expiresAtUsec"] > b, "it is prolonged for the %d. time" % n)

    def end(self, process, status):
        """Close the standard input of a command that waits for it; it ends with this status."""
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, status)

    def test_lease_is_renewed_while_the_command_runs(self):
        slotd = self.one_pool(lease={"ttl": "2s", "grace": "1s", "min_ttl": "1s", "abandon_after": "1s", "warn_before": "1s"})
        process = self.running(slotd, "sh", "-c", "echo up; read line; exit 4", stdin=subprocess.PIPE)
        (lease,) = slotd.leases()
        # prolonged at a third of its time: the fifth comes when ttl and grace would be over
        self.wait_prolonged(slotd, lease, 5)
        self.assertEqual(slotd.leases()[lease]["renewals"], 0, "slotctl reports nothing: that is the command's part")
        self.end(process, 4)
        self.assert_given_back(slotd)
        kinds = [e["kind"] for e in slotd.events() if e["lease"] == lease]
        self.assertNotIn("lease_recovered", kinds)
        self.assertNotIn("lease_stuck", kinds)
        self.assertEqual(kinds[-1], "lease_released")

    def test_unsaved_work_is_saved_and_said(self):
        slotd = self.one_pool()
        done = self.assert_exit(0, self.run_in(slotd, "sh", "-c", "echo mine > README"))
        (told,) = slotd.call("SalvageList")["salvage"]
        self.assertIn("slotctl salvage restore " + told["id"], done.err)
        self.assertIn("ready again", done.err)
        self.assertEqual(git.run(self.repository, "show", told["commit"] + ":README").stdout, b"mine\n")
        self.assert_given_back(slotd)

    def test_work_that_cannot_be_saved_is_kept_and_said(self):
        slotd = self.one_pool()
        done = self.assert_exit(0, self.run_in(slotd, sys.executable, "-c",
                                                "from support import git; git.spoil('.')"))
        self.assertIn("isolated", done.err)
        self.assert_given_back(slotd)

    def test_discard_throws_it_away(self):
        slotd = self.one_pool()
        self.assert_exit(0, self.slotctl(slotd, "run", "p", "--discard", "--", "sh", "-c",
                                         "echo mine > README"))
        self.assertNotIn("isolated", {s["state"] for s in slotd.slots().values()})
        self.assertEqual(slotd.call("SalvageList")["salvage"], [])

    def running(self, slotd, *args, **kwargs):
        """Started, and the command has said "up" on standard output."""
        process = slotctl.start("run", "p", "--", *args, socket=slotd.socket, **kwargs)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), b"up\n")
        return process

    def test_signals_are_forwarded(self):
        slotd = self.one_pool()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            process = self.running(slotd, "sh", "-c",
                                   "trap 'echo got; exit 7' TERM INT HUP USR1; echo up;"
                                   " while :; do sleep 0.05; done", start_new_session=True)
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
            self.assertEqual((out, process.returncode), (b"got\n", 7), err)
        self.assert_given_back(slotd)

    def test_slotctl_killed_ends_the_command(self):
        slotd = self.one_pool()
        for script in ("echo up; exec sleep 300",
                       "trap 'echo term; exit 0' TERM; echo up; while :; do sleep 0.05; done"):
            process = self.running(slotd, "sh", "-c", script, start_new_session=True)
            (command,) = children(process.pid)
            process.kill()
            self.until(lambda: not is_alive(command), "the command has ended")
            out, _ = process.communicate(timeout=30)
            self.assertEqual(out, b"term\n" if "trap" in script else b"")

    def test_slotctl_killed_ends_the_lease(self):
        slotd = self.one_pool(lease={"ttl": "2s", "grace": "1s", "min_ttl": "1s", "abandon_after": "1s", "warn_before": "1s"})
        process = self.running(slotd, "sh", "-c", "echo up; exec sleep 300", start_new_session=True)
        process.kill()
        process.wait()
        self.until(lambda: slotd.leases() == {}, "the lease has ended", 60)

    def test_lost_lease_ends_the_command_with_5(self):
        slotd = self.one_pool(lease={"ttl": "2s", "grace": "1s", "min_ttl": "1s", "abandon_after": "1s", "warn_before": "1s"})
        process = self.running(slotd, "sh", "-c", "trap 'echo term; exit 0' TERM; echo up;"
                               " while :; do sleep 0.05; done")
        (lease,) = slotd.leases()
        slotd.release(lease, force=True, wait=False)
        out, _ = process.communicate(timeout=60)
        self.assertEqual((out, process.returncode), (b"term\n", 5))

    def test_command_that_ignores_term_is_killed_when_the_lease_is_lost(self):
        slotd = self.one_pool(lease={"ttl": "2s", "grace": "1s", "min_ttl": "1s", "abandon_after": "1s", "warn_before": "1s"})
        process = self.running(slotd, "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done")
        (lease,) = slotd.leases()
        began = time.monotonic()
        slotd.release(lease, force=True, wait=False)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 5)
        self.assertGreater(time.monotonic() - began, 9)

    def test_restart_of_the_daemon_in_between_is_survived(self):
        slotd = self.one_pool(lease={"ttl": "4s", "grace": "4s", "min_ttl": "1s", "abandon_after": "1s", "warn_before": "1s"})
        process = self.running(slotd, "sh", "-c", "echo up; read line; exit 9", stdin=subprocess.PIPE)
        (lease,) = slotd.leases()
        slotd.restart()
        self.assertIn(lease, slotd.leases())
        self.wait_prolonged(slotd, lease, 2)
        self.end(process, 9)
        self.assert_given_back(slotd)
        self.assertNotIn("lease_recovered", [e["kind"] for e in slotd.events()])

    def test_a_lease_without_a_time_limit_that_was_taken_ends_the_command(self):
        slotd = self.one_pool()
        process = slotctl.start("run", "p", "--bind", "manual", "--", "sleep", "600", socket=slotd.socket)
        self.addCleanup(process.kill)
        (lease,) = self.until(slotd.leases, "it has a slot")
        slotd.release(slotd.leases()[lease]["slot"], force=True, wait=False)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 5)
        self.assertIn(b"is gone: ending the command", err)

    def test_nested_run_is_another_slot(self):
        slotd = self.one_pool()
        done = self.assert_exit(0, self.run_in(
            slotd, "sh", "-c", 'echo "$SLOT_ID"; %s run p -- sh -c \'echo "$SLOT_ID"\'' % product("slotctl")))
        first, second = done.out.split()
        self.assertNotEqual(first, second)


class Terminal(Case):
    def spawn(self, slotd, *args, env=None):
        """slotctl run on a terminal of its own; returns (pid, master)."""
        pid, master = pty.fork()
        if pid == 0:
            os.chdir("/")
            os.execve(product("slotctl"), ["slotctl", "run", "p", *args],
                      {**slotctl.environment(slotd.socket), "TERM": "dumb", "PS1": "$ ", **(env or {})})
        self.addCleanup(os.close, master)
        self.seen = b""
        return pid, master

    def expect(self, master, text, seconds=30):
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            left = deadline - time.monotonic()
            self.assertGreater(left, 0, "no %r in %r" % (text, self.seen))
            if select.select([master], [], [], left)[0]:
                try:
                    self.seen += os.read(master, 4096)
                except OSError:
                    self.assertIn(text, self.seen)
        before, _, self.seen = self.seen.partition(text)
        return before

    def status(self, pid):
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def test_without_a_command_it_is_the_shell(self):
        slotd = self.one_pool()
        pid, master = self.spawn(slotd, env={"SHELL": "/bin/sh"})
        os.write(master, b"echo at-$(basename $PWD)-$((40+2))\n")
        self.expect(master, b"at-p-")
        self.expect(master, b"-42")
        os.write(master, b"exit 6\n")
        self.assertEqual(self.status(pid), 6)
        self.until(lambda: slotd.leases() == {}, "the lease has ended")

    def test_command_is_the_foreground_of_the_terminal(self):
        slotd = self.one_pool()
        pid, master = self.spawn(slotd, "--", "sh", "-c", "test -t 0 && test -t 1 && echo tty-$((1+1));"
                                 " read line; echo got-$line")
        self.expect(master, b"tty-2")
        os.write(master, b"words\n")
        self.expect(master, b"got-words")
        self.assertEqual(self.status(pid), 0)

    def test_control_c_reaches_the_command(self):
        slotd = self.one_pool()
        pid, master = self.spawn(slotd, "--", "sh", "-c",
                                 "trap 'echo caught-$((2+3)); exit 4' INT; echo up-$((1+1));"
                                 " while :; do sleep 0.05; done")
        self.expect(master, b"up-2")
        os.write(master, b"\x03")
        self.expect(master, b"caught-5")
        self.assertEqual(self.status(pid), 4)

    def test_control_z_stops_and_fg_goes_on(self):
        slotd = self.one_pool()
        pid, master = pty.fork()
        if pid == 0:
            os.chdir("/")
            os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"],
                      {**slotctl.environment(slotd.socket), "TERM": "dumb", "PS1": "prompt> "})
        self.addCleanup(os.close, master)
        self.seen = b""
        self.expect(master, b"prompt> ")
        os.write(master, b"%s run p -- sh -c 'echo up-$((1+1)); read l; echo line-$l'\n"
                 % product("slotctl").encode())
        self.expect(master, b"up-2")
        os.write(master, b"\x1a")
        self.expect(master, b"Stopped")
        self.expect(master, b"prompt> ")
        self.assertEqual(len(slotd.leases()), 1)
        os.write(master, b"fg\n")
        self.expect(master, b"run p")
        os.write(master, b"word\n")
        self.expect(master, b"line-word")
        self.expect(master, b"prompt> ")
        os.write(master, b"echo code-$?; exit\n")
        self.expect(master, b"code-0")
        os.waitpid(pid, 0)
