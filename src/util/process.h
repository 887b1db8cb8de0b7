/**
 * DOC: process - which process is it, and whose child
 *
 * A pid alone names a process only as long as it lives; with its start time it is one process of
 * this boot. And the first steps of a child that becomes another program.
 */
#ifndef UTIL_PROCESS_H
#define UTIL_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process_id {
	pid_t pid;
	uint64_t start; /* process_start_time() */
};

/* clock ticks since boot, as /proc/PID/stat says; 0: no such process */
uint64_t process_start_time(pid_t pid);

/* false: it is gone, or has ended and only waits for its parent */
bool process_lives(pid_t pid);

/* it is there, though it may have ended and wait for its parent */
bool process_is(const struct process_id *id);

/* 0: no such process */
pid_t process_parent(pid_t pid);

/* is pid that process or one of its descendants? false when either is gone */
bool process_descends_from(pid_t pid, pid_t ancestor, uint64_t ancestor_start);

/* a process, its parent, its parent's parent, ..., but not process 1; returns how many, at most @max */
size_t process_line(pid_t pid, struct process_id *ret, size_t max);

/* as text, the nearest first, and no more of them than there is room for; back: how many, at most @max */
void process_line_to_string(const struct process_id *line, size_t n, char *ret, size_t size);
size_t process_line_from_string(const char *text, struct process_id *ret, size_t max);

/**
 * process_find_worker - the binary of slotd-worker
 * @fallback: where it is installed
 *
 * SLOTD_WORKER names it; else it is beside this program, in the build tree or in libexecdir. Returns an
 * allocated path, of which nothing is known yet; NULL: no memory.
 */
char *process_find_worker(const char *fallback);

/* in a child: no signal is blocked, ignored or handled */
void process_reset_signals(void);

/* in a child: nothing to read, and all output there; false: errno says why */
bool process_set_output(int output_fd);

#endif
