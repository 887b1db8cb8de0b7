#include "integrity/pack.h"

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
#include "git/sha1.h"
#include "pack-fixture.h"
#include "util/text.h"

#define DIR   "r/.git/objects/pack"
#define PACK  DIR "/pack-1.pack"
#define INDEX DIR "/pack-1.idx"
#define REV   DIR "/pack-1.rev"
#define SUM   GIT_OID_RAWSZ

static struct check_fixture f;
static int dir_fd = -1;

static void setup(void)
{
	fixture_init();
	check_fixture_init(&f);
}

static void teardown(void)
{
	if (dir_fd >= 0)
		close(dir_fd);
	check_fixture_deinit(&f);
	fixture_deinit();
}

TestSuite(pack_files, .init = setup, .fini = teardown, .timeout = 230);

/* one small pack with a delta in it, as pack-1.*, nothing loose */
static void make_repo(const char *config)
{
	cr_assert(sh("git init -q r && cd r && seq 100 160 >a && git add . && git commit -qm 1 && echo more >>a && echo b >b && "
		     "git add . && git commit -qm 2 && git %s repack -adfq && cd .git/objects/pack && "
		     "for x in pack-*; do mv $x pack-1.${x##*.}; done && chmod u+w *",
		     config));
	dir_fd = open(in_dir(DIR), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(dir_fd, 0);
}

static void forget(void)
{
	findings_free(f.check.findings);
	f.check.findings = findings_new();
}

/* all that is said about the pack: the number of findings */
static size_t check(void)
{
	struct told told = { 0 };
	struct pack *p;
	int r = pack_open(&f.check, dir_fd, DIR, "pack-1", &p);

	if (r == 0) {
		cr_assert_eq(pack_check_files(&f.check, p), 0);
		cr_assert_eq(told_walk(&f, p, &told), 0);
		cr_expect(eq(u32, told.good + told.bad, told.n));
		told_deinit(&told);
		pack_close(p);
	} else {
		cr_assert(r == -EBADMSG, "%d", r);
	}
	return findings_kept(f.check.findings);
}

static bool is_git_content(void)
{
	return sh("git -C r fsck --full --no-dangling >/dev/null 2>&1");
}

Test(pack_files, sound_ones_of_each_kind)
{
	static const char *const configs[] = {
		"", "-c pack.writeReverseIndex=true", "-c pack.indexVersion=1", "-c repack.writeBitmaps=true",
		"-c repack.useDeltaBaseOffset=false",
	};

	for (size_t i = 0; i < sizeof(configs) / sizeof(*configs); i++) {
		make_repo(configs[i]);
		cr_expect(eq(sz, check(), 0), "%s", configs[i]);
		findings_show(&f);
		close(dir_fd);
		dir_fd = -1;
		cr_assert(sh("rm -rf r"));
	}
}

Test(pack_files, unreachable_objects_with_their_times)
{
	make_repo("");
	cr_assert(sh("cd r && echo gone | git hash-object -w --stdin && git repack -dq --cruft && cd .git/objects/pack && "
		     "m=$(ls *.mtimes) && rm -f pack-1.* && for x in ${m%%.mtimes}.*; do mv $x pack-1.${x##*.}; done && "
		     "chmod u+w *"));
	cr_expect(eq(sz, check(), 0));
	cr_assert(sh("cd %s && printf x | dd of=pack-1.mtimes bs=1 seek=13 conv=notrunc 2>/dev/null", DIR));
	cr_expect(eq(sz, check(), 1));
}

/* the checksum at the end of a file, made right */
static void mend(unsigned char *data, size_t len)
{
	struct sha1 sha1;
	git_oid oid;

	sha1_init(&sha1);
	sha1_update(&sha1, data, len - SUM);
	cr_assert_eq(sha1_final(&sha1, &oid), 0);
	memcpy(data + len - SUM, oid.id, SUM);
}

/* each byte wrong in turn, and the file cut at every length: each is told */
static void harm_all(const char *name)
{
	size_t len;
	unsigned char *data = bytes_load(name, &len);

	for (size_t i = 0; i < len; i++) {
		forget();
		data[i] ^= (unsigned char)(1U << i % 8);
		bytes_store(name, data, len);
		data[i] ^= (unsigned char)(1U << i % 8);
		cr_expect_gt(check(), 0, "byte %zu of %s", i, name);
	}
	for (size_t n = 0; n < len; n++) {
		forget();
		bytes_store(name, data, n);
		cr_expect_gt(check(), 0, "%s cut at %zu", name, n);
	}
	forget();
	bytes_store(name, data, len);
	cr_expect(eq(sz, check(), 0));
	free(data);
}

Test(pack_files, every_byte_of_a_pack_wrong)
{
	make_repo("");
	harm_all(PACK);
}

Test(pack_files, every_byte_of_an_index_wrong)
{
	make_repo("");
	harm_all(INDEX);
}

Test(pack_files, every_byte_of_an_old_index_wrong)
{
	make_repo("-c pack.indexVersion=1");
	harm_all(INDEX);
}

Test(pack_files, every_byte_of_a_reverse_index_wrong)
{
	make_repo("-c pack.writeReverseIndex=true");
	harm_all(REV);
}

Test(pack_files, bytes_of_a_bitmap_wrong)
{
	make_repo("-c repack.writeBitmaps=true");
	harm_all(DIR "/pack-1.bitmap");
}

/* checksums that fit what is wrong: whatever git sees then we see */
static void harm_and_mend(const char *name, bool is_pack)
{
	size_t len, index_len, silent = 0;
	unsigned char *data = bytes_load(name, &len), *index = bytes_load(INDEX, &index_len), *copy = malloc(len);

	for (size_t i = 0; i < len - SUM; i++) {
		forget();
		memcpy(copy, data, len);
		copy[i] ^= (unsigned char)(1U << i % 8);
		mend(copy, len);
		bytes_store(name, copy, len);
		if (is_pack) {
			memcpy(index + index_len - 2 * SUM, copy + len - SUM, SUM);
			mend(index, index_len);
			bytes_store(INDEX, index, index_len);
		}
		if (check() > 0)
			continue;
		silent++;
		cr_expect(is_git_content(), "git sees what is wrong with byte %zu of %s", i, name);
	}
	fprintf(stderr, "%s: %zu bytes, %zu make no difference\n", name, len, silent);
	free(data);
	free(index);
	free(copy);
}

Test(pack_files, a_wrong_byte_under_a_right_checksum)
{
	make_repo("");
	harm_and_mend(PACK, true);
}

Test(pack_files, a_wrong_byte_under_a_right_checksum_without_crc)
{
	make_repo("-c pack.indexVersion=1");
	harm_and_mend(PACK, true);
}

Test(pack_files, a_wrong_byte_of_an_index_under_a_right_checksum)
{
	make_repo("");
	harm_and_mend(INDEX, false);
}

Test(pack_files, a_wrong_byte_of_an_old_index_under_a_right_checksum)
{
	make_repo("-c pack.indexVersion=1");
	harm_and_mend(INDEX, false);
}

static const struct {
	const char *harm, *id;
} harms[] = {
	{ "rm pack-1.pack", "missing-pack" },
	{ "rm pack-1.idx", "missing-pack-index" },
	{ "rm pack-1.idx && mkfifo pack-1.idx", "unreadable-file" },
	{ "rm pack-1.pack && mkfifo pack-1.pack", "unreadable-file" },
	{ "mv pack-1.pack x && ln -s x pack-1.pack", "unreadable-file" },
	{ "mv pack-1.idx x && ln -s x pack-1.idx", "unreadable-file" },
	{ "printf '\\0\\0\\0\\4' | dd of=pack-1.pack bs=1 seek=4 conv=notrunc", "unsupported-pack" },
	{ "printf '\\0\\0\\0\\3' | dd of=pack-1.idx bs=1 seek=4 conv=notrunc", "unsupported-pack" },
	{ "printf '\\0\\0\\0\\4' | dd of=pack-1.pack bs=1 seek=8 conv=notrunc", "corrupt-pack" },
	{ ">pack-1.pack", "corrupt-pack" },
	{ ">pack-1.idx", "corrupt-pack-index" },
	{ "truncate -s 1T pack-1.idx", "corrupt-pack-index" },
	{ "truncate -s 4M pack-1.pack", "corrupt-pack" },
	{ "rm -f pack-1.rev && mkfifo pack-1.rev", "corrupt-rev-index" },
	{ "cp pack-1.idx pack-1.bitmap", "corrupt-bitmap" },
};

Test(pack_files, files_that_are_not_what_they_should_be)
{
	for (size_t i = 0; i < sizeof(harms) / sizeof(*harms); i++) {
		make_repo("");
		forget();
		cr_assert(sh("cd %s && (%s) 2>/dev/null", DIR, harms[i].harm));
		cr_expect_gt(check(), 0);
		cr_expect_gt(findings_of(&f, harms[i].id), 0, "%s", harms[i].harm);
		close(dir_fd);
		dir_fd = -1;
		cr_assert(sh("rm -rf r"));
	}
}

Test(pack_files, one_that_is_gone_altogether)
{
	struct pack *p;

	make_repo("");
	cr_assert(sh("rm %s/*", DIR));
	cr_expect_eq(pack_open(&f.check, dir_fd, DIR, "pack-1", &p), -ENOENT);
	cr_expect(eq(sz, findings_kept(f.check.findings), 0));
}

/* an index that names the same place twice, and misses another object */
Test(pack_files, two_objects_at_one_place)
{
	struct pack_builder b;
	struct pack *p;

	cr_assert_eq(mkdir(in_dir("p"), 0755), 0);
	builder_init(&b);
	builder_add_blob(&b, "one", 3);
	builder_add_blob(&b, "two", 3);
	b.offsets[1] = b.offsets[0];
	builder_write(&b, "p", "pack-1");
	builder_deinit(&b);
	cr_assert_eq(pack_open_in(&f, "p", "pack-1", &p), 0);
	cr_assert_eq(pack_check_files(&f.check, p), 0);
	cr_expect_gt(findings_of(&f, "corrupt-pack-index"), 0);
	pack_close(p);
}
