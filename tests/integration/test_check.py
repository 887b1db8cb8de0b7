"""Is everything whole? Told right, once, to everybody who waits for it; what was verified is not read again."""

import contextlib
import os
import signal
import threading
import time
import unittest

from support import clocks, elsewhere, git, slotctl
from support.case import Case
from support.daemon import is_alive
from support.varlink import Closed, Error

NOBODY = 65534
NEVER = {"integrity": {"check_every": "0s", "scrub_days": 0}}
KEYS = {"ok", "objects", "packs", "objectsRead", "elapsedUsec", "findings", "truncated", "counts", "meanings",
        "unsettled", "problems"}
FINDING_KEYS = {"id", "severity", "where", "slot", "object", "path", "detail", "pool", "sinceLast"}


class Checks(Case):
    def pool(self, settings=None, **keys):
        """A slotd with pool p, which checks nothing by itself unless settings say so."""
        slotd = self.one_pool(settings=settings or NEVER, **keys)
        slotd.wait_quiet()
        return slotd

    def check(self, slotd, *targets, **parameters):
        return slotd.call("Check", targets=list(targets) or None, **parameters)

    def ids(self, reply, severity=None):
        return {f["id"] for f in reply["findings"] if severity in (None, f["severity"])}

    def told(self, slotd, *kinds):
        return [e for e in slotd.events() if e["kind"] in kinds]

    # --- damages

    def in_repository(self, *names):
        return os.path.join(self.repository, ".git", *names)

    def empty_a_ref(self, name="broken"):
        """An error that concerns the store."""
        git.write(self.repository, ".git/refs/heads/" + name)

    def break_a_symref(self, name="nowhere"):
        """A warning that concerns the store."""
        git.write(self.repository, ".git/refs/heads/" + name, "ref: refs/heads/there-is-none\n")

    def break_head(self, slot):
        """An error that concerns one slot."""
        git.write(self.repository, ".git/worktrees/slotd-%s/HEAD" % slot, "nonsense\n")

    def break_pack(self):
        git.run(self.repository, "repack", "-adq")
        directory = self.in_repository("objects", "pack")
        path = os.path.join(directory, next(n for n in os.listdir(directory) if n.endswith(".pack")))
        os.chmod(path, 0o644)
        with open(path, "r+b") as f:
            f.seek(os.path.getsize(path) // 2)
            byte = f.read(1)
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte[0] ^ 1]))

    # --- while one goes on

    def hold(self, slotd):
        """The next check stands still until let_go() or the end of the test: its worker, the only one, is stopped."""
        pid, *others = self.until(slotd.workers, "there is a worker")
        for other in others:  # they have nothing to do
            os.kill(other, signal.SIGKILL)
        self.until(lambda: slotd.call("PingHealth")["workers"] == 1, "one worker is left")
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(self.let_go, pid)
        return pid

    def wait_begun(self, slotd):
        """A worker was given the check, and nobody has anything else to do."""
        self.until(lambda: slotd.call("PingHealth")["activeOperations"] == 1, "the check has begun")

    @staticmethod
    def wait_read(slotd):
        """What was asked before has been read: who comes later is answered."""
        for _ in range(2):
            slotd.call("Ping")

    def ask(self, slotd, *targets, **parameters):
        """Check, asked elsewhere: an object with .result or .error when .done() is called."""
        return Asker(slotd, targets, parameters)


class Asker:
    """A call of Check on a connection of its own, which was accepted and has it."""

    def __init__(self, slotd, targets, parameters):
        self.client = slotd.client()
        self.result = self.error = None
        self.client.call("Ping")
        self.client.send("Check", {**({"targets": list(targets)} if targets else {}), **parameters})
        self.thread = threading.Thread(target=self._wait, daemon=True)
        self.thread.start()

    def _wait(self):
        try:
            self.result = self.client.result()
        except (Error, Closed, OSError) as e:
            self.error = e

    def is_done(self):
        return not self.thread.is_alive()

    def done(self, seconds=60):
        self.thread.join(seconds)
        if self.thread.is_alive():
            raise AssertionError("the check was not answered")
        self.client.close()
        return self.result

    def go_away(self):
        """As a caller that dies does."""
        self.client.socket.shutdown(2)
        self.client.close()


