/* Where calls come in. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "slotd/slotd.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/text.h"

#define READ_USEC	 (10 * USEC_PER_SEC)
#define OUT_BYTES	 (1u << 20)
#define OUT_BYTES_OF_UID (64u << 20)
#define CONNECTIONS	 4096
#define LISTEN_PAUSE_USEC (100 * USEC_PER_MSEC)

static void spare_open(struct slotd *d)
{
	if (d->spare_fd < 0)
		d->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void set_listening(struct slotd *d, int enabled)
{
	for (size_t i = 0; i < d->n_listen; i++)
		sd_event_source_set_enabled(d->listen[i], enabled);
}

static int on_listen_again(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct slotd *d = userdata;

	spare_open(d);
	if (!d->stopping)
		set_listening(d, SD_EVENT_ON);
	return 0;
}

/* a level-triggered socket would spin: refuse one politely, then look away for a while */
static void out_of_descriptors(struct slotd *d, int listen_fd)
{
	int fd;

	log_warning("out of file descriptors; new connections wait");
	if (d->spare_fd >= 0) {
		close(d->spare_fd);
		d->spare_fd = -1;
		fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			close(fd);
		spare_open(d);
	}
	set_listening(d, SD_EVENT_OFF);
	sd_event_source_set_time_relative(d->listen_again, LISTEN_PAUSE_USEC);
	sd_event_source_set_enabled(d->listen_again, SD_EVENT_ONESHOT);
}

static int on_connection(sd_event_source *s, int listen_fd, uint32_t revents, void *userdata)
{
	struct slotd *d = userdata;
	struct fault f = FAULT_NONE;
	int fd, r;

	fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE)
			out_of_descriptors(d, listen_fd);
		else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			log_warning("cannot accept a connection: %s", strerror(errno));
		return 0;
	}
	r = rpc_conn_new(d->service, fd, &f);
	if (r < 0 && r != -EDQUOT)
		log_warning("cannot serve a connection: %s", f.text);
	return 0;
}

/* a socket file that nobody listens on any more is in the way; one that lives is not touched */
static int remove_dead_socket(const struct sockaddr_un *addr, struct fault *f)
{
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat st;

	if (lstat(addr->sun_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return fault(f, -EEXIST, "%s is in the way and no socket", addr->sun_path);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0)
		return fault(f, -EADDRINUSE, "somebody listens on %s already", addr->sun_path);
	return unlink(addr->sun_path) < 0 ? fault_errno(f, -errno, "cannot remove the dead socket %s",
							addr->sun_path) :
					    0;
}

/* a user's socket may be in /tmp: its directory must be his, and nobody else's to write to */
static int make_socket_dir(const char *dir, enum conf_scope scope, struct fault *f)
{
	bool own = scope == CONF_SCOPE_USER;
	struct stat st;
	int r = fs_mkdir_all(dir, own ? 0700 : 0755, f);

	if (r < 0 || !own)
		return r;
	if (lstat(dir, &st) < 0)
		return fault_errno(f, -errno, "cannot look at %s", dir);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 0022))
		return fault(f, -EPERM, "%s must be a directory of your own that nobody else can "
			     "write to", dir);
	return 0;
}

static int listen_on_path(const char *path, enum conf_scope scope, int *ret, struct fault *f)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_(freep) char *dir = strdup(path);
	_cleanup_(closep) int fd = -1;
	mode_t old;
	int r;

	if (!dir)
		return fault_oom(f);
	if (strlen(path) >= sizeof(addr.sun_path))
		return fault(f, -ENAMETOOLONG, "the socket's path is too long: %s", path);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	*strrchr(dir, '/') = '\0';
	r = make_socket_dir(dir, scope, f);
	if (r == 0)
		r = remove_dead_socket(&addr, f);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fault_errno(f, -errno, "cannot make a socket");
	old = umask(0117);
	r = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	umask(old);
	if (r < 0 || listen(fd, SOMAXCONN) < 0)
		return fault_errno(f, r < 0 ? r : -errno, "cannot listen on %s", path);
	*ret = TAKE_FD(fd);
	return 0;
}

static int add_listener(struct slotd *d, int fd, struct fault *f)
{
	int flags = fcntl(fd, F_GETFL), r;

	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	d->listen_fds[d->n_listen] = fd;
	r = sd_event_add_io(d->event, &d->listen[d->n_listen], fd, EPOLLIN, on_connection, d);
	if (r < 0)
		return fault_errno(f, r, "cannot add to the event loop");
	d->n_listen++;
	return 0;
}

static int add_listeners(struct slotd *d, struct fault *f)
{
	int n = sd_listen_fds(1), fd = -1, r;

	for (int i = 0; i < n && i < MAX_LISTEN; i++) {
		fd = SD_LISTEN_FDS_START + i;
		if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0)
			return fault(f, -EINVAL, "descriptor %d handed to slotd is no listening "
				     "unix stream socket", fd);
		r = add_listener(d, fd, f);
		if (r < 0)
			return r;
		d->activated = true;
	}
	if (n > 0)
		return 0;
	r = listen_on_path(d->conf->socket, d->scope, &fd, f);
	return r < 0 ? r : add_listener(d, fd, f);
}

void server_set_limits(struct slotd *d, const struct conf *conf)
{
	struct rpc_limits limits = {
		.message_bytes = conf->limits.message_bytes,
		.depth = 16,
		.out_bytes = OUT_BYTES,
		.out_bytes_per_uid = OUT_BYTES_OF_UID,
		.connections_per_uid = conf->limits.connections_per_uid,
		.pending_per_uid = conf->limits.pending_per_uid,
		.connections = CONNECTIONS,
		.read_usec = READ_USEC,
	};

	rpc_service_set_limits(d->service, &limits);
}

static void on_conn_gone(uint64_t conn_id, void *userdata)
{
	struct slotd *d = userdata;

	if (d->pools)
		pools_conn_gone(d->pools, conn_id);
}

int server_open(struct slotd *d, struct fault *f)
{
	int r;

	r = rpc_service_new(d->event, "slotd", "slotd", SLOTD_VERSION, "https://slotd.invalid/", d,
			    &d->service, f);
	if (r < 0)
		return r;
	server_set_limits(d, d->conf);
	rpc_service_on_conn_gone(d->service, on_conn_gone);
	r = methods_register(d, f);
	if (r == 0)
		r = rpc_service_check(d->service, f);
	if (r < 0)
		return r;
	r = sd_event_add_time_relative(d->event, &d->listen_again, CLOCK_MONOTONIC, 0, 0,
				       on_listen_again, d);
	if (r >= 0)
		r = sd_event_source_set_enabled(d->listen_again, SD_EVENT_OFF);
	if (r < 0)
		return fault_errno(f, r, "cannot add to the event loop");
	spare_open(d);
	return add_listeners(d, f);
}

void server_stop_listening(struct slotd *d)
{
	for (size_t i = 0; i < d->n_listen; i++) {
		d->listen[i] = sd_event_source_disable_unref(d->listen[i]);
		if (!d->activated)
			unlink(d->conf->socket);
		close(d->listen_fds[i]);
	}
	d->n_listen = 0;
}

void server_close(struct slotd *d)
{
	server_stop_listening(d);
	rpc_service_free(TAKE(d->service));
	d->listen_again = sd_event_source_disable_unref(d->listen_again);
	closep(&d->spare_fd);
	d->spare_fd = -1;
}
