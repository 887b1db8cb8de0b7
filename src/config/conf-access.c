/* Names of users and groups, and who may do what. */
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/conf-internal.h"
#include "util/cleanup.h"
#include "util/parse.h"

/* (uid_t)-1 means "nobody in particular" to the kernel */
static bool parse_id(const char *name, uint32_t *ret)
{
	int64_t n;

	if (parse_int(name, &n) < 0 || n < 0 || n >= UINT32_MAX)
		return false;
	*ret = (uint32_t)n;
	return true;
}

bool conf_user_find(const char *name, uint32_t *ret)
{
	const struct passwd *pw;

	if (parse_id(name, ret))
		return true;
	if (strcmp(name, "root") == 0) {
		*ret = 0;
		return true;
	}
	pw = getpwnam(name);
	if (pw)
		*ret = pw->pw_uid;
	return pw != NULL;
}

bool conf_group_find(const char *name, uint32_t *ret)
{
	const struct group *gr;

	if (parse_id(name, ret))
		return true;
	if (strcmp(name, "root") == 0) {
		*ret = 0;
		return true;
	}
	gr = getgrnam(name);
	if (gr)
		*ret = gr->gr_gid;
	return gr != NULL;
}

static bool names_user(const struct conf_list *users, uint32_t uid)
{
	uint32_t id;

	for (size_t i = 0; i < users->n; i++)
		if (conf_user_find(users->items[i], &id) && id == uid)
			return true;
	return false;
}

/* the groups of a user, by name service; NULL: unknown user or no memory */
static gid_t *groups_of(uint32_t uid, uint32_t gid, int *ret_n)
{
	const struct passwd *pw = getpwuid(uid);
	_cleanup_(freep) char *name = pw ? strdup(pw->pw_name) : NULL;
	_cleanup_(freep) gid_t *groups = NULL;
	int n = 0;

	if (!name)
		return NULL;
	getgrouplist(name, gid, NULL, &n);
	/* it may grow between the two calls; then the list is cut */
	groups = calloc((size_t)n + 16, sizeof(*groups));
	if (!groups)
		return NULL;
	*ret_n = n + 16;
	if (getgrouplist(name, gid, groups, ret_n) < 0)
		*ret_n = n + 16;
	return TAKE(groups);
}

static bool names_group(const struct conf_list *names, uint32_t uid, uint32_t gid)
{
	_cleanup_(freep) gid_t *groups = NULL;
	uint32_t id;
	int n = 0;

	if (names->n == 0)
		return false;
	groups = groups_of(uid, gid, &n);
	for (size_t i = 0; i < names->n; i++) {
		if (!conf_group_find(names->items[i], &id))
			continue;
		if (id == gid)
			return true;
		for (int k = 0; groups && k < n; k++)
			if (groups[k] == id)
				return true;
	}
	return false;
}

bool conf_pool_allows(const struct conf_pool *p, uint32_t uid, uint32_t gid,
		      enum conf_access_right right)
{
	if (uid == geteuid() || names_user(&p->access.operators, uid))
		return true;
	if (right != CONF_ACCESS_OBSERVE)
		return false;
	return names_user(&p->access.users, uid) || names_group(&p->access.groups, uid, gid);
}
