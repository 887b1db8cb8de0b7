#!/usr/bin/env python3
"""surface.py HEADER LIBRARY [MANUAL EXAMPLE]: what libslot shows to the world.

The header compiles alone as C11 and C++17, takes no name from Qt, and declares exactly what the
library exports; the manual page shows the example program as it is compiled.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HEADER, LIBRARY = sys.argv[1:3]
MANUAL, EXAMPLE = (sys.argv[3:5] + [None, None])[:2]
STRICT = ["-pedantic", "-pedantic-errors", "-Wall", "-Wextra", "-Werror", "-c"]


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def code_of(path):
    """The header without its comments."""
    return re.sub(r"/\*.*?\*/", "", read(path), flags=re.S)


class Surface(unittest.TestCase):
    def compile(self, compiler, flags, suffix, body=""):
        with tempfile.TemporaryDirectory() as directory:
            source = os.path.join(directory, "alone" + suffix)
            with open(source, "w", encoding="utf-8") as f:
                f.write(f'#include "{os.path.abspath(HEADER)}"\n{body}')
            done = subprocess.run([compiler, *flags, *STRICT, source, "-o", source + ".o"],
                                  capture_output=True, text=True)
        return done.returncode, done.stderr

    def compile_alone(self, compilers, flags, suffix):
        self.assertTrue(compilers)
        for compiler in compilers:
            with self.subTest(compiler=compiler):
                code, errors = self.compile(compiler, flags, suffix)
                self.assertEqual(code, 0, errors)

    def test_header_compiles_alone_as_c(self):
        self.compile_alone([c for c in ("gcc", "clang") if shutil.which(c)],
                           ["-std=c11", "-x", "c"], ".c")

    def test_header_compiles_alone_as_cxx(self):
        self.compile_alone([c for c in ("g++", "clang++") if shutil.which(c)],
                           ["-std=c++17", "-x", "c++"], ".cc")

    def test_an_ignored_result_is_a_warning(self):
        body = "void f(struct slot_client *c);\nvoid f(struct slot_client *c) { slot_call(c, 0, 0, 0); }\n"
        code, errors = self.compile("cc", ["-std=c11", "-x", "c"], ".c", body)
        self.assertNotEqual(code, 0)
        self.assertIn("unused", errors)

    def test_header_takes_no_name_of_qt(self):
        words = set(re.findall(r"\w+", code_of(HEADER)))
        self.assertFalse(words & {"slots", "signals", "emit"})

    def test_header_includes_only_what_every_compiler_has(self):
        included = set(re.findall(r"#include\s+(\S+)", code_of(HEADER)))
        self.assertEqual(included, {"<stdbool.h>", "<stddef.h>", "<stdint.h>"})

    def test_library_exports_what_the_header_declares(self):
        declared = set(re.findall(r"SLOT_API\b[^;]*?\b(slot_\w+)\s*\(", code_of(HEADER)))
        symbols = subprocess.run(["nm", "-D", "--defined-only", LIBRARY], check=True,
                                 capture_output=True, text=True).stdout.split("\n")
        exported = {line.split()[-1].split("@")[0] for line in symbols
                    if line and line.split()[-2] != "A"}
        # what the compiler's own instrumentation adds
        exported = {name for name in exported if not name.startswith("__")}
        self.assertEqual(exported, declared)

    def test_every_errno_of_the_header_is_in_the_manual(self):
        if not MANUAL:
            self.skipTest("no manual pages are built")
        named = set(re.findall(r"-E[A-Z]{2,}", read(HEADER))) - {"-EMFILE", "-ENFILE", "-ENAMETOOLONG"}
        manual = read(MANUAL).replace("\\", "")
        self.assertFalse({name for name in named if name not in manual})

    def test_manual_shows_the_example_as_it_is_compiled(self):
        if not MANUAL:
            self.skipTest("no manual pages are built")
        shown = re.search(r"^```\n(.*?)^```$", read(MANUAL), flags=re.S | re.M)
        self.assertEqual(shown.group(1), read(EXAMPLE))


if __name__ == "__main__":
    if "vgpreload" in os.environ.get("LD_PRELOAD", ""):
        sys.exit(0)  # valgrind would follow into the compilers, and finds nothing of ours
    unittest.main(argv=sys.argv[:1])
