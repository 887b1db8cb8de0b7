/*
 * Any bytes as the small files of a slot: gitdir, commondir, HEAD, .git, MERGE_HEAD and config.worktree, in this order,
 * with a 0xff between them. Whatever they say, the check ends, and changes nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "integrity/check-dir.h"
#include "integrity/roots.h"
#include "integrity/worktrees-check.h"
#include "util/cleanup.h"
#include "util/fs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define ADMIN "r/worktrees/slotd-a-1/"

static char dir[64];
static int dir_fd = -1;

static void remove_all(void)
{
	fs_remove_tree(dir, NULL);
}

static void make_all(void)
{
	static const char *const dirs[] = { "r", "r/objects", "r/refs", "r/worktrees",
					    "r/worktrees/slotd-a-1", "a-1" };

	git_libgit2_init();
	strcpy(dir, "/tmp/slotd-fuzz-XXXXXX");
	if (!mkdtemp(dir))
		abort();
	atexit(remove_all);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		if (mkdirat(dir_fd, dirs[i], 0755) < 0)
			abort();
}

static void put(const char *path, const uint8_t *data, size_t len)
{
	int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	/* never empty: such a file is waited for */
	if (fd < 0 || fs_write_all(fd, len ? (const void *)data : "\n", len ? len : 1) < 0)
		abort();
	close(fd);
}

static void put_all(const uint8_t *data, size_t len)
{
	static const char *const files[] = { ADMIN "gitdir", ADMIN "commondir",	 ADMIN "HEAD",
					     "a-1/.git",     ADMIN "MERGE_HEAD", ADMIN "config.worktree" };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		const uint8_t *end = len ? memchr(data, 0xff, len) : NULL;
		size_t n = end ? (size_t)(end - data) : len;

		put(files[i], data, n);
		data += n + (end != NULL);
		len -= n + (end != NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct check_slot slot = { .name = "a-1" };
	struct check_spec spec = { .depth = CHECK_FULL, .slots = &slot, .n_slots = 1, .threads = 1 };
	struct check c = { .spec = &spec, .is_sha1 = true };
	char path[128];

	if (!dir[0])
		make_all();
	put_all(data, len);
	snprintf(path, sizeof(path), "%s/a-1", dir);
	slot.path = path;
	c.common_fd = openat(dir_fd, "r", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	c.findings = findings_new();
	c.roots = roots_new();
	if (c.common_fd < 0 || worktree_check_slot(&c, &slot) != 0)
		abort();
	close(c.common_fd);
	findings_free(c.findings);
	roots_free(c.roots);
	return 0;
}
