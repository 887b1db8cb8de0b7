"""Judges a history: it must be that of somebody who does one thing after the other."""

import json
import re

from support import git

GRANT = "lease_created"
RENEWAL = "lease_renewed"
ENDS = {"lease_released", "lease_finished", "lease_recovered", "lease_forced"}
# what Stats counts: the kind of event that says it
COUNTERS = {"renewals": "lease_renewed", "extensions": "merge_conflict_extension", "suspected": "lease_suspect",
            "recoveriesStopped": "lease_kept", "recoveries": "lease_recovered", "lateReports": "late_report",
            "handoffs": "lease_handoff"}
ABOUT_END = ("lease_released", "lease_finished")
SLACK_USEC = 50000  # between two processes that look at the same clock
OPERATIONS = {"Acquire": {GRANT}, "Renew": {RENEWAL}, "Release": ENDS, "Finish": ENDS}


def is_repeated(ack):
    return ack["operation"] == "Acquire" and ack["tries"] > 1


class Replay:
    """Follows a history: no slot is leased twice at once, tokens rise, only what is held is renewed or ended."""

    def __init__(self):
        self.last = 0  # sequence
        self.holder = {}  # slot: lease
        self.tokens = {}  # slot: the highest
        self.counts = {}  # kind: how many
        self.wrong = []

    def say(self, fmt, *args):
        self.wrong.append(fmt % args)

    def feed(self, events):
        for e in events:
            if e["sequence"] <= self.last:
                self.say("sequence %d comes after %d", e["sequence"], self.last)
            self.last = e["sequence"]
            self.counts[e["kind"]] = self.counts.get(e["kind"], 0) + 1
            if e["kind"] == GRANT:
                self._grant(e)
            elif e["kind"] == RENEWAL or e["kind"] in ENDS:
                self._follow(e)

    def _grant(self, e):
        slot = e["slot"]
        if slot in self.holder:
            self.say("%d: %s is leased to %s while %s holds it", self.last, slot, e["lease"], self.holder[slot])
        if e["token"] <= self.tokens.get(slot, 0):
            self.say("%d: token of %s is %d after %d", self.last, slot, e["token"], self.tokens[slot])
        self.holder[slot], self.tokens[slot] = e["lease"], e["token"]

    def _follow(self, e):
        slot, lease = e["slot"], e["lease"]
        if self.holder.get(slot) != lease:
            self.say("%d: %s of %s, but %s holds %s", self.last, e["kind"], lease, self.holder.get(slot), slot)
        if e["kind"] in ENDS:
            self.holder.pop(slot, None)

    def compare(self, leases_now):
        """leases_now: {lease: slot} by slotd's listing."""
        if {lease: slot for slot, lease in self.holder.items()} != leases_now:
            self.say("by its history %s are held, by its listing %s", sorted(self.holder.values()),
                     sorted(leases_now))

    def compare_counters(self, stats, before=None):
        """What Stats counts is what the history tells; before: what was counted before its beginning."""
        for name, kind in COUNTERS.items():
            counted, told = stats[name] - (before or {}).get(name, 0), self.counts.get(kind, 0)
            if counted != told:
                self.say("%s is counted %d times, the history tells %d of %s", name, counted, told, kind)


class Deaths:
    """When what leases are bound to began to end: a pid, a lease's connection, slotd."""

    def __init__(self, notes):
        self.at = {}
        for note in notes:
            if note["operation"] == "dies":
                self.at.setdefault(note["what"], []).append(int(note["wall"] * 1000000))

    def first(self, grant, after):
        """Of what a lease is bound to; None: it lives. grant: what was written of its acquire."""
        bind, agent = grant["request"].get("bind") or "", grant["pid"]
        whats = []
        if "process" in bind:
            named = re.search(r"process:(\d+)", bind)
            whats = [int(named.group(1)), agent] if named else [agent]
        elif bind == "connection":
            whats = [grant["reply"]["lease"], agent, "slotd"]
        return min((at for what in whats for at in self.at.get(what, []) if at >= after), default=None)


