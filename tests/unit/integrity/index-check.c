#include "files-fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "git-fixture.h"
#include "integrity/bitmap.h"
#include "integrity/index-check.h"
#include "util/cleanup.h"
#include "util/text.h"

TestSuite(index_check, .init = files_init, .fini = files_deinit);

#define INDEX "r/.git/worktrees/slotd-a-1/index"

/* a conflict that was resolved, so that there is something to undo */
#define RESOLVED                                                                  \
	"s checkout -q -b side HEAD^ && echo s >$S/f && s commit -qam s && "      \
	"! s merge -q main && echo both >$S/f && s add f; "
/* a split index with entries that are replaced, deleted and added */
#define SPLIT                                                                     \
	"s config splitIndex.maxPercentChange 100 && s update-index --split-index && " \
	"echo 9 >$S/f && s add f && s rm -q d/g && echo n >$S/n && s add n; "

/* what makes an index of each kind that git 2.39 can write */
static const struct files_row kinds[] = {
	{ ":", "" },
	{ "s update-index --index-version 4", "" },
	{ "echo n >$S/n && s add -N n", "" },
	{ "echo n >$S/n && s add -N n && s update-index --index-version 4", "" },
	{ RESOLVED, "" },
	{ RESOLVED "s update-index --index-version 4", "" },
	{ "s checkout -q -b side HEAD^ && echo s >$S/f && s commit -qam s && ! s merge -q main", "" },
	{ "s checkout -q -b side HEAD^ && s rm -q f && s commit -qm s && ! s merge -q main", "" },
	{ "s update-index --skip-worktree f && s update-index --assume-unchanged d/g", "" },
	{ "s update-index --split-index", "" },
	{ SPLIT, "" },
	{ SPLIT "s update-index --index-version 4 && echo 10 >$S/d/e/h && s add d/e/h", "" },
	{ RESOLVED SPLIT, "" },
	{ SPLIT "s update-index --no-split-index", "" },
	{ SPLIT "s rm -qrf .", "" },
	{ "s sparse-checkout set --cone --sparse-index d/e", "" },
	{ "mkdir $S/z && echo z >$S/z/z && s add . && s commit -qm z && s sparse-checkout set --cone --sparse-index d", "" },
	{ "mkdir $S/z && echo z >$S/z/z && s add . && s commit -qm z && s update-index --index-version 4 && "
	  "s sparse-checkout set --cone --sparse-index d", "" },
	{ "s sparse-checkout set --no-cone f", "" },
	{ "s update-index --untracked-cache && s status >x", "" },
	{ "s update-index --untracked-cache && touch $S/u && s status >x && s update-index --split-index", "" },
	{ "printf '#!/bin/sh\\nprintf \"tok\\\\0f\\\\0\"' >x && chmod +x x && s config core.fsmonitor $PWD/x && s config core.fsmonitorHookVersion 2 && "
	  "s update-index --fsmonitor && s status >y", "" },
	{ "s config index.threads 4 && s config index.recordOffsetTable true && s config index.recordEndOfIndexEntries true && "
	  "for i in 1 2 3 4 5 6 7 8 9; do echo $i >$S/n$i; done && s add .", "" },
	{ "s config index.threads 4 && s config index.recordOffsetTable true && s update-index --index-version 4 && "
	  "for i in 1 2 3 4 5 6 7 8 9; do echo $i >$S/n$i; done && s add .", "" },
	{ "ln -s nowhere $S/l && printf x >\"$S/$(printf 'n\\377o')\" && printf x >\"$S/a b\" && s add .", "" },
	{ "git clone -q r x && s -c protocol.file.allow=always submodule add -q $PWD/x sub", "" },
	{ "p=$(printf '%0240d' 0); mkdir -p $S/$p/$p && cd $S && echo deep >$p/$p/$p$p 2>/dev/null || echo deep >$p/$p/f; git add .", "" },
	{ "rm $A/index", "" },
};

Test(index_check, whatever_git_can_write_is_fine)
{
	files_run(kinds, ARRAY_SIZE(kinds));
}

Test(index_check, where_git_sees_an_error_and_there_is_none)
{
	static const struct files_row rows[] = {
		/* it misses the empty tree, which it can always make up */
		{ "s read-tree --empty", "" },
		{ "s update-index --split-index && s read-tree --empty", "" },
		/* as index.skipHash of newer ones */
		{ "truncate -s -20 $A/index && head -c 20 /dev/zero >>$A/index", "" },
		{ "printf 'XYZZ\\0\\0\\0\\1!' >x; truncate -s -20 $A/index; cat x >>$A/index; head -c 20 /dev/zero >>$A/index", "" },
	};

	files_run_alone(rows, ARRAY_SIZE(rows));
	files_restore();
	cr_assert(sh(FILES_VARIABLES "s read-tree --empty"));
	cr_expect_eq(files_missing(files_check(CHECK_FULL)), 0);
}

