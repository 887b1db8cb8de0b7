"""The wire: what slotd serves, what it refuses, and that it goes on whatever comes in."""

import json
import select
import time

from support import criterion, git
from support.case import Case, Closed
from support.idl import Interface, text
from support.varlink import Client, Error

INVALID = "io.slotd.pool.InvalidMessage"
MIB = 1 << 20


class Introspection(Case):
    def test_get_info_names_the_interfaces(self):
        slotd = self.slotd()
        info = slotd.call("org.varlink.service.GetInfo")
        for key in ("vendor", "product", "version", "url"):
            self.assertTrue(info[key])
        self.assertEqual(sorted(info["interfaces"]), ["io.slotd.pool", "org.varlink.service"])

    def test_description_is_the_file_of_the_source_tree(self):
        slotd = self.slotd()
        reply = slotd.call("org.varlink.service.GetInterfaceDescription", interface="io.slotd.pool")
        self.assertEqual(reply["description"], text())
        own = slotd.call("org.varlink.service.GetInterfaceDescription", interface="org.varlink.service")
        self.assertIn("method GetInfo", own["description"])

    def test_unknown_interface_is_named(self):
        slotd = self.slotd()
        error = self.assert_error("org.varlink.service.InterfaceNotFound", slotd.call,
                                  "org.varlink.service.GetInterfaceDescription", interface="io.nobody")
        self.assertEqual(error.parameters["interface"], "io.nobody")

    def test_every_method_of_the_file_is_served(self):
        slotd = self.slotd()
        sample = {"string": "x", "int": 1, "bool": False}
        for name, (parameters, _) in Interface().methods.items():
            mandatory = {k: sample[t] for k, t in parameters.items() if not t.startswith("?")}
            with self.subTest(method=name):
                try:
                    slotd.call(name, **mandatory)
                except Error as e:
                    self.assertFalse(e.full_name.startswith("org.varlink.service.Method"), e)
                    self.assertNotEqual(e.full_name, "org.varlink.service.InterfaceNotFound")

    def test_no_other_method_is_served(self):
        slotd = self.slotd()
        for name in ("Nope", "acquire", "Hello", "StoreOpen", "SlotClean"):
            error = self.assert_error("org.varlink.service.MethodNotFound", slotd.call, name)
            self.assertIn(name, error.parameters["method"])
        self.assert_error("org.varlink.service.InterfaceNotFound", slotd.call, "io.slotd.worker.Hello",
                          protocol=1)
        self.assert_error("org.varlink.service.InterfaceNotFound", slotd.call, "io.nobody.Call")


