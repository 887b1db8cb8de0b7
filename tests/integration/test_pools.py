"""Pools come, change and go safely."""

import os
import shutil
import signal
import socket
import threading

from support import git, servers, wait
from support.case import Case, Error
from support.daemon import children
from support.idl import Interface


class Pools(Case):
    def bare_slotd(self, **kwargs):
        return self.slotd(**kwargs)

    def add(self, slotd, name="q", **parameters):
        source = parameters.pop("path", None) or git.make(self.path("repo-" + name))
        return slotd.call("PoolAdd", pool=name, path=source, **parameters)["pool"]

    def test_listings_are_what_the_interface_says(self):
        slotd = self.one_pool()
        idl = Interface()
        for method in ("Status", "PoolList", "Slots", "Queue"):
            self.assertEqual(idl.mismatch_reply(method, slotd.call(method)), [], method)
        self.assertEqual(idl.mismatch_reply("PoolShow", slotd.call("PoolShow", pool="p")), [])

    def test_pool_made_at_run_time_survives_a_restart(self):
        slotd = self.bare_slotd()
        info = self.add(slotd, ready=1, max=2)
        self.assertEqual((info["name"], info["slotsReady"], info["slotsMax"]), ("q", 1, 2))
        lease = slotd.acquire("q", waitUsec=30000000)
        slotd.restart()
        self.assertEqual(slotd.call("PoolShow", pool="q")["pool"]["slotsMax"], 2)
        self.assertIn(lease["lease"], slotd.leases())
        self.assert_invariants(slotd)

    def test_pool_add_clones_with_progress(self):
        origin = git.make_many(self.path("origin.git"), 2000)
        slotd = self.bare_slotd()
        with slotd.client() as c:
            replies = list(c.call_more("PoolAdd", pool="q", url="file://" + origin, ready=1, max=1))
        self.assertEqual((replies[-1]["pool"]["name"], replies[-1]["progress"]), ("q", None))
        self.assertGreaterEqual(len(replies), 2, "no progress was told")
        seen = []
        for reply in replies[:-1]:
            self.assertIsNone(reply["pool"])
            progress = reply["progress"]
            seen.append((("connecting", "receiving", "resolving").index(progress["phase"]), progress["done"]))
            self.assertLessEqual(progress["done"], progress["total"])
        self.assertEqual(seen, sorted(seen), "it only ever goes on")
        self.assertEqual(slotd.call("PoolShow", pool="q")["pool"]["head"], git.head(origin, "main"))

    def test_pool_add_of_nothing_fails_clearly_and_leaves_nothing(self):
        slotd = self.bare_slotd()
        git.write(self.dir, "notrepo/file", "x")
        for source in ({"path": self.path("notrepo")}, {"path": self.path("absent")},
                       {"url": "file://" + self.path("absent")}):
            with self.subTest(**source):
                with self.assertRaises(Exception) as caught:
                    slotd.call("PoolAdd", pool="q", **source)
                self.assertIn(caught.exception.name, ("NotFound", "GitFailed"))
                self.assertTrue(caught.exception.message)
        self.assertEqual(slotd.call("PoolList")["pools"], [])
        stores = os.path.join(slotd.state_dir, "stores")
        self.assertEqual(os.listdir(stores) if os.path.isdir(stores) else [], [])

    def test_pool_add_with_contradictions_is_refused(self):
        slotd = self.bare_slotd()
        source = git.make(self.path("r"))
        for parameters in ({"path": source, "url": "file://" + source}, {},
                           {"path": source, "ready": 5, "max": 2}, {"path": "relative/path"}):
            with self.subTest(**parameters):
                with self.assertRaises(Exception) as caught:
                    slotd.call("PoolAdd", pool="q", **parameters)
                self.assertIn(caught.exception.name,
                              ("Conflict", "org.varlink.service.InvalidParameter"))

    def test_bad_pool_names_are_refused(self):
        slotd = self.bare_slotd()
        source = git.make(self.path("r"))
        for name in ("", "A", "a/b", "..", "a..b", "x.lock", "p-1", "-p", ".p", "p.", "x" * 64, "p\n"):
            with self.subTest(name=name):
                with self.assertRaises(Error) as caught:
                    slotd.call("PoolAdd", pool=name, path=source)
                self.assertIn(caught.exception.name,
                              ("Conflict", "org.varlink.service.InvalidParameter"))
        self.assertEqual(slotd.call("PoolList")["pools"], [])

    def test_name_that_exists_is_refused(self):
        slotd = self.one_pool()
        other = git.make(self.path("other"))
        error = self.assert_error("Exists", slotd.call, "PoolAdd", pool="p", path=other)
        self.assertIn("slotd.yaml", error.message)

    def test_one_store_belongs_to_one_pool(self):
        slotd = self.one_pool()
        with self.assertRaises(Exception) as caught:
            slotd.call("PoolAdd", pool="q", path=self.repository)
        self.assertIn(caught.exception.name, ("Conflict", "Exists"))
        self.assertIn("p", caught.exception.message)

    def test_one_store_belongs_to_one_pool_by_whatever_path(self):
        slotd = self.one_pool()
        os.symlink(self.repository, self.path("link"))
        for path in (self.path("link"), os.path.join(self.repository, ".git")):
            with self.subTest(path):
                error = self.assert_error("Exists", slotd.call, "PoolAdd", pool="q", path=path)
                self.assertIn("pool p", error.message)
        self.assertEqual([p["name"] for p in slotd.call("PoolList")["pools"]], ["p"])

    def test_pool_of_the_file_does_not_take_another_s_store(self):
        slotd = self.bare_slotd()
        path = git.make(self.path("r"))
        self.add(slotd, path=path)
        slotd.pools["p"] = {"path": path}
        slotd.write_config()
        slotd.reload()
        self.until(lambda: any(p["name"] == "p" and p["state"] == "broken"
                               for p in slotd.call("PoolList")["pools"]), "it is broken")
        self.assertIn("pool q", slotd.call("PoolShow", pool="p")["pool"]["problem"])

    def test_remove_refuses_while_leased(self):
        slotd = self.bare_slotd()
        self.add(slotd, ready=1, max=1)
        lease = slotd.acquire("q", waitUsec=30000000)
        self.assert_error("Conflict", slotd.call, "PoolRemove", pool="q")
        slotd.release(lease["lease"])
        slotd.call("PoolRemove", pool="q")
        self.assertEqual(slotd.call("PoolList")["pools"], [])

    def test_remove_leaves_an_adopted_repository_as_it_was(self):
        slotd = self.bare_slotd()
        source = git.make(self.path("r"))
        before = sorted(os.listdir(os.path.join(source, ".git")))
        self.add(slotd, path=source, ready=2, max=2)
        slotd.wait_ready("q", 2)
        slotd.call("PoolRemove", pool="q")
        self.assertEqual(git.worktrees(source), [source])
        self.assertEqual(set(os.listdir(os.path.join(source, ".git"))) - set(before) -
                         {"slotd", "worktrees"}, set())
        git.run(source, "fsck")
        self.assertFalse(os.path.exists(os.path.join(slotd.slots_dir, "q")))

    def test_remove_moves_a_cloned_store_aside_and_lists_its_branches(self):
        origin = git.make_bare(self.path("origin.git"))
        slotd = self.bare_slotd()
        slotd.call("PoolAdd", pool="q", url="file://" + origin, ready=1, max=1)
        lease = slotd.acquire("q", branch="only-here", waitUsec=30000000)
        tip = git.commit(lease["path"], "work", new="x")
        slotd.release(lease["lease"])
        slotd.wait_ready("q")
        gone = slotd.call("PoolRemove", pool="q")
        self.assertEqual(Interface().mismatch_reply("PoolRemove", gone), [])
        self.assertFalse(gone["deleted"])
        self.assertTrue(any("only-here" in name for name in gone["branches"]), gone)
        self.assertTrue(gone["store"].startswith(os.path.join(slotd.state_dir, "removed")))
        self.assertEqual(git.head(gone["store"], "refs/heads/only-here"), tip)
        slotd.call("PoolAdd", pool="q", url="file://" + origin, ready=1, max=1)
        slotd.wait_ready("q")
        self.assert_invariants(slotd)

    def test_remove_while_it_is_being_cloned(self):
        origin = git.make_many(self.path("origin.git"), 20000)
        slotd = self.bare_slotd()
        with slotd.client() as adder, slotd.client() as remover:
            adder.send("PoolAdd", {"pool": "q", "url": "file://" + origin, "ready": 1, "max": 1})
            worker = self.stop_worker_of(slotd, "q")
            remover.send("PoolRemove", {"pool": "q"})
            self.assert_error("Unavailable", adder.result)
            self.let_go(worker)
            self.assertEqual(remover.result()["pool"], "q")
        self.assertEqual(slotd.call("PoolList")["pools"], [])
        self.assertEqual(os.listdir(os.path.join(slotd.state_dir, "stores")), [])

    def test_remove_while_it_is_being_opened_again(self):
        slotd = self.bare_slotd()
        self.add(slotd, ready=1, max=1)
        slotd.wait_ready("q")
        slotd.restart()
        worker = self.stop_worker_of(slotd, "q")
        with slotd.client() as remover:
            remover.send("PoolRemove", {"pool": "q"})
            self.until(lambda: slotd.call("PoolShow", pool="q")["pool"]["state"] == "removing",
                       "the pool is being removed")
            self.let_go(worker)
            self.assertEqual(remover.result()["pool"], "q")
        self.assertEqual(slotd.call("PoolList")["pools"], [])

    def test_slots_on_their_way_while_a_lost_store_is_cloned_again_are_not_forgotten(self):
        origin = git.make_many(self.path("origin.git"), 20000)
        slotd = self.slotd({"p": {"url": "file://" + origin, "slots": {"ready": 1, "max": 1}}})
        slotd.wait_ready("p")
        lease = slotd.acquire("p")
        self.stop_worker_of(slotd, "p")
        slotd.call("Release", lease=lease["lease"], wait=False)
        slotd.kill()
        shutil.rmtree(os.path.join(slotd.state_dir, "stores", "p.git"))
        slotd.start()
        info = slotd.wait_state(lease["slot"], "ready", "isolated")
        self.assertNotIn("p.git.new", info["reason"] or "", "it was looked at with half a clone")

    @staticmethod
    def has_open(pid, name):
        """Has a process a file or directory open whose path contains the name?"""
        folder = "/proc/%d/fd" % pid
        try:
            return any(name in os.readlink(os.path.join(folder, fd)) for fd in os.listdir(folder))
        except OSError:  # it, or one of them, is gone
            return False

    def test_remove_of_a_pool_that_is_being_taken_away(self):
        slotd = self.bare_slotd()
        silent = socket.create_server(("127.0.0.1", 0))
        clone = os.path.join(slotd.state_dir, "stores", "q.git.new")
        with slotd.client() as adder:
            adder.send("PoolAdd", {"pool": "q", "url": "http://127.0.0.1:%d/x" % silent.getsockname()[1]})
            self.until(lambda: os.path.exists(os.path.join(clone, "HEAD")), "the clone has begun")
            os.mkdir(os.path.join(clone, "many"))  # takes long to delete
            for n in range(100000):
                os.close(os.open(os.path.join(clone, "many", str(n)), os.O_CREAT | os.O_WRONLY))
            silent.close()
            deleting = wait.until(lambda: "pool cannot be opened" in slotd.log() and
                                  [pid for pid in children(slotd.process.pid)
                                   if self.has_open(pid, "q.git.new")], "it is deleted", 30, 0)[0]
            os.kill(deleting, signal.SIGSTOP)
            self.addCleanup(self.let_go, deleting)
            self.assert_error("Conflict", slotd.call, "PoolRemove", pool="q")
            self.assert_error("Unavailable", slotd.acquire, "q")
            self.let_go(deleting)
            with self.assertRaises(Error):
                adder.result()
        self.until(lambda: not slotd.call("PoolList")["pools"], "it is gone")

    def test_who_waits_for_a_pool_that_cannot_be_made_is_told(self):
        slotd = self.bare_slotd()
        silent = socket.create_server(("127.0.0.1", 0))
        with slotd.client() as adder, slotd.client() as waiting:
            adder.send("PoolAdd", {"pool": "q", "url": "http://127.0.0.1:%d/x" % silent.getsockname()[1]})
            self.until(lambda: slotd.call("PoolList")["pools"], "the pool is being opened")
            waiting.send("Acquire", {"pool": "q", "waitUsec": 60000000})
            self.until(lambda: slotd.pool("q")["waiting"] == 1, "it waits")
            silent.close()
            self.assert_error("Unavailable", waiting.result)
            with self.assertRaises(Error):
                adder.result()
        self.assertEqual(slotd.call("PoolList")["pools"], [])

    def test_remove_with_delete_deletes_the_store(self):
        origin = git.make_bare(self.path("origin.git"))
        slotd = self.bare_slotd()
        slotd.call("PoolAdd", pool="q", url="file://" + origin, ready=1, max=1)
        slotd.wait_ready("q")
        gone = slotd.call("PoolRemove", pool="q", deleteStore=True)
        self.assertTrue(gone["deleted"])
        self.assertEqual(os.listdir(os.path.join(slotd.state_dir, "stores")), [])

    def remove_cut_short(self, **parameters):
        """A removal whose slot cannot go yet, and a slotd killed meanwhile."""
        origin = git.make_bare(self.path("origin.git"))
        slotd = self.bare_slotd()
        slotd.call("PoolAdd", pool="q", url="file://" + origin, ready=1, max=1)
        slotd.wait_ready("q")
        slotd.wait_quiet()
        for pid in slotd.workers():  # whichever of them gets it; they end with slotd
            os.kill(pid, signal.SIGSTOP)
        with slotd.client() as remover:
            remover.send("PoolRemove", {"pool": "q", **parameters})
            self.until(lambda: slotd.pool("q")["removing"] == 1, "its slot goes")
            slotd.kill()
        return slotd

    def test_delete_is_remembered_across_a_crash(self):
        slotd = self.remove_cut_short(deleteStore=True)
        slotd.start()
        self.until(lambda: not slotd.call("PoolList")["pools"], "the pool is gone")
        for name in ("stores", "removed"):
            self.until(lambda: os.listdir(os.path.join(slotd.state_dir, name)) == [],
                       "nothing is left in " + name)

    def test_deletion_that_was_interrupted_goes_on(self):
        slotd = self.bare_slotd()
        slotd.stop()
        removed = os.path.join(slotd.state_dir, "removed")
        for name in ("q-1.git", "q-2.git.deleting"):
            os.makedirs(os.path.join(removed, name, "objects/pack"))
        slotd.start()
        self.until(lambda: os.listdir(removed) == ["q-1.git"], "what was to go is gone, no more")

    def test_removal_that_is_given_up_after_a_crash_leaves_the_pool_as_it_was(self):
        slotd = self.remove_cut_short()
        path = os.path.join(slotd.slots_dir, "q", "q-1")
        git.spoil(path)
        slotd.start()
        self.until(lambda: slotd.pool("q")["isolated"] == 1, "the slot is kept")
        self.until(lambda: slotd.call("PoolShow", pool="q")["pool"]["state"] == "active",
                   "and its pool")
        slotd.restart()
        self.assertEqual(slotd.pool("q")["isolated"], 1)
        self.assertEqual(git.read(path, "lost"), b"changed since\n")

    def test_remove_refuses_what_cannot_be_saved(self):
        slotd = self.bare_slotd()
        self.add(slotd, ready=1, max=1)
        lease = slotd.acquire("q", waitUsec=30000000)
        git.spoil(lease["path"])
        self.assertEqual(slotd.release(lease["lease"])["state"], "isolated")
        self.assert_error("Conflict", slotd.call, "PoolRemove", pool="q")
        self.assertEqual(git.read(lease["path"], "lost"), b"changed since\n")

    def test_remove_of_a_pool_of_the_file_says_which_line(self):
        slotd = self.one_pool()
        error = self.assert_error("Conflict", slotd.call, "PoolRemove", pool="p")
        self.assertRegex(error.message, r"slotd\.yaml:\d+")

    def test_resize_of_a_pool_of_the_file_says_which_line(self):
        slotd = self.one_pool()
        error = self.assert_error("Conflict", slotd.call, "PoolResize", pool="p", ready=1)
        self.assertRegex(error.message, r"slotd\.yaml:\d+")

    def test_resize_grows_and_shrinks(self):
        slotd = self.bare_slotd()
        self.add(slotd, ready=1, max=2)
        slotd.call("PoolResize", pool="q", ready=3, max=4)
        slotd.wait_ready("q", 3)
        slotd.call("PoolResize", pool="q", ready=1, max=1)
        self.until(lambda: slotd.pool("q")["total"] <= 1, "the pool has shrunk")
        self.assert_invariants(slotd)
        with self.assertRaises(Exception) as caught:
            slotd.call("PoolResize", pool="q", ready=5, max=2)
        self.assertIn(caught.exception.name, ("Conflict", "org.varlink.service.InvalidParameter"))

    def test_shrinking_takes_no_lease_away(self):
        slotd = self.bare_slotd()
        self.add(slotd, ready=2, max=2)
        leases = [slotd.acquire("q") for _ in range(2)]
        slotd.call("PoolResize", pool="q", ready=1, max=1)
        slotd.wait_quiet()
        self.assertEqual(set(slotd.leases()), {lease["lease"] for lease in leases})
        slotd.release(leases[0]["lease"])
        self.until(lambda: slotd.pool("q")["total"] == 1, "the pool has shrunk")

    def test_drained_pool_hands_out_nothing_and_keeps_leases(self):
        slotd = self.one_pool(ready=2, maximum=2)
        lease = slotd.acquire("p")
        slotd.call("PoolDrain", pool="p")
        self.assertTrue(slotd.pool("p")["draining"])
        self.assert_error("Unavailable", slotd.acquire, "p", waitUsec=1000000)
        slotd.call("Renew", lease=lease["lease"])
        slotd.release(lease["lease"])
        self.until(lambda: slotd.pool("p")["total"] == 0, "the pool is empty")
        slotd.call("PoolResume", pool="p")
        slotd.wait_ready("p", 2)
        self.assert_invariants(slotd)

    def test_pause_survives_a_restart(self):
        slotd = self.one_pool()
        slotd.call("PoolPause", pool="p")
        slotd.restart()
        self.assertTrue(slotd.pool("p")["paused"])
        self.assert_error("Unavailable", slotd.acquire, "p")

    def test_fetch_moves_the_pool_to_the_origin_s_commit(self):
        origin = git.make(self.path("origin"))
        slotd = self.slotd({"p": {"url": "file://" + origin, "slots": {"ready": 1, "max": 1}}})
        slotd.wait_ready("p")
        new = git.commit(origin, "third", README="third\n")
        info = slotd.call("PoolFetch", pool="p")["pool"]
        self.assertEqual(info["head"], new)
        self.assertIsNotNone(info["fetchedAtUsec"])
        lease = slotd.acquire("p")
        self.assertEqual(lease["head"], new)
        self.assertEqual(git.read(lease["path"], "README"), b"third\n")
        self.assertIn(lease["base"]["behind"], (0, None))
        self.assertLess(lease["base"]["ageUsec"], 60000000)

    def test_fetch_that_is_asked_for_while_another_runs_sees_what_came_since(self):
        origin = git.make_bare(self.path("served/origin.git"))
        work = self.path("work")
        git.run(self.dir, "clone", "-q", origin, work)
        armed, held, go = threading.Event(), threading.Event(), threading.Event()

        class Held(servers.GitHandler):
            def do_POST(self):
                if armed.is_set():
                    armed.clear()
                    held.set()
                    go.wait(30)
                super().do_POST()

        server = servers.Http(self.path("served"), handler=Held)
        self.addCleanup(server.close)
        self.addCleanup(go.set)
        slotd = self.slotd({"p": {"url": server.url("origin.git"), "slots": {"ready": 1, "max": 1}}})
        slotd.wait_ready("p")
        git.commit(work, "second", README="second\n")
        git.run(work, "push", "-q")
        armed.set()
        with slotd.client() as first, slotd.client() as second:
            first.send("PoolFetch", {"pool": "p"})
            self.assertTrue(held.wait(30), "the fetch knows the origin's refs")
            newest = git.commit(work, "third", README="third\n")
            git.run(work, "push", "-q")
            second.send("PoolFetch", {"pool": "p"})
            slotd.call("Ping")
            go.set()
            first.result()
            self.assertEqual(second.result()["pool"]["head"], newest)

    def test_slot_add_makes_one_more_up_to_max(self):
        slotd = self.one_pool(ready=1, maximum=2)
        info = slotd.call("SlotAdd", pool="p")["slot"]
        self.assertEqual(Interface().mismatch(info, "SlotInfo"), [])
        self.assertEqual(info["state"], "ready")
        self.assertEqual(len(slotd.slots()), 2)
        with self.assertRaises(Exception) as caught:
            slotd.call("SlotAdd", pool="p")
        self.assertIn(caught.exception.name, ("Conflict", "Unavailable"))

    def test_slot_remove_refuses_leased_ones_and_unsaved_work(self):
        slotd = self.one_pool(ready=1, maximum=1)
        lease = slotd.acquire("p")
        self.assert_error("Conflict", slotd.call, "SlotRemove", slot=lease["slot"])
        git.spoil(lease["path"])
        slotd.release(lease["lease"])
        self.assert_error("Conflict", slotd.call, "SlotRemove", slot=lease["slot"])
        self.assertEqual(git.read(lease["path"], "lost"), b"changed since\n")
        slotd.call("SlotRemove", slot=lease["slot"], discard=True)
        self.assertFalse(os.path.exists(lease["path"]))
        slotd.wait_ready("p")
        self.assert_error("NotFound", slotd.call, "SlotRemove", slot="p-999")
        self.assert_invariants(slotd)

    def test_slots_can_be_asked_for_by_state(self):
        slotd = self.one_pool(ready=2, maximum=2)
        lease = slotd.acquire("p")
        for state, names in (("leased", [lease["slot"]]), ("isolated", [])):
            found = slotd.call("Slots", pool="p", state=state)["slots"]
            self.assertEqual([s["slot"] for s in found], names)
