"""Objects whose content is not what git writes: each message id of git fsck at least once."""

from support.damages import by, damage
from support.forge import tree

WHO = "A U Thor <author@example.org> 1700000000 +0000"


def commit(world, **lines):
    """The lines of a commit, with others in their place; None: without it."""
    parts = {"tree": "tree " + world.oid("HEAD^{tree}"), "parent": "parent " + world.oid("HEAD"),
             "author": "author " + WHO, "committer": "committer " + WHO, "end": "\nmessage\n"}
    parts.update(lines)
    return "\n".join(line for line in parts.values() if line is not None)


def put_commit(world, **lines):
    return world.put("commit", commit(world, **lines))


def put_tag(world, **lines):
    parts = {"object": "object " + world.oid("HEAD"), "type": "type commit", "tag": "tag other",
             "tagger": "tagger " + WHO,
             "end": "\nmessage\n"}
    parts.update(lines)
    world.put("tag", "\n".join(line for line in parts.values() if line is not None))


def in_commit(name, *ids, **lines):
    """An entry: a commit with such lines, which nothing leads to."""
    options = {key: lines.pop(key) for key in ("quiet", "blind") if key in lines}
    by(lambda world: put_commit(world, **lines), "commit: " + name, *ids, **options)


def author(name, ident, *ids, **options):
    in_commit(name, *ids, author="author " + ident, **options)


# --- commits

in_commit("a NUL in the header", "nulInHeader", author="author A \0 B <a@example.org> 1700000000 +0000")
by(lambda world: world.put("commit", commit(world, end=None)), "commit: no end of the header", "unterminatedHeader")
in_commit("no tree", "missingTree", tree=None)
in_commit("a tree that is no name", "badTreeSha1", tree="tree not-the-name-of-a-tree-by-any-means-here1")
in_commit("a parent that is no name", "badParentSha1", parent="parent not-the-name-of-a-commit-by-any-means-he")
in_commit("a parent's name cut short", "badParentSha1", parent="parent 0123456789")
in_commit("no author", "missingAuthor", author=None)
in_commit("two authors", "multipleAuthors", author="author %s\nauthor %s" % (WHO, WHO))
in_commit("no committer", "missingCommitter", committer=None)
in_commit("a NUL in the message", "nulInCommit", end="\nmess\0age\n")
author("a name with >", "A > U <a@example.org> 1700000000 +0000", "badName")
author("no name", "<a@example.org> 1700000000 +0000", "missingNameBeforeEmail")
author("no mail", "A U 1700000000 +0000", "missingEmail")
author("no space before the mail", "A U<a@example.org> 1700000000 +0000", "missingSpaceBeforeEmail")
author("a mail with <", "A U <a<example.org> 1700000000 +0000", "badEmail")
author("no space before the date", "A U <a@example.org>1700000000 +0000", "missingSpaceBeforeDate")
author("a date with a zero before it", "A U <a@example.org> 01700000000 +0000", "zeroPaddedDate")
author("a date that is too large", "A U <a@example.org> 18446744073709551615 +0000", "badDateOverflow")
author("a date of letters", "A U <a@example.org> yesterday +0000", "badDate")
author("a timezone without a sign", "A U <a@example.org> 1700000000 0000", "badTimezone")
author("a timezone of five digits", "A U <a@example.org> 1700000000 +00000", "badTimezone")
in_commit("the date of the committer", "badDate", committer="committer A U <a@example.org> now +0000")
in_commit("empty", "unterminatedHeader", **{key: None for key in ("tree", "parent", "author", "committer", "end")})
in_commit("an encoding that nobody knows", author="author %s" % WHO, committer="committer %s\nencoding x-none" % WHO,
          quiet=True)


@damage("commit: a fault in one that is packed", "missingEmail")
def _(world):
    world.set_ref("refs/heads/faulty", put_commit(world, author="author A U 1700000000 +0000"))
    world.git("repack", "-adq")


# --- tags

def in_tag(name, *ids, **lines):
    options = {key: lines.pop(key) for key in ("quiet", "blind") if key in lines}
    by(lambda world: put_tag(world, **lines), "tag: " + name, *ids, **options)


