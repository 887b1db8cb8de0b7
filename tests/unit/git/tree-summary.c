#include "git/tree-summary.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "git-fixture.h"
#include "util/clock.h"

static struct repo *repo;
static struct fault f;

static void init(void)
{
	fixture_init();
	cr_assert(sh("git init -q -b main r && git -C r config gc.auto 0"));
	cr_assert_eq(repo_open(in_dir("r/.git"), &repo, &f), 0, "%s", f.text);
}

static void deinit(void)
{
	repo_close(repo);
	fixture_deinit();
}

TestSuite(tree_summary, .init = init, .fini = deinit, .timeout = 300);

static git_oid oid_from(const char *hex)
{
	git_oid oid = { { 0 } };

	cr_assert_eq(git_oid_fromstr(&oid, hex), 0, "%s", hex);
	return oid;
}

/* commits what the shell makes in r, as a tag */
static void commit(const char *tag, const char *make)
{
	cr_assert(sh(
		"cd r && { %s\n} && git add -A && git commit -q --allow-empty -m x && git tag %s",
		make, tag));
}

static int summarise(const char *from, const char *to, unsigned max_lines, char **ret)
{
	git_oid a = from ? oid_from(sh_text("git -C r rev-parse '%s^{tree}'", from))
			 : (git_oid){ { 0 } };
	git_oid b =
		to ? oid_from(sh_text("git -C r rev-parse '%s^{tree}'", to)) : (git_oid){ { 0 } };
	struct text t = { 0 };
	int r = tree_summary(repo, from ? &a : NULL, &b, max_lines, &t, &f);

	*ret = fixture_keep(text_take(&t));
	return r;
}

static char *summary(const char *from, const char *to, unsigned max_lines)
{
	char *ret;

	cr_assert_eq(summarise(from, to, max_lines, &ret), 0, "%s", f.text);
	return ret;
}

/* every line, to the byte */
static void assert_as_git(const char *from, const char *to)
{
	char *ours = summary(from, to, 1000000);
	FILE *out = fopen(in_dir("ours"), "w");

	fputs(ours, out);
	fclose(out);
	cr_assert(sh("cd r && git -c core.quotePath=false diff --stat=80 --compact-summary "
		     "--no-renames %s %s > ../theirs && diff -u ../theirs ../ours",
		     from, to),
		  "%s", ours);
}

static void assert_both_ways(const char *from, const char *to)
{
	assert_as_git(from, to);
	assert_as_git(to, from);
}

Test(tree_summary, is_what_git_says)
{
	commit("one",
	       "mkdir -p src/deep && seq 100 > src/a && seq 40 > src/deep/b && echo x > gone && "
	       "echo '#!/bin/sh' > script && ln -s a link && : > empty && seq 5 > kind");
	commit("two",
	       "seq 3 90 > src/a && seq 41 > src/deep/b && rm gone && chmod +x script && "
	       "ln -sf b link && : > empty2 && rm kind && ln -s x kind && "
	       "printf 'no newline' > tail && seq 9 > exec && chmod +x exec && ln -s y newlink");
	assert_both_ways("one", "two");
}

Test(tree_summary, shows_binary_files_by_their_size)
{
	commit("one", "printf 'a\\0b' > same && printf 'a\\0b' > gone && printf '\\0' > mode && "
		      "echo a > t");
	commit("two", "printf 'a\\0bcd' > same && rm gone && chmod +x mode && head -c 100000 "
		      "/dev/zero > n "
		      "&& printf 'now\\0binary' > t && { head -c 8000 /dev/zero | tr '\\0' x; "
		      "printf '\\0'; } > late");
	assert_both_ways("one", "two");
	cr_assert(strstr(summary("one", "two", 99), " same           | Bin 3 -> 5 bytes\n"), "%s",
		  summary("one", "two", 99));
}