class Answers(Checks):
    def test_of_a_clean_pool_there_is_nothing_to_tell(self):
        slotd = self.pool()
        reply = self.check(slotd)
        self.assertEqual((reply["ok"], self.ids(reply, "error") | self.ids(reply, "warning")), (True, set()),
                         reply["findings"])
        self.assertEqual(set(reply), KEYS)
        self.assertEqual((reply["truncated"], reply["problems"], reply["unsettled"]), (False, [], []))
        objects = len(git.lines(self.repository, "cat-file", "--batch-all-objects", "--batch-check"))
        self.assertEqual(reply["objects"], objects)
        self.assertEqual(self.ok(slotd, "--json", "check").json()["ok"], True)
        out = self.ok(slotd, "check").out
        self.assertRegex(out, r"nothing found; \d+ objects, 0 of them read, in \d+\.\d\d s")
        self.assertEqual(self.told(slotd, "finding"), [])
        self.assertEqual(slotd.call("Status")["findings"], 0)

    def test_damages_are_named_with_whom_they_concern(self):
        slotd = self.pool()
        self.empty_a_ref()
        self.break_a_symref()
        self.break_head("p-1")
        result = self.assert_exit(7, self.slotctl(slotd, "--json", "check"))
        reply = result.json()
        self.assertFalse(reply["ok"])
        by_id = {f["id"]: f for f in reply["findings"]}
        self.assertLessEqual({"empty-ref", "broken-symref", "bad-head"}, set(by_id))
        for finding in reply["findings"]:
            self.assertEqual(set(finding) - {"pathBase64", "whereBase64"}, FINDING_KEYS)
            self.assertEqual((finding["pool"], finding["sinceLast"]), ("p", True))
        self.assertEqual(by_id["empty-ref"]["slot"], None)
        self.assertEqual(by_id["empty-ref"]["where"], "refs/heads/broken")
        self.assertEqual(by_id["bad-head"]["slot"], "p-1")
        self.assertEqual(by_id["broken-symref"]["severity"], "error")
        self.assertEqual(reply["counts"]["error"], len([f for f in reply["findings"] if f["severity"] == "error"]))
        self.assertIn("empty", reply["meanings"]["empty-ref"])
        table = self.assert_exit(7, self.slotctl(slotd, "check")).out
        self.assertRegex(table, r"(?m)^error +bad-head +p-1 ")
        self.assertRegex(table, r"(?m)^error +broken-symref +p +refs/heads/nowhere ")
        self.assertIn("slotctl pool pause p", table)
        self.assertIn("slotctl explain p-1", table)

    def test_a_pack_that_rots_is_found_when_all_is_read_again(self):
        slotd = self.pool()
        git.run(self.repository, "repack", "-adq")
        self.assertTrue(self.check(slotd)["ok"])
        self.break_pack()
        self.assertLessEqual({"corrupt-pack"}, self.ids(self.check(slotd, depth="full"), "error"))

    def test_what_one_slot_alone_lacks_concerns_that_slot(self):
        slotd = self.pool()
        lease = slotd.acquire("p")
        commit = git.commit(lease["path"], "mine", only="in this slot\n")
        self.assertTrue(self.check(slotd)["ok"])
        blob = git.text(lease["path"], "rev-parse", "HEAD:only")
        os.unlink(self.in_repository("objects", blob[:2], blob[2:]))
        missing = [f for f in self.check(slotd)["findings"] if f["id"] == "missing-object"]
        self.assertTrue(missing)
        self.assertEqual({(f["slot"], f["object"]) for f in missing}, {(lease["slot"], blob)}, (missing, commit))
        self.assertTrue(any(f["path"] and f["path"].endswith("only") for f in missing), missing)

    def test_a_slot_is_told_what_concerns_it_and_no_other(self):
        slotd = self.pool()
        self.break_head("p-1")
        self.break_head("p-2")
        self.empty_a_ref()
        for depth in ("plain", "full"):
            reply = self.check(slotd, "p-1", depth=depth)
            self.assertEqual({f["slot"] for f in reply["findings"]} - {None}, {"p-1"})
            self.assertLessEqual({"bad-head", "empty-ref"}, self.ids(reply))
            self.assertEqual(reply["counts"]["error"],
                             len([f for f in reply["findings"] if f["severity"] == "error"]))
        both = self.check(slotd, "p-1", "p-2")
        self.assertLessEqual({"p-1", "p-2"}, {f["slot"] for f in both["findings"]})
        self.assertEqual(self.check(slotd, "p-1", "p")["counts"], self.check(slotd)["counts"])

    def test_a_quick_look_is_at_slots_alone(self):
        slotd = self.pool()
        self.break_head("p-1")
        self.empty_a_ref()
        reply = self.check(slotd, "p-1", depth="quick")
        self.assertFalse(reply["ok"])
        self.assertIn("bad-head", self.ids(reply))
        self.assertEqual({f["slot"] for f in reply["findings"]}, {"p-1"})
        self.assertTrue(self.check(slotd, "p-2", depth="quick")["ok"])
        self.assertEqual({f["slot"] for f in self.check(slotd, "p", depth="quick")["findings"]}, {"p-1"})
        self.assertEqual(self.told(slotd, "checked", "finding"), [], "nothing of it is recorded")
        self.assertEqual(slotd.call("Status")["findings"], 0)
        self.assert_exit(7, self.slotctl(slotd, "check", "--quick", "p-1"))
        self.ok(slotd, "check", "--quick", "p-2")

    def test_strict_counts_warnings_in_ok_and_in_the_exit_status(self):
        slotd = self.pool()
        blob = git.text(self.repository, "hash-object", "-w", "--stdin", data=b"odd")
        git.run(self.repository, "hash-object", "-t", "tree", "-w", "--literally", "--stdin",
                data=b"0100644 a\0" + bytes.fromhex(blob))
        reply = self.check(slotd)
        self.assertEqual((reply["ok"], self.ids(reply, "error"), self.ids(reply, "warning")),
                         (True, set(), {"zeroPaddedFilemode"}))
        self.ok(slotd, "check")
        self.assertFalse(self.check(slotd, strict=True)["ok"])
        self.assertFalse(self.assert_exit(7, self.slotctl(slotd, "--json", "check", "--strict")).json()["ok"])

    def test_since_last_is_about_what_is_new(self):
        slotd = self.pool()
        self.empty_a_ref("one")
        self.assert_exit(7, self.slotctl(slotd, "check", "--since-last"))
        self.ok(slotd, "check", "--since-last")
        self.assertFalse(self.check(slotd)["ok"], "it is still there")
        self.empty_a_ref("two")
        reply = self.assert_exit(7, self.slotctl(slotd, "--json", "check", "--since-last")).json()
        self.assertEqual([(f["id"], f["where"], f["sinceLast"]) for f in reply["findings"]],
                         [("empty-ref", "refs/heads/two", True)])
        self.assertEqual(reply["counts"], {"error": 1, "warning": 0, "info": 0})
        slotd.restart()
        slotd.wait_quiet()
        self.ok(slotd, "check", "--since-last")

    def test_the_history_tells_what_came_and_what_went(self):
        slotd = self.pool()
        self.empty_a_ref()
        self.break_head("p-1")
        for _ in range(2):
            self.check(slotd)
        told = self.told(slotd, "finding")
        self.assertEqual(len(told), len({e["detail"] for e in told}), "each once")
        self.assertTrue(any("empty-ref" in e["detail"] and e["slot"] is None for e in told))
        self.assertTrue(any("bad-head" in e["detail"] and e["slot"] == "p-1" for e in told))
        os.unlink(self.in_repository("refs", "heads", "broken"))
        self.check(slotd)
        gone = self.told(slotd, "finding_gone")
        self.assertEqual([("empty-ref" in e["detail"], e["slot"]) for e in gone], [(True, None)])
        self.assertEqual(len(self.told(slotd, "checked")), 3)

    def test_status_counts_what_the_last_check_found(self):
        slotd = self.pool()
        self.empty_a_ref()
        self.break_a_symref()
        self.assertEqual(slotd.call("Status")["findings"], 0, "nobody knows yet")
        reply = self.check(slotd)
        found = reply["counts"]["error"] + reply["counts"]["warning"]
        for _ in range(2):
            status = slotd.call("Status")
            self.assertEqual(status["findings"], found)
            self.assertEqual((slotd.pool("p")["checkErrors"], slotd.pool("p")["checkWarnings"]),
                             (reply["counts"]["error"], reply["counts"]["warning"]))
            self.assertIn("slotctl check p", self.ok(slotd, "status").out)
            slotd.restart()
            slotd.wait_quiet()
        os.unlink(self.in_repository("refs", "heads", "broken"))
        os.unlink(self.in_repository("refs", "heads", "nowhere"))
        self.assertTrue(self.check(slotd)["ok"])
        self.assertEqual(slotd.call("Status")["findings"], 0)

    def test_several_pools_are_one_answer(self):
        other = git.make(self.path("other"))
        slotd = self.slotd({"p": {"path": git.make(self.path("repository")), "slots": {"ready": 1, "max": 2}},
                            "q": {"path": other, "slots": {"ready": 1, "max": 2}}}, NEVER)
        self.repository = self.path("repository")
        slotd.wait_ready("p")
        slotd.wait_ready("q")
        git.write(other, ".git/refs/heads/broken")
        alone = [self.check(slotd, name) for name in "pq"]
        both = self.check(slotd)
        self.assertEqual(both["objects"], sum(r["objects"] for r in alone))
        self.assertEqual(both["packs"], sum(r["packs"] for r in alone))
        self.assertEqual({f["pool"] for f in both["findings"] if f["severity"] == "error"}, {"q"})
        self.assertTrue(self.check(slotd, "p")["ok"])
        self.assertFalse(both["ok"])

    def test_names_of_any_bytes_are_told(self):
        slotd = self.pool()
        with open(os.fsencode(self.in_repository("refs", "heads")) + b"/n\xff", "wb"):
            pass
        finding = next(f for f in self.check(slotd)["findings"] if "n" in f["where"] and "\\377" in f["where"])
        self.assertEqual(finding["whereBase64"], "cmVmcy9oZWFkcy9u/w==")

    def test_what_is_not_there_or_not_allowed_is_refused(self):
        slotd = self.pool(access={"users": [str(NOBODY)]})
        self.assert_error("NotFound", self.check, slotd, "p", "nope")
        self.assert_error("org.varlink.service.InvalidParameter", self.check, slotd, depth="deep")
        self.assert_exit(4, self.slotctl(slotd, "check", "nope"))
        self.assert_exit(2, self.slotctl(slotd, "check", "--full", "--quick"))

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_who_may_only_look_may_not_have_everything_read_again(self):
        slotd = self.pool(access={"users": [str(NOBODY)]})
        os.chmod(os.path.dirname(slotd.socket), 0o755)
        os.chmod(slotd.socket, 0o666)
        self.assertTrue(elsewhere.call(slotd.socket, "Check", uid=NOBODY)["ok"])
        self.assert_error("NotPermitted", elsewhere.call, slotd.socket, "Check", uid=NOBODY, targets=["p"],
                          depth="full")
        self.assert_error("NotPermitted", elsewhere.call, slotd.socket, "Check", uid=NOBODY, depth="full")

    def test_a_store_that_is_gone_is_no_clean_one(self):
        slotd = self.pool()
        os.rename(self.repository, self.repository + ".away")
        self.assert_error("GitFailed", self.check, slotd, "p")
        os.rename(self.repository + ".away", self.repository)
        self.assertTrue(self.check(slotd)["ok"])