in_tag("no object", "missingObject", object=None)
in_tag("an object that is no name", "badObjectSha1", object="object not-the-name-of-an-object-by-any-means-her")
in_tag("no type", "missingTypeEntry", type=None)
in_tag("a type line that ends nowhere", "unterminatedHeader", type="type commit", tag=None, tagger=None, end=None)
in_tag("a type that there is not", "badType", type="type comet")
in_tag("no tag line", "missingTagEntry", tag=None)
in_tag("a tag line that ends nowhere", "unterminatedHeader", tag="tag other", tagger=None, end=None)
in_tag("a name that no ref may have", "badTagName", tag="tag bad..name", quiet=True)
in_tag("no tagger", "missingTaggerEntry", tagger=None, quiet=True)
in_tag("a tagger without a mail", "missingEmail", tagger="tagger A U 1700000000 +0000")
in_tag("a NUL in the header", "nulInHeader", tagger="tagger A \0 U <a@example.org> 1700000000 +0000")
in_tag("an unknown line in the header", tagger="tagger %s\nextra line" % WHO, quiet=True)


# --- trees

def in_tree(name, entries, *ids, **options):
    """entries(world, blob): of forge.tree()."""
    def make(world):
        world.put("tree", tree(*entries(world, world.put("blob", "a blob\n"))))
    by(make, "tree: " + name, *ids, **options)


def named(name, entry, *ids, mode="100644", **options):
    in_tree(name, lambda world, blob: [(mode, entry, blob)], *ids, **options)


in_tree("not sorted", lambda world, blob: [("100644", "b", blob), ("100644", "a", blob)], "treeNotSorted")
in_tree("a directory sorted as a file", lambda world, blob: [
    ("40000", "a", world.put("tree", "")), ("100644", "a.b", blob)], "treeNotSorted")
in_tree("the same name twice", lambda world, blob: [("100644", "a", blob), ("100644", "a", blob)], "duplicateEntries")
in_tree("a file and a directory of one name", lambda world, blob: [
    ("100644", "a", blob), ("100644", "a.b", blob), ("40000", "a", world.put("tree", ""))], "duplicateEntries")
named("a mode with a zero before it", "a", "zeroPaddedFilemode", mode="0100644")
named("a mode that there is not", "a", "badFilemode", mode="100600", quiet=True)
in_tree("a null name of an object", lambda world, blob: [("100644", "a", "0" * 40)], "nullSha1")
named("an empty name", "", "badTree")
named("a name with a slash", "a/b", "fullPathname")
named("a dot", ".", "hasDot")
named("two dots", "..", "hasDotdot")
named(".git", ".git", "hasDotgit")
named(".GIT", ".GiT", "hasDotgit")
named(".git as a directory", ".git", "hasDotgit", mode="100755")
named("git~1 as NTFS has it", "git~1", "hasDotgit")
named(".git with spaces and dots behind, as NTFS takes it", ".git. . ", "hasDotgit")
named(".git:: as NTFS takes it", ".git::$INDEX_ALLOCATION", "hasDotgit")
named(".git with an ignorable character, as HFS takes it", ".g\u200cit".encode(), "hasDotgit")
named(".git with a backslash behind, as NTFS takes it", ".git\\config", "hasDotgit")
named(".gitmodules as a link", ".gitmodules", "gitmodulesSymlink", mode="120000")
named(".gitmodules as a link, as NTFS has it", "gitmod~1", "gitmodulesSymlink", mode="120000")
named(".gitmodules as a link, as HFS has it", ".gitm\u200codules".encode(), "gitmodulesSymlink", mode="120000")
named(".gitattributes as a link", ".gitattributes", "gitattributesSymlink", mode="120000", quiet=True)
named(".gitignore as a link", ".gitignore", "gitignoreSymlink", mode="120000", quiet=True)
named(".mailmap as a link", ".mailmap", "mailmapSymlink", mode="120000", quiet=True)
by(lambda world: world.put("tree", tree(("100644", "a", world.put("blob", "x")))[:-3]), "tree: cut short", "badTree")
by(lambda world: world.put("tree", b"100644 without a NUL"), "tree: an entry without an end", "badTree")
by(lambda world: world.put("tree", b"10x644 a\0" + bytes(range(20))), "tree: a mode of letters", "badTree")
by(lambda world: world.put("tree", b" a\0" + bytes(range(20))), "tree: no mode", "badTree")
named("a name of 5,000 bytes", "x" * 5000, quiet=True)


