/* Ask a program, as git does, and do not wait for ever. */
#include "git/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/clock.h"
#include "util/text.h"

#define HELPER_USEC  (10 * USEC_PER_SEC)
#define HELPER_BYTES (64 * 1024)

extern char **environ;

/* "https://user@host/path" as the protocol has it */
static char *describe(const char *url)
{
	const char *sep = strstr(url, "://"), *host, *path, *at;
	struct text t = { 0 };

	if (!sep)
		return NULL;
	host = sep + strlen("://");
	path = host + strcspn(host, "/");
	at = memchr(host, '@', (size_t)(path - host));
	text_addf(&t, "protocol=%.*s\n", (int)(sep - url), url);
	if (at) {
		text_addf(&t, "username=%.*s\n", (int)strcspn(host, ":@"), host);
		host = at + 1;
	}
	text_addf(&t, "host=%.*s\n", (int)(path - host), host);
	if (*path && path[1])
		text_addf(&t, "path=%s\n", path + 1);
	text_add_string(&t, "\n");
	if (strpbrk(url, "\r\n")) {
		text_deinit(&t);
		return NULL;
	}
	return text_take(&t);
}

static char **add_get(const char *const *helper)
{
	size_t n = 0;
	char **argv;

	while (helper[n])
		n++;
	argv = calloc(n + 2, sizeof(*argv));
	for (size_t i = 0; argv && i < n; i++)
		argv[i] = (char *)helper[i];
	if (argv)
		argv[n] = (char *)"get";
	return argv;
}

static int spawn(char **argv, int in, int out, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, pipe_only;
	int r;

	sigemptyset(&none);
	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawn_file_actions_addchdir_np(&actions, "/");
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &pipe_only);
	r = posix_spawnp(ret, argv[0], &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

/* true while there is something to read before the deadline */
static bool wait_readable(int fd, uint64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t now = clock_boot_usec();

	return now < deadline && poll(&p, 1, (int)((deadline - now) / USEC_PER_MSEC) + 1) != 0;
}

static int read_answer(int fd, struct text *answer, struct fault *f)
{
	uint64_t deadline = clock_boot_usec() + HELPER_USEC;
	char buf[4096];
	ssize_t n;

	while (wait_readable(fd, deadline)) {
		n = read(fd, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_errno(f, -errno, "cannot read from credentials.helper");
		if (n == 0)
			return 0;
		text_add(answer, buf, (size_t)n);
		if (answer->failed || answer->len > HELPER_BYTES)
			return fault(f, -EFBIG, "credentials.helper says too much");
	}
	return fault(f, -ETIMEDOUT, "credentials.helper did not answer within 10 s");
}

/* the value of a line "key=value"; borrowed from no one */
static char *find_value(const char *text, const char *key)
{
	size_t len = strlen(key);

	while (text && *text) {
		size_t line = strcspn(text, "\n");

		if (line > len && strncmp(text, key, len) == 0 && text[len] == '=')
			return strndup(text + len + 1, line - len - 1);
		text += line + (text[line] == '\n');
	}
	return NULL;
}

static int talk(pid_t pid, int to, int from, const char *question, struct text *answer,
		struct fault *f)
{
	int status = 0, r;

	/* shorter than a pipe holds; a helper that does not read it is no fault */
	(void)!write(to, question, strlen(question));
	close(to);
	r = read_answer(from, answer, f);
	if (r < 0)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		r = fault(f, -EACCES, "credentials.helper failed");
	return r;
}

static int run(char **argv, const char *question, struct text *answer, struct fault *f)
{
	_cleanup_(closep) int child_in = -1;
	_cleanup_(closep) int child_out = -1;
	_cleanup_(closep) int from = -1;
	int in[2], out[2], r;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) < 0)
		return fault_errno(f, -errno, "cannot make a pipe");
	child_in = in[0];
	if (pipe2(out, O_CLOEXEC) < 0) {
		close(in[1]);
		return fault_errno(f, -errno, "cannot make a pipe");
	}
	from = out[0];
	child_out = out[1];
	r = spawn(argv, child_in, child_out, &pid);
	if (r < 0) {
		close(in[1]);
		return fault_errno(f, r, "cannot run credentials.helper %s", argv[0]);
	}
	closep(&child_out);
	child_out = -1;
	return talk(pid, in[1], from, question, answer, f);
}

int credentials_ask_helper(const char *const *helper, const char *url, char **ret_user,
			   char **ret_password, struct fault *f)
{
	_cleanup_(text_deinit) struct text answer = { 0 };
	_cleanup_(freep) char *question = describe(url);
	_cleanup_(freep) char **argv = add_get(helper);
	_cleanup_(freep) char *user = NULL;
	_cleanup_(freep) char *password = NULL;
	int r;

	if (!argv)
		return fault_oom(f);
	if (!question)
		return fault(f, -EINVAL, "credentials.helper cannot be asked about %s", url);
	r = run(argv, question, &answer, f);
	if (r < 0)
		return r;
	user = find_value(answer.data, "username");
	password = find_value(answer.data, "password");
	if (!password)
		return fault(f, -EACCES, "credentials.helper gave no password for %s", url);
	*ret_user = user ? TAKE(user) : strdup("x-access-token");
	*ret_password = TAKE(password);
	return *ret_user ? 0 : fault_oom(f);
}