Test(tree_summary, scales_the_bars_and_shortens_the_names)
{
	commit("one",
	       "mkdir -p a/very/long/path/that/goes/on/and/on/and/does/not/end/before/the/line && "
	       "seq 3000 > big && seq 1 > small && seq 5 > "
	       "a/very/long/path/that/goes/on/and/on/and/does/not/end/before/the/line/file && "
	       "seq 5 > a_very_long_name_without_a_slash_that_goes_on_and_on_and_on_and_on_and_on");
	commit("two",
	       "seq 2000 5000 > big && seq 2 > small && printf 'x\\0' > bin && for f in $(find a* "
	       "-type f); do seq 3 77 > $f; done");
	assert_both_ways("one", "two");
	commit("three", "rm -r a*; seq 2 5001 > big; seq 123456 > huge");
	assert_both_ways("one", "three");
	assert_both_ways("two", "three");
}

Test(tree_summary, quotes_names_as_git_does)
{
	commit("one", "echo x > 'a b' && echo x > 'a\"b' && echo x > \"$(printf 'new\\nline')\" && "
		      "echo x > \"$(printf '\\303\\251t\\303\\251')\" && echo x > 'back\\slash'");
	commit("two", "for f in *; do echo y >> \"$f\"; done");
	assert_both_ways("one", "two");
}

Test(tree_summary, follows_files_that_become_directories)
{
	commit("one", "echo x > a && echo x > a-b && mkdir b && echo x > b/f && echo x > b0");
	commit("two", "rm -r a b && mkdir a && echo x > a/f && echo x > b && echo y > a-b");
	assert_both_ways("one", "two");
}

Test(tree_summary, counts_a_submodule_as_one_line)
{
	commit("one", "git update-index --add --cacheinfo 160000,$(printf %040d 1),sub && "
		      "git commit -qm x && git tag sub1 && "
		      "git update-index --add --cacheinfo 160000,$(printf %040d 2),sub && "
		      "git commit -qm x && git tag sub2");
	assert_both_ways("sub1", "sub2");
	assert_both_ways("one", "sub1");
}

Test(tree_summary, says_so_when_nothing_changed)
{
	commit("one", "echo x > a");
	cr_assert_str_eq(summary("one", "one", 10), " 0 files changed\n");
	cr_assert_str_eq(summary(NULL, NULL, 10), " 0 files changed\n");
}

Test(tree_summary, takes_nothing_for_the_empty_tree)
{
	commit("one", "seq 3 > a");
	cr_assert_str_eq(summary(NULL, "one", 10),
			 " a (new) | 3 +++\n 1 file changed, 3 insertions(+)\n");
	cr_assert_str_eq(summary("one", NULL, 10),
			 " a (gone) | 3 ---\n 1 file changed, 3 deletions(-)\n");
}

Test(tree_summary, is_as_short_as_is_asked_for)
{
	commit("one", "echo x > a");
	commit("two", "for i in $(seq 10 39); do echo $i > f$i; done");
	cr_assert_str_eq(summary("one", "two", 3), " f10 (new) | 1 +\n f11 (new) | 1 +\n"
						   " f12 (new) | 1 +\n ... and 27 files more\n"
						   " 30 files changed, 30 insertions(+)\n");
	cr_assert(strstr(summary("one", "two", 29), "\n ... and 1 file more\n"));
	cr_assert_null(strstr(summary("one", "two", 30), "more"));
	cr_assert_str_eq(summary("one", "two", 0), " 30 files changed, 30 insertions(+)\n");
}

Test(tree_summary, is_appended)
{
	struct text t = { 0 };

	text_add_string(&t, "before\n");
	cr_assert_eq(tree_summary(repo, NULL, NULL, 1, &t, &f), 0);
	cr_assert_str_eq(t.data, "before\n 0 files changed\n");
	text_deinit(&t);
}

/* random lines, with many of them the same: what a line diff finds difficult */
Test(tree_summary, random_edits_are_counted_as_git_counts_them)
{
	commit("one",
	       "mkdir d && for i in $(seq 60); do awk -v s=$i 'BEGIN { srand(s); n = rand() * 200; "
	       "for (j = 0; j < n; j++) print int(rand() * 20) }' > d/f$i; done");
	commit("two",
	       "for i in $(seq 60); do awk -v s=$i 'BEGIN { srand(s * 7) } { x = rand(); "
	       "if (x < 0.1) next; if (x < 0.2) print int(rand() * 20); print }' d/f$i > t && "
	       "mv t d/f$i; done");
	assert_both_ways("one", "two");
}

