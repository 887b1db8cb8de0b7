"""One repository, one slotd: whoever serves it says so in it."""

import os
import shutil

from support import git
from support.case import Case


class Owner(Case):
    def setUp(self):
        super().setUp()
        # no third slot is being made while the first one is killed
        self.first = self.one_pool(ready=2, maximum=2)
        self.second = self.slotd(name="second")
        self.mark = os.path.join(self.repository, ".git/slotd/owner")

    def add(self, slotd, pool="p"):
        return slotd.call("PoolAdd", pool=pool, path=self.repository, ready=1, max=2)["pool"]

    def owner(self):
        return git.read(os.path.dirname(self.mark), "owner").decode().strip()

    def assert_refused(self, pool="q"):
        """The second slotd is told whose the repository is, and has touched nothing."""
        before = sorted(os.listdir(os.path.join(self.repository, ".git/worktrees")))
        error = self.assert_error("Conflict", self.add, self.second, pool)
        self.assertIn(self.first.state_dir, error.message)
        self.assertIn("slotd/owner", error.message)
        self.assertEqual(self.owner(), self.first.state_dir)
        self.assertEqual(self.second.call("PoolList")["pools"], [])
        self.assertEqual(sorted(os.listdir(os.path.join(self.repository, ".git/worktrees"))), before)

    def test_repository_of_another_slotd_is_refused_by_the_name_of_its_state(self):
        self.assert_refused()
        lease = self.first.acquire("p")
        self.assertTrue(git.is_clean(lease["path"]))
        self.assert_invariants(self.first)

    def test_pool_of_the_configuration_says_whose_the_repository_is(self):
        third = self.slotd({"q": {"path": self.repository}}, name="third")
        problem = self.until(lambda: third.pool("q")["problem"], "the pool has a problem")
        self.assertIn(self.first.state_dir, problem)
        self.assertEqual(third.slots(), {})
        self.assertEqual(self.owner(), self.first.state_dir)

    def test_slotd_that_does_not_run_still_has_its_repository(self):
        self.first.stop()
        self.assert_refused()
        self.first.start()
        self.first.wait_ready("p", 2)
        self.assert_invariants(self.first)

    def test_mark_whose_state_is_gone_is_taken_over(self):
        self.first.kill()
        shutil.rmtree(self.first.root)
        self.add(self.second)
        self.assertEqual(self.owner(), self.second.state_dir)
        self.second.wait_ready("p")
        lease = self.second.acquire("p")
        self.assertTrue(git.is_clean(lease["path"]))
        self.assertIn(lease["path"], git.worktrees(self.repository))
        self.second.release(lease["lease"])
        self.second.wait_state(lease["slot"], "ready")

    def test_slots_of_a_state_that_is_gone_are_not_written_over(self):
        lease = self.first.acquire("p")
        commit = git.commit(lease["path"], "on no branch", more="work\n")
        self.first.kill()
        shutil.rmtree(self.first.state_dir)
        self.add(self.second)
        self.second.call("PoolResize", pool="p", ready=2)
        self.second.wait_ready("p", 2)
        self.assertEqual(git.head(lease["path"]), commit)
        self.assertIn(lease["path"], git.worktrees(self.repository))

    def test_removed_pool_gives_its_repository_free(self):
        self.first.pools = {}
        self.first.write_config()
        self.first.reload()
        self.until(lambda: self.first.pool("p")["draining"], "the pool drains")
        self.assertEqual(self.owner(), self.first.state_dir)
        self.first.call("PoolRemove", pool="p")
        self.assertFalse(os.path.exists(self.mark))
        self.add(self.second)
        self.assertEqual(self.owner(), self.second.state_dir)
        self.assert_invariants(self.second)