# --- .gitmodules and .gitattributes

def special(file, name, content, *ids, **options):
    """A tree with such a file."""
    def make(world):
        world.put("tree", tree(("100644", file, world.put("blob", content))))
    by(make, "%s: %s" % (file, name), *ids, **options)


def module(name, content, *ids, **options):
    special(".gitmodules", name, content, *ids, **options)


module("a name that leads out", '[submodule "../evil"]\n\tpath = a\n\turl = ./a\n', "gitmodulesName")
module("a name that leads out in the middle", '[submodule "a/../../b"]\n\tpath = a\n\turl = ./a\n', "gitmodulesName")
module("a url that is an option", '[submodule "a"]\n\tpath = a\n\turl = -u./payload\n', "gitmodulesUrl")
module("a relative url with a newline", '[submodule "a"]\n\tpath = a\n\turl = "./%0ahost=example.org"\n',
       "gitmodulesUrl")
module("an url with a newline", '[submodule "a"]\n\tpath = a\n\turl = "https://example.org/%0ahost=evil"\n',
       "gitmodulesUrl")
module("an url without a host", '[submodule "a"]\n\tpath = a\n\turl = https:///path\n', "gitmodulesUrl")
module("an url that leads up to another host", '[submodule "a"]\n\tpath = a\n\turl = "./../../../:host/%0apath"\n',
       "gitmodulesUrl")
module("a path that is an option", '[submodule "a"]\n\tpath = -x\n\turl = ./a\n', "gitmodulesPath")
module("an update that is a command", '[submodule "a"]\n\tpath = a\n\turl = ./a\n\tupdate = !touch x\n',
       "gitmodulesUpdate")
module("does not parse", "[submodule \"a\n", "gitmodulesParse", quiet=True)
in_tree(".gitmodules is not there", lambda world, blob: [("100644", ".gitmodules", "1234567890" * 4)],
        "gitmodulesMissing")
in_tree(".gitmodules is a commit", lambda world, blob: [("100644", ".gitmodules", world.oid("HEAD"))], "gitmodulesBlob")
special(".gitattributes", "a line that is too long", "*.c " + "x" * 3000 + "\n", "gitattributesLineLength")
special(".gitattributes", "too large", b"#\n" * (51 << 20), "gitattributesLarge", once=True, slow=True)
module("too large", b"#\n" * (257 << 20), "gitmodulesLarge", once=True, slow=True)
in_tree(".gitattributes is not there", lambda world, blob: [("100644", ".gitattributes", "1234567890" * 4)],
        "gitattributesMissing")
in_tree(".gitattributes is a commit", lambda world, blob: [("100644", ".gitattributes", world.oid("HEAD"))],
        "gitattributesBlob")


# --- settings

def with_setting(setting, make, name, *ids, **options):
    def both(world):
        world.git("config", *setting)
        make(world)
    by(both, "settings: " + name, *ids, **options)


def no_mail(world):
    put_commit(world, author="author A U 1700000000 +0000")


def skipped(world):
    oid = put_commit(world, author="author A U 1700000000 +0000")
    world.write("skip", "# a comment\n%s\n" % oid)
    world.git("config", "fsck.skipList", world.path("skip"))


with_setting(("fsck.missingEmail", "ignore"), no_mail, "an id that is ignored", quiet=True)
with_setting(("fsck.missingEmail", "warn"), no_mail, "an id that is made a warning", "missingEmail", quiet=True)
with_setting(("fsck.missingTaggerEntry", "error"), lambda world: put_tag(world, tagger=None),
             "an id that is made an error",
             "missingTaggerEntry")
with_setting(("fsck.extraHeaderEntry", "error"), lambda world: put_tag(world, tagger="tagger %s\nextra line" % WHO),
             "an ignored id that is made an error", "extraHeaderEntry")
by(skipped, "settings: an object that is skipped", quiet=True)
with_setting(("fsck.noSuchId", "error"), lambda world: None, "an id that there is not", "bad-config")
with_setting(("fsck.skipList", "/nonexistent/list"), lambda world: None, "a skip list that is not there", "bad-config")
