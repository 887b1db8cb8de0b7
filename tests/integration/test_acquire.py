"""A slot is handed out: clean, at the commit asked for, to one holder at a time."""

import os

from support import git
from support.case import Case
from support.idl import Interface


class Acquire(Case):
    def test_reply_is_what_the_interface_says(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p", agent="a", task="t", meta={"k": "v"})
        self.assertEqual(Interface().mismatch_reply("Acquire", lease), [])
        self.assertRegex(lease["lease"], r"^[0-9a-f]{32}$")
        self.assertRegex(lease["slot"], r"^p-[1-9][0-9]*$")
        self.assertEqual(lease["path"], os.path.join(slotd.slots_dir, "p", lease["slot"]))
        self.assertEqual((lease["agent"], lease["task"], lease["pool"]), ("a", "t", "p"))
        self.assertEqual(lease["head"], git.head(self.repository))
        self.assertIsNone(lease["branch"])
        self.assertIsNone(lease["handoff"])
        self.assertGreater(lease["expiresAtUsec"], lease["acquiredAtUsec"])

    def test_slot_is_a_clean_worktree_by_the_word_of_git(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        path = lease["path"]
        self.assertTrue(git.is_clean(path))
        self.assertEqual(git.run(path, "diff", "HEAD").stdout, b"")
        self.assertEqual(git.head(path), lease["head"])
        self.assertEqual(git.run(path, "symbolic-ref", "-q", "HEAD", check=False).returncode, 1)
        self.assertEqual(git.text(path, "rev-parse", "--absolute-git-dir"), lease["gitDir"])
        self.assertEqual(git.text(path, "rev-parse", "--path-format=absolute", "--git-common-dir"),
                         lease["commonDir"])
        self.assertIn(path, git.worktrees(self.repository))
        self.assertEqual(git.lines(path, "ls-files", "-s"), git.lines(self.repository, "ls-files", "-s"))

    def test_files_are_those_of_the_commit(self):
        slotd = self.one_pool()
        path = slotd.acquire("p")["path"]
        self.assertEqual(git.read(path, "README"), b"hello again\n")
        self.assertEqual(os.readlink(os.path.join(path, "link")), "src/main.c")
        self.assertTrue(os.access(os.path.join(path, "run.sh"), os.X_OK))
        self.assertFalse(os.stat(os.path.join(path, "README")).st_mode & 0o111)

    def test_ordinary_git_work_is_possible(self):
        origin = git.make_bare(self.path("origin.git"))
        slotd = self.slotd({"p": {"url": "file://" + origin, "slots": {"ready": 1, "max": 2}}})
        slotd.wait_ready("p")
        lease = slotd.acquire("p", branch="feature")
        path = lease["path"]
        git.commit(path, "work", new__file="x\n")
        git.run(path, "push", "-q", "origin", "feature")
        self.assertEqual(git.head(origin, "refs/heads/feature"), git.head(path))
        git.run(path, "fetch", "-q")
        git.run(path, "stash", "list")
        git.run(path, "rebase", "-q", "origin/main")
        git.run(path, "checkout", "-q", "--detach")
        slotd.release(lease["lease"])
        self.assert_invariants(slotd)

    def test_two_holders_never_have_the_same_slot(self):
        slotd = self.one_pool(ready=2, maximum=4)
        leases = [slotd.acquire("p") for _ in range(4)]
        self.assertEqual(len({lease["slot"] for lease in leases}), 4)
        self.assertEqual(len({lease["lease"] for lease in leases}), 4)
        self.assert_invariants(slotd)

    def test_ref_says_where_the_slot_stands(self):
        slotd = self.one_pool()
        first = git.head(self.repository, "HEAD~1")
        for ref in (first, first[:12], "one", "refs/tags/one"):
            with self.subTest(ref=ref):
                lease = slotd.acquire("p", ref=ref)
                self.assertEqual(lease["head"], first)
                self.assertEqual(git.head(lease["path"]), first)
                self.assertTrue(git.is_clean(lease["path"]))
                self.assertEqual(git.read(lease["path"], "README"), b"hello\n")
                slotd.release(lease["lease"])

    def test_tag_is_a_ref_too(self):
        repository = git.make(self.path("repository"))
        git.run(repository, "tag", "-a", "-m", "one", "v1", "HEAD~1")
        slotd = self.one_pool(repository)
        lease = slotd.acquire("p", ref="v1")
        self.assertEqual(git.head(lease["path"]), git.head(repository, "HEAD~1"))

    def test_unknown_ref_is_not_found_and_no_slot_is_lost(self):
        slotd = self.one_pool(ready=1, maximum=1)
        for ref in ("nowhere", "0" * 40, "main~99", "../../etc", "-x", "main:README"):
            with self.subTest(ref=ref):
                self.assert_error("NotFound", slotd.acquire, "p", ref=ref)
        slotd.wait_ready("p")
        self.assertEqual(slotd.leases(), {})
        self.assert_invariants(slotd)

    def test_unknown_pool_is_not_found(self):
        slotd = self.one_pool()
        self.assert_error("NotFound", slotd.acquire, "nope")

    def test_pool_is_found_by_directory_and_by_repository(self):
        slotd = self.one_pool()
        lease = slotd.acquire(directory=None, commonDir=os.path.join(self.repository, ".git"))
        self.assertEqual(lease["pool"], "p")
        other = slotd.acquire(directory=os.path.join(lease["path"], "src"))
        self.assertEqual(other["pool"], "p")
        self.assert_error("NotFound", slotd.acquire, directory="/usr")

    def test_meta_is_shown_with_the_slot(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p", meta={"run": "17", "who": "me"})
        self.assertEqual(slotd.slot(lease["slot"])["meta"], {"run": "17", "who": "me"})

    def test_pool_refills_to_ready_and_never_above_max(self):
        slotd = self.one_pool(ready=2, maximum=3)
        slotd.acquire("p")
        counts = slotd.wait_ready("p", 2)
        self.assertEqual(counts["total"], 3)
        slotd.acquire("p")
        slotd.wait_quiet()
        counts = slotd.pool("p")
        self.assertEqual((counts["total"], counts["leased"], counts["ready"]), (3, 2, 1))

    def test_hooks_filters_and_fsmonitor_of_the_repository_do_not_run(self):
        repository = git.make(self.path("repository"))
        marker = self.path("ran")
        script = "#!/bin/sh\necho ran >> %s\ncat\n" % marker
        for hook in ("post-checkout", "reference-transaction", "post-index-change", "fsmonitor"):
            git.write(repository, ".git/hooks/" + hook, script, 0o755)
        program = git.write(self.dir, "program", script, 0o755)
        git.commit(repository, "attributes", **{".gitattributes": "*.c filter=evil\n"})
        for key in ("filter.evil.smudge", "filter.evil.clean", "core.fsmonitor", "core.pager",
                    "core.sshCommand", "diff.external"):
            git.run(repository, "config", key, program)
        if os.path.exists(marker):
            os.unlink(marker)
        slotd = self.one_pool(repository)
        lease = slotd.acquire("p", ref="one")
        slotd.release(lease["lease"])
        slotd.wait_ready("p", 2)
        slotd.stop()
        self.assertFalse(os.path.exists(marker), "a program that the repository names has run")


class Keys(Case):
    def test_same_key_and_request_is_the_same_lease(self):
        slotd = self.one_pool()
        first = slotd.acquire("p", key="k", agent="a")
        again = slotd.acquire("p", key="k", agent="a")
        for name in ("lease", "token", "slot", "path", "head"):
            self.assertEqual(first[name], again[name])
        self.assertEqual(len(slotd.leases()), 1)

    def test_same_key_with_another_request_is_an_error(self):
        slotd = self.one_pool()
        slotd.acquire("p", key="k", agent="a")
        for other in ({"agent": "b"}, {"agent": "a", "branch": "x"}, {"agent": "a", "ref": "one"},
                      {"agent": "a", "task": "t"}, {"agent": "a", "ttlUsec": 99000000},
                      {"agent": "a", "bind": "manual"}):
            with self.subTest(**other):
                self.assert_error("KeyReused", slotd.acquire, "p", key="k", **other)
        self.assertEqual(len(slotd.leases()), 1)

    def test_what_does_not_count_as_the_request_may_differ(self):
        slotd = self.one_pool()
        first = slotd.acquire("p", key="k", waitUsec=1000000)
        again = slotd.acquire("p", key="k", priority=5, meta={"a": "b"})
        self.assertEqual(first["lease"], again["lease"])

    def test_key_of_an_ended_lease_is_gone(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p", key="k")
        slotd.release(lease["lease"])
        self.assert_error("LeaseGone", slotd.acquire, "p", key="k")

    def test_key_survives_a_kill(self):
        slotd = self.one_pool()
        first = slotd.acquire("p", key="k")
        slotd.kill()
        slotd.start()
        again = slotd.acquire("p", key="k")
        self.assertEqual((first["lease"], first["token"]), (again["lease"], again["token"]))

    def test_two_requests_at_once_with_one_key_are_one_lease(self):
        slotd = self.one_pool()
        clients = [slotd.client() for _ in range(5)]
        for c in clients:
            c.send("Acquire", {"pool": "p", "key": "k", "ref": "one"})
        replies = [c.receive() for c in clients]
        granted = {r["parameters"]["lease"] for r in replies if "error" not in r}
        self.assertEqual(len(granted), 1, replies)
        for reply in replies:  # a repeated request takes the place of the one before
            self.assertIn(reply.get("error"), (None, "io.slotd.pool.Conflict"))
        self.assertEqual(len(slotd.leases()), 1)


class Tokens(Case):
    def test_tokens_of_a_slot_rise_across_leases_and_restarts(self):
        slotd = self.one_pool(ready=1, maximum=1)
        seen = []
        for round_number in range(6):
            lease = slotd.acquire("p")
            seen.append(lease["token"])
            slotd.release(lease["lease"])
            if round_number == 2:
                slotd.kill()
                slotd.start()
            if round_number == 4:
                slotd.restart()
            slotd.wait_ready("p")
        self.assertEqual(seen, sorted(set(seen)))

    def test_number_of_a_removed_slot_is_not_used_again(self):
        slotd = self.one_pool(ready=1, maximum=2)
        (name,) = slotd.slots()
        slotd.call("SlotRemove", slot=name)
        slotd.wait_ready("p")
        self.assertNotIn(name, slotd.slots())

    def test_sequence_of_replies_is_that_of_the_history(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        renewed = slotd.call("Renew", lease=lease["lease"])
        released = slotd.release(lease["lease"])
        history = {e["sequence"]: e for e in slotd.events()}
        self.assertLess(lease["sequence"], renewed["sequence"])
        self.assertLess(renewed["sequence"], released["sequence"])
        for reply in (lease, renewed, released):
            self.assertEqual(history[reply["sequence"]]["lease"], lease["lease"])
        self.assertEqual(history[lease["sequence"]]["token"], lease["token"])
