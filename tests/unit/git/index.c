#include "git/index-read.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "git-fixture.h"
#include "git/index-write.h"
#include "git/sha1.h"
#include "util/fs.h"

static int admin = -1;
static struct fault f;

static void init(void)
{
	fixture_init();
	cr_assert(sh("git init -q -b main r && cd r && mkdir -p a/b && "
		     "for i in $(seq 40); do echo $i > a/b/file$i; echo $i > f$i; done && "
		     "ln -s x l && chmod +x f1 && git add . && git commit -qm x"));
	admin = open(in_dir("r/.git"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void deinit(void)
{
	close(admin);
	fixture_deinit();
}

TestSuite(index, .init = init, .fini = deinit, .timeout = 120);

/* what was read, in the words of git ls-files --debug */
static void assert_is_as_git_says(void)
{
	struct index index = { 0 };
	FILE *out = fopen(in_dir("ours"), "w");

	cr_assert_eq(index_read(admin, &index, &f), 0, "%s", f.text);
	for (size_t i = 0; i < index.list.n; i++) {
		const struct tree_entry *e = &index.list.entries[i];
		char hex[GIT_OID_HEXSZ + 1];

		fprintf(out, "%o %s %d\t%s%c", e->mode, git_oid_tostr(hex, sizeof(hex), &e->oid),
			(int)(e->flags & TREE_ENTRY_STAGE), e->path, 0);
	}
	fclose(out);
	index_deinit(&index);
	cr_assert(sh("git -C r ls-files -s -z > theirs && cmp ours theirs"));
}

Test(index, reads_every_version)
{
	for (int version = 2; version <= 4; version++) {
		cr_assert(sh("cd r && git update-index --index-version %d && "
			     "git update-index --skip-worktree f2",
			     version));
		assert_is_as_git_says();
	}
	cr_assert(sh("cd r && git update-index --no-skip-worktree f2"));
}

Test(index, reads_stages_flags_and_long_paths)
{
	struct index index = { 0 };
	struct tree_entry *e;

	cr_assert(sh("cd r && o=$(git rev-parse HEAD:f1) && d=$(printf 'd%%.0s' $(seq 200)) && "
		     "p=$(printf \"$d/%%.0s\" $(seq 19)) && "
		     "printf '100644 %%s 1\\tc\\n100644 %%s 3\\tc\\n100644 %%s 0\\t%%sx\\n' "
		     "$o $o $o $p | git update-index --index-info && echo n > n && git add -N n && "
		     "git update-index --assume-unchanged f3"));
	assert_is_as_git_says();
	cr_assert_eq(index_read(admin, &index, &f), 0, "%s", f.text);
	e = tree_list_find(&index.list, "c", 1);
	cr_assert_eq(e->flags, 1);
	cr_assert_eq(e[1].flags, 3);
	cr_assert_eq(tree_list_find(&index.list, "n", 1)->flags, TREE_ENTRY_INTENT_TO_ADD);
	cr_assert_eq(tree_list_find(&index.list, "f3", 2)->flags, TREE_ENTRY_ASSUME_VALID);
	cr_assert_eq(tree_list_find(&index.list, "f3x", 3), NULL);
	index_deinit(&index);
}

static const struct {
	const char *make;
	int wanted;
	const char *named;
} refused[] = {
	{ "rm .git/index", -ENOENT, "no index" },
	{ ": > .git/index", -EUCLEAN, "not one" },
	{ "rm .git/index; mkfifo .git/index", -EUCLEAN, "regular" },
	{ "mv .git/index .git/i; ln -s i .git/index", -EUCLEAN, "link" },
	{ "truncate -s 300M .git/index", -EUCLEAN, "large" },
	{ "git update-index --split-index", -EUCLEAN, "split" },
	{ "git sparse-checkout set --cone --sparse-index a/b/c", -EUCLEAN, "sparse" },
	{ "head -c 200 .git/index > i; cat i > .git/index", -EUCLEAN, "checksum" },
	{ "printf x | dd of=.git/index bs=1 seek=90 conv=notrunc status=none", -EUCLEAN,
	  "checksum" },
	{ "git config index.skipHash true; git config x.y z", 0, "" },
};

Test(index, names_what_it_does_not_read)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct index index = { 0 };
		int r;

		cr_assert(sh("cd r && rm -f .git/index && git sparse-checkout disable && git reset "
			     "-q --hard"));
		cr_assert(sh("cd r && %s", refused[i].make));
		r = index_read(admin, &index, &f);
		cr_expect_eq(r, refused[i].wanted, "%s: %d %s", refused[i].make, r, f.text);
		cr_expect(r == 0 || strstr(f.text, refused[i].named), "%s: %s", refused[i].make,
			  f.text);
		index_deinit(&index);
	}
}

/* damaged anywhere, with a checksum that fits: a fault or an index, but never out of bounds */
Test(index, survives_any_byte_with_a_right_checksum)
{
	for (int version = 2; version <= 4; version++) {
		char *data;
		size_t len;

		cr_assert(sh("cd r && git update-index --index-version %d", version));
		cr_assert_eq(fs_read_file_at(admin, "index", 1 << 20, &data, &len), 0);
		for (size_t i = 0; i < len - 20; i++) {
			uint8_t *copy = malloc(len);
			struct index index = { 0 };
			struct sha1 sha1;
			git_oid digest;

			memcpy(copy, data, len);
			copy[i] ^= (uint8_t)(1 << i % 8);
			sha1_init(&sha1);
			sha1_update(&sha1, copy, len - 20);
			sha1_final(&sha1, &digest);
			memcpy(copy + len - 20, digest.id, 20);
			if (index_decode(copy, len, &index, &f) == 0)
				index_deinit(&index);
			/* and cut off there, without checksum */
			memset(copy + (i < 20 ? 0 : i - 20), 0, 20);
			if (index_decode(copy, i, &index, &f) == 0)
				index_deinit(&index);
			free(copy);
		}
		free(data);
	}
}

Test(index, what_it_writes_git_takes_as_its_own)
{
	struct index index = { 0 };

	cr_assert_eq(index_read(admin, &index, &f), 0, "%s", f.text);
	cr_assert(sh("touch r/.git/index.lock"));
	cr_assert_eq(index_write(admin, &index.list, NULL, &f), 0, "%s", f.text);
	index_deinit(&index);
	assert_is_as_git_says();
	cr_assert(sh("cd r && test -z \"$(git status --porcelain)\" && git fsck 2>&1"));
}
