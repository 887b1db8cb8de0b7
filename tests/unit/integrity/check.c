#include "integrity/check.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "git-fixture.h"
#include "git/repo.h"
#include "integrity/memo.h"
#include "util/clock.h"
#include "util/text.h"

#define DAY (24 * 3600 * USEC_PER_SEC)

static struct memo *memo;
static struct check_spec spec;
static struct check_result result;
static struct fault fault_text;

/* three packs, and loose objects */
static void init(void)
{
	fixture_init();
	cr_assert_eq(repo_global_init(&fault_text), 0);
	cr_assert(sh("git init -q -b main r && cd r && for i in 1 2 3; do mkdir -p d$i/e; for k in $(seq 40); do "
		     "seq $i $((k * 20)) > d$i/e/f$k; done; git add -A; git commit -q -m $i; git repack -q -d; done; "
		     "echo loose > loose; git add -A; git commit -q -m loose; git tag -a -m t t"));
	memo = memo_new();
	spec = (struct check_spec){ .common_dir = in_dir("r/.git"), .is_adopted = true, .depth = CHECK_PLAIN, .threads = 2,
				    .memo = memo, .now_usec = 1700000000 * USEC_PER_SEC };
}

static void deinit(void)
{
	memo_free(memo);
	fixture_deinit();
}

TestSuite(check, .init = init, .fini = deinit, .timeout = 120);

/* "<severity> <id> <path>" a line, errors and warnings alone */
static const char *check(void)
{
	static struct text text;
	struct findings *all = findings_new();
	int r = check_run(&spec, all, &result, &fault_text);

	text.len = 0;
	text_add_string(&text, "");
	cr_assert_eq(r, 0, "%d %s", r, fault_text.text);
	findings_sort(all);
	for (size_t i = 0; i < findings_kept(all); i++) {
		const struct finding *f = findings_at(all, i);

		if (f->severity != FINDING_INFO)
			text_addf(&text, "%s %s %s\n", f->id, f->path ? f->path : "-", f->slot ? f->slot : "-");
	}
	findings_free(all);
	return text.data;
}

Test(check, what_did_not_change_is_read_once)
{
	cr_expect_str_eq(check(), "");
	cr_expect(eq(u64, result.objects, strtoull(sh_text("git -C r cat-file --batch-all-objects --batch-check | wc -l"), NULL, 10)));
	cr_expect(eq(u64, result.packs, 3));
	cr_expect(eq(u64, result.objects_read, result.objects));
	cr_expect_str_eq(check(), "");
	cr_expect(eq(u64, result.objects_read, 0));
	cr_assert(sh("cd r && echo new > new && git add new && git commit -q -m new"));
	cr_expect_str_eq(check(), "");
	cr_expect(eq(u64, result.objects_read, 3));
	/* git does so when it would write what is there already */
	cr_assert(sh("touch r/.git/objects/pack/*.pack"));
	cr_expect_str_eq(check(), "");
	cr_expect(eq(u64, result.objects_read, 0));
	spec.depth = CHECK_FULL;
	check();
	cr_expect(eq(u64, result.objects_read, result.objects));
}

Test(check, everything_is_read_when_something_has_gone_away)
{
	char *pack = sh_text("cd r/.git/objects/pack; ls -S *.pack | tail -1");

	cr_expect_str_eq(check(), "");
	cr_assert(sh("cd r/.git/objects/pack && mkdir ../../aside && mv %.*s* ../../aside", (int)strlen(pack) - 5, pack));
	cr_expect_neq(strstr(check(), "missing-object"), NULL);
	cr_expect_gt(result.objects_read, 80);
	cr_assert(sh("mv r/.git/aside/* r/.git/objects/pack/"));
	cr_expect_str_eq(check(), "");
	/* a loose object, too */
	cr_assert(sh("cd r/.git && f=objects/$(git rev-parse main:loose | sed 's,..,&/,') && rm $f"));
	cr_expect_str_eq(check(), "missing-object refs/heads/main:loose -\n");
	cr_expect(eq(u64, result.objects_read, result.objects));
	cr_expect_str_eq(check(), "missing-object refs/heads/main:loose -\n");
}

