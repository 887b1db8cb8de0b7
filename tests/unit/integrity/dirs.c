/* Where objects are: packs of any name, packs that come and go, alternates, links. */
#include "integrity/check.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "git-fixture.h"
#include "git/repo.h"
#include "integrity/memo.h"
#include "util/clock.h"
#include "util/text.h"

static struct check_spec spec;
static struct check_result result;
static struct fault fault_text;

/* one pack, and loose objects */
static void init(void)
{
	fixture_init();
	cr_assert_eq(repo_global_init(&fault_text), 0);
	cr_assert(sh("git init -q -b main r && cd r && seq 100 > a && git add a && git commit -q -m a && git repack -q -d && "
		     "seq 200 > b && git add b && git commit -q -m b"));
	spec = (struct check_spec){ .common_dir = in_dir("r/.git"), .is_adopted = true, .depth = CHECK_PLAIN, .threads = 2,
				    .memo = memo_new(), .now_usec = 1700000000 * USEC_PER_SEC };
}

static void deinit(void)
{
	memo_free(spec.memo);
	fixture_deinit();
}

TestSuite(dirs, .init = init, .fini = deinit, .timeout = 120);

/* "<id> <where>" a line, of all that is more than information; freed by the fixture */
static char *check(void)
{
	struct findings *all = findings_new();
	struct text text = { 0 };
	int r = check_run(&spec, all, &result, &fault_text);

	cr_assert_eq(r, 0, "%d %s", r, fault_text.text);
	text_add_string(&text, "");
	findings_sort(all);
	for (size_t i = 0; i < findings_kept(all); i++) {
		const struct finding *f = findings_at(all, i);

		if (f->severity != FINDING_INFO)
			text_addf(&text, "%s %s\n", f->id, f->where ? f->where : "-");
	}
	findings_free(all);
	return fixture_keep(text_take(&text));
}

static bool git_is_content(void)
{
	return sh("test -z \"$(git -C r fsck --full --no-progress --no-dangling 2>&1)\"");
}

static uint64_t git_objects(void)
{
	return strtoull(sh_text("git -C r cat-file --batch-all-objects --batch-check | wc -l"), NULL, 10);
}

/* git maintenance makes loose-<hash>.pack; anybody may copy one to any name */
Test(dirs, packs_of_any_name_are_packs)
{
	char *longest = fixture_keep(text_printf("%0246d", 0));

	cr_assert(sh("cd r && git maintenance run --task=loose-objects 2>/dev/null && git prune-packed -q && "
		     "test -f .git/objects/pack/loose-*.pack"));
	cr_assert(sh("cd r/.git/objects/pack && for e in idx pack; do mv pack-*.$e %s.$e; done", longest));
	cr_assert(git_is_content());
	cr_expect_str_eq(check(), "");
	cr_expect(eq(u64, result.packs, 2));
	cr_expect(eq(u64, result.objects, git_objects()));
	cr_expect_str_eq(check(), "");
	cr_expect(eq(u64, result.objects_read, 0));
	cr_assert(sh("cd r/.git/objects/pack && f=$(echo loose-*.pack) && chmod u+w $f && printf xxxx | "
		     "dd of=$f bs=1 seek=40 conv=notrunc status=none"));
	cr_assert_not(git_is_content());
	cr_expect_neq(strstr(check(), "corrupt-pack"), NULL);
}

/* what lies beside a pack belongs to it, and to no pack if there is none */
Test(dirs, files_beside_a_pack_of_another_name)
{
	struct findings *all = findings_new();

	cr_assert(sh("cd r && git -c pack.writeReverseIndex=true maintenance run --task=loose-objects 2>/dev/null && "
		     "cd .git/objects/pack && f=$(basename loose-*.pack .pack) && : > $f.promisor && : > other.promisor"));
	cr_assert_eq(check_run(&spec, all, &result, &fault_text), 0);
	for (size_t i = 0; i < findings_kept(all); i++)
		if (strcmp(findings_at(all, i)->id, "stray-file") == 0)
			cr_expect_str_eq(findings_at(all, i)->where, "objects/pack/other.promisor");
	cr_expect(eq(sz, findings_kept(all), 1));
	findings_free(all);
}
