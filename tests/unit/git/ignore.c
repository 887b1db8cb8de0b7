#include "git/ignore.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tree-fixture.h"
#include "util/text.h"

static void init(void)
{
	fixture_init();
	cr_assert(sh("git init -q -b main r"));
}

TestSuite(ignore, .init = init, .fini = fixture_deinit, .timeout = 120);

Test(ignore, lines_are_as_those_of_a_file)
{
	static const char *const lines[] = { "*.pem", "# no", "", "/cache/", "!x.pem", "a/b " };
	struct ignore *ignore = NULL;

	cr_assert_eq(ignore_from_lines(NULL, 0, &ignore), 0);
	cr_expect_null(ignore);
	cr_assert_eq(ignore_from_lines(lines, sizeof(lines) / sizeof(lines[0]), &ignore), 0);
	cr_expect(ignore_is_ignored(ignore, "d/y.pem", false));
	cr_expect_not(ignore_is_ignored(ignore, "d/x.pem", false));
	cr_expect(ignore_is_ignored(ignore, "cache/d/e", false));
	cr_expect_not(ignore_is_ignored(ignore, "d/cache/e", false));
	cr_expect(ignore_is_ignored(ignore, "a/b", false));
	cr_expect_not(ignore_is_ignored(ignore, "no", false));
	ignore_free(ignore);
}

