"""What was saved of slots: recorded, named wherever a lease ends, shown to whom it may concern, and dropped."""

import os
import re
import shutil
import unittest

from support import elsewhere, git, salvage
from support.case import Case
from support.idl import Interface

NOBODY = 65534
REFS = "refs/slotd/salvage/"
OLD = 1700000000000000  # of salvages that support.salvage makes: longer ago than salvage.keep


class Salvage(Case):
    def left(self, slotd, name="new", **wishes):
        """A lease that was given back with an untracked file; (lease, what was saved)."""
        lease = slotd.acquire("p", **wishes)
        git.write(lease["path"], name, "mine\n")
        done = slotd.release(lease["lease"])
        self.assertEqual(done["state"], "ready", done)
        return lease, done["salvage"]

    @staticmethod
    def known(slotd, **which):
        return slotd.call("SalvageList", **which)["salvage"]

    @staticmethod
    def refs(repository):
        """{ref: commit} of all salvages in a repository."""
        return {line.split()[1]: line.split()[0] for line in
                git.lines(repository, "for-each-ref", "--format=%(objectname) %(refname)", REFS)}

    def told(self, slotd, kind):
        return [e for e in slotd.events() if e["kind"] == kind]

    def until_told(self, slotd, kind, count=1):
        return self.until(lambda: len(self.told(slotd, kind)) >= count and self.told(slotd, kind), kind, 30)