Test(check, what_is_told_of_an_object_is_told_each_time)
{
	cr_assert(sh("cd r && t=$(printf '100644 blob %%s\\ta\\n100644 blob %%s\\tb\\n' $(git rev-parse main:loose main:loose) | git mktree) && "
		     "c=$(printf 'tree %%s\\nauthor A 1 +0000\\ncommitter C <c@d> 1 +0000\\n\\nm\\n' $t | "
		     "git hash-object -t commit -w --literally --stdin) && git update-ref refs/heads/odd $c && "
		     "git repack -q -a -d"));
	for (int i = 0; i < 3; i++) {
		cr_expect_neq(strstr(check(), "missingEmail"), NULL);
		cr_expect(i == 0 || result.objects_read == 0, "%d", i);
	}
}

/* the finding names the way, and the slot that alone needs it */
Test(check, what_one_slot_needs_is_told_as_its_own)
{
	struct check_slot slots[] = { { .name = "p-1", .path = in_dir("s1") }, { .name = "p-2", .path = in_dir("s2") } };

	cr_assert(sh("cd r && for i in 1 2; do git worktree add -q --detach ../s$i && mv .git/worktrees/s$i .git/worktrees/slotd-p-$i && "
		     "echo \"gitdir: $PWD/.git/worktrees/slotd-p-$i\" > ../s$i/.git; done; "
		     "cd ../s1 && echo own > own && mkdir x && echo y > x/y && git add -A && git commit -q -m own"));
	spec.slots = slots;
	spec.n_slots = 2;
	spec.is_adopted = false;
	cr_assert(sh("cd s1 && rm ../r/.git/objects/$(git rev-parse HEAD:x/y | sed 's,..,&/,')"));
	cr_expect_neq(strstr(check(), "missing-object worktrees/slotd-p-1/HEAD:x/y p-1\n"), NULL, "%s", check());
	spec.n_slots = 1;
	spec.depth = CHECK_QUICK;
	cr_expect_neq(strstr(check(), "missing-object worktrees/slotd-p-1/HEAD:x/y p-1\n"), NULL, "%s", check());
	spec.slots = slots + 1;
	cr_expect_str_eq(check(), "");
}

Test(check, a_scrub_reads_again_what_is_old)
{
	check();
	spec.scrub_usec = 60 * USEC_PER_SEC;
	check();
	cr_expect(eq(u64, result.objects_read, 0), "an hour later nothing is old");
	spec.now_usec += 2 * DAY;
	check();
	cr_expect_gt(result.objects_read, 120);
	/* damage that no time of the file tells of */
	spec.now_usec += 2 * DAY;
	cr_assert(sh("cd r/.git/objects/pack && f=$(ls -S *.pack | head -1) && chmod u+w $f && cp -p $f ../keep && "
		     "printf x | dd of=$f bs=1 seek=400 conv=notrunc status=none && touch -r ../keep $f"));
	cr_expect_neq(strstr(check(), "corrupt"), NULL);
}

/* what was fine by one measure need not be by another */
Test(check, other_settings_and_another_end_of_history_make_all_be_read_again)
{
	cr_assert(sh("cd r && t=$(printf '0100644 a\\0aaaaaaaaaaaaaaaaaaaa' | git hash-object -t tree -w --literally --stdin) && "
		     "git config fsck.zeroPaddedFilemode ignore && git repack -q -a -d && git gc -q --prune=never"));
	check();
	cr_expect_eq(strstr(check(), "zeroPaddedFilemode"), NULL);
	cr_assert(sh("git -C r config --unset fsck.zeroPaddedFilemode"));
	cr_expect_neq(strstr(check(), "zeroPaddedFilemode"), NULL);
	cr_assert(sh("git clone -q --bare --depth 1 file://$PWD/r shallow.git"));
	memo_clear(memo);
	spec.common_dir = in_dir("shallow.git");
	cr_expect_str_eq(check(), "");
	cr_assert(sh("rm shallow.git/shallow"));
	cr_expect_neq(strstr(check(), "missing-object"), NULL);
}

static int cancel(const char *phase, uint64_t done, uint64_t total, void *userdata)
{
	return -ECANCELED;
}

Test(check, it_ends_when_nobody_wants_it_any_more)
{
	struct findings *all = findings_new();

	spec.progress = cancel;
	cr_expect_eq(check_run(&spec, all, &result, &fault_text), -ECANCELED);
	findings_free(all);
}

