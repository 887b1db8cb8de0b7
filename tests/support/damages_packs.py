"""Packs and what goes with them: .idx, .rev, .bitmap, commit-graph, multi-pack-index."""

import os
import struct

from support import forge
from support.damages import HANGS, by, damage



def pack(make, name, *ids, **options):
    """make(world, stem)"""
    by(lambda world: make(world, world.pack()), "pack: " + name, *ids, **{"kind": "packed", **options})


def idx(make, name, *ids, **options):
    by(lambda world: make(world, world.pack()), "index of a pack: " + name, *ids, **{"kind": "packed", **options})


def entry_of(world, stem, name):
    """Where an object begins in the pack."""
    return forge.Index(world.read(stem + ".idx")).at(world.oid(name))


def delta_of(world, stem):
    """Where the first ofs-delta begins: (entry, base offset, stream)."""
    data = world.read(stem + ".pack")
    for at in sorted(at for _, _, at in forge.Index(world.read(stem + ".idx")).known):
        kind, _, begin = forge.read_header(data, at)
        if kind == forge.TYPES["ofs"]:
            end = begin
            while data[end] & 128:
                end += 1
            return at, begin, end + 1
    raise AssertionError("no delta in the pack")


def reindex(world, stem):
    """Checksums are right again."""
    data, index = forge.reindexed(world.read(stem + ".pack"), world.read(stem + ".idx"))
    world.write(stem + ".pack", data)
    world.write(stem + ".idx", index)


def sealed(world, stem, at, content=None):
    world.poke(stem + ".pack", at, content)
    reindex(world, stem)


def seal_idx(world, stem, at, content=None):
    world.poke(stem + ".idx", at, content)
    world.edit(stem + ".idx", forge.seal)


def tables(world, stem):
    return forge.Index(world.read(stem + ".idx"))


# --- the pack

pack(lambda w, p: w.poke(p + ".pack", 0, b"JUNK"), "another signature", "corrupt-pack")
pack(lambda w, p: w.poke(p + ".pack", 4, struct.pack(">I", 4)), "a version that there is not", "unsupported-pack")
pack(lambda w, p: w.poke(p + ".pack", 8, struct.pack(">I", 1)), "another count of objects", "corrupt-pack")
pack(lambda w, p: sealed(w, p, 8, struct.pack(">I", 1)), "another count, sealed", "corrupt-pack")
pack(lambda w, p: w.poke(p + ".pack", -1), "its trailer", "corrupt-pack")
pack(lambda w, p: w.write(p + ".pack"), "empty", "corrupt-pack")
pack(lambda w, p: w.cut(p + ".pack", 11), "cut in the header", "corrupt-pack")
pack(lambda w, p: w.cut(p + ".pack", -100), "cut near the end", "corrupt-pack")
pack(lambda w, p: w.edit(p + ".pack", lambda d: d[:-20] + b"more" + d[-20:]), "bytes before the trailer",
     "corrupt-pack")
pack(lambda w, p: w.edit(p + ".pack", lambda d: d + b"more"), "bytes behind the trailer", "corrupt-pack")
pack(lambda w, p: w.edit(p + ".pack", lambda d: d[:100] + bytes(200) + d[300:]), "zeros in the middle", "corrupt-pack",
     "corrupt-object")
pack(lambda w, p: w.poke(p + ".pack", entry_of(w, p, "main")), "the header of an entry", "corrupt-pack")
pack(lambda w, p: sealed(w, p, entry_of(w, p, "main"), b"\x7f"), "a type that there is not", "corrupt-object")
pack(lambda w, p: w.poke(p + ".pack", entry_of(w, p, "main:beside") + 5), "the stream of an object", "corrupt-pack",
     "corrupt-object")
