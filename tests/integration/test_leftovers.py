"""Processes that are still in a slot when it is given back."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

from support import git, slotctl
from support.case import Case
from support.idl import Interface
from support.paths import product
from support.varlink import Client

# says "ready" when it is as it is to be, then does nothing for long
STAY = "sys.stdout.write('ready\\n'); sys.stdout.flush(); time.sleep(600)"
IGNORE = "signal.signal(signal.SIGTERM, signal.SIG_IGN); "
IMPORTS = "import os, signal, subprocess, sys, time; "


class Leftovers(Case):
    def pool(self, **clean):
        return self.one_pool(ready=1, maximum=1, clean=clean)

    def somebody(self, code="", cwd=None, **keys):
        """A process that has done some Python and goes on doing nothing."""
        process = subprocess.Popen([sys.executable, "-c", IMPORTS + code + STAY], cwd=cwd,
                                   stdout=subprocess.PIPE, **keys)
        self.addCleanup(self.end, process)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return process

    def end(self, process):
        process.kill()
        process.wait()
        process.stdout.close()

    @staticmethod
    def end_pid(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def release_aside(self, slotd, lease, **keys):
        """Release in a thread; the function that waits for its answer."""
        answers = []

        def release():
            with Client(slotd.socket, timeout=90) as client:
                answers.append(client.call("Release", lease=lease["lease"], **keys))
        thread = threading.Thread(target=release)
        thread.start()

        def join():
            thread.join(90)
            self.assertEqual(len(answers), 1, "the release was answered")
            return answers[0]
        return join

    def reason(self, slotd, lease):
        return slotd.slot(lease["slot"])["reason"] or ""

    def until_reason(self, slotd, lease, text):
        return self.until(lambda: text in self.reason(slotd, lease), "the reason has " + text)

    def kinds(self, slotd, lease):
        return [e["kind"] for e in slotd.events() if e["lease"] == lease["lease"]]

    # --- wait

    def test_a_release_waits_for_who_is_in_the_slot_and_names_it(self):
        slotd = self.pool()
        lease = slotd.acquire("p")
        process = self.somebody("os.mkdir('below'); os.chdir('below'); ", cwd=lease["path"])
        name = "%s (%d" % (git.read("/proc/%d" % process.pid, "comm").decode().strip(), process.pid)
        join = self.release_aside(slotd, lease)
        self.until_reason(slotd, lease, "waiting up to 30 s for processes in it: " + name)
        self.assertIn("only its working directory", self.reason(slotd, lease))
        self.assertEqual(slotd.slot(lease["slot"])["state"], "cleaning")
        explained = slotd.call("Explain", what=lease["slot"])
        self.assertIn(name, explained["sentences"][0])
        self.holds(lambda: slotd.slot(lease["slot"])["state"] == "cleaning", "it waits", 1)
        self.end(process)
        done = join()
        self.assertEqual(Interface().mismatch_reply("Release", done), [])
        self.assertEqual(done["state"], "ready")
        self.assertEqual([(p["pid"], p["use"]) for p in done["processes"]], [(process.pid, "directory")])
        self.assertEqual([k for k in self.kinds(slotd, lease) if k.startswith("processes")],
                         ["processes_left", "processes_ended"])
        self.assert_invariants(slotd)

    def test_nobody_in_it_is_an_empty_list_and_no_event(self):
        slotd = self.pool()
        lease = slotd.acquire("p")
        done = slotd.release(lease["lease"])
        self.assertEqual((done["state"], done["processes"]), ("ready", []))
        self.assertNotIn("processes_left", self.kinds(slotd, lease))
        lease = slotd.acquire("p")
        self.assertIsNone(slotd.release(lease["lease"], wait=False)["processes"], "not known yet")

    def test_an_open_file_counts_and_what_it_is_open_for_is_told(self):
        slotd = self.pool()
        lease = slotd.acquire("p")
        path = os.path.join(lease["path"], "README")
        reader = self.somebody("f = open(%r); " % path)
        writer = self.somebody("f = open(%r, 'a'); " % os.path.join(lease["path"], "a.log"))
        join = self.release_aside(slotd, lease)
        self.until_reason(slotd, lease, "(%d, only reads)" % reader.pid)
        self.assertIn("(%d)" % writer.pid, self.reason(slotd, lease))
        self.end(reader)
        self.until(lambda: "(%d, only reads)" % reader.pid not in self.reason(slotd, lease),
                   "who has ended is not waited for")
        self.assertIn("(%d)" % writer.pid, self.reason(slotd, lease))
        self.end(writer)
        done = join()
        self.assertEqual(done["state"], "ready")
        self.assertEqual({p["pid"]: p["use"] for p in done["processes"]},
                         {reader.pid: "reads", writer.pid: "writes"})

    def test_a_grandchild_that_went_its_own_way_counts(self):
        slotd = self.pool()
        lease = slotd.acquire("p")
        shell = subprocess.run(["sh", "-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"], cwd=lease["path"],
                               stdout=subprocess.PIPE, check=True)
        pid = int(shell.stdout)
        self.addCleanup(self.end_pid, pid)
        join = self.release_aside(slotd, lease)
        self.until_reason(slotd, lease, "(%d, only its working directory)" % pid)
        os.kill(pid, signal.SIGKILL)
        done = join()
        self.assertEqual((done["state"], [p["name"] for p in done["processes"]]), ("ready", ["sleep"]))

    def test_a_look_is_taken_again_when_they_have_ended(self):
        """Whoever comes in while others are waited for is waited for as well."""
        slotd = self.pool()
        lease = slotd.acquire("p")
        first = self.somebody(cwd=lease["path"])
        join = self.release_aside(slotd, lease)
        self.until_reason(slotd, lease, "(%d" % first.pid)
        second = self.somebody(cwd=lease["path"])
        self.end(first)
        self.until(lambda: "(%d" % first.pid not in self.reason(slotd, lease), "the first has ended")
        self.assertIn("(%d" % second.pid, self.reason(slotd, lease))
        self.end(second)
        done = join()
        self.assertEqual((done["state"], {p["pid"] for p in done["processes"]}),
                         ("ready", {first.pid, second.pid}))
        # the next holder has nothing to do with them
        again = slotd.acquire("p")
        self.assertEqual(slotd.release(again["lease"])["processes"], [])

    def test_after_the_limit_the_slot_is_isolated_and_nothing_was_touched(self):
        slotd = self.pool(wait="1s")
        lease = slotd.acquire("p")
        git.write(lease["path"], "half", "written")
        process = self.somebody(cwd=lease["path"])
        done = slotd.release(lease["lease"])
        self.assertEqual(done["state"], "isolated")
        self.assertRegex(done["reason"], r"^processes are still in it: \S+ \(%d, only" % process.pid)
        self.assertIsNone(done["salvage"])
        self.assertEqual(git.read(lease["path"], "half"), b"written")
        self.assertIsNone(process.poll(), "it was left in peace")
        self.assertNotIn(lease["lease"], slotd.leases())
        # once more, and it is still there; once more, and it is not
        self.assertEqual(slotd.call("PingReset")["slots"][0]["state"], "isolated")
        self.end(process)
        self.assertEqual(slotd.call("PingReset")["slots"][0]["state"], "ready")
        self.assertEqual(len(slotd.call("SalvageList")["salvage"]), 1, "and what it left is saved")
        self.assertFalse(os.path.exists(os.path.join(lease["path"], "half")))
        self.assert_invariants(slotd)

    def test_no_time_to_wait_isolates_at_once(self):
        slotd = self.pool(wait=0)
        lease = slotd.acquire("p")
        self.somebody(cwd=lease["path"])
        done = slotd.release(lease["lease"], discard=True)
        self.assertEqual(done["state"], "isolated", "though what it holds may go")

    def test_an_operator_who_takes_a_slot_waits_as_well(self):
        slotd = self.pool(wait="60s")
        lease = slotd.acquire("p")
        process = self.somebody(cwd=lease["path"])
        slotd.release(lease["slot"], force=True, wait=False)
        self.until_reason(slotd, lease, "(%d" % process.pid)
        self.end(process)
        slotd.wait_state(lease["slot"], "ready")
        self.assertIn("lease_forced", self.kinds(slotd, lease))

    def test_a_lease_whose_holder_died_waits_as_well(self):
        slotd = self.one_pool(ready=1, maximum=1, clean={"wait": "60s"}, lease={"grace": "1s"})
        run = slotctl.start("run", "p", "--", "sh", "-c", "setsid sleep 600 <&- >&- 2>&- & echo $!; exec sleep 600",
                            socket=slotd.socket)
        self.addCleanup(run.communicate)
        self.addCleanup(run.kill)
        pid = int(run.stdout.readline())
        self.addCleanup(self.end_pid, pid)
        [lease] = slotd.leases().values()
        run.kill()
        self.until_reason(slotd, lease, "sleep (%d" % pid)
        self.assertIn("lease_recovered", self.kinds(slotd, lease))
        os.kill(pid, signal.SIGKILL)
        slotd.wait_state(lease["slot"], "ready")

    # --- who does not count

    def script(self, slotd, lease, text, background=False):
        """A shell that stands in the slot, in the slot's environment."""
        env = {**os.environ, "SLOTD_SOCKET": slotd.socket, "SLOT_LEASE": lease["lease"],
               "SLOTCTL": product("slotctl"), "PATH": os.environ["PATH"]}
        process = subprocess.Popen(["sh", "-c", text], cwd=lease["path"], env=env, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        if background:
            return process
        out, err = process.communicate(timeout=90)
        self.assertEqual(process.returncode, 0, out + err)
        return out, err

    def test_a_caller_s_own_shell_does_not_count(self):
        slotd = self.pool(wait="60s")
        for options, state in (("", "ready"), (" --no-wait", "cleaning")):
            lease = slotd.acquire("p")
            done, err = self.script(slotd, lease, "\"$SLOTCTL\" --json release%s && pwd" % options)
            self.assertEqual(json.loads(done.splitlines()[0])["state"], state)
            self.assertEqual((done.splitlines()[1], err), (lease["path"], ""))
            slotd.wait_state(lease["slot"], "ready", seconds=20)
            self.assertNotIn("processes_left", self.kinds(slotd, lease))

    def test_what_the_caller_s_shell_left_running_counts(self):
        slotd = self.pool(wait="60s")
        lease = slotd.acquire("p")
        script = self.script(slotd, lease, "sleep 600 <&- >&- 2>&- & echo $!; \"$SLOTCTL\" release; echo $?; read x",
                             background=True)
        pid = int(script.stdout.readline())
        self.addCleanup(self.end_pid, pid)
        told = script.stderr.readline()
        self.assertRegex(told, r"^slotctl: %s is waiting up to 60 s for processes in it: sleep \(%d, only its working "
                               r"directory\)$" % (lease["slot"], pid))
        os.kill(pid, signal.SIGKILL)
        self.assertRegex(script.stdout.readline(), "was given back and is ready again")
        self.assertEqual(script.stdout.readline(), "0\n")

    def test_who_gave_it_back_is_remembered_across_a_restart(self):
        slotd = self.pool(wait="60s")
        lease = slotd.acquire("p")
        process = self.somebody(cwd=lease["path"])
        script = self.script(slotd, lease, "\"$SLOTCTL\" release --no-wait; read x", background=True)
        self.until_reason(slotd, lease, "(%d" % process.pid)
        for _ in range(2):
            slotd.restart()
            self.until_reason(slotd, lease, "(%d" % process.pid)
            self.assertNotIn("(%d" % script.pid, self.reason(slotd, lease))
        self.assertEqual(self.kinds(slotd, lease).count("lease_released"), 1)
        self.end(process)
        slotd.wait_state(lease["slot"], "ready")
        self.assertIsNone(script.poll(), "its caller's shell is still there")
        self.assert_invariants(slotd)

    def test_who_listens_is_told_meanwhile(self):
        slotd = self.pool()
        lease = slotd.acquire("p")
        process = self.somebody(cwd=lease["path"])
        with Client(slotd.socket, timeout=60) as client:
            replies = client.call_more("Release", lease=lease["lease"])
            first = next(replies)
            self.assertEqual(Interface().mismatch_reply("Release", first), [])
            self.assertEqual((first["state"], first["salvage"]), ("cleaning", None))
            self.assertIn("(%d" % process.pid, first["reason"])
            self.assertEqual([p["pid"] for p in first["processes"]], [process.pid])
            self.end(process)
            last = list(replies)[-1]
        self.assertEqual((last["state"], last["reason"]), ("ready", None))
        self.assertEqual([p["pid"] for p in last["processes"]], [process.pid])

    def test_run_tells_what_its_command_left_behind(self):
        slotd = self.pool(wait="60s")
        run = slotctl.start("run", "p", "--", "sh", "-c", "sleep 600 <&- >&- 2>&- & echo $!", socket=slotd.socket)
        self.addCleanup(run.communicate)
        self.addCleanup(run.kill)
        pid = int(run.stdout.readline())
        self.addCleanup(self.end_pid, pid)
        while b"waiting up to" not in (line := run.stderr.readline()):
            self.assertTrue(line, "it tells")
        self.assertIn(b"sleep (%d" % pid, line)
        os.kill(pid, signal.SIGKILL)
        out, err = run.communicate(timeout=60)
        self.assertEqual((run.returncode, out), (0, b""), err)
        self.assertIn(b"is ready again", err)

    def test_an_isolated_one_tells_how_to_keep_what_it_holds(self):
        slotd = self.pool(wait=0)
        lease = slotd.acquire("p")
        git.write(lease["path"], "half", "written")
        process = self.somebody(cwd=lease["path"])
        done = self.ok(slotd, "release", lease["lease"])
        self.assertIn("is isolated: processes are still in it: ", done.out)
        self.assertIn("slotctl slot remove %s (saves" % lease["slot"], done.out)
        self.assertNotIn("--discard", done.out)
        self.end(process)
        self.ok(slotd, "slot", "remove", lease["slot"])
        self.assertEqual(len(slotd.call("SalvageList")["salvage"]), 1)

    # --- end

    def test_they_are_ended_where_the_pool_says_so_and_what_they_wrote_is_saved(self):
        slotd = self.pool(processes="end")
        lease = slotd.acquire("p")
        process = self.somebody("f = open('half', 'w'); f.write('written'); f.flush(); ", cwd=lease["path"])
        done = slotd.release(lease["lease"])
        self.assertEqual(done["state"], "ready")
        self.assertEqual([(p["pid"], p["use"]) for p in done["processes"]], [(process.pid, "writes")])
        self.assertEqual(process.wait(10), -signal.SIGTERM)
        self.assertFalse(os.path.exists(os.path.join(lease["path"], "half")))
        self.assertEqual(git.run(self.repository, "show", done["salvage"]["commit"] + ":half").stdout, b"written")
        detail = [e["detail"] for e in slotd.events() if e["kind"] == "processes_ended"]
        self.assertRegex(detail[0], "1 was sent TERM, 0 of them KILL as well")
        self.assert_invariants(slotd)

    def test_who_ignores_term_or_is_stopped_is_killed(self):
        slotd = self.pool(processes="end")
        lease = slotd.acquire("p")
        stubborn = self.somebody(IGNORE, cwd=lease["path"])
        stopped = self.somebody(cwd=lease["path"])
        elsewhere = self.somebody(cwd="/")
        os.kill(stopped.pid, signal.SIGSTOP)
        began = time.monotonic()
        self.assertEqual(slotd.release(lease["lease"])["state"], "ready")
        self.assertEqual((stubborn.wait(10), stopped.wait(10)), (-signal.SIGKILL, -signal.SIGKILL))
        self.assertGreater(time.monotonic() - began, 4.9, "they had their time")
        self.assertIsNone(elsewhere.poll(), "whoever is not in it is left in peace")
        detail = [e["detail"] for e in slotd.events() if e["kind"] == "processes_ended"]
        self.assertRegex(detail[0], "2 were sent TERM, 2 of them KILL as well")

    def test_children_that_they_leave_behind_are_ended_as_well(self):
        slotd = self.pool(processes="end")
        lease = slotd.acquire("p")
        notes = self.path("children")
        process = self.somebody(
            "spawn = lambda *_: (open(%r, 'a').write('%%d\\n' %% subprocess.Popen(['sleep', '600'], "
            "start_new_session=True, stdout=subprocess.DEVNULL).pid), os._exit(3)); "
            "signal.signal(signal.SIGTERM, spawn); " % notes, cwd=lease["path"])
        done = slotd.release(lease["lease"])
        self.assertEqual((done["state"], process.wait(10)), ("ready", 3))
        with open(notes, encoding="utf-8") as f:
            child = int(f.read())
        self.assertEqual({p["pid"] for p in done["processes"]}, {process.pid, child})
        self.until(lambda: not os.path.exists("/proc/%d/exe" % child), "the child has ended")

    def test_who_comes_back_again_and_again_isolates_the_slot(self):
        slotd = self.pool(processes="end")
        lease = slotd.acquire("p")
        git.write(lease["path"], "half", "written")
        again = self.somebody("import threading; threading.Thread(target=lambda: [subprocess.Popen(['sleep', '600'], "
                              "cwd=%r, stdout=subprocess.DEVNULL).wait() for _ in range(100000)], daemon=True).start(); "
                              % lease["path"])
        done = slotd.release(lease["lease"])
        self.assertEqual(done["state"], "isolated")
        self.assertRegex(done["reason"], r"^processes in it could not be ended: sleep \(\d+, only its working directory")
        self.assertEqual(git.read(lease["path"], "half"), b"written")
        self.assertGreater(len(done["processes"]), 2)
        self.assertIsNone(again.poll(), "whoever starts them is not in it")
        with open("/proc/%d/task/%d/children" % (again.pid, again.pid), encoding="ascii") as f:
            before = f.read()
        self.end(again)
        for pid in before.split():
            self.end_pid(int(pid))

    def test_ending_them_goes_on_after_a_restart(self):
        slotd = self.pool(processes="end")
        lease = slotd.acquire("p")
        process = self.somebody(IGNORE, cwd=lease["path"])
        script = self.script(slotd, lease, "\"$SLOTCTL\" release --no-wait; read x", background=True)
        self.until_reason(slotd, lease, "ending processes in it: ")
        slotd.restart()
        slotd.wait_state(lease["slot"], "ready")
        self.assertEqual(process.wait(10), -signal.SIGKILL)
        self.assertIsNone(script.poll(), "who gave it back is left in peace")
        self.assert_invariants(slotd)

    def test_a_configuration_that_changes_meanwhile_counts(self):
        slotd = self.pool(wait="1h")
        lease = slotd.acquire("p")
        process = self.somebody(cwd=lease["path"])
        join = self.release_aside(slotd, lease)
        self.until_reason(slotd, lease, "waiting up to ")
        slotd.pools["p"]["clean"] = {"processes": "end"}
        slotd.write_config()
        slotd.reload()
        self.assertEqual((join()["state"], process.wait(10)), ("ready", -signal.SIGTERM))

    # --- removing

    def test_a_slot_is_not_removed_under_a_process(self):
        slotd = self.pool(wait="1s")
        slot, = slotd.slots()
        path = slotd.slot(slot)["path"]
        process = self.somebody(cwd=path)
        name = "(%d, only its working directory)" % process.pid
        for discard in (False, True):
            error = self.assert_error("Conflict", slotd.call, "SlotRemove", slot=slot, discard=discard)
            self.assertIn("processes are still in it: ", str(error))
            self.assertIn(name, str(error))
            self.assertIn("it goes when they have ended", str(error))
            self.assertEqual(slotd.slot(slot)["state"], "isolated")
            self.assertTrue(os.path.exists(os.path.join(path, "README")))
        self.end(process)
        self.assertEqual(slotd.call("SlotRemove", slot=slot)["slot"], slot)
        self.assertFalse(os.path.exists(path))
        self.assert_invariants(slotd)

    def test_a_removal_waits_for_who_is_in_the_slot(self):
        slotd = self.pool(wait="60s")
        slot, = slotd.slots()
        process = self.somebody(cwd=slotd.slot(slot)["path"])
        run = slotctl.start("slot", "remove", slot, socket=slotd.socket)
        self.addCleanup(run.communicate)
        self.addCleanup(run.kill)
        self.until(lambda: "(%d" % process.pid in (slotd.slot(slot)["reason"] or ""), "it is waited for")
        self.assertEqual(slotd.slot(slot)["state"], "removing")
        slotd.restart()
        self.until(lambda: "(%d" % process.pid in (slotd.slot(slot)["reason"] or ""), "it is waited for again")
        self.end(process)
        slotd.wait_gone(slot)

    def test_a_removal_ends_who_is_in_the_slot_where_the_pool_says_so(self):
        slotd = self.pool(processes="end")
        lease = slotd.acquire("p")
        git.write(lease["path"], "left", "and saved\n")
        git.spoil(lease["path"])
        self.assertEqual(slotd.release(lease["lease"])["state"], "isolated")
        process = self.somebody(IGNORE, cwd=lease["path"])
        slotd.call("SlotRemove", slot=lease["slot"], discard=True)
        self.assertEqual(process.wait(10), -signal.SIGKILL)
        self.assertFalse(os.path.exists(lease["path"]))
        self.assertEqual(len([e for e in slotd.events() if e["kind"] == "processes_ended"]), 1)

    def test_the_shell_that_has_a_slot_removed_is_told_to_go_and_is_not_ended(self):
        slotd = self.pool(processes="end")
        slot, = slotd.slots()
        path = slotd.slot(slot)["path"]
        text = "\"$SLOTCTL\" slot remove %s 2>&1; pwd; cd /; exec \"$SLOTCTL\" slot remove %s" % (slot, slot)
        out, _ = self.script(slotd, {"lease": "", "path": path}, text)
        told, here = out.splitlines()[:2]
        self.assertIn("processes are still in it: ", told)
        self.assertIn("sh (", told)
        self.assertEqual(here, path)
        self.assertNotIn(slot, slotd.slots())

    def test_a_pool_is_not_removed_under_a_process(self):
        slotd = self.slotd(settings={"defaults": {"clean": {"wait": "1s"}}})
        slotd.call("PoolAdd", pool="p", path=git.make(self.path("repository")), ready=2, max=2)
        slotd.wait_ready("p", 2)
        slot = list(slotd.slots())[0]
        path = slotd.slot(slot)["path"]
        process = self.somebody(cwd=path)
        error = self.assert_error("Conflict", slotd.call, "PoolRemove", pool="p")
        self.assertIn("processes are still in it: ", str(error))
        self.assertIn("(%d" % process.pid, str(error))
        self.assertTrue(os.path.exists(os.path.join(path, "README")))
        self.assertEqual(slotd.pool("p")["state"], "active")
        self.end(process)
        slotd.call("SlotRemove", slot=slot)
        slotd.call("PoolRemove", pool="p")
        self.assertFalse(os.path.exists(path))