class Ends(Salvage):
    """Whatever ends a lease says what was saved."""

    def test_release_names_what_it_saved(self):
        slotd = self.one_pool()
        lease, saved = self.left(slotd, agent="anna", task="T-1")
        self.assertEqual(saved["id"], "%s/%s/1" % (lease["slot"], lease["lease"][:8]))
        self.assertEqual(saved["ref"], REFS + "%s/%s/1" % (lease["slot"], lease["lease"]))
        self.assertEqual(self.refs(self.repository), {saved["ref"]: saved["commit"]})
        self.assertIn("untracked", saved["summary"])
        self.assertIsNone(saved["all"])
        self.assertEqual(git.text(self.repository, "show", saved["commit"] + ":new"), "mine")
        self.assertTrue(git.is_clean(lease["path"]))
        event, = self.told(slotd, "salvaged")
        self.assertEqual((event["slot"], event["lease"]), (lease["slot"], lease["lease"]))
        self.assertIn(saved["id"], event["detail"])
        self.assertIn(saved["summary"], event["detail"])

    def test_release_and_finish_reply_as_the_interface_says(self):
        slotd = self.one_pool()
        for method in ("Release", "Finish"):
            lease = slotd.acquire("p")
            git.write(lease["path"], "new", "mine\n")
            done = slotd.call(method, lease=lease["lease"])
            self.assertEqual(Interface().mismatch_reply(method, done), [])
            self.assertEqual(done["salvage"]["id"][:-1], "%s/%s/" % (lease["slot"], lease["lease"][:8]))

    def test_what_is_clean_or_may_go_is_not_saved(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        self.assertIsNone(slotd.release(lease["lease"])["salvage"])
        lease = slotd.acquire("p")
        git.write(lease["path"], "new", "mine\n")
        self.assertIsNone(slotd.release(lease["lease"], discard=True)["salvage"])
        self.assertEqual(self.known(slotd), [])
        self.assertEqual(self.refs(self.repository), {})

    def test_work_of_one_lease_is_not_another_s(self):
        slotd = self.one_pool(ready=1, maximum=1)
        first, saved = self.left(slotd, agent="anna")
        second = slotd.acquire("p", agent="bert")
        self.assertEqual(second["slot"], first["slot"])
        self.assertIsNone(slotd.release(second["lease"])["salvage"])
        self.assertEqual([e["id"] for e in self.known(slotd)], [saved["id"]])

    def test_who_does_not_wait_finds_it_in_the_list(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        git.write(lease["path"], "new", "mine\n")
        self.assertIsNone(slotd.release(lease["lease"], wait=False)["salvage"])
        slotd.wait_state(lease["slot"], "ready")
        entry, = self.known(slotd, lease=lease["lease"])
        self.assertEqual(entry["lease"], lease["lease"])

    def test_slotctl_prints_the_command_that_restores_it(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p", agent="anna")
        git.write(lease["path"], "new", "mine\n")
        out = self.ok(slotd, "release", lease["lease"]).out
        entry, = self.known(slotd)
        line, = [line for line in out.split("\n") if "salvage restore" in line]
        self.assertIn("slotctl salvage restore %s --to DIR" % entry["id"], line)
        self.assertIn(entry["summary"], line)

    def test_a_hand_off_says_how_to_go_on_with_it(self):
        slotd = self.one_pool(lease={"ttl": "1s", "grace": "1s", "min_ttl": "1s", "warn_before": "500ms",
                                     "monitor_every": "1s", "abandon_after": "1s"})
        lost = slotd.acquire("p", agent="anna", task="T-1")
        git.write(lost["path"], "new", "mine\n")
        self.until(lambda: lost["lease"] not in slotd.leases(), "the lease is over")
        slotd.wait_state(lost["slot"], "ready")
        entry, = self.known(slotd, slot=lost["slot"])
        lease = slotd.acquire("p", agent="bert", task="T-1")
        left = lease["handoff"]
        self.assertEqual(Interface().mismatch_reply("Acquire", lease), [])
        self.assertEqual((left["salvage"]["id"], left["salvage"]["commit"]), (entry["id"], entry["commit"]))
        line, = [line for line in left["instructions"] if "salvage restore" in line]
        self.assertTrue(line.endswith("slotctl salvage restore " + entry["id"]), line)
        self.assertFalse([line for line in left["instructions"] if "Nothing was left" in line])

    def test_explain_tells_of_it(self):
        slotd = self.one_pool(ready=1, maximum=1)
        first, saved = self.left(slotd, agent="anna")
        second = slotd.acquire("p", agent="bert")
        for what, tells in ((first["slot"], True), (first["lease"], True), (second["lease"], False)):
            sentences = slotd.call("Explain", what=what)["sentences"]
            self.assertEqual(any("slotctl salvage show " + saved["id"] in s for s in sentences), tells, what)
        history = slotd.call("Explain", what=first["lease"])["history"]
        self.assertTrue([line for line in history if saved["id"] in line], history)

    def test_pipes_are_named_and_not_saved(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        git.write(lease["path"], "new", "mine\n")
        os.mkfifo(os.path.join(lease["path"], "a pipe"))
        done = slotd.release(lease["lease"])
        self.assertEqual(done["state"], "ready")
        event, = self.told(slotd, "salvage_special")
        self.assertIn("a pipe", event["detail"])
        self.assertEqual(event["lease"], lease["lease"])

    def test_a_slot_that_nobody_had_is_saved_for_nobody(self):
        slotd = self.one_pool(ready=1, maximum=1)
        slot, = slotd.slots()
        git.write(slotd.slot(slot)["path"], "README", "changed by somebody\n")
        slotd.call("SlotRemove", slot=slot)
        entry, = self.known(slotd)
        self.assertEqual((entry["slot"], entry["lease"], entry["agent"]), (slot, None, None))
        self.assertEqual(git.text(self.repository, "show", entry["commit"] + ":README"), "changed by somebody")


class Listing(Salvage):
    def test_entries_are_as_the_interface_says_and_filtered(self):
        slotd = self.one_pool(ready=2, maximum=2)
        kept = [self.left(slotd, agent="agent-%d" % i)[0] for i in range(3)]
        whole = slotd.call("SalvageList")
        self.assertEqual(Interface().mismatch_reply("SalvageList", whole), [])
        entries = whole["salvage"]
        self.assertEqual([e["agent"] for e in entries], ["agent-0", "agent-1", "agent-2"])
        self.assertEqual(self.known(slotd, pool="p"), entries)
        for lease, entry in zip(kept, entries):
            self.assertEqual(self.known(slotd, lease=lease["lease"]), [entry])
            self.assertGreater(entry["bytes"], 0)
            self.assertEqual(git.head(self.repository, entry["ref"]), entry["commit"])
        slot = kept[0]["slot"]
        self.assertEqual(self.known(slotd, slot=slot), [e for e in entries if e["slot"] == slot])
        self.assertEqual(self.known(slotd, slot="p-99"), [])
        self.assert_error("NotFound", slotd.call, "SalvageList", pool="q")
        self.assert_error("org.varlink.service.InvalidParameter", slotd.call, "SalvageList", lease="abc")

    def test_a_long_list_comes_in_pieces(self):
        slotd = self.one_pool()
        self.left(slotd)
        with slotd.client() as c:
            pieces = list(c.call_more("SalvageList"))
        self.assertEqual(sum(len(p["salvage"]) for p in pieces), 1)

    def test_it_survives_a_kill(self):
        slotd = self.one_pool()
        self.left(slotd, agent="anna", task="T-1")
        before = self.known(slotd)
        slotd.kill()
        slotd.start()
        self.assertEqual(self.known(slotd), before)


@unittest.skipUnless(os.getuid() == 0, "needs root, to be somebody else for a moment")
class Rights(Salvage):
    def open_pool(self, **access):
        slotd = self.one_pool(access=access)
        os.chmod(slotd.socket, 0o666)
        self.left(slotd)
        return slotd, self.known(slotd)[0]["id"]

    def nobody(self, slotd, method, **parameters):
        return elsewhere.call(slotd.socket, method, uid=NOBODY, **parameters)

    def test_a_stranger_knows_of_none(self):
        slotd, known = self.open_pool()
        self.assertEqual(self.nobody(slotd, "SalvageList")["salvage"], [])
        for method, parameters in (("SalvageShow", {}), ("SalvageDrop", {}), ("SalvageBranch", {"branch": "b"})):
            self.assert_error("NotFound", self.nobody, slotd, method, id=known, **parameters)

    def test_an_observer_looks_and_changes_nothing(self):
        slotd, known = self.open_pool(users=["nobody"])
        self.assertEqual([e["id"] for e in self.nobody(slotd, "SalvageList")["salvage"]], [known])
        self.assertEqual(self.nobody(slotd, "SalvageShow", id=known)["entry"]["id"], known)
        self.assert_error("NotPermitted", self.nobody, slotd, "SalvageDrop", id=known)
        self.assert_error("NotPermitted", self.nobody, slotd, "SalvageBranch", id=known, branch="b")
        self.assertEqual(len(self.refs(self.repository)), 1)

    def test_an_operator_decides(self):
        slotd, known = self.open_pool(operators=["nobody"])
        self.nobody(slotd, "SalvageBranch", id=known, branch="rescued")
        self.nobody(slotd, "SalvageDrop", id=known)
        self.assertEqual(self.refs(self.repository), {})
        event, = self.told(slotd, "salvage_dropped")
        self.assertEqual(event["uid"], NOBODY)


class One(Salvage):
    """Show, drop, branch."""

    def test_show_says_what_is_in_it(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p", branch="topic", ref="one", agent="anna")
        base = lease["head"]
        git.commit(lease["path"], "other", README="other\n")
        base = git.head(lease["path"])
        self.assertNotEqual(git.run(lease["path"], "merge", "main", check=False).returncode, 0)
        saved = slotd.release(lease["lease"])["salvage"]
        shown = slotd.call("SalvageShow", id=saved["id"])
        self.assertEqual(Interface().mismatch_reply("SalvageShow", shown), [])
        self.assertEqual(shown["entry"], self.known(slotd)[0])
        self.assertEqual((shown["commit"], shown["ref"], shown["base"]), (saved["commit"], saved["ref"], base))
        self.assertEqual((shown["head"], shown["branch"]), ("ref: refs/heads/topic", "topic"))
        self.assertTrue([line for line in shown["details"] if "merge" in line], shown["details"])
        self.assertIn("README", shown["diffstat"])
        self.assertEqual(git.head(shown["store"], saved["ref"]), saved["commit"])

    def test_it_answers_to_each_of_its_names(self):
        slotd = self.one_pool()
        _, saved = self.left(slotd)
        for name in (saved["id"], saved["ref"], saved["commit"], saved["commit"][:7]):
            self.assertEqual(slotd.call("SalvageShow", id=name)["entry"]["id"], saved["id"])
        for name in (saved["commit"][:6], "p-1/00000000/1", "main", ""):
            self.assert_error("NotFound", slotd.call, "SalvageShow", id=name)

    def test_dropped_it_is_gone_from_store_and_list(self):
        slotd = self.one_pool()
        (_, gone), (_, stays) = self.left(slotd), self.left(slotd)
        self.assertEqual(slotd.call("SalvageDrop", id=gone["commit"][:12]), {"id": gone["id"]})
        self.assertEqual(self.refs(self.repository), {stays["ref"]: stays["commit"]})
        self.assertEqual([e["id"] for e in self.known(slotd)], [stays["id"]])
        event, = self.told(slotd, "salvage_dropped")
        self.assertIn(gone["id"], event["detail"])
        self.assertEqual(event["uid"], os.getuid())
        self.assertRegex(slotd.log(), r"saved work was dropped: .*salvage=" + re.escape(gone["id"]))
        self.assert_error("NotFound", slotd.call, "SalvageDrop", id=gone["id"])
        slotd.restart()
        self.assertEqual([e["id"] for e in self.known(slotd)], [stays["id"]])

    def test_what_holds_another_commit_by_now_is_not_dropped(self):
        slotd = self.one_pool()
        _, saved = self.left(slotd)
        git.run(self.repository, "update-ref", saved["ref"], "main")
        with self.assertRaises(Exception):
            slotd.call("SalvageDrop", id=saved["id"])
        self.assertEqual(self.refs(self.repository), {saved["ref"]: git.head(self.repository)})
        self.assertEqual([e["id"] for e in self.known(slotd)], [saved["id"]])

    def test_a_branch_of_it_is_an_ordinary_commit_on_its_base(self):
        slotd = self.one_pool()
        lease, saved = self.left(slotd)
        made = slotd.call("SalvageBranch", id=saved["id"], branch="rescued")
        self.assertEqual(made, {"branch": "rescued", "commit": git.head(self.repository, "rescued")})
        self.assertEqual(git.lines(self.repository, "rev-list", "--parents", "-1", "rescued"),
                         ["%s %s" % (made["commit"], lease["head"])])
        self.assertEqual(git.text(self.repository, "show", "rescued:new"), "mine")
        self.assertIn("rescued", self.told(slotd, "salvage_branched")[0]["detail"])
        self.assertEqual(slotd.call("SalvageBranch", id=saved["id"], branch="rescued"), made, "said twice")
        self.assert_error("Conflict", slotd.call, "SalvageBranch", id=saved["id"], branch="main")
        for name in ("-x", "a..b", "refs/heads/", "HEAD", ""):
            self.assert_error("org.varlink.service.InvalidParameter", slotd.call, "SalvageBranch",
                              id=saved["id"], branch=name)
        self.assertEqual(len(self.refs(self.repository)), 1, "it is kept all the same")

    def test_a_drop_that_was_killed_is_finished(self):
        slotd = self.one_pool()
        _, saved = self.left(slotd)
        worker = self.stop_worker_of(slotd, "p")
        with slotd.client() as c:
            c.send("SalvageDrop", {"id": saved["id"]})
            mark = slotd.call("PingHealth")["ledger"]["commits"]
            self.until(lambda: slotd.call("PingHealth")["ledger"]["commits"] > mark or
                       self.is_dropping(slotd), "that it goes is recorded")
            slotd.kill()
        self.let_go(worker)
        slotd.start()
        self.until_told(slotd, "salvage_dropped")
        self.until(lambda: not self.known(slotd) and not self.refs(self.repository), "both are gone")
        self.assertEqual(self.told(slotd, "salvage_lost"), [])

    def is_dropping(self, slotd):
        """A second drop is refused while one is under way."""
        try:
            with slotd.client(timeout=5) as c:
                c.call("SalvageDrop", id=self.known(slotd)[0]["id"])
        except Exception as error:  # the first has come through, or this one is refused
            return "just being dropped" in str(error)
        return False


class Stores(Salvage):
    """The store says what there is."""

    def made(self, repository, slot="p-7", lease="ab" * 16, n=1, **meta):
        """A salvage that slotd has not made; its ref."""
        work = self.path("work-%s-%d" % (slot, n))
        git.run(repository, "worktree", "add", "-q", "--detach", work, "main")
        git.write(work, "README", "of %s\n" % slot)
        ref = "%s%s/%s/%d" % (REFS, slot, lease, n)
        told = {"slot": slot, "lease": lease, "pool": "p", "agent": "anna", "task": "T-1", **meta}
        salvage.capture(work, ref, **told)
        git.run(repository, "worktree", "remove", "--force", work)
        return ref

    def pool_with_old(self, keep="36500d", **keys):
        self.repository = git.make(self.path("repository"))
        return self.one_pool(repository=self.repository, settings={"salvage": {"keep": keep}}, **keys)

    def test_what_nothing_is_known_of_is_found(self):
        repository = git.make(self.path("repository"))
        ref = self.made(repository)
        slotd = self.one_pool(repository=repository, settings={"salvage": {"keep": "36500d"}})
        entry = self.until(lambda: self.known(slotd), "it is found")[0]
        self.assertEqual((entry["ref"], entry["commit"]), (ref, git.head(repository, ref)))
        self.assertEqual((entry["slot"], entry["lease"], entry["agent"], entry["task"], entry["pool"]),
                         ("p-7", "ab" * 16, "anna", "T-1", "p"))
        self.assertEqual(entry["takenAtUsec"], OLD)
        self.assertEqual(len(self.told(slotd, "salvage_found")), 1)
        slotd.restart()
        slotd.wait_quiet()
        self.assertEqual(self.known(slotd), [entry])
        self.assertEqual(len(self.told(slotd, "salvage_found")), 1, "it is news once")

    def test_what_somebody_deleted_is_lost_and_that_is_said(self):
        slotd = self.one_pool()
        (_, gone), (_, stays) = self.left(slotd), self.left(slotd)
        slotd.stop()
        git.run(self.repository, "update-ref", "-d", gone["ref"])
        slotd.start()
        event, = self.until_told(slotd, "salvage_lost")
        self.assertIn(gone["id"], event["detail"])
        self.assertIn(gone["commit"], event["detail"])
        self.assertEqual([e["id"] for e in self.known(slotd)], [stays["id"]])

    def test_a_rebuilt_ledger_knows_them_again(self):
        slotd = self.one_pool(settings={"salvage": {"keep": "36500d"}})
        _, saved = self.left(slotd, agent="anna", task="T-1")
        before = self.known(slotd)
        slotd.stop()
        for name in ("ledger", "ledger.copy"):
            shutil.rmtree(os.path.join(slotd.state_dir, name), ignore_errors=True)
        slotd.start()
        after = self.until(lambda: self.known(slotd), "it is known again")
        for entry in before + after:
            del entry["bytes"]
        self.assertEqual(after, before)
        self.assertEqual(slotd.call("SalvageShow", id=saved["id"])["commit"], saved["commit"])

    def test_what_is_old_goes_by_itself(self):
        repository = git.make(self.path("repository"))
        self.made(repository)
        slotd = self.one_pool(repository=repository)
        _, young = self.left(slotd)
        event, = self.until_told(slotd, "salvage_dropped")
        self.assertIn("salvage.keep (30d)", event["detail"])
        self.assertIsNone(event["uid"])
        self.until(lambda: list(self.refs(repository)) == [young["ref"]], "its ref is gone")
        self.assertEqual([e["id"] for e in self.known(slotd)], [young["id"]])

    def test_the_oldest_go_where_there_are_too_many(self):
        repository = git.make(self.path("repository"))
        for n in (1, 2, 3):
            self.made(repository, n=n)
        settings = {"salvage": {"keep": "36500d", "max_count": 2}}
        slotd = self.one_pool(repository=repository, settings=settings)
        event, = self.until_told(slotd, "salvage_dropped")
        self.assertIn("the oldest, and there are more than salvage.max_count (2)", event["detail"])
        self.assertTrue(event["detail"].startswith("p-7/abababab/1"), event["detail"])
        self.assertIsNone(event["uid"])
        slotd.wait_log(r"salvage\.max_count \(2\)")
        left = [REFS + "p-7/%s/%d" % ("ab" * 16, n) for n in (2, 3)]
        self.until(lambda: sorted(self.refs(repository)) == left, "the others stay")
        self.assertEqual(sorted(e["ref"] for e in self.known(slotd)), left)
        self.assertEqual(slotd.call("Status")["problems"], [])

    def test_damage_is_no_reason_to_forget_or_to_drop(self):
        slotd = self.one_pool()
        _, saved = self.left(slotd)
        slotd.stop()
        git.run(self.repository, "update-ref", saved["ref"], "main")  # which is no salvage
        slotd.start()
        slotd.wait_log("a salvage is damaged")
        self.assertEqual([e["id"] for e in self.known(slotd)], [saved["id"]])
        self.assertEqual(list(self.refs(self.repository)), [saved["ref"]])
        self.assertEqual(self.told(slotd, "salvage_lost"), [])

    def test_a_ref_of_another_pool_s_slot_takes_nothing_from_it(self):
        pools = {name: {"path": git.make(self.path(name)), "slots": {"ready": 1, "max": 1}} for name in "pq"}
        slotd = self.slotd(pools)
        slotd.wait_ready("p")
        slotd.wait_ready("q")
        _, saved = self.left(slotd)
        slotd.stop()
        slot, lease, n = saved["ref"][len(REFS):].split("/")
        self.made(self.path("q"), slot, lease, int(n))
        slotd.start()
        slotd.wait_log("none of a salvage of this pool")
        entry, = self.known(slotd)
        self.assertEqual((entry["pool"], entry["commit"]), ("p", saved["commit"]))


class Limits(Salvage):
    def test_too_much_that_is_young_is_said_and_kept(self):
        slotd = self.one_pool(settings={"salvage": {"max_size": "1MiB"}})
        lease = slotd.acquire("p")
        git.write(lease["path"], "large", os.urandom(3 << 20))
        saved = slotd.release(lease["lease"])["salvage"]
        self.until_told(slotd, "salvage_over_limit")
        status = slotd.call("Status")
        self.assertEqual(Interface().mismatch_reply("Status", status), [])
        problem, = status["problems"]
        self.assertIn("salvage.max_size", problem)
        self.assertEqual(status["findings"], 1)
        health = slotd.call("PingHealth")
        self.assertEqual([s["what"] for s in health["stuck"]], ["salvage"])
        self.assertEqual(len(self.refs(self.repository)), 1)
        out = self.ok(slotd, "status").out
        self.assertIn(problem, out)
        self.assertIn("slotctl salvage list", out.strip().split("\n")[-1])
        slotd.call("SalvageDrop", id=saved["id"])
        status = slotd.call("Status")
        self.assertEqual((status["problems"], status["findings"]), ([], 0))

    def test_too_many_that_are_young_are_said_and_kept(self):
        slotd = self.one_pool(settings={"salvage": {"max_count": 1}})
        self.left(slotd)
        self.assertEqual(slotd.call("Status")["problems"], [])
        self.left(slotd)
        event, = self.until_told(slotd, "salvage_over_limit")
        self.assertIn("1 more than salvage.max_count (1)", event["detail"])
        problem, = slotd.call("Status")["problems"]
        self.assertIn("1 more than salvage.max_count (1), and is too young to go", problem)
        self.assertEqual(len(self.refs(self.repository)), 2)


class Removal(Salvage):
    def test_the_store_of_a_removed_pool_keeps_what_was_saved(self):
        origin = git.make_bare(self.path("origin"))
        slotd = self.slotd()
        slotd.call("PoolAdd", pool="p", url="file://" + origin, ready=1, max=1)
        slotd.wait_ready("p")
        _, saved = self.left(slotd)
        done = slotd.call("PoolRemove", pool="p")
        self.assertEqual(Interface().mismatch_reply("PoolRemove", done), [])
        self.assertEqual(done["salvage"], [saved["ref"]])
        self.assertEqual(self.refs(done["store"]), {saved["ref"]: saved["commit"]})
        self.assertEqual(self.known(slotd), [])
        self.assert_error("NotFound", slotd.call, "SalvageShow", id=saved["id"])

    def test_slotctl_says_how_many_there_are(self):
        slotd = self.slotd()
        slotd.call("PoolAdd", pool="p", path=git.make(self.path("repository")), ready=1, max=1)
        slotd.wait_ready("p")
        self.left(slotd)
        self.left(slotd)
        out = self.ok(slotd, "pool", "remove", "p").out
        self.assertIn("2 salvages of unsaved work are kept in its repository", out)

    def test_work_in_a_ready_slot_is_saved_when_its_pool_is_removed(self):
        slotd = self.slotd()
        slotd.call("PoolAdd", pool="p", path=git.make(self.path("repository")), ready=1, max=1)
        slotd.wait_ready("p")
        slot, = slotd.slots()
        git.write(slotd.slot(slot)["path"], "new", "mine\n")
        ref, = slotd.call("PoolRemove", pool="p")["salvage"]
        self.assertEqual(git.text(self.path("repository"), "show", ref + ":new"), "mine")

    def test_the_next_pool_of_the_repository_knows_them(self):
        repository = git.make(self.path("repository"))
        slotd = self.slotd()
        for pool in ("p", "again"):
            slotd.call("PoolAdd", pool=pool, path=repository, ready=1, max=1)
            slotd.wait_ready(pool)
            if pool == "p":
                _, saved = self.left(slotd)
                slotd.call("PoolRemove", pool="p")
        entry, = self.until(lambda: self.known(slotd), "it is found")
        self.assertEqual((entry["id"], entry["pool"], entry["slot"]), (saved["id"], "again", "p-1"))