pack(lambda w, p: sealed(w, p, entry_of(w, p, "main") + 8), "the stream of an object, sealed", "corrupt-object")
pack(lambda w, p: w.poke(p + ".pack", delta_of(w, p)[2] + 4), "the stream of a delta", "corrupt-pack", "corrupt-object")
pack(lambda w, p: sealed(w, p, delta_of(w, p)[2] + 4), "the stream of a delta, sealed", "corrupt-object")
pack(lambda w, p: sealed(w, p, delta_of(w, p)[1], b"\x01"), "a base inside of an entry", "corrupt-object")
pack(lambda w, p: sealed(w, p, delta_of(w, p)[1], b"\x00"), "a delta that is its own base", "corrupt-object")
pack(lambda w, p: os.unlink(w.path(p + ".pack")), "the pack is gone", "missing-pack", "missing-object")
pack(lambda w, p: os.unlink(w.path(p + ".idx")), "its index is gone", "missing-pack-index", "missing-object")
pack(lambda w, p: w.fifo(p + ".pack"), "a pipe")
pack(lambda w, p: w.write(p.replace("pack-", "pack-0"), "x"), "a file of another kind beside it", quiet=True)
pack(lambda w, p: w.write(p + ".keep", "kept\n"), "one to be kept", "leftover", quiet=True)


def forged(name, *ids, **options):
    """Decorator: a function(world) that returns entries for forge.pack() and further arguments of it."""
    def add(make):
        def install(world):
            entries, how = make(world)
            world.install_pack(entries, **how)
        by(install, "pack: " + name, *ids, **options)
        return make
    return add


BASE, OTHER, THIRD = b"base\n", b"other\n", b"third\n"


def blob(content):
    return forge.name_of("blob", content)


def plain(content):
    return blob(content), forge.entry("blob", content)


def on_base(content, base_name, delta):
    return blob(content), forge.entry("ref", delta, base_name)


@forged("a delta on an object that is not there", "corrupt-object")
def _(world):
    return [plain(BASE), on_base(OTHER, b"\x12" * 20, forge.delta(BASE, OTHER))], {}


@forged("two deltas on each other", "corrupt-object", hangs=True, blind="it goes round for ever")
def _(world):
    return [on_base(BASE, blob(OTHER), forge.delta(OTHER, BASE)),
            on_base(OTHER, blob(BASE), forge.delta(BASE, OTHER))], {}


@forged("a delta on a loose object", "corrupt-object")
def _(world):
    world.put("blob", BASE)
    return [on_base(OTHER, blob(BASE), forge.delta(BASE, OTHER))], {}


@forged("a delta with the opcode 0", "corrupt-object")
def _(world):
    return [plain(BASE), on_base(OTHER, blob(BASE), forge.delta(BASE, OTHER, b"\0" + b"\x06" + OTHER))], {}


@forged("a delta that copies from beyond its base", "corrupt-object")
def _(world):
    return [plain(BASE), on_base(OTHER, blob(BASE), forge.delta(BASE, OTHER, b"\x91\x03\x06"))], {}


@forged("a delta that gives more than it says", "corrupt-object")
def _(world):
    return [plain(BASE), on_base(OTHER, blob(BASE), forge.delta(BASE, OTHER) + b"\x04more")], {}


@forged("a delta that gives less than it says", "corrupt-object")
def _(world):
    return [plain(BASE), on_base(OTHER, blob(BASE), forge.delta(BASE, OTHER + b"more", b"\x06" + OTHER))], {}


@forged("a delta that is cut short", "corrupt-object")
def _(world):
    return [plain(BASE), on_base(OTHER, blob(BASE), forge.delta(BASE, OTHER)[:-3])], {}


@forged("a delta for a base of another size", "corrupt-object")
def _(world):
    return [plain(BASE), on_base(OTHER, blob(BASE), forge.delta(BASE + b"x", OTHER))], {}


@forged("an empty delta", "corrupt-object")
def _(world):
    return [plain(BASE), on_base(OTHER, blob(BASE), b"")], {}


@forged("a base before the beginning", "corrupt-object")
def _(world):
    return [plain(BASE), (blob(OTHER), forge.entry("ofs", forge.delta(BASE, OTHER), forge.offset(5000)))], {}


@forged("an object under another name", "corrupt-object")
def _(world):
    return [plain(BASE), (blob(OTHER), forge.entry("blob", THIRD))], {}


