"""States of files: changed, staged, untracked, ignored, converted, of odd names, types and modes."""

import os
import socket

from support.states import CLEAN, FULL, ISOLATED, shell, state

# --- changed and staged

shell("nothing done", "true", CLEAN, as_user=True)
shell("a file touched", "touch -d '2001-02-03' README", CLEAN)
shell("a file changed", "echo mine >README", as_user=True)
shell("a file emptied", ": >src/list.txt")
shell("a file deleted", "rm README")
shell("a directory deleted", "rm -r src")
shell("everything deleted", "rm -r ./* .gitignore .gitattributes .gitmodules")
shell("a file moved", "mv README docs/READ")
shell("a rename staged", "git mv README READ")
shell("made executable", "chmod +x README")
shell("made not executable", "chmod -x run.sh")
shell("a file became a link", "rm README && ln -s run.sh README")
shell("a link became a file", "rm link && echo mine >link")
shell("a link leads elsewhere", "ln -sfn README link")
shell("a file became a directory", "rm README && mkdir README && echo mine >README/x")
shell("a directory became a file", "rm -r docs && echo mine >docs")
shell("a change staged", "echo mine >README && git add README", as_user=True)
shell("a change staged and taken back in the file", "echo mine >README && git add README && "
      "echo ours >README")
shell("staged and changed again", "echo one >README && git add README && echo two >README")
shell("a new file staged", "echo mine >new && git add new")
shell("a new file staged and deleted", "echo mine >new && git add new && rm new")
shell("a new file staged, a directory in its place", "echo mine >new && git add new && rm new && "
      "mkdir new && echo other >new/x")
shell("a deletion staged", "git rm -q README")
shell("a deletion staged, the file kept", "git rm -q --cached README")
shell("a deletion staged, another file in its place", "git rm -q README && echo other >README")
shell("a mode staged", "git update-index --chmod=+x README")
shell("intent to add", "echo mine >new && git add -N new")
shell("everything staged in parts", "echo one >>src/list.txt && git add -A && echo two >>src/list.txt && "
      "echo x >new && git add new && chmod +x new && rm run.sh")


@state("the same size and time, another content")
def racy(slot):
    old = os.stat(os.path.join(slot.path, "src/main.c"))
    slot.write("src/main.c", "INT MAIN(VOID)\n{\n\tRETURN 0;\n}\n")
    os.utime(os.path.join(slot.path, "src/main.c"), ns=(old.st_atime_ns, old.st_mtime_ns))


# --- untracked

shell("an untracked file", "echo mine >new", as_user=True)
shell("an empty untracked file", ": >new")
shell("untracked directories", "mkdir -p a/b/c a/d && echo 1 >a/x && echo 2 >a/b/c/y && echo 3 >a/d/z")
shell("an empty directory", "mkdir -p empty/deep", CLEAN)
shell("an empty directory beside a file", "mkdir -p new/empty && echo mine >new/x")
shell("an untracked file that cleaning makes itself", "echo x >.slotd-tmp-1 && mkdir .slotd-trash && "
      "echo y >.slotd-trash/z")
shell("names that a salvage uses itself", """
	mkdir -p state files stages/1 && for n in meta head index modes dirs state/HEAD files/README stages/1/README
	do echo "$n" >"$n"; done""")
shell("names that differ in case only", "echo 1 >readme && echo 2 >Readme && mkdir SRC && echo 3 >SRC/main.c")


@state("many untracked files")
def many(slot):
    for n in range(100000 if FULL else 2000):
        slot.write("many/%d/%d" % (n % 50, n), "content of %d\n" % n)


@state("names of any bytes")
def odd_names(slot):
    names = [b"line\nbreak", b'quote"d', b"back\\slash", b"-dash", b"--", b"\xff\xfe not utf-8",
      b"tab\there", b" ",
             b"trailing ", b"...", b"~", b"a:b", b"\x01\x7f", b"x" * 255, b"*?[glob]", b"%25", b"%2egit",
      b"#hash",
             b"!bang", b"CON", b"\xc3\xbc", b"u\xcc\x88", b"dir\n\xff/in\\ner/\"x\"", b"dir /-x", b"%/%%"]
    for name in names:
        slot.write(name, b"in " + name)