/* lines for .gitignore, and names to be judged: those that end in "/" are made as directories */
static const struct {
	const char *rules;
	const char *names;
} table[] = {
	{ "foo", "foo c/foo foobar a/b/foo Foo" },
	{ "foo/", "foo/ a/foo/ b/foo" },
	{ "/foo", "foo a/foo foox" },
	{ "a/foo", "a/foo b/a/foo foo" },
	{ "/a/foo/", "a/foo/ b/a/foo/ c/foo" },
	{ "a/foo/", "a/foo/x b/a/foo/x" },
	{ "*.o", "x.o a/x.o .o x.oo x.o.c o" },
	{ "/*.o", "x.o a/x.o" },
	{ "a/*.o", "a/x.o a/b/x.o x.o" },
	{ "a/*/c", "a/b/c a/b/b/c a/c" },
	{ "**/foo", "foo a/foo a/b/foo afoo" },
	{ "a/**", "a/x a/b/x a/b/ b/a/x" },
	{ "a/**/b", "a/b a/x/b a/x/y/b a/xb ab" },
	{ "**/a/**", "a/x b/a/x c/a" },
	{ "a**b", "ab axb a/b axxxb axx/b" },
	{ "foo**", "q/foo foox fo a/foobar foo/" },
	{ "foo**/bar", "foo/bar foox/bar foo/x/bar foobar" },
	{ "a/foo**", "a/foo zz/a/foox a/foox/y" },
	{ "x/**y", "x/y x/ay x/a/y" },
	{ "**", "q/a a/b .x" },
	{ "***", "q/a a/b" },
	{ "/**", "q/a a/b" },
	{ "**/", "q/a a/b c/d/" },
	{ "*", "q/a .b a/b" },
	{ "*/", "a b/ b/c" },
	{ "a/*", "zz/a/b a/b/c b" },
	{ "!foo", "foo" },
	{ "*.o\n!x.o", "x.o y.o a/x.o" },
	{ "!x.o\n*.o", "x.o y.o" },
	{ "build/\n!build/keep", "build/keep build/x" },
	{ "build/*\n!build/keep", "build/keep build/x" },
	{ "/*\n!/a\n/a/*\n!/a/b", "x a/x zz/a/b a/b/c" },
	{ "foo\n!foo/", "foo/ a/foo" },
	{ "\\#x", "#x x" },
	{ "#x", "#x x" },
	{ "\\!x", "!x x" },
	{ "a\\*b", "a*b axb" },
	{ "a\\?b", "a?b axb" },
	{ "a\\b", "ab" },
	{ "a\\\\b", "a\\b ab" },
	{ "x\\", "x x\\" },
	{ "foo ", "foo" },
	{ "foo\\ ", "foo" },
	{ "foo \\ ", "foo" },
	{ "foo\\\\ ", "foo\\ foo" },
	{ "foo\t", "foo" },
	{ " foo", "foo" },
	{ "foo\r", "foo" },
	{ "foo\r\nbar\r", "foo bar" },
	{ "\n\n \nfoo", "foo x" },
	{ "a?c", "abc ac abbc a/c" },
	{ "a?c/d", "abc/d a/c/d" },
	{ "a[bc]d", "abd acd add a[bc]d" },
	{ "a[!bc]d", "abd add a/d" },
	{ "a[^bc]d", "abd add" },
	{ "a[b-d]e", "abe ace ade aee" },
	{ "a[b-]e", "abe a-e ace" },
	{ "a[-b]e", "a-e abe" },
	{ "a[]b]c", "a]c abc" },
	{ "a[]-a]c", "a]c a^c a`c aac abc" },
	{ "a[!]b]c", "a]c axc" },
	{ "a[b", "a[b ab" },
	{ "a[", "a[" },
	{ "a[\\]]b", "a]b" },
	{ "a[\\b]c", "abc a\\c" },
	{ "a[a-\\z]c", "abc azc a-c" },
	{ "[[:alpha:]]x", "ax 1x _x" },
	{ "[[:digit:][:upper:]]x", "1x Ax ax" },
	{ "[[:nope:]]x", "nx d/:x ax" },
	{ "[[:x]y", "xy d/:y [y" },
	{ "[[:digit:]-z]x", "1x -x zx yx" },
	{ "x[/]y", "x/y" },
	{ "x[^a]y/z", "xby/z" },
	{ "*a*a*a*b", "aaab aaaaaaaaaaaaaaaaaaaaaaaaaa xaxaxaxb" },
	{ "a*/b*c", "ax/bxc ax/y/bc a/bc" },
	{ "*/x", "a/x a/b/x x" },
	{ "*x*/y", "axb/y ax/b/y" },
	{ "foo/bar/**/baz/*.txt", "foo/bar/baz/a.txt foo/bar/q/baz/a.txt foo/baz/a.txt" },
	{ "foo//", "foo/" },
	{ "foo//bar", "foo/bar" },
	{ "/", "a" },
	{ "//a", "a" },
	{ "./a", "a" },
	{ "a/./b", "a/b" },
	{ "a/../b", "b" },
	{ ".*", ".a a .b/c" },
	{ "\xef\xbb\xbf"
	  "foo",
	  "foo" },
	{ "\xff", "\xff a/\xff" },
	{ "*\xff*", "a\xff"
		    "b" },
	{ "a/\\*", "a/* a/b" },
	{ "?", "a ab \xc3\xa4" },
	{ "a/b/", "a/bc/ a/b/ a/b/c" },
	{ "dir/file", "dir/file dir/filex" },
	{ "*.", "a. a" },
	{ "[a-c]*/", "a/ bx/ c d/" },
	{ "a*b/**/c*d", "zz/ab/cd axb/x/y/cxd axb/cxyd ab/cd/e" },
};

