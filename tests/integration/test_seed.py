"""The operator's files in slots: copied into new and cleaned ones, and nobody's work until they are changed."""

import os
import stat

from support import git, saved
from support.case import Case


class Seed(Case):
    def seeds(self, **files):
        """Files in a directory of seeds; returns its path."""
        for name, text in files.items():
            git.write(self.path("seeds"), name.replace("__", "."), text)
        return self.path("seeds")

    def pool(self, files, ready=1, wait_ready=True, **keys):
        os.makedirs(self.path("seeds"), exist_ok=True)
        return self.one_pool(ready=ready, maximum=3, wait_ready=wait_ready,
                             seed={"from": self.path("seeds"), "files": files}, **keys)

    def read(self, *names):
        with open(os.path.join(*names), encoding="utf-8") as f:
            return f.read()

    def test_new_and_cleaned_slots_have_them(self):
        self.seeds(__env="SECRET=1\n")
        os.chmod(self.path("seeds", ".env"), 0o640)
        slotd = self.pool([".env"])
        lease = slotd.acquire("p")
        self.assertEqual(self.read(lease["path"], ".env"), "SECRET=1\n")
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(lease["path"], ".env")).st_mode), 0o640)
        self.seeds(__env="SECRET=2\n")
        self.assertEqual(slotd.release(lease["lease"])["state"], "ready")
        self.assertEqual(self.read(lease["path"], ".env"), "SECRET=2\n")

    def test_one_that_nobody_touched_is_nobodys_work(self):
        self.seeds(__env="SECRET=1\n")
        slotd = self.pool([".env"])
        lease = slotd.acquire("p")
        self.assertEqual(git.text(lease["path"], "status", "--porcelain"), "?? .env")
        self.assertEqual(slotd.release(lease["lease"])["state"], "ready")
        self.ok(slotd, "slot", "remove", lease["slot"])

    def test_one_that_was_changed_is_somebodys_work(self):
        self.seeds(__env="SECRET=1\n")
        slotd = self.pool([".env"])
        lease = slotd.acquire("p")
        git.write(lease["path"], ".env", "SECRET=mine\n")
        reply = slotd.release(lease["lease"])
        self.assertEqual((reply["state"], reply["salvage"]["summary"]), ("ready", "1 untracked file"))
        salvage, = saved.of_lease(slotd, lease["lease"])
        self.assertEqual((salvage.ref, salvage.read(".env")), (reply["salvage"]["ref"], b"SECRET=mine\n"))
        self.assertEqual(self.read(lease["path"], ".env"), "SECRET=1\n")

    def test_one_that_git_ignores_is_replaced_when_it_was_changed(self):
        self.seeds(__env="SECRET=1\n")
        repository = git.make(self.path("repository"))
        git.commit(repository, "ignore", **{".gitignore": ".env\n"})
        slotd = self.pool([".env"], repository=repository)
        lease = slotd.acquire("p")
        self.assertTrue(git.is_clean(lease["path"]))
        git.write(lease["path"], ".env", "SECRET=mine\n")
        self.assertEqual(slotd.release(lease["lease"])["state"], "ready")
        self.assertEqual(self.read(lease["path"], ".env"), "SECRET=1\n")
        self.assert_invariants(slotd)

    def says_why(self, slotd, *words):
        """The slot is not ready, and its reason has these words; so has who waits for it."""
        def reason():
            slots = slotd.slots("p")
            return next((s for s in slots.values() if s["reason"] and all(w in s["reason"] for w in words)),
                        None)
        slot = self.until(reason, "the slot says why: " + str(words))
        self.assertNotEqual(slot["state"], "ready")
        error = self.assert_error("Busy", slotd.acquire, "p", waitUsec=0)
        self.assertIn(words[0], error.message)
        return slot

    def test_without_its_seed_a_slot_is_not_ready_and_says_why(self):
        slotd = self.pool([".env"], wait_ready=False)
        slot = self.says_why(slotd, "there is no seed file .env in " + self.path("seeds"))
        self.assertIn(".env", self.ok(slotd, "slots").out)
        self.assertEqual(len(slotd.slots("p")), 1, "no further slot meets the same fate")
        self.seeds(__env="x\n")
        slotd.wait_state(slot["slot"], "ready")
        self.assertEqual(self.read(slot["path"], ".env"), "x\n")
        kinds = [e["kind"] for e in slotd.events() if e["slot"] == slot["slot"]]
        self.assertIn("seed_failed", kinds)

    def test_a_link_is_not_followed(self):
        git.write(self.dir, "elsewhere", "not for slots\n")
        os.makedirs(self.path("seeds"))
        os.symlink(self.path("elsewhere"), self.path("seeds", ".env"))
        slotd = self.pool([".env"], wait_ready=False)
        slot = self.says_why(slotd, "is a link")
        self.assertFalse(os.path.lexists(os.path.join(slot["path"], ".env")))

    def test_a_file_of_the_repository_is_not_written_over(self):
        repository = git.make(self.path("repository"))
        name = git.lines(repository, "ls-files")[0]
        git.write(self.path("seeds"), name, "of the operator\n")
        slotd = self.pool([name], repository=repository, wait_ready=False)
        slot = self.says_why(slotd, "git tracks " + name)
        self.assertTrue(git.is_clean(slot["path"]))

    def test_a_slot_that_waits_for_its_seed_can_be_removed_and_so_can_its_pool(self):
        slotd = self.slotd({}, {"defaults": {"seed": {"from": self.path("seeds"), "files": [".env"]}}})
        self.ok(slotd, "pool", "add", "q", "--path", git.make(self.path("repository")), "--ready", "1")
        for number in ("q-1", "q-2"):
            self.until(lambda number=number: slotd.slots("q").get(number, {}).get("reason"),
                       number + " waits for its seed")
            self.ok(slotd, "slot", "remove", number)
        self.until(lambda: slotd.slots("q").get("q-3", {}).get("reason"), "another one waits")
        self.ok(slotd, "pool", "remove", "q")
        self.assertEqual(slotd.slots(), {})
