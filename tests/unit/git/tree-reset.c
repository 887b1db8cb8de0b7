#include "git/tree.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "git/ignore.h"
#include "changes.h"
#include "tree-fixture.h"

static void init(void)
{
	fixture_init();
	cr_assert(sh("git init -q -b main r && mkdir victim && echo safe > victim/f && "
		     "echo safe > victim/g"));
	commit_made_by("echo a > a; mkdir -p d/e b; echo f > d/f; echo g > d/e/g; ln -s a l; "
		       "echo x > b/x; chmod +x b/x; printf '*.o\\nbuild/\\n' > .gitignore");
	slot_open();
	cr_assert_eq(create_at("HEAD"), 0, "%s", slot_fault.text);
}

static void deinit(void)
{
	slot_close();
	fixture_deinit();
}

TestSuite(tree_reset, .init = init, .fini = deinit, .timeout = 120);

Test(tree_reset, makes_anything_clean_and_leaves_the_rest_of_the_world_alone)
{
	char *head = sh_text("git -C r rev-parse HEAD");

	for (size_t i = 0; changes[i]; i++) {
		cr_assert(sh("cd s && { %s; }", changes[i]), "%s", changes[i]);
		cr_assert_eq(reset_to(head, false), 0, "%s: %s", changes[i], slot_fault.text);
		assert_victim_is_safe(changes[i]);
		changes_forget_settings();
		cr_assert_str_eq(sweep_text(head, true), "", "%s", changes[i]);
		assert_slot_is_clean_at(head);
	}
}

/* for whoever would sweep it only to find the same again */
Test(tree_reset, tells_that_it_left_all_as_it_was)
{
	struct tree_reset_options keep_ignored = { .threads = 2 };
	struct tree_stats stats = { 0 };
	git_oid commit;

	cr_assert_eq(git_oid_fromstr(&commit, sh_text("git -C r rev-parse HEAD")), 0);
	cr_assert(sh("touch s/n.o; mkdir s/build; touch s/build/x"));
	cr_assert_eq(tree_reset(&slot, &commit, &keep_ignored, &stats, &slot_fault), 0, "%s", slot_fault.text);
	cr_expect(stats.untouched);
	cr_expect_str_eq(sh_text("du -s --block-size=1 s | cut -f1"),
			 sh_text("echo %llu", (unsigned long long)stats.disk_bytes));
	for (size_t i = 0; changes[i]; i++) {
		cr_assert(sh("cd s && { %s; }", changes[i]), "%s", changes[i]);
		cr_assert_eq(tree_reset(&slot, &commit, &keep_ignored, &stats, &slot_fault), 0, "%s: %s", changes[i],
			     slot_fault.text);
		changes_forget_settings();
		if (stats.untouched)
			cr_expect_str_eq(sweep_text("HEAD", false), "", "%s", changes[i]);
		cr_assert_eq(reset_to("HEAD", false), 0);
	}
	cr_assert(sh("echo b > s/a"));
	cr_assert_eq(tree_reset(&slot, &commit, &keep_ignored, &stats, &slot_fault), 0);
	cr_expect(not(stats.untouched));
}

static const struct {
	const char *change;
	const char *kept; /* what find lists of the kept names afterwards */
} ignored[] = {
	{ "touch n.o d/n.o n", "./d/n.o\n./n.o" },
	{ "mkdir -p build/x; touch build/x/y n", "./build\n./build/x\n./build/x/y" },
	{ "mkdir n; touch n/a n/b.o", "./n\n./n/b.o" },
	{ "git init -q build/n; rm -rf build/n/.git/*; touch build/n/x",
	  "./build\n./build/n\n./build/n/.git\n./build/n/x" },
	{ "rm -r d; mkdir d; touch d/x.o", "./d/x.o" },
	{ "rm a; mkdir a; touch a/x.o", "" },
	{ "echo x > new.o; git add -f new.o", "" },
	{ "mkdir -p n/build; touch n/build/x n/c", "./n\n./n/build\n./n/build/x" },
	{ "mkdir build; touch build/x; chmod 555 build", "./build\n./build/x" },
};

Test(tree_reset, keeps_what_is_ignored_if_asked_to)
{
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) {
		cr_assert_eq(reset_to("HEAD", false), 0, "%s", slot_fault.text);
		cr_assert(sh("cd s && find . -mindepth 1 -path ./.git -prune -o -print | sort > "
			     "../before"));
		cr_assert(sh("cd s && { %s; }", ignored[i].change));
		cr_assert_eq(reset_to("HEAD", true), 0, "%s: %s", ignored[i].change,
			     slot_fault.text);
		cr_assert_str_eq(
			sh_text("cd s && find . -mindepth 1 -path ./.git -prune -o -print | "
				"sort | comm -13 ../before -"),
			ignored[i].kept, "%s", ignored[i].change);
		cr_assert_str_eq(sh_text("git -C s status --porcelain"), "", "%s",
				 ignored[i].change);
		cr_assert_str_eq(sh_text("git -C s clean -nd"), "", "%s", ignored[i].change);
	}
}