@state("changed and deleted files of odd names")
def odd_changes(slot):
    for name in (b"a\nb\xff", b"c\\d", b"e"):
        slot.write(name, b"old")
    slot.git("add", "-A")
    slot.git("commit", "-qm", "odd names")
    slot.git("update-ref", "refs/heads/%s" % slot.name, "HEAD")
    slot.write(b"a\nb\xff", b"new")
    os.unlink(os.path.join(slot.path, "c\\d"))
    os.unlink(os.path.join(slot.path, "e"))
    slot.write(b"e/%f/g", b"a directory")


@state("names that git refuses")
def refused(slot):
    for name in ("git~1", ".git.", "x\\.git", ".GIT", ".Git/config", "sub/.git ", "sub/.git::$INDEX",
      "sub/GIT~1/x",
                 ".g\u200cit"):
        slot.write(name, "in " + name)


@state("names longer than a path may be", as_user=True)
def deep(slot):
    fd = os.open(slot.path, os.O_RDONLY)
    for n in range(30):
        name = "%02d-%s" % (n, "d" * 200)
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    with open(os.open("at the bottom", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd), "wb") as f:
        f.write(b"deep down\n")
    os.close(fd)


# --- ignored

shell("ignored files", "mkdir -p build node_modules/x && echo 1 >build/o && echo 2 >node_modules/x/y && "
      "echo 3 >a.log",
      CLEAN, kept=("build/o", "node_modules/x/y", "a.log"))
shell("ignored files beside a change", "mkdir build && echo 1 >build/o && echo mine >README",
      kept=("build/o",))
shell("precious ignored files", "echo secret >key.precious && mkdir -p a && echo other >a/b.precious",
      kept=("a/b.precious", "key.precious"))
shell("precious files in an ignored directory", "mkdir -p build/x && echo k >build/x/k.precious && "
      "echo o >build/o",
      kept=("build/o", "build/x/k.precious"))
shell("an ignored file staged by force", "echo mine >forced.log && git add -f forced.log")
shell("ignored files un-ignored", "mkdir build && echo o >build/o && : >.gitignore && git add -A")
shell(".gitignore hides files", "printf 'hidden*\\n*.c\\n' >>.gitignore && echo mine >hidden.txt && "
      "echo mine >new.c")
shell(".gitignore hides everything, itself too", "echo '*' >src/.gitignore && echo mine >src/new && "
      "mkdir x && echo '*' >x/.gitignore"
      " && echo mine >x/y")
shell("a committed .gitignore hides files", "echo 'hidden*' >>.gitignore && git commit -qam ignore && "
      "git branch $NAME && echo mine >hidden.txt")
shell("info/exclude hides files", "mkdir -p $STORE/info && echo 'hid-*' >>$STORE/info/exclude && "
      "echo mine >hid-1", CLEAN, kept=("hid-1",))
shell("core.excludesFile hides files", "echo 'hid-*' >$OUTSIDE/excludes && "
      "git config core.excludesFile $OUTSIDE/excludes"
      " && echo mine >hid-1")

# --- converted

shell("mixed line ends", "printf 'one\\r\\ntwo\\nthree\\r\\n' >dos.crlf")
# git status goes by the size that the index remembers, and that is the true one afterwards
shell("line ends of the other kind", "printf 'one\\ntwo\\n' >dos.crlf && "
      "printf 'a\\r\\nb\\r\\n' >src/list.txt", left_out=("status",))
shell("a staged change of a file with converted line ends", "printf 'mine\\r\\n' >>dos.crlf && git add dos.crlf")
shell("a committed change of a file with converted line ends", "printf 'mine\\r\\n' >>dos.crlf && "
      "git commit -qam mine")
shell("new files with all kinds of line ends", """
	printf 'a\\r\\nb\\n' >new.crlf; printf 'a\\rb\\r\\n' >new.txt; printf 'a\\r\\nb\\n' >new.bin;
	printf 'a\\r\\n' >new.c""")
shell("an expanded ident", "printf '/* $Id: 1234567890 $ */\\nmine\\n' >ident.id && "
      "printf '$Id: x$ $Id$\\n' >new.id")
