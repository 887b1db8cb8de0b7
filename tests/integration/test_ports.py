"""A block of ports and a directory for temporary files for each slot."""

import os
import socket
import stat

from support import git
from support.case import Case

COUNT = 4


class Ports(Case):
    def setUp(self):
        super().setUp()
        self.base = self.free_block(10 * COUNT)

    def listen(self, port, family=socket.AF_INET, host="127.0.0.1"):
        s = socket.socket(family, socket.SOCK_STREAM)
        self.addCleanup(s.close)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host, port))
        s.listen()
        return s

    @staticmethod
    def free_block(count):
        """The first of so many ports that are free just now, below those of outgoing connections."""
        start = 20000 + os.getpid() % 100 * 100
        for base in range(start, 32000 - count, count):
            taken = []
            try:
                for port in range(base, base + count):
                    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                    taken.append(s)
                    s.bind(("0.0.0.0", port))
                return base
            except OSError:
                continue
            finally:
                for s in taken:
                    s.close()
        raise AssertionError("no free ports here")

    def pool(self, ready=2, maximum=4, **keys):
        slots = {"ready": ready, "max": maximum, "ports": {"base": self.base, "count": COUNT}}
        return self.one_pool(ready=ready, **{**keys, "slots": slots})

    def test_each_slot_has_a_block_of_its_own_in_every_pool(self):
        ports = {"base": self.base, "count": COUNT}
        pools = {name: {"path": git.make(self.path(name)), "slots": {"ready": 2, "max": 2, "ports": ports}}
                 for name in ("a", "b")}
        slotd = self.slotd(pools)
        leases = [slotd.acquire(name, waitUsec=60000000) for name in ("a", "b", "a", "b")]
        self.assertEqual(sorted(lease["portBase"] for lease in leases),
                         [self.base + i * COUNT for i in range(4)])
        self.assertEqual({lease["portCount"] for lease in leases}, {COUNT})
        for lease in leases:
            self.assertEqual(slotd.slot(lease["slot"])["portBase"], lease["portBase"])

    def test_a_slot_keeps_its_block_through_releases_and_restarts(self):
        slotd = self.pool(ready=1, maximum=1)
        lease = slotd.acquire("p")
        slotd.restart()
        self.assertEqual(slotd.slot(lease["slot"])["portBase"], lease["portBase"])
        slotd.release(lease["lease"])
        slotd.wait_ready("p")
        again = slotd.acquire("p", key="k")
        self.assertEqual((again["slot"], again["portBase"]), (lease["slot"], lease["portBase"]))
        self.assertEqual(slotd.acquire("p", key="k")["portBase"], lease["portBase"])

    def test_a_block_with_somebody_elses_listener_is_passed_over(self):
        self.listen(self.base + COUNT - 1)
        self.listen(self.base + COUNT, socket.AF_INET6, "::1")
        slotd = self.pool(ready=1, maximum=1)
        self.assertEqual(slotd.acquire("p")["portBase"], self.base + 2 * COUNT)

    def test_a_slot_whose_ports_were_taken_meanwhile_gets_others_when_it_is_given_out(self):
        slotd = self.pool(ready=1, maximum=1)
        self.assertEqual(slotd.slot("p-1")["portBase"], self.base)
        self.listen(self.base + 1)
        lease = slotd.acquire("p")
        self.assertEqual(lease["portBase"], self.base + COUNT)
        self.listen(self.base + COUNT)  # the holder itself
        self.assertEqual(slotd.slot(lease["slot"])["portBase"], lease["portBase"])
        (event,) = [e for e in slotd.events() if e["kind"] == "ports_moved"]
        self.assertEqual(event["detail"], "from %d to %d" % (self.base, self.base + COUNT))

    def test_without_a_free_block_a_slot_is_not_ready_and_says_why(self):
        self.base = 65536 - COUNT
        try:
            first = self.listen(self.base)
        except OSError:
            self.skipTest("port %d is in use" % self.base)
        self.repository = git.make(self.path("repository"))
        slots = {"ready": 1, "max": 1, "ports": {"base": self.base, "count": COUNT}}
        slotd = self.slotd({"p": {"path": self.repository, "slots": slots}})
        reason = self.until(lambda: slotd.slots("p").get("p-1", {}).get("reason"), "it says why")
        self.assertIn("no block of %d free ports is left from %d on" % (COUNT, self.base), reason)
        self.assertNotEqual(slotd.slot("p-1")["state"], "ready")
        first.close()
        slotd.wait_state("p-1", "ready")
        self.assertEqual(slotd.slot("p-1")["portBase"], self.base)

    def test_slots_of_before_get_ports_when_they_are_configured(self):
        slotd = self.one_pool(ready=1, maximum=1)
        self.assertIsNone(slotd.slot("p-1")["portBase"])
        slotd.pools["p"]["slots"]["ports"] = {"base": self.base, "count": COUNT}
        slotd.write_config()
        slotd.wait_log("configuration was read again")
        lease = slotd.acquire("p")
        self.assertEqual(lease["portBase"], self.base)
        slotd.pools["p"]["slots"]["ports"]["base"] = 0
        slotd.write_config()
        self.until(lambda: slotd.log().count("configuration was read again") >= 2, "read again")
        self.assertEqual(slotd.slot("p-1")["portBase"], self.base, "kept with the lease")
        slotd.release(lease["lease"])
        self.assertIsNone(slotd.slot("p-1")["portBase"])

    def test_commands_know_them(self):
        slotd = self.pool(ready=1, maximum=1)
        script = 'echo "$SLOT_PORT_BASE $SLOT_PORT_COUNT"'
        done = self.ok(slotd, "run", "p", "--", "sh", "-c", script)
        self.assertEqual(done.out, "%d %d\n" % (self.base, COUNT))
        out = self.ok(slotd, "acquire", "p", "--env").out
        self.assertIn("export SLOT_PORT_BASE=%d\n" % self.base, out)

    def test_a_pool_without_them_says_so(self):
        slotd = self.one_pool(ready=1, maximum=1)
        self.assertIn("unset SLOT_PORT_BASE\n", self.ok(slotd, "acquire", "p", "--env").out)


