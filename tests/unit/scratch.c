#include "scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fs.h"

/* as many as one test has at the same time */
static char dirs[16][32];
static pid_t owner; /* a child of the test inherits them, and does not remove them */

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "cannot %s: %s\n", what, why);
	abort();
}

static void remove_all(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(dirs) && owner == getpid(); i++)
		if (dirs[i][0] != '\0')
			scratch_remove(dirs[i]);
}

char *scratch_make(void)
{
	if (owner == 0 && atexit(remove_all) != 0)
		fail("make a directory", "no handler for its end");
	owner = getpid();
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		if (dirs[i][0] != '\0')
			continue;
		strcpy(dirs[i], "/tmp/slotd-unit-XXXXXX");
		if (!mkdtemp(dirs[i]))
			fail("make a directory", dirs[i]);
		return dirs[i];
	}
	fail("make a directory", "the test has too many");
	return NULL;
}

void scratch_remove(char *dir)
{
	struct fault f = FAULT_NONE;

	(void)umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW); /* mostly nothing is mounted there */
	if (fs_remove_tree(dir, &f) < 0)
		fail("remove a directory", f.text);
	dir[0] = '\0';
}
