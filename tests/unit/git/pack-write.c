/* What is written into a pack, git(1) reads out of it. */
#include "git/pack-write.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "git-fixture.h"
#include "git/odb.h"
#include "git/pack-index.h"
#include "pack-fixture.h"
#include "util/fs.h"
#include "util/text.h"

#define MIB (1 << 20)

static struct fault f;

TestSuite(pack_write, .init = pack_fixture_init, .fini = pack_fixture_deinit, .timeout = 300);

/* the stream of these numbers into a file */
static void put_file(const char *name, uint64_t size, uint64_t state)
{
	struct maker m = { .left = size, .state = state, .interrupted = 1 };
	FILE *file = fopen(in_dir(name), "w");
	char buf[65536];
	ssize_t n;

	cr_assert(file);
	while ((n = maker_read(buf, sizeof(buf), &m)) > 0)
		cr_assert_eq(fwrite(buf, 1, (size_t)n, file), (size_t)n);
	cr_assert_eq(fclose(file), 0);
}

static const uint64_t sizes[] = {
	0,     1,      2,      15,     16,     17,     2047,   2048,	2049,	 32767,
	32768, 131071, 131072, 131073, 262144, 262145, 393216, 1048575, 5000000,
};

#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

Test(pack_write, blobs_of_any_size_are_named_and_kept_as_git_does_it)
{
	struct pack_writer *w = writer_new();
	char *streamed[2][N_SIZES], *name;

	for (size_t i = 0; i < N_SIZES; i++)
		for (uint64_t noise = 0; noise < 2; noise++)
			streamed[noise][i] = add_stream(w, sizes[i], noise * (i + 1));
	/* but for the empty one, which is the same with noise */
	cr_assert_eq(pack_writer_count(w), 2 * N_SIZES - 1);
	name = finish(w);
	assert_good(name);
	for (size_t i = 0; i < N_SIZES; i++)
		for (uint64_t noise = 0; noise < 2; noise++) {
			put_file("want", sizes[i], noise * (i + 1));
			cr_assert_str_eq(sh_text("git -C r hash-object ../want"),
					 streamed[noise][i]);
			cr_assert(sh("git -C r cat-file blob %s | cmp - want", streamed[noise][i]));
		}
}

Test(pack_write, from_memory_it_is_the_same_pack_as_from_a_stream)
{
	struct pack_writer *w = writer_new();
	char *name, *data;
	size_t len;

	for (size_t i = 0; i < N_SIZES; i++)
		add_stream(w, sizes[i], i + 1);
	name = finish(w);
	cr_assert_eq(pack_drop_keep(objects, name, &f), 0, "%s", f.text);
	cr_assert(
		sh("mv r/.git/objects/pack/%s.pack streamed && rm -f r/.git/objects/pack/*", name));
	w = writer_new();
	for (size_t i = 0; i < N_SIZES; i++) {
		put_file("want", sizes[i], i + 1);
		cr_assert_eq(fs_read_file_at(AT_FDCWD, in_dir("want"), 8 * MIB, &data, &len), 0);
		add(w, GIT_OBJECT_BLOB, data, len);
		free(data);
	}
	cr_assert_str_eq(finish(w), name);
	cr_assert(sh("cmp streamed r/.git/objects/pack/%s.pack", name));
}

Test(pack_write, libgit2_reads_it_too)
{
	struct pack_writer *w = writer_new();
	char *hex = add_stream(w, 300000, 7);
	git_odb_object *object;
	git_odb *odb;
	git_oid oid;

	finish(w);
	cr_assert_eq(odb_open(in_dir("r/.git/objects"), &odb, &f), 0, "%s", f.text);
	cr_assert_eq(git_oid_fromstr(&oid, hex), 0);
	cr_assert_eq(git_odb_read(&object, odb, &oid), 0);
	cr_assert_eq(git_odb_object_size(object), 300000);
	git_odb_object_free(object);
	git_odb_free(odb);
}

