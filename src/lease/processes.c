#include "lease/processes.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/process.h"

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static bool leads_into(const char *link, const char *path, size_t len)
{
	char to[PATH_MAX];
	ssize_t n = readlink(link, to, sizeof(to) - 1);

	if (n < 0)
		return false;
	to[n] = '\0';
	return strncmp(to, path, len) == 0 && (to[len] == '/' || to[len] == '\0' || to[len] == ' ');
}

static bool has_open_file(const char *pid, const char *path, size_t len)
{
	_cleanup_(closedirp) DIR *d = NULL;
	char name[300];
	struct dirent *e;

	snprintf(name, sizeof(name), "/proc/%.20s/fd", pid);
	d = opendir(name);
	while (d && (e = readdir(d))) {
		snprintf(name, sizeof(name), "/proc/%.20s/fd/%.20s", pid, e->d_name);
		if (e->d_name[0] != '.' && leads_into(name, path, len))
			return true;
	}
	return false;
}

static bool is_in(const char *pid, const char *path, size_t len)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/%.20s/cwd", pid);
	return leads_into(name, path, len) || has_open_file(pid, path, len);
}

ssize_t processes_in(const char *path, pid_t but_children_of, pid_t *ret, size_t max)
{
	_cleanup_(closedirp) DIR *d = opendir("/proc");
	size_t len = strlen(path), n = 0;
	struct dirent *e;

	if (!d)
		return -errno;
	while (n < max && (e = readdir(d))) {
		pid_t pid = atoi(e->d_name);

		if (pid <= 0 || pid == getpid() || pid == but_children_of || !is_in(e->d_name, path, len))
			continue;
		if (!but_children_of || process_parent(pid) != but_children_of)
			ret[n++] = pid;
	}
	return (ssize_t)n;
}
