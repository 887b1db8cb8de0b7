/* Somebody else's program: at arm's length. */
#include "jobs/command.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/clock.h"
#include "util/list.h"
#include "util/log.h"
#include "util/process.h"
#include "util/text.h"

/* the end of a command is looked at after everything else, and what it says after that: who floods
 * us is read when there is nothing better to do */
#define CHILD_PRIORITY	(SD_EVENT_PRIORITY_NORMAL + 5)
#define OUTPUT_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

#define READ_BYTES    65536 /* what a pipe holds */
#define LINE_BYTES    512
#define DEFAULT_PATH  "/usr/local/bin:/usr/bin:/bin"
#define FAILURE_FD    3 /* in the child */
#define FREE_NAP_USEC 1000

enum command_state {
	COMMAND_WAITING,
	COMMAND_RUNNING,
	COMMAND_ENDING, /* got SIGTERM at its timeout */
	COMMAND_KILLED, /* got SIGKILL later */
	COMMAND_STUCK,	/* did not die of that; no longer counted */
};

struct commands {
	sd_event *event;
	struct list waiting; /* commands, in the order of command_start() */
	struct list started; /* commands */
	unsigned n_waiting;
	unsigned n_running; /* stuck ones not counted */
	unsigned n_dropped; /* since the line last moved */
};

struct command {
	struct list link; /* commands.waiting or commands.started */
	struct commands *commands;
	enum command_state state;
	char *what;
	char **argv, **env;
	uint64_t timeout_usec;
	pid_t pid;
	int output_fd;
	int failure_fd; /* an errno, when it could not be executed */
	sd_event_source *child, *output, *timer;
	char line[LINE_BYTES]; /* what it says and has not ended with a newline yet */
	size_t line_len;
	size_t n_said; /* bytes, COMMAND_OUTPUT_BYTES at most */
};

/* --- words --- */

static void free_words(char **words)
{
	for (size_t i = 0; words && words[i]; i++)
		free(words[i]);
	free(words);
}

static size_t count_words(char *const *words)
{
	size_t n = 0;

	while (words && words[n])
		n++;
	return n;
}

/* with room for so many more; NULL: no memory */
static char **copy_words(char *const *words, size_t room)
{
	size_t n = count_words(words);
	char **copy = calloc(n + room + 1, sizeof(*copy));

	for (size_t i = 0; copy && i < n; i++) {
		copy[i] = strdup(words[i]);
		if (!copy[i]) {
			free_words(copy);
			return NULL;
		}
	}
	return copy;
}

static bool has_name(char *const *env, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; env[i]; i++)
		if (strncmp(env[i], name, len) == 0 && env[i][len] == '=')
			return true;
	return false;
}

static char **make_environment(char *const *own)
{
	const char *path = getenv("PATH"), *home = getenv("HOME");
	const char *const fixed[][2] = { { "PATH", path ? path : DEFAULT_PATH },
					 { "HOME", home ? home : "/" },
					 { "LANG", "C.UTF-8" } };
	char **env = copy_words(own, ARRAY_SIZE(fixed));
	size_t n = count_words(env);

	for (size_t i = 0; env && i < ARRAY_SIZE(fixed); i++) {
		if (has_name(env, fixed[i][0]))
			continue;
		env[n] = text_printf("%s=%s", fixed[i][0], fixed[i][1]);
		if (!env[n++]) {
			free_words(env);
			return NULL;
		}
	}
	return env;
}

/* --- what it says --- */

/* a letter of several bytes is not cut where a line is too long */
static size_t whole_letters(const char *text, size_t len)
{
	size_t n = len;

	while (n > len - 4 && ((unsigned char)text[n - 1] & 0xC0) == 0x80)
		n--;
	return ((unsigned char)text[n - 1] & 0xC0) == 0xC0 ? n - 1 : len;
}

