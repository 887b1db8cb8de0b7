#include "git/convert.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tree-fixture.h"

static void init(void)
{
	fixture_init();
	cr_assert(sh("git init -q -b main r && mkdir contents && cd contents && "
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
	"[attr]dos text eol=crlf\n* dos\nid -dos",
	"[attr]dos text eol=crlf\n* dos\nid !eol",
	"[attr]a b\n[attr]b eol=crlf\n* a",
	"l* eol=crlf\nlf -eol\n",
	"\"l\\146\" eol=crlf",
	"# * eol=crlf\n  lf   eol=crlf  ident\r\n",
	"!lf eol=crlf",
	"*/ eol=crlf",
	"/lf eol=crlf\nd/crlf eol=lf",
	"d/** eol=crlf",
	"d/* -text",
	"* filter=lfs diff=lfs merge=lfs -text",
};

/* the contents as blobs, byte by byte, whatever the attributes say */
static void commit_contents(const char *rules)
{
	FILE *file = fopen(in_dir("rules"), "w");

	fputs(rules, file);
	fclose(file);
	cr_assert(sh("cd r && rm -f .git/index && for f in ../contents/*; do "
		     "o=$(git hash-object -w --no-filters $f) && n=$(basename $f) && "
		     "printf '100644 %%s\\t%%s\\n100644 %%s\\td/%%s\\n' $o $n $o $n; done > ../info && "
		     "printf '100644 %%s\\t.gitattributes\\n' "
		     "$(git hash-object -w --no-filters ../rules) >> ../info && "
		     "git update-index --index-info < ../info && "
		     "git update-ref HEAD $(git commit-tree -m x $(git write-tree))"));
}

/* names that git calls modified, and those that the sweep does: they must be the same */
static void assert_same_changes(const char *rules, const char *config)
{
	char *by_git, *by_us;

	/* other stat data, so that content decides */
	cr_assert(sh("cd s && touch -d '2001-01-01' * d/*"));
	by_us = sweep_text("HEAD", false);
	by_git = sh_text("git -C s status --porcelain | sed 's/^ M /modified /'");
	cr_expect_eq(strncmp(by_us, by_git, strlen(by_git)), 0, "\"%s\", %s:\n%s\ngit:\n%s", rules,
		     config, by_us, by_git);
	cr_expect_leq(strlen(by_us), strlen(by_git) + 1, "\"%s\", %s:\n%s\ngit:\n%s", rules, config,
		      by_us, by_git);
}

static void compare_one(const char *rules, const char *config)
{
	commit_contents(rules);
	cr_assert(sh("rm -rf w s && git -C r worktree prune && "
		     "git -C r worktree add -q --detach ../w HEAD"));
	slot_open();
	cr_assert_eq(create_at("HEAD"), 0, "%s", slot_fault.text);
	cr_expect(sh("diff -r -x .git w s"), "\"%s\", %s", rules, config);
	assert_same_changes(rules, config);
	slot_close();
}

#define DOES_WHAT_GIT_DOES(name, config)                                                  \
	Test(convert, does_what_git_does_##name)                                          \
	{                                                                                 \
		cr_assert(sh("cd r && %s", config));                                      \
		for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) \
			compare_one(attributes[i], config);                               \
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
	commit_made_by("mkdir -p a/b c; printf 'x\\ny\\n' | tee f a/f a/b/f c/f a/g > /dev/null; "
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
