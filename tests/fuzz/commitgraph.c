/* Any bytes as a commit-graph, or as the upper file of a chain: the check ends, whatever they say of the commits. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "integrity/graph-check.h"
#include "util/fs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CHAIN "info/commit-graphs/commit-graph-chain"
#define NAME  "1111111111111111111111111111111111111111"

static char dir[64];
static int dir_fd = -1;

static void remove_all(void)
{
	fs_remove_tree(dir, NULL);
}

static void put(const char *path, const void *data, size_t len)
{
	int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || fs_write_all(fd, data, len) < 0)
		abort();
	close(fd);
}

static void make_dir(void)
{
	git_libgit2_init();
	strcpy(dir, "/tmp/slotd-fuzz-XXXXXX");
	if (!mkdtemp(dir))
		abort();
	atexit(remove_all);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mkdirat(dir_fd, "info", 0755) < 0 || mkdirat(dir_fd, "info/commit-graphs", 0755) < 0)
		abort();
	put(CHAIN, NAME "\n" NAME "\n", 82);
}

/* some are there, with one parent; some are not; some are nonsense */
static int read_commit(const git_oid *oid, void **ret, size_t *ret_len, void *userdata)
{
	static const char root[] = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n"
				   "author a <a> 1700000000 +0000\ncommitter a <a> 1700000000 +0000\n\nx\n";
	static const char merge[] = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n"
				    "parent 1111111111111111111111111111111111111111\n"
				    "parent 2222222222222222222222222222222222222222\n"
				    "parent 3333333333333333333333333333333333333333\n"
				    "author a <a> 1700000000 +0000\ncommitter a <a> 99999999999999999999 +0000";
	const char *text = oid->id[19] & 1 ? root : merge;

	if (oid->id[19] % 4 == 2)
		return oid->id[18] & 1 ? -ENOENT : -EBADMSG;
	*ret_len = strlen(text) - oid->id[18] % 8;
	*ret = malloc(*ret_len);
	memcpy(*ret, text, *ret_len);
	return 0;
}

static struct pack *find_pack(const char *idx_name, void *userdata)
{
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct graph_reader reader = { read_commit, find_pack, NULL };
	struct check_spec spec = { .threads = 1 };
	struct check c = { .spec = &spec };

	if (!dir[0])
		make_dir();
	c.findings = findings_new();
	put("info/commit-graph", data, len);
	put("info/commit-graphs/graph-" NAME ".graph", data, len);
	if (commit_graph_check(&c, dir_fd, "objects", &reader) != 0)
		abort();
	/* the checksum alone would have to be made for it */
	if (findings_kept(c.findings) == 0 && len < 20)
		abort();
	findings_free(c.findings);
	return 0;
}
