"""Judges a history: it must be that of somebody who does one thing after the other."""

import json

GRANT = "lease_created"
RENEWAL = "lease_renewed"
ENDS = {"lease_released", "lease_finished", "lease_recovered", "lease_forced"}
OPERATIONS = {"Acquire": {GRANT}, "Renew": {RENEWAL}, "Release": ENDS, "Finish": ENDS}


def is_repeated(ack):
    return ack["operation"] == "Acquire" and ack["tries"] > 1


class Judge:
    """events: as slotd tells them; acknowledged: what the agents wrote down."""

    def __init__(self, events, acknowledged):
        self.events = events
        self.acknowledged = acknowledged
        self.wrong = []

    def say(self, fmt, *args):
        self.wrong.append(fmt % args)

    def judge(self, leases_now):
        """All that is wrong, as sentences. leases_now: {lease: slot} at the end."""
        self.replay(leases_now)
        self.compare()
        self.order()
        return self.wrong

    def replay(self, leases_now):
        """No slot is leased twice at once, tokens rise, only what is held is renewed or ended."""
        holder, tokens, last = {}, {}, 0
        for e in self.events:
            if e["sequence"] <= last:
                self.say("sequence %d comes after %d", e["sequence"], last)
            last = e["sequence"]
            slot, lease = e["slot"], e["lease"]
            if e["kind"] == GRANT:
                if slot in holder:
                    self.say("%d: %s is leased to %s while %s holds it", last, slot, lease, holder[slot])
                if e["token"] <= tokens.get(slot, 0):
                    self.say("%d: token of %s is %d after %d", last, slot, e["token"], tokens[slot])
                holder[slot], tokens[slot] = lease, e["token"]
            elif e["kind"] == RENEWAL or e["kind"] in ENDS:
                if holder.get(slot) != lease:
                    self.say("%d: %s of %s, but %s holds %s", last, e["kind"], lease, holder.get(slot), slot)
                if e["kind"] in ENDS:
                    holder.pop(slot, None)
        if {lease: slot for slot, lease in holder.items()} != leases_now:
            self.say("by its history %s are held, by its listing %s", sorted(holder.values()),
                     sorted(leases_now))

    def compare(self):
        """Every acknowledged change is in the history, under its sequence."""
        history = {e["sequence"]: e for e in self.events}
        grants = {e["lease"]: e for e in self.events if e["kind"] == GRANT}
        for ack in self.acknowledged:
            kinds = OPERATIONS.get(ack["operation"])
            if kinds is None:
                continue
            reply = ack["reply"]
            # a key that was repeated gets the lease of a grant that had its number then
            event = grants.get(reply["lease"]) if is_repeated(ack) else history.get(reply["sequence"])
            if event is None:
                self.say("%s %s was acknowledged as %d, which is not in the history", ack["operation"],
                         reply["lease"], reply["sequence"])
            elif event["kind"] not in kinds or event["lease"] != reply["lease"]:
                self.say("%s %s was acknowledged as %d, which is %s %s", ack["operation"], reply["lease"],
                         reply["sequence"], event["kind"], event["lease"])
            elif ack["operation"] == "Acquire" and \
                    (event["slot"], event["token"]) != (reply["slot"], reply["token"]):
                self.say("grant %d says %s and %d, the reply said %s and %d", reply["sequence"],
                         event["slot"], event["token"], reply["slot"], reply["token"])

    def order(self):
        """What was answered before something else was asked comes before it in the history."""
        changes = [a for a in self.acknowledged
                   if a["operation"] in OPERATIONS and not is_repeated(a)]
        ended = sorted(changes, key=lambda a: a["ended"])
        done, highest = 0, 0
        for ack in sorted(changes, key=lambda a: a["began"]):
            while done < len(ended) and ended[done]["ended"] < ack["began"]:
                highest = max(highest, ended[done]["reply"]["sequence"])
                done += 1
            if ack["reply"]["sequence"] < highest:
                self.say("%s of %s is %d, but %d was answered before it was asked", ack["operation"],
                         ack["agent"], ack["reply"]["sequence"], highest)


def read(paths):
    """What agents have written down; a line that a kill cut short is no acknowledgement."""
    found = []
    for path in paths:
        with open(path, "rb") as f:
            for line in f:
                if line.endswith(b"\n"):
                    found.append(json.loads(line))
    return found