/* by root, by another name of the same file, by a log: the shortest way from a ref wins */
Test(check, the_way_to_what_is_missing_is_spelled_out)
{
	cr_assert(sh("cd r && git commit -q --allow-empty -m e1 && git commit -q --allow-empty -m e2 && "
		     "f=$(git rev-parse main~3:d2/e/f7) && git rm -q -r d2 && git commit -q -m 'without d2' && git tag -d t >/dev/null && "
		     "git reflog expire --expire=now --all && git repack -q -a -d && git unpack-objects -q < "
		     "$(mv .git/objects/pack/*.pack .git/p; echo .git/p) && rm -f .git/objects/pack/* && chmod -R u+w .git/objects && "
		     "rm .git/objects/$(echo $f | sed 's,..,&/,')"));
	cr_expect_str_eq(check(), "missing-object refs/heads/main~1:d2/e/f7 -\n");
}

static size_t count_dangling(void)
{
	struct findings *all = findings_new();
	size_t n = 0;

	cr_assert_eq(check_run(&spec, all, &result, &fault_text), 0);
	for (size_t i = 0; i < findings_kept(all); i++)
		n += strcmp(findings_at(all, i)->id, "dangling-object") == 0;
	findings_free(all);
	return n;
}

Test(check, what_nothing_leads_to_is_told_each_time)
{
	cr_assert(sh("cd r && for i in 1 2 3; do echo $i.dangling | git hash-object -w --stdin >/dev/null; done"));
	for (int i = 0; i < 3; i++)
		cr_expect(eq(sz, count_dangling(), 3), "%d", i);
	cr_assert(sh("cd r && echo 2.dangling > two && git add two && git commit -q -m two"));
	cr_expect(eq(sz, count_dangling(), 2));
	/* looked at again, and still something leads to it */
	cr_assert(sh("touch r/.git/objects/$(git -C r rev-parse main:two | sed 's,..,&/,')"));
	cr_expect(eq(sz, count_dangling(), 2));
}

/* a commit-graph is held against all commits: not each time */
Test(check, a_graph_that_did_not_change_is_looked_at_once)
{
	cr_assert(sh("cd r && git repack -q -a -d && git commit-graph write --reachable 2>/dev/null && git multi-pack-index write 2>/dev/null"));
	cr_expect_str_eq(check(), "");
	cr_expect_str_eq(check(), "");
	cr_assert(sh("cd r/.git/objects/info && chmod u+w commit-graph && printf x | dd of=commit-graph bs=1 seek=200 conv=notrunc status=none"));
	for (int i = 0; i < 2; i++) {
		bool is_told = strstr(check(), "corrupt-commit-graph") != NULL;

		cr_expect(is_told, "%d", i);
	}
}

