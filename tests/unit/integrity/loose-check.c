#include "integrity/loose-check.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "git-fixture.h"
#include "git/loose.h"
#include "git/sha1.h"
#include "pack-fixture.h"
#include "util/text.h"

static struct check_fixture f;
static int objects_fd = -1;

static void setup(void)
{
	fixture_init();
	check_fixture_init(&f);
	cr_assert(sh("git init -q r && cd r && for i in 1 2 3 4 5; do echo $i >f$i; done && git add . && "
		     "git commit -qm 1 && git tag -am t t"));
	objects_fd = open(in_dir("r/.git/objects"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void teardown(void)
{
	close(objects_fd);
	check_fixture_deinit(&f);
	fixture_deinit();
}

TestSuite(loose_check, .init = setup, .fini = teardown);

static int check(const git_oid *oid, git_object_t *ret_type, uint64_t *ret_len)
{
	void *data = NULL;
	int r = loose_check_object(&f.check, objects_fd, "objects", oid, false, ret_type, &data, ret_len);

	if (r == 0)
		free(data);
	return r;
}

/* an object's file below fixture_dir, writable */
static char *file_of(const git_oid *oid)
{
	char path[GIT_OID_HEXSZ + 2];
	char *name;

	loose_path(oid, path);
	name = fixture_keep(text_printf("r/.git/objects/%s", path));
	chmod(in_dir(name), 0644);
	return name;
}

static git_oid blob_oid(const char *text)
{
	git_oid oid;

	cr_assert_eq(sha1_object(GIT_OBJECT_BLOB, text, strlen(text), &oid), 0);
	return oid;
}

struct seen {
	git_oid last;
	unsigned n, by_type[8];
};

static int on_listed(const git_oid *oid, const struct stat *st, void *userdata)
{
	struct seen *seen = userdata;
	git_object_t type;
	uint64_t len;

	cr_expect_eq(st->st_mode & S_IFMT, S_IFREG);
	if (seen->n++)
		cr_expect_lt(git_oid_cmp(&seen->last, oid), 0);
	seen->last = *oid;
	cr_assert_eq(check(oid, &type, &len), 0);
	seen->by_type[type]++;
	return 0;
}

Test(loose_check, all_are_listed_in_order_and_read)
{
	struct seen seen = { 0 };

	cr_assert_eq(loose_list(&f.check, objects_fd, "objects", on_listed, &seen), 0);
	cr_expect(eq(u32, seen.n, 8));
	cr_expect(eq(u32, seen.by_type[GIT_OBJECT_BLOB], 5));
	cr_expect(eq(u32, seen.by_type[GIT_OBJECT_TREE], 1));
	cr_expect(eq(u32, seen.by_type[GIT_OBJECT_COMMIT], 1));
	cr_expect(eq(u32, seen.by_type[GIT_OBJECT_TAG], 1));
	cr_expect(eq(sz, findings_kept(f.check.findings), 0));
}

static int count_listed(const git_oid *oid, const struct stat *st, void *userdata)
{
	return ++*(int *)userdata;
}

Test(loose_check, other_files_are_told)
{
	int n = 0;

	cr_assert(sh("cd r/.git/objects && rm -rf 0? 1? && mkdir -p aa tmp_objdir-incoming-x ZZ && "
		     "touch aa/tmp_obj_abc aa/note README maintenance.lock && echo >11 && ln -s /tmp 12"));
	cr_assert_eq(loose_list(&f.check, objects_fd, "objects", count_listed, &n), 0);
	cr_expect(eq(sz, findings_of(&f, "leftover"), 2));
	cr_expect(eq(sz, findings_of(&f, "stray-file"), 4));
	cr_expect(eq(sz, findings_of(&f, "unreadable-file"), 1));
	cr_expect(eq(sz, findings_of(&f, "lock-file"), 1));
	findings_show(&f);
}

static int stop_at_second(const git_oid *oid, const struct stat *st, void *userdata)
{
	return ++*(int *)userdata == 2 ? -EINTR : 0;
}

Test(loose_check, a_listing_ends_when_told)
{
	int n = 0;

	cr_expect_eq(loose_list(&f.check, objects_fd, "objects", stop_at_second, &n), -EINTR);
	cr_expect_eq(n, 2);
}

Test(loose_check, what_is_no_file_does_not_block)
{
	static const char *const makes[] = { "mkfifo", "mkdir", "ln -s /dev/zero", "ln -s missing" };
	git_oid oid = blob_oid("1\n");
	git_object_t type;
	uint64_t len;

	for (size_t i = 0; i < sizeof(makes) / sizeof(*makes); i++) {
		char *file = in_dir(file_of(&oid));

		cr_assert(sh("rm -rf '%s' && %s '%s'", file, makes[i], file));
		cr_expect_eq(check(&oid, &type, &len), -EBADMSG, "%s", makes[i]);
	}
	cr_expect(eq(sz, findings_of(&f, "corrupt-object"), 1)); /* one and the same, each time */
	cr_assert(sh("rm -rf '%s'", in_dir(file_of(&oid))));
	cr_expect_eq(check(&oid, &type, &len), -ENOENT);
}

/* writes an object's file: @header with its NUL, and content */
static void store_raw(const git_oid *oid, const char *header, const char *content, const char *behind)
{
	unsigned char plain[4096], packed[8192];
	size_t head = strlen(header) + 1, len = strlen(content), more = strlen(behind);
	uLongf size = sizeof(packed);

	memcpy(plain, header, head);
	memcpy(plain + head, content, len);
	cr_assert_eq(compress(packed, &size, plain, head + len), Z_OK);
	memcpy(packed + size, behind, more);
	bytes_store(file_of(oid), packed, size + more);
}

static const struct {
	const char *header, *content, *behind;
	bool is_fine;
	bool is_git_blind; /* to content that is short, but longer than it says */
	bool is_git_slow;  /* it takes memory before it looks */
} raw[] = {
	{ "blob 2", "1\n", "", .is_fine = true },
	{ "blob 2", "1\n", "x" },
	{ "blob 2", "1\n\n", "", .is_git_blind = true },
	{ "blob 3", "1\n", "" },
	{ "blob 02", "1\n", "" },
	{ "blob ", "1\n", "" },
	{ "blob", "1\n", "" },
	{ "blob 2x", "1\n", "" },
	{ "blob -2", "1\n", "" },
	{ "bloob 2", "1\n", "" },
	{ "tree 2", "1\n", "" },
	{ "blob 2", "2\n", "" },
	{ "blob 18446744073709551615", "1\n", "", .is_git_slow = true },
	{ "blob 18446744073709551617", "1\n", "", .is_git_slow = true },
	{ "commit 4294967296", "1\n", "", .is_git_slow = true },
	{ "blob 9999999999", "1\n", "", .is_git_slow = true },
	{ "blob 2 and a header that is far too long", "1\n", "" },
};

Test(loose_check, headers_that_lie)
{
	git_oid oid = blob_oid("1\n");
	git_object_t type;
	uint64_t len;

	for (size_t i = 0; i < sizeof(raw) / sizeof(*raw); i++) {
		store_raw(&oid, raw[i].header, raw[i].content, raw[i].behind);
		cr_expect_eq(check(&oid, &type, &len), raw[i].is_fine ? 0 : -EBADMSG, "%s", raw[i].header);
		if (!raw[i].is_git_slow)
			cr_expect_eq(sh("git -C r fsck --full 2>/dev/null"), raw[i].is_fine || raw[i].is_git_blind, "%zu: %s", i,
				     raw[i].header);
	}
}

Test(loose_check, an_empty_file_is_a_finding_of_its_own)
{
	git_oid oid = blob_oid("1\n");
	git_object_t type;
	uint64_t len;

	bytes_store(file_of(&oid), "", 0);
	cr_expect_eq(check(&oid, &type, &len), -EBADMSG);
	cr_expect(eq(sz, findings_of(&f, "empty-object"), 1));
}

Test(loose_check, cut_at_every_length)
{
	git_oid oid = blob_oid("1\n");
	char *name = file_of(&oid);
	git_object_t type;
	uint64_t size;
	size_t len;
	unsigned char *data = bytes_load(name, &len);

	for (size_t n = 0; n < len; n++) {
		bytes_store(name, data, n);
		cr_expect_eq(check(&oid, &type, &size), -EBADMSG, "%zu", n);
	}
	free(data);
}

/* wherever git complains we do; it does not look at some bits of a stream's first bytes, nor do we */
Test(loose_check, every_byte_wrong)
{
	git_oid oid = blob_oid("1\n");
	char *name = file_of(&oid);
	git_object_t type;
	uint64_t size;
	size_t len;
	unsigned char *data = bytes_load(name, &len);

	for (size_t n = 0; n < len; n++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			data[n] ^= (unsigned char)(1U << bit);
			bytes_store(name, data, len);
			data[n] ^= (unsigned char)(1U << bit);
			cr_expect_eq(check(&oid, &type, &size) == 0, sh("git -C r fsck --full 2>/dev/null"),
				     "byte %zu bit %u", n, bit);
		}
	}
	free(data);
}

Test(loose_check, a_large_blob_in_pieces)
{
	void *data = &data;
	git_object_t type;
	uint64_t len;
	git_oid oid;

	cr_assert(sh("cd r && seq 1 200000 >big && git hash-object -w big >../name"));
	git_oid_fromstr(&oid, sh_text("cat name"));
	f.spec.memory_bytes = 1 << 20;
	for (int detect = 0; detect < 2; detect++) {
		cr_assert_eq(loose_check_object(&f.check, objects_fd, "objects", &oid, detect, &type, &data,
						&len),
			     0);
		cr_expect_null(data);
		cr_expect_eq(type, GIT_OBJECT_BLOB);
		cr_expect(eq(u64, len, 1288895));
	}
	oid.id[19] ^= 1;
	cr_assert(sh("cd r/.git/objects && cp %.2s/%s %.2s/%s", sh_text("cat name"), sh_text("cat name") + 2,
		     sh_text("cat name"), git_oid_tostr_s(&oid) + 2));
	cr_expect_eq(loose_check_object(&f.check, objects_fd, "objects", &oid, true, &type, &data, &len),
		     -EBADMSG);
}
