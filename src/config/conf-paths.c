/* Where things are when nobody says so. */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/conf-internal.h"
#include "config/conf-word.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/text.h"

/* the XDG specification: a relative path in such a variable is ignored */
static const char *directory_variable(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] == '/' ? value : NULL;
}

static char *home_directory(void)
{
	const char *home = directory_variable("HOME");
	const struct passwd *pw = home ? NULL : getpwuid(getuid());

	return strdup(home ? home : pw ? pw->pw_dir : "/");
}

/* $VARIABLE/tail, else ~/fallback/tail */
static char *user_path(const char *variable, const char *fallback, const char *tail)
{
	const char *base = directory_variable(variable);
	_cleanup_(freep) char *home = NULL;
	_cleanup_(freep) char *path = NULL;

	if (base) {
		path = text_printf("%s/%s", base, tail);
	} else {
		home = home_directory();
		path = home ? text_printf("%s/%s/%s", home, fallback, tail) : NULL;
	}
	return path ? conf_word_clean_path(path) : NULL;
}

char *conf_default_path(enum conf_scope scope)
{
	if (scope == CONF_SCOPE_SYSTEM)
		return strdup(CONF_SYSTEM_FILE);
	return user_path("XDG_CONFIG_HOME", ".config", "slotd/slotd.yaml");
}

static bool is_our_directory(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

char *conf_user_socket(void)
{
	const char *runtime = directory_variable("XDG_RUNTIME_DIR");
	_cleanup_(freep) char *path = NULL;

	if (runtime) {
		path = text_printf("%s/slotd/slotd.sock", runtime);
		return path ? conf_word_clean_path(path) : NULL;
	}
	path = text_printf("/run/user/%u", (unsigned)geteuid());
	if (!path)
		return NULL;
	if (is_our_directory(path))
		return text_printf("%s/slotd/slotd.sock", path);
	return text_printf("/tmp/slotd-%u/slotd.sock", (unsigned)geteuid());
}

int conf_fill_paths(struct conf *c, enum conf_scope scope)
{
	bool is_user = scope == CONF_SCOPE_USER;

	if (!c->state_dir)
		c->state_dir = is_user ? user_path("XDG_STATE_HOME", ".local/state", "slotd")
				       : strdup("/var/lib/slotd");
	if (c->state_dir && !c->slots_dir)
		c->slots_dir = text_printf("%s/slots", c->state_dir);
	if (!c->socket)
		c->socket = is_user ? conf_user_socket() : strdup(CONF_SYSTEM_SOCKET);
	return c->state_dir && c->slots_dir && c->socket ? 0 : -ENOMEM;
}

void conf_fill_pool(struct conf_pool *defaults, enum conf_scope scope)
{
	defaults->lease.abandon_after_usec = (scope == CONF_SCOPE_USER ? 24 : 2) * USEC_PER_HOUR;
}