static void say_line(struct command *c, size_t len)
{
	if (len > 0)
		log_info("%s: %.*s", c->what, (int)len, c->line);
	c->line_len -= len;
	memmove(c->line, c->line + len, c->line_len);
}

static void add_output(struct command *c, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] == '\n') {
			say_line(c, c->line_len);
			continue;
		}
		if (c->line_len == sizeof(c->line))
			say_line(c, whole_letters(c->line, c->line_len));
		c->line[c->line_len++] = data[i];
	}
}

static void take_output(struct command *c, const char *data, size_t len)
{
	size_t room = COMMAND_OUTPUT_BYTES - c->n_said;

	if (room == 0)
		return;
	add_output(c, data, len < room ? len : room);
	c->n_said += len < room ? len : room;
	if (len < room)
		return;
	say_line(c, c->line_len);
	log_info("%s: what it says from here on is not shown", c->what);
}

static void close_output(struct command *c)
{
	c->output = sd_event_source_disable_unref(c->output);
	closep(&c->output_fd);
	c->output_fd = -1;
}

/* false: there is no more, now or ever */
static bool read_output(struct command *c)
{
	char buf[READ_BYTES];
	ssize_t n = read(c->output_fd, buf, sizeof(buf));

	if (n > 0)
		take_output(c, buf, (size_t)n);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		close_output(c);
	return n > 0;
}

static int on_output(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	read_output(userdata);
	return 0;
}

/* what is in the pipe at its end; somebody who left its process group may go on filling it */
static void read_rest(struct command *c)
{
	for (int i = 0; i < 2 && c->output_fd >= 0 && read_output(c); i++)
		;
	close_output(c);
	say_line(c, c->line_len);
}

/* --- its end --- */

static void command_free(struct command *c)
{
	list_del(&c->link);
	sd_event_source_disable_unref(c->child);
	sd_event_source_disable_unref(c->timer);
	close_output(c);
	closep(&c->failure_fd);
	free_words(c->argv);
	free_words(c->env);
	free(c->what);
	free(c);
}

/* in its first moments it has no group of its own yet, and is alone */
static void signal_all(const struct command *c, int sig)
{
	if (kill(-c->pid, sig) < 0)
		kill(c->pid, sig);
}

static void describe_end(const struct command *c, const siginfo_t *si)
{
	int pid = (int)c->pid, code;

	if (read(c->failure_fd, &code, sizeof(code)) == (ssize_t)sizeof(code))
		log_warning("%s: cannot run %s: %s", c->what, c->argv[0], strerror(code));
	else if (c->state != COMMAND_RUNNING)
		log_warning("%s: timed out after %gs%s pid=%d", c->what,
			    (double)c->timeout_usec / USEC_PER_SEC,
			    c->state == COMMAND_ENDING ? "" : " and had to be killed", pid);
	else if (si->si_code != CLD_EXITED)
		log_warning("%s: killed by signal %d (%s) pid=%d", c->what, si->si_status,
			    strsignal(si->si_status), pid);
	else if (si->si_status != 0)
		log_warning("%s: exited with %d pid=%d", c->what, si->si_status, pid);
	else
		log_debug("command", "%s: done pid=%d", c->what, pid);
}

static void commands_look(struct commands *c);

static int on_child(sd_event_source *s, const siginfo_t *si, void *userdata)
{
	struct command *c = userdata;
	struct commands *commands = c->commands;

	/* sd-event reaps it when we return: until then the number of its group is nobody else's */
	kill(-c->pid, SIGKILL);
	read_rest(c);
	describe_end(c, si);
	if (c->state != COMMAND_STUCK)
		commands->n_running--;
	command_free(c);
	commands_look(commands);
	return 0;
}