@forged("an object of another type", "corrupt-object")
def _(world):
    return [plain(BASE), (blob(OTHER), forge.entry("tag", OTHER))], {}


@forged("an object larger than it says", "corrupt-object")
def _(world):
    return [plain(BASE), (blob(OTHER), forge.entry("blob", OTHER, size=3))], {}


@forged("an object smaller than it says", "corrupt-object")
def _(world):
    return [plain(BASE), (blob(OTHER), forge.entry("blob", OTHER, size=30))], {}


@forged("the same object twice", quiet=True)
def _(world):
    return [plain(BASE), plain(OTHER), plain(BASE)], {}


@forged("a damaged copy of an object that is loose", "corrupt-object")
def _(world):
    return [plain(BASE), (bytes.fromhex(world.oid("main:README")), forge.entry("blob", b"not that\n"))], {}


@forged("a damaged copy of an object that is in another pack", "corrupt-object", kind="packed")
def _(world):
    return [plain(BASE), (bytes.fromhex(world.oid("main:README")), forge.entry("blob", b"not that\n"))], {}


@forged("a commit that does not parse", "unterminatedHeader")
def _(world):
    return [(forge.name_of("commit", b"nothing"), forge.entry("commit", b"nothing"))], {}


@forged("of version 3", quiet=True)
def _(world):
    return [plain(BASE)], {"version": 3}


@damage("pack: more objects than its index has", "corrupt-pack")
def _(world):
    data, index = forge.pack([plain(BASE), plain(OTHER)])
    known = [line for line in forge.Index(index).known if line[0] == blob(BASE)]
    stem = "objects/pack/pack-" + forge.trailer(data).hex()
    world.write(stem + ".pack", data)
    world.write(stem + ".idx", forge.index(known, forge.trailer(data)))


@damage("pack: under another name", kind="packed", quiet=True)
def _(world):
    stem = world.pack()
    for end in (".pack", ".idx", ".rev"):
        os.rename(world.path(stem + end), world.path("objects/pack/pack-" + "ab" * 20 + end))


@damage("pack: under any name, its trailer", "corrupt-pack", kind="packed")
def _(world):
    stem = world.pack()
    for end in (".pack", ".idx", ".rev"):
        os.rename(world.path(stem + end), world.path("objects/pack/other" + end))
    world.poke("objects/pack/other.pack", -1)


@damage("pack: a delta chain of 300", quiet=True)
def _(world):
    content = [b"%d\n" % n for n in range(300)]
    world.install_pack([plain(content[0])] + [on_base(now, blob(before), forge.delta(before, now))
                                              for before, now in zip(content, content[1:])])


# --- its index

idx(lambda w, p: w.poke(p + ".idx", 0, b"JUNK"), "another signature", "corrupt-pack-index")
idx(lambda w, p: seal_idx(w, p, 4, struct.pack(">I", 3)), "a version that there is not", "unsupported-pack")
idx(lambda w, p: w.write(p + ".idx"), "empty", "corrupt-pack-index")
idx(lambda w, p: w.cut(p + ".idx", 500), "cut in the fan-out", "corrupt-pack-index")
idx(lambda w, p: w.cut(p + ".idx", -40), "without its trailers", "corrupt-pack-index")
idx(lambda w, p: w.poke(p + ".idx", -1), "its checksum", "corrupt-pack-index")
idx(lambda w, p: seal_idx(w, p, -21), "its copy of the pack's checksum", "corrupt-pack")
idx(lambda w, p: seal_idx(w, p, 8 + 4 * 100, b"\xff\xff\xff\xff"), "a fan-out that goes down", "corrupt-pack-index")
idx(lambda w, p: seal_idx(w, p, 8 + 4 * 255 + 3), "another count of objects", "corrupt-pack-index")
idx(lambda w, p: seal_idx(w, p, tables(w, p).crcs), "a CRC, sealed", "corrupt-pack-entry")
idx(lambda w, p: w.poke(p + ".idx", tables(w, p).crcs), "a CRC", "corrupt-pack-index")
idx(lambda w, p: seal_idx(w, p, tables(w, p).offsets, b"\x7f\xff\xff\xff"), "an offset beyond the end",
    "corrupt-pack-index")
