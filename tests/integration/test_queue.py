"""Who waits, in which order, and what is said when waiting does not help."""

import time

from support import git, slotctl
from support.case import Case

SECOND = 1000000


class Queue(Case):
    def waiting(self, slotd, count):
        """Until so many wait; who, in the order in which they will be served."""
        def enough():
            queue = slotd.call("Queue", pool="p")["queue"]
            return sorted(queue, key=lambda w: w["position"]) if len(queue) == count else None
        return self.until(enough, "%d wait" % count)

    def queue_up(self, slotd, agents, **parameters):
        """One waiting connection for each agent, in that order."""
        clients = []
        for number, agent in enumerate(agents, 1):
            c = slotd.client()
            c.send("Acquire", {"pool": "p", "agent": agent, "waitUsec": 60 * SECOND, **parameters})
            clients.append(c)
            self.waiting(slotd, number)
        self.crowd = clients
        return clients

    def test_all_leased_is_busy_at_once_with_a_hint(self):
        slotd = self.one_pool(ready=1, maximum=1)
        slotd.acquire("p")
        began = time.monotonic()
        error = self.assert_error("Busy", slotd.acquire, "p")
        self.assertLess(time.monotonic() - began, 10)
        self.assertGreater(error.parameters["retryAfterUsec"], 0)

    def test_quota_of_an_agent(self):
        slotd = self.one_pool(ready=3, maximum=4, slots={"quota_per_agent": 2})
        mine = [slotd.acquire("p", agent="a")["lease"] for _ in range(2)]
        error = self.assert_error("QuotaReached", slotd.acquire, "p", agent="a")
        self.assertIn("agent a holds 2 of the 2 slots", error.message)
        self.assertGreater(error.parameters["retryAfterUsec"], 0)
        with slotd.client() as waiting:
            waiting.send("Acquire", {"pool": "p", "agent": "a", "waitUsec": 60 * SECOND})
            self.waiting(slotd, 1)
            slotd.acquire("p", agent="b")  # who waits for himself keeps nobody else waiting
            self.assertEqual(len(self.waiting(slotd, 1)), 1)
            slotd.release(mine[0])
            self.assertEqual(waiting.result()["agent"], "a")
        self.assert_error("QuotaReached", slotd.acquire, "p", agent="a", waitUsec=SECOND)

    def test_wait_ends_with_busy_when_the_time_is_over(self):
        slotd = self.one_pool(ready=1, maximum=1)
        slotd.acquire("p")
        began = time.monotonic()
        self.assert_error("Busy", slotd.acquire, "p", waitUsec=SECOND)
        self.assertGreaterEqual(time.monotonic() - began, 0.95)
        self.assertEqual(slotd.call("Queue")["queue"], [])

    def test_release_hands_over_to_the_one_who_waits(self):
        slotd = self.one_pool(ready=1, maximum=1)
        lease = slotd.acquire("p")
        (c,) = self.queue_up(slotd, ["next"])
        slotd.release(lease["lease"])
        granted = c.result()
        self.assertEqual(granted["slot"], lease["slot"])
        self.assertGreater(granted["token"], lease["token"])
        self.assert_invariants(slotd)

    def test_waiters_are_served_in_the_order_in_which_they_came(self):
        slotd = self.one_pool(ready=1, maximum=1)
        held = slotd.acquire("p")
        agents = ["one", "two", "three", "four"]
        clients = self.queue_up(slotd, agents)
        shown = slotd.call("Queue", pool="p")["queue"]
        self.assertEqual([w["agent"] for w in shown], agents)
        self.assertEqual([w["position"] for w in shown], [1, 2, 3, 4])
        for agent, c in zip(agents, clients):
            slotd.release(held["lease"])
            held = c.result()
            self.assertEqual(held["agent"], agent)

    def test_higher_priority_goes_first(self):
        slotd = self.one_pool(ready=1, maximum=1)
        held = slotd.acquire("p")
        low = self.queue_up(slotd, ["low"], priority=0)[0]
        high = slotd.client()
        high.send("Acquire", {"pool": "p", "agent": "high", "waitUsec": 60 * SECOND, "priority": 100})
        shown = self.waiting(slotd, 2)
        self.assertEqual([w["agent"] for w in shown], ["high", "low"])
        slotd.release(held["lease"])
        held = high.result()
        slotd.release(held["lease"])
        self.assertEqual(low.result()["agent"], "low")

    def test_who_hangs_up_waits_no_longer(self):
        slotd = self.one_pool(ready=1, maximum=1)
        held = slotd.acquire("p")
        first, second = self.queue_up(slotd, ["gone", "stays"])
        first.close()
        self.waiting(slotd, 1)
        slotd.release(held["lease"])
        self.assertEqual(second.result()["agent"], "stays")
        self.assert_invariants(slotd)

    def test_pool_that_may_grow_makes_its_caller_wait_without_being_asked(self):
        slotd = self.one_pool(ready=1, maximum=3)
        leases = [slotd.acquire("p") for _ in range(3)]
        self.assertEqual(len({lease["slot"] for lease in leases}), 3)
        self.assert_error("Busy", slotd.acquire, "p")

    def test_pool_without_ready_slots_makes_one_when_asked(self):
        slotd = self.one_pool(ready=0, maximum=1)
        self.assertEqual(slotd.pool("p")["total"], 0)
        lease = slotd.acquire("p")
        self.assertEqual(lease["pool"], "p")

    def test_paused_pool_is_unavailable_and_resumes(self):
        slotd = self.one_pool()
        slotd.call("PoolPause", pool="p")
        self.assert_error("Unavailable", slotd.acquire, "p", waitUsec=SECOND)
        slotd.call("PoolResume", pool="p")
        slotd.acquire("p")

    def test_all_isolated_is_unavailable(self):
        slotd = self.one_pool(ready=1, maximum=1)
        lease = slotd.acquire("p")
        git.spoil(lease["path"])
        self.assertEqual(slotd.release(lease["lease"])["state"], "isolated")
        self.assert_error("Unavailable", slotd.acquire, "p", waitUsec=5 * SECOND)

    def test_one_waits_while_another_pool_is_served(self):
        slotd = self.one_pool(ready=1, maximum=1)
        slotd.acquire("p")
        self.queue_up(slotd, ["waits"])
        other = git.make(self.path("other"))
        slotd.call("PoolAdd", pool="q", path=other, ready=1, max=1)
        self.assertEqual(slotd.acquire("q", waitUsec=30 * SECOND)["pool"], "q")
        self.waiting(slotd, 1)

    def test_waiter_survives_the_end_of_others_and_a_reload(self):
        slotd = self.one_pool(ready=1, maximum=1)
        held = slotd.acquire("p")
        (c,) = self.queue_up(slotd, ["patient"])
        slotd.reload()
        slotd.release(held["lease"])
        self.assertEqual(c.result()["agent"], "patient")

    def test_key_that_waits_is_refused_to_another_request(self):
        slotd = self.one_pool(ready=1, maximum=1)
        held = slotd.acquire("p")
        slotd.call("PoolAdd", pool="q", path=git.make(self.path("other")), ready=1, max=1)
        slotd.wait_ready("q")
        with slotd.client() as first:
            first.send("Acquire", {"pool": "p", "key": "k", "agent": "a", "waitUsec": 20000000})
            self.until(lambda: slotd.pool("p")["waiting"] == 1, "the first waits")
            self.assert_error("KeyReused", slotd.acquire, "p", key="k", agent="b")
            self.assert_error("KeyReused", slotd.acquire, "q", key="k", agent="a")
            slotd.release(held["lease"])
            lease = first.result()
        self.assertEqual(set(slotd.leases()), {lease["lease"]})

    def test_status_counts_who_waits(self):
        slotd = self.one_pool(ready=1, maximum=1)
        slotd.acquire("p")
        self.queue_up(slotd, ["a", "b"])
        self.assertEqual(slotd.pool("p")["waiting"], 2)

    # --- a place in the line

    def keyed(self, slotd, key, agent=None, wait=60):
        c = slotd.client()
        c.send("Acquire", {"pool": "p", "agent": agent or key, "key": key, "waitUsec": wait * SECOND})
        self.addCleanup(c.close)  # which also keeps it open until then
        return c

    def test_who_comes_back_with_its_key_has_kept_its_place(self):
        slotd = self.one_pool(ready=1, maximum=1)
        held = slotd.acquire("p")
        first = self.keyed(slotd, "k-1")
        self.waiting(slotd, 1)
        second = self.keyed(slotd, "k-2")
        self.waiting(slotd, 2)
        first.close()
        self.until(lambda: "asker is gone" in self.waiting(slotd, 2)[0]["reason"], "its place is kept", 20)
        first = self.keyed(slotd, "k-1")
        shown = self.until(lambda: [w for w in self.waiting(slotd, 2) if "gone" not in w["reason"]][1:] and
                           self.waiting(slotd, 2), "it is back", 20)
        self.assertEqual([w["agent"] for w in shown], ["k-1", "k-2"])
        slotd.release(held["lease"])
        granted = first.result()
        self.assertEqual(granted["agent"], "k-1")
        slotd.release(granted["lease"])
        self.assertEqual(second.result()["agent"], "k-2")

    def test_a_place_is_kept_across_a_restart_and_a_kill(self):
        slotd = self.one_pool(ready=1, maximum=1)
        held = slotd.acquire("p")
        for n in (1, 2, 3):
            self.keyed(slotd, "k-%d" % n)
            self.waiting(slotd, n)
        for again in (slotd.restart, lambda: (slotd.kill(), slotd.start())):
            again()
            self.assertEqual([w["agent"] for w in self.waiting(slotd, 3)], ["k-1", "k-2", "k-3"])
        late, early = self.keyed(slotd, "k-3"), self.keyed(slotd, "k-2")
        self.until(lambda: sum("gone" in w["reason"] for w in self.waiting(slotd, 3)) == 1, "two are back", 20)
        slotd.release(held["lease"])
        granted = early.result()
        self.assertEqual(granted["agent"], "k-2", "who is not there is passed over, who was first is first")
        slotd.release(granted["lease"])
        self.assertEqual(late.result()["agent"], "k-3")

    def test_who_asks_again_and_waits_anew_does_so_across_the_next_restart(self):
        slotd = self.one_pool(ready=1, maximum=1)
        slotd.acquire("p", bind="manual")
        self.keyed(slotd, "k-1", wait=4)
        first = self.waiting(slotd, 1)[0]
        slotd.restart()
        self.keyed(slotd, "k-1", wait=60)
        self.until(lambda: "gone" not in self.waiting(slotd, 1)[0]["reason"], "it is back", 20)
        self.until(lambda: time.time() * SECOND > first["deadlineAtUsec"], "its first wait would be over", 20)
        slotd.restart()
        self.assertEqual(self.waiting(slotd, 1)[0]["sinceAtUsec"], first["sinceAtUsec"])

    def test_nobody_is_given_a_slot_who_is_not_there(self):
        slotd = self.one_pool(ready=1, maximum=1)
        held = slotd.acquire("p")
        gone = self.keyed(slotd, "k-1")
        self.waiting(slotd, 1)
        gone.close()
        self.until(lambda: "asker is gone" in self.waiting(slotd, 1)[0]["reason"], "its place is kept", 20)
        slotd.release(held["lease"])
        slotd.wait_ready("p", 1)
        self.holds(lambda: slotd.leases() == {}, "it is left alone", 2)
        self.assertEqual(self.keyed(slotd, "k-1").result()["agent"], "k-1")

    def test_a_wait_that_is_over_leaves_no_place(self):
        slotd = self.one_pool(ready=1, maximum=1)
        slotd.acquire("p")
        c = self.keyed(slotd, "k-1", wait=2)
        self.waiting(slotd, 1)
        c.close()
        self.until(lambda: slotd.call("Queue")["queue"] == [], "the place is given up", 20)
        slotd.restart()
        self.assertEqual(slotd.call("Queue")["queue"], [])

    def test_a_place_is_not_taken_by_another_request(self):
        slotd = self.one_pool(ready=1, maximum=1)
        slotd.acquire("p")
        self.keyed(slotd, "k-1")
        self.waiting(slotd, 1)
        slotd.restart()
        self.assert_error("KeyReused", slotd.acquire, "p", agent="somebody else", key="k-1", waitUsec=SECOND)
        self.assertEqual(len(self.waiting(slotd, 1)), 1)

    def test_slotctl_waits_on_across_a_restart(self):
        slotd = self.one_pool(ready=1, maximum=1)
        held = slotd.acquire("p")
        waiting = slotctl.start("acquire", "p", "--wait", "60s", socket=slotd.socket)
        self.addCleanup(waiting.kill)
        self.waiting(slotd, 1)
        other = self.keyed(slotd, "k-2")
        self.waiting(slotd, 2)
        slotd.kill()
        slotd.start()
        other = self.keyed(slotd, "k-2")
        self.until(lambda: all("gone" not in w["reason"] for w in self.waiting(slotd, 2)), "both are back", 30)
        slotd.release(held["lease"])
        out, _ = waiting.communicate(timeout=60)
        self.assertEqual(waiting.returncode, 0)
        self.assertEqual(out.decode().strip(), held["path"])
        other.close()

    # --- why nothing can be had

    def test_the_answer_lists_each_slot_with_its_reason_and_what_to_do(self):
        slotd = self.one_pool(ready=2, maximum=2)
        first = slotd.acquire("p", agent="anna", task="T-1")
        second = slotd.acquire("p", agent="bert")
        error = self.assert_error("Busy", slotd.acquire, "p")
        self.assertEqual([(s["slot"], s["state"]) for s in error.parameters["slots"]],
                         [("p-1", "leased"), ("p-2", "leased")])
        reasons = {s["slot"]: s["reason"] for s in error.parameters["slots"]}
        self.assertRegex(reasons[first["slot"]], "held by anna for .*, task T-1")
        self.assertEqual(error.parameters["next"], "slotctl acquire p --wait 10m")
        result = self.assert_exit(3, self.slotctl(slotd, "acquire", "p"))
        for part in ("p-1", "p-2", "held by anna", "held by bert", "next: slotctl acquire p --wait 10m"):
            self.assertIn(part, result.err)
        result = self.assert_exit(3, self.slotctl(slotd, "--json", "acquire", "p"))
        self.assertEqual(len(result.err.splitlines()), 1)
        self.assertEqual(len(result.json()["parameters"]["slots"]), 2)
        git.spoil(second["path"])
        slotd.release(second["lease"])
        error = self.assert_error("Busy", slotd.acquire, "p")
        self.assertIn("is missing", next(s["reason"] for s in error.parameters["slots"] if s["state"] == "isolated"))

    def test_unavailable_says_the_safe_next_command(self):
        slotd = self.one_pool(ready=1, maximum=1)
        lease = slotd.acquire("p")
        git.spoil(lease["path"])
        slotd.release(lease["lease"])
        error = self.assert_error("Unavailable", slotd.acquire, "p")
        self.assertEqual(error.parameters["next"], "slotctl explain p-1")
        self.assertEqual(error.parameters["slots"][0]["state"], "isolated")
        self.ok(slotd, *error.parameters["next"].split()[1:])
        slotd.call("PoolPause", pool="p")
        error = self.assert_error("Unavailable", slotd.acquire, "p")
        self.assertEqual(error.parameters["next"], "slotctl pool resume p")
        self.ok(slotd, *error.parameters["next"].split()[1:])

    def test_a_quota_says_whose_leases_to_look_at(self):
        slotd = self.one_pool(ready=2, maximum=2, slots={"quota_per_agent": 1})
        slotd.acquire("p", agent="anna")
        error = self.assert_error("QuotaReached", slotd.acquire, "p", agent="anna")
        self.assertEqual(error.parameters["next"], "slotctl leases p")
