"""What a lease is bound to keeps it; its end ends it, after the grace."""

import os
import signal
import subprocess
import sys
import time

from support import paths, slotctl
from support.case import Case

QUICK = {"ttl": "1s", "grace": "3s", "min_ttl": "1s", "warn_before": "500ms", "monitor_every": "1s",
         "abandon_after": "1s"}
SECOND = 1000000


class Bindings(Case):
    def pool(self, **keys):
        return self.one_pool(ready=2, maximum=3, lease={**QUICK, **keys})

    def process(self):
        process = subprocess.Popen(["sleep", "600"])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def end(self, process):
        process.kill()
        process.wait()

    def wait_ended(self, slotd, lease, seconds=30):
        self.until(lambda: lease not in slotd.leases(), "the lease has ended", seconds)

    def kinds(self, slotd, lease):
        return [e["kind"] for e in slotd.events() if e["lease"] == lease]

    def test_a_process_keeps_its_lease_and_its_end_ends_it_after_the_grace(self):
        slotd = self.pool()
        process = self.process()
        lease = slotd.acquire("p", bind="process:%d" % process.pid)
        self.assertIsNone(lease["expiresAtUsec"])
        self.assertEqual(slotd.leases()[lease["lease"]]["bind"], "process")
        self.holds(lambda: slotd.leases()[lease["lease"]]["status"] == "active", "its process keeps it", 6)
        self.end(process)
        died = time.monotonic()
        self.until(lambda: slotd.leases()[lease["lease"]]["status"] == "grace", "its grace begins", 2)
        self.wait_ended(slotd, lease["lease"])
        self.assertGreater(time.monotonic() - died, 2.9)
        self.assertEqual(self.kinds(slotd, lease["lease"]), ["lease_created", "holder_ended", "lease_recovered"])

    def test_a_process_that_lives_keeps_a_lease_whose_time_is_over(self):
        slotd = self.pool()
        process = self.process()
        lease = slotd.acquire("p", bind="process:%d+ttl" % process.pid)["lease"]
        self.until(lambda: "lease_kept" in self.kinds(slotd, lease), "it was asked about", 20)
        self.assertIn(lease, slotd.leases())
        self.end(process)
        self.wait_ended(slotd, lease)

    def test_a_binding_survives_a_restart(self):
        slotd = self.pool()
        process = self.process()
        lease = slotd.acquire("p", bind="process:%d" % process.pid)["lease"]
        slotd.kill()
        slotd.start()
        self.holds(lambda: lease in slotd.leases(), "its process keeps it", 5)
        slotd.stop()
        self.end(process)
        slotd.start()
        self.assertEqual(slotd.leases()[lease]["status"], "grace")
        self.wait_ended(slotd, lease)

    def test_whoever_reports_in_the_grace_keeps_it(self):
        slotd = self.pool(abandon_after="1h")
        process = self.process()
        lease = slotd.acquire("p", bind="process:%d" % process.pid)["lease"]
        self.end(process)
        self.until(lambda: slotd.leases()[lease]["status"] == "grace", "its grace begins", 2)
        slotd.call("Renew", lease=lease)
        self.assertEqual(slotd.leases()[lease]["bind"], "ttl")
        self.holds(lambda: lease in slotd.leases(), "the report keeps it", 5)

    def test_the_same_key_from_another_process_binds_it_anew(self):
        slotd = self.pool()
        first, second = self.process(), self.process()
        lease = slotd.acquire("p", key="k", bind="process:%d" % first.pid)["lease"]
        self.end(first)
        self.assertEqual(slotd.acquire("p", key="k", bind="process:%d" % second.pid)["lease"], lease)
        self.holds(lambda: slotd.leases()[lease]["status"] == "active", "the second keeps it", 5)
        self.end(second)
        self.wait_ended(slotd, lease)

    def test_a_process_that_is_not_there_is_refused(self):
        slotd = self.pool()
        process = self.process()
        self.end(process)
        self.assert_error("NotFound", slotd.acquire, "p", bind="process:%d" % process.pid)
        for wrong in ("process:", "process:0", "process:x", "ttl:5", "ttl+", "ttl+ttl", "manual+ttl", "nothing"):
            self.assert_error("org.varlink.service.InvalidParameter", slotd.acquire, "p", bind=wrong)
        self.assertEqual(slotd.leases(), {})

    def test_a_connection_keeps_its_lease_and_its_end_ends_it(self):
        slotd = self.pool()
        with slotd.client() as client:
            lease = client.call("Acquire", pool="p", bind="connection")["lease"]
            self.holds(lambda: slotd.leases()[lease]["status"] == "active", "its connection keeps it", 5)
        self.until(lambda: slotd.leases()[lease]["status"] == "grace", "its grace begins", 2)
        self.wait_ended(slotd, lease)

    def test_who_comes_back_with_its_key_keeps_the_lease_of_its_connection(self):
        slotd = self.pool(grace="8s")
        with slotd.client() as client:
            lease = client.call("Acquire", pool="p", bind="connection", key="k")["lease"]
        slotd.restart()
        self.assertEqual(slotd.leases()[lease]["status"], "grace")
        with slotd.client() as client:
            self.assertEqual(client.call("Acquire", pool="p", bind="connection", key="k")["lease"], lease)
            self.assertEqual(slotd.leases()[lease]["status"], "active")
            self.holds(lambda: lease in slotd.leases(), "it came back in time", 9)

    def test_the_pool_says_what_binds_when_nobody_else_does(self):
        slotd = self.pool(bind="manual")
        lease = slotd.acquire("p")["lease"]
        self.assertEqual(slotd.leases()[lease]["bind"], "manual")
        lease = slotd.acquire("p", bind="ttl")["lease"]
        self.assertEqual(slotd.leases()[lease]["bind"], "ttl")

    def test_a_run_that_is_killed_gives_its_slot_back(self):
        slotd = self.pool(abandon_after="1h", ttl="10m")
        run = slotctl.start("run", "p", "--", "sleep", "600", socket=slotd.socket,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(run.wait)
        self.addCleanup(run.kill)
        self.until(slotd.leases, "it has a lease")
        lease = next(iter(slotd.leases()))
        run.kill()
        self.wait_ended(slotd, lease)

    def test_connection_is_no_binding_for_slotctl(self):
        slotd = self.pool()
        for args in (("acquire", "p"), ("run", "p")):
            done = slotctl.run(*args, "--bind", "connection", socket=slotd.socket)
            self.assert_exit(2, done)
        self.assertEqual(slotd.leases(), {})

    def test_slotctl_binds_to_its_parent_and_not_to_a_shell_for_one_command(self):
        slotd = self.pool()
        done = slotctl.run("acquire", "p", "--bind", "process", "--json", socket=slotd.socket)
        self.assert_exit(0, done)
        self.assertEqual(slotd.leases()[done.json()["lease"]]["bind"], "process")
        line = "%s --socket %s acquire p --bind process; true" % (paths.product("slotctl"), slotd.socket)
        for options in ((), ("-x",), ("-o", "errexit")):
            done = subprocess.run(["sh", *options, "-c", line], capture_output=True, text=True, timeout=60,
                                  check=False)
            self.assertIn("--bind process:PID", done.stderr)
        self.assertEqual(len(slotd.leases()), 1)
        line = line.replace("--bind process", "--bind process:%d" % os.getpid())
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60, check=False)
        self.assertTrue(os.path.isdir(done.stdout.strip()), done.stderr)
        self.assertEqual(len(slotd.leases()), 2)

    def test_a_pool_s_connection_is_not_slotctl_s(self):
        slotd = self.pool(bind="connection")
        self.ok(slotd, "acquire", "p")
        (entry,) = slotd.leases().values()
        self.assertEqual((entry["bind"], entry["status"]), ("ttl", "active"))
        client = slotd.client()
        self.addCleanup(client.close)
        lease = client.call("Acquire", pool="p")["lease"]
        self.assertEqual(slotd.leases()[lease]["bind"], "connection")

    # a harness that connects, and whose child goes on with the connection
    HANDED_ON = """import json, os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
if os.fork():
    os._exit(0)
answer = b""
for _ in range(2):
    s.sendall(json.dumps({"method": "io.slotd.pool.Touch", "parameters": {"lease": sys.argv[2]}}).encode() + b"\\0")
    while not answer.endswith(b"\\0"):
        answer += s.recv(65536)
    print(json.loads(answer[:-1])["parameters"]["expiresAtUsec"], flush=True)
    answer = b""
    sys.stdin.readline()
"""

    def test_a_connection_that_was_handed_on_is_alive(self):
        slotd = self.one_pool(ready=1, maximum=1)
        lease = slotd.acquire("p")
        agent = subprocess.Popen([sys.executable, "-c", self.HANDED_ON, slotd.socket, lease["lease"]],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        agent.wait()
        first = int(agent.stdout.readline())
        agent.stdin.write(b"\n")
        agent.stdin.flush()
        self.assertGreater(int(agent.stdout.readline()), first)
        agent.stdin.close()
        agent.stdout.close()

    # one that dies with words on its lips: they are read after its end

    LAST_WORDS = """import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
def send(method, **parameters):
    s.sendall(json.dumps({"method": "io.slotd.pool." + method, "parameters": parameters}).encode() + b"\\0")
send("Ping")
s.recv(4096)
print("up", flush=True)
sys.stdin.readline()
send("Renew", lease=sys.argv[2], progress=70, message="last words")
print("sent", flush=True)
sys.stdin.readline()
"""

    def test_last_words_count_and_are_no_sign_of_life(self):
        slotd = self.pool(abandon_after="1h")
        holder = self.process()
        lease = slotd.acquire("p", bind="process:%d" % holder.pid, task="T-1")
        agent = subprocess.Popen([sys.executable, "-c", self.LAST_WORDS, slotd.socket, lease["lease"]],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(agent.stdout.readline(), b"up\n")
        slotd.signal(signal.SIGSTOP)
        try:
            agent.stdin.write(b"\n")
            agent.stdin.flush()
            self.assertEqual(agent.stdout.readline(), b"sent\n")
            agent.kill()
            os.waitid(os.P_PID, agent.pid, os.WEXITED | os.WNOWAIT)  # a process that waits for its parent is none
            self.end(holder)
        finally:
            slotd.signal(signal.SIGCONT)
        self.wait_ended(slotd, lease["lease"])
        agent.wait()
        agent.stdin.close()
        agent.stdout.close()
        left = slotd.acquire("p", task="T-1")["handoff"]
        self.assertEqual((left["progress"], left["message"]), (70, "last words"))