class Memory(Checks):
    def test_what_was_verified_is_not_read_again(self):
        slotd = self.pool()
        git.run(self.repository, "repack", "-adq")
        first = self.check(slotd)
        self.assertGreater(first["objectsRead"], 0)
        self.assertEqual(self.check(slotd)["objectsRead"], 0)
        slotd.restart()
        slotd.wait_quiet()
        again = self.check(slotd)
        self.assertEqual((again["objectsRead"], again["objects"]), (0, first["objects"]))
        blob = git.text(self.repository, "hash-object", "-w", "--stdin", data=b"new")
        git.run(self.repository, "update-ref", "refs/tags/new", blob)
        new = self.check(slotd)
        self.assertEqual((new["objects"], new["objectsRead"]), (first["objects"] + 1, 1))
        self.assertEqual(self.check(slotd, depth="full")["objectsRead"], new["objects"])

    def test_it_goes_with_the_pool(self):
        repository = git.make(self.path("origin"))
        slotd = self.slotd({}, NEVER)
        for _ in range(2):
            slotd.call("PoolAdd", pool="r", path=repository, ready=1, max=2)
            slotd.wait_ready("r")
            self.assertIsNone(slotd.pool("r")["checkedAtUsec"])
            self.assertGreater(self.check(slotd, "r")["objectsRead"], 0)
            self.assertEqual(self.check(slotd, "r")["objectsRead"], 0)
            self.assertIsNotNone(slotd.pool("r")["checkedAtUsec"])
            slotd.call("PoolRemove", pool="r")

    def test_a_rebuilt_ledger_checks_all_the_same(self):
        slotd = self.pool()
        self.empty_a_ref()
        self.check(slotd)
        slotd.copy_ledger()
        slotd.stop()
        with open(os.path.join(slotd.state_dir, "ledger", "data.mdb"), "r+b") as f:
            f.truncate(4096)
        slotd.start()
        slotd.wait_quiet()
        self.assertEqual(self.ids(self.check(slotd), "error"), {"empty-ref"})