class Judge:
    """events: as slotd tells them; notes: what the agents and their killer wrote down; grace_usec: of every lease."""

    def __init__(self, events, notes, grace_usec):
        self.events = events
        self.notes = notes
        self.grace_usec = grace_usec
        self.acknowledged = [n for n in notes if n["operation"] in OPERATIONS]
        self.of_lease = {}
        for event in events:
            self.of_lease.setdefault(event["lease"], []).append(event)
        self.grants = {n["reply"]["lease"]: n for n in notes if n["operation"] == "Acquire"}
        self.ends = {e["lease"]: e for e in events if e["kind"] in ENDS}
        self.deaths = Deaths(notes)
        self.wrong = []

    def say(self, fmt, *args):
        self.wrong.append(fmt % args)

    def judge(self, leases_now, stats):
        """All that is wrong, as sentences. leases_now: {lease: slot} at the end; stats: as Stats counts."""
        replay = Replay()
        replay.feed(self.events)
        replay.compare(leases_now)
        replay.compare_counters(stats)
        self.wrong += replay.wrong
        self.compare()
        self.order()
        self.tokens()
        self.holders()
        self.handed_on()
        return self.wrong

    def compare(self):
        """Every acknowledged change is in the history, under its sequence."""
        history = {e["sequence"]: e for e in self.events}
        grants = {e["lease"]: e for e in self.events if e["kind"] == GRANT}
        for ack in self.acknowledged:
            kinds = OPERATIONS[ack["operation"]]
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
        changes = [a for a in self.acknowledged if not is_repeated(a)]
        ended = sorted(changes, key=lambda a: a["ended"])
        done, highest = 0, 0
        for ack in sorted(changes, key=lambda a: a["began"]):
            while done < len(ended) and ended[done]["ended"] < ack["began"]:
                highest = max(highest, ended[done]["reply"]["sequence"])
                done += 1
            if ack["reply"]["sequence"] < highest:
                self.say("%s of %s is %d, but %d was answered before it was asked", ack["operation"],
                         ack["agent"], ack["reply"]["sequence"], highest)

    def tokens(self):
        """By the word of the holders alone: who asked later for a slot has the higher token."""
        grants = [a for a in self.acknowledged if a["operation"] == "Acquire"]
        ended, done, highest = sorted(grants, key=lambda a: a["ended"]), 0, {}
        for ack in sorted(grants, key=lambda a: a["began"]):
            while done < len(ended) and ended[done]["ended"] < ack["began"]:
                reply = ended[done]["reply"]
                highest[reply["slot"]] = max(highest.get(reply["slot"], 0), reply["token"])
                done += 1
            slot, token = ack["reply"]["slot"], ack["reply"]["token"]
            if token <= highest.get(slot, 0):
                self.say("%s was given %s with token %d, %d was known before it was asked for", ack["agent"], slot,
                         token, highest[slot])

    def holders(self):
        """No lease ends while its holder wants it."""
        asked = {}
        for note in self.notes:
            if note["operation"] == "ending":
                asked.setdefault(note["lease"], int(note["wall"] * 1000000))
        promised = self.promises()
        for lease, grant in self.grants.items():
            events = self.of_lease.get(lease, [])
            for event in events:
                if event["kind"] in ABOUT_END and asked.get(lease, event["atUsec"] + 1) > event["atUsec"] + SLACK_USEC:
                    self.say("%d: %s of %s, whose holder %s has not asked for it", event["sequence"], event["kind"],
                             lease, grant["agent"])
                elif event["kind"] == "lease_forced":
                    self.say("%d: nobody forces, %s was forced", event["sequence"], lease)
                elif event["kind"] in ("holder_ended", "lease_recovered"):
                    self.silent(event, grant, promised[lease])

    def silent(self, event, grant, promises):
        """The end of what it was bound to, or of the lease for that: was there reason?"""
        at, began = event["atUsec"] + SLACK_USEC, grant["reply"]["acquiredAtUsec"] - SLACK_USEC
        bound = grant["request"].get("bind") not in (None, "ttl")
        death = self.deaths.first(grant, began) if bound else None
        if bound and (death is None or death > at):
            self.say("%d: %s of %s, and %s lives", event["sequence"], event["kind"], grant["reply"]["lease"],
                     grant["request"]["bind"])
        if event["kind"] != "lease_recovered":
            return
        if bound and death is not None and death + self.grace_usec > at:
            self.say("%d: %s is recovered %d us after what it was bound to, before its grace is over",
                     event["sequence"], grant["reply"]["lease"], at - death)
        # who reports is heard, whatever has become of what it was bound to
        until = max((expires for asked, expires in promises if death is None or asked > death), default=0)
        if until + self.grace_usec > at:
            self.say("%d: %s of %s is recovered, though it was promised %d us more", event["sequence"],
                     grant["reply"]["lease"], grant["agent"], until + self.grace_usec - at)

    def promises(self):
        """{lease: [(when a call began, until when its answer promised the lease)]}"""
        promised = {lease: [] for lease in self.grants}
        for note in self.notes:
            reply = note.get("reply") or {}
            if note["operation"] in ("Acquire", "Renew", "Touch") and reply["expiresAtUsec"] and \
                    reply["lease"] in promised:
                promised[reply["lease"]].append((int(note["asked"] * 1000000), reply["expiresAtUsec"]))
        return promised

    def handed_on(self):
        """Who goes on with work is given what its last holder left."""
        last = {}  # task: the lease of it that was acknowledged last; a task belongs to one agent
        for note in self.notes:
            if note["operation"] == "Acquire":
                task, lease = note["reply"]["task"], note["reply"]["lease"]
                self.given(note, self.went_on_with(note, last))
                last[task] = lease
            elif note["operation"] == "refused" and note["method"] == "Acquire":
                self.not_found(note, self.went_on_with(note, last))

    def went_on_with(self, note, last):
        """The lease whose work an acquire meant: by its name, or the last one of its task."""
        resume = note["request"].get("resume")
        return resume if resume in self.grants else last.get(resume or note["request"]["task"])

    def given(self, note, before):
        given = (note["reply"]["handoff"] or {}).get("lease")
        resume, end = note["request"].get("resume"), self.ends.get(before)
        granted = self.of_lease.get(note["reply"]["lease"], [{"sequence": 0}])[0]["sequence"]
        if resume == before:
            is_owed = resume is not None
        elif resume:
            is_owed = end and end["atUsec"] + SLACK_USEC < note["asked"] * 1000000
        else:
            is_owed = end and end["kind"] == "lease_recovered" and end["sequence"] < granted
        if is_owed and given != before:
            self.say("%s went on with %s (resume: %s) and was handed %s", note["agent"], before, resume, given)

    def not_found(self, note, before):
        end = self.ends.get(before)
        if note["request"].get("resume") and note["name"] == "NotFound" and end and \
                end["atUsec"] + SLACK_USEC < note["asked"] * 1000000:
            self.say("%s could not go on with %s, which had ended: %s", note["agent"], before, note["message"])

    def left(self, handoff, most=1000):
        """What is wrong with what the last leases have left; handoff(lease): the answer, None: NotFound."""
        self.wrong = []
        kept = {n["request"]["lease"]: n["request"]["message"] for n in self.notes if n["operation"] == "refused" and
                "report is kept" in n["message"] and "message" in n["request"]}
        for lease, end in sorted(self.ends.items(), key=lambda item: item[1]["sequence"])[-most:]:
            found = handoff(lease)
            if found is None or found["lease"] != lease:
                self.say("%d: %s has ended, and left %s", end["sequence"], lease, found)
                continue
            reports = [e["detail"] for e in self.of_lease[lease] if e["kind"] == RENEWAL]
            known = kept.get(lease) or (reports[-1] if reports else "report 0")
            # one that nobody was told of may have come later
            if number(found["message"] or "report 0") < number(known):
                self.say("%d: %s has left the note %s, it had said %s", end["sequence"], lease, found["message"], known)
        return self.wrong


