#include "integrity/pack.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "git-fixture.h"
#include "git/sha1.h"
#include "pack-fixture.h"

static struct check_fixture f;

static void setup(void)
{
	fixture_init();
	check_fixture_init(&f);
	mkdir(in_dir("p"), 0755);
}

static void teardown(void)
{
	check_fixture_deinit(&f);
	fixture_deinit();
}

TestSuite(pack_walk, .init = setup, .fini = teardown);

/* a repository with long chains, several types, and a tag */
static void make_repo(int commits)
{
	cr_assert(sh("git init -q r && cd r && mkdir -p a/b && seq 1 300 >a/b/long && echo x >x && "
		     "for i in $(seq 1 %d); do echo line $i in the middle >>a/b/long; "
		     "[ $((i %% 7)) -eq 0 ] && seq $i 99 >a/$i; git add . && git commit -qm \"c $i\"; done; "
		     "git tag -am tagged v1",
		     commits));
}

/* packs all of it as p/pack-1 with options for git pack-objects and for git index-pack */
static void pack_repo(const char *pack_options, const char *index_options)
{
	cr_assert(sh("cd r && git rev-list --objects --all | git pack-objects -q %s ../p/tmp >/dev/null && cd ../p && "
		     "mv tmp-*.pack pack-1.pack && rm -f tmp-* && git index-pack %s pack-1.pack >/dev/null",
		     pack_options, index_options));
}

/* each object of the pack has the type that git says, and came once */
static void expect_as_git(struct pack *p, const struct told *told)
{
	FILE *list;
	char hex[64], type[16];
	unsigned n = 0;

	cr_assert(sh("git -C r cat-file --batch-all-objects --batch-check='%%(objectname) %%(objecttype)' >list"));
	list = fopen(in_dir("list"), "r");
	while (fscanf(list, "%63s %15s", hex, type) == 2) {
		git_oid oid;
		int64_t pos;

		git_oid_fromstr(&oid, hex);
		pos = pack_find(p, oid.id);
		cr_assert_geq(pos, 0, "%s", hex);
		cr_expect_eq(told->v[pos], (int)git_object_string2type(type), "%s", hex);
		n++;
	}
	fclose(list);
	cr_expect(eq(u32, n, told->good));
	cr_expect(eq(u32, told->n, told->good));
	cr_expect(eq(u32, told->bad, 0));
	cr_expect(eq(u32, told->repeated, 0));
}

static void walk_with(unsigned threads, uint64_t memory, bool detect)
{
	struct told told = { .walker.detect_collisions = detect };
	struct pack *p;

	f.spec.threads = threads;
	f.spec.memory_bytes = memory;
	cr_assert_eq(pack_open_in(&f, "p", "pack-1", &p), 0);
	cr_assert_eq(told_walk(&f, p, &told), 0);
	expect_as_git(p, &told);
	cr_expect(eq(sz, findings_kept(f.check.findings), 0));
	told_deinit(&told);
	pack_close(p);
}

static void walk_in_all_ways(void)
{
	walk_with(1, 0, false);
	walk_with(2, 0, false);
	walk_with(5, 0, true);
	walk_with(1, 2000, false); /* nearly all bases are dropped and made again */
	walk_with(3, 9000, true);
}

Test(pack_walk, every_object_comes_once_with_its_type)
{
	make_repo(60);
	pack_repo("--delta-base-offset", "");
	walk_in_all_ways();
}

Test(pack_walk, deltas_by_name_and_an_old_index)
{
	make_repo(40);
	pack_repo("--no-delta-base-offset", "--index-version=1");
	walk_in_all_ways();
}

Test(pack_walk, long_chains_and_offsets_of_64_bits)
{
	make_repo(150);
	pack_repo("--delta-base-offset --depth=400 --window=30", "--index-version=2,0x40");
	walk_in_all_ways();
}

Test(pack_walk, a_pack_without_objects)
{
	struct told told = { 0 };
	struct pack *p;
	git_oid oid = { { 0 } };

	cr_assert(sh("git init -q r && cd r && git pack-objects -q ../p/tmp </dev/null && cd ../p && "
		     "mv tmp-*.pack pack-1.pack && git index-pack pack-1.pack >/dev/null"));
	cr_assert_eq(pack_open_in(&f, "p", "pack-1", &p), 0);
	cr_assert_eq(told_walk(&f, p, &told), 0);
	cr_expect(eq(u32, told.good + told.bad, 0));
	cr_expect_eq(pack_find(p, oid.id), -ENOENT);
	told_deinit(&told);
	pack_close(p);
}

