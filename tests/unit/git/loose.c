#include "git/loose.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "git-fixture.h"
#include "util/fs.h"

static int objects = -1;
static struct fault f;

static void init(void)
{
	fixture_init();
	cr_assert(sh(
		"git init -q -b main r && cd r && seq 1 400 > f && git add f && git commit -qm x"));
	objects = open(in_dir("r/.git/objects"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void deinit(void)
{
	close(objects);
	fixture_deinit();
}

TestSuite(loose, .init = init, .fini = deinit, .timeout = 120);

static git_oid oid_of(const char *rev)
{
	git_oid oid;

	cr_assert_eq(git_oid_fromstr(&oid, sh_text("git -C r rev-parse %s", rev)), 0);
	return oid;
}

static int read_size(const git_oid *oid, git_object_t *type)
{
	void *data = NULL;
	size_t size = 0;
	int r = loose_read(objects, oid, type, &data, &size, &f);

	loose_free(data);
	return r < 0 ? r : (int)size;
}

/* the file of an object, for those who want to damage it */
static char *path_of(const git_oid *oid)
{
	char path[GIT_OID_HEXSZ + 2];

	loose_path(oid, path);
	cr_assert(sh("chmod u+w r/.git/objects/%s", path));
	return sh_text("echo '%s/r/.git/objects/%s'", fixture_dir, path);
}

static void put(const char *path, const void *data, size_t len)
{
	FILE *file = fopen(path, "w");

	fwrite(data, 1, len, file);
	fclose(file);
}

Test(loose, reads_what_git_wrote)
{
	git_object_t type;
	git_oid oid = oid_of("HEAD:f");
	size_t size;

	cr_assert_eq(read_size(&oid, &type), atoi(sh_text("git -C r cat-file -s HEAD:f")));
	cr_assert_eq(type, GIT_OBJECT_BLOB);
	cr_assert_eq(loose_read_header(objects, &oid, &type, &size, &f), 0);
	cr_assert_eq(size, strtoul(sh_text("git -C r cat-file -s HEAD:f"), NULL, 10));
	oid = oid_of("HEAD");
	cr_assert_gt(read_size(&oid, &type), 0);
	cr_assert_eq(type, GIT_OBJECT_COMMIT);
	oid = oid_of("HEAD^{tree}");
	cr_assert_gt(read_size(&oid, &type), 0);
	cr_assert_eq(type, GIT_OBJECT_TREE);
}

Test(loose, a_missing_object_is_not_there)
{
	git_oid oid = { { 1, 2, 3 } };
	git_object_t type;

	cr_assert_eq(read_size(&oid, &type), -ENOENT);
}

Test(loose, truncated_anywhere_it_is_damaged)
{
	git_oid oid = oid_of("HEAD:f");
	char *path = path_of(&oid), *whole;
	git_object_t type;
	size_t len;

	cr_assert_eq(fs_read_file_at(AT_FDCWD, path, 1 << 20, &whole, &len), 0);
	for (size_t cut = 0; cut < len; cut++) {
		put(path, whole, cut);
		cr_assert_eq(read_size(&oid, &type), -EUCLEAN, "cut at %zu", cut);
	}
	free(whole);
}

Test(loose, any_flipped_bit_is_noticed)
{
	git_oid oid = oid_of("HEAD:f");
	char *path = path_of(&oid), *whole;
	int size, harmless = 0;
	git_object_t type;
	size_t len;

	size = read_size(&oid, &type);
	cr_assert_eq(fs_read_file_at(AT_FDCWD, path, 1 << 20, &whole, &len), 0);
	for (size_t bit = 0; bit < len * 8; bit++) {
		int r;

		whole[bit / 8] = (char)(whole[bit / 8] ^ (1 << bit % 8));
		put(path, whole, len);
		r = read_size(&oid, &type);
		/* a bit may be padding; but no other content is ever returned under this name */
		cr_assert(r == -EUCLEAN || r == -EFBIG || r == size, "bit %zu: %d", bit, r);
		harmless += r == size;
		whole[bit / 8] = (char)(whole[bit / 8] ^ (1 << bit % 8));
	}
	cr_assert_leq(harmless, 7);
	free(whole);
}

static const struct {
	const char *content;
	size_t len;
	int wanted;
} lies[] = {
#define LIE(text, wanted)                      \
	{                                      \
		text, sizeof(text) - 1, wanted \
	}
	LIE("blob 3\0abc", 0),
	LIE("blob 0\0", 0),
	LIE("blob 2\0abc", -EUCLEAN),
	LIE("blob 4\0abc", -EUCLEAN),
	LIE("blob 4000000000\0abc", -EUCLEAN),
	LIE("blob 4294967297\0abc", -EFBIG),
	LIE("blob 18446744073709551615\0abc", -EFBIG),
	LIE("blob 99999999999999999999\0abc", -EFBIG),
	LIE("blob 1844674407370955161600\0abc", -EFBIG),
	LIE("blob 03\0abc", -EUCLEAN),
	LIE("blob +3\0abc", -EUCLEAN),
	LIE("blob -1\0abc", -EUCLEAN),
	LIE("blob 3 \0abc", -EUCLEAN),
	LIE("blob  3\0abc", -EUCLEAN),
	LIE("blob \0abc", -EUCLEAN),
	LIE("blob\0abc", -EUCLEAN),
	LIE("blob 3", -EUCLEAN),
	LIE("", -EUCLEAN),
	LIE("\0", -EUCLEAN),
	LIE("Blob 3\0abc", -EUCLEAN),
	LIE("ofs_delta 3\0abc", -EUCLEAN),
	LIE("bad 3\0abc", -EUCLEAN),
	LIE("blobblobblobblobblobblobblobblobblob 3\0abc", -EUCLEAN),
};

Test(loose, one_that_lies_is_not_believed)
{
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		uint8_t packed[256];
		uLongf len = sizeof(packed);
		git_object_t type;
		void *data = NULL;
		size_t size;
		int r;

		compress(packed, &len, (const Bytef *)lies[i].content, lies[i].len);
		r = loose_decode(packed, len, &type, &data, &size, &f);
		cr_expect_eq(r, lies[i].wanted, "%zu \"%s\": %d %s", i, lies[i].content, r, f.text);
		loose_free(data);
		data = NULL;
		/* and something behind the end */
		packed[len] = 'x';
		r = loose_decode(packed, len + 1, &type, &data, &size, &f);
		cr_expect(r < 0, "%zu", i);
	}
}

Test(loose, a_name_that_is_no_regular_file_does_not_block)
{
	static const char *const instead[] = { "mkfifo", "mkdir", "ln -s /dev/zero", "ln -s ." };
	git_oid oid = oid_of("HEAD:f");
	char *path = path_of(&oid);
	git_object_t type;

	for (size_t i = 0; i < 4; i++) {
		cr_assert(sh("rm -rf '%s' && %s '%s'", path, instead[i], path));
		cr_assert_eq(read_size(&oid, &type), -EUCLEAN, "%s", instead[i]);
	}
}

Test(loose, content_under_another_name_is_damaged)
{
	git_oid oid = oid_of("HEAD:f");
	git_object_t type;

	cr_assert(sh("cd r && o=$(git rev-parse HEAD) && "
		     "cp -f .git/objects/${o%%${o#??}}/${o#??} '%s'",
		     path_of(&oid)));
	cr_assert_eq(read_size(&oid, &type), -EUCLEAN);
	cr_assert_neq(strstr(f.text, "another name"), NULL, "%s", f.text);
}

Test(loose, what_it_writes_git_reads)
{
	size_t size = 3000000;
	char *data = malloc(size);
	git_object_t type;
	git_oid oid;

	for (size_t i = 0; i < size; i++)
		data[i] = (char)(i * 2654435761u >> 13);
	cr_assert_eq(git_odb_hash(&oid, data, size, GIT_OBJECT_BLOB), 0);
	cr_assert_eq(loose_write(objects, &oid, GIT_OBJECT_BLOB, data, size, &f), 0, "%s", f.text);
	cr_assert_eq(read_size(&oid, &type), (int)size);
	cr_assert(sh("cd r && git fsck --full 2>&1 && ! find .git/objects -name 'tmp_*' | grep ."));
	cr_assert_eq(git_odb_hash(&oid, data, 0, GIT_OBJECT_BLOB), 0);
	cr_assert_eq(loose_write(objects, &oid, GIT_OBJECT_BLOB, data, 0, &f), 0, "%s", f.text);
	cr_assert_eq(read_size(&oid, &type), 0);
	free(data);
}