/* a commit of a tree with one file in a directory, and a tag of it */
static char *add_history(struct pack_writer *w, char **ret_commit)
{
	static const char who[] = "A U Thor <author@example.org> 1700000000 +0000";
	char *blob = add_text(w, "kept\n"), *inner, *outer, *text;
	char entry[64];
	git_oid oid;

	git_oid_fromstr(&oid, blob);
	memcpy(entry, "100644 f", 9);
	memcpy(entry + 9, oid.id, GIT_OID_RAWSZ);
	inner = add(w, GIT_OBJECT_TREE, entry, 9 + GIT_OID_RAWSZ);
	git_oid_fromstr(&oid, inner);
	memcpy(entry, "40000 d", 8);
	memcpy(entry + 8, oid.id, GIT_OID_RAWSZ);
	outer = add(w, GIT_OBJECT_TREE, entry, 8 + GIT_OID_RAWSZ);
	text = fixture_keep(
		text_printf("tree %s\nauthor %s\ncommitter %s\n\nsaved\n", outer, who, who));
	*ret_commit = add(w, GIT_OBJECT_COMMIT, text, strlen(text));
	text = fixture_keep(text_printf("object %s\ntype commit\ntag t\ntagger %s\n\nsaved\n",
					*ret_commit, who));
	return add(w, GIT_OBJECT_TAG, text, strlen(text));
}

Test(pack_write, a_ref_on_it_holds_commits_trees_and_tags_through_a_repack)
{
	struct pack_writer *w = writer_new();
	char *commit, *tag = add_history(w, &commit), *name;

	cr_assert_eq(pack_writer_count(w), 5);
	name = finish(w);
	assert_good(name);
	cr_assert(sh("git -C r update-ref refs/slotd/salvage/a-1/x/1 %s", tag));
	cr_assert_eq(pack_drop_keep(objects, name, &f), 0, "%s", f.text);
	cr_assert(sh("git -C r repack -adq && git -C r gc -q --prune=now"));
	cr_assert(sh("! ls r/.git/objects/pack/%s.*", name));
	cr_assert(sh("git -C r fsck --strict --full 2>&1"));
	cr_assert_str_eq(sh_text("git -C r cat-file -p %s:d/f", commit), "kept");
	cr_assert_str_eq(sh_text("git -C r log -1 --format=%%s refs/slotd/salvage/a-1/x/1"),
			 "saved");
}

Test(pack_write, without_an_object_nothing_is_made)
{
	struct pack_writer *w = writer_new();

	cr_assert_eq(pack_writer_count(w), 0);
	cr_assert_str_eq(finish(w), "");
	cr_assert_str_eq(pack_files(), "");
	cr_assert_eq(pack_drop_keep(objects, "", &f), 0);
	pack_writer_free(NULL);
}

Test(pack_write, what_is_in_it_is_not_written_twice)
{
	struct pack_writer *w = writer_new();
	char *small = add_text(w, "once\n"), *large = add_stream(w, MIB, 3), *name;
	struct maker m = { .left = MIB, .state = 3 };
	char *data = malloc(MIB);

	for (size_t at = 0; at < MIB;) {
		ssize_t n = maker_read(data + at, MIB - at, &m);

		at += n > 0 ? (size_t)n : 0;
	}
	for (int i = 0; i < 5; i++) {
		cr_assert_str_eq(add_text(w, "once\n"), small);
		cr_assert_str_eq(add_stream(w, MIB, 3), large);
		cr_assert_str_eq(add(w, GIT_OBJECT_BLOB, data, MIB), large);
	}
	free(data);
	cr_assert_eq(pack_writer_count(w), 2);
	/* and what comes after one that was cut out is whole */
	add_text(w, "after\n");
	name = finish(w);
	assert_good(name);
	cr_assert_lt(atoi(sh_text("stat -c %%s r/.git/objects/pack/%s.pack", name)), MIB + 2000);
}

static bool is_under_valgrind(void)
{
	return getenv("SLOTD_UNDER_VALGRIND") != NULL;
}

