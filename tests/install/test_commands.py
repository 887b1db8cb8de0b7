"""The commands of slotd.yaml under the units that are installed: the user's, and with the sandbox of the system's."""

import base64
import hashlib
import http.server
import io
import json
import os
import re
import shutil
import tarfile
import unittest

from install import test_units
from support import git, paths, servers
from support.runner import slow

# of the system's service, what a user's manager may not do or what belongs to the place and not to the sandbox
NOT_TAKEN = {"Type", "NotifyAccess", "User", "ExecStart", "ExecReload", "WatchdogSec", "Restart", "RestartSec",
             "StateDirectory", "StateDirectoryMode", "KillMode", "TimeoutStopSec", "OOMPolicy", "LimitNOFILE",
             # they hide devices and files of /proc behind nodes that a user's manager does not have
             "ProtectKernelLogs", "ProtectKernelTunables"}

# a fetch over https by what every machine with the tests has
FETCH = """
import os, ssl, sys, urllib.request
context = ssl.create_default_context(cafile=os.environ["CERTIFICATE"])
with urllib.request.urlopen(os.environ["URL"], context=context) as reply:
    os.makedirs("node_modules")
    with open("node_modules/fetched", "wb") as f:
        f.write(reply.read())
with open("/proc/self/status") as status, open("node_modules/status", "w") as f:
    f.write(status.read())
for name in ("/etc/slotd-test", "/usr/slotd-test", "/sys/slotd-test"):
    try:
        open(name, "w").close()
        sys.exit(name + " can be written to")
    except OSError:
        pass
"""


class FileHandler(http.server.BaseHTTPRequestHandler):
    """The server's one file, whatever is asked for."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.root)))
        self.end_headers()
        self.wfile.write(self.server.root)


def tarball(name):
    """A package as a registry has it."""
    content = json.dumps({"name": name, "version": "1.0.0"}).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        info = tarfile.TarInfo("package/package.json")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


class Commands(test_units.UserManager):
    """The user's service, as it is."""

    sandbox = ""
    # tested there
    test_socket_starts_the_service_which_is_notified_reloaded_watched_and_stopped = None

    def setUp(self):
        super().setUp()
        self.certificate = servers.make_certificate(self.dir)
        if self.sandbox:
            git.write(self.units(), "user/slotd.service.d/sandbox.conf", self.sandbox_conf())
            self.assertEqual(self.systemctl("daemon-reload").returncode, 0)

    def sandbox_conf(self):
        """What the system's service says about its sandbox; the places of the test are let in."""
        with open(os.path.join(self.units(), "system", "slotd@.service"), encoding="utf-8") as f:
            service = re.split(r"^\[\w+\]$", f.read(), flags=re.MULTILINE)[2]
        lines = [line for line in service.splitlines()
                 if re.match(r"[A-Z]\w*=", line) and line.split("=")[0] not in NOT_TAKEN]
        self.assertIn("SystemCallFilter=@system-service", lines)
        return "\n".join(["[Service]", *lines, "BindPaths=" + self.dir, "BindPaths=" + paths.build(), ""])

    def serve(self, content):
        server = servers.Http(content, certificate=self.certificate, handler=FileHandler)
        self.addCleanup(server.close)
        return server

    def repository_with(self, **files):
        repository = git.make(self.path("repository"))
        git.commit(repository, "files", **{".gitignore": "node_modules/\n", **files})
        return repository

    def warm_slot(self, repository, seconds=100, **warmup):
        """The path of a slot that was warmed up."""
        config = {"pools": {"p": {"path": repository, "slots": {"ready": 1, "max": 1},
                                  "warmup": {"timeout": "%ds" % seconds, **warmup}}}}
        git.write(self.path("config"), "slotd/slotd.yaml", json.dumps(config))
        self.assertEqual(self.systemctl("start", "slotd.socket").returncode, 0)

        def settled():
            slots = self.ctl("--json", "slots").json()["slots"]
            if slots and slots[0]["state"] == "ready":
                return slots[0]
            self.assertFalse(slots and slots[0]["reason"] and "failed" in slots[0]["reason"] and
                             self.fail(slots[0]["reason"] + "\n" +
                                       self.ctl("events", "--slot", slots[0]["slot"]).out))
            return None
        return self.until(settled, "the slot is warm", seconds)["path"]

    def check_status(self, status):
        """In the command's own /proc/self/status."""
        self.assertIn("NoNewPrivs:\t1", status)

    @slow(200)
    def test_a_command_fetches_over_https(self):
        server = self.serve(b"from afar")
        path = self.warm_slot(self.repository_with(), run=["python3", "-c", FETCH],
                              env={"CERTIFICATE": self.certificate[0], "URL": server.url("x")})
        self.assertEqual(git.read(path, "node_modules/fetched"), b"from afar")
        self.check_status(git.read(path, "node_modules/status").decode())

    @slow(400)
    def test_npm_ci_with_a_file_dependency_and_one_from_an_https_server(self):
        if not shutil.which("npm"):
            self.skipTest("npm is not installed")
        package = tarball("remote")
        url = self.serve(package).url("remote-1.0.0.tgz")
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(package).digest()).decode()
        wanted = {"dep": "file:dep", "remote": url}
        dep = {"name": "dep", "version": "1.0.0", "scripts": {"install": "node install.js"}}
        lock = {"name": "app", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": {
            "": {"name": "app", "version": "1.0.0", "dependencies": wanted},
            "dep": {"version": "1.0.0", "hasInstallScript": True}, "node_modules/dep": {"resolved": "dep", "link": True},
            "node_modules/remote": {"version": "1.0.0", "resolved": url, "integrity": integrity}}}
        repository = self.repository_with(**{
            "package.json": json.dumps({"name": "app", "version": "1.0.0", "dependencies": wanted}),
            "package-lock.json": json.dumps(lock), "dep__package.json": json.dumps(dep),
            "dep__install.js": "require('fs').writeFileSync('../node_modules/by-script', process.env.SLOT_ID)"})
        path = self.warm_slot(repository, seconds=300, run=["npm", "ci", "--no-audit", "--no-fund"],
                              when_changed=["package-lock.json"],
                              env={"npm_config_cafile": self.certificate[0]})
        for name in ("dep", "remote"):
            self.assertEqual(json.loads(git.read(path, "node_modules/%s/package.json" % name))["name"], name)
        self.assertEqual(git.read(path, "node_modules/by-script"), b"p-1",
                         "an install script of what the repository names was run, as the manual says")
        self.assertTrue(git.is_clean(path))


@unittest.skipUnless(os.getuid() == 0, "needs root, to have the sandbox of the system's service")
class CommandsInSandbox(Commands):
    """The user's service with the sandbox of the system's service, which only root's manager can set up."""

    sandbox = "of the system"

    def check_status(self, status):
        super().check_status(status)
        self.assertIn("Seccomp:\t2", status, "the filter of system calls is there")
        self.assertIn("CapBnd:\t" + "0" * 16, status)
