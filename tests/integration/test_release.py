"""Release: what is safe nowhere is saved, and the slot goes back to the pool; what cannot be saved is isolated."""

import os
import subprocess
import unittest

from support import elsewhere, git
from support.case import Case, Error
from support.idl import Interface


class Release(Case):
    def test_reply_is_what_the_interface_says(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        done = slotd.release(lease["lease"])
        self.assertEqual(Interface().mismatch_reply("Release", done), [])
        self.assertEqual((done["lease"], done["slot"], done["pool"]), (lease["lease"], lease["slot"], "p"))
        self.assertEqual(done["state"], "ready")
        self.assertIsNone(done["reason"])

    def test_without_waiting_it_answers_at_the_commit(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        self.assertEqual(slotd.release(lease["lease"], wait=False)["state"], "cleaning")
        slotd.wait_state(lease["slot"], "ready")

    def test_slot_returns_to_the_pool_s_ref_detached_and_clean(self):
        slotd = self.one_pool(ready=1, maximum=1)
        lease = slotd.acquire("p", branch="topic", ref="one")
        git.commit(lease["path"], "work", README="mine\n", extra__file="x")
        slotd.release(lease["lease"])
        slotd.wait_ready("p")
        self.assertEqual(git.head(lease["path"]), git.head(self.repository))
        self.assertFalse(os.path.exists(os.path.join(lease["path"], "extra")))
        self.assert_invariants(slotd)

    def test_ignored_files_are_kept(self):
        slotd = self.one_pool(ready=1, maximum=1)
        lease = slotd.acquire("p")
        git.write(lease["path"], "build/object.o", "cache")
        git.write(lease["path"], "node_modules/x/index.js", "cache")
        git.write(lease["path"], "trace.log", "cache")
        self.assertEqual(slotd.release(lease["lease"])["state"], "ready")
        for name in ("build/object.o", "node_modules/x/index.js", "trace.log"):
            self.assertEqual(git.read(lease["path"], name), b"cache")
        self.assert_invariants(slotd)

    def test_ignored_files_go_where_the_pool_says_so(self):
        slotd = self.one_pool(ready=1, maximum=1, clean={"ignored": "remove"})
        lease = slotd.acquire("p")
        git.write(lease["path"], "build/object.o", "cache")
        self.assertEqual(slotd.release(lease["lease"])["state"], "ready")
        self.assertFalse(os.path.exists(os.path.join(lease["path"], "build")))
        self.assert_invariants(slotd)

    def assert_isolated(self, slotd, lease, *words):
        """Release isolates the slot, with a reason of these words, and ends the lease."""
        done = slotd.release(lease["lease"])
        self.assertEqual((done["state"], done["salvage"]), ("isolated", None))
        info = slotd.slot(lease["slot"])
        self.assertEqual((info["state"], info["lease"], info["reason"]), ("isolated", None, done["reason"]))
        self.assertIsNotNone(info["isolatedAtUsec"])
        for word in words:
            self.assertIn(word, info["reason"])
        self.assertNotIn(lease["lease"], slotd.leases())
        self.assert_error("LeaseGone", slotd.release, lease["lease"])

    def released(self, slotd, lease, files=None):
        """Release saves what is in the slot, which is ready then, and names it; returns the salvage."""
        reply = slotd.release(lease["lease"])
        salvage = self.assert_saved(slotd, lease, files, reply)
        self.assert_error("LeaseGone", slotd.release, lease["lease"])
        self.assert_invariants(slotd)
        return salvage

    def test_changed_file_is_not_lost(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        git.write(lease["path"], "README", "mine\n")
        salvage = self.released(slotd, lease, {"README": b"mine\n"})
        self.assertEqual(salvage.summary, "1 changed file")
        self.assertEqual(git.read(lease["path"], "README"), b"hello again\n")
        self.assertEqual(salvage.staged("README"), b"hello again\n")

    def test_what_is_clean_makes_no_salvage(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        reply = slotd.release(lease["lease"])
        self.assertEqual((reply["state"], reply["salvage"]), ("ready", None))
        self.assertEqual(git.lines(self.repository, "for-each-ref", "refs/slotd/salvage"), [])

    def test_staged_change_is_not_lost(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        git.write(lease["path"], "README", "mine\n")
        git.run(lease["path"], "add", "README")
        git.write(lease["path"], "README", "hello again\n")
        salvage = self.released(slotd, lease, {"README": b"hello again\n"})
        self.assertEqual(salvage.staged("README"), b"mine\n")
        self.assertIn("staged", salvage.summary)

    def test_untracked_file_is_not_lost(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        git.write(lease["path"], "notes/today", "mine\n")
        salvage = self.released(slotd, lease, {"notes/today": b"mine\n"})
        self.assertEqual(salvage.summary, "1 untracked file")
        self.assertFalse(os.path.exists(os.path.join(lease["path"], "notes")))

    def test_deleted_file_is_a_change(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        os.unlink(os.path.join(lease["path"], "README"))
        salvage = self.released(slotd, lease, {"README": None, "run.sh": b"#!/bin/sh\necho ran\n"})
        self.assertEqual(git.lines(self.repository, "diff", "--name-status", lease["head"], salvage.commit),
                         ["D\tREADME"])

    def test_detached_commit_is_not_lost(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        tip = git.commit(lease["path"], "precious", new="x")
        salvage = self.released(slotd, lease, {"new": b"x"})
        self.assertEqual(salvage.summary, "1 commit on no branch")
        self.assertEqual(git.head(self.repository, salvage.commit + "^1"), tip)

    def test_commits_that_were_left_behind_are_not_lost(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        tip = git.commit(lease["path"], "precious", new="x")
        git.run(lease["path"], "reset", "-q", "--hard", lease["head"])
        self.assertTrue(self.released(slotd, lease).has(tip))

    def test_commit_on_a_branch_is_safe(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        git.run(lease["path"], "switch", "-q", "-c", "kept")
        tip = git.commit(lease["path"], "work", new="x")
        self.assertEqual(slotd.release(lease["lease"])["state"], "ready")
        self.assertEqual(git.head(self.repository, "kept"), tip)

    def test_merge_in_progress_is_not_lost(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p", branch="topic", ref="one")
        git.commit(lease["path"], "other", README="other\n")
        merge = git.run(lease["path"], "merge", "main", check=False)
        self.assertNotEqual(merge.returncode, 0)
        conflict = git.read(lease["path"], "README")
        self.assertIn(b"<<<<<<<", conflict)
        salvage = self.released(slotd, lease, {"README": conflict})
        self.assertIn("a merge in progress", salvage.summary)
        self.assertEqual([salvage.show("^3", "stages/%d/README" % n) for n in (1, 2, 3)],
                         [b"hello\n", b"other\n", b"hello again\n"])
        self.assertEqual(salvage.state("MERGE_HEAD").decode().strip(), git.head(self.repository, "main"))

    def test_change_hidden_by_assume_unchanged_is_seen(self):
        slotd = self.one_pool(ready=2)
        for flag in ("--assume-unchanged", "--skip-worktree"):
            lease = slotd.acquire("p")
            git.run(lease["path"], "update-index", flag, "README")
            git.write(lease["path"], "README", "hidden\n")
            self.released(slotd, lease, {"README": b"hidden\n"})

    def test_content_of_the_same_size_and_time_is_seen(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        path = os.path.join(lease["path"], "README")
        old = os.stat(path)
        with open(path, "r+b") as f:
            f.write(b"HELLO")
        os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
        self.released(slotd, lease, {"README": b"HELLO again\n"})

    def test_what_cannot_be_saved_isolates_the_slot(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        git.write(lease["path"], "README", "mine\n")
        git.spoil(lease["path"])
        self.assert_isolated(slotd, lease, "missing")
        self.assertEqual(git.read(lease["path"], "README"), b"mine\n")
        self.assertEqual(git.read(lease["path"], "lost"), b"changed since\n")

    @unittest.skipUnless(os.getuid() == 0, "needs root, to mount something")
    def test_what_is_mounted_in_a_slot_is_left_alone_and_named(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        place = os.path.join(lease["path"], "data")
        os.mkdir(place)
        done = subprocess.run(["mount", "-t", "tmpfs", "slotd-test", place], capture_output=True, check=False)
        if done.returncode:
            self.skipTest("cannot mount a tmpfs here: %s" % done.stderr.decode().strip())
        self.addCleanup(subprocess.run, ["umount", "-l", place], check=False)
        git.write(place, "file", "elsewhere\n")
        git.write(lease["path"], "README", "mine\n")
        self.assert_isolated(slotd, lease, "1 mounted directory: data")
        self.assertEqual(git.read(place, "file"), b"elsewhere\n")
        self.assertEqual(git.read(lease["path"], "README"), b"mine\n")

    @unittest.skipIf(os.getuid() == 0, "root reads everything")
    def test_what_cannot_be_read_is_left_alone_and_named(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        os.chmod(git.write(lease["path"], "secret", "mine\n"), 0)
        self.assert_isolated(slotd, lease, "1 unreadable name: secret")
        self.assertTrue(os.path.exists(os.path.join(lease["path"], "secret")))

    def test_discard_throws_away_what_is_not_saved(self):
        slotd = self.one_pool(ready=1, maximum=1)
        lease = slotd.acquire("p")
        path = lease["path"]
        git.commit(path, "unwanted", new="x")
        git.write(path, "README", "mine\n")
        git.write(path, "untracked/file", "mine\n")
        git.write(path, "cache.log", "kept\n")
        self.assertEqual(slotd.release(lease["lease"], discard=True)["state"], "ready")
        self.assertFalse(os.path.exists(os.path.join(path, "untracked")))
        self.assertEqual(git.read(path, "cache.log"), b"kept\n")
        self.assertEqual(git.lines(self.repository, "for-each-ref", "refs/slotd/salvage"), [])
        self.assert_invariants(slotd)

    def test_discard_survives_anything_an_agent_left(self):
        slotd = self.one_pool(ready=1, maximum=1)
        outside = self.path("outside")
        git.write(outside, "main.c", "outside\n")
        git.write(outside, "victim", "outside\n")
        lease = slotd.acquire("p")
        path = lease["path"]
        subprocess.run("""
            rm -r src && ln -s "$OUTSIDE" src
            rm README && ln -s "$OUTSIDE/victim" README
            rm run.sh && ln "$OUTSIDE/victim" run.sh
            rm .gitignore && mkfifo .gitignore
            mkdir -p readonly/below && touch readonly/below/x && chmod 555 readonly/below readonly
            mkdir nested && git init -q nested && touch nested/file
            mkfifo fifo
            touch "$(printf 'odd\\nname')" .git.x
        """, shell=True, cwd=path, check=True, env={**os.environ, **git.ENV, "OUTSIDE": outside})
        admin = lease["gitDir"]
        for name in ("index.lock", "HEAD.lock"):
            git.write(admin, name, "")
        self.assertEqual(slotd.release(lease["lease"], discard=True)["state"], "ready")
        self.assertEqual(git.read(outside, "main.c"), b"outside\n")
        self.assertEqual(git.read(outside, "victim"), b"outside\n")
        self.assertEqual(sorted(os.listdir(outside)), ["main.c", "victim"])
        self.assert_invariants(slotd)

    def test_rewritten_administration_does_not_lead_elsewhere(self):
        slotd = self.one_pool(ready=1, maximum=1)
        victim = git.make(self.path("victim"))
        git.write(victim, "precious", "untracked\n")
        lease = slotd.acquire("p")
        git.write(lease["gitDir"], "gitdir", victim + "/.git\n")
        with open(os.path.join(lease["path"], ".git"), "w", encoding="ascii") as f:
            f.write("gitdir: %s/.git\n" % victim)
        done = slotd.release(lease["lease"], discard=True)
        self.assertIn(done["state"], ("ready", "isolated"))
        self.assertEqual(git.read(victim, "precious"), b"untracked\n")
        self.assertEqual(git.lines(victim, "status", "--porcelain"), ["?? precious"])
        self.assert_invariants(slotd)

    def test_release_by_slot_or_path_needs_the_holder(self):
        slotd = self.one_pool(ready=1, maximum=1)
        lease = elsewhere.call(slotd.socket, "Acquire", pool="p", agent="me")
        names = (lease["slot"], lease["path"], os.path.join(lease["path"], "src"))
        for name in names:
            self.assert_error("NotPermitted", slotd.release, name)
            self.assert_error("NotPermitted", slotd.release, name, agent="somebody")
        for name in names:
            self.assertEqual(slotd.release(name, agent="me")["lease"], lease["lease"])
            slotd.wait_ready("p")
            lease = elsewhere.call(slotd.socket, "Acquire", pool="p", agent="me")

    def test_slots_that_nobody_holds_are_not_released(self):
        slotd = self.one_pool()
        name = sorted(slotd.slots())[0]
        with self.assertRaises(Error) as caught:
            slotd.release(name)
        self.assertIn(caught.exception.name, ("NotFound", "LeaseGone", "Conflict"))
        self.assert_error("NotFound", slotd.release, "p-999")
        self.assert_error("NotFound", slotd.release, "/nowhere/at/all")

    def test_process_that_acquired_may_release_by_name(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        self.assertEqual(slotd.release(lease["slot"])["lease"], lease["lease"])

    def test_force_takes_it_from_a_live_holder(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p", agent="holder")
        done = slotd.release(lease["slot"], force=True, agent="operator")
        self.assertEqual(done["lease"], lease["lease"])
        self.assert_error("LeaseGone", slotd.call, "Renew", lease=lease["lease"])

    def test_force_does_not_lose_work(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        git.write(lease["path"], "README", "mine\n")
        reply = slotd.release(lease["slot"], force=True)
        self.assert_saved(slotd, lease, {"README": b"mine\n"}, reply)

    def test_missing_directory_is_isolated_with_its_reason(self):
        slotd = self.one_pool(ready=1, maximum=2)
        lease = slotd.acquire("p")
        os.rename(lease["path"], self.path("moved-away"))
        done = slotd.release(lease["lease"])
        self.assertEqual(done["state"], "isolated")
        self.assertTrue(slotd.slot(lease["slot"])["reason"])
        self.assertTrue(os.path.exists(self.path("moved-away", "README")))

    def test_isolated_slot_does_not_stop_the_pool(self):
        slotd = self.one_pool(ready=1, maximum=3)
        lease = slotd.acquire("p")
        git.spoil(lease["path"])
        self.assertEqual(slotd.release(lease["lease"])["state"], "isolated")
        slotd.wait_ready("p")
        slotd.acquire("p")
