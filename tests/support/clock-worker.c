/*
 * Stands for slotd-worker and becomes it, with wall-clock.c preloaded: slotd passes on to its workers only
 * what they need, HOME for one. The clock is in there.
 */
#include <err.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char self[4000], path[4200];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *home = getenv("HOME"), *here;

	if (argc < 1 || n < 0 || !home)
		err(1, "where am I?");
	self[n] = '\0';
	here = dirname(self);
	snprintf(path, sizeof(path), "%s/clock", home);
	setenv("SLOTD_TEST_CLOCK", path, 1);
	snprintf(path, sizeof(path), "%s/wall-clock.so", here);
	setenv("LD_PRELOAD", path, 1);
	snprintf(path, sizeof(path), "%s/../src/worker/slotd-worker", here);
	execv(path, argv);
	err(1, "%s", path);
}