idx(lambda w, p: seal_idx(w, p, tables(w, p).offsets, b"\x80\xff\xff\xff"), "a large offset that there is not",
    "corrupt-pack-index")
idx(lambda w, p: seal_idx(w, p, tables(w, p).offsets + 3), "an offset beside the entry", "corrupt-object")
idx(lambda w, p: w.fifo(p + ".idx"), "a pipe", **HANGS)


@damage("index of a pack: two names in the wrong order", "corrupt-pack-index", kind="packed",
        blind="2.39 finds what it looks for all the same, if it does not begin to look between these two")
def _(world):
    def exchange(data, at, size):
        return data[:at] + data[at + size:at + 2 * size] + data[at:at + size] + data[at + 2 * size:]

    def swap(data):
        at = forge.Index(data)
        for n in range(at.count - 1):
            if data[at.names + 20 * n] == data[at.names + 20 * (n + 1)]:
                for begin, size in ((at.names, 20), (at.crcs, 4), (at.offsets, 4)):
                    data = exchange(data, begin + size * n, size)
                return forge.seal(data)
        raise AssertionError("no two names of one fan-out")
    world.edit(world.pack() + ".idx", swap)


@damage("index of a pack: two objects at one place", "corrupt-pack-index", kind="packed")
def _(world):
    def double(data):
        at = forge.Index(data).offsets
        return forge.seal(data[:at] + data[at + 4:at + 8] + data[at + 4:])
    world.edit(world.pack() + ".idx", double)


@damage("index of a pack: another name for an object", "corrupt-object", kind="packed")
def _(world):
    seal_idx(world, world.pack(), forge.Index(world.read(world.pack() + ".idx")).names + 19)


# --- .rev, .bitmap: git 2.39 looks at neither

UNSEEN = "2.39 reads it, but fsck does not"


@damage("rev: its signature", "corrupt-rev-index", kind="packed", blind=UNSEEN)
def _(world):
    world.poke(world.pack() + ".rev", 0)


@damage("rev: two lines changed places", "corrupt-rev-index", kind="packed", blind=UNSEEN)
def _(world):
    world.edit(world.pack() + ".rev", lambda d: forge.seal(d[:12] + d[16:20] + d[12:16] + d[20:]))


@damage("rev: cut", "corrupt-rev-index", kind="packed", blind=UNSEEN)
def _(world):
    world.cut(world.pack() + ".rev", -24)


@damage("rev: its checksum", "corrupt-rev-index", kind="packed", blind=UNSEEN)
def _(world):
    world.poke(world.pack() + ".rev", -1)


@damage("bitmap: its signature", "corrupt-bitmap", kind="bitmap", blind=UNSEEN)
def _(world):
    world.poke(world.pack() + ".bitmap", 0)


@damage("bitmap: its checksum", "corrupt-bitmap", kind="bitmap", blind=UNSEEN)
def _(world):
    world.poke(world.pack() + ".bitmap", -1)


@damage("bitmap: a bit in it", "corrupt-bitmap", kind="bitmap", blind=UNSEEN)
def _(world):
    world.poke(world.pack() + ".bitmap", 60)


@damage("bitmap: cut", "corrupt-bitmap", kind="bitmap", blind=UNSEEN)
def _(world):
    world.cut(world.pack() + ".bitmap", 40)


@damage("bitmap: of another pack", "corrupt-bitmap", kind="bitmap", blind=UNSEEN)
def _(world):
    world.edit(world.pack() + ".bitmap", lambda d: forge.seal(d[:12] + bytes(20) + d[32:]))


@damage("bitmap: of a multi-pack-index, its checksum", "corrupt-bitmap", kind="midx-bitmap", blind=UNSEEN)
def _(world):
    world.poke(beside_midx(world, ".bitmap"), -1)


