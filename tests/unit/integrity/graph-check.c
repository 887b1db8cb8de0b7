#include "integrity/graph-check.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git-fixture.h"
#include "git/repo.h"
#include "git/sha1.h"
#include "pack-fixture.h"
#include "util/text.h"

#define GRAPH "r/.git/objects/info/commit-graph"
#define MIDX  "r/.git/objects/pack/multi-pack-index"

static struct check_fixture f;
static git_odb *odb;
static struct pack *packs[8];
static char *pack_stems[8];
static size_t n_packs;
static int objects_fd = -1;

static int read_commit(const git_oid *oid, void **ret, size_t *ret_len, void *userdata)
{
	git_odb_object *object;
	int r = git_odb_read(&object, odb, oid);

	if (r < 0)
		return r == GIT_ENOTFOUND ? -ENOENT : -EBADMSG;
	if (git_odb_object_type(object) != GIT_OBJECT_COMMIT) {
		git_odb_object_free(object);
		return -EBADMSG;
	}
	*ret_len = git_odb_object_size(object);
	*ret = malloc(*ret_len + 1);
	memcpy(*ret, git_odb_object_data(object), *ret_len);
	git_odb_object_free(object);
	return 0;
}

static struct pack *find_pack(const char *idx_name, void *userdata)
{
	for (size_t i = 0; i < n_packs; i++)
		if (text_has_prefix(idx_name, pack_stems[i]) &&
		    strcmp(idx_name + strlen(pack_stems[i]), ".idx") == 0)
			return packs[i];
	return NULL;
}

static const struct graph_reader reader = { read_commit, find_pack, NULL };

static void setup(void)
{
	fixture_init();
	check_fixture_init(&f);
	/* a merge of four, a merge, an odd date, and dates that go back */
	cr_assert(sh("git init -q -b main r && cd r && git commit -q --allow-empty -m root && "
		     "for i in 1 2 3 4; do git checkout -q -b b$i main && git commit -q --allow-empty -m b$i; done && "
		     "git checkout -q main && git merge -q -m octopus b1 b2 b3 b4 >/dev/null && "
		     "GIT_COMMITTER_DATE='@100 +0000' git commit -q --allow-empty -m early && "
		     "GIT_COMMITTER_DATE='@4000000000 +0000' git commit -q --allow-empty -m late && "
		     "GIT_COMMITTER_DATE='@90 +0000' git commit -q --allow-empty -m 'long before' && "
		     "git checkout -q -b side main~3 && git commit -q --allow-empty -m side && "
		     "git checkout -q main && git merge -q -m merge side"));
}