/* what is told of once is told of until it is mended, and what goes away is missed, noted as whole or not */
Test(check, no_note_hides_what_is_wrong)
{
	static const struct {
		const char *make, *id, *change, *then;
	} cases[] = {
		{ "git update-ref refs/heads/w $(printf 'tree %s\nauthor a <a@x> 1 +0000\ncommitter a <a@x> 1 +0000\n\nm\n' "
		  "$(git rev-parse main:loose) | git hash-object -t commit -w --literally --stdin)",
		  "wrong-type", ":", "wrong-type" },
		{ "git update-ref refs/tags/w $(printf 'object %s\ntype tag\ntag w\ntagger a <a@x> 1 +0000\n\nm\n' "
		  "$(git rev-parse main) | git hash-object -t tag -w --literally --stdin)",
		  "wrong-type", ":", "wrong-type" },
		{ "p=$(ls -S .git/objects/pack/*.pack | tail -1); echo junk > ${p%pack}rev", "corrupt-rev-index",
		  "p=$(ls -S .git/objects/pack/*.pack | tail -1); rm -f ${p%.pack}.*", "missing-object" },
		{ "mkdir alt; mv .git/objects/$(git rev-parse main:loose | cut -c1-2) alt/ && echo $PWD/alt > .git/objects/info/alternates",
		  "", "rm .git/objects/info/alternates", "missing-object" },
		{ "p=$(ls .git/objects/pack/*.pack | tail -1); mv $p p.pack; mv ${p%pack}idx p.idx; "
		  "git init -q o; echo o | git -C o hash-object -w --stdin >/dev/null; mv p.pack $p; mv p.idx ${p%pack}idx", "",
		  "q=$(git -C o rev-parse --show-toplevel); (cd o && git add -A . && git commit -q --allow-empty -m o && git repack -q -a -d); "
		  "p=$(ls .git/objects/pack/*.pack | tail -1); n=$(ls o/.git/objects/pack/*.pack); rm -f ${p%.pack}.*; "
		  "cp $n $p; cp ${n%pack}idx ${p%pack}idx", "missing-object" },
		{ "p=$(ls .git/objects/pack/*.pack | tail -1); touch ${p%pack}promisor; rm .git/objects/$(git rev-parse main:loose | sed 's,..,&/,')",
		  "missing-object", ":", "missing-object" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *found;
		bool is_right;

		if (i > 0) {
			deinit();
			init();
		}
		cr_assert(sh("cd r && %s", cases[i].make), "%s", cases[i].make);
		found = check();
		is_right = cases[i].id[0] ? strstr(found, cases[i].id) != NULL : found[0] == '\0';
		cr_expect(is_right, "%s: %s", cases[i].make, found);
		cr_assert(sh("cd r && %s", cases[i].change), "%s", cases[i].change);
		for (int k = 0; k < 2; k++) {
			found = check();
			is_right = strstr(found, cases[i].then) != NULL;
			cr_expect(is_right, "%zu.%d: %s", i, k, found);
		}
	}
}

/* the detail of the first finding with this id, or NULL */
static const char *detail_of(const char *id)
{
	static char detail[1024];
	struct findings *all = findings_new();
	const char *found = NULL;

	cr_assert_eq(check_run(&spec, all, &result, &fault_text), 0);
	findings_sort(all);
	for (size_t i = 0; !found && i < findings_kept(all); i++)
		if (strcmp(findings_at(all, i)->id, id) == 0) {
			snprintf(detail, sizeof(detail), "%s", findings_at(all, i)->detail);
			found = detail;
		}
	findings_free(all);
	return found;
}

Test(check, slots_whose_names_end_alike_are_both_named)
{
	struct check_slot slots[] = { { .name = "my-api", .path = in_dir("s1") }, { .name = "api", .path = in_dir("s2") } };

	cr_assert(sh("cd r && for i in 1:my-api 2:api; do n=${i#*:}; i=${i%%%%:*}; git worktree add -q --detach ../s$i && "
		     "mv .git/worktrees/s$i .git/worktrees/slotd-$n && "
		     "echo \"gitdir: $PWD/.git/worktrees/slotd-$n\" > ../s$i/.git; done; "
		     "rm .git/objects/$(git rev-parse main:loose | sed 's,..,&/,')"));
	spec.slots = slots;
	spec.n_slots = 2;
	spec.is_adopted = false;
	cr_expect_str_eq(detail_of("missing-object"), "a blob that is not there; checked out in my-api, api");
}

/* of all gaps but the first thousand nothing is spelled out, and of those no history is read */
Test(check, a_history_without_its_blobs_is_told_soon)
{
	uint64_t began;

	cr_assert(sh("git init -q -b main long && cd long && for i in $(seq 1500); do "
		     "printf 'commit refs/heads/main\\ncommitter C <c@d> %%d +0000\\ndata 1\\nm\\n"
		     "M 100644 inline d/e/f\\ndata <<E\\n%%d\\nE\\n' $i $i; done | git fast-import --quiet && "
		     "git rev-list --objects --all --filter=blob:none | cut -d' ' -f1 | git pack-objects -q .git/p >/dev/null && "
		     "find .git/objects -type f -exec rm -f {} + && mv .git/p-* .git/objects/pack/ && "
		     "for f in .git/objects/pack/p-*; do mv $f ${f%%%%p-*}pack-${f#*p-}; done"));
	spec.common_dir = in_dir("long/.git");
	memo_clear(memo);
	began = clock_boot_usec();
	check();
	cr_expect_lt(clock_boot_usec() - began, 10 * USEC_PER_SEC);
	cr_expect_neq(strstr(check(), "missing-object refs/heads/main:d/e/f -\n"), NULL);
	cr_expect_neq(strstr(check(), "missing-object refs/heads/main~700:d/e/f -\n"), NULL);
	cr_expect_eq(strstr(check(), "(commit "), NULL, "of what is kept all is spelled out");
	/* what is in use is among the last that is missing */
	cr_assert(sh("cd long && git update-ref refs/heads/main $(git rev-list main | tail -1) && rm -rf .git/logs"));
	cr_expect_str_eq(check(), sh_text("echo \"missing-object refs/heads/main (commit $(git -C long rev-parse main)) -\"; echo"));
}

/* a tree that a commit has as its parent, too: each is told by the link that is wrong */
Test(check, the_way_goes_on_by_the_link_that_was_followed)
{
	cr_assert(sh("cd r && t=$(git rev-parse main^{tree}) && b=$(git rev-parse main:loose) && "
		     "c=$(printf 'tree %%s\\nparent %%s\\nparent %%s\\nauthor A <a@b> 1 +0000\\ncommitter C <c@d> 1 +0000\\n\\nm\\n' "
		     "$t $(git rev-parse main) $t | git hash-object -t commit -w --literally --stdin) && "
		     "git tag -d t > /dev/null && rm -rf .git/logs && echo $c > .git/refs/heads/main && "
		     "rm .git/objects/$(echo $b | sed 's,..,&/,')"));
	cr_expect_str_eq(check(), "missing-object refs/heads/main:loose -\nwrong-type refs/heads/main^2 -\n");
}

/* 3,000 trees, one in the other, and what is deepest is lost; @name: of each */
static void make_deep(const char *name)
{
	cr_assert(sh("rm -rf deep s1 && git init -q -b main deep && cd deep && p=$(yes %s | head -3000 | tr '\\n' /) && "
		     "printf 'commit refs/heads/main\\ncommitter C <c@d> 1 +0000\\ndata 1\\nm\\n"
		     "M 100644 inline %%sf\\ndata 1\\nx\\n' $p | git -c fastimport.unpackLimit=10000 fast-import --quiet && "
		     "rm .git/objects/$(printf x | git hash-object --stdin | sed 's,..,&/,') && "
		     "git worktree add -q --no-checkout --detach ../s1 && mv .git/worktrees/s1 .git/worktrees/slotd-p-1 && "
		     "echo \"gitdir: $PWD/.git/worktrees/slotd-p-1\" > ../s1/.git",
		     name));
}

/* does @found have a path "<hexadecimal name>/<name>/.../f" of 4 KiB at most, and not much less? */
static void expect_cut(const char *found, const char *name)
{
	const char *end, *at = strstr(found, "missing-object ");

	cr_assert_neq(at, NULL, "%s", found);
	at += strlen("missing-object ");
	end = strchrnul(at, ' ');
	cr_expect_eq(strspn(at, "0123456789abcdef"), 40, "%.60s", at);
	cr_expect_eq(at[40], '/');
	cr_expect_eq(strncmp(at + 41, name, strlen(name)), 0);
	cr_expect_eq(strncmp(end - 2, "/f", 2), 0);
	cr_expect_leq(end - at, 4096);
	cr_expect_gt(end - at, 3000);
}

Test(check, a_long_way_is_cut_at_its_front)
{
	make_deep("dd");
	spec.common_dir = in_dir("deep/.git");
	memo_clear(memo);
	expect_cut(check(), "dd/dd/");
}

static int count_calls(const char *phase, uint64_t done, uint64_t total, void *userdata)
{
	unsigned *calls = userdata;

	return ++*calls == 3 ? -ECANCELED : 0;
}

Test(check, a_deep_tree_is_looked_at_soon)
{
	struct findings *all = findings_new();
	struct check_slot slot = { .name = "p-1", .path = in_dir("s1") };
	unsigned calls = 0;
	uint64_t began;

	/* so that copying each level's path would take long */
	make_deep("dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd");
	spec = (struct check_spec){ .common_dir = in_dir("deep/.git"), .depth = CHECK_QUICK, .slots = &slot, .n_slots = 1, .threads = 1 };
	began = clock_boot_usec();
	expect_cut(check(), "dddddddd");
	cr_expect_lt(clock_boot_usec() - began, 2 * USEC_PER_SEC);
	spec.progress = count_calls;
	spec.userdata = &calls;
	cr_expect_eq(check_run(&spec, all, &result, &fault_text), -ECANCELED);
	findings_free(all);
}
