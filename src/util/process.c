/* Who is whose child. */
#include "util/process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

#define MAX_ANCESTORS 64 /* a chain that is longer is no harness */

/* the name in parentheses may hold anything, so fields are counted from the last ")" */
struct stat_line {
	char state;
	pid_t parent;
	uint64_t start;
};

static bool read_stat(pid_t pid, struct stat_line *ret)
{
	_cleanup_(freep) char *text = NULL;
	unsigned long long start;
	const char *p;
	char path[32];
	int parent;
	char state;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (pid <= 0 || fs_read_file_at(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return false;
	p = strrchr(text, ')');
	if (!p || sscanf(p + 1, " %c %d", &state, &parent) != 2)
		return false;
	if (sscanf(p + 1,
		   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
		   &start) != 1)
		return false;
	*ret = (struct stat_line){ state, parent, start };
	return true;
}

uint64_t process_start_time(pid_t pid)
{
	struct stat_line s;

	return read_stat(pid, &s) ? s.start : 0;
}

bool process_lives(pid_t pid)
{
	struct stat_line s;

	return read_stat(pid, &s) && s.state != 'Z' && s.state != 'X';
}

bool process_is(const struct process_id *id)
{
	return id->start && process_start_time(id->pid) == id->start;
}

pid_t process_parent(pid_t pid)
{
	struct stat_line s;

	return read_stat(pid, &s) ? s.parent : 0;
}

bool process_descends_from(pid_t pid, pid_t ancestor, uint64_t ancestor_start)
{
	struct stat_line s;

	for (int i = 0; i < MAX_ANCESTORS && pid > 0 && ancestor > 0; i++) {
		if (!read_stat(pid, &s))
			return false;
		if (pid == ancestor)
			return s.start == ancestor_start;
		pid = s.parent;
	}
	return false;
}

size_t process_line(pid_t pid, struct process_id *ret, size_t max)
{
	struct stat_line s;
	size_t n = 0;

	for (; n < max && pid > 1 && read_stat(pid, &s); pid = s.parent)
		ret[n++] = (struct process_id){ pid, s.start };
	return n;
}

void process_line_to_string(const struct process_id *line, size_t n, char *ret, size_t size)
{
	size_t at = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		int len = snprintf(ret + at, size - at, "%s%d:%llx", i ? " " : "", (int)line[i].pid,
				   (unsigned long long)line[i].start);

		if (len < 0 || (size_t)len >= size - at) {
			ret[at] = '\0'; /* not half of one: that would be somebody else */
			return;
		}
		at += (size_t)len;
	}
}

size_t process_line_from_string(const char *text, struct process_id *ret, size_t max)
{
	unsigned long long start;
	size_t n = 0;
	int pid, len;

	while (n < max && sscanf(text, "%9d:%16llx%n", &pid, &start, &len) == 2) {
		ret[n++] = (struct process_id){ pid, start };
		text += len;
	}
	return n;
}

/* --- the worker's binary --- */

static char *beside(const char *self, const char *relative)
{
	_cleanup_(freep) char *dir = strdup(self);

	if (!dir || !strrchr(dir, '/'))
		return NULL;
	*strrchr(dir, '/') = '\0';
	return text_printf("%s/%s", dir, relative);
}

char *process_find_worker(const char *fallback)
{
	static const char *const places[] = { "slotd-worker", "../worker/slotd-worker",
					      "../libexec/slotd/slotd-worker" };
	const char *named = getenv("SLOTD_WORKER");
	char self[4096];
	ssize_t n;

	if (named && named[0])
		return strdup(named);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_(freep) char *path = beside(self, places[i]);

		if (path && access(path, X_OK) == 0)
			return TAKE(path);
	}
	return strdup(fallback);
}

void process_reset_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

bool process_set_output(int output_fd)
{
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	return null_fd >= 0 && dup2(null_fd, STDIN_FILENO) >= 0 &&
	       dup2(output_fd, STDOUT_FILENO) >= 0 && dup2(output_fd, STDERR_FILENO) >= 0;
}
