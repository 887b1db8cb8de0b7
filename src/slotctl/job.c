/* One worker, one job. */
#include "slotctl/job.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rpc/frame.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/process.h"
#include "util/text.h"

#define PROTOCOL  2 /* WORKER_PROTOCOL in worker/worker.h */
#define SOCKET_FD 3 /* in the worker */

extern char **environ;

struct job {
	pid_t pid; /* 0: none */
	int fd;
	struct frame_buf frames;
};

/* --- start and end --- */

static int spawn(const char *program, const char *store, const char *dir, int fd, pid_t *ret)
{
	char protocol[12], parent[16], fd_text[12];
	const char *argv[] = { "slotd-worker", "--protocol", protocol,	"--pool", "restore",
			       "--store",      store,	     "--slots", dir,	  "--fd",
			       fd_text,	       "--parent",   parent,	NULL };
	posix_spawn_file_actions_t actions;
	int r;

	snprintf(protocol, sizeof(protocol), "%d", PROTOCOL);
	snprintf(parent, sizeof(parent), "%d", (int)getpid());
	snprintf(fd_text, sizeof(fd_text), "%d", SOCKET_FD);
	posix_spawn_file_actions_init(&actions);
	r = posix_spawn_file_actions_adddup2(&actions, fd, SOCKET_FD);
	if (r == 0)
		r = posix_spawn(ret, program, &actions, NULL, (char **)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static enum exit_status start(struct cli *cli, struct job *j, const char *store, const char *dir)
{
	_cleanup_(freep) char *program = process_find_worker(SLOTD_WORKER_PATH);
	_cleanup_(closep) int theirs = -1;
	int pair[2], r;

	if (!program || frame_buf_init(&j->frames, 0, 0, 0) < 0)
		return cli_fail(cli, EXIT_STATUS_FAILED, "out of memory");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return cli_fail(cli, EXIT_STATUS_FAILED, "cannot make a socket pair: %s",
				strerror(errno));
	j->fd = pair[0];
	theirs = pair[1];
	r = spawn(program, store, dir, theirs, &j->pid);
	if (r == 0)
		return EXIT_STATUS_DONE;
	j->pid = 0;
	return cli_fail(cli, EXIT_STATUS_FAILED,
			"cannot start %s: %s; SLOTD_WORKER names it where it is elsewhere", program,
			strerror(-r));
}

/* it ends when its socket does */
static void job_end(struct job *j)
{
	closep(&j->fd);
	while (j->pid > 0 && waitpid(j->pid, NULL, 0) < 0 && errno == EINTR)
		;
	frame_buf_deinit(&j->frames);
}

/* --- a call --- */

static int send_call(struct job *j, const char *method, json_object *params, struct fault *f)
{
	_cleanup_json_ json_object *call = json_object_new_object();
	_cleanup_(freep) char *name = text_printf("io.slotd.worker.%s", method);
	int r;

	json_set(call, "parameters", params);
	if (!name)
		return fault_oom(f);
	json_set_string(call, "method", name);
	r = frame_queue(&j->frames, call);
	while (r == 0 && frame_pending(&j->frames) > 0)
		r = frame_flush(&j->frames, j->fd, f);
	return r;
}

static int receive(struct job *j, json_object **ret, struct fault *f)
{
	int r;

	while ((r = frame_next(&j->frames, ret)) == FRAME_E_PARTIAL) {
		r = frame_read(&j->frames, j->fd, f);
		if (r < 0)
			return r;
	}
	if (r == FRAME_E_CLOSED)
		return fault(f, -EPIPE, "the worker has ended before it was done");
	return r == 0 ? 0 : fault(f, -EPROTO, "the worker has said what cannot be understood");
}

/* the parameters of the reply; @ret_error: the last word of its error, NULL: none */
static int call(struct job *j, const char *method, json_object *params, json_object **ret,
		char **ret_error, struct fault *f)
{
	_cleanup_json_ json_object *reply = NULL;
	const char *error, *dot;
	int r = send_call(j, method, params, f);

	if (r == 0)
		r = receive(j, &reply, f);
	if (r < 0)
		return r;
	error = json_get_string(reply, "error");
	dot = error ? strrchr(error, '.') : NULL;
	*ret_error = text_dup(dot ? dot + 1 : error);
	*ret = json_object_get(json_get_object(reply, "parameters"));
	return *ret ? 0 : fault(f, -EPROTO, "the worker has said nothing");
}

static enum exit_status status_of(const char *error)
{
	if (strcmp(error, "NotFound") == 0)
		return EXIT_STATUS_ABSENT;
	return strcmp(error, "NotPermitted") == 0 ? EXIT_STATUS_DENIED : EXIT_STATUS_FAILED;
}

/* a call that is refused is told */
static enum exit_status ask(struct cli *cli, struct job *j, const char *method, json_object *params,
			    json_object **ret)
{
	_cleanup_json_ json_object *reply = NULL;
	_cleanup_(freep) char *error = NULL;
	struct fault f = FAULT_NONE;
	const char *message;

	if (call(j, method, params, &reply, &error, &f) < 0)
		return cli_fail(cli, EXIT_STATUS_FAILED, "%s", f.text);
	if (error) {
		message = json_get_string(reply, "message");
		return cli_fail(cli, status_of(error), "%s", message ? message : error);
	}
	*ret = TAKE(reply);
	return EXIT_STATUS_DONE;
}

enum exit_status job_run(struct cli *cli, const char *store, const char *dir, const char *method,
			 json_object *params, json_object **ret)
{
	json_object *hello = json_set_int(json_object_new_object(), "protocol", PROTOCOL);
	_cleanup_json_ json_object *greeting = NULL;
	struct job j = { .fd = -1 };
	enum exit_status status = start(cli, &j, store, dir);

	if (status == EXIT_STATUS_DONE)
		status = ask(cli, &j, "Hello", TAKE(hello), &greeting);
	if (status == EXIT_STATUS_DONE)
		status = ask(cli, &j, method, TAKE(params), ret);
	job_end(&j);
	json_object_put(hello);
	json_object_put(params);
	return status;
}
