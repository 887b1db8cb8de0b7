"""Runs slotctl."""

import json
import os
import subprocess

from support import git
from support.paths import product


class Result:
    """How slotctl ended: status, out, err (text)."""

    def __init__(self, argv, done):
        self.argv = argv
        self.status = done.returncode
        self.out = done.stdout.decode("utf-8", "surrogateescape")
        self.err = done.stderr.decode("utf-8", "surrogateescape")

    def json(self):
        """The one document on standard output."""
        return json.loads(self.out)

    def __str__(self):
        return "%s: exit %d\n--- out\n%s--- err\n%s" % (" ".join(self.argv), self.status, self.out,
                                                         self.err)


def environment(socket=None, env=None):
    """The environment of a plain caller."""
    drop = ("SLOT_", "SLOTD_SOCKET", "NO_COLOR", "XDG_")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(drop)}
    if socket:
        clean["SLOTD_SOCKET"] = socket
    return {**clean, **git.ENV, **(env or {})}


def run(*args, socket=None, env=None, cwd="/", data=b"", timeout=60):
    argv = [product("slotctl"), *args]
    done = subprocess.run(argv, input=data, capture_output=True, cwd=cwd, timeout=timeout,
                          env=environment(socket, env), check=False)
    return Result(["slotctl", *args], done)


def run_apart(*args, socket=None, env=None, cwd="/"):
    """The same from a shell of its own, which is gone afterwards: nobody else is its child."""
    argv = ["sh", "-c", '"$@"; exit $?', "sh", product("slotctl"), *args]
    done = subprocess.run(argv, capture_output=True, cwd=cwd, timeout=60,
                          env=environment(socket, env), check=False)
    return Result(["slotctl", *args], done)


def start(*args, socket=None, env=None, cwd="/", **kwargs):
    """The same in the background; returns the Popen object."""
    return subprocess.Popen([product("slotctl"), *args], cwd=cwd, env=environment(socket, env),
                            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                               "stderr": subprocess.PIPE, **kwargs})
