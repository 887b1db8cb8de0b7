"""Loose objects, and where else objects are borrowed from."""

import os
import zlib

from support.damages import HANGS, by, damage

README = "main:README"


def spoil(change, name=README):
    """The file of a loose object is changed: bytes in, bytes out."""
    def make(world):
        world.edit(world.loose(world.oid(name)), change)
    return make


def restream(change, name=README):
    """What is in the zlib stream is."""
    return spoil(lambda data: zlib.compress(change(zlib.decompress(data))), name)


def header(text):
    """Another header."""
    return restream(lambda data: text + b"\0" + data.partition(b"\0")[2])


def loose(make, name, *ids, **options):
    by(make, "loose object: " + name, *ids, **options)


loose(spoil(lambda data: b""), "empty", "empty-object")
loose(spoil(lambda data: data[:1]), "one byte", "corrupt-object")
loose(spoil(lambda data: data[:len(data) // 2]), "cut in the middle", "corrupt-object")
loose(spoil(lambda data: data[:-1]), "the last byte is gone", "corrupt-object")
loose(spoil(lambda data: data + b"x"), "a byte behind the stream", "corrupt-object")
loose(spoil(lambda data: data + data), "the stream twice", "corrupt-object")
loose(spoil(lambda data: b"\0" * len(data)), "zeros, as after a crash", "corrupt-object")
loose(spoil(lambda data: b"garbage " * 10), "not a stream", "corrupt-object")
loose(spoil(zlib.decompress), "not compressed", "corrupt-object")
loose(spoil(lambda data: data[:-4] + b"\0\0\0\0"), "the stream's own checksum", "corrupt-object")
loose(restream(lambda data: data.replace(b"bye", b"Bye")), "other content", "corrupt-object", path="README")
loose(restream(lambda data: data.replace(b"line 7", b"line 8"), "light:long"), "other content of an old blob",
      "corrupt-object")
loose(restream(lambda data: data[:-1]), "shorter than its header says", "corrupt-object")
loose(restream(lambda data: data + b"more", "main:long"), "longer than its header says", "corrupt-object")
loose(restream(lambda data: data + b"more"), "longer than its header says, and small", "corrupt-object",
      blind="2.39 looks no further than the size, if all came out with the header")
loose(header(b"blob 0"), "a header of size 0", "corrupt-object")
loose(header(b"blob 04"), "a size with a zero before it", "corrupt-object")
loose(header(b"blob -4"), "a size below 0", "corrupt-object")
loose(header(b"blob 99999999999999999999999"), "a size that no number holds", "corrupt-object")
loose(header(b"blob 4294967295"), "a size of 4 GiB", "corrupt-object")
loose(header(b"blob"), "a header without a size", "corrupt-object")
loose(header(b"blob  4"), "two spaces in the header", "corrupt-object")
loose(header(b"garbage 4"), "a type that there is not", "corrupt-object")
loose(header(b"tree 4"), "another type", "corrupt-object")
loose(restream(lambda data: data.replace(b"\0", b"")), "a header without an end", "corrupt-object")
loose(restream(lambda data: b"x" * 100), "no header at all", "corrupt-object")
loose(lambda world: world.put_as(world.oid(README), world.read(world.loose(world.oid("light:README")))),
      "under the name of another one", "corrupt-object")
loose(lambda world: world.put_as(world.oid("main^{tree}"), world.read(world.loose(world.oid("light^{tree}")))),
      "a tree under the name of another one", "corrupt-object")
loose(lambda world: world.put_as("12" * 20, world.read(world.loose(world.oid(README)))),
      "a copy under a name that nothing leads to", "corrupt-object")
loose(spoil(lambda data: b"", "main"), "an empty commit", "empty-object")
loose(spoil(lambda data: b"", "main^{tree}"), "an empty tree", "empty-object")
loose(spoil(lambda data: b"", "one"), "an empty tag", "empty-object")


@damage("loose object: a pipe", "corrupt-object", **HANGS)
def _(world):
    world.fifo(world.loose(world.oid(README)))


@damage("loose object: a directory", "corrupt-object")
def _(world):
    name = world.loose(world.oid(README))
    world.remove(name)
    os.mkdir(world.path(name))


@damage("loose object: a link to nothing", "corrupt-object")
def _(world):
    name = world.loose(world.oid(README))
    world.remove(name)
    os.symlink("nothing", world.path(name))


@damage("loose object: a pipe beside them", "stray-file", quiet=True)
def _(world):
    os.mkfifo(world.path(os.path.dirname(world.loose(world.oid(README))) + "/pipe"))


@damage("loose objects: a directory of them that is a file")
def _(world):
    name = os.path.dirname(world.loose(world.oid(README)))
    world.remove(name)
    world.write(name, "no directory")


@damage("loose objects: what writers left behind", "leftover", quiet=True)
def _(world):
    world.write("objects/12/tmp_obj_abcdef", "half")
    world.write("objects/pack/tmp_pack_abcdef", "half")


# a copy that is whole hides it from who only looks objects up
@damage("loose object: a damaged copy of one that is packed", "corrupt-object", kind="packed")
def _(world):
    world.put_as(world.oid(README), b"garbage")


@damage("loose object: an empty copy of one that is packed", "empty-object", kind="packed")
def _(world):
    world.put_as(world.oid(README), b"")


# --- alternates

@damage("alternates: a directory that is not there", "bad-alternate", "missing-object", kind="borrowed")
def _(world):
    os.rename(os.path.join(world.dir, "other"), os.path.join(world.dir, "moved"))


@damage("alternates: one more that is not there", "bad-alternate", kind="borrowed")
def _(world):
    world.edit("objects/info/alternates", lambda text: text + b"/nonexistent/objects\n")


@damage("alternates: a line that names a file", "bad-alternate", kind="borrowed")
def _(world):
    world.edit("objects/info/alternates", lambda text: text + world.path("HEAD").encode() + b"\n")


@damage("alternates: in a circle", "alternates-loop", kind="borrowed", blind="it passes over what it has already")
def _(world):
    world.write("../../other/info/alternates", world.path("objects") + "\n")


@damage("alternates: itself", "alternates-loop", blind="it passes over what it has already")
def _(world):
    world.write("objects/info/alternates", world.path("objects") + "\n")


@damage("alternates: too deep", kind="borrowed")
def _(world):
    for n in range(8):
        world.write("../../deep%d/info/alternates" % n, os.path.join(world.dir, "deep%d" % (n + 1)) + "\n")
    world.write("../../deep8/x", "")
    world.edit("objects/info/alternates", lambda text: text + os.path.join(world.dir, "deep0").encode() + b"\n")


@damage("alternates: a damaged object in one", "corrupt-object", kind="borrowed")
def _(world):
    oid = world.put("blob", "in the other store\n")
    os.makedirs(os.path.join(world.dir, "other", oid[:2]), exist_ok=True)
    os.rename(world.path(world.loose(oid)), os.path.join(world.dir, "other", oid[:2], oid[2:]))
    with open(os.path.join(world.dir, "other", oid[:2], oid[2:]), "wb") as f:
        f.write(b"garbage")


@damage("alternates: a damaged pack in one", "corrupt-pack", kind="borrowed")
def _(world):
    packs = os.path.join(world.dir, "other/pack")
    name = [name for name in os.listdir(packs) if name.endswith(".pack")][0]
    os.chmod(os.path.join(packs, name), 0o600)
    with open(os.path.join(packs, name), "r+b") as f:
        f.seek(-5, os.SEEK_END)
        f.write(b"12345")


@damage("alternates: a pipe", "unreadable-file", **HANGS)
def _(world):
    world.fifo("objects/info/alternates")