Test(pack_walk, a_large_blob_is_hashed_in_pieces)
{
	cr_assert(sh("git init -q r && cd r && head -c 3000000 /dev/urandom >big && seq 1 300000 >text && git add . && "
		     "git commit -qm 1 && echo more >>text && git add . && git commit -qm 2"));
	pack_repo("--delta-base-offset", "");
	for (int detect = 0; detect < 2; detect++) {
		struct told told = { .walker.detect_collisions = detect };
		struct pack *p;

		f.spec.memory_bytes = 1 << 20;
		cr_assert_eq(pack_open_in(&f, "p", "pack-1", &p), 0);
		cr_assert_eq(told_walk(&f, p, &told), 0);
		expect_as_git(p, &told);
		/* of the two texts one is a base, and needed as a whole; the other is a delta */
		cr_expect(eq(u32, told.in_pieces, 2));
		told_deinit(&told);
		pack_close(p);
	}
}

Test(pack_walk, only_roots_of_a_range)
{
	struct pack *p;
	uint64_t size, good = 0;

	make_repo(50);
	pack_repo("--delta-base-offset", "");
	cr_assert_eq(pack_open_in(&f, "p", "pack-1", &p), 0);
	size = (uint64_t)pack_stat(p, NULL)->st_size;
	for (uint64_t at = 0; at < size; at += size / 5 + 1) {
		struct told told = { .walker.from = at, .walker.until = at + size / 5 + 1 };

		cr_assert_eq(told_walk(&f, p, &told), 0);
		cr_expect_lt(told.good, told.n);
		good += told.good;
		told_deinit(&told);
	}
	cr_expect(eq(u64, good, pack_count(p)));
	pack_close(p);
}

Test(pack_walk, ends_when_told)
{
	struct told told = { .stop_after = 3 };
	struct pack *p;

	make_repo(20);
	pack_repo("--delta-base-offset", "");
	cr_assert_eq(pack_open_in(&f, "p", "pack-1", &p), 0);
	cr_expect_eq(told_walk(&f, p, &told), -EINTR);
	told_deinit(&told);
	f.check.stop = -ECANCELED;
	cr_expect_eq(told_walk(&f, p, &told), -ECANCELED);
	told_deinit(&told);
	pack_close(p);
}

Test(pack_walk, one_object_is_read_along_its_chain)
{
	struct pack *p;
	unsigned n = 0;
	FILE *list;
	char hex[64], name[16];
	size_t size;

	make_repo(60);
	pack_repo("--delta-base-offset --depth=200", "");
	cr_assert(sh("git -C r cat-file --batch-all-objects --batch-check='%%(objectname) %%(objecttype) %%(objectsize)' >list"));
	cr_assert_eq(pack_open_in(&f, "p", "pack-1", &p), 0);
	list = fopen(in_dir("list"), "r");
	while (fscanf(list, "%63s %15s %zu", hex, name, &size) == 3) {
		git_object_t type;
		uint64_t header_len;
		void *data = NULL;
		size_t len;
		git_oid oid;
		uint32_t pos;

		git_oid_fromstr(&oid, hex);
		pos = (uint32_t)pack_find(p, oid.id);
		cr_assert_eq(pack_read_header(p, pos, &type, &header_len), 0);
		cr_expect(eq(u64, header_len, size));
		cr_expect_str_eq(git_object_type2string(type), name);
		if (size > 0)
			cr_expect_eq(pack_read(p, pos, NULL, size - 1, &type, &data, &len), -EFBIG);
		cr_assert_eq(pack_read(p, pos, NULL, size, &type, &data, &len), 0);
		cr_expect(eq(sz, len, size));
		free(data);
		n++;
	}
	fclose(list);
	cr_expect(eq(u32, n, pack_count(p)));
	pack_close(p);
}

/* --- what git does not make --- */

static git_oid name_of(const char *data)
{
	git_oid oid;

	cr_assert_eq(sha1_object(GIT_OBJECT_BLOB, data, strlen(data), &oid), 0);
	return oid;
}