def saved(notes, entries, ended, stores):
    """What is wrong with what was saved: of each lease whose holder left something, one salvage has all of it.

    entries: as SalvageList tells; ended: the leases that are over; stores: {pool: repository}.
    """
    wrong, by_lease = [], {}
    for entry in entries:
        by_lease.setdefault(entry["lease"], []).append(entry)
    for note in notes:
        if note["operation"] != "left" or note["lease"] not in ended:
            continue
        found = by_lease.get(note["lease"], [])
        if not any(has_all(stores[note["pool"]], entry["commit"], note["files"]) for entry in found):
            wrong.append("%s left %s, which is not in %s" % (note["lease"], note["files"], [e["ref"] for e in found]))
    return wrong


def has_all(store, commit, files):
    """Is each of them there: "^2:path" in that parent, "@" a commit that is reachable?"""
    for where, content in files.items():
        if where == "@":
            done = git.run(store, "merge-base", "--is-ancestor", content, commit, check=False)
            is_there = done.returncode == 0
        else:
            done = git.run(store, "cat-file", "blob", commit + where, check=False)
            is_there = done.returncode == 0 and done.stdout == content.encode()
        if not is_there:
            return False
    return True


def number(message):
    """Of a report."""
    return int(re.search(r"report (\d+)", message).group(1))


class Waits:
    """Who waited with a key when slotd was killed, and who waits after its start."""

    def __init__(self):
        self.looks = []  # (wall before, queue before, wall after, queue after)

    def add(self, *look):
        self.looks.append(look)

    def judge(self, events, notes):
        """A place is kept, or something has become of it that explains why not."""
        granted, answered = {}, {}
        for e in events:
            if e["kind"] == GRANT and e["detail"]:
                granted.setdefault(e["detail"].partition(" on ")[0], []).append(e["atUsec"] / 1000000)
        for n in notes:
            if n["operation"] in ("Acquire", "refused"):
                answered.setdefault(n["agent"], []).append((n["asked"], n["wall"]))
            elif n["operation"] == "PingCleanup":
                answered.setdefault(n["request"]["agent"], []).append((n["asked"], n["wall"]))
        wrong = []
        for before, queue, after, queue_after in self.looks:
            there = {(w["agent"], w["sinceAtUsec"]) for w in queue_after}
            for w in queue:
                agent = w["agent"]
                if (agent, w["sinceAtUsec"]) in there or w["deadlineAtUsec"] / 1000000 < after + 0.1 or \
                        any(before - 0.1 <= at <= after + 0.1 for at in granted.get(agent, [])) or \
                        any(asked <= after and before <= ended for asked, ended in answered.get(agent, [])):
                    continue
                wrong.append("%s waited since %d, slotd was killed, and it has lost its place %d, %.3f s before its "
                             "deadline" % (agent, w["sinceAtUsec"], w["position"],
                                           w["deadlineAtUsec"] / 1000000 - after))
        return wrong


def read(paths):
    """What was written down, in the order of time; a line that a kill cut short is no acknowledgement."""
    found = []
    for path in paths:
        with open(path, "rb") as f:
            for line in f:
                if line.endswith(b"\n"):
                    found.append(json.loads(line))
    return sorted(found, key=lambda note: note["ended"])