class Input(Case):
    def setUp(self):
        super().setUp()
        self.daemon = self.slotd()

    def tearDown(self):
        self.assertEqual(self.daemon.call("Ping")["pid"], self.daemon.process.pid)

    def answer_to(self, data):
        """The name of the error that these bytes are answered with; then the connection still serves."""
        with self.daemon.client(timeout=30) as c:
            c.send_bytes(data)
            error = c.receive().get("error")
            self.assertEqual(c.call("Ping")["pid"], self.daemon.process.pid)
            return error

    def test_what_is_not_a_call_is_an_invalid_message(self):
        for data in (b"", b"{", b"nonsense", b"[]", b"7", b"null", b'"text"', b"{}", b'{"method":7}',
                     b'{"method":null}', b'{"method":"io.slotd.pool.Ping","parameters":[]}',
                     b'{"method":"io.slotd.pool.Ping","parameters":7}', b"\xff\xfe", b'{"a":1}{"b":2}',
                     b'{"method":"io.slotd.pool.Ping"} x', b'{"method":"io.slotd.pool.Ping","more":"yes"}'):
            with self.subTest(data=data):
                self.assertEqual(self.answer_to(data + b"\0"), INVALID)

    def test_call_of_a_method_without_a_whole_name_names_what_is_missing(self):
        for data, error in ((b'{"method":""}', "InterfaceNotFound"), (b'{"method":"."}', "InterfaceNotFound"),
                            (b'{"method":"Ping"}', "InterfaceNotFound"),
                            (b'{"method":"io.slotd.pool."}', "MethodNotFound")):
            with self.subTest(data=data):
                self.assertEqual(self.answer_to(data + b"\0"), "org.varlink.service." + error)

    def test_connection_survives_a_malformed_message(self):
        with self.daemon.client() as c:
            c.send_bytes(b"nonsense\0")
            self.assertEqual(c.receive()["error"], INVALID)
            self.assertTrue(c.call("Ping")["version"])

    def test_too_long_a_call_is_refused_and_the_connection_survives(self):
        long_call = json.dumps({"method": "io.slotd.pool.Ping", "parameters": {"x": "y" * 70000}})
        with self.daemon.client() as c:
            c.send_bytes(long_call.encode() + b"\0")
            self.assertEqual(c.receive()["error"], INVALID)
            self.assertTrue(c.call("Ping")["version"])

    def test_call_just_below_the_limit_is_read(self):
        with self.daemon.client() as c:
            empty = json.dumps({"method": "io.slotd.pool.Acquire", "parameters": {"pool": ""}})
            name = "x" * (65536 - len(empty))
            with self.assertRaises(Error) as caught:
                c.call("Acquire", pool=name)
            self.assertNotEqual(caught.exception.full_name, INVALID)

    def frugal(self):
        """Restarted so that AddressSanitizer keeps no freed memory, which would be counted here."""
        options = criterion.sanitizer_env()["ASAN_OPTIONS"]
        self.daemon.env["ASAN_OPTIONS"] = options + ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
        self.daemon.restart()

    def memory(self, field):
        """VmRSS or VmHWM of slotd, in bytes."""
        with open("/proc/%d/status" % self.daemon.process.pid, encoding="ascii") as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith(field + ":"))

    def forget_peak(self):
        """VmHWM begins anew; returns what is resident."""
        with open("/proc/%d/clear_refs" % self.daemon.process.pid, "w", encoding="ascii") as f:
            f.write("5")
        return self.memory("VmRSS")

    def test_endless_message_is_refused_without_being_kept(self):
        self.frugal()
        before = self.forget_peak()
        with self.daemon.client(timeout=30) as c:
            for _ in range(2000):
                c.send_bytes(b"x" * 65536)
            c.send_bytes(b"\0")
            self.assertEqual(c.receive()["error"], INVALID)
            self.assertTrue(c.call("Ping")["version"])
        self.assertLess(self.memory("VmHWM") - before, 16 * MIB)

    def test_too_deep_a_call_is_refused(self):
        for depth in (17, 100, 10000):
            inner = '{"a":' * depth + "1" + "}" * depth
            self.assertEqual(self.answer_to(('{"method":"io.slotd.pool.Ping","parameters":%s}' % inner)
                                            .encode() + b"\0"), INVALID)
            inner = "[" * depth + "]" * depth
            self.assertEqual(self.answer_to(
                ('{"method":"io.slotd.pool.Ping","parameters":{"a":%s}}' % inner).encode() + b"\0"),
                INVALID)

    def test_wrong_types_and_unknown_parameters_are_named(self):
        cases = [("Acquire", {"pool": 7}, "pool"), ("Acquire", {"waitUsec": "soon"}, "waitUsec"),
                 ("Acquire", {"meta": {"k": 1}}, "meta"), ("Acquire", {"meta": []}, "meta"),
                 ("Acquire", {"labels": "x"}, "labels"), ("Acquire", {"labels": [1]}, "labels"),
                 ("Acquire", {"ttlUsec": 1.5}, "ttlUsec"), ("Acquire", {"nope": 1}, "nope"),
                 ("Release", {}, "lease"), ("Release", {"lease": None}, "lease"),
                 ("Release", {"lease": "x", "discard": "yes"}, "discard"),
                 ("Ping", {"x": 1}, "x"), ("PoolAdd", {"pool": True}, "pool")]
        for method, parameters, wrong in cases:
            with self.subTest(method=method, parameters=parameters):
                with self.daemon.client() as c:
                    c.send(method, parameters)
                    reply = c.receive()
                self.assertEqual(reply["error"], "org.varlink.service.InvalidParameter")
                self.assertIn(wrong, reply["parameters"]["parameter"])

    def test_null_is_as_good_as_absent_for_optional_parameters(self):
        with self.daemon.client() as c:
            c.send("Slots", {"pool": None, "state": None})
            self.assertEqual(c.receive()["parameters"]["slots"], [])

    def test_numbers_out_of_range_do_no_harm(self):
        for number in (-1, 2**53, 2**63 - 1, -2**63, 2**64, 10**40, 1e300):
            for parameters in ({"waitUsec": number}, {"ttlUsec": number}, {"priority": number}):
                call = json.dumps({"method": "io.slotd.pool.Acquire",
                                   "parameters": {"pool": "nope", **parameters}})
                self.assertTrue(self.answer_to(call.encode() + b"\0"))
        for number in (-1, 2**63 - 1, -2**63):
            for key in ("since", "sinceAtUsec", "limit"):
                self.answer_to(json.dumps({"method": "io.slotd.pool.Events",
                                           "parameters": {key: number}}).encode() + b"\0")

    def test_strings_of_any_characters_do_no_harm(self):
        for value in ("\0", "a\0b", "\n", "\u202e", "x" * 60000, "'; drop", "%s%n", "../../x", "\ud800"):
            for key in ("pool", "ref", "branch", "agent", "task", "key", "bind", "directory", "commonDir"):
                self.assertTrue(self.answer_to(json.dumps(
                    {"method": "io.slotd.pool.Acquire", "parameters": {key: value}}).encode() + b"\0"))

    def test_bytes_that_come_one_by_one_are_one_message(self):
        with self.daemon.client() as c:
            for byte in b'{"method":"io.slotd.pool.Ping"}\0':
                c.send_bytes(bytes([byte]))
            self.assertTrue(c.result()["version"])

    def test_several_calls_in_one_piece_are_answered_in_order(self):
        with self.daemon.client() as c:
            c.send_bytes(b'{"method":"io.slotd.pool.Ping"}\0{"method":"io.slotd.pool.Nope"}\0'
                         b'{"method":"io.slotd.pool.Status"}\0')
            self.assertIn("pid", c.receive()["parameters"])
            self.assertIn("MethodNotFound", c.receive()["error"])
            self.assertIn("pools", c.receive()["parameters"])

    def test_half_a_message_is_cut_off_after_a_while_and_delays_nobody(self):
        half = self.daemon.client(timeout=90)
        half.send_bytes(b'{"method":"io.slotd.po')
        began = time.monotonic()
        self.daemon.call("Ping")
        self.assertLess(time.monotonic() - began, 2)
        self.assertEqual(half.receive()["error"], INVALID)
        with self.assertRaises(Closed):
            half.receive()
        # slotd waits for 10 s
        self.assertGreater(time.monotonic() - began, 9)
        self.assertLess(time.monotonic() - began, 30)

    def test_closing_in_the_middle_of_anything_does_no_harm(self):
        for data in (b"", b"{", b'{"method":"io.slotd.pool.Ping"}', b'{"method":"io.slotd.pool.Ping"}\0',
                     b'{"method":"io.slotd.pool.Events","more":true,"parameters":{"follow":true}}\0'):
            with self.daemon.client() as c:
                c.send_bytes(data)

    def test_oneway_call_gets_no_reply(self):
        with self.daemon.client() as c:
            c.send("Ping", oneway=True)
            c.send("Status")
            self.assertIn("pools", c.receive()["parameters"])

    def test_calls_of_a_client_that_does_not_read_wait_and_take_no_memory(self):
        call = b'{"method":"org.varlink.service.GetInterfaceDescription",' \
               b'"parameters":{"interface":"io.slotd.pool"}}\0'
        self.frugal()
        before = self.forget_peak()
        with self.daemon.client(timeout=3) as c:
            sent = 0
            with self.assertRaises(TimeoutError):
                while sent < 50000:
                    c.socket.send(call)
                    sent += 1
            self.assertLess(self.memory("VmHWM") - before, 16 * MIB)
            began = time.monotonic()
            self.daemon.call("Ping")
            self.assertLess(time.monotonic() - began, 5)
            c.socket.settimeout(30)
            for _ in range(sent):
                self.assertIn("interface io.slotd.pool", c.result()["description"])

    def test_history_goes_no_faster_than_it_is_read(self):
        self.daemon.pools = {"p": {"path": git.make(self.path("r")), "slots": {"ready": 0, "max": 1}}}
        self.daemon.write_config()
        self.frugal()
        clients = [self.daemon.client() for _ in range(20)]
        for n in range(200):
            for c in clients:
                c.send("PoolPause" if n % 2 else "PoolResume", {"pool": "p"})
        for c in clients:
            for _ in range(200):
                c.result()
            c.close()
        expected = [e["sequence"] for e in self.daemon.events()]
        self.assertGreater(len(expected), 4000)
        before = self.forget_peak()
        with self.daemon.client() as c:
            for _ in range(40):
                c.send("Events", {"limit": 100000}, more=True)
            c.send("Events", {"follow": True}, more=True)
            self.daemon.call("Ping")
            self.daemon.call("PoolPause", pool="p")
            self.assertLess(self.memory("VmHWM") - before, 16 * MIB)
            for _ in range(40):
                self.assertEqual(self.sequences(c, len(expected)), expected)
            # the last one goes on with what happens now
            self.assertEqual(self.sequences(c, len(expected), to_end=False), expected)
            last = self.daemon.events()[-1]["sequence"]
            while True:
                reply = c.receive()
                self.assertTrue(reply["continues"])
                if reply["parameters"]["events"][-1]["sequence"] >= last:
                    break

    @staticmethod
    def sequences(client, count, to_end=True):
        """Of the next so many events, and of the end of their stream."""
        found = []
        while True:
            reply = client.receive()
            found += [e["sequence"] for e in reply["parameters"]["events"]]
            if not reply.get("continues") or (not to_end and len(found) == count):
                return found[:count]


