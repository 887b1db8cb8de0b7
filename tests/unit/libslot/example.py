#!/usr/bin/env python3
"""example.py BUILD PROGRAM: the manual page's program leases slots of a real slotd."""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

BUILD, PROGRAM = sys.argv[1:3]
os.environ["SLOTD_BUILD"] = BUILD
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

from support.case import Case  # noqa: E402 (needs the path)


class Example(Case):
    def run_example(self, daemon, pool="p"):
        return subprocess.run([PROGRAM, pool], capture_output=True, text=True, timeout=120, check=False,
                              env={**os.environ, "SLOTD_SOCKET": daemon.socket})

    def test_it_works_in_a_slot_and_gives_it_back(self):
        daemon = self.one_pool(ready=1, maximum=1)
        tokens = []
        for _ in range(2):
            done = self.run_example(daemon)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stderr, "")
            slot, token = re.match(r"(\S+), token (\d+)\n", done.stdout).groups()
            self.assertIn("names in %s\n" % daemon.slot(slot)["path"], done.stdout)
            released = json.loads(re.search(r"^released: (.*)$", done.stdout, re.M).group(1))
            self.assertEqual((released["slot"], released["state"]), (slot, "ready"))
            tokens.append(int(token))
        self.assertLess(tokens[0], tokens[1])
        self.assertEqual(daemon.leases(), {})

    def test_it_says_why_there_is_no_slot(self):
        daemon = self.one_pool(ready=1, maximum=1)
        done = self.run_example(daemon, "nosuch")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"^no slot: .*nosuch")

    def test_without_a_daemon_it_says_where_it_looked(self):
        daemon = self.slotd(start=False)
        done = self.run_example(daemon)
        self.assertEqual(done.returncode, 1)
        self.assertIn(daemon.socket, done.stderr)


if __name__ == "__main__":
    if "vgpreload" in os.environ.get("LD_PRELOAD", ""):
        sys.exit(0)  # the daemon under valgrind is another test's business
    with tempfile.TemporaryDirectory(prefix="slotd-test-") as directory:
        os.chmod(directory, 0o755)
        os.environ["SLOTD_TEST_DIR"] = directory
        unittest.main(argv=sys.argv[:1])
