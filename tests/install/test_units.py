"""What gets installed, and the systemd units: by systemd's own word, and under a real systemd --user."""

import json
import os
import re
import signal
import stat
import subprocess
import unittest

from install import marker
from support import git, paths, slotctl
from support.case import Case
from support.runner import slow


class Installed(Case):
    """meson install into a directory of its own."""

    def setUp(self):
        super().setUp()
        self.root = self.path("root")
        done = subprocess.run(["meson", "install", "--no-rebuild", "--quiet", "-C", paths.build()],
                              env={**os.environ, "DESTDIR": self.root}, capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.prefix = self.option("prefix")

    def option(self, name):
        text = subprocess.run(["meson", "introspect", "--buildoptions", paths.build()],
                              capture_output=True, text=True, check=True).stdout
        return next(o["value"] for o in json.loads(text) if o["name"] == name)

    def at(self, *names):
        """Where something below the prefix has been put."""
        return os.path.join(self.root, self.prefix.lstrip("/"), *names)

    def units(self):
        """Copies of the units whose ExecStart= is the program that was just installed."""
        target = self.path("units")
        for kind in ("system", "user"):
            os.makedirs(os.path.join(target, kind), exist_ok=True)
            source = self.at("lib/systemd", kind)
            for name in os.listdir(source):
                with open(os.path.join(source, name), encoding="utf-8") as f:
                    text = f.read()
                with open(os.path.join(target, kind, name), "w", encoding="utf-8") as f:
                    f.write(text.replace(os.path.join(self.prefix, "bin"), self.at("bin")))
        return target


class Install(Installed):
    def test_everything_is_below_the_prefix(self):
        self.assertEqual(os.listdir(self.root), [self.prefix.split("/")[1]])
        for name in ("bin/slotd", "bin/slotctl", "lib/systemd/user/slotd.service",
                     "lib/systemd/user/slotd.socket", "lib/systemd/system/slotd@.service",
                     "lib/systemd/system/slotd@.socket", "include/slotd/slot.h"):
            self.assertTrue(os.path.isfile(self.at(name)), name)
        self.assertTrue(os.stat(self.at("bin/slotd")).st_mode & stat.S_IXUSR)
        found = {name for _, _, files in os.walk(self.at()) for name in files}
        for name in ("slotd-worker", "slot.pc", "slotd.8", "slotctl.1", "slotd.yaml.5"):
            self.assertTrue(any(f.startswith(name) for f in found), name + " is not installed")
        self.assertTrue(any(re.match(r"libslot\.so", f) for f in found))

    def test_library_shows_its_own_symbols_only(self):
        library = next(os.path.join(where, name) for where, _, files in os.walk(self.at())
                       for name in files if name.startswith("libslot.so."))
        lines = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True,
                               check=True).stdout.split("\n")
        names = [line.split()[-1].split("@")[0] for line in lines if " T " in line]
        self.assertTrue(names)
        self.assertEqual([n for n in names if not n.startswith("slot_")], [])


class Verify(Installed):
    def test_systemd_finds_nothing_to_say(self):
        units = self.units()
        runtime = self.path("runtime")
        os.mkdir(runtime, 0o700)
        for kind, names in (("system", ("slotd@.service", "slotd@.socket")),
                            ("user", ("slotd.service", "slotd.socket"))):
            done = subprocess.run(
                ["systemd-analyze", "verify", "--" + kind, "--man=no", "--recursive-errors=no",
                 *[os.path.join(units, kind, name) for name in names]],
                env={**os.environ, "XDG_RUNTIME_DIR": runtime}, capture_output=True, text=True, check=False)
            self.assertEqual((done.stderr, done.returncode), ("", 0), kind)

    def test_exposure_of_the_system_service_is_low(self):
        done = subprocess.run(
            ["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager",
             os.path.join(self.units(), "system", "slotd@.service")],
            capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


@unittest.skipUnless(os.getuid() == 0, "needs root, to let a systemd --user run without a system's systemd")
class UserManager(Installed):
    """A real systemd --user runs the real units."""

    def setUp(self):
        super().setUp()
        self.runtime = self.path("runtime")
        os.mkdir(self.runtime, 0o700)
        config = self.path("config")
        os.makedirs(os.path.join(config, "systemd"))
        os.symlink(os.path.join(self.units(), "user"), os.path.join(config, "systemd/user"))
        git.write(self.units(), "user/slotd.service.d/test.conf",
                  "[Service]\nWatchdogSec=2s\nEnvironment=SLOTD_WORKER=%s ASAN_OPTIONS=detect_leaks=0\n"
                  % paths.product("slotd-worker"))
        self.env = {"HOME": self.dir, "XDG_RUNTIME_DIR": self.runtime, "XDG_CONFIG_HOME": config,
                    "XDG_STATE_HOME": self.path("state")}
        self.start_manager()

    def start_manager(self):
        self.enterContext(marker.present())
        log = self.path("manager.log")
        with open(log, "wb") as out:
            manager = subprocess.Popen(["systemd", "--user"], env={**os.environ, **self.env}, stdout=out,
                                       stderr=out, stdin=subprocess.DEVNULL)
        self.addCleanup(self.end_manager, manager)
        self.until(lambda: manager.poll() is not None or self.systemctl("show-environment").returncode == 0,
                   "the manager runs")
        if manager.poll() is not None:
            with open(log, encoding="utf-8", errors="replace") as f:
                self.skipTest("systemd --user does not run here: %s" % f.read())

    @staticmethod
    def end_manager(manager):
        manager.terminate()
        try:
            manager.wait(30)
        except subprocess.TimeoutExpired:
            manager.kill()
            manager.wait()

    def systemctl(self, *args):
        return subprocess.run(["systemctl", "--user", *args], env={**os.environ, **self.env},
                              capture_output=True, text=True, timeout=60, check=False)

    def main_pid(self):
        return int(self.systemctl("show", "-P", "MainPID", "slotd.service").stdout)

    def ctl(self, *args, **kwargs):
        return slotctl.run("--user", *args, env=self.env, **kwargs)

    @slow(180)
    def test_socket_starts_the_service_which_is_notified_reloaded_watched_and_stopped(self):
        repository = git.make(self.path("repository"))
        done = self.systemctl("start", "slotd.socket")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.systemctl("is-active", "slotd.service").stdout.strip(), "inactive")
        self.assert_exit(0, self.ctl("pool", "add", "p", "--path", repository))
        self.assertEqual(self.systemctl("is-active", "slotd.service").stdout.strip(), "active")
        lease = self.assert_exit(0, self.ctl("--json", "acquire", "p", "--wait", "30s")).json()
        self.assertTrue(git.is_clean(lease["path"]))
        self.assertNotEqual(self.systemctl("show", "-P", "StatusText", "slotd.service").stdout.strip(), "")
        self.assertEqual(self.systemctl("reload", "slotd.service").returncode, 0)
        pid = self.main_pid()
        os.kill(pid, signal.SIGSTOP)
        self.until(lambda: self.main_pid() not in (0, pid), "the watchdog has it started again", 60)
        self.assert_exit(0, self.ctl("renew", lease["lease"]))
        self.assertEqual(self.systemctl("stop", "slotd.service", "slotd.socket").returncode, 0)
        self.assertEqual(self.systemctl("show", "-P", "Result", "slotd.service").stdout.strip(), "success")
