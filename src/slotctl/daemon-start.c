/* One slotd for this user, whoever asks first; the others just connect. */
#include "slotctl/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "slotd/slot.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/parse.h"
#include "util/text.h"

#define START_USEC     (10 * USEC_PER_SEC)
#define RACE_USEC      (300 * USEC_PER_MSEC) /* until the winner of a race has left its name */
#define RETRY_MSEC     20
#define LOG_LINES      5
#define STATUS_NO_EXEC 127

extern char **environ;

/* a user manager has its private socket there; without it systemctl would only fail slowly */
static bool has_user_manager(void)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	_cleanup_(freep) char *path =
		runtime && *runtime ? text_printf("%s/systemd/private", runtime) : NULL;

	return path && access(path, F_OK) == 0;
}

int daemon_systemctl(const char *const *args)
{
	const char *argv[8] = { "systemctl", "--user", "--quiet" };
	posix_spawn_file_actions_t actions;
	size_t n = 3;
	pid_t pid;
	int status = -1, r;

	if (!has_user_manager())
		return -1;
	for (; *args && n + 1 < ARRAY_SIZE(argv); args++)
		argv[n++] = *args;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	r = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (r != 0)
		return -1;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* the unit listens at the default place only */
static bool start_by_systemd(const char *socket)
{
	static const char *const start[] = { "start", "slotd.socket", NULL };
	_cleanup_(freep) char *preset = NULL;

	if (slot_socket_path(SLOT_SCOPE_USER, &preset) < 0 || strcmp(preset, socket) != 0)
		return false;
	return daemon_systemctl(start) == 0;
}

/* beside slotctl; in a build tree, beside its folder; else wherever PATH has it */
static char *find_slotd(void)
{
	static const char *const places[] = { "slotd", "../slotd/slotd", "../sbin/slotd" };
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n <= 0)
		return strdup("slotd");
	self[n] = '\0';
	slash = strrchr(self, '/');
	*slash = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_(freep) char *path = text_printf("%s/%s", self, places[i]);
		struct stat st;

		if (path && stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0)
			return TAKE(path);
	}
	return strdup("slotd");
}

/* what slotctl run told its command is not the daemon's business */
static void forget_slot(void)
{
	static const char *const names[] = { "SLOT_PATH", "SLOT_LEASE",	 "SLOT_TOKEN",
					     "SLOT_POOL", "SLOT_ID",	 "SLOT_BRANCH",
					     "SLOT_TASK", "SLOT_HANDOFF", "SLOT_TMPDIR",
					     "SLOT_PORT_BASE", "SLOT_PORT_COUNT", "SLOTD_SOCKET" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
}

/* in the child: no terminal, no directory, no descriptor of the caller's */
static void __attribute__((noreturn)) become_slotd(const char *slotd, int log_fd)
{
	int null_fd = open("/dev/null", O_RDONLY);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0 ||
	    chdir("/") < 0)
		_exit(STATUS_NO_EXEC);
	close_range(3, ~0U, 0);
	forget_slot();
	execlp(slotd, "slotd", "--user", NULL);
	dprintf(2, "cannot execute %s: %s\n", slotd, strerror(errno));
	_exit(STATUS_NO_EXEC);
}

