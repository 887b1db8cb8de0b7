"""What git fsck says of a world, in the store and in each of its worktrees, and what slotd's checker says."""

import os
import re
import select
import signal
import subprocess
import time

from support import paths, worlds

GRAVE = ("error", "warning")

# of git's lines: what is no error
HARMLESS = re.compile(r"^(dangling |notice: |warning in |bad sha1 file: |ignoring \w+ extension)")
NAMED = re.compile(r"^(error|warning) in \w+ ([0-9a-f]{40})[^:]*: (\w+):")

DEADLINE = 30  # s a store


class Verdict:
    """severity: "error", "warning" or "" (nothing, or information alone); ids; text for people."""

    def __init__(self):
        self.severity, self.ids, self.lines, self.findings = "", set(), [], []

    def worsen(self, severity):
        order = ["", "warning", "error"]
        if order.index(severity) > order.index(self.severity):
            self.severity = severity


def is_complaint(line):
    return bool(line.strip()) and not HARMLESS.match(line)


def start_fsck(world, path):
    return subprocess.Popen(["git", "fsck", "--full", "--strict", "--no-progress"], cwd=path, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=world.environment(),
                            start_new_session=True)


def finish_fsck(process, seconds):
    """(status, lines); None for a git that hangs, and is ended."""
    try:
        out, _ = process.communicate(timeout=seconds)
        return process.returncode, out.decode(errors="replace").split("\n")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None, ["git fsck hangs"]


def ask_git(world, everywhere=True, patience=60):
    """git fsck --full --strict in the store and in each worktree: 2.39 looks at the index of the current one alone."""
    verdict = Verdict()
    running = [(name, start_fsck(world, path)) for name, path in world.trees()[:None if everywhere else 1]]
    end = time.monotonic() + patience
    for name, process in running:
        status, lines = finish_fsck(process, max(0.1, end - time.monotonic()))
        for line in lines:
            named = NAMED.match(line)
            if named:
                verdict.ids.add(named.group(3))
            if is_complaint(line) or named:
                verdict.lines.append("%s: %s" % (name, line))
        if status is None:
            verdict.severity = "hangs"
            continue
        if verdict.severity != "hangs":
            bad = [line for line in lines if is_complaint(line)]
            verdict.worsen("error" if status else "warning" if bad else "")
    return verdict


class Finding:
    def __init__(self, line):
        head, _, self.detail = line.partition(": ")
        self.severity, self.id, self.where, self.slot, self.object, self.path = (head.split(" ", 5) + [""] * 6)[:6]
        self.line = line

    def __str__(self):
        return self.line


class Crashed(AssertionError):
    """The checker died, hung or failed; carries what it said."""


def program():
    return os.path.join(paths.build(), "tests/unit/integrity/check-store")


class Checker:
    """check-store: one process for many stores."""

    def __init__(self, log, remembers=False):
        self.log, self.remembers, self.process = log, remembers, None
        self.count, self.store = 0, None

    def start(self):
        env = {**os.environ, "CHECK_ADOPTED": "1", "CHECK_IDLE": "1", "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0",
               "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([program(), *(["--memo"] if self.remembers else [])], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=log, env=env)
        self.rest = b""

    def check(self, world, depth="full", slots=None):
        """The verdict; raises Crashed, and the next one begins in a new process."""
        if self.process is None:
            self.start()
        slots = worlds.SLOTS if slots is None else slots
        line = " ".join([depth, world.store, *("%s=%s" % (name, world.slot(name)) for name in slots)])
        if self.remembers and world.store != self.store:
            line = "forget\n" + line
        self.store = world.store
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self.crashed("is gone") from None
        return self.read_verdict()

    def read_verdict(self):
        verdict, end = Verdict(), time.monotonic() + DEADLINE
        for line in self.read_lines(end):
            words = line.split(" ")
            if words[0] == "done":
                if words[1] != "0":
                    verdict.severity = "failed"
                verdict.lines.append(line)
                self.count += 1
                return verdict
            finding = Finding(line)
            if finding.severity not in ("error", "warning", "info"):
                raise self.crashed("said %r" % line)
            verdict.findings.append(finding)
            verdict.ids.add(finding.id)
            verdict.lines.append(line)
            if finding.severity in GRAVE:
                verdict.worsen(finding.severity)
        raise AssertionError("not reached")

    def read_lines(self, end):
        while True:
            while b"\n" not in self.rest:
                ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
                if not ready:
                    raise self.crashed("hangs")
                more = os.read(self.process.stdout.fileno(), 1 << 16)
                if not more:
                    raise self.crashed("died")
                self.rest += more
            line, _, self.rest = self.rest.partition(b"\n")
            yield line.decode(errors="replace")

    def crashed(self, what):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGABRT if what == "hangs" else signal.SIGKILL)
        self.process.wait(30)
        status = self.process.returncode
        self.close()
        with open(self.log, "rb") as f:
            said = f.read()[-6000:].decode(errors="replace")
        return Crashed("the checker %s (status %s)\n%s" % (what, status, said))

    def close(self):
        """Ends it; its exit status, which is not 0 when memory leaked."""
        if self.process is None:
            return 0
        self.process.stdin.close()
        status = self.process.wait(60)
        self.process.stdout.close()
        self.process = None
        return status
