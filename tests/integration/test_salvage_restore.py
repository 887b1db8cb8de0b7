"""slotctl salvage: what was saved is listed, shown, brought back and dropped."""

import json
import os
import stat

from support import git, salvage, slotctl
from support.case import Case


class SalvageCommands(Case):
    def setUp(self):
        super().setUp()
        repository = git.make(self.path("repository"))
        git.run(repository, "branch", "side", "one")
        self.slotd = self.one_pool(repository)

    def leave(self, script, **acquire):
        """A lease whose slot is left like that; the salvage's entry, and how the slot was."""
        lease = self.slotd.acquire("p", agent="agent-7", **acquire)
        git.shell(lease["path"], script)
        self.was = salvage.look(lease["path"])
        self.state = salvage.state(lease["path"])
        self.assertEqual(self.slotd.release(lease["lease"])["state"], "ready")
        entries = self.ok(self.slotd, "salvage", "list", "--lease", lease["lease"], "--json").json()["salvage"]
        self.assertEqual(len(entries), 1, entries)
        return entries[0]

    def restored_into(self, name):
        return salvage.look(self.path(name))

    def test_list_says_what_is_saved_and_what_to_do_next(self):
        empty = self.ok(self.slotd, "salvage", "list")
        self.assertIn("nothing is saved", empty.out)
        entry = self.leave("echo x >> README; echo y > new")
        listed = self.ok(self.slotd, "salvage", "list")
        self.assertIn(entry["id"], listed.out)
        self.assertIn("agent-7", listed.out)
        self.assertIn("slotctl salvage show", listed.out)
        self.assertIn(entry["id"], self.ok(self.slotd, "salvage", "list", "p", "--slot", entry["slot"]).out)
        self.assertIn("nothing is saved", self.ok(self.slotd, "salvage", "list", "--slot", "p-9").out)

    def test_show_is_readable_and_its_commands_work(self):
        entry = self.leave("echo x >> README; rm run.sh; echo y > new; git merge -q --no-commit side || true",
                           branch="topic")
        shown = self.ok(self.slotd, "salvage", "show", entry["id"])
        for words in (entry["id"], entry["summary"], "agent-7", "topic at", "README", "run.sh (gone)",
                      "3 files changed", "slotctl salvage restore %s --to DIR" % entry["id"],
                      "slotctl salvage drop %s" % entry["id"]):
            self.assertIn(words, shown.out)
        for name in (entry["ref"], entry["commit"][:7], entry["commit"]):
            self.assertEqual(self.ok(self.slotd, "salvage", "show", name).out, shown.out)
        self.assert_exit(4, self.slotctl(self.slotd, "salvage", "show", "p-1/01234567/1"))

    def test_restore_makes_a_directory_with_everything(self):
        entry = self.leave("echo x >> README; rm run.sh; printf 'a\\n' > new; chmod 600 new; mkdir -p d/e; "
                           "echo f > 'd/e/f g'; ln -s nowhere l; rm -r src; echo file > src")
        target = self.path("out")
        done = self.ok(self.slotd, "salvage", "restore", entry["id"], "--to", target)
        self.assertIn(target, done.out)
        self.assertEqual(self.restored_into("out"), self.was)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(target, "new")).st_mode), 0o600)

    def test_restore_takes_a_relative_directory_that_is_empty(self):
        entry = self.leave("echo x >> README")
        os.mkdir(self.path("empty"))
        done = self.ok(self.slotd, "salvage", "restore", entry["id"], "--to", "empty", "--json", cwd=self.dir)
        self.assertEqual(done.json()["path"], self.path("empty"))
        self.assertEqual(done.json()["id"], entry["id"])
        self.assertEqual(self.restored_into("empty"), self.was)

    def test_restore_writes_over_nothing(self):
        entry = self.leave("echo x >> README")
        git.write(self.path("full"), "mine", "mine")
        os.symlink("elsewhere", self.path("link"))
        os.mkdir(self.path("elsewhere"))
        git.write(self.dir, "file", "mine")
        for name, words in (("full", "not empty"), ("link", "link"), ("file", "Not a directory"),
                            ("no/such", "No such file"), ("file/x", "Not a directory")):
            failed = self.assert_exit(1, self.slotctl(self.slotd, "salvage", "restore", entry["id"], "--to",
                                                      self.path(name)))
            self.assertIn(words, failed.err)
        self.assertEqual(os.listdir(self.path("elsewhere")), [])
        self.assertEqual(os.listdir(self.path("full")), ["mine"])
        self.assertEqual(git.read(self.dir, "file"), b"mine")
        self.assert_exit(2, self.slotctl(self.slotd, "salvage", "restore", entry["id"], "--to", "x", "--branch",
                                         "y"))

    def test_a_directory_that_was_made_in_vain_goes_again(self):
        entry = self.leave("echo x >> README")
        blob = git.text(self.repository, "rev-parse", entry["commit"] + ":README")
        for root, _, files in os.walk(os.path.join(self.repository, ".git/objects/pack")):
            for name in files:
                path = os.path.join(root, name)
                if name.endswith(".pack") and blob in git.text(self.repository, "verify-pack", "-v", path):
                    os.chmod(path, 0o644)
                    with open(path, "r+b") as f:
                        f.truncate(40)
        failed = self.assert_exit(1, self.slotctl(self.slotd, "salvage", "restore", entry["id"], "--to",
                                                  self.path("out")))
        self.assertNotEqual(failed.err, "")
        self.assertFalse(os.path.exists(self.path("out")))

    def test_restore_into_the_own_slot_goes_on_with_the_rebase(self):
        git.run(self.repository, "checkout", "-q", "side")
        git.commit(self.repository, "side", README="side\n")
        git.run(self.repository, "checkout", "-q", "main")
        entry = self.leave("git rebase side || true; echo half >> src/main.c; git add src/main.c; echo u > untracked",
                           branch="work")
        lease = self.slotd.acquire("p", agent="agent-8")
        done = self.ok(self.slotd, "salvage", "restore", entry["id"], cwd=lease["path"])
        self.assertIn("is in " + lease["slot"], done.out)
        self.assertEqual(salvage.look(lease["path"]), self.was)
        self.assertEqual(salvage.state(lease["path"]), self.state)
        git.write(lease["path"], "README", "both\n")
        git.run(lease["path"], "add", "README")
        git.run(lease["path"], "-c", "core.editor=true", "rebase", "--continue")
        self.assertEqual(git.text(lease["path"], "symbolic-ref", "HEAD"), "refs/heads/work")
        self.assertEqual(self.slotd.release(lease["lease"])["state"], "ready")
        self.assert_invariants(self.slotd)

    def test_restore_takes_the_slot_of_the_lease_in_the_environment(self):
        entry = self.leave("echo x >> README", branch="topic")
        lease = self.slotd.acquire("p")
        other = self.slotd.acquire("p")
        done = self.ok(self.slotd, "salvage", "restore", entry["id"], "--json", cwd=other["path"],
                       env={"SLOT_LEASE": lease["lease"]})
        self.assertEqual(done.json()["slot"], lease["slot"])
        self.assertEqual(done.json()["branch"], "topic")
        self.assertEqual(done.json()["notes"], [])
        self.assertEqual(salvage.look(lease["path"]), self.was)
        self.assertTrue(git.is_clean(other["path"]))
        failed = self.assert_exit(5, self.slotctl(self.slotd, "salvage", "restore", entry["id"],
                                                  env={"SLOT_LEASE": "0" * 32}))
        self.assertIn("SLOT_LEASE", failed.err)

    def test_restore_says_when_there_is_no_slot_for_it(self):
        entry = self.leave("echo x >> README")
        failed = self.assert_exit(4, self.slotctl(self.slotd, "salvage", "restore", entry["id"], cwd=self.dir))
        self.assertIn("--to DIR", failed.err)
        slot = self.slotd.call("Slots", pool="p")["slots"][0]
        failed = self.assert_exit(1, self.slotctl(self.slotd, "salvage", "restore", entry["id"],
                                                  cwd=slot["path"]))
        self.assertIn("is not leased", failed.err)

    def test_restore_refuses_a_slot_that_is_not_clean(self):
        entry = self.leave("echo x >> README")
        lease = self.slotd.acquire("p")
        git.write(lease["path"], "mine", "mine")
        before = salvage.look(lease["path"])
        failed = self.assert_exit(1, self.slotctl(self.slotd, "salvage", "restore", entry["id"],
                                                  cwd=lease["path"]))
        self.assertIn("mine (untracked)", failed.err)
        self.assertEqual(salvage.look(lease["path"]), before)
        told = self.assert_exit(1, self.slotctl(self.slotd, "salvage", "restore", entry["id"], "--json",
                                                cwd=lease["path"]))
        self.assertIn("mine", json.loads(told.out)["message"])

    def test_restored_work_is_saved_again_when_its_salvage_is_gone(self):
        entry = self.leave("git checkout -q --detach; echo x > new; git add new; git commit -qm loose")
        lease = self.slotd.acquire("p")
        self.ok(self.slotd, "salvage", "restore", entry["id"], cwd=lease["path"])
        loose = git.head(lease["path"])
        self.ok(self.slotd, "salvage", "drop", entry["id"])
        self.assertEqual(self.slotd.release(lease["lease"])["state"], "ready")
        entries = self.ok(self.slotd, "salvage", "list", "--json").json()["salvage"]
        self.assertEqual([e["lease"] for e in entries], [lease["lease"]])
        git.run(self.repository, "merge-base", "--is-ancestor", loose, entries[0]["commit"])

    def test_restore_makes_a_branch(self):
        entry = self.leave("echo x >> README; echo y > new")
        done = self.ok(self.slotd, "salvage", "restore", entry["id"], "--branch", "rescue/it")
        self.assertIn("rescue/it", done.out)
        self.assertEqual(git.text(self.repository, "show", "rescue/it:new"), "y")
        self.assertEqual(git.text(self.repository, "log", "-1", "--format=%P", "rescue/it"), git.head(self.repository))
        self.assertNotEqual(self.slotctl(self.slotd, "salvage", "restore", entry["id"], "--branch", "main").status, 0)
        self.assertNotEqual(self.slotctl(self.slotd, "salvage", "restore", entry["id"], "--branch", "a..b").status,
                            0)

    def test_drop_takes_it_away(self):
        entry = self.leave("echo x >> README")
        self.assertIn(entry["id"], self.ok(self.slotd, "salvage", "drop", entry["id"]).out)
        self.assertEqual(git.lines(self.repository, "for-each-ref", "refs/slotd/salvage"), [])
        self.assert_exit(4, self.slotctl(self.slotd, "salvage", "drop", entry["id"]))
        self.assertIn("nothing is saved", self.ok(self.slotd, "salvage", "list").out)

    def test_a_worker_that_is_not_there_is_told(self):
        entry = self.leave("echo x >> README")
        failed = self.assert_exit(1, slotctl.run("salvage", "restore", entry["id"], "--to", self.path("out"),
                                                 socket=self.slotd.socket,
                                                 env={"SLOTD_WORKER": self.path("nothing")}))
        self.assertIn("SLOTD_WORKER", failed.err)
        self.assertFalse(os.path.exists(self.path("out")))


class SalvageAndKeptFiles(Case):
    def test_what_the_pool_keeps_in_its_slots_is_no_obstacle(self):
        slotd = self.one_pool(git.make(self.path("kept")), ready=1, maximum=1, clean={"keep": ["cache/"]})
        lease = slotd.acquire("p")
        git.shell(lease["path"], "mkdir cache && echo c > cache/c && echo x >> README && echo y > new")
        self.assertEqual(slotd.release(lease["lease"])["state"], "ready")
        entry = self.ok(slotd, "salvage", "list", "--json").json()["salvage"][0]
        lease = slotd.acquire("p", waitUsec=60000000)
        self.assertIn("?? cache/", git.text(lease["path"], "status", "--porcelain"))
        self.ok(slotd, "salvage", "restore", entry["id"], cwd=lease["path"])
        self.assertEqual(git.text(lease["path"], "status", "--porcelain").splitlines(),
                         ["M README", "?? cache/", "?? new"])
        self.assertEqual(slotd.release(lease["lease"])["state"], "ready")