/* the blobs of an index as lines "<id> <path>", sorted */
static char *blobs_found(const struct files_result *result, const char *prefix)
{
	struct text t = { 0 };

	for (size_t i = 0; i < roots_count(result->roots); i++) {
		const struct root *root = roots_at(result->roots, i);
		char hex[GIT_OID_HEXSZ + 1];

		if (root->kind == ROOT_INDEX && text_has_prefix(root->name, prefix))
			text_addf(&t, "%s %s\n", git_oid_tostr(hex, sizeof(hex), &root->oid),
				  root->name + strlen(prefix));
	}
	return fixture_keep(text_take(&t));
}

/* git ls-files is the witness, of every kind of index */
Test(index_check, its_roots_are_the_entries_that_git_lists)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		char *found, *said;

		files_restore();
		cr_assert(sh(FILES_VARIABLES "%s", kinds[i].does), "%s", kinds[i].does);
		found = blobs_found(files_check(CHECK_FULL), "worktrees/slotd-a-1/index:");
		/* neither submodules nor what is there in intent alone */
		said = sh_text("git -C slots/a-1 -c core.quotePath=false ls-files --sparse -s -z | tr '\\0' '\\n' | "
			       "grep -v -e ^160000 -e ' e69de29bb2d1d6434b8b29ae775ad8c2e48c5391 ' | sed 's/^[0-9]* \\([0-9a-f]*\\) [0-3]\\t/\\1 /'");
		cr_expect(sh("test \"$(printf '%%s' '%s' | sort)\" = \"$(printf '%%s' '%s' | sort)\"", found, said),
			  "%s: found\n%s, not\n%s", kinds[i].does, found, said);
	}
}

Test(index_check, each_damage_is_told)
{
	static const struct files_row rows[] = {
		{ ": >$A/index", "bad-index" },
		{ "truncate -s 11 $A/index", "bad-index" },
		{ "truncate -s 31 $A/index", "bad-index" },
		{ "truncate -s 100 $A/index", "bad-index" },
		{ "truncate -s -1 $A/index", "bad-index" },
		{ "echo junk >>$A/index", "bad-index" },
		{ "printf X | dd of=$A/index bs=1 conv=notrunc", "bad-index" },
		{ "printf '\\5' | dd of=$A/index bs=1 seek=7 conv=notrunc", "bad-index" },
		{ "printf X | dd of=$A/index bs=1 seek=60 conv=notrunc", "bad-index" },
		{ "head -c 1000 /dev/zero >$A/index", "bad-index" },
		{ "printf X | dd of=$G/index bs=1 seek=60 conv=notrunc", "bad-index" },
		{ "rm $A/index; mkfifo $A/index", "unreadable-file" },
		{ "mv $A/index x; ln -s $PWD/x $A/index", "unreadable-file" },
		{ SPLIT "rm $A/sharedindex.*", "bad-index" },
		{ SPLIT ": >$(ls $A/sharedindex.*)", "bad-index" },
		{ SPLIT "printf X | dd of=$(ls $A/sharedindex.*) bs=1 seek=60 conv=notrunc", "bad-index" },
		{ SPLIT "cat $G/index >$(ls $A/sharedindex.*)", "bad-index" },
		{ SPLIT "x=$(ls $A/sharedindex.*); rm $x; mkfifo $x", "unreadable-file" },
		{ "g worktree add -q ../w -b users; : >$G/worktrees/w/index", "bad-index" },
	};

	files_run(rows, ARRAY_SIZE(rows));
}

/* bytes in the index of a slot, at @at from the start or, if negative, from the end; the checksum is made right */
static void patch(const char *does, long at, const char *bytes, size_t len)
{
	int fd;

	files_restore();
	cr_assert(sh(FILES_VARIABLES "%s", does));
	fd = open(in_dir(INDEX), O_RDWR);
	cr_assert_eq(pwrite(fd, bytes, len, at < 0 ? lseek(fd, 0, SEEK_END) + at : at), (ssize_t)len);
	close(fd);
	files_seal(INDEX);
}

static const char *first_detail(const struct files_result *result)
{
	return findings_kept(result->findings) ? findings_at(result->findings, 0)->detail : "";
}