static void set_timer(struct command *c, uint64_t usec)
{
	sd_event_source_set_time_relative(c->timer, usec);
	sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct command *c = userdata;

	switch (c->state) {
	case COMMAND_RUNNING:
		c->state = COMMAND_ENDING;
		signal_all(c, SIGTERM);
		signal_all(c, SIGCONT); /* or a stopped one would not hear it */
		set_timer(c, COMMAND_DEATH_USEC);
		break;
	case COMMAND_ENDING:
		c->state = COMMAND_KILLED;
		signal_all(c, SIGKILL);
		set_timer(c, COMMAND_DEATH_USEC);
		break;
	case COMMAND_KILLED:
		log_error("%s: it does not die; the others go on without it pid=%d", c->what,
			  (int)c->pid);
		c->state = COMMAND_STUCK;
		c->commands->n_running--;
		commands_look(c->commands);
		break;
	case COMMAND_WAITING:
	case COMMAND_STUCK:
		break;
	}
	return 0;
}

/* --- its start, in the child --- */

static _Noreturn void give_up(int fd)
{
	int code = errno;

	while (write(fd, &code, sizeof(code)) < 0 && errno == EINTR)
		;
	_exit(127);
}

/* the program may be on a dead mount: nothing of ours is held open while it is looked for */
static _Noreturn void become_command(const struct command *c, int output_fd, int failure_fd,
				     pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(127);
	process_reset_signals();
	if (setsid() < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || chdir("/") < 0 ||
	    !process_set_output(output_fd))
		give_up(failure_fd);
	umask(077);
	if (failure_fd != FAILURE_FD && dup3(failure_fd, FAILURE_FD, O_CLOEXEC) < 0)
		give_up(failure_fd);
	close_range(FAILURE_FD + 1, ~0U, 0);
	environ = c->env;
	execvp(c->argv[0], c->argv);
	give_up(FAILURE_FD);
}

/* --- its start, in slotd --- */

/* ours does not block; the other one does, as programs expect */
static int make_pipe(int *ret_ours, int *ret_theirs)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0) {
		int r = -errno;

		close(fds[0]);
		close(fds[1]);
		return r;
	}
	*ret_ours = fds[0];
	*ret_theirs = fds[1];
	return 0;
}

static int add_sources(struct command *c)
{
	sd_event *event = c->commands->event;
	int r;

	r = sd_event_add_child(event, &c->child, c->pid, WEXITED, on_child, c);
	if (r >= 0)
		r = sd_event_source_set_priority(c->child, CHILD_PRIORITY);
	if (r >= 0)
		r = sd_event_add_io(event, &c->output, c->output_fd, EPOLLIN, on_output, c);
	if (r >= 0)
		r = sd_event_source_set_priority(c->output, OUTPUT_PRIORITY);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &c->timer, CLOCK_MONOTONIC, c->timeout_usec,
					       0, on_timer, c);
	return r < 0 ? r : 0;
}

/*
 * posix_spawn() has no word for half of what a command is given, and returns only once the program
 * was found: on a dead mount, never.
 */
static int spawn(struct command *c)
{
	_cleanup_(closep) int output_fd = -1, failure_fd = -1;
	pid_t parent = getpid();
	int r;

	r = make_pipe(&c->output_fd, &output_fd);
	if (r < 0)
		return r;
	r = make_pipe(&c->failure_fd, &failure_fd);
	if (r < 0)
		return r;
	c->pid = fork();
	if (c->pid == 0)
		become_command(c, output_fd, failure_fd, parent);
	return c->pid < 0 ? -errno : 0;
}

/* takes it over; on failure it is freed */
static int command_run(struct command *c, struct fault *f)
{
	int r = spawn(c);

	if (r == 0) {
		r = add_sources(c);
		if (r < 0) {
			signal_all(c, SIGKILL);
			waitpid(c->pid, NULL, 0); /* it has hardly begun */
		}
	}
	if (r < 0) {
		fault_errno(f, r, "%s: cannot start %s", c->what, c->argv[0]);
		command_free(c);
		return r;
	}
	c->state = COMMAND_RUNNING;
	c->commands->n_running++;
	list_append(&c->commands->started, &c->link);
	log_debug("command", "%s: started %s pid=%d", c->what, c->argv[0], (int)c->pid);
	return 0;
}