class Together(Checks):
    def test_who_comes_meanwhile_joins(self):
        slotd = self.pool()
        self.check(slotd)
        pid = self.hold(slotd)
        askers = [self.ask(slotd)]
        self.wait_begun(slotd)
        askers += [self.ask(slotd, "p") for _ in range(3)] + [self.ask(slotd, "p-1")]
        self.wait_read(slotd)
        self.assertEqual(slotd.call("PingHealth")["activeOperations"], 1)
        self.let_go(pid)
        for asker in askers:
            self.assertTrue(asker.done()["ok"])
        self.assertEqual(len(self.told(slotd, "checked")), 2)

    def test_who_wants_more_waits_for_the_next(self):
        slotd = self.pool()
        self.check(slotd)
        pid = self.hold(slotd)
        plain = self.ask(slotd, "p")
        self.wait_begun(slotd)
        full = [self.ask(slotd, "p", depth="full") for _ in range(2)]
        self.wait_read(slotd)
        self.let_go(pid)
        self.assertEqual(plain.done()["objectsRead"], 0)
        for asker in full:
            result = asker.done()
            self.assertEqual(result["objectsRead"], result["objects"])
        self.assertEqual([e["detail"].split(":")[0] for e in self.told(slotd, "checked")],
                         ["plain", "plain", "full"])

    def test_a_quick_look_waits_for_nobody(self):
        slotd = self.pool()
        self.hold(slotd)
        plain = self.ask(slotd, "p")
        self.wait_begun(slotd)
        self.assertTrue(self.check(slotd, "p-1", depth="quick")["ok"])
        self.assertFalse(plain.is_done())

    def test_it_ends_when_nobody_waits_for_it(self):
        slotd = self.pool()
        pid = self.hold(slotd)
        first, second = self.ask(slotd, "p"), self.ask(slotd, "p")
        self.wait_begun(slotd)
        self.wait_read(slotd)
        first.go_away()
        self.holds(lambda: is_alive(pid), "the other one still waits", 0.5)
        second.go_away()
        self.until(lambda: not is_alive(pid), "its worker is ended")
        self.assertEqual(self.told(slotd, "checked", "check_failed"), [])
        self.assertTrue(self.check(slotd)["ok"])

    def test_it_ends_with_a_slotctl_that_is_interrupted(self):
        slotd = self.pool()
        pid = self.hold(slotd)
        process = self.start_slotctl(slotd, "check", "p")
        self.wait_begun(slotd)
        process.send_signal(signal.SIGINT)
        process.wait()
        self.until(lambda: not is_alive(pid), "its worker is ended")

    def start_slotctl(self, slotd, *args):
        process = slotctl.start(*args, socket=slotd.socket)
        self.addCleanup(lambda: (process.kill(), process.wait(), process.stdout.close(), process.stderr.close()))
        return process

    def test_progress_is_told_to_who_asks_for_it(self):
        slotd = self.pool()
        git.make_many(self.path("many"), 3000)
        slotd.call("PoolAdd", pool="many", path=self.path("many"), ready=1, max=1)
        slotd.wait_ready("many")
        with slotd.client() as c:
            replies = list(c.call_more("Check", targets=["many"], depth="full"))
        self.assertTrue(replies[-1]["ok"], replies[-1]["findings"])
        for reply in replies[:-1]:
            self.assertEqual(reply["pool"], "many")
            self.assertLessEqual({"phase", "done", "total"}, set(reply["progress"]))

    def test_slots_that_move_meanwhile_make_no_false_alarm(self):
        slotd = self.pool(ready=3, maximum=6)
        end, rounds = time.monotonic() + 6, 0
        with contextlib.ExitStack() as stack:
            stop = threading.Event()
            stack.callback(stop.set)
            thread = threading.Thread(target=self.churn, args=(slotd, stop))
            thread.start()
            stack.callback(thread.join)
            stack.callback(stop.set)
            while time.monotonic() < end or rounds < 5:
                reply = self.check(slotd, depth="full" if rounds % 2 else "plain")
                self.assertEqual((self.ids(reply, "error") | self.ids(reply, "warning"), reply["ok"]),
                                 (set(), True), reply["findings"])
                rounds += 1
        slotd.wait_quiet()
        self.assertEqual(self.told(slotd, "finding"), [])
        reply = self.check(slotd)
        self.assertEqual((reply["ok"], reply["unsettled"]), (True, []))

    @staticmethod
    def churn(slotd, stop):
        n = 0
        while not stop.is_set():
            n += 1
            lease = slotd.acquire("p", branch="b%d" % n, waitUsec=30000000)
            git.commit(lease["path"], "work", **{"f%d" % n: "%d\n" % n})
            git.write(lease["path"], "untracked", "%d\n" % n)
            slotd.release(lease["lease"])

    def test_the_pool_may_go_meanwhile(self):
        repository = git.make(self.path("origin"))
        slotd = self.slotd({}, NEVER)
        slotd.call("PoolAdd", pool="p", path=repository, ready=1, max=2)
        slotd.wait_ready("p")
        slotd.wait_quiet()
        pid = self.hold(slotd)
        asker = self.ask(slotd, "p")
        self.wait_begun(slotd)
        removing = threading.Thread(target=slotd.call, args=("PoolRemove",), kwargs={"pool": "p"})
        removing.start()
        asker.done()
        self.assertEqual(asker.error.name, "Unavailable")
        self.until(lambda: not is_alive(pid), "its worker is ended")
        removing.join()
        self.assertEqual(slotd.call("Status")["pools"], [])

    def test_an_end_of_slotd_does_not_wait_for_it(self):
        slotd = self.pool(settings={**NEVER, "shutdown_timeout": "60s"})
        self.hold(slotd)
        asker = self.ask(slotd, "p")
        self.wait_begun(slotd)
        self.assertEqual(slotd.stop(20), 0)
        asker.done()
        self.assertEqual(asker.error.name, "ShuttingDown")

    def test_a_worker_that_is_lost_costs_time_alone(self):
        slotd = self.pool()
        for targets, parameters in (((), {}), (("p-1",), {"depth": "quick"})):
            pid = self.hold(slotd)
            asker = self.ask(slotd, *targets, **parameters)
            self.wait_begun(slotd)
            os.kill(pid, signal.SIGKILL)
            self.assertTrue(asker.done()["ok"], asker.error)
        self.assertEqual(self.told(slotd, "check_failed"), [])

    def test_when_workers_are_lost_again_and_again_it_is_told(self):
        slotd = self.pool(settings={**NEVER, "strategies": {"once": {"retry": {"attempts": 1}}}}, strategy="once")
        pid = self.hold(slotd)
        asker = self.ask(slotd, "p")
        self.wait_begun(slotd)
        os.kill(pid, signal.SIGKILL)
        asker.done()
        self.assertEqual(asker.error.name, "Internal")
        self.assertEqual(len(self.told(slotd, "check_failed")), 1)
        self.assertTrue(self.check(slotd)["ok"])


