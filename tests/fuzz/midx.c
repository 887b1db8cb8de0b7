/* Any bytes as a multi-pack-index: the check ends, and finds something unless it is one. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "integrity/graph-check.h"
#include "util/fs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static char dir[64];
static int dir_fd = -1;
static struct pack *known;

/* a pack of no object, so that names of packs lead somewhere */
static const unsigned char empty_pack[] = "PACK\0\0\0\2\0\0\0\0"
					  "\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e";

static void remove_all(void)
{
	pack_close(known);
	fs_remove_tree(dir, NULL);
}

static void put(const char *path, const void *data, size_t len)
{
	int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || fs_write_all(fd, data, len) < 0)
		abort();
	close(fd);
}

static void make_dir(struct check *c)
{
	unsigned char idx[8 + 1024 + 40] = "\377tOc\0\0\0\2";
	int fd;

	git_libgit2_init();
	strcpy(dir, "/tmp/slotd-fuzz-XXXXXX");
	if (!mkdtemp(dir))
		abort();
	atexit(remove_all);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mkdirat(dir_fd, "pack", 0755) < 0)
		abort();
	memcpy(idx + sizeof(idx) - 40, empty_pack + 12, 20);
	put("pack/pack-1.pack", empty_pack, sizeof(empty_pack) - 1);
	put("pack/pack-1.idx", idx, sizeof(idx));
	fd = openat(dir_fd, "pack", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (pack_open(c, fd, "pack", "pack-1", &known) != 0)
		abort();
	close(fd);
}

static int read_commit(const git_oid *oid, void **ret, size_t *ret_len, void *userdata)
{
	abort(); /* it is none of its business */
}

static struct pack *find_pack(const char *idx_name, void *userdata)
{
	return idx_name[0] == 'p' ? known : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct graph_reader reader = { read_commit, find_pack, NULL };
	struct check_spec spec = { .threads = 1 };
	struct check c = { .spec = &spec };

	c.findings = findings_new();
	if (!dir[0])
		make_dir(&c);
	put("pack/multi-pack-index", data, len);
	if (multi_pack_index_check(&c, dir_fd, "objects", &reader) != 0)
		abort();
	if (findings_kept(c.findings) == 0 && len < 1024)
		abort();
	findings_free(c.findings);
	return 0;
}
