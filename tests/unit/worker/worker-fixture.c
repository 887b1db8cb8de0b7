/* The daemon's half of the conversation. */
#include "worker-fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rpc/idl.h"
#include "util/json.h"
#include "util/text.h"

#define MAX_KEPT 1024
static json_object *kept[MAX_KEPT];
static size_t n_kept;

static json_object *keep(json_object *o)
{
	cr_assert_lt(n_kept, MAX_KEPT);
	kept[n_kept++] = o;
	return o;
}

void worker_forget(void)
{
	while (n_kept > 0)
		json_object_put(kept[--n_kept]);
}

static void exec_worker(int fd, pid_t parent, const char *store, bool adopted)
{
	char fd_text[12], parent_text[12];

	snprintf(fd_text, sizeof(fd_text), "%d", fd);
	snprintf(parent_text, sizeof(parent_text), "%d", (int)parent);
	fcntl(fd, F_SETFD, 0);
	execl(getenv("SLOTD_WORKER"), "slotd-worker", "--protocol", "2", "--pool", "a", "--store",
	      store, "--slots", in_dir("slots"), "--fd", fd_text, "--parent", parent_text,
	      adopted ? "--path-store" : NULL, NULL);
	_exit(127);
}

void worker_start(struct worker_end *w, const char *store)
{
	int pair[2];
	pid_t parent = getpid();

	/* SLOTD_WORKER names another one */
	setenv("SLOTD_WORKER", WORKER_PATH, 0);
	cr_assert(sh("mkdir -p slots s.git"));
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*w = (struct worker_end){ .fd = pair[0] };
	cr_assert_eq(frame_buf_init(&w->frames, 0, 0, 0), 0);
	w->pid = fork();
	cr_assert_geq(w->pid, 0);
	if (w->pid == 0)
		exec_worker(pair[1], parent, in_dir(store ? store : "s.git"), store != NULL);
	close(pair[1]);
}

static int reap(struct worker_end *w)
{
	int status = 0;

	while (waitpid(w->pid, &status, 0) < 0)
		cr_assert_eq(errno, EINTR);
	frame_buf_deinit(&w->frames);
	w->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int worker_stop(struct worker_end *w)
{
	if (w->pid == 0)
		return 0;
	close(w->fd);
	return reap(w);
}

void worker_kill(struct worker_end *w)
{
	kill(w->pid, SIGKILL);
	close(w->fd);
	reap(w);
}

int any_lock(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return fd;
}

void worker_send(struct worker_end *w, const char *method, json_object *params, int lock_fd)
{
	_cleanup_json_ json_object *call = json_object_new_object();
	_cleanup_json_ json_object *name =
		json_object_new_string(fixture_keep(text_printf("io.slotd.worker.%s", method)));

	json_set(call, "method", json_object_get(name));
	json_set(call, "parameters", params);
	json_set_bool(call, "more", true);
	if (lock_fd >= 0)
		cr_assert_eq(frame_queue_fd(&w->frames, call, lock_fd), 0);
	else
		cr_assert_eq(frame_queue(&w->frames, call), 0);
	(void)frame_flush(&w->frames, w->fd, NULL);
}

static struct idl *interface(void)
{
	static struct idl *idl;

	if (!idl)
		cr_assert_eq(idl_parse(io_slotd_worker_varlink, &idl, NULL), 0);
	return idl;
}

static json_object *next_message(struct worker_end *w)
{
	json_object *message = NULL;
	int r;

	while ((r = frame_next(&w->frames, &message)) == FRAME_E_PARTIAL)
		if (frame_read(&w->frames, w->fd, NULL) < 0)
			return NULL;
	cr_assert(r == 0 || r == FRAME_E_CLOSED, "frame_next says %d", r);
	return message ? keep(message) : NULL;
}

static void check_reply(const char *method, json_object *params)
{
	char *field = NULL;
	struct fault f = FAULT_NONE;

	cr_assert_eq(idl_check_reply(interface(), method, params, &field, &f), 0, "%s: %s: %s", method,
		     field ? field : f.text, json_object_to_json_string(params));
	free(field);
}

json_object *worker_receive(struct worker_end *w, const char *method)
{
	json_object *message, *params;
	const char *error, *text;

	for (w->progress = 0;; w->progress++) {
		message = next_message(w);
		if (!message)
			return NULL;
		error = json_get_string(message, "error");
		params = json_get_object(message, "parameters");
		cr_assert(params != NULL);
		if (!error)
			check_reply(method, params);
		if (!json_get_bool(message, "continues", false))
			break;
		if (w->heard)
			w->heard(params);
	}
	text = json_get_string(params, "message");
	snprintf(w->error, sizeof(w->error), "%s", error ? strrchr(error, '.') + 1 : "");
	snprintf(w->message, sizeof(w->message), "%s", text ? text : "");
	return params;
}

json_object *worker_call(struct worker_end *w, const char *method, const char *params, ...)
{
	json_object *o;
	char *text = NULL;
	va_list ap;

	va_start(ap, params);
	cr_assert_geq(vasprintf(&text, params, ap), 0);
	va_end(ap);
	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	o = json_tokener_parse(text);
	cr_assert(o != NULL, "not JSON: %s", text);
	free(text);
	worker_send(w, method, o, strcmp(method, "Hello") == 0 ? -1 : any_lock());
	return worker_receive(w, method);
}

void make_origin(void)
{
	cr_assert(sh("git init -q -b main o && cd o && mkdir -p d/e && echo one > f && "
		     "echo deep > d/e/g && ln -s f link && echo '#!/bin/sh' > x && chmod +x x && "
		     "printf '*.log\\nbuild/\\n' > .gitignore && echo '*.crlf text eol=crlf' > "
		     ".gitattributes && printf 'a\\nb\\n' > t.crlf && git add -A && git commit -qm one && "
		     "git checkout -q -b topic && echo topic > f && echo new > d/n && git add -A && "
		     "git commit -qm topic && git checkout -q main && git branch other && "
		     "echo two > f && git commit -qam two"));
}

void store_open(struct worker_end *w)
{
	json_object *o = worker_call(w, "StoreOpen", "{'url': '%s/o', 'fresh': true}", fixture_dir);

	cr_assert(o && !w->error[0], "%s %s", w->error, w->message);
}

void slot_create(struct worker_end *w, const char *name, struct slot *ret)
{
	json_object *o = worker_call(w, "StoreResolve", "{}");

	cr_assert(o && !w->error[0], "%s %s", w->error, w->message);
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	snprintf(ret->commit, sizeof(ret->commit), "%s", json_get_string(o, "head"));
	o = worker_call(w, "SlotCreate", "{'slot': '%s', 'commit': '%s'}", name, ret->commit);
	cr_assert(o && !w->error[0], "%s %s", w->error, w->message);
	ret->dev = json_get_int(o, "dev", 0);
	ret->ino = json_get_int(o, "ino", 0);
	cr_assert(ret->dev != 0 && ret->ino != 0);
}

const char *slot_params(const struct slot *slot)
{
	return fixture_keep(text_printf("'slot': '%s', 'dev': %lld, 'ino': %lld", slot->name,
					(long long)slot->dev, (long long)slot->ino));
}

void assert_clean_at(const struct slot *slot, const char *commit)
{
	cr_assert_str_eq(sh_text("git -C slots/%s rev-parse HEAD", slot->name), commit);
	cr_assert_str_eq(sh_text("git -C slots/%s status --porcelain", slot->name), "");
	cr_assert(sh("cd slots/%s && git diff --exit-code --quiet && git diff --cached --quiet && "
		     "git fsck --no-dangling",
		     slot->name));
}