/* the most memory that this process ever had, in KiB */
static long peak(void)
{
	struct rusage usage;

	cr_assert_eq(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_maxrss;
}

Test(pack_write, large_files_are_streamed)
{
	uint64_t size = is_under_valgrind() ? 3 * MIB : 100 * MIB;
	struct pack_writer *w = writer_new();
	char *noise, *zeros, *name;
	long before;

	add_stream(w, 2 * MIB, 1);
	before = peak();
	noise = add_stream(w, size, 42);
	zeros = add_stream(w, size, 0);
	name = finish(w);
	cr_assert_lt(peak() - before, 8 * 1024, "%ld KiB more", peak() - before);
	cr_assert(sh("git -C r index-pack --verify .git/objects/pack/%s.pack", name));
	put_file("want", size, 42);
	cr_assert(sh("git -C r cat-file blob %s | cmp - want", noise));
	cr_assert(
		sh("git -C r cat-file blob %s | cmp - /dev/zero 2>&1 | grep -q 'EOF on -'", zeros));
	cr_assert_str_eq(sh_text("git -C r cat-file -s %s", zeros), sh_text("stat -c %%s want"));
}

static int stream(struct pack_writer *w, uint64_t size, struct maker m)
{
	git_oid oid = { { 1 } }, before = oid;
	int r;

	f = (struct fault)FAULT_NONE;
	r = pack_writer_add_stream(w, size, maker_read, &m, &oid, &f);
	cr_assert(r == 0 || git_oid_equal(&oid, &before), "the name was written");
	return r;
}

Test(pack_write, a_stream_of_another_length_is_cut_out_again)
{
	struct pack_writer *w = writer_new();
	char *name, *want;

	add_text(w, "before\n");
	for (size_t i = 0; i < N_SIZES; i++) {
		uint64_t n = sizes[i];

		cr_assert_eq(stream(w, n + 1, (struct maker){ .left = n, .state = 5 }), -EAGAIN);
		cr_assert(strstr(f.text, "fewer") != NULL, "%s", f.text);
		cr_assert_eq(stream(w, n, (struct maker){ .left = n + 1, .state = 5 }), -EAGAIN);
		cr_assert(strstr(f.text, "more") != NULL, "%s", f.text);
		cr_assert_eq(
			stream(w, n + 1, (struct maker){ .left = n, .state = 5, .fail = -EIO }),
			-EIO);
		cr_assert(strstr(f.text, "cannot read") != NULL, "%s", f.text);
		cr_assert_eq(stream(w, n, (struct maker){ .left = n, .state = 5, .fail = -EIO }),
			     -EIO);
		cr_assert_eq(pack_writer_count(w), 1 + i);
		add_stream(w, n, i + 1);
	}
	name = finish(w);
	assert_good(name);
	/* as if nothing had been */
	w = writer_new();
	add_text(w, "before\n");
	for (size_t i = 0; i < N_SIZES; i++)
		add_stream(w, sizes[i], i + 1);
	want = finish(w);
	cr_assert_str_eq(name, want);
}

Test(pack_write, thousands_of_small_objects_are_found_again)
{
	struct pack_writer *w = writer_new();
	int n = is_under_valgrind() ? 500 : 5000;
	git_oid oid;
	char text[32], *name;

	for (int i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "%d\n", i);
		cr_assert_eq(pack_writer_add(w, GIT_OBJECT_BLOB, text, strlen(text), &oid, &f), 0);
	}
	cr_assert_eq(pack_writer_count(w), (size_t)n);
	for (int i = 0; i < 2 * n; i++) {
		snprintf(text, sizeof(text), "%d\n", i);
		cr_assert_eq(git_odb_hash(&oid, text, strlen(text), GIT_OBJECT_BLOB), 0);
		cr_assert_eq(pack_writer_has(w, &oid), i < n, "%d", i);
	}
	name = finish(w);
	assert_good(name);
	cr_assert(sh("git show-index < r/.git/objects/pack/%s.idx | cut -d' ' -f2 | "
		     "git -C r cat-file --batch-check='%%(objecttype)' | sort | uniq -c | "
		     "grep -qx ' *%d blob'",
		     name, n));
	cr_assert_str_eq(
		sh_text("echo %d | git -C r hash-object --stdin | git -C r cat-file --batch | "
			"tail -n +2",
			n - 1),
		fixture_keep(text_printf("%d\n", n - 1)));
}

