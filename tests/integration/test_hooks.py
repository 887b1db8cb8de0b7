"""Claude Code's worktrees are slots: its hooks, run as it runs them."""

import json
import os
import subprocess
import sys

from support import git, paths, slotctl
from support.case import Case
from support.daemon import is_alive

QUICK = {"mode": "fixed", "ttl": "1m", "grace": "2s", "monitor_every": "1s"}
SESSION = "0b8c3f4e-1d2a-4b5c-8d9e-0f1a2b3c4d5e"

# starts what it is told to, each with a shell of its own, as the harness does: a line of JSON in
# ({"command","input"}), a line out ({"status","out","err"}). It lives until its standard input ends.
HARNESS = """
import json, subprocess, sys
for line in sys.stdin:
    told = json.loads(line)
    done = subprocess.run(["sh", *told["options"], "-c", told["command"]], input=told["input"].encode(),
                          capture_output=True, cwd=told["cwd"])
    print(json.dumps({"status": done.returncode, "out": done.stdout.decode("utf-8", "surrogateescape"),
                      "err": done.stderr.decode("utf-8", "surrogateescape")}), flush=True)
"""


class Ended:
    """How a hook ended."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __str__(self):
        return "exit %d\n--- out\n%s--- err\n%s" % (self.status, self.out, self.err)


class Harness:
    """A process that has hooks run, in the environment of a plain caller."""

    def __init__(self, socket=None, env=None, arguments=()):
        self.arguments = arguments
        self.process = subprocess.Popen([sys.executable, "-c", HARNESS], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True,
                                        env=slotctl.environment(socket, env))

    @property
    def pid(self):
        return self.process.pid

    def shell(self, command, data="", options=(), cwd="/"):
        told = {"command": command, "input": data, "options": options, "cwd": cwd}
        self.process.stdin.write(json.dumps(told) + "\n")
        self.process.stdin.flush()
        return Ended(**json.loads(self.process.stdout.readline()))

    def hook(self, name, data, *more, options=()):
        """A hook with this input: text, or fields."""
        words = [paths.product("slotctl"), *self.arguments, "hook", "claude-worktree-" + name, *more]
        # what stands behind keeps the shell there while the hook runs
        return self.shell(" ".join(words) + "; exit $?", data if isinstance(data, str) else json.dumps(data),
                          options)

    def create(self, cwd, name, session=SESSION, **more):
        return self.hook("create", {"session_id": session, "transcript_path": "/t/%s.jsonl" % session,
                                    "cwd": cwd, "permission_mode": "default",
                                    "hook_event_name": "WorktreeCreate", "name": name, **more})

    def remove(self, path, session=SESSION, **more):
        return self.hook("remove", {"session_id": session, "transcript_path": "/t/%s.jsonl" % session,
                                    "cwd": "/", "hook_event_name": "WorktreeRemove",
                                    "worktree_path": path, **more})

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class HookCase(Case):
    def harness(self, socket=None, **kwargs):
        harness = Harness(socket, **kwargs)
        self.addCleanup(harness.end)
        return harness

    def pool(self, ready=2, maximum=3, **keys):
        return self.one_pool(ready=ready, maximum=maximum, lease=QUICK, **keys)

    def created(self, ended):
        """The path that the hook printed, and nothing else."""
        self.assertEqual(ended.status, 0, str(ended))
        path = ended.out[:-1]
        self.assertEqual(ended.out, path + "\n")
        self.assertTrue(os.path.isabs(path) and os.path.isdir(path), str(ended))
        return path

    def refused(self, status, ended, *words):
        """One sentence, and nothing on standard output."""
        self.assertEqual(ended.status, status, str(ended))
        self.assertEqual(ended.out, "")
        self.assertRegex(ended.err, r"\Aslotctl: [^\n]+\n\Z")
        for word in words:
            self.assertIn(word, ended.err)

    def removed(self, ended, *words):
        self.assertEqual((ended.status, ended.out), (0, ""), str(ended))
        for word in words:
            self.assertIn(word, ended.err)

    def lease_at(self, slotd, path):
        return slotd.leases()[slotd.slot(os.path.basename(path))["lease"]]


class Create(HookCase):
    def test_a_worktree_is_a_slot_of_the_repository_on_a_branch_of_its_name(self):
        slotd = self.pool()
        harness = self.harness(slotd.socket)
        below = os.path.join(self.repository, "src", "deep")
        path = self.created(harness.create(below, "fix-login"))
        self.assertEqual(git.text(path, "symbolic-ref", "--short", "HEAD"), "worktree-fix-login")
        self.assertEqual(git.head(path), git.head(self.repository))
        self.assertTrue(git.is_clean(path))
        lease = self.lease_at(slotd, path)
        self.assertEqual((lease["agent"], lease["task"], lease["bind"], lease["expiresAtUsec"]),
                         ("claude-" + SESSION, SESSION + "/fix-login", "process", None))
        self.assert_invariants(slotd)

    def test_the_same_session_and_name_get_the_same_slot_and_others_another(self):
        slotd = self.pool(ready=3)
        harness, other = self.harness(slotd.socket), self.harness(slotd.socket)
        path = self.created(harness.create(self.repository, "a"))
        lease = self.lease_at(slotd, path)["lease"]
        self.assertEqual(self.created(harness.create(self.repository, "a")), path)
        self.assertEqual(self.created(other.create(path, "a")), path, "resumed in the slot")
        self.assertEqual(self.lease_at(slotd, path)["lease"], lease)
        second = self.created(harness.create(self.repository, "b"))
        third = self.created(other.create(self.repository, "c", session="another"))
        self.assertEqual(len({path, second, third}), 3)
        self.assertEqual(len(slotd.leases()), 3)

    def test_what_another_worktree_has_checked_out_is_refused_in_a_sentence(self):
        slotd = self.pool()
        harness = self.harness(slotd.socket)
        path = self.created(harness.create(self.repository, "a"))
        self.refused(1, harness.create(self.repository, "a", session="another"), "worktree-a", path)
        git.run(self.repository, "switch", "-qc", "worktree-b")
        self.refused(1, harness.create(self.repository, "b"), "worktree-b", self.repository)
        self.assertEqual(len(slotd.leases()), 1)

    def test_when_nothing_is_free_it_says_so_or_waits_when_told(self):
        slotd = self.pool(ready=1, maximum=1)
        harness = self.harness(slotd.socket)
        path = self.created(harness.create(self.repository, "a"))
        fields = {"session_id": "another", "cwd": self.repository, "name": "b"}
        self.refused(3, harness.hook("create", fields))
        lease = self.lease_at(slotd, path)["lease"]
        waiting = subprocess.Popen([paths.product("slotctl"), "hook", "claude-worktree-create", "--wait", "60s"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=slotctl.environment(slotd.socket), text=True)
        waiting.stdin.write(json.dumps(fields))
        waiting.stdin.flush()  # and is not closed: the object's end is the input's
        self.until(lambda: slotd.call("Queue")["queue"], "it waits")
        slotd.release(lease)
        out, err = waiting.communicate(timeout=60)
        self.assertEqual((waiting.returncode, out), (0, path + "\n"), err)

    def test_without_a_daemon_it_says_so(self):
        harness = self.harness(self.path("nobody.sock"))
        self.refused(6, harness.create(self.dir, "a"), self.path("nobody.sock"))
        self.refused(6, harness.remove(self.dir), self.path("nobody.sock"))

    def test_a_place_without_repository_and_one_that_is_not_there_are_refused(self):
        slotd = self.pool()
        harness = self.harness(slotd.socket)
        self.refused(4, harness.create(self.dir, "a"), self.dir + " is in no repository and in no slot")
        self.refused(4, harness.create(self.path("gone"), "a"), self.path("gone"), "cwd")
        self.assertEqual(slotd.leases(), {})

    def test_json_prints_the_lease(self):
        slotd = self.pool()
        harness = self.harness(slotd.socket)
        fields = {"session_id": "s", "cwd": self.repository, "name": "n"}
        lease = json.loads(harness.hook("create", fields, "--json").out)
        self.assertEqual((lease["branch"], lease["agent"]), ("worktree-n", "claude-s"))
        done = json.loads(harness.hook("remove", {"session_id": "s", "path": lease["path"]}, "--json").out)
        self.assertEqual((done["lease"], done["state"]), (lease["lease"], "ready"))
        done = json.loads(harness.hook("remove", {"session_id": "s", "path": lease["path"]}, "--json").out)
        self.assertEqual((done["lease"], done["slot"], done["state"]), (None, lease["slot"], "ready"))

    def test_odd_sessions_and_names_get_slots_and_find_them_again(self):
        slotd = self.pool(ready=1, maximum=8)
        harness = self.harness(slotd.socket)
        seen = {}
        for session, name in (("a/b", "c"), ("a", "b/c"), ("x" * 5000, "n1"), ("x" * 4999, "n2"),
                              ("with space\n", "grüße"), ("../../etc", "y" * 180)):
            path = self.created(harness.create(self.repository, name, session))
            self.assertEqual(git.text(path, "symbolic-ref", "--short", "HEAD"), "worktree-" + name)
            self.assertEqual(self.created(harness.create(self.repository, name, session)), path)
            seen[path] = session
        self.assertEqual(len(seen), 6)
        for path, session in seen.items():
            self.removed(harness.remove(path, session), "ready again")
        self.assertEqual(slotd.leases(), {})

    def test_names_that_make_no_branch_are_refused_in_a_sentence(self):
        slotd = self.pool()
        harness = self.harness(slotd.socket)
        for name in ("a b", "a..b", "x.lock", "../../x", "a~1", "@{-1}", "a\nb", "\x1b[31m", "y" * 300):
            self.refused(2, harness.create(self.repository, name), '"name"', "worktree-")
        self.assertEqual(slotd.leases(), {})


class Input(HookCase):
    def test_what_is_no_input_of_the_hook_is_refused_and_nothing_is_asked(self):
        harness = self.harness(self.path("nobody.sock"))  # who asked it would end with 6
        whole = {"session_id": "s", "cwd": "/", "name": "n", "worktree_path": "/x"}

        def without(*keys):
            return json.dumps({k: v for k, v in whole.items() if k not in keys})
        for data, word in (("", "empty"), ("  \n", "empty"), ("garbage", "no JSON"), ("[]", "no object"),
                           ("{", "ends at byte 1"), (json.dumps(whole) + "}", "no JSON"),
                           (json.dumps({**whole, "x": "y" * (1 << 20)}), "too long"),
                           ("[" * 100000, "no JSON"), (without("session_id"), '"session_id"'),
                           (json.dumps({**whole, "session_id": 5}), '"session_id"'),
                           (json.dumps({**whole, "session_id": ""}), '"session_id"')):
            for name in ("create", "remove"):
                self.refused(2, harness.hook(name, data), word)
        self.refused(2, harness.hook("create", without("cwd")), '"cwd"')
        self.refused(2, harness.hook("create", without("name")), '"name"')
        self.refused(2, harness.hook("create", {**whole, "cwd": "here"}), '"cwd"')
        self.refused(2, harness.hook("create", {**whole, "name": ["n"]}), '"name"')
        self.refused(2, harness.hook("remove", without("worktree_path", "name")), '"worktree_path"')
        self.refused(2, harness.hook("remove", {**whole, "worktree_path": 1}), '"worktree_path"')

    def test_a_large_input_with_much_that_nobody_knows_is_read(self):
        slotd = self.pool()
        harness = self.harness(slotd.socket)
        self.created(harness.create(self.repository, "a", unknown={"deep": [{"name": 7}] * 1000},
                                    long="z" * 900000))

    def test_closed_input_and_operands_are_refused(self):
        harness = self.harness(self.path("nobody.sock"))
        line = paths.product("slotctl") + " hook claude-worktree-create"
        self.refused(2, harness.shell(line + " <&-; exit $?"), "standard input")
        self.refused(2, harness.shell(line + " x; exit $?"), "one too many")
        self.refused(2, harness.shell(line + " --discard; exit $?"), "--discard")
        self.refused(2, harness.shell(line.replace("create", "creat") + "; exit $?"),
                     "did you mean 'hook claude-worktree-create'?")


class Remove(HookCase):
    def test_gives_the_slot_back_though_who_acquired_is_gone(self):
        slotd = self.pool()
        path = self.created(self.harness(slotd.socket).create(self.repository, "a"))
        git.commit(path, "work", README="mine\n")
        mine = git.head(path)
        other = self.harness(slotd.socket)
        self.removed(other.remove(path), "ready again")
        self.assertEqual(slotd.leases(), {})
        self.assertEqual(git.head(self.repository, "worktree-a"), mine)
        self.assert_invariants(slotd)

    def test_work_that_is_on_no_branch_is_saved_and_that_is_said(self):
        slotd = self.pool()
        harness = self.harness(slotd.socket)
        path = self.created(harness.create(self.repository, "a"))
        lease = self.lease_at(slotd, path)
        git.write(path, "README", "not committed\n")
        ended = harness.remove(path)
        salvage = self.assert_saved(slotd, lease, {"README": b"not committed\n"})
        self.removed(ended, "ready again", "1 changed file", "slotctl salvage restore " + salvage.id)
        self.created(harness.create(self.repository, "a"))

    def test_work_that_cannot_be_saved_is_kept_and_that_is_said(self):
        slotd = self.pool()
        harness = self.harness(slotd.socket)
        path = self.created(harness.create(self.repository, "a"))
        git.spoil(path)
        self.removed(harness.remove(path), "isolated", path)
        self.assertEqual(git.read(path, "lost"), b"changed since\n")
        self.assertEqual(slotd.slot(os.path.basename(path))["state"], "isolated")
        self.assertEqual(slotd.leases(), {})
        self.refused(1, harness.create(self.repository, "a"), "worktree-a", path)

    def test_twice_is_as_good_as_once(self):
        slotd = self.pool(ready=1, maximum=1)
        harness = self.harness(slotd.socket)
        path = self.created(harness.create(self.repository, "a"))
        self.removed(harness.remove(path), "ready again")
        self.removed(harness.remove(path), "given back before")
        self.removed(harness.hook("remove", {"session_id": SESSION, "name": "a"}), "no slot is leased")
        self.assertEqual(self.created(harness.create(self.repository, "b")), path)
        # the slot is another worktree's now: who names his own does not end that
        self.removed(harness.remove(path, name="a"), "given back before")
        self.assertEqual(len(slotd.leases()), 1)

    def test_a_path_that_is_no_slot_is_left_alone(self):
        slotd = self.pool()
        harness = self.harness(slotd.socket)
        path = self.created(harness.create(self.repository, "a"))
        inside = os.path.join(path, ".claude", "worktrees", "x")
        git.run(path, "worktree", "add", "-q", "--detach", inside)
        outside = self.path("plain")
        git.run(self.repository, "worktree", "add", "-q", "--detach", outside)
        events = len(slotd.events())
        for foreign in (inside, outside, self.repository, os.path.join(path, "src"), os.path.dirname(path), "/",
                        self.path("gone")):
            self.refused(4, harness.remove(foreign), foreign)
        self.assertEqual(len(slotd.events()), events)
        self.assertTrue(git.is_clean(inside) and git.is_clean(outside))
        self.assertEqual(self.lease_at(slotd, path)["status"], "active")

    def test_another_session_s_slot_is_left_alone(self):
        slotd = self.pool()
        path = self.created(self.harness(slotd.socket).create(self.repository, "a"))
        self.refused(8, self.harness(slotd.socket).remove(path, session="another"), os.path.basename(path))
        self.assertEqual(self.lease_at(slotd, path)["status"], "active")

    def test_the_harness_that_leased_it_may_have_another_session_by_now(self):
        slotd = self.pool()
        harness = self.harness(slotd.socket)
        path = self.created(harness.create(self.repository, "a"))
        self.removed(harness.remove(path, session="another"), "ready again")

    def test_the_path_may_lead_through_links_and_end_in_a_slash(self):
        slotd = self.pool()
        harness = self.harness(slotd.socket)
        path = self.created(harness.create(self.repository, "a"))
        os.symlink(self.dir, self.path("link"))
        linked = path.replace(self.dir, self.path("link"), 1) + "/"
        self.removed(harness.remove(linked), "ready again")
        self.assertEqual(slotd.leases(), {})

    def test_session_and_name_do_where_no_path_is_told(self):
        slotd = self.pool()
        harness = self.harness(slotd.socket)
        kept, gone = (self.created(harness.create(self.repository, name)) for name in ("a", "b"))
        self.removed(harness.hook("remove", {"session_id": SESSION, "name": "b"}), os.path.basename(gone))
        self.assertEqual([lease["slot"] for lease in slotd.leases().values()], [os.path.basename(kept)])

    def test_one_name_in_two_repositories_is_two_worktrees(self):
        other = git.make(self.path("other"))
        slotd = self.slotd({"p": {"path": git.make(self.path("repository")), "slots": {"ready": 1, "max": 1}},
                            "q": {"path": other, "slots": {"ready": 1, "max": 1}}})
        harness = self.harness(slotd.socket)
        one = self.created(harness.create(self.path("repository"), "a"))
        two = self.created(harness.create(other, "a"))
        self.assertEqual({os.path.basename(one), os.path.basename(two)}, {"p-1", "q-1"})
        self.refused(2, harness.hook("remove", {"session_id": SESSION, "name": "a"}), "worktree_path")
        self.removed(harness.remove(two), "q-1")
        self.removed(harness.hook("remove", {"session_id": SESSION, "name": "a"}), "p-1")
        self.assertEqual(slotd.leases(), {})


class Life(HookCase):
    def wait_over(self, slotd, path):
        slot = os.path.basename(path)
        self.until(lambda: not slotd.slot(slot)["lease"], "the lease ends")
        return slot

    def test_the_lease_lives_as_long_as_the_harness_however_its_shell_is_called(self):
        slotd = self.pool(ready=1)
        for options in ((), ("-x", "-e"), ("-o", "errexit")):
            harness = self.harness(slotd.socket)
            fields = {"session_id": "s", "cwd": self.repository, "name": "n"}
            path = self.created(harness.hook("create", fields, options=options))
            self.holds(lambda p=path: self.lease_at(slotd, p)["status"] == "active",
                       "the harness keeps it with sh %s -c" % " ".join(options), 3)
            harness.end()
            slot = self.wait_over(slotd, path)
            slotd.wait_state(slot, "ready")
        kinds = [e["kind"] for e in slotd.events() if e["kind"].startswith(("lease_", "holder_"))]
        first, again = ["lease_created"], ["lease_created", "lease_handoff"]
        self.assertEqual(kinds, (first + ["holder_ended", "lease_recovered"]) + (again + ["holder_ended",
                                                                                      "lease_recovered"]) * 2)
        self.assert_invariants(slotd)

    def test_a_session_that_is_resumed_in_the_grace_keeps_its_slot(self):
        slotd = self.one_pool(ready=1, lease={**QUICK, "grace": "30s"})
        harness = self.harness(slotd.socket)
        path = self.created(harness.create(self.repository, "a"))
        lease = self.lease_at(slotd, path)["lease"]
        git.write(path, "README", "not committed\n")
        harness.end()
        self.until(lambda: self.lease_at(slotd, path)["status"] == "grace", "its grace begins")
        resumed = self.harness(slotd.socket)
        self.assertEqual(self.created(resumed.create(self.repository, "a")), path)
        self.assertEqual((self.lease_at(slotd, path)["lease"], self.lease_at(slotd, path)["status"]),
                         (lease, "active"))
        self.assertEqual(git.read(path, "README"), b"not committed\n")
        resumed.end()
        self.until(lambda: self.lease_at(slotd, path)["status"] == "grace", "the resumed one kept it")

    def test_a_session_that_is_resumed_later_gets_a_slot_with_its_branch_again_and_again(self):
        slotd = self.pool(ready=1)
        seen = []
        for turn in range(3):
            harness = self.harness(slotd.socket)
            path = self.created(harness.create(self.repository, "a"))
            self.assertEqual(self.created(harness.create(self.repository, "a")), path)
            lease = self.lease_at(slotd, path)
            self.assertEqual(lease["task"], SESSION + "/a")
            self.assertEqual(git.text(path, "symbolic-ref", "--short", "HEAD"), "worktree-a")
            if seen:
                self.assertEqual(git.read(path, "turn"), b"%d" % (turn - 1))
            git.commit(path, "turn %d" % turn, turn="%d" % turn)
            seen.append(lease["lease"])
            if turn == 1:
                self.removed(harness.remove(path), "ready again")
            else:
                harness.end()
                slotd.wait_state(self.wait_over(slotd, path), "ready")
        self.assertEqual(len(set(seen)), 3)
        self.assert_invariants(slotd)

    def test_a_lease_is_found_again_though_a_lower_key_is_free(self):
        slotd = self.pool(ready=2)
        harness = self.harness(slotd.socket)
        path = self.created(harness.create(self.repository, "a"))
        key = slotd.slot(os.path.basename(path))["meta"]["key"]
        self.removed(harness.remove(path))
        # as if it had been forgotten meanwhile: only a key above it has a lease
        later = slotd.acquire("p", key=key + ".2", meta={"key": key + ".2"}, agent="claude-" + SESSION,
                              task=SESSION + "/a", branch="worktree-a", bind="process:%d" % harness.pid)
        self.assertEqual(self.created(harness.create(self.repository, "a")), later["path"])
        self.assertEqual(self.lease_at(slotd, later["path"])["lease"], later["lease"])

    def test_what_a_dead_harness_had_not_saved_is_kept(self):
        slotd = self.pool()
        harness = self.harness(slotd.socket)
        path = self.created(harness.create(self.repository, "a"))
        lease = self.lease_at(slotd, path)
        git.write(path, "new file", "not committed\n")
        harness.end()
        self.wait_over(slotd, path)
        self.assert_saved(slotd, lease, {"new file": b"not committed\n"})
        self.created(self.harness(slotd.socket).create(self.repository, "a"))

    def test_what_of_a_dead_harness_cannot_be_saved_is_left_where_it_is(self):
        slotd = self.pool()
        harness = self.harness(slotd.socket)
        path = self.created(harness.create(self.repository, "a"))
        git.spoil(path)
        harness.end()
        slotd.wait_state(self.wait_over(slotd, path), "isolated")
        self.assertEqual(git.read(path, "lost"), b"changed since\n")
        self.refused(1, self.harness(slotd.socket).create(self.repository, "a"), "worktree-a", path)

    def test_an_agent_s_shell_may_give_the_slot_back_by_itself(self):
        slotd = self.pool()
        harness = self.harness(slotd.socket)
        path = self.created(harness.create(self.repository, "a"))
        done = harness.shell(paths.product("slotctl") + " release; exit $?", cwd=path)
        self.assertEqual(done.status, 0, str(done))
        self.removed(harness.remove(path), "given back before")

    def test_what_keeps_it_when_the_harness_is_everybody_s_parent_is_its_time(self):
        slotd = self.pool()
        fifo, out = self.path("fifo"), self.path("out")
        os.mkfifo(fifo)
        line = "'%s' hook claude-worktree-create <'%s' >'%s' 2>&1 &" % (paths.product("slotctl"), fifo, out)
        subprocess.run(["sh", "-c", line + " echo $! >'%s'" % self.path("pid")], check=True, timeout=60,
                       env=slotctl.environment(slotd.socket))
        with open(self.path("pid"), encoding="ascii") as f:
            pid = int(f.read())
        with open(fifo, "w", encoding="utf-8") as f:
            with open("/proc/%d/stat" % pid, encoding="utf-8") as stat:
                parent = int(stat.read().rpartition(")")[2].split()[1])
            f.write(json.dumps({"session_id": "s", "cwd": self.repository, "name": "n"}))
        self.until(lambda: not is_alive(pid), "the hook ends")
        if parent != 1:
            self.skipTest("orphans have another parent here")
        with open(out, encoding="utf-8") as f:
            path = f.read()[:-1]
        self.assertEqual(self.lease_at(slotd, path)["bind"], "ttl")


class Alone(HookCase):
    """Nobody has started a daemon or made a pool."""

    def setUp(self):
        super().setUp()
        runtime = self.path("runtime")
        os.mkdir(runtime, 0o700)
        self.env = {"HOME": self.dir, "XDG_RUNTIME_DIR": runtime, "XDG_STATE_HOME": self.path("state"),
                    "XDG_CONFIG_HOME": self.path("config")}
        self.mine = git.make(self.path("repo"))
        self.addCleanup(self.end_daemon)

    def end_daemon(self):
        self.assert_exit(0, slotctl.run("--user", "daemon", "stop", env=self.env))

    def test_the_user_s_daemon_and_the_pool_are_made(self):
        harness = self.harness(env=self.env, arguments=("--user",))
        fields = {"session_id": "s", "cwd": os.path.join(self.mine, "src"), "name": "n"}
        self.refused(6, harness.hook("create", fields, "--no-start"))
        self.refused(6, harness.hook("remove", {"session_id": "s", "name": "n"}))
        ended = harness.hook("create", fields)
        path = self.created(ended)
        self.assertIn("made pool repo of " + self.mine, ended.err)
        self.assertEqual(self.created(harness.hook("create", fields)), path)
        other = git.make(self.path("other"))
        self.refused(4, harness.hook("create", {**fields, "cwd": other}, "--no-create"))
        self.removed(harness.remove(path, session="s"), os.path.basename(path))


class Settings(HookCase):
    def test_the_snippet_runs_both_hooks(self):
        with open(os.path.join(paths.TOP, "contrib", "claude-code-settings.json"), encoding="utf-8") as f:
            hooks = json.load(f)["hooks"]
        slotd = self.pool()
        harness = self.harness(slotd.socket)
        commands = {}
        for event in ("WorktreeCreate", "WorktreeRemove"):
            (entry,) = [hook for group in hooks[event] for hook in group["hooks"]]
            self.assertEqual(entry["type"], "command")
            self.assertTrue(entry["command"].startswith("slotctl "))
            commands[event] = os.path.join(os.path.dirname(paths.product("slotctl")), entry["command"])
        told = {"session_id": "s", "cwd": self.repository, "name": "n"}
        path = self.created(harness.shell(commands["WorktreeCreate"], json.dumps(told)))
        self.assertEqual(self.lease_at(slotd, path)["bind"], "process")
        self.holds(lambda: self.lease_at(slotd, path)["status"] == "active", "the harness keeps it", 2)
        told = {"session_id": "s", "cwd": self.repository, "worktree_path": path}
        self.removed(harness.shell(commands["WorktreeRemove"], json.dumps(told)), "ready again")
