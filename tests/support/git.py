"""Repositories made and read by git(1), the second witness for whatever slotd did."""

import os
import subprocess

ENV = {
    "GIT_AUTHOR_NAME": "A U Thor", "GIT_AUTHOR_EMAIL": "author@example.org",
    "GIT_COMMITTER_NAME": "C O Mitter", "GIT_COMMITTER_EMAIL": "committer@example.org",
    "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_COUNT": "3",
    "GIT_CONFIG_KEY_0": "protocol.file.allow", "GIT_CONFIG_VALUE_0": "always",
    "GIT_CONFIG_KEY_1": "init.defaultBranch", "GIT_CONFIG_VALUE_1": "main",
    "GIT_CONFIG_KEY_2": "advice.detachedHead", "GIT_CONFIG_VALUE_2": "false",
}


class Failed(AssertionError):
    """git ended with another status than 0."""


def run(cwd, *args, data=None, env=None, check=True):
    """Run git; returns the finished process with bytes in stdout and stderr."""
    done = subprocess.run(["git", "-C", cwd, *args], input=data, capture_output=True,
                          env={**os.environ, **ENV, **(env or {})}, timeout=300, check=False)
    if check and done.returncode:
        raise Failed("git -C %s %s: exit %d\n%s%s" % (cwd, " ".join(args), done.returncode,
                     done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")))
    return done


def text(cwd, *args, **kwargs):
    """Run git; its output as a string without the white space around it."""
    return run(cwd, *args, **kwargs).stdout.decode("utf-8", "surrogateescape").strip()


def lines(cwd, *args, **kwargs):
    out = text(cwd, *args, **kwargs)
    return out.split("\n") if out else []


def shell(cwd, script):
    """What a shell prints that runs this there."""
    return subprocess.run(["sh", "-ec", script], cwd=cwd, env={**os.environ, **ENV}, capture_output=True,
                          check=True).stdout.decode()


def write(root, name, content="", mode=None):
    """Write a file below root; makes its directories."""
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(content if isinstance(content, bytes) else content.encode())
    if mode is not None:
        os.chmod(path, mode)
    return path


def read(root, name):
    with open(os.path.join(root, name), "rb") as f:
        return f.read()


def commit(path, message="change", **files):
    """Commit all that is in the work tree; files: name=content ("__" stands for "/")."""
    for name, content in files.items():
        write(path, name.replace("__", "/"), content)
    run(path, "add", "-A")
    run(path, "commit", "-q", "-m", message)
    return head(path)


def spoil(path, name="lost"):
    """Stage a file and take its blob away: not all that is in the work tree can be saved any more."""
    write(path, name, "staged in %s\n" % path)
    run(path, "add", "-f", name)
    oid = text(path, "rev-parse", ":" + name)
    os.unlink(text(path, "rev-parse", "--path-format=absolute", "--git-path",
                   "objects/%s/%s" % (oid[:2], oid[2:])))
    write(path, name, "changed since\n")


def head(path, name="HEAD"):
    return text(path, "rev-parse", "--verify", name)


def init(path, *args):
    os.makedirs(path, exist_ok=True)
    run(path, "init", "-q", *args)
    return path


def make(path):
    """A small ordinary repository, two commits on main; the tag "one" is at the first."""
    init(path)
    write(path, "README", "hello\n")
    write(path, "src/main.c", "int main(void)\n{\n\treturn 0;\n}\n")
    write(path, "src/deep/er/file.txt", "deep\n")
    write(path, "run.sh", "#!/bin/sh\necho ran\n", 0o755)
    write(path, ".gitignore", "*.log\n/build/\nnode_modules/\n")
    os.symlink("src/main.c", os.path.join(path, "link"))
    commit(path, "first")
    run(path, "tag", "one")
    write(path, "README", "hello again\n")
    commit(path, "second")
    return path


def make_bare(path, source=None):
    """A bare clone of a source, or of a small ordinary repository."""
    if source is None:
        source = make(path + ".source")
    run(os.path.dirname(path), "clone", "-q", "--bare", source, path)
    return path


def fast_import(path, entries, message=b"imported"):
    """One commit on main from (mode, name as bytes, content) triples, of any names."""
    out = [b"commit refs/heads/main\ncommitter C <c@example.org> 1700000000 +0000\n",
           b"data %d\n%s\n" % (len(message), message)]
    for mode, name, content in entries:
        quoted = b'"' + b"".join(b"\\%03o" % c if c < 32 or c > 126 or c in b'"\\' else bytes([c])
                                 for c in name) + b'"'
        out.append(b"M %s inline %s\ndata %d\n%s\n" % (mode, quoted, len(content), content)
                   if mode != b"160000" else b"M 160000 %s %s\n" % (content, quoted))
    run(path, "fast-import", "--quiet", "--force", data=b"".join(out))
    return path


def make_many(path, count=5000):
    """A bare repository of so many files in nested directories."""
    init(path, "--bare")
    return fast_import(path, ((b"100644", b"d%d/e%d/f%d.txt" % (i % 50, i % 7, i),
                               b"content of %d\n" % i * (1 + i % 9)) for i in range(count)))


ODD_NAMES = [
    b"plain", b"with space", b"tab\there", b"line\nbreak", b"quote\"d", b"back\\slash", b"-dash",
    b"\xff\xfe not utf-8", "gr\u00fc\u00dfe/\u65e5\u672c".encode(), b"CaSe", b"case", b"...", b"a/b/c/d/e/f/g",
    b"x" * 255, b"/".join([b"long" * 20] * 12), b"*?[glob]", b"trailing ", b"#hash", b"!bang",
    b"~tilde", b"a:b", b"\x01control", b".hidden/.file", b"index.lock.txt", b"CON",
]


def make_odd(path):
    """A bare repository of odd names, modes, links and attributes."""
    init(path, "--bare")
    entries = [(b"100644", name, b"in " + name) for name in ODD_NAMES]
    entries += [
        (b"100755", b"bin/tool", b"#!/bin/sh\n"),
        (b"120000", b"link-to-file", b"plain"),
        (b"120000", b"link-to-dir", b"a/b"),
        (b"120000", b"link-broken", b"nowhere/at all"),
        (b"120000", b"link-outside", b"../../../etc/passwd"),
        (b"100644", b"empty", b""),
        (b"100644", b"binary.dat", bytes(range(256)) * 100),
        (b"100644", b".gitattributes",
         b"*.txt text\n*.bat text eol=crlf\n*.unix text eol=lf\n*.c ident\n*.dat -text\n"
         b"auto/* text=auto\n"),
        (b"100644", b"dos.bat", b"echo one\necho two\n"),
        (b"100644", b"note.txt", b"one\ntwo\n"),
        (b"100644", b"unix.unix", b"one\ntwo\n"),
        (b"100644", b"ident.c", b"/* $Id$ */\nint x;\n"),
        (b"100644", b"auto/file", b"one\ntwo\n"),
        (b"100644", b"sub/.gitattributes", b"*.bat -text\n"),
        (b"100644", b"sub/keep.bat", b"as it is\n"),
        (b"100644", b"sub/.gitignore", b"*.tmp\n"),
    ]
    return fast_import(path, entries)


def make_with_submodule(path, inner):
    """A repository with a submodule entry and .gitmodules."""
    make(path)
    run(path, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner, "vendor/inner")
    run(path, "commit", "-q", "-m", "add a submodule")
    return path


def is_clean(path):
    """Nothing to see for git status, ignored files aside."""
    return run(path, "status", "--porcelain", "--untracked-files=all").stdout == b""


def worktrees(path):
    """Paths that git worktree list shows."""
    return [line[len("worktree "):] for line in lines(path, "worktree", "list", "--porcelain")
            if line.startswith("worktree ")]
