#include "git/convert.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tree-fixture.h"

static void init(void)
{
	fixture_init();
	cr_assert(sh(
		"git init -q -b main r && mkdir contents && cd contents && "
		"printf 'a\\nb\\n' > lf; printf 'a\\r\\nb\\r\\n' > crlf; "
		"printf 'a\\r\\nb\\nc\\r\\n' > mixed; printf 'a\\rb\\n' > lonecr; "
		"printf 'a\\n\\0b\\n' > nul; printf 'a\\r\\n\\0b\\n' > nulcrlf; : > empty; "
		"printf '\\n' > nl; printf '\\r\\n' > crnl; printf 'x' > none; "
		"printf 'x\\n\\032' > eof; printf '\\001\\002\\003\\n' > ctl; "
		"printf '\\r\\r\\n' > crcrlf; printf 'a\\n\\r\\n' > tail; "
		"printf '$Id$\\n$Id: x$ $Id:$ $Id:  $\\n$Id: a b $\\n$Idx$ $Id\\n$Id: \\n$' > id; "
		"printf '$Id$\\r\\n$Id: 0123 $\\r\\nx$Id' > idcrlf; printf '$Id$' > idend; "
		"printf '$Id: one two three $ $Id: one $\\n' > idforeign"));
}

static void deinit(void)
{
	slot_close();
	fixture_deinit();
}

TestSuite(convert, .init = init, .fini = deinit, .timeout = 300);

#define N_MACROS 4

static const char *const attributes[] = {
	"",
	"* text",
	"* -text",
	"* text=auto",
	"* text=input",
	"* text=nonsense",
	"* eol=crlf",
	"* eol=lf",
	"* text eol=crlf",
	"* text=auto eol=crlf",
	"* text=auto eol=lf",
	"* -text eol=crlf",
	"* !text eol=crlf",
	"* crlf",
	"* -crlf",
	"* crlf=input",
	"* crlf=auto",
	"* crlf -text",
	"* ident",
	"* ident eol=crlf",
	"* ident text=auto eol=crlf",
	"* binary",
	"* eol=crlf\n* binary",
	"* binary\n* eol=crlf",
	"l* eol=crlf\nlf -eol\n",
	"\"l\\146\" eol=crlf",
	"# * eol=crlf\n  lf   eol=crlf  ident\r\n",
	"!lf eol=crlf",
	"*/ eol=crlf",
	"/lf eol=crlf\nd/crlf eol=lf",
	"d/** eol=crlf",
	"d/* -text",
	"* filter=lfs diff=lfs merge=lfs -text",
	"[attr]dos text eol=crlf\n* dos\nid -dos",
	"[attr]dos text eol=crlf\n* dos\nid !eol",
	"[attr]a b\n[attr]b eol=crlf\n* a",
	"[attr]a eol=crlf\n[attr]a eol=lf\n* a",
};

/*
 * The contents as blobs, byte by byte whatever the attributes say, in a directory for each set of
 * rules: those that define macros are only heeded at the top, and come last.
 */
static void commit_contents(size_t from, size_t to, bool at_top)
{
	cr_assert(sh("rm -f r/.git/index info"));
	for (size_t i = from; i < to; i++) {
		char prefix[32] = "";
		FILE *file = fopen(in_dir("rules"), "w");

		if (!at_top)
			snprintf(prefix, sizeof(prefix), "s%zu/", i);
		fputs(attributes[i], file);
		fclose(file);
		cr_assert(sh("cd r && for f in ../contents/*; do "
			     "o=$(git hash-object -w --no-filters $f) && n=$(basename $f) && "
			     "printf '100644 %%s\\t%s%%s\\n100644 %%s\\t%sd/%%s\\n' $o $n $o $n; "
			     "done >> ../info && printf '100644 %%s\\t%s.gitattributes\\n' "
			     "$(git hash-object -w --no-filters ../rules) >> ../info",
			     prefix, prefix, prefix));
	}
	cr_assert(sh("cd r && git update-index --index-info < ../info && "
		     "git update-ref HEAD $(git commit-tree -m x $(git write-tree))"));
}

/* names that git calls modified, and those that the sweep does: they must be the same */
static void assert_same_changes(const char *config)
{
	/* other stat data, so that content decides */
	cr_assert(sh("find s -type f ! -name .git -exec touch -d '2001-01-01' {} +"));
	cr_assert(sh("git -C s status --porcelain | sed 's/^ M /modified /' | sort > by-git"));
	setenv("by_us", sweep_text("HEAD", false), 1);
	cr_expect(sh("printf '%%s' \"$by_us\" | sort | diff - by-git"), "%s", config);
}

static void compare_head(const char *config)
{
	cr_assert(sh("rm -rf w s && git -C r worktree prune && "
		     "git -C r worktree add -q --detach ../w HEAD"));
	slot_open();
	cr_assert_eq(create_at("HEAD"), 0, "%s", slot_fault.text);
	cr_expect(sh("diff -r -x .git w s"), "%s", config);
	assert_same_changes(config);
	slot_close();
}

static void compare_all(const char *config)
{
	size_t n = sizeof(attributes) / sizeof(attributes[0]);

	cr_assert(sh("cd r && %s", config));
	commit_contents(0, n - N_MACROS, false);
	compare_head(config);
	for (size_t i = n - N_MACROS; i < n; i++) {
		commit_contents(i, i + 1, true);
		compare_head(attributes[i]);
	}
}

#define DOES_WHAT_GIT_DOES(name, config)         \
	Test(convert, does_what_git_does_##name) \
	{                                        \
		compare_all(config);             \
	}

DOES_WHAT_GIT_DOES(by_default, "true")
DOES_WHAT_GIT_DOES(with_autocrlf, "git config core.autocrlf true")
DOES_WHAT_GIT_DOES(with_autocrlf_input, "git config core.autocrlf input")
DOES_WHAT_GIT_DOES(with_eol_crlf, "git config core.eol crlf")
DOES_WHAT_GIT_DOES(with_autocrlf_and_eol,
		   "git config core.autocrlf input; git config core.eol crlf")
DOES_WHAT_GIT_DOES(with_eol_lf, "git config core.autocrlf false; git config core.eol lf")

Test(convert, nested_attribute_files_and_info_attributes)
{
	commit_made_by(
		"mkdir -p a/b c; printf 'x\\ny\\n' | tee f a/f a/b/f c/f a/g > /dev/null; "
		"echo 'f eol=crlf' > .gitattributes; echo 'f -text' > a/.gitattributes; "
		"echo 'f text eol=crlf' > a/b/.gitattributes; echo '/f ident' > c/.gitattributes");
	slot_open();
	cr_assert_eq(create_at("HEAD"), 0, "%s", slot_fault.text);
	assert_slot_is_clean_at("HEAD");
	cr_assert(sh("mkdir -p r/.git/info && echo 'g eol=crlf' > r/.git/info/attributes && "
		     "echo 'a/f eol=crlf text' >> r/.git/info/attributes && rm s/f s/a/f s/a/g"));
	cr_assert_eq(reset_to("HEAD", false), 0, "%s", slot_fault.text);
	assert_slot_is_clean_at("HEAD");
	cr_assert_str_eq(sh_text("od -c s/a/f | head -1 | tr -d ' '"), "0000000x\\r\\ny\\r\\n");
}
