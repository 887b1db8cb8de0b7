"""Reads a Varlink interface: enough to compare it with what slotd serves and answers."""

import os
import re

from support.paths import TOP

FILE = os.path.join(TOP, "src/rpc/io.slotd.pool.varlink")
NESTED = r"\((?:[^()]|\([^()]*\))*\)"


def text():
    with open(FILE, encoding="utf-8") as f:
        return f.read()


def fields(body):
    """{"name": "type"} of "(name: type, ...)"."""
    inner = body.strip()[1:-1]
    return dict(re.findall(r"(\w+)\s*:\s*([^,\s]+)", inner))


class Interface:
    """methods: {name: (parameters, reply)}; types, errors: {name: fields}."""

    def __init__(self, source=None):
        plain = re.sub(r"#.*", "", source if source is not None else text())
        self.name = re.search(r"^interface\s+(\S+)", plain, re.MULTILINE).group(1)
        self.methods = {name: (fields(ask), fields(answer)) for name, ask, answer in
                        re.findall(r"\bmethod\s+(\w+)\s*(%s)\s*->\s*(%s)" % (NESTED, NESTED), plain)}
        self.types = {name: fields(body)
                      for name, body in re.findall(r"\btype\s+(\w+)\s*(%s)" % NESTED, plain)}
        self.errors = {name: fields(body)
                       for name, body in re.findall(r"\berror\s+(\w+)\s*(%s)" % NESTED, plain)}

    def mismatch(self, value, type_name, where=""):
        """Sentences about how a value differs from a type; keys must all be there."""
        if type_name.startswith("?"):
            return [] if value is None else self.mismatch(value, type_name[1:], where)
        if type_name.startswith("[]"):
            if not isinstance(value, list):
                return ["%s is no array" % where]
            return [s for i, v in enumerate(value)
                    for s in self.mismatch(v, type_name[2:], "%s[%d]" % (where, i))]
        if type_name.startswith("[string]"):
            if not isinstance(value, dict):
                return ["%s is no map" % where]
            return [s for k, v in value.items()
                    for s in self.mismatch(v, type_name[8:], "%s[%s]" % (where, k))]
        plain = {"string": str, "int": int, "float": (int, float), "bool": bool, "object": object}
        if type_name in plain:
            good = isinstance(value, plain[type_name])
            if type_name in ("int", "float") and isinstance(value, bool):
                good = False
            return [] if good else ["%s is %r, no %s" % (where, value, type_name)]
        return self.mismatch_fields(value, self.types[type_name], where)

    def mismatch_fields(self, value, wanted, where):
        if not isinstance(value, dict):
            return ["%s is no object" % where]
        wrong = ["%s.%s is missing" % (where, k) for k in wanted if k not in value]
        wrong += ["%s.%s is not in the interface" % (where, k) for k in value
                  if k not in wanted and not k.endswith("Base64")]
        return wrong + [s for k, t in wanted.items() if k in value
                        for s in self.mismatch(value[k], t, "%s.%s" % (where, k))]

    def mismatch_reply(self, method, value):
        return self.mismatch_fields(value, self.methods[method][1], method)