static const struct {
	const char *keep, *wipe; /* patterns, divided by spaces */
	bool wipe_ignored;
	const char *change;
	const char *untracked; /* what a sweep finds before */
	const char *kept;      /* what find lists of the new names afterwards */
} policies[] = {
	{ "*.cache", NULL, false, "touch a.cache b.tmp", "untracked b.tmp\n", "./a.cache" },
	{ "/keep/", NULL, false, "mkdir -p keep/d n/keep; touch keep/d/x n/keep/x",
	  "untracked n/\n", "./keep\n./keep/d\n./keep/d/x" },
	{ "n/keep", NULL, false, "mkdir -p n/keep; touch n/keep/x n/y", "untracked n/y\n",
	  "./n\n./n/keep\n./n/keep/x" },
	{ "d/", NULL, false, "touch d/new d/e/new; echo x > d/f", "modified d/f\n",
	  "./d/e/new\n./d/new" },
	{ "a", NULL, false, "rm a; mkdir a; touch a/x", "deleted a\nuntracked a/\n", "" },
	{ "repo/", NULL, false, "git init -q repo; rm -rf repo/.git/*", "",
	  "./repo\n./repo/.git" },
	{ NULL, "x.o", false, "touch x.o y.o d/x.o", "untracked d/x.o\nuntracked x.o\n", "./y.o" },
	{ NULL, "*.pem", false, "mkdir -p build/d; touch build/x build/d/a.pem b.pem",
	  "untracked b.pem\nuntracked build/d/a.pem\n", "./build\n./build/x" },
	{ NULL, "build/secret/", false, "mkdir -p build/secret/d; touch build/secret/d/x build/y",
	  "untracked build/secret/\n", "./build\n./build/y" },
	{ NULL, "build", false, "mkdir build; touch build/x; chmod 500 build",
	  "untracked build/\n", "" },
	{ NULL, "config", false,
	  "git init -q build/r; (cd build/r && rm -r .git/[!c]* && touch config)",
	  "untracked build/r/config\n",
	  "./build\n./build/r\n./build/r/.git\n./build/r/.git/config" },
	{ "keep/", "*.pem *.o", false, "mkdir keep; touch keep/a.pem keep/b.o keep/c",
	  "untracked keep/a.pem\nuntracked keep/b.o\n", "./keep\n./keep/c" },
	{ "x", "x", false, "touch x", "untracked x\n", "" },
	{ NULL, "*.pem !good.pem", false, "mkdir build; touch build/good.pem build/bad.pem",
	  "untracked build/bad.pem\n", "./build\n./build/good.pem" },
	{ NULL, "*.key", false,
	  "d=build; mkdir $d; for i in $(seq 150); do d=$d/d; mkdir $d; done; touch $d/deep.key",
	  NULL, NULL },
	{ "k", NULL, true, "mkdir build; touch build/x n.o k", "untracked build/\nuntracked k\n"
							      "untracked n.o\n", "" },
};

static struct ignore *patterns(const char *text)
{
	char *copy = strdup(text ? text : ""), *save = NULL;
	struct ignore *ret = NULL;
	const char *lines[8];
	size_t n = 0;

	for (char *p = strtok_r(copy, " ", &save); p; p = strtok_r(NULL, " ", &save))
		lines[n++] = p;
	cr_assert_eq(ignore_from_lines(lines, n, &ret), 0);
	free(copy);
	return ret;
}

#define NAMES "cd s && find . -mindepth 1 -path ./.git -prune -o -print | sort"

Test(tree_reset, keeps_and_removes_what_the_policy_says)
{
	cr_assert(sh(NAMES " > ../before"));
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		struct ignore *keep = patterns(policies[i].keep), *wipe = patterns(policies[i].wipe);
		struct tree_reset_options options = {
			.policy = { .wipe_ignored = policies[i].wipe_ignored,
				    .keep = keep,
				    .wipe = wipe },
			.threads = 2,
		};
		git_oid head = commit_of("HEAD");
		struct tree_stats stats;
		const char *change = policies[i].change;

		cr_assert(sh("cd s && { %s; }", change));
		if (policies[i].untracked)
			cr_expect_str_eq(sweep_by("HEAD", &options.policy), policies[i].untracked,
					 "%s: %s", change, sweep_by("HEAD", &options.policy));
		cr_assert_eq(tree_reset(&slot, &head, &options, &stats, &slot_fault), 0, "%s: %s",
			     change, slot_fault.text);
		cr_expect_str_eq(sweep_by("HEAD", &options.policy), "", "%s", change);
		if (policies[i].kept)
			cr_expect_str_eq(sh_text(NAMES " | comm -13 ../before -"), policies[i].kept,
					 "%s: %s", change,
					 sh_text(NAMES " | comm -13 ../before -"));
		cr_expect(sh("cd s && ! find . -name '*.key' -o -name '*.pem' ! -name good.pem | "
			     "grep ."));
		ignore_free(keep);
		ignore_free(wipe);
		cr_assert_eq(reset_to("HEAD", false), 0, "%s", slot_fault.text);
		assert_slot_is_clean_at("HEAD");
	}
}

Test(tree_reset, goes_to_another_commit)
{
	commit_made_by("rm -r d l; mkdir -p l/m; echo x > l/m/x; echo d > d; echo more >> a");
	cr_assert_eq(reset_to("HEAD", false), 0, "%s", slot_fault.text);
	assert_slot_is_clean_at("HEAD");
	cr_assert_eq(reset_to("HEAD~1", false), 0, "%s", slot_fault.text);
	assert_slot_is_clean_at("HEAD~1");
}

Test(tree_reset, changes_nothing_when_a_blob_is_missing)
{
	commit_made_by("echo precious > p; rm a");
	cr_assert(sh(
		"cd r && o=$(git rev-parse HEAD:p) && rm -f .git/objects/${o%%${o#??}}/${o#??}"));
	cr_assert(sh("touch s/untracked"));
	cr_assert_eq(reset_to("HEAD", false), -EUCLEAN);
	cr_assert_neq(strstr(slot_fault.text, "(p)"), NULL, "%s", slot_fault.text);
	cr_assert_str_eq(sweep_text("HEAD~1", true), "untracked untracked\n");
}