static int open_log(const struct daemon_paths *paths, long *ret_size, struct fault *f)
{
	struct stat st;
	int fd, r;

	r = fs_mkdir_all(paths->state_dir, 0700, f);
	if (r < 0)
		return r;
	fd = open(paths->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fault_errno(f, -errno, "cannot open %s", paths->log);
	*ret_size = (long)st.st_size;
	return fd;
}

/* lets a moment pass; true when the child has ended */
static bool child_ends(pid_t pid, int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	poll(&p, pidfd >= 0, RETRY_MSEC);
	return pid > 0 && waitpid(pid, NULL, WNOHANG) == pid;
}

/* does somebody else hold the state directory? slotd writes "pid N" into the file that it locks */
static bool is_held(const char *state_dir)
{
	_cleanup_(freep) char *path = text_printf("%s/lock", state_dir);
	_cleanup_(freep) char *holder = NULL;
	int64_t pid;

	if (!path || fs_read_file_at(AT_FDCWD, path, 64, &holder, NULL) < 0)
		return false;
	holder[strcspn(holder, "\n")] = '\0';
	return text_has_prefix(holder, "pid ") && parse_int(holder + 4, &pid) == 0 && pid > 0 &&
	       kill((pid_t)pid, 0) == 0;
}

/* until the socket answers, or nobody is left who could make it; pid 0: not our child */
static int await_socket(struct cli *cli, pid_t pid, const char *state_dir, struct fault *f)
{
	_cleanup_(closep) int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	uint64_t deadline = clock_boot_usec() + START_USEC, race_until = 0;
	int r;

	while ((r = slot_client_connect(cli->client)) < 0) {
		uint64_t now = clock_boot_usec();

		if (now >= deadline || (race_until && now >= race_until && !is_held(state_dir)))
			return fault(f, r, "slotd was started, but does not answer at %s: %s",
				     cli->socket, slot_client_error_message(cli->client));
		if (child_ends(pid, pidfd)) {
			pid = 0; /* it failed, or somebody else was faster */
			closep(&pidfd);
			pidfd = -1;
			race_until = now + RACE_USEC;
		}
	}
	return 0;
}

/* did our child win, if it had to race? */
static bool is_ours(struct cli *cli, pid_t pid)
{
	_cleanup_json_ json_object *reply = NULL;
	int code;

	return cli_try_call(cli, "Ping", NULL, &reply, &code) == EXIT_STATUS_DONE &&
	       json_get_int(reply, "pid", 0) == (int64_t)pid;
}

/* in /tmp, only a directory that is the user's alone is trusted: so it is made */
static int make_socket_directory(const char *socket, struct fault *f)
{
	_cleanup_(freep) char *dir = strdup(socket);
	char *slash = dir ? strrchr(dir, '/') : NULL;

	if (!dir)
		return fault_oom(f);
	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	return fs_mkdir_all(dir, 0700, f);
}

static int start_detached(struct cli *cli, struct fault *f)
{
	_cleanup_(daemon_paths_deinit) struct daemon_paths paths = { 0 };
	_cleanup_(freep) char *slotd = find_slotd();
	_cleanup_(freep) char *said = NULL;
	_cleanup_(closep) int log_fd = -1;
	long log_size = 0;
	pid_t pid;
	int r;

	r = daemon_find_paths(&paths, f);
	if (r < 0)
		return r;
	if (!slotd)
		return fault_oom(f);
	r = make_socket_directory(paths.socket, f);
	if (r < 0)
		return r;
	log_fd = open_log(&paths, &log_size, f);
	if (log_fd < 0)
		return log_fd;
	pid = fork();
	if (pid < 0)
		return fault_errno(f, -errno, "cannot start slotd");
	if (pid == 0)
		become_slotd(slotd, log_fd);
	r = await_socket(cli, pid, paths.state_dir, f);
	if (r == 0) {
		if (is_ours(cli, pid))
			cli_note(cli, "started slotd for you; its log is %s", paths.log);
		return 0;
	}
	said = daemon_read_log(paths.log, log_size, LOG_LINES);
	if (said && *said)
		fprintf(stderr, "%s", said);
	return fault(f, r, "slotd could not be started; see %s", paths.log);
}

int daemon_start(struct cli *cli, struct fault *f)
{
	int r;

	if (!start_by_systemd(cli->socket))
		return start_detached(cli, f);
	r = await_socket(cli, 0, NULL, f);
	if (r == 0)
		cli_note(cli, "started slotd for you (slotd.socket of systemd --user)");
	return r;
}