/* walks what was built; how many are bad */
static uint32_t walk_built(struct pack_builder *b, uint32_t expect_good)
{
	struct told told = { 0 };
	struct pack *p;
	uint32_t bad;

	builder_write(b, "p", "pack-1");
	builder_deinit(b);
	cr_assert_eq(pack_open_in(&f, "p", "pack-1", &p), 0);
	cr_assert_eq(told_walk(&f, p, &told), 0);
	cr_expect(eq(u32, told.good, expect_good));
	cr_expect(eq(u32, told.good + told.bad, told.n));
	cr_expect(eq(u32, told.repeated, 0));
	for (uint32_t pos = 0; pos < told.n; pos++) {
		git_object_t type;
		void *data;
		size_t len;
		int r = pack_read(p, pos, NULL, 1 << 20, &type, &data, &len);

		if (told.v[pos] > 0)
			cr_expect_eq(r, 0, "%u is %d", pos, r);
		else
			cr_expect(r == -EBADMSG || r == -EFBIG, "%u is %d", pos, r);
		if (r == 0)
			free(data);
	}
	bad = told.bad;
	told_deinit(&told);
	pack_close(p);
	return bad;
}

Test(pack_walk, a_circle_of_deltas_ends)
{
	git_oid a = name_of("a"), b = name_of("b"), c = name_of("c");
	unsigned char delta[256];
	struct pack_builder pack;
	size_t len = delta_append(1, "x", delta);

	builder_init(&pack);
	builder_add_ref(&pack, &a, &b, delta, len);
	builder_add_ref(&pack, &b, &a, delta, len);
	builder_add_ref(&pack, &c, &b, delta, len); /* leads into the circle */
	builder_add_blob(&pack, "good", 4);
	cr_expect(eq(u32, walk_built(&pack, 1), 3));
	cr_expect(eq(sz, findings_of(&f, "corrupt-object"), 3));
}

Test(pack_walk, a_delta_of_itself)
{
	git_oid a = name_of("a");
	unsigned char delta[256];
	struct pack_builder pack;

	builder_init(&pack);
	builder_add_ref(&pack, &a, &a, delta, delta_append(1, "x", delta));
	cr_expect(eq(u32, walk_built(&pack, 0), 1));
}

Test(pack_walk, a_copy_that_is_no_delta_opens_a_circle)
{
	git_oid a = name_of("a"), ab = name_of("ab");
	static const unsigned char cut[] = { 2, 1, 0x90, 1 }; /* "ab" to "a" */
	unsigned char delta[256];
	struct pack_builder pack;
	struct told told = { 0 };
	struct pack *p;

	builder_init(&pack);
	builder_add_ref(&pack, &a, &ab, cut, sizeof(cut));
	builder_add_ref(&pack, &ab, &a, delta, delta_append(1, "b", delta));
	builder_add_blob(&pack, "a", 1);
	builder_write(&pack, "p", "pack-1");
	builder_deinit(&pack);
	cr_assert_eq(pack_open_in(&f, "p", "pack-1", &p), 0);
	cr_assert_eq(told_walk(&f, p, &told), 0);
	cr_expect(eq(u32, told.good, 3));
	told_deinit(&told);
	pack_close(p);
}

Test(pack_walk, duplicates_are_each_looked_at)
{
	git_oid wrong = name_of("one");
	struct pack_builder pack;

	builder_init(&pack);
	builder_add_blob(&pack, "one", 3);
	builder_add_blob(&pack, "one", 3);
	builder_add(&pack, &wrong, GIT_OBJECT_BLOB, "two", 3, UINT64_MAX);
	builder_write(&pack, "p", "pack-1");
	cr_expect(eq(u32, walk_built(&pack, 2), 1));
}

static const struct {
	const char *what;
	const char *delta;
	size_t len;
} bad_deltas[] = {
	{ "a base of another length", "\x05\x04\x90\x04", 4 },
	{ "a result that is longer than what is made", "\x04\x06\x90\x04", 4 },
	{ "a result that is shorter", "\x04\x03\x90\x04", 4 },
	{ "a copy from behind the base", "\x04\x04\x91\x01\x04", 5 },
	{ "an instruction of nothing", "\x04\x04\x90\x04\x00", 5 },
	{ "an insertion that is cut", "\x04\x08\x90\x04\x04" "ab", 7 },
	{ "a copy that is cut", "\x04\x04\x9f\x00", 4 },
	{ "no instruction", "\x04\x00", 2 },
	{ "a length without an end", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12 },
	{ "nothing", "", 0 },
	{ "an enormous result", "\x04\xff\xff\xff\xff\xff\xff\xff\x7f\x90\x04", 11 },
};