/* makes the names in r so that git sees what they are; NUL-terminated list in "names" */
static void make_names(const char *names)
{
	char *copy = fixture_keep(strdup(names)), *save = NULL;
	FILE *list = fopen(in_dir("names"), "w");

	cr_assert(sh("cd r && find . -mindepth 1 -maxdepth 1 ! -name .git -exec rm -rf {} +"));
	for (char *name = strtok_r(copy, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
		size_t len = strlen(name);
		bool is_dir = name[len - 1] == '/';

		setenv("name", name, 1);
		cr_assert(sh("cd r && mkdir -p -- \"$(dirname -- \"$name\")\""));
		cr_assert(is_dir ? sh("cd r && mkdir -p -- \"$name\"")
				 : sh("cd r && : > \"$name\""));
		if (is_dir)
			name[len - 1] = '\0';
		fwrite(name, 1, strlen(name) + 1, list);
	}
	fclose(list);
}

static struct ignore *load_of_head(struct tree_list *list)
{
	struct ignore *ignore = NULL;
	struct repo *repo = NULL;
	struct fault f = FAULT_NONE;
	git_oid commit = commit_of("HEAD");

	cr_assert_eq(repo_open(in_dir("r/.git"), &repo, &f), 0, "%s", f.text);
	cr_assert_eq(tree_list_load(repo, &commit, list, &f), 0, "%s", f.text);
	cr_assert_eq(ignore_load(repo, list, &ignore, &f), 0, "%s", f.text);
	repo_close(repo);
	return ignore;
}

static bool name_is_dir(const char *name)
{
	setenv("name", name, 1);
	return sh("test -d \"r/$name\"");
}

/* every name that git ignores is ignored here, and no other */
static int compare_with_git(const struct ignore *ignore, const char *rules)
{
	char *ignored = sh_text("cd r && git check-ignore --no-index -z --stdin < ../names | "
				"tr '\\0' '\\n'");
	FILE *names = fopen(in_dir("names"), "r");
	char name[512];
	size_t n = 0;
	int c, rows = 0;

	while ((c = fgetc(names)) != EOF) {
		char *line;
		bool by_git;

		name[n++] = (char)c;
		if (c != '\0')
			continue;
		n = 0;
		rows++;
		line = fixture_keep(text_printf("\n%s\n", name));
		by_git = strstr(fixture_keep(text_printf("\n%s\n", ignored)), line) != NULL;
		cr_expect_eq(ignore_is_ignored(ignore, name, name_is_dir(name)), by_git,
			     "rules \"%s\", name \"%s\": git says %d", rules, name, by_git);
	}
	fclose(names);
	return rows;
}

Test(ignore, agrees_with_git_on_every_row)
{
	int rows = 0;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct tree_list list = { 0 };
		struct ignore *ignore;
		FILE *file;

		make_names(table[i].names);
		file = fopen(in_dir("r/.gitignore"), "w");
		fputs(table[i].rules, file);
		fclose(file);
		cr_assert(sh("cd r && git add -f .gitignore && git commit -q --allow-empty -m x"));
		ignore = load_of_head(&list);
		rows += compare_with_git(ignore, table[i].rules);
		ignore_free(ignore);
		tree_list_deinit(&list);
	}
	cr_assert_geq(rows, 200);
}

/* shell that makes several .gitignore files, and info/exclude */
static const struct {
	const char *make;
	const char *names;
} nested[] = {
	{ "echo '*.o' > .gitignore; echo '!x.o' > a/.gitignore", "x.o a/x.o a/y.o a/b/x.o" },
	{ "echo '!x.o' > .gitignore; echo '*.o' > a/.gitignore", "x.o a/x.o a/b/x.o" },
	{ "echo '/x' > a/.gitignore", "x a/x a/b/x" },
	{ "echo 'b/x' > a/.gitignore", "a/b/x b/x a/c/b/x" },
	{ "echo 'b/' > a/.gitignore; echo '!x' > a/b/.gitignore", "a/b/x a/b/ b/x" },
	{ "echo '*' > a/.gitignore; echo '!.gitignore' >> a/.gitignore", "a/x a/b/x x" },
	{ "echo 'x' > a/b/.gitignore; echo '!x' > a/.gitignore", "a/x a/b/x" },
	{ "echo 'x' > a.b/.gitignore; echo '!x' > a/.gitignore", "a/x a.b/x" },
	{ "echo '*.e' > .git/info/exclude; echo '!k.e' > .gitignore", "x.e k.e a/k.e" },
	{ "echo '!k.e' > .git/info/exclude; echo '*.e' > .gitignore", "k.e" },
	{ "ln -s ../rules a/.gitignore; echo 'x' > rules", "a/x x" },
};

Test(ignore, agrees_with_git_on_several_files)
{
	for (size_t i = 0; i < sizeof(nested) / sizeof(nested[0]); i++) {
		struct tree_list list = { 0 };
		struct ignore *ignore;

		make_names(nested[i].names);
		cr_assert(sh("cd r && mkdir -p a/b a.b && : > .git/info/exclude && { %s; }",
			     nested[i].make));
		cr_assert(sh("cd r && git rm -rq --cached . ; "
			     "git add -f $(find . -name .gitignore) && git commit -qm x"));
		ignore = load_of_head(&list);
		compare_with_git(ignore, nested[i].make);
		ignore_free(ignore);
		tree_list_deinit(&list);
	}
}