shell("a clean filter", "git config filter.trap.clean $TRAP && git config filter.trap.smudge $TRAP && "
      "git config filter.trap.required true && echo large >big.lfs && echo other >new.lfs")
shell("a file in another encoding", "echo '*.w16 working-tree-encoding=UTF-16LE' >>.gitattributes && "
      "printf 'm\\000i\\000\\n\\000' >new.w16")
shell("attributes changed", "echo '* -text -ident' >.gitattributes && "
      "printf 'one\\r\\ntwo\\r\\nmore\\r\\n' >dos.crlf && "
      "printf 'a\\r\\n' >src/list.txt && printf '$Id: y $\\n' >ident.id")
shell("attributes that convert everything", "echo '* text eol=crlf' >.gitattributes && "
      "printf 'a\\r\\nb\\n' >new && "
      "printf '\\r\\n\\n\\r' >data.bin && git add -A 2>/dev/null")
# what nobody changed is written as a checkout writes it by now
shell("core.autocrlf", "git config core.autocrlf true && printf 'a\\r\\nb\\r\\n' >new.c && "
      "printf 'c\\r\\n' >>src/main.c",
      left_out=("clean files", "directory"))
shell("info/attributes", "mkdir -p $STORE/info && echo '* text eol=crlf' >$STORE/info/attributes && "
      "printf 'a\\r\\nb\\n' >new && "
      "printf 'c\\r\\n' >README", left_out=("clean files", "directory"))

# --- sizes, types, modes


@state("a large file")
def large(slot):
    block = os.urandom(1 << 20)
    with open(os.path.join(slot.path, "large"), "wb") as f:
        for n in range(1024 if FULL else 64):
            f.write(n.to_bytes(4, "big") + block[4:])


shell("a file with a hole", "printf end | dd of=hole bs=1 seek=33554432 status=none")
shell("modes of untracked files", "for m in 600 400 640 664 755 700 777 444; do echo $m >m-$m; "
      "chmod $m m-$m; done")
shell("modes of changed files", "echo mine >README && chmod 600 README && echo mine >>run.sh && "
      "chmod 500 run.sh")
shell("a mode that git does not see", "chmod 600 README && chmod 700 run.sh", CLEAN)
# who restores may be another than who made the file: set-uid and set-gid bits are not given back, on purpose
shell("setuid, setgid and sticky", "for m in 4755 2755 1644 6711; do echo $m >m-$m; chmod $m m-$m; done",
      left_out=("files", "directory"))
shell("modes of directories", "mkdir -m 700 private && echo x >private/x && chmod 750 docs && echo y >docs/y")
shell("links of all kinds", """
	ln -s loop-b loop-a; ln -s loop-a loop-b; ln -s . here; ln -s nowhere/at/all broken;
	ln -s /etc/passwd absolute
	ln -s ../../.. above; ln -s "$(printf '%0500d' 0)/x" long; ln -s "$(printf 'a\\nb')" odd; ln -s src dir""")
shell("a hard link to a file outside", "echo victim >$OUTSIDE/$NAME && rm README && "
      "ln $OUTSIDE/$NAME README && "
      "ln $OUTSIDE/$NAME new")
shell("hard links among each other", "echo x >one && ln one two && ln README three && echo more >>README")
shell("a file became a link to the outside", "echo victim >$OUTSIDE/$NAME && ln -sf $OUTSIDE/$NAME README")
shell("a directory became a link to the outside", "mkdir $OUTSIDE/$NAME && "
      "echo victim >$OUTSIDE/$NAME/main.c && rm -r src && "
      "ln -s $OUTSIDE/$NAME src")
shell("a directory in between became a link to the outside", "mkdir -p $OUTSIDE/$NAME/er && "
      "echo victim >$OUTSIDE/$NAME/er/file.txt"
      " && rm -r src/deep && ln -s $OUTSIDE/$NAME src/deep && echo mine >README")
shell("a FIFO in a file's place", "rm README && mkfifo README && echo mine >new", special=("README",))
shell("an untracked FIFO", "mkfifo new && echo mine >other", special=("new",))
# there is no content that could be saved
shell("nothing but a FIFO", "mkdir -p a && mkfifo a/new", CLEAN)
shell("a FIFO for .gitignore", "echo mine >new", last="rm .gitignore && mkfifo .gitignore",
      special=(".gitignore",),
      left_out=("status",))