static uint64_t took_usec(const char *from, const char *to, char **ret)
{
	uint64_t start = clock_boot_usec();

	*ret = summary(from, to, 10);
	return clock_boot_usec() - start;
}

Test(tree_summary, a_large_file_is_not_loaded)
{
	char *text;

	commit("one", "head -c 8388608 /dev/zero | tr '\\0' '\\n' > limit && "
		      "head -c 8388609 /dev/zero | tr '\\0' '\\n' > over");
	text = summary(NULL, "one", 9);
	cr_assert(strstr(text, " limit (new) | 8388608 +"), "%s", text);
	cr_assert(strstr(text, " over (new)  |     Bin 0 -> 8388609 bytes\n"), "%s", text);
	/* broken behind its header: who does not load it does not see that */
	cr_assert(sh("cd r/.git/objects && o=$(git rev-parse one:over | sed 's,^..,&/,') && "
		     "chmod u+w $o && truncate -s 2000 $o"));
	cr_assert_str_eq(summary(NULL, "one", 9), text);
}

/* beyond the limit, lines count as replaced, without what is the same at both ends */
Test(tree_summary, a_difference_that_is_too_large_is_not_searched)
{
	char *text;

	commit("one", "seq 1000000 1300000 > a && seq 300000 > b && "
		      "{ seq 150000; echo a; } > c");
	commit("two", "sed -i '101~3d' a && sed -i '150000d' b && "
		      "{ seq 200001 350000; echo xa; } > c");
	took_usec("one", "two", &text);
	cr_assert(strstr(text, " b |      1 -\n"), "%s", text);
	cr_assert(strstr(text, " c | 300002 +"), "%s", text);
	cr_assert(strstr(text, " 3 files changed, 349933 insertions(+), 449901 deletions(-)\n"),
		  "%s", text);
}

Test(tree_summary, a_tree_without_end_is_counted_up_to_a_limit)
{
	char *text;

	cr_assert(sh("cd r && for i in $(seq 100 199); do "
		     "printf '160000 commit %%040d\\tf%%d\\n' 1 $i; done | git mktree > ../t && "
		     "for k in 1 2 3; do t=$(cat ../t) && for i in $(seq 100 199); do "
		     "printf '40000 tree %%s\\td%%d\\n' $t $i; done | git mktree > ../t; done && "
		     "git tag bomb $(git commit-tree -m x $(cat ../t))"));
	fprintf(stderr, "the bomb: %lu µs\n", (unsigned long)took_usec(NULL, "bomb", &text));
	cr_assert(strstr(text, "\n at least 19"), "%s", text);
}

Test(tree_summary, a_file_that_cannot_be_read_is_one_line)
{
	commit("one", "seq 3 > a && seq 4 > b && seq 5 > c");
	commit("two", "seq 5 > a && seq 6 > b && chmod +x c");
	cr_assert(sh(
		"cd r/.git/objects && rm -f $(git rev-parse one:a | sed 's,^..,&/,') && "
		"o=$(git rev-parse one:c | sed 's,^..,&/,') && chmod u+w $o && truncate -s 5 $o"));
	cr_assert_str_eq(summary("one", "two", 9),
			 " a           | Unreadable\n b           | 2 ++\n"
			 " c (mode +x) | Unreadable\n 3 files changed, 2 insertions(+)\n");
}

Test(tree_summary, a_damaged_tree_is_named)
{
	char *text;

	commit("one", "mkdir -p x/y && seq 3 > x/y/a");
	commit("two", "seq 4 > x/y/a");
	cr_assert(sh("cd r/.git/objects && rm -f $(git rev-parse two:x/y | sed 's,^..,&/,')"));
	cr_assert_eq(summarise("one", "two", 9, &text), -EUCLEAN);
	cr_assert_str_eq(text, "");
	cr_assert(strstr(f.text, "is missing from the store: x/y"), "%s", f.text);
	cr_assert(strstr(f.text, sh_text("git -C r rev-parse two:x/y 2> /dev/null")), "%s", f.text);
}
