/* Which slotd, and where the user's own keeps its things. */
#include "slotctl/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/conf.h"
#include "slotctl/out.h"
#include "slotd/slot.h"
#include "util/cleanup.h"
#include "util/text.h"

static void unref_confp(struct conf **c)
{
	conf_unref(*c);
}

void daemon_paths_deinit(struct daemon_paths *p)
{
	free(p->socket);
	free(p->state_dir);
	free(p->log);
	*p = (struct daemon_paths){ 0 };
}

/* the file if it is there and right, else the defaults: slotd itself says what is wrong with it */
static int load_conf(enum conf_scope scope, struct conf **ret, struct fault *f)
{
	_cleanup_(freep) char *file = conf_default_path(scope);

	if (!file)
		return fault_oom(f);
	if (access(file, R_OK) == 0 && conf_load(file, scope, ret, NULL, NULL) == 0)
		return 0;
	return conf_default(scope, ret, f);
}

/* libslot knows where the socket is by default, and looks at who owns the place */
static int default_socket(enum slot_scope scope, char **ret, struct fault *f)
{
	int r = slot_socket_path(scope, ret);

	if (r == -EACCES)
		return fault(f, r,
			     "the directory /tmp/slotd-%u does not belong to you alone; "
			     "set XDG_RUNTIME_DIR or SLOTD_SOCKET",
			     (unsigned)geteuid());
	return r < 0 ? fault_errno(f, r, "cannot tell where slotd's socket is") : 0;
}

int daemon_find_paths(struct daemon_paths *ret, struct fault *f)
{
	_cleanup_(unref_confp) struct conf *conf = NULL;
	_cleanup_(freep) char *preset = conf_user_socket();
	_cleanup_(daemon_paths_deinit) struct daemon_paths p = { 0 };
	int r;

	r = load_conf(CONF_SCOPE_USER, &conf, f);
	if (r < 0)
		return r;
	if (text_is_equal(preset, conf->socket)) {
		r = default_socket(SLOT_SCOPE_USER, &p.socket, f);
		if (r < 0)
			return r;
	} else {
		p.socket = strdup(conf->socket);
	}
	p.state_dir = strdup(conf->state_dir);
	p.log = text_printf("%s/slotd.log", conf->state_dir);
	if (!p.socket || !p.state_dir || !p.log)
		return fault_oom(f);
	*ret = p;
	p = (struct daemon_paths){ 0 };
	return 0;
}

static char *system_socket(void)
{
	_cleanup_(unref_confp) struct conf *conf = NULL;

	if (load_conf(CONF_SCOPE_SYSTEM, &conf, NULL) < 0)
		return strdup(CONF_SYSTEM_SOCKET);
	return strdup(conf->socket);
}

static int choose_user(struct cli *cli, struct fault *f)
{
	_cleanup_(daemon_paths_deinit) struct daemon_paths p = { 0 };
	int r = daemon_find_paths(&p, f);

	if (r < 0)
		return r;
	cli->scope = DAEMON_USER;
	cli->socket = TAKE(p.socket);
	return 0;
}

static int choose_named(struct cli *cli, const char *path, struct fault *f)
{
	_cleanup_(freep) char *cwd = path[0] == '/' ? NULL : getcwd(NULL, 0);

	cli->scope = DAEMON_EXPLICIT;
	cli->socket = cwd ? text_printf("%s/%s", cwd, path) : strdup(path);
	return cli->socket ? 0 : fault_oom(f);
}

bool daemon_is_users(const struct cli *cli)
{
	_cleanup_(daemon_paths_deinit) struct daemon_paths p = { 0 };

	if (cli->scope != DAEMON_EXPLICIT)
		return cli->scope == DAEMON_USER;
	return daemon_find_paths(&p, NULL) == 0 && strcmp(p.socket, cli->socket) == 0;
}

int daemon_choose(struct cli *cli, struct fault *f)
{
	const char *named = cli_string(cli, "socket"), *environment = getenv("SLOTD_SOCKET");
	_cleanup_(freep) char *system = NULL;
	struct stat st;

	if (named)
		return choose_named(cli, named, f);
	if (cli_flag(cli, "user"))
		return choose_user(cli, f);
	if (!cli_flag(cli, "system") && environment && *environment)
		return choose_named(cli, environment, f);
	system = system_socket();
	if (!system)
		return fault_oom(f);
	if (!cli_flag(cli, "system") && lstat(system, &st) < 0)
		return choose_user(cli, f);
	cli->scope = DAEMON_SYSTEM;
	cli->socket = TAKE(system);
	return 0;
}

char *daemon_read_log(const char *path, long from, size_t lines)
{
	_cleanup_(fclosep) FILE *file = fopen(path, "re");
	_cleanup_(freep) char *line = NULL;
	_cleanup_(freep) char **ring = calloc(lines + 1, sizeof(*ring));
	struct text t = { 0 };
	size_t size = 0, n = 0;

	if (!file || !ring || fseek(file, from, SEEK_SET) < 0)
		return NULL;
	while (lines > 0 && getline(&line, &size, file) >= 0) {
		line[strcspn(line, "\n")] = '\0';
		free(ring[n % lines]);
		ring[n++ % lines] = out_clean(line);
	}
	for (size_t i = n > lines ? n - lines : 0; i < n; i++)
		text_addf(&t, "%s\n", ring[i % lines]);
	for (size_t i = 0; i < lines; i++)
		free(ring[i]);
	return text_take(&t);
}