shell("a FIFO for .gitattributes", "echo mine >new && printf 'a\\r\\n' >x.crlf",
      last="rm .gitattributes && mkfifo .gitattributes", special=(".gitattributes",))
shell("devices", "rm README && mknod README c 1 3 && mknod block b 7 99 && echo mine >new",
      special=("README", "block"), needs="root")


@state("a socket", special=("sock",))
def unix_socket(slot):
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        fd = os.open(slot.path, os.O_RDONLY)
        s.bind("/proc/self/fd/%d/sock" % fd)
        os.close(fd)
        assert os.getcwd() == here
    slot.write("new", "mine\n")


shell("directories that may not be written", "echo mine >docs/2.txt && mkdir -p ro/below && "
      "echo mine >ro/below/x && "
      "chmod 555 ro/below ro docs", as_user=True)
shell("a file that may not be read", "echo mine >secret && chmod 000 secret", ISOLATED, reason="secret",
      needs="user")
shell("a directory that may not be entered", "mkdir closed && echo mine >closed/x && chmod 000 closed", ISOLATED,
      reason="closed", needs="user")
shell("files that may not be written", "echo mine >README && chmod 444 README && echo x >new && "
      "chmod 400 new", as_user=True)

# --- repositories inside

shell("a narrow umask", "umask 077 && mkdir work && echo x >work/notes && git init -q work/clone && "
      "echo y >work/clone/f && echo z >zz")
shell("a nested repository", """
	git init -q nested && cd nested && echo 1 >a && git add a && git commit -qm one && echo 2 >a &&
	git add a && echo 3 >a
	echo 4 >b && git branch other && git tag t && mkdir empty""")
shell("a nested repository without commits", "git init -q nested && echo 1 >nested/a")
shell("nested repositories in each other", "git init -q a && git init -q a/b/c && echo 1 >a/x && "
      "echo 2 >a/b/c/y && "
      "git -C a/b/c add -A && git -C a/b/c commit -qm y")
shell("a nested repository in a tracked directory", "git init -q src && git -C src add -A && "
      "git -C src commit -qm mine")
shell("a nested repository with hooks and ignored files", """
	git init -q nested && cd nested && echo '*.log' >.gitignore && echo 1 >x.log &&
	git config core.fsmonitor $TRAP
	printf '#!/bin/sh\\n$TRAP\\n' >.git/hooks/post-checkout && chmod +x .git/hooks/post-checkout""")
shell("a bare repository", "git init -q --bare bare.git && git push -q bare.git HEAD:refs/heads/x")
shell("a nested repository staged as a submodule", "git init -q nested && "
      "git -C nested commit -q --allow-empty -m one && "
      "git add nested 2>/dev/null")
shell("a .git that is no repository", "mkdir -p a/.git b && echo x >a/.git/x && "
      "echo 'gitdir: /nowhere' >b/.git && echo y >b/y")


@state("a nested worktree with a commit on no branch")
def nested_worktree(slot):
    slot.sh("git worktree add -q --detach wt && cd wt && echo mine >new && git add new && "
      "git commit -qm mine && echo more >>new")
    slot.keep_reachable(slot.sh("git -C wt rev-parse HEAD").strip())
    slot.finally_(lambda: slot.sh("rm -rf $STORE/worktrees/wt"))


SUBMODULE = "git submodule --quiet update --init && cd vendor/inner && "
shell("a submodule, as it should be", SUBMODULE + "true", CLEAN)
shell("a submodule with a change", SUBMODULE + "echo mine >inner.txt && echo x >new")
shell("a submodule with a commit", SUBMODULE + "echo mine >inner.txt && git commit -qam mine")
shell("a submodule with a commit that is staged", SUBMODULE + "echo mine >inner.txt && "
      "git commit -qam mine && cd ../.. && "
      "git add vendor/inner")
shell("files where a submodule belongs", "echo mine >vendor/inner/x")
shell("a submodule's directory deleted", "rm -r vendor")