Test(index_check, behind_a_right_checksum_nothing_is_believed)
{
	static const struct {
		const char *does;
		long at;
		const char *bytes;
		size_t len;
		const char *why;
	} rows[] = {
		/* from 12 on d/e/h and d/g, of 72 bytes each, and f, of 64 */
		{ ":", 8, "\xff\xff\xff\xff", 4, "it has fewer entries than it says" },
		{ ":", 8, "\0\0\0\x04", 4, "an entry" },
		{ ":", 8, "\0\0\0\x02", 4, "an extension ends early" },
		{ ":", 12 + 24, "\0\0\x81\xb4", 4, "an entry has the unknown mode 100664" },
		{ ":", 12 + 24, "\0\0\x40\0", 4, "an entry has a path that may not be in a work tree" },
		{ ":", 12 + 40, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, "the id of an entry is all zeros" },
		{ ":", 12 + 60, "\0\x04", 2, "a path has another length than it says" },
		{ ":", 12 + 60, "\x40\x05", 2, "an entry of version 2 has extended flags" },
		{ ":", 12 + 62, "z", 1, "its entries are out of order" },
		{ ":", 12 + 62, "/", 1, "an entry has a path that may not be in a work tree" },
		{ ":", 12 + 62, "../", 3, "an entry has a path that may not be in a work tree" },
		{ "echo x >$S/abcdef && s add abcdef", 12 + 62, "x/.GIT", 6, "an entry has a path that may not be in a work tree" },
		{ "echo x >$S/g && s add g", 12 + 2 * 72 + 64 + 62, "f", 1, "a path is in it twice" },
		{ "echo n >$S/n && s add -N n", 12 + 2 * 72 + 64 + 62, "\xff\xff", 2, "an entry has unknown flags" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *said;

		patch(rows[i].does, rows[i].at, rows[i].bytes, rows[i].len);
		said = first_detail(files_check(CHECK_FULL));
		cr_expect(text_has_prefix(said, rows[i].why), "row %zu: \"%s\", not \"%s\"", i, said, rows[i].why);
	}
}

Test(index_check, an_extension_that_must_be_known_is_named)
{
	const struct files_result *result;

	cr_assert(sh(FILES_VARIABLES "printf 'wxyz\\0\\0\\0\\0' >x; truncate -s -20 $A/index; cat x >>$A/index; "
				     "head -c 20 /dev/zero >>$A/index"));
	result = files_check(CHECK_FULL);
	cr_expect_str_eq(files_found(result), "unsupported-index");
	cr_expect(strstr(first_detail(result), "wxyz") != NULL);
}

/* runs and literals, and a run that asks for more than there is */
Test(index_check, bit_sets_are_bounded)
{
	static const uint8_t huge[] = { 0, 0, 0, 64, 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0 };
	static const uint8_t fine[] = { 0, 0, 0, 70, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3,
					0, 0, 0, 0,  0, 0, 0, 5, 0, 0, 0, 0 };
	struct bitmap bitmap = { 0 };
	size_t used = 0;

	cr_expect_eq(bitmap_parse(huge, sizeof(huge), 100, &bitmap, &used), -EUCLEAN);
	cr_expect_eq(bitmap_parse(fine, sizeof(fine), 66, &bitmap, &used), -EUCLEAN);
	cr_assert_eq(bitmap_parse(fine, sizeof(fine), 70, &bitmap, &used), 0);
	cr_expect_eq(used, sizeof(fine));
	cr_assert_eq(bitmap.n, 66); /* 64 of a run, and bits 0 and 2 of a literal */
	cr_expect_eq(bitmap.v[65], 66);
	bitmap_deinit(&bitmap);
}

static void flip_all(const char *does)
{
	files_restore();
	cr_assert(sh(FILES_VARIABLES "%s", does), "%s", does);
	files_flip(INDEX, 0xff, 1);
	files_flip_sealed(INDEX, 0xff, 1);
	files_flip_sealed(INDEX, 0x01, 1);
}

Test(index_check, every_byte_flipped_of_version_2, .timeout = 240)
{
	flip_all(RESOLVED);
}

Test(index_check, every_byte_flipped_of_version_4, .timeout = 240)
{
	flip_all(RESOLVED "s update-index --index-version 4");
}

Test(index_check, every_byte_flipped_of_a_split_one, .timeout = 240)
{
	flip_all(SPLIT);
	files_restore();
	cr_assert(sh(FILES_VARIABLES SPLIT "ln -s $(basename $(ls $A/sharedindex.*)) $A/shared"));
	files_flip("r/.git/worktrees/slotd-a-1/shared", 0xff, 1);
}

/* with a right checksum it is another good index, of which git misses trees that it only thinks of */
Test(index_check, every_byte_flipped_of_a_sparse_one, .timeout = 240)
{
	cr_assert(sh(FILES_VARIABLES "mkdir $S/z && echo z >$S/z/z && s add . && s commit -qm z && "
				     "s sparse-checkout set --cone --sparse-index d"));
	files_flip(INDEX, 0xff, 1);
}

static uint64_t usec_of(enum check_depth depth)
{
	struct timespec from, to;

	clock_gettime(CLOCK_MONOTONIC, &from);
	files_check(depth);
	clock_gettime(CLOCK_MONOTONIC, &to);
	return (uint64_t)(to.tv_sec - from.tv_sec) * 1000000 + (uint64_t)(to.tv_nsec / 1000) - (uint64_t)(from.tv_nsec / 1000);
}

/* a bound that only what is wrong by a power of ten exceeds, for sanitizers and busy machines */
Test(index_check, a_slot_of_5000_files_is_looked_at_in_no_time)
{
	uint64_t best = UINT64_MAX;

	cr_assert(sh(FILES_VARIABLES "cd $S; for d in $(seq 50); do mkdir -p n/$d; for i in $(seq 100); do echo $i >n/$d/$i; done; done; "
				     "git add . && git commit -qm many"));
	for (int i = 0; i < 5; i++) {
		uint64_t usec = usec_of(CHECK_QUICK);

		best = usec < best ? usec : best;
	}
	cr_expect_gt(roots_count(files_check(CHECK_QUICK)->roots), 5000);
	cr_expect_lt(best, 500000);
}