Test(pack_walk, deltas_that_are_wrong)
{
	for (size_t i = 0; i < sizeof(bad_deltas) / sizeof(*bad_deltas); i++) {
		git_oid name = name_of("base!"), next = name_of("base!!");
		unsigned char delta[256];
		struct pack_builder pack;

		builder_init(&pack);
		builder_add_blob(&pack, "base", 4);
		builder_add_ofs(&pack, &name, 0, bad_deltas[i].delta, bad_deltas[i].len);
		builder_add_ofs(&pack, &next, 1, delta, delta_append(5, "!", delta));
		cr_expect_eq(walk_built(&pack, 1), 2, "%s", bad_deltas[i].what);
	}
}

Test(pack_walk, lengths_and_types_that_are_wrong)
{
	static const struct {
		int type;
		uint64_t claims;
	} cases[] = { { 3, 3 },	       { 3, 5 }, { 3, 0 }, { 3, 1ULL << 40 }, { 3, UINT64_MAX - 1 },
		      { 0, UINT64_MAX }, { 5, UINT64_MAX }, { 1, UINT64_MAX } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		git_oid name = name_of("data");
		struct pack_builder pack;

		builder_init(&pack);
		builder_add(&pack, &name, cases[i].type, "data", 4, cases[i].claims);
		cr_expect_eq(walk_built(&pack, 0), 1, "case %zu", i);
	}
}

/* a base that is elsewhere */
static int read_base(const git_oid *oid, git_object_t *ret_type, void **ret, size_t *ret_len, void *userdata)
{
	git_oid base = name_of("base");

	if (!git_oid_equal(oid, &base))
		return -ENOENT;
	*ret_type = GIT_OBJECT_BLOB;
	*ret = strdup("base");
	*ret_len = 4;
	return 0;
}

Test(pack_walk, a_base_that_is_elsewhere_is_asked_for)
{
	git_oid base = name_of("base"), more = name_of("base and more"), absent = name_of("absent");
	unsigned char delta[256];
	struct pack_builder pack;
	struct told told = { .walker.read_base = read_base };
	struct pack *p;
	git_object_t type;
	void *data;
	size_t len = delta_append(4, " and more", delta);

	builder_init(&pack);
	builder_add_ref(&pack, &more, &base, delta, len);
	builder_add_ref(&pack, &absent, &absent, delta, len);
	builder_write(&pack, "p", "pack-1");
	builder_deinit(&pack);
	cr_assert_eq(pack_open_in(&f, "p", "pack-1", &p), 0);
	cr_assert_eq(told_walk(&f, p, &told), 0);
	cr_expect(eq(u32, told.good, 1));
	cr_expect(eq(u32, told.bad, 1));
	cr_assert_eq(pack_read(p, (uint32_t)pack_find(p, more.id), &told.walker, 100, &type, &data, &len), 0);
	cr_expect_str_eq(data, "base and more");
	free(data);
	told_deinit(&told);
	pack_close(p);
}

Test(pack_walk, what_is_made_of_a_bad_base_comes_from_its_other_copy)
{
	git_oid base = name_of("base"), more = name_of("base and more");
	unsigned char delta[256];
	struct pack_builder pack;
	size_t len = delta_append(4, " and more", delta);

	for (int has_copy = 0; has_copy < 2; has_copy++) {
		struct told told = { .walker.read_base = has_copy ? read_base : NULL };
		struct pack *p;

		builder_init(&pack);
		builder_add(&pack, &base, GIT_OBJECT_BLOB, "base", 4, 5);
		builder_add_ofs(&pack, &more, 0, delta, len);
		builder_write(&pack, "p", "pack-1");
		builder_deinit(&pack);
		cr_assert_eq(pack_open_in(&f, "p", "pack-1", &p), 0);
		cr_assert_eq(told_walk(&f, p, &told), 0);
		cr_expect_eq(told.v[pack_find(p, base.id)], -1);
		cr_expect_eq(told.v[pack_find(p, more.id)], has_copy ? (int)GIT_OBJECT_BLOB : -1);
		told_deinit(&told);
		pack_close(p);
	}
}

Test(pack_walk, a_file_that_is_cut_meanwhile_is_damage)
{
	struct told told = { 0 };
	struct pack *p;

	make_repo(20);
	pack_repo("--delta-base-offset", "");
	cr_assert_eq(pack_open_in(&f, "p", "pack-1", &p), 0);
	cr_assert(sh("chmod u+w p/pack-1.pack && truncate -s 2000 p/pack-1.pack"));
	cr_assert_eq(told_walk(&f, p, &told), 0);
	cr_expect_gt(told.bad, 0);
	cr_expect(eq(u32, told.good + told.bad, told.n));
	told_deinit(&told);
	pack_close(p);
}
