"""What slotctl shows on a terminal and nowhere else: colours and progress."""

import json
import os
import pty
import signal

from support import git, slotctl
from support.case import Case
from support.paths import product

ESCAPE = b"\x1b["


class Terminal(Case):
    def show(self, slotd, *args, env=None, status=0):
        """What slotctl writes when all its output goes to a terminal. A variable of None is not set."""
        variables = {**slotctl.environment(slotd.socket), "TERM": "xterm", **(env or {})}
        pid, master = pty.fork()
        if pid == 0:
            signal.alarm(60)
            os.execve(product("slotctl"), ["slotctl", *args],
                      {k: v for k, v in variables.items() if v is not None})
        seen = b""
        try:
            while data := os.read(master, 4096):
                seen += data
        except OSError:
            pass  # the other end is closed
        os.close(master)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), status, seen)
        return seen.replace(b"\r\n", b"\n")

    def test_colours_are_for_terminals_that_want_them(self):
        slotd = self.one_pool()
        for command in (("status",), ("slots",)):
            plain = self.ok(slotd, *command, env={"TERM": "xterm"}).out.encode()
            self.assertIn(b"ready" if command == ("slots",) else b"active", plain)
            self.assertNotIn(ESCAPE, plain)
            cases = (({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False),
                     ({"NO_COLOR": "0"}, False), ({"TERM": "dumb"}, False), ({"TERM": ""}, False),
                     ({"TERM": None}, False))
            for env, colored in cases:
                with self.subTest(command=command, env=env):
                    shown = self.show(slotd, *command, env=env)
                    self.assertEqual(ESCAPE in shown, colored, shown)

    def test_colours_are_all_that_a_terminal_adds(self):
        slotd = self.one_pool()
        shown = self.show(slotd, "slots", env={"NO_COLOR": "1"})
        plain = self.ok(slotd, "slots").out.encode()
        # the columns of times may differ by a second
        self.assertEqual([line.split()[:3] for line in shown.splitlines()],
                         [line.split()[:3] for line in plain.splitlines()])

    def test_json_is_never_coloured(self):
        slotd = self.one_pool()
        for command in (("status",), ("slots",), ("leases",)):
            shown = self.show(slotd, "--json", *command)
            self.assertNotIn(ESCAPE, shown)
            json.loads(shown)

    def test_progress_of_a_clone_is_for_terminals(self):
        url = "file://" + git.make_many(self.path("origin.git"), 2000)
        slotd = self.slotd()
        phases = "connecting|receiving|resolving"
        self.assertRegex(self.show(slotd, "pool", "add", "one", "--url", url), phases.encode())
        for pool, option in (("two", "--quiet"), ("three", "--json")):
            self.assertNotRegex(self.show(slotd, option, "pool", "add", pool, "--url", url), phases.encode())
        piped = self.ok(slotd, "pool", "add", "four", "--url", url)
        self.assertNotRegex(piped.out + piped.err, phases)

    def test_progress_is_not_for_terminals_that_take_no_codes(self):
        url = "file://" + git.make_many(self.path("origin.git"), 2000)
        slotd = self.slotd()
        for pool, term in (("one", "dumb"), ("two", None), ("three", "")):
            with self.subTest(TERM=term):
                shown = self.show(slotd, "pool", "add", pool, "--url", url, env={"TERM": term})
                self.assertNotRegex(shown, rb"[\x1b\r]")
                self.assertIn(b"active", shown)
        shown = self.show(slotd, "pool", "add", "four", "--url", url, env={"NO_COLOR": "1"})
        self.assertIn(b"\r\x1b[K", shown, "the line is written over all the same")
