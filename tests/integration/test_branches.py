"""Acquire on a branch: made, checked out, refused where it is in use."""

import os

from support import git
from support.case import Case


class Branches(Case):
    def test_new_branch_is_made_at_the_base(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p", branch="topic/one")
        self.assertEqual(lease["branch"], "topic/one")
        self.assertEqual(git.text(lease["path"], "symbolic-ref", "HEAD"), "refs/heads/topic/one")
        self.assertEqual(git.head(self.repository, "refs/heads/topic/one"), lease["head"])
        self.assertTrue(git.is_clean(lease["path"]))

    def test_new_branch_is_made_at_the_ref(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p", branch="topic", ref="one")
        self.assertEqual(git.head(self.repository, "topic"), git.head(self.repository, "HEAD~1"))
        self.assertEqual(lease["head"], git.head(lease["path"]))

    def test_making_a_branch_does_not_write_the_shared_configuration(self):
        slotd = self.one_pool()
        before = git.read(self.repository, ".git/config")
        slotd.acquire("p", branch="topic")
        self.assertEqual(git.read(self.repository, ".git/config"), before)

    def test_existing_branch_is_checked_out_where_it_is(self):
        repository = git.make(self.path("repository"))
        git.run(repository, "branch", "old", "HEAD~1")
        slotd = self.one_pool(repository)
        lease = slotd.acquire("p", branch="old")
        self.assertEqual(lease["head"], git.head(repository, "HEAD~1"))
        self.assertEqual(git.head(lease["path"]), lease["head"])
        self.assertTrue(git.is_clean(lease["path"]))
        self.assertEqual(git.head(repository, "old"), git.head(repository, "HEAD~1"))

    def test_released_branch_can_be_acquired_again_with_its_commits(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p", branch="topic")
        tip = git.commit(lease["path"], "work", new="x")
        done = slotd.release(lease["lease"])
        self.assertEqual(done["state"], "ready")
        again = slotd.acquire("p", branch="topic")
        self.assertEqual(again["head"], tip)
        self.assertEqual(git.head(again["path"]), tip)

    def assert_in_use(self, slotd, branch, path):
        error = self.assert_error("BranchInUse", slotd.acquire, "p", branch=branch)
        self.assertEqual(error.parameters["branch"], branch)
        self.assertIn(path, error.parameters.get("path") or error.message)
        self.assertIn(branch, error.message)

    def test_branch_of_the_main_worktree_is_in_use(self):
        slotd = self.one_pool()
        self.assert_in_use(slotd, "main", self.repository)
        self.assert_invariants(slotd)

    def test_branch_of_a_foreign_worktree_is_in_use(self):
        repository = git.make(self.path("repository"))
        git.run(repository, "worktree", "add", "-q", "-b", "theirs", self.path("foreign"))
        slotd = self.one_pool(repository)
        self.assert_in_use(slotd, "theirs", self.path("foreign"))

    def test_branch_of_another_lease_is_in_use(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p", branch="topic")
        self.assert_in_use(slotd, "topic", lease["path"])
        slotd.release(lease["lease"])
        slotd.acquire("p", branch="topic")

    def test_branch_that_a_holder_switched_to_is_in_use(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        git.run(lease["path"], "switch", "-q", "-c", "own")
        self.assert_in_use(slotd, "own", lease["path"])

    def test_branch_being_rebased_is_in_use(self):
        repository = git.make(self.path("repository"))
        git.run(repository, "switch", "-q", "-c", "moving", "HEAD~1")
        git.commit(repository, "conflict", README="other\n")
        self.assertNotEqual(git.run(repository, "rebase", "main", check=False).returncode, 0)
        self.assertTrue(os.path.isdir(os.path.join(repository, ".git/rebase-merge")))
        slotd = self.one_pool(repository)
        self.assert_in_use(slotd, "moving", repository)

    def test_branch_being_bisected_is_in_use(self):
        repository = git.make(self.path("repository"))
        for n in range(4):
            git.commit(repository, "c%d" % n, README="%d\n" % n)
        git.run(repository, "switch", "-q", "-c", "hunted")
        git.run(repository, "bisect", "start", "HEAD", "HEAD~4")
        slotd = self.one_pool(repository)
        self.assert_in_use(slotd, "hunted", repository)

    def test_two_requests_cannot_make_the_same_branch(self):
        slotd = self.one_pool(ready=3, maximum=4)
        clients = [slotd.client() for _ in range(3)]
        for c in clients:
            c.send("Acquire", {"pool": "p", "branch": "race"})
        replies = [c.receive() for c in clients]
        granted = [r for r in replies if "error" not in r]
        self.assertEqual(len(granted), 1, replies)
        for reply in replies:
            if "error" in reply:
                self.assertEqual(reply["error"], "io.slotd.pool.BranchInUse")
        self.assert_invariants(slotd)

    def test_bad_branch_names_are_refused(self):
        slotd = self.one_pool()
        for name in ("a..b", "-x", "a b", "a~1", "x.lock", "/x", "x/", "a//b", "@{x", "HEAD",
                     "refs/../x", "a\\b", "a:b", "a?b"):
            with self.subTest(name=name):
                with self.assertRaises(Exception) as caught:
                    slotd.acquire("p", branch=name)
                self.assertIn(getattr(caught.exception, "full_name", ""),
                              ("org.varlink.service.InvalidParameter", "io.slotd.pool.NotFound",
                               "io.slotd.pool.Conflict", "io.slotd.pool.Unsupported"))
        self.assert_invariants(slotd)
        self.assertEqual(slotd.leases(), {})

    def test_branch_below_another_branch_is_refused_clearly(self):
        slotd = self.one_pool()
        with self.assertRaises(Exception) as caught:
            slotd.acquire("p", branch="main/below")
        self.assertTrue(caught.exception.message)
        self.assert_invariants(slotd)

    def test_pool_s_branch_pattern_names_the_agent(self):
        slotd = self.one_pool(branch="agent/{agent}")
        lease = slotd.acquire("p", agent="bob")
        self.assertEqual(lease["branch"], "agent/bob")

    def test_url_pool_keeps_agents_branches_where_no_fetch_moves_them(self):
        origin = git.make_bare(self.path("origin.git"))
        slotd = self.slotd({"p": {"url": "file://" + origin, "slots": {"ready": 1, "max": 2}}})
        slotd.wait_ready("p")
        lease = slotd.acquire("p", branch="topic")
        tip = git.commit(lease["path"], "work", new="x")
        slotd.release(lease["lease"])
        slotd.call("PoolFetch", pool="p")
        store = slotd.call("PoolShow", pool="p")["pool"]["store"]
        self.assertEqual(git.head(store, "refs/heads/topic"), tip)
        self.assertEqual(git.head(store, "refs/remotes/origin/main"), git.head(origin, "main"))
        self.assertNotEqual(git.run(store, "rev-parse", "-q", "--verify", "refs/heads/main",
                                    check=False).returncode, 0)

    def test_url_pool_s_main_can_be_taken_as_a_branch(self):
        origin = git.make_bare(self.path("origin.git"))
        slotd = self.slotd({"p": {"url": "file://" + origin, "slots": {"ready": 1, "max": 2}}})
        slotd.wait_ready("p")
        lease = slotd.acquire("p", branch="main")
        git.commit(lease["path"], "on main", new="x")
        git.run(lease["path"], "push", "-q", "origin", "HEAD")
        self.assertEqual(git.head(origin, "main"), git.head(lease["path"]))
