#!/usr/bin/env python3
"""Every command against a daemon that answers nonsense: no crash, no escape codes, and
with --json always one document.

usage: hostile.py SLOTCTL
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading

LISTS = ["pools", "slots", "leases", "queue", "events", "branches", "stuck"]
STRINGS = ["name", "slot", "pool", "state", "path", "reason", "lease", "agent", "task", "head",
           "branch", "kind", "detail", "message", "status", "ref", "source", "url", "problem"]
EVIL = "\x1b[31m\u202e\n\u0000" * 20
COMMANDS = ["status", "slots", "leases", "queue", "pool list", "pool show", "pool show x",
            "events", "ping", "ping health", "config show", "version", "release x", "renew x",
            "touch x", "finish x", "pool remove x", "pool resize x --max 1", "pool pause x",
            "pool fetch x", "slot add x", "slot remove x", "pool add x --url y", "acquire x",
            "daemon status", "run x -- true", "hook claude-worktree-create", "hook claude-worktree-remove"]
INPUT = json.dumps({"session_id": "s", "cwd": "/", "name": "n", "worktree_path": "/x"}).encode()


def reply(parameters):
    return json.dumps({"parameters": parameters}).encode()


MESSAGES = [
    reply({}),
    reply({key: [1, None, "x", {}, []] for key in LISTS}),
    reply({key: 5 for key in LISTS + STRINGS + ["version", "yaml", "stats"]}),
    reply({**{key: [{name: EVIL for name in STRINGS}] for key in LISTS},
           **{name: EVIL for name in STRINGS + ["version", "yaml"]}, "branches": [EVIL]}),
    reply({"pool": {"name": "x", "unsupported": [1, {}]}, "slot": {}, "stats": [],
           "pools": [{"name": "x", "isolated": -1, "unsupported": [{}, 2]}],
           "slots": [{"state": "isolated"}],
           "leases": [{"progress": 10**15, "expiresAtUsec": 2**62, "acquiredAtUsec": -5}],
           "queue": [{"position": 2}, {"position": 1}, 7],
           "events": [{"atUsec": 2**62, "sequence": -1}],
           "state": "isolated", "lease": "l", "expiresAtUsec": -7}),
    json.dumps({"error": "io.slotd.pool.NotFound",
                "parameters": {"what": 7, "message": EVIL}}).encode(),
    json.dumps({"error": "org.varlink.service.InvalidParameter"}).encode(),
    json.dumps({"error": ""}).encode(),
    b"[1]",
    b"nonsense",
]


class Daemon:
    """Answers everything with the same message."""

    def __init__(self, path):
        self.message = b""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            peer, _ = self.socket.accept()
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        try:
            while data := peer.recv(65536):
                for _ in range(data.count(b"\0")):
                    peer.sendall(self.message + b"\0")
        except OSError:
            pass


def complaints(command, as_json, result):
    told = result.stdout + result.stderr
    if not 0 <= result.returncode <= 8:
        yield f"exit status {result.returncode}"
    if b"Sanitizer" in result.stderr or b"runtime error" in result.stderr:
        yield "a sanitizer's report"
    if b"(null)" in told or (b"\x1b" in told and command != "config show"):
        yield "words that no person should see"
    if as_json and not command.startswith("run"):
        try:
            json.loads(result.stdout)
        except ValueError:
            yield "no JSON document"


def main():
    slotctl = sys.argv[1]
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "sock")
        daemon = Daemon(path)
        for number, daemon.message in enumerate(MESSAGES):
            for index, command in enumerate(COMMANDS):
                # under valgrind, where a start takes half a second, every other pair
                if "SLOTD_UNDER_VALGRIND" in os.environ and (number + index // 2) % 2:
                    continue
                as_json = (number + index) % 2 == 0
                line = [slotctl, "--socket", path, "--timeout", "5"]
                line += ["--json"] * as_json + command.split()
                result = subprocess.run(line, capture_output=True, input=INPUT, timeout=60, check=False)
                for complaint in complaints(command, as_json, result):
                    failed += 1
                    print(f"{command}: {complaint}, for {daemon.message[:80]}\n"
                          f"{result.stdout[:300]}\n{result.stderr[:300]}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
