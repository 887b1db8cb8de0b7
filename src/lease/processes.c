/* Who is there, and what for. */
#include "lease/processes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/text.h"

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static bool read_link(const char *link, char ret[PATH_MAX])
{
	ssize_t n = readlink(link, ret, PATH_MAX - 1);

	if (n < 0)
		return false;
	ret[n] = '\0';
	return ret[0] == '/'; /* else a pipe, a socket, ... */
}

/* behind a blank: "(deleted)" */
static bool leads_into(const char *to, const char *path, size_t len)
{
	return strncmp(to, path, len) == 0 && (to[len] == '/' || to[len] == '\0' || to[len] == ' ');
}

/* --- what one process has --- */

struct look {
	struct processes_place *places;
	size_t n_places;
	size_t *lengths; /* of their paths */
	uint8_t *uses;	 /* of the process at hand, by place; 0: none */
	pid_t but_children_of;
};

/* a descriptor that is gone by now was no last word: that file is closed */
static enum process_use use_of_descriptor(pid_t pid, const char *fd)
{
	_cleanup_(fclosep) FILE *info = NULL;
	unsigned flags = 0;
	char name[64];

	snprintf(name, sizeof(name), "/proc/%d/fdinfo/%.20s", (int)pid, fd);
	info = fopen(name, "re");
	if (!info || fscanf(info, "pos: %*s flags: %o", &flags) != 1)
		return PROCESS_READS;
	return (flags & O_PATH) || (flags & O_ACCMODE) == O_RDONLY ? PROCESS_READS : PROCESS_WRITES;
}

static void note(struct look *look, const char *to, pid_t pid, const char *fd)
{
	for (size_t i = 0; i < look->n_places; i++) {
		uint8_t use;

		if (look->uses[i] == PROCESS_WRITES ||
		    !leads_into(to, look->places[i].path, look->lengths[i]))
			continue;
		use = fd ? (uint8_t)use_of_descriptor(pid, fd) : PROCESS_STANDS;
		if (use > look->uses[i])
			look->uses[i] = use;
	}
}

static void note_uses(struct look *look, pid_t pid)
{
	_cleanup_(closedirp) DIR *d = NULL;
	char name[64], to[PATH_MAX];
	struct dirent *e;

	memset(look->uses, 0, look->n_places);
	snprintf(name, sizeof(name), "/proc/%d/cwd", (int)pid);
	if (read_link(name, to))
		note(look, to, pid, NULL);
	snprintf(name, sizeof(name), "/proc/%d/fd", (int)pid);
	d = opendir(name);
	while (d && (e = readdir(d))) {
		snprintf(name, sizeof(name), "/proc/%d/fd/%.20s", (int)pid, e->d_name);
		if (e->d_name[0] != '.' && read_link(name, to))
			note(look, to, pid, e->d_name);
	}
}

/* --- one that is there --- */

/* of a slotd that was killed, which takes its workers along: one may take a moment to die */
static bool is_worker(pid_t pid)
{
	static const char begin[] = "slotd-worker\0--protocol";
	_cleanup_(fclosep) FILE *f = NULL;
	char path[32], args[sizeof(begin)];

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	f = fopen(path, "re");
	return f && fread(args, 1, sizeof(args), f) == sizeof(args) && memcmp(args, begin, sizeof(args)) == 0;
}

/* slotd's child, be it a worker or a command of the operator */
static bool is_of_slotd(pid_t pid, pid_t slotd)
{
	return slotd && (process_parent(pid) == slotd || is_worker(pid));
}

static bool is_excused(const struct processes_place *place, const struct process_id *id)
{
	for (size_t i = 0; i < place->n_but; i++)
		if (process_is(&place->but[i]) && process_descends_from(place->but[i].pid, id->pid, id->start))
			return true;
	return false;
}

/* it is printed on terminals, and whoever started it chose it */
static void read_name(pid_t pid, char ret[PROCESS_NAME_SIZE])
{
	_cleanup_(fclosep) FILE *f = NULL;
	char path[32];
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	n = f ? fread(ret, 1, PROCESS_NAME_SIZE - 1, f) : 0;
	if (n > 0 && ret[n - 1] == '\n')
		n--;
	ret[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)ret[i] < ' ' || ret[i] == 0x7f)
			ret[i] = '?';
	text_mend_utf8(ret);
}

static void enter(struct look *look, pid_t pid)
{
	struct process_id id = { pid, process_start_time(pid) };

	if (!id.start || is_of_slotd(pid, look->but_children_of))
		return; /* it has ended meanwhile, or is one of ours */
	for (size_t i = 0; i < look->n_places; i++) {
		struct processes_place *place = &look->places[i];

		if (!look->uses[i] || is_excused(place, &id))
			continue;
		if (place->found && place->n < PROCESSES_MOST) {
			place->found[place->n] = (struct process_found){ .id = id, .use = look->uses[i] };
			read_name(pid, place->found[place->n].name);
		}
		place->n++;
	}
}

/* --- all of them --- */

/* the next one that counts; 0: that was the last */
static pid_t next_process(DIR *proc, pid_t but_children_of)
{
	struct dirent *e;

	while ((e = readdir(proc))) {
		pid_t pid = atoi(e->d_name);

		if (pid > 0 && pid != getpid() && pid != but_children_of)
			return pid;
	}
	return 0;
}

static bool is_anywhere(const struct look *look)
{
	for (size_t i = 0; i < look->n_places; i++)
		if (look->uses[i])
			return true;
	return false;
}

int processes_look(struct processes_place *places, size_t n_places, pid_t but_children_of)
{
	_cleanup_(closedirp) DIR *d = opendir("/proc");
	_cleanup_(freep) size_t *lengths = calloc(n_places + 1, sizeof(*lengths));
	_cleanup_(freep) uint8_t *uses = calloc(n_places + 1, 1);
	struct look look = { places, n_places, lengths, uses, but_children_of };
	pid_t pid;

	if (!lengths || !uses)
		return -ENOMEM;
	if (!d)
		return -errno;
	for (size_t i = 0; i < n_places; i++) {
		lengths[i] = strlen(places[i].path);
		places[i].n = 0;
	}
	while ((pid = next_process(d, but_children_of))) {
		note_uses(&look, pid);
		if (is_anywhere(&look))
			enter(&look, pid);
	}
	return 0;
}

const char *process_use_to_string(enum process_use use)
{
	static const char *const names[] = { [PROCESS_STANDS] = "directory", [PROCESS_READS] = "reads",
					     [PROCESS_WRITES] = "writes" };

	return names[use];
}

char *process_found_to_string(const struct process_found *p, char ret[PROCESS_TEXT_SIZE])
{
	static const char *const words[] = { [PROCESS_STANDS] = ", only its working directory",
					     [PROCESS_READS] = ", only reads",
					     [PROCESS_WRITES] = "" };

	snprintf(ret, PROCESS_TEXT_SIZE, "%s (%d%s)", p->name, (int)p->id.pid, words[p->use]);
	return ret;
}