@damage("bitmap: of a multi-pack-index, its signature", "corrupt-bitmap", kind="midx-bitmap", blind=UNSEEN)
def _(world):
    world.poke(beside_midx(world, ".bitmap"), 0)


def beside_midx(world, end):
    return ["objects/pack/" + name for name in os.listdir(world.path("objects/pack"))
            if name.startswith("multi-pack-index-") and name.endswith(end)][0]


@damage("mtimes: cut", "corrupt-rev-index", kind="cruft", blind=UNSEEN)
def _(world):
    world.cut(cruft(world), -4)


@damage("mtimes: its checksum", "corrupt-rev-index", kind="cruft", blind=UNSEEN)
def _(world):
    world.poke(cruft(world), -1)


def cruft(world):
    return ["objects/pack/" + name for name in os.listdir(world.path("objects/pack")) if name.endswith(".mtimes")][0]


# --- commit-graph

GRAPH = "objects/info/commit-graph"
NO_PARENT = b"\x70\0\0\0"


def graph(change, name, *ids, is_sealed=True, **options):
    """change(data, chunks): bytes of the file; a number and bytes: there."""
    def make(world):
        data = world.read(GRAPH)
        new = change(data, forge.Chunks(data))
        world.write(GRAPH, forge.seal(new) if is_sealed else new)
    by(make, "commit-graph: " + name, *(ids or ("corrupt-commit-graph",)), **{"kind": "graph", **options})


def put(data, at, content=None):
    new = bytes([data[at] ^ 1]) if content is None else content
    return data[:at] + new + data[at + len(new):]


def with_a_parent(data, chunks):
    """Where the first commit with one parent is."""
    at = chunks.begin("CDAT")
    while data[at + 20:at + 24] == NO_PARENT or data[at + 24:at + 28] != NO_PARENT:
        at += 36
    return at


graph(lambda d, c: put(d, 0), "its signature")
graph(lambda d, c: put(d, 4, b"\7"), "a version that there is not")
graph(lambda d, c: put(d, 5, b"\7"), "a hash that there is not")
graph(lambda d, c: put(d, 6, b"\x01"), "fewer chunks than there are")
graph(lambda d, c: put(d, 6, b"\xff"), "more chunks than there are")
graph(lambda d, c: put(d, c.line["OIDF"]), "no fan-out")
graph(lambda d, c: put(d, c.line["OIDL"]), "no names")
graph(lambda d, c: put(d, c.line["CDAT"]), "no data of commits")
graph(lambda d, c: put(d, c.line["OIDL"] + 4, b"\xff" * 8), "a chunk beyond the end")
graph(lambda d, c: put(d, c.begin("OIDF") + 4 * 4, b"\xff" * 4), "a fan-out that goes down")
graph(lambda d, c: put(d, c.begin("OIDF") + 4 * 255 + 3), "another count of commits")
graph(lambda d, c: put(d, c.begin("OIDL"),
                       d[c.begin("OIDL") + 20:c.begin("OIDL") + 40] + d[c.begin("OIDL"):c.begin("OIDL") + 20]),
      "two names in the wrong order")
graph(lambda d, c: put(d, c.begin("OIDL") + 19), "a commit that is not there")
graph(lambda d, c: put(d, c.begin("CDAT")), "another tree")
graph(lambda d, c: put(d, with_a_parent(d, c) + 23), "another parent")
graph(lambda d, c: put(d, c.begin("CDAT") + 20, b"\0\0\xff\1"), "a parent beyond the end")
graph(lambda d, c: put(d, with_a_parent(d, c) + 24, b"\0\0\0\1"), "one parent too many")
graph(lambda d, c: put(d, c.begin("CDAT") + 28, b"\xff\xff\xff"), "another generation of version 1",
      blind="2.39 looks at those of version 2 alone, if there are such")