static void say_dropped(struct commands *c)
{
	if (c->n_dropped > 0)
		log_warning("%u %s dropped, as %d waited already", c->n_dropped,
			    text_plural(c->n_dropped, "command was", "commands were"),
			    COMMANDS_WAITING);
	c->n_dropped = 0;
}

static void commands_look(struct commands *c)
{
	while (c->n_waiting > 0 && c->n_running < COMMANDS_AT_ONCE) {
		struct command *command = list_first(&c->waiting, struct command, link);
		struct fault f = FAULT_NONE;

		say_dropped(c);
		list_del(&command->link);
		c->n_waiting--;
		if (command_run(command, &f) < 0)
			log_warning("%s", f.text);
	}
}

/* --- all of it --- */

/* NULL: no memory */
static struct command *command_new(struct commands *commands, const struct command_spec *spec)
{
	struct command *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	list_init(&c->link);
	c->commands = commands;
	c->output_fd = c->failure_fd = -1;
	c->timeout_usec = spec->timeout_usec;
	c->what = strdup(spec->what);
	c->argv = copy_words(spec->argv, 0);
	c->env = make_environment(spec->env);
	if (!c->what || !c->argv || !c->env) {
		command_free(c);
		return NULL;
	}
	return c;
}

/* the first one is told at once, how many there were when the line moves */
static int drop(struct commands *c, const struct command_spec *spec, struct fault *f)
{
	if (c->n_dropped++ == 0)
		log_warning("%s: not run, as %d commands wait already", spec->what,
			    COMMANDS_WAITING);
	return fault(f, -ENOBUFS, "%s: not run, as %d commands wait already", spec->what,
		     COMMANDS_WAITING);
}

int command_start(struct commands *c, const struct command_spec *spec, struct fault *f)
{
	struct command *command;

	assert(spec->what && spec->argv && spec->argv[0] && spec->timeout_usec > 0);
	if (c->n_waiting == COMMANDS_WAITING)
		return drop(c, spec, f);
	command = command_new(c, spec);
	if (!command)
		return fault_oom(f);
	if (c->n_running < COMMANDS_AT_ONCE)
		return command_run(command, f);
	list_append(&c->waiting, &command->link);
	c->n_waiting++;
	return 0;
}

unsigned commands_count_running(const struct commands *c)
{
	return c->n_running;
}

unsigned commands_count_waiting(const struct commands *c)
{
	return c->n_waiting;
}

int commands_new(sd_event *event, struct commands **ret, struct fault *f)
{
	struct commands *c = calloc(1, sizeof(*c));

	if (!c)
		return fault_oom(f);
	c->event = sd_event_ref(event);
	list_init(&c->waiting);
	list_init(&c->started);
	*ret = c;
	return 0;
}

/* a killed one is gone in a moment, unless the kernel holds it */
static void reap(const struct command *c, uint64_t deadline_usec)
{
	while (waitpid(c->pid, NULL, WNOHANG) == 0 && clock_boot_usec() < deadline_usec)
		usleep(FREE_NAP_USEC);
}

void commands_free(struct commands *c)
{
	struct command *command, *next;
	uint64_t deadline_usec;

	if (!c)
		return;
	say_dropped(c);
	if (c->n_waiting > 0)
		log_warning("%u %s not run any more", c->n_waiting,
			    text_plural(c->n_waiting, "command is", "commands are"));
	list_for_each_safe (command, next, &c->waiting, link)
		command_free(command);
	list_for_each (command, &c->started, link)
		signal_all(command, SIGKILL);
	deadline_usec = clock_boot_usec() + COMMAND_DEATH_USEC;
	list_for_each_safe (command, next, &c->started, link) {
		log_warning("%s: killed, as slotd ends pid=%d", command->what, (int)command->pid);
		reap(command, deadline_usec);
		command_free(command);
	}
	sd_event_unref(c->event);
	free(c);
}