/* an index that git reads: lines of "offset name (crc)" */
static char *show_index(const struct pack_table *t)
{
	git_oid sum = { { 9 } };
	uint8_t *data;
	size_t len;
	FILE *file;

	cr_assert_eq(pack_index_encode(t, &sum, &data, &len), 0);
	file = fopen(in_dir("i.idx"), "w");
	cr_assert_eq(fwrite(data, 1, len, file), len);
	cr_assert_eq(fclose(file), 0);
	free(data);
	return sh_text("git show-index < i.idx");
}

static char *line(const struct pack_entry *e)
{
	return fixture_keep(text_printf("%llu %s (%08x)", (unsigned long long)e->offset,
					git_oid_tostr_s(&e->oid), e->crc));
}

Test(pack_write, offsets_beyond_31_bits_are_in_the_index)
{
	static const struct pack_entry entries[] = {
		{ { { 0xff, 1 } }, 0xffffffff, 12 },
		{ { { 0x80 } }, 1, 0x7fffffff },
		{ { { 0 } }, 2, 0x80000000 },
		{ { { 0xff, 0 } }, 3, 0x80000001 },
		{ { { 0x7f } }, 4, 0xffffffff },
		{ { { 0x00, 7 } }, 5, 0x100000000 },
		{ { { 0x01 } }, 0xdeadbeef, 0x123456789abcdef },
	};
	static const int by_name[] = { 2, 5, 6, 4, 1, 3, 0 };
	struct pack_table t = { 0 };
	struct text want = { 0 };
	char *text;

	for (size_t i = 0; i < 7; i++)
		cr_assert_eq(pack_table_add(&t, &entries[i]), 0);
	for (size_t i = 0; i < 7; i++) {
		cr_assert_eq(pack_table_find(&t, &entries[i].oid)->offset, entries[i].offset);
		text_addf(&want, "%s%s", i ? "\n" : "", line(&entries[by_name[i]]));
	}
	text = fixture_keep(text_take(&want));
	cr_assert_str_eq(show_index(&t), text);
	pack_table_deinit(&t);
}

Test(pack_write, what_the_file_system_refuses_is_told_and_cut_out)
{
	struct rlimit before, small;
	struct pack_writer *w;
	char *kept, *name;
	git_oid oid;
	char *data = malloc(2 * MIB);

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = 1 * MIB;
	w = writer_new();
	kept = add_stream(w, MIB / 2, 11);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	cr_assert_eq(stream(w, 3 * MIB, (struct maker){ .left = 3 * MIB, .state = 12 }), -EFBIG);
	cr_assert(strstr(f.text, "r/.git/objects/pack: File too large") != NULL, "%s", f.text);
	maker_read(data, 2 * MIB,
		   &(struct maker){ .left = 2 * MIB, .state = 13, .interrupted = 1 });
	cr_assert_eq(pack_writer_add(w, GIT_OBJECT_BLOB, data, 2 * MIB, &oid, &f), -EFBIG);
	free(data);
	cr_assert_eq(pack_writer_count(w), 1);
	add_text(w, "this fits\n");
	name = finish(w);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_good(name);
	cr_assert(sh("git -C r cat-file -e %s", kept));
}

Test(pack_write, one_that_cannot_be_cut_back_is_not_used_any_more)
{
	struct pack_writer *w = writer_new();
	char name[PACK_NAME_SIZE];
	git_oid oid;

	add_text(w, "before\n");
	refuse(SYS_ftruncate, 0, 0, 0, EIO);
	cr_assert_eq(stream(w, 2, (struct maker){ .left = 1, .state = 1 }), -EAGAIN);
	cr_assert_eq(pack_writer_add(w, GIT_OBJECT_BLOB, "x", 1, &oid, &f), -EIO);
	cr_assert_eq(stream(w, 2, (struct maker){ .left = 2, .state = 1 }), -EIO);
	cr_assert_eq(pack_writer_finish(w, "", name, &f), -EIO);
	pack_writer_free(w);
	cr_assert_str_eq(pack_files(), "");
}
