"""A ledger as an older slotd would have made it, by LMDB's own library."""

import ctypes
import os
import struct
import zlib

LATER = (b"handoffs", b"tickets", b"salvage")  # that the first schema came without
ROOM = 64 << 20


class _Value(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("data", ctypes.c_void_p)]


def _value(content):
    return _Value(len(content), ctypes.cast(ctypes.create_string_buffer(content, len(content)), ctypes.c_void_p))


class _Transaction:
    """One write transaction of an environment that nobody else has open."""

    def __init__(self, directory):
        self.lmdb = ctypes.CDLL("liblmdb.so.0")
        self.lmdb.mdb_strerror.restype = ctypes.c_char_p
        self.env, self.txn = ctypes.c_void_p(), ctypes.c_void_p()
        self.do("mdb_env_create", ctypes.byref(self.env))
        self.do("mdb_env_set_maxdbs", self.env, ctypes.c_uint(64))
        self.do("mdb_env_set_mapsize", self.env, ctypes.c_size_t(ROOM))
        self.do("mdb_env_open", self.env, os.fsencode(directory), ctypes.c_uint(0), ctypes.c_uint(0o600))
        self.do("mdb_txn_begin", self.env, None, ctypes.c_uint(0), ctypes.byref(self.txn))

    def do(self, name, *args):
        code = getattr(self.lmdb, name)(*args)
        if code:
            raise OSError("%s: %s" % (name, self.lmdb.mdb_strerror(ctypes.c_int(code)).decode()))

    def database(self, name):
        dbi = ctypes.c_uint()
        self.do("mdb_dbi_open", self.txn, name, ctypes.c_uint(0), ctypes.byref(dbi))
        return dbi

    def get(self, database, key):
        value = _Value()
        self.do("mdb_get", self.txn, database, ctypes.byref(_value(key)), ctypes.byref(value))
        return ctypes.string_at(value.data, value.size)

    def put(self, database, key, content):
        self.do("mdb_put", self.txn, database, ctypes.byref(_value(key)), ctypes.byref(_value(content)),
                ctypes.c_uint(0))

    def drop(self, database):
        self.do("mdb_drop", self.txn, database, ctypes.c_int(1))

    def commit(self):
        self.do("mdb_txn_commit", self.txn)
        self.lmdb.mdb_env_close(self.env)


def _with_schema(key, record, schema):
    """The generation record: kind, version, CRC-32 of the key and all else; then the schema, and the rest."""
    head, rest = record[:2], record[10:]
    body = struct.pack("<I", schema) + rest
    return head + struct.pack("<I", zlib.crc32(key + head + body)) + body


def set_schema(directory, schema, without=()):
    """Of the ledger in a directory that no slotd has open."""
    txn = _Transaction(directory)
    meta = txn.database(b"meta")
    key = b"generation"
    txn.put(meta, key, _with_schema(key, txn.get(meta, key), schema))
    for name in without:
        txn.drop(txn.database(name))
    txn.commit()
