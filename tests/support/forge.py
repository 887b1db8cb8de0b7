"""Objects, packs and indexes of packs by hand: what git(1) would not write, with checksums that are right."""

import hashlib
import struct
import zlib

TYPES = {"commit": 1, "tree": 2, "blob": 3, "tag": 4, "ofs": 6, "ref": 7}


def sha1(data):
    return hashlib.sha1(data).digest()


def name_of(kind, content):
    return sha1(b"%s %d\0" % (kind.encode(), len(content)) + content)


def loose(kind, content):
    """(name, bytes of the file)"""
    data = b"%s %d\0" % (kind.encode(), len(content)) + content
    return sha1(data).hex(), zlib.compress(data)


def seal(data):
    """The trailer of a file is made right."""
    return data[:-20] + sha1(data[:-20])


def trailer(data):
    return data[-20:]


def tree(*entries):
    """entries: (mode, name, oid)"""
    return b"".join(b"%s %s\0" % (mode.encode(), name if isinstance(name,
                                                                    bytes) else name.encode()) + bytes.fromhex(oid)
                    for mode, name, oid in entries)


# --- deltas

def size_of_delta(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def delta(base, result, ops=None):
    """One that inserts everything, or has the given opcodes."""
    if ops is None:
        ops = b"".join(bytes([len(part)]) + part for part in
                       (result[i:i + 127] for i in range(0, len(result), 127)))
    return size_of_delta(len(base)) + size_of_delta(len(result)) + ops


# --- packs

def header(kind, size):
    byte, size = TYPES[kind] << 4 | size & 15, size >> 4
    out = b""
    while size:
        out += bytes([byte | 128])
        byte, size = size & 127, size >> 7
    return out + bytes([byte])


def offset(n):
    """How far back the base of an ofs-delta is."""
    out = [n & 127]
    while n > 127:
        n = (n >> 7) - 1
        out.insert(0, n & 127 | 128)
    return bytes(out)


def entry(kind, content, base=b"", size=None):
    """base: bytes between header and stream: offset() or the name of the base."""
    return header(kind, len(content) if size is None else size) + base + zlib.compress(content)


def pack(entries, version=2, count=None, names=None):
    """(pack, index) of [(name of 20 bytes, entry)]; names: other ones for the index, {number: name}."""
    data = b"PACK" + struct.pack(">II", version, len(entries) if count is None else count)
    known = []
    for number, (name, raw) in enumerate(entries):
        known.append(((names or {}).get(number, name), zlib.crc32(raw), len(data)))
        data += raw
    data += sha1(data)
    return data, index(known, trailer(data))


def index(known, pack_trailer):
    """Version 2 of [(name, crc, offset)]."""
    known = sorted(known)
    fan = b"".join(struct.pack(">I", sum(name[0] <= n for name, _, _ in known)) for n in range(256))
    large = [at for _, _, at in known if at >= 1 << 31]
    data = b"\377tOc" + struct.pack(">I", 2) + fan
    data += b"".join(name for name, _, _ in known)
    data += b"".join(struct.pack(">I", crc) for _, crc, _ in known)
    data += b"".join(struct.pack(">I", at if at < 1 << 31 else 1 << 31 | large.index(at)) for _, _, at in known)
    data += b"".join(struct.pack(">Q", at) for at in large) + pack_trailer
    return data + sha1(data)


class Index:
    """An index of version 2: where its tables are, and its objects in the order of the pack."""

    def __init__(self, data):
        self.count = struct.unpack(">I", data[8 + 255 * 4:8 + 256 * 4])[0]
        self.names = 8 + 1024
        self.crcs = self.names + 20 * self.count
        self.offsets = self.crcs + 4 * self.count
        self.end = len(data) - 40
        self.known = [(data[self.names + 20 * n:][:20], *struct.unpack(">I", data[self.crcs + 4 * n:][:4]),
                       *struct.unpack(">I", data[self.offsets + 4 * n:][:4])) for n in range(self.count)]

    def at(self, oid):
        """The offset in the pack."""
        return [place for name, _, place in self.known if name.hex() == oid][0]


def read_header(data, at):
    """(type number, size, where the stream or the base begins)"""
    byte = data[at]
    kind, size, shift = byte >> 4 & 7, byte & 15, 4
    while byte & 128:
        at += 1
        byte = data[at]
        size |= (byte & 127) << shift
        shift += 7
    return kind, size, at + 1


def reindexed(pack_data, index_data):
    """The pack was changed in place: trailer, CRCs and the index's copy of the trailer are made right."""
    pack_data = seal(pack_data)
    known = Index(index_data).known
    ends = sorted(at for _, _, at in known)[1:] + [len(pack_data) - 20]
    ends = dict(zip(sorted(at for _, _, at in known), ends))
    known = [(name, zlib.crc32(pack_data[at:ends[at]]), at) for name, _, at in known]
    return pack_data, index(known, trailer(pack_data))


# --- files of chunks: commit-graph ("CGPH", header of 8 bytes), multi-pack-index ("MIDX", of 12)

class Chunks:
    """Where they are: {name: (begin, end)}, and where the table's lines are."""

    def __init__(self, data):
        size = 8 if data[:4] == b"CGPH" else 12
        count = data[6]
        self.table = size
        lines = [struct.unpack(">4sQ", data[size + 12 * n:][:12]) for n in range(count + 1)]
        self.at = {lines[n][0].decode(): (lines[n][1], lines[n + 1][1]) for n in range(count)}
        self.line = {lines[n][0].decode(): size + 12 * n for n in range(count)}

    def begin(self, name):
        return self.at[name][0]