class Limits(Case):
    def test_connections_of_one_uid_are_limited(self):
        slotd = self.slotd(settings={"limits": {"connections_per_uid": 10}})
        clients = [slotd.client() for _ in range(10)]
        for c in clients:
            c.call("Ping")
        extra = slotd.client()
        try:
            extra.send("Ping")
        except Closed:
            pass
        self.assertEqual(extra.receive()["error"], "io.slotd.pool.LimitReached")
        for c in clients:
            c.close()
        self.until(lambda: self.pings(slotd), "places are free again")

    def pings(self, slotd):
        try:
            return slotd.call("Ping")
        except (Error, Closed):
            return None

    def test_pending_calls_of_one_uid_are_limited(self):
        slotd = self.one_pool(ready=1, maximum=1, settings={"limits": {"pending_per_uid": 5}})
        slotd.acquire("p")
        clients = [slotd.client() for _ in range(8)]
        for c in clients:
            c.send("Acquire", {"pool": "p", "waitUsec": 30000000})
        refused = []
        while len(refused) < 3:
            readable, _, _ = select.select([c.socket for c in clients], [], [], 20)
            self.assertTrue(readable, "only %d of 3 calls too many were refused" % len(refused))
            for c in list(clients):
                if c.socket in readable:
                    self.assertEqual(c.receive()["error"], "io.slotd.pool.LimitReached")
                    refused.append(c)
                    clients.remove(c)
        self.assertEqual(len(clients), 5)
        for c in clients:
            c.close()
        self.until(lambda: self.pings(slotd), "calls are taken again")

    def test_flood_of_connections_does_not_stop_the_others(self):
        slotd = self.one_pool(settings={"limits": {"connections_per_uid": 1000}})
        with slotd.client() as steady:
            crowd = []
            for _ in range(500):
                crowd.append(Client(slotd.socket))
            began = time.monotonic()
            lease = steady.call("Acquire", pool="p")
            self.assertLess(time.monotonic() - began, 5)
            steady.call("Release", lease=lease["lease"])
            for c in crowd:
                c.close()

    def test_running_out_of_descriptors_is_survived(self):
        import resource

        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        slotd = self.slotd(settings={"limits": {"connections_per_uid": 1000}}, start=False)
        slotd.start(preexec=few)
        crowd = []
        for _ in range(200):
            try:
                crowd.append(Client(slotd.socket, timeout=5))
            except OSError:
                break
        before = self.cpu_ticks(slotd)
        time.sleep(1)  # what is measured is what it does meanwhile
        self.assertLess(self.cpu_ticks(slotd) - before, 60, "slotd spins")
        for c in crowd:
            c.close()
        self.until(lambda: self.pings(slotd), "slotd answers again")

    @staticmethod
    def cpu_ticks(slotd):
        with open("/proc/%d/stat" % slotd.process.pid, encoding="ascii") as f:
            fields = f.read().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])


