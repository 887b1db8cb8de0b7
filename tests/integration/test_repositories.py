"""Slots of all kinds of repositories, with git as the witness."""

import itertools
import os
import shutil

from support import git
from support.case import Case


class Repositories(Case):
    def same_as_clone(self, slotd, source):
        """A slot has what git's own checkout has: index, files, modes, links, bytes."""
        lease = slotd.acquire("p")
        clone = self.path("clone")
        git.run(self.dir, "clone", "-q", source, clone)
        self.assertTrue(git.is_clean(lease["path"]), git.text(lease["path"], "status", "--short"))
        self.assertEqual(git.run(lease["path"], "diff", "HEAD").stdout, b"")
        self.assertEqual(git.run(lease["path"], "ls-files", "-s", "-z").stdout,
                         git.run(clone, "ls-files", "-s", "-z").stdout)
        self.assertEqual(self.snapshot(lease["path"]), self.snapshot(clone))
        git.run(lease["path"], "fsck")
        return lease

    @staticmethod
    def snapshot(root):
        """{name: (kind, executable, content)} of everything but .git"""
        found = {}
        for directory, folders, files in os.walk(os.fsencode(root)):
            if b".git" in folders:
                folders.remove(b".git")
            for name in files + [f for f in folders if os.path.islink(os.path.join(directory, f))]:
                path = os.path.join(directory, name)
                key = os.path.relpath(path, os.fsencode(root))
                if key == b".git":
                    continue
                if os.path.islink(path):
                    found[key] = ("link", False, os.readlink(path))
                else:
                    with open(path, "rb") as f:
                        found[key] = ("file", bool(os.stat(path).st_mode & 0o100), f.read())
        return found

    def url_pool(self, source, ready=2, maximum=4, **keys):
        slotd = self.slotd({"p": {"url": "file://" + source,
                                  "slots": {"ready": ready, "max": maximum}, **keys}})
        slotd.wait_ready("p", ready)
        return slotd

    def test_adopted_repository_with_a_work_tree(self):
        slotd = self.one_pool()
        lease = self.same_as_clone(slotd, self.repository)
        self.assertEqual(lease["commonDir"], os.path.join(self.repository, ".git"))
        self.assertTrue(git.is_clean(self.repository))
        self.assert_invariants(slotd)

    def test_adopted_bare_repository(self):
        source = git.make_bare(self.path("bare.git"))
        slotd = self.one_pool(source)
        lease = self.same_as_clone(slotd, source)
        self.assertEqual(lease["commonDir"], source)
        self.assert_invariants(slotd)

    def test_cloned_repository(self):
        source = git.make_bare(self.path("origin.git"))
        slotd = self.url_pool(source)
        lease = self.same_as_clone(slotd, source)
        store = os.path.join(slotd.state_dir, "stores", "p.git")
        self.assertEqual(lease["commonDir"], store)
        self.assertEqual(git.text(store, "config", "gc.auto"), "0")
        self.assertEqual(git.text(store, "config", "push.default"), "current")
        self.assertEqual(git.text(store, "config", "transfer.hideRefs"), "refs/slotd")
        self.assert_invariants(slotd)

    def test_cloned_repository_with_a_work_tree(self):
        source = git.make(self.path("origin"))
        slotd = self.url_pool(source)
        self.same_as_clone(slotd, source)

    def test_cloned_ref_means_that_of_the_origin(self):
        source = git.make(self.path("origin"))
        git.run(source, "branch", "release", "HEAD~1")
        slotd = self.url_pool(source, ref="release")
        self.assertEqual(slotd.acquire("p")["head"], git.head(source, "release"))

    def test_origin_s_head_is_the_default(self):
        source = git.make(self.path("origin"))
        git.run(source, "switch", "-q", "-c", "trunk")
        git.commit(source, "on trunk", new="x")
        slotd = self.url_pool(source)
        self.assertEqual(slotd.acquire("p")["head"], git.head(source, "trunk"))

    def test_odd_names_modes_links_and_attributes(self):
        source = git.make_odd(self.path("odd.git"))
        slotd = self.one_pool(source)
        lease = self.same_as_clone(slotd, source)
        self.assertEqual(git.read(lease["path"], "dos.bat"), b"echo one\r\necho two\r\n")
        self.assertIn(b"$Id: ", git.read(lease["path"], "ident.c"))
        self.assertEqual(slotd.release(lease["lease"])["state"], "ready")
        self.assert_invariants(slotd)

    def test_odd_names_can_be_switched_and_thrown_away(self):
        source = git.make_odd(self.path("odd.git"))
        slotd = self.one_pool(source, ready=1, maximum=1)
        lease = slotd.acquire("p")
        for name in git.ODD_NAMES:
            with open(os.path.join(os.fsencode(lease["path"]), name), "ab") as f:
                f.write(b"changed")
        with open(os.path.join(os.fsencode(lease["path"]), b"new \xff\n name"), "wb") as f:
            f.write(b"new")
        done = slotd.release(lease["lease"], discard=True)
        self.assertEqual(done["state"], "ready")
        self.assert_invariants(slotd)

    def test_five_thousand_files(self):
        source = git.make_many(self.path("many.git"), 5000)
        slotd = self.one_pool(source)
        lease = self.same_as_clone(slotd, source)
        git.run(lease["path"], "rm", "-q", "-r", "d1", "d2")
        self.assertEqual(slotd.release(lease["lease"], discard=True)["state"], "ready")
        self.assert_invariants(slotd)

    def test_packed_refs_and_objects(self):
        source = git.make(self.path("origin"))
        git.run(source, "gc", "-q")
        git.run(source, "pack-refs", "--all")
        slotd = self.one_pool(source)
        self.same_as_clone(slotd, source)

    def test_shallow_source(self):
        source = git.make(self.path("origin"))
        shallow = self.path("shallow")
        git.run(self.dir, "clone", "-q", "--depth", "1", "file://" + source, shallow)
        slotd = self.one_pool(shallow)
        self.assertEqual(slotd.acquire("p")["head"], git.head(source))

    def test_empty_repository_has_no_slots_until_it_has_a_commit(self):
        empty = git.init(self.path("empty"))
        slotd = self.one_pool(empty, wait_ready=False)
        error = self.assert_error("Unavailable", slotd.acquire, "p")
        self.assertTrue(error.message)
        self.assertEqual(slotd.pool("p")["total"], 0)
        git.commit(empty, "first", README="x\n")
        lease = self.until(lambda: self.try_acquire(slotd), "a slot after the first commit", 60)
        self.assertEqual(lease["head"], git.head(empty))

    def try_acquire(self, slotd):
        try:
            return slotd.acquire("p", waitUsec=1000000)
        except Exception:  # pylint: disable=broad-except # not yet
            slotd.call("PoolFetch", pool="p")
            return None

    def test_submodule_entry_is_a_directory_and_said(self):
        inner = git.make(self.path("inner"))
        source = git.make_with_submodule(self.path("outer"), inner)
        slotd = self.one_pool(source)
        lease = slotd.acquire("p")
        self.assertTrue(git.is_clean(lease["path"]))
        self.assertEqual(os.listdir(os.path.join(lease["path"], "vendor/inner")), [])
        self.assertIn("submodules", {u["what"] for u in slotd.pool("p")["unsupported"]})
        slotd.release(lease["lease"])
        self.assert_invariants(slotd)

    def unsupported(self, repository):
        slotd = self.one_pool(repository)
        return {u["what"]: u for u in slotd.pool("p")["unsupported"]}

    def test_lfs_is_said(self):
        source = git.make(self.path("origin"))
        git.commit(source, "lfs", **{".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"})
        said = self.unsupported(source)
        self.assertIn("lfs", said)
        self.assertIn(".gitattributes", said["lfs"]["where"])

    def test_working_tree_encoding_is_said(self):
        source = git.make(self.path("origin"))
        git.commit(source, "utf16", **{".gitattributes": "*.rc working-tree-encoding=UTF-16LE\n"})
        self.assertIn("working-tree-encoding", self.unsupported(source))

    def test_partial_clone_is_said(self):
        source = git.make_bare(self.path("origin.git"))
        git.run(source, "config", "uploadpack.allowFilter", "true")
        partial = self.path("partial")
        git.run(self.dir, "clone", "-q", "--filter=blob:none", "file://" + source, partial)
        slotd = self.one_pool(partial, wait_ready=False)
        self.until(lambda: slotd.pool("p")["state"] != "opening", "the pool is open")
        self.assertIn("partial-clone", {u["what"] for u in slotd.pool("p")["unsupported"]})

    def refused(self, repository, word):
        """The pool is refused by name, at pool add and as a pool of the file."""
        slotd = self.slotd({"p": {"path": repository}})
        counts = self.until(lambda: (lambda c: c if c["state"] != "opening" else None)(slotd.pool("p")),
                            "the pool is judged")
        self.assertNotEqual(counts["state"], "active")
        self.assertIn(word, counts["problem"])
        error = self.assert_error("Unavailable", slotd.acquire, "p")
        self.assertIn(word, error.message)
        copy = self.path("copy")
        shutil.copytree(repository, copy, symlinks=True)
        error = self.assert_error("Unsupported", slotd.call, "PoolAdd", pool="q", path=copy)
        self.assertIn(word, error.message)
        self.assertNotIn("q", {p["name"] for p in slotd.call("PoolList")["pools"]})

    def test_sha256_is_refused(self):
        source = git.init(self.path("origin"), "--object-format=sha256")
        git.commit(source, "first", README="x\n")
        self.refused(source, "sha256")

    def test_reftable_is_refused(self):
        source = git.make(self.path("origin"))
        git.run(source, "config", "core.repositoryFormatVersion", "1")
        git.run(source, "config", "extensions.refStorage", "reftable")
        self.refused(source, "reftable")

    def test_readers_beside_the_creation_of_slots_never_fail(self):
        source = git.make(self.path("repository"))
        slotd = self.slotd()
        slotd.call("PoolAdd", pool="p", path=source, ready=1, max=100)
        slotd.wait_ready("p")
        config = git.read(source, ".git/config")
        reads, slots = 0, 1
        while reads < 30:
            slots += 6
            self.assertLessEqual(slots, 100, "slots are made before anybody can look: %d reads" % reads)
            slotd.call("PoolResize", pool="p", ready=slots)
            for command in itertools.cycle((("worktree", "list"), ("fsck", "--connectivity-only"),
                                            ("fetch", "-q", ".", "main"))):
                if slotd.pool("p")["ready"] == slots:
                    break
                git.run(source, *command)
                reads += 1
        self.assertEqual(git.read(source, ".git/config"), config)
        self.assert_invariants(slotd)

    def test_prune_by_anybody_takes_no_slot(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        hidden = self.path("hidden")
        os.rename(lease["path"], hidden)
        git.run(self.repository, "worktree", "prune", "--expire=now")
        os.rename(hidden, lease["path"])
        self.assertTrue(git.is_clean(lease["path"]))
        self.assert_invariants(slotd)