static void open_store(void)
{
	cr_assert_eq(git_odb_open(&odb, in_dir("r/.git/objects")), 0);
	objects_fd = open(in_dir("r/.git/objects"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(objects_fd, 0);
}

static void teardown(void)
{
	while (n_packs > 0)
		pack_close(packs[--n_packs]);
	git_odb_free(odb);
	close(objects_fd);
	check_fixture_deinit(&f);
	fixture_deinit();
}

TestSuite(graph_check, .init = setup, .fini = teardown, .timeout = 200);

/* how many findings there are more than before */
static size_t check_graph(void)
{
	size_t before = findings_count(f.check.findings, FINDING_ERROR);

	cr_assert_eq(commit_graph_check(&f.check, objects_fd, "objects", &reader), 0);
	return findings_count(f.check.findings, FINDING_ERROR) - before;
}

static size_t check_midx(void)
{
	size_t before = findings_count(f.check.findings, FINDING_ERROR);

	cr_assert_eq(multi_pack_index_check(&f.check, objects_fd, "objects", &reader), 0);
	return findings_count(f.check.findings, FINDING_ERROR) - before;
}

/* findings are told once: forget those that were */
static void forget(void)
{
	findings_free(f.check.findings);
	f.check.findings = findings_new();
}

Test(graph_check, a_sound_graph_of_each_kind)
{
	static const char *const writes[] = {
		"commit-graph write --reachable",
		"-c commitGraph.generationVersion=1 commit-graph write --reachable",
		"commit-graph write --reachable --changed-paths",
		"commit-graph write --reachable --split=no-merge",
	};

	open_store();
	cr_expect(eq(sz, check_graph(), 0)); /* none at all */
	for (size_t i = 0; i < sizeof(writes) / sizeof(*writes); i++) {
		cr_assert(sh("cd r && rm -rf .git/objects/info/commit-graph* && git %s && git commit-graph verify",
			     writes[i]));
		cr_expect(eq(sz, check_graph(), 0), "%s", writes[i]);
	}
	findings_show(&f);
}

static void make_chain(void)
{
	cr_assert(sh("cd r && git rev-parse main~2 | git commit-graph write --stdin-commits --split=no-merge && "
		     "git rev-parse b2 main~1 | git commit-graph write --stdin-commits --split=no-merge && "
		     "git commit-graph write --reachable --split=no-merge && "
		     "[ $(wc -l <.git/objects/info/commit-graphs/commit-graph-chain) = 3 ] && chmod -R u+w .git/objects"));
}

Test(graph_check, a_chain_and_what_can_be_wrong_with_it)
{
	static const char *const harms[] = {
		"sed -i 1d commit-graph-chain",
		"sed -i 2d commit-graph-chain",
		"echo 1234 >>commit-graph-chain",
		"rm -f $(ls graph-*.graph | head -1)",
		"for g in graph-*; do :; done; truncate -s 100 $g",
		"tac commit-graph-chain >x && mv x commit-graph-chain",
	};

	open_store();
	make_chain();
	cr_expect(eq(sz, check_graph(), 0));
	findings_show(&f);
	for (size_t i = 0; i < sizeof(harms) / sizeof(*harms); i++) {
		forget();
		cr_assert(sh("rm -rf r/.git/objects/info/commit-graphs"));
		make_chain();
		cr_assert(sh("cd r/.git/objects/info/commit-graphs && %s", harms[i]));
		cr_expect_gt(check_graph(), 0, "%s", harms[i]);
	}
	/* the rest of it is in a store from which this one borrows */
	forget();
	cr_assert(sh("cd r/.git/objects/info/commit-graphs && rm graph-* && touch ../alternates"));
	cr_expect(eq(sz, check_graph(), 0));
}

Test(graph_check, a_commit_that_is_gone)
{
	open_store();
	cr_assert(sh("cd r && git commit-graph write --reachable && n=$(git rev-parse main~1) && "
		     "rm -f .git/objects/$(echo $n | cut -c1-2)/$(echo $n | cut -c3-)"));
	cr_expect_gt(check_graph(), 0);
	cr_expect_not(sh("git -C r commit-graph verify 2>/dev/null"));
}

/* puts the checksum right, so that what else is wrong must be noticed */
static void mend_sum(unsigned char *data, size_t len)
{
	struct sha1 sha1;
	git_oid oid;

	sha1_init(&sha1);
	sha1_update(&sha1, data, len - GIT_OID_RAWSZ);
	cr_assert_eq(sha1_final(&sha1, &oid), 0);
	memcpy(data + len - GIT_OID_RAWSZ, oid.id, GIT_OID_RAWSZ);
}

/* every byte wrong, with the checksum wrong and put right; @git says whether git sees it */
static void flip_all(const char *name, size_t (*check)(void), const char *git, unsigned every)
{
	size_t len, blind = 0, seen_by_git = 0;
	unsigned char *data, *copy;

	cr_assert(sh("chmod u+w '%s'", in_dir(name)));
	data = bytes_load(name, &len);
	copy = malloc(len);
	for (size_t i = 0; i < len; i++) {
		bool is_fine;

		forget();
		memcpy(copy, data, len);
		copy[i] ^= (unsigned char)(1U << i % 8);
		bytes_store(name, copy, len);
		cr_expect_gt(check(), 0, "byte %zu", i);
		if (i >= len - GIT_OID_RAWSZ || i % every != 0)
			continue;
		forget();
		mend_sum(copy, len);
		bytes_store(name, copy, len);
		is_fine = check() == 0;
		blind += is_fine;
		if (is_fine) {
			bool git_is_fine = sh("cd r && %s 2>/dev/null >&2", git);

			cr_expect(git_is_fine, "git sees what is wrong with byte %zu", i);
			seen_by_git += !git_is_fine;
		}
	}
	for (size_t n = 0; n < len; n++) {
		forget();
		bytes_store(name, data, n);
		cr_expect_gt(check(), 0, "cut at %zu", n);
	}
	fprintf(stderr, "%s: %zu bytes, %zu mean nothing, git sees %zu of those\n", name, len, blind, seen_by_git);
	bytes_store(name, data, len);
	free(data);
	free(copy);
}

Test(graph_check, every_byte_of_a_graph_wrong)
{
	open_store();
	cr_assert(sh("cd r && git commit-graph write --reachable"));
	flip_all(GRAPH, check_graph, "git commit-graph verify", 1);
	forget();
	cr_expect(eq(sz, check_graph(), 0));
}

static void make_packs(void)
{
	FILE *list;
	char stem[80];

	cr_assert(sh("cd r && git repack -q && for i in 1 2 3; do echo $i >f && git add f && git commit -qm f$i && "
		     "git repack -q; done && git multi-pack-index write && ls .git/objects/pack | sed -n 's/.idx$//p' >../stems"));
	open_store();
	list = fopen(in_dir("stems"), "r");
	while (fscanf(list, "%79s", stem) == 1) {
		pack_stems[n_packs] = fixture_keep(strdup(stem));
		cr_assert_eq(pack_open_in(&f, "r/.git/objects/pack", stem, &packs[n_packs]), 0);
		n_packs++;
	}
	fclose(list);
	cr_assert_eq(n_packs, 4);
}

Test(graph_check, a_sound_index_of_several_packs)
{
	make_packs();
	cr_expect(eq(sz, check_midx(), 0));
	cr_assert(sh("cd r && rm .git/objects/pack/multi-pack-index && git multi-pack-index write --bitmap"));
	cr_expect(eq(sz, check_midx(), 0));
	findings_show(&f);
}

Test(graph_check, bitmaps_beside_the_index_of_several_packs)
{
	make_packs();
	cr_assert(sh("cd r && git multi-pack-index write --bitmap && cd .git/objects/pack && chmod u+w * && "
		     "[ -e multi-pack-index-*.bitmap ]"));
	cr_expect(eq(sz, check_midx(), 0));
	cr_assert(sh("cd r/.git/objects/pack && printf x | dd of=$(ls multi-pack-index-*.bitmap) bs=1 seek=60 conv=notrunc 2>/dev/null"));
	check_midx();
	cr_expect(eq(sz, findings_of(&f, "corrupt-bitmap"), 1));
}

Test(graph_check, a_pack_of_the_index_that_is_gone)
{
	make_packs();
	pack_close(packs[--n_packs]);
	cr_expect_gt(check_midx(), 0);
}

Test(graph_check, every_byte_of_an_index_of_packs_wrong)
{
	make_packs();
	flip_all(MIDX, check_midx, "git multi-pack-index verify", 1);
}

Test(graph_check, what_is_no_file_does_not_block)
{
	open_store();
	cr_assert(sh("mkfifo %s %s && mkdir r/.git/objects/info/commit-graphs && "
		     "mkfifo r/.git/objects/info/commit-graphs/commit-graph-chain",
		     GRAPH, MIDX));
	cr_expect(eq(sz, check_graph(), 2));
	cr_expect(eq(sz, check_midx(), 1));
}