class ByItself(Checks):
    ALWAYS = {"integrity": {"check_every": "1s", "scrub_days": 0}}

    def test_it_checks_in_the_background_and_tells_what_is_new_once(self):
        slotd = self.pool(settings=self.ALWAYS)
        self.until(lambda: len(self.told(slotd, "checked")) >= 2, "it checks by itself", 60)
        self.empty_a_ref()
        told = self.until(lambda: self.told(slotd, "finding"), "it tells", 60)
        self.assertIn("error empty-ref", told[0]["detail"])
        before = len(self.told(slotd, "checked"))
        self.until(lambda: len(self.told(slotd, "checked")) >= before + 2, "it checks on", 60)
        self.assertEqual(len(self.told(slotd, "finding")), 1)
        self.assertEqual(slotd.call("Status")["findings"], 1)
        os.unlink(self.in_repository("refs", "heads", "broken"))
        self.until(lambda: self.told(slotd, "finding_gone"), "it is gone", 60)

    def test_it_makes_way_for_who_asks(self):
        slotd = self.pool(settings=self.ALWAYS)
        self.until(lambda: self.told(slotd, "checked"), "it checks by itself", 60)
        pid = self.hold(slotd)
        self.wait_begun(slotd)
        self.assertTrue(self.check(slotd)["ok"])
        self.assertTrue(not is_alive(pid))

    def test_never_is_never(self):
        slotd = self.pool(settings=self.ALWAYS)
        self.until(lambda: self.told(slotd, "checked"), "it checks by itself", 60)
        slotd.settings["integrity"] = NEVER["integrity"]
        slotd.write_config()
        slotd.wait_log("the configuration was read again")
        self.until(lambda: slotd.call("PingHealth")["activeOperations"] == 0, "no job runs")
        before = len(self.told(slotd, "checked"))
        self.holds(lambda: len(self.told(slotd, "checked")) == before, "never is never", 2.5)

    # --- at night

    def at(self, hour, minute, days=0):
        """So far from the real time is that time of the day after so many days."""
        now = time.time()
        tm = time.localtime(now)
        return int(time.mktime((tm.tm_year, tm.tm_mon, tm.tm_mday + days, hour, minute, 0, 0, 0, -1)) - now)

    def scrubbing(self):
        """A slotd that has begun at half past four in the morning, and its clock."""
        clock = clocks.WallClock()
        clock.set(self.at(4, 30, 1))
        slotd = self.pool(settings={"integrity": {"check_every": "0s", "scrub_days": 7}}, env=clock.env())
        self.look(slotd)
        return slotd, clock

    def test_at_night_it_reads_again_what_was_verified(self):
        slotd, clock = self.scrubbing()
        self.check(slotd)
        for hour, minute, day in ((14, 0, 1), (23, 59, 1), (0, 45, 2)):
            clock.set(self.at(hour, minute, day))
            self.look(slotd)
        self.holds(lambda: self.scrubs(slotd) == 0, "by day, and twice in a night, it does not", 1)
        clock.set(self.at(1, 30, 2))
        self.look(slotd)
        self.until(lambda: self.scrubs(slotd) == 1, "it reads at night", 60)
        self.look(slotd)
        self.holds(lambda: self.scrubs(slotd) == 1, "once a night", 1)

    def test_a_machine_without_nights_has_it_by_day(self):
        slotd, clock = self.scrubbing()
        clock.set(self.at(20, 0, 2))
        self.look(slotd)
        self.until(lambda: self.scrubs(slotd) == 1, "it reads", 60)

    def look(self, slotd):
        """It looks at its clock now: a quick check has come to its end."""
        self.check(slotd, "p-1", depth="quick")

    def scrubs(self, slotd):
        return len([e for e in self.told(slotd, "checked") if e["detail"].startswith("scrub")])


if __name__ == "__main__":
    unittest.main()
