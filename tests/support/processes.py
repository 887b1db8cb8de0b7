"""Processes: run one with a deadline, and end all that a test left behind."""

import os
import signal
import subprocess
import time

MARK = "SLOTD_TEST_MARK"


def marked(mark):
    """The pids of all processes that carry the mark in their environment."""
    wanted = ("%s=%s" % (MARK, mark)).encode()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open("/proc/%s/environ" % entry, "rb") as f:
                if wanted in f.read().split(b"\0"):
                    found.append(int(entry))
        except OSError:
            continue
    return found


def end_marked(mark):
    """Kill every process with the mark; returns how many there were."""
    pids = marked(mark)
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return len(pids)


def start(argv, mark, log, env, cwd=None):
    """Start a command as leader of a session of its own, output to a file."""
    with open(log, "ab") as out:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd,
                                env={**env, MARK: mark}, start_new_session=True)


def finish(process, mark):
    """Kill a command that start() began, its process group, and all that it left behind."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    end_marked(mark)
    process.wait()


class Pool:
    """Runs commands, a few at a time, each with a deadline."""

    def __init__(self, jobs):
        self.jobs = jobs
        self.running = []

    def run(self, tasks, on_end):
        """tasks: (name, argv, log, env, seconds); on_end(task, returncode or None if late, how many
        seconds it took).

        All run in the current directory.
        """
        tasks = list(tasks)
        while tasks or self.running:
            while tasks and len(self.running) < self.jobs:
                self._start(tasks.pop(0))
            self._reap(on_end)

    def _start(self, task):
        name, argv, log, env, _ = task
        mark = "%d-%s" % (os.getpid(), name)
        process = start(argv, mark, log, env)
        self.running.append((task, process, mark, time.monotonic()))

    def _reap(self, on_end):
        self.running[0][1].poll()
        for entry in list(self.running):
            task, process, mark, began = entry
            returncode = process.poll()
            seconds = time.monotonic() - began
            late = returncode is None and seconds > task[4]
            if returncode is None and not late:
                continue
            finish(process, mark)
            self.running.remove(entry)
            on_end(task, None if late else returncode, seconds)
            return
        time.sleep(0.02)