graph(lambda d,
      c: d[:c.begin("GDA2")] + b"\x7f\xff\xff\xff" * ((c.at["GDA2"][1] - c.begin("GDA2")) // 4) + d[c.at["GDA2"][1]:],
      "other generations")
graph(lambda d, c: put(d, c.begin("CDAT") + 35), "another date")
graph(lambda d, c: put(d, len(d) - 1), "its checksum", is_sealed=False)
graph(lambda d, c: put(d, c.begin("CDAT") + 35), "another date, not sealed", is_sealed=False)
graph(lambda d, c: d[:len(d) // 2], "cut in the middle", is_sealed=False)
graph(lambda d, c: b"", "empty", is_sealed=False)
graph(lambda d, c: d[:7], "cut in the header", is_sealed=False)


def layers(world):
    return ["objects/info/commit-graphs/graph-%s.graph" % line
            for line in world.read("objects/info/commit-graphs/commit-graph-chain").decode().split()]


def chain(make, name, *ids, **options):
    by(make, "commit-graph chain: " + name, *(ids or ("corrupt-commit-graph",)), **{"kind": "chain", **options})


chain(lambda w: w.remove(layers(w)[0]), "its base is gone")
chain(lambda w: w.remove(layers(w)[1]), "its top is gone")
chain(lambda w: w.write("objects/info/commit-graphs/commit-graph-chain", "garbage\n"), "a line that is no name",
      blind="2.39 goes on as if there were none")
chain(lambda w: w.poke(layers(w)[0], -1), "the checksum of its base")
chain(lambda w: w.poke(layers(w)[1], 7, b"\5"), "a count of bases that is wrong")


@damage("commit-graph chain: another base than it was made for", "corrupt-commit-graph", kind="chain")
def _(world):
    top = layers(world)[1]
    world.edit(top, lambda d: forge.seal(put(d, forge.Chunks(d).begin("BASE"))))


# --- multi-pack-index

MIDX = "objects/pack/multi-pack-index"


def midx(change, name, *ids, is_sealed=True, **options):
    def make(world):
        data = world.read(MIDX)
        new = change(data, forge.Chunks(data))
        world.write(MIDX, forge.seal(new) if is_sealed else new)
    by(make, "multi-pack-index: " + name, *(ids or ("corrupt-multi-pack-index",)), **{"kind": "midx", **options})


midx(lambda d, c: put(d, 0), "its signature")
midx(lambda d, c: put(d, 4, b"\7"), "a version that there is not")
midx(lambda d, c: put(d, 5, b"\7"), "a hash that there is not")
midx(lambda d, c: put(d, 6, b"\x02"), "fewer chunks than there are")
midx(lambda d, c: put(d, 6, b"\xff"), "more chunks than there are")
midx(lambda d, c: put(d, 11, b"\7"), "more packs than there are")
midx(lambda d, c: put(d, c.line["OIDL"], b"NONE"), "no names")
midx(lambda d, c: put(d, c.line["OOFF"] + 4, b"\xff" * 8), "a chunk beyond the end")
midx(lambda d, c: put(d, c.begin("PNAM") + 5, b"z"), "packs in the wrong order")
midx(lambda d, c: put(d, c.begin("OIDF") + 4 * 4, b"\xff" * 4), "a fan-out that goes down")
midx(lambda d,
     c: put(d, c.begin("OIDL"), d[c.begin("OIDL") + 20:c.begin("OIDL") + 40] + d[c.begin("OIDL"):c.begin("OIDL") + 20]),
     "two names in the wrong order")
midx(lambda d, c: put(d, c.begin("OIDL") + 19), "an object that is not there")
midx(lambda d, c: put(d, c.begin("OOFF"), b"\0\0\0\7"), "a pack that there is not")
midx(lambda d, c: put(d, c.begin("OOFF") + 7), "another offset")
midx(lambda d, c: put(d, c.begin("OOFF") + 4, b"\x80\0\0\7"), "a large offset that there is not")
midx(lambda d, c: put(d, len(d) - 1), "its checksum", is_sealed=False)
midx(lambda d, c: d[:len(d) // 2], "cut in the middle", is_sealed=False)
midx(lambda d, c: b"", "empty", is_sealed=False)


@damage("multi-pack-index: a pack of it is gone", kind="midx")
def _(world):
    for end in (".pack", ".idx"):
        world.remove(world.pack(1) + end)
