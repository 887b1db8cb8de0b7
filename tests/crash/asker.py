"""Somebody who waits for a slot, with a key, and asks again when his connection is gone."""

import select

from support import wait
from support.varlink import Closed, Error

WAIT_USEC = 120000000


class Asker:
    def __init__(self, world, pool):
        self.w = world
        self.agent = world.fresh("asker")
        self.request = {"pool": pool, "agent": self.agent, "key": world.fresh("key"), "waitUsec": WAIT_USEC}
        self.client = None
        self.lease = None

    def hang_up(self):
        if self.client:
            self.client.close()
        self.client = None

    def look(self):
        """Take the answer if it is there; Closed: it has to be asked again."""
        if not self.client or self.lease or not select.select([self.client.socket], [], [], 0)[0]:
            return
        try:
            self.lease = self.client.result()
        except Error as e:
            if e.name != "ShuttingDown":
                raise
            raise Closed(e.message) from e
        self.w.checker.granted(self.lease)

    def keep_asking(self):
        """Ask, if no question is on its way; true when slotd knows of it."""
        try:
            self.look()
            if not self.client:
                self.client = self.w.slotd.client()
                self.client.send("Acquire", self.request)
        except (OSError, Closed):
            self.hang_up()
            self.w.revive()
            return False
        return bool(self.lease) or self.agent in waiting(self.w, self.request["pool"])


def waiting(world, pool):
    """The agents that wait and are there, who is next comes first."""
    queue = world.call("Queue", pool=pool)["queue"]
    return [w["agent"] for w in sorted(queue, key=lambda w: w["position"]) if "asker is gone" not in w["reason"]]


def line_up(askers):
    """Until slotd knows of all at once; after each death they ask again, in this order."""
    wait.until(lambda: all([a.keep_asking() for a in askers]), "all of them wait", 60)


def serve(askers):
    """Until each was served, and has given its slot back; the agents in the order of their grants."""
    served, left = [], list(askers)

    def answered():
        for a in left:
            if not a.keep_asking():
                return None  # who comes later must not overtake
        return next((a for a in left if a.lease), None)
    while left:
        a = wait.until(answered, "somebody is served", 60)
        left.remove(a)
        served.append(a.agent)
        a.hang_up()
        a.w.call_or(("LeaseGone",), "Release", lease=a.lease["lease"])
    return served