class Events(Case):
    def test_history_is_ordered_and_resumable(self):
        slotd = self.one_pool()
        for _ in range(3):
            slotd.release(slotd.acquire("p")["lease"])
        events = slotd.events()
        numbers = [e["sequence"] for e in events]
        self.assertEqual(numbers, sorted(set(numbers)))
        middle = numbers[len(numbers) // 2]
        self.assertEqual([e["sequence"] for e in slotd.events(middle)][:3],
                         [n for n in numbers if n > middle][:3])

    def test_history_is_what_the_interface_says(self):
        slotd = self.one_pool()
        slotd.release(slotd.acquire("p")["lease"])
        self.assertEqual(Interface().mismatch_reply("Events", slotd.call("Events")), [])

    def test_history_survives_a_kill(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        before = slotd.events()
        slotd.kill()
        slotd.start()
        after = slotd.events()
        self.assertEqual(after[:len(before)], before)
        self.assertIn(lease["sequence"], [e["sequence"] for e in after])

    def test_following_shows_things_as_they_happen(self):
        slotd = self.one_pool()
        with slotd.client() as c:
            c.send("Events", {"since": slotd.events()[-1]["sequence"], "follow": True}, more=True)
            lease = slotd.acquire("p")
            seen = []
            while not any(e["lease"] == lease["lease"] for e in seen):
                reply = c.receive()
                self.assertTrue(reply["continues"])
                seen += reply["parameters"]["events"]

    def test_events_of_one_slot(self):
        slotd = self.one_pool()
        lease = slotd.acquire("p")
        for event in slotd.call("Events", slot=lease["slot"])["events"]:
            self.assertEqual(event["slot"], lease["slot"])

    def test_only_as_many_are_kept_as_configured(self):
        slotd = self.one_pool(settings={"events": {"keep": 1000}})
        lease = slotd.acquire("p")
        for _ in range(1200):
            slotd.call("Renew", lease=lease["lease"])
        self.assertLessEqual(len(slotd.events()), 1000)