class Temporary(Case):
    def test_each_slot_has_a_directory_that_is_emptied_with_it(self):
        slotd = self.one_pool(ready=2, maximum=2)
        lease, other = slotd.acquire("p"), slotd.acquire("p")
        tmp = lease["tmpDir"]
        self.assertNotEqual(tmp, other["tmpDir"])
        self.assertFalse(tmp.startswith(lease["path"]))
        self.assertEqual(stat.S_IMODE(os.stat(tmp).st_mode), 0o700)
        git.write(tmp, "deep/file", "x", 0o400)
        os.chmod(os.path.join(tmp, "deep"), 0o500)
        os.symlink("/", os.path.join(tmp, "link"))
        self.assertEqual(slotd.release(lease["lease"])["state"], "ready")
        self.assertEqual(os.listdir(tmp), [])
        self.assert_invariants(slotd)

    def test_it_is_back_when_somebody_tidied_it_away(self):
        slotd = self.one_pool(ready=1, maximum=1)
        tmp = slotd.acquire("p", key="k")["tmpDir"]
        slotd.release(slotd.acquire("p", key="k")["lease"])
        slotd.wait_ready("p")
        os.rmdir(tmp)
        self.assertEqual(slotd.acquire("p")["tmpDir"], tmp)
        self.assertEqual(stat.S_IMODE(os.stat(tmp).st_mode), 0o700)

    def test_it_goes_with_its_slot(self):
        slotd = self.one_pool(ready=1, maximum=1)
        lease = slotd.acquire("p")
        git.write(lease["tmpDir"], "file")
        slotd.release(lease["lease"])
        self.ok(slotd, "slot", "remove", lease["slot"])
        self.assertFalse(os.path.exists(lease["tmpDir"]))
        self.assertEqual([n for n in os.listdir(os.path.dirname(lease["tmpDir"])) if lease["slot"] in n], [])

    def test_commands_know_it(self):
        slotd = self.one_pool(ready=1, maximum=1)
        done = self.ok(slotd, "run", "p", "--", "sh", "-c", 'test -d "$SLOT_TMPDIR" && echo "$SLOT_TMPDIR"')
        self.assertRegex(done.out, r"/slots/p/\.tmp-p-1\n$")
