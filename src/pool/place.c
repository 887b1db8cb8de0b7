/*
 * Where the slots of a pool lie: <slots_dir>/<pool>, one slotd's at a time.
 *
 * A slot that the ledger does not know, as it was lost or rebuilt, is found here by its name. It is
 * looked into like one that was given back, and kept where there is anything in it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/parse.h"
#include "util/text.h"

/* --- whose it is --- */

/* <slots_dir>/.<pool>.slotd: the state directory of who has <slots_dir>/<pool> */
static char *slots_dir_mark(const struct pool *pool)
{
	return text_printf("%s/.%s.slotd", pool->pools->conf->slots_dir, pool->rec.name);
}

/* whose slots are in there: what another slotd made is not ours to judge */
static int claim_slots_dir(struct pool *pool, struct fault *f)
{
	_cleanup_(freep) char *mark = slots_dir_mark(pool);
	const char *mine = pool->pools->conf->state_dir;
	_cleanup_(freep) char *whose = NULL, *lock = NULL;
	int r;

	if (!mark)
		return fault_oom(f);
	r = fs_read_file_at(AT_FDCWD, mark, PATH_MAX, &whose, NULL);
	if (r < 0 && r != -ENOENT)
		return fault_errno(f, r, "cannot read %s", mark);
	if (r == 0 && strcmp(whose, mine) == 0)
		return 0;
	lock = text_printf("%s/lock", whose ? whose : "");
	if (r == 0 && lock && access(lock, F_OK) == 0)
		return fault(f, -EUSERS,
			     "%s holds slots of the slotd of %s; give one of them another slots_dir, "
			     "or delete %s if that slotd is gone for good",
			     pool->slots_dir, whose, mark);
	r = fs_write_file_at(AT_FDCWD, mark, mine, strlen(mine), 0644);
	return r < 0 ? fault_errno(f, r, "cannot write %s", mark) : 0;
}

int pool_make_slots_dir(struct pool *pool, struct fault *f)
{
	int r = fs_mkdir_all(pool->slots_dir, 0755, f);

	if (r < 0)
		return r;
	fs_spread_children(pool->slots_dir);
	return claim_slots_dir(pool, f);
}

int pool_drop_slots_dir(struct pool *pool)
{
	_cleanup_(freep) char *mark = slots_dir_mark(pool);

	if (mark)
		(void)unlink(mark);
	return rmdir(pool->slots_dir) < 0 ? -errno : 0;
}

/* --- what is found in it --- */

/* does any process work in there? what cannot be read belongs to others, who could not either */
static bool place_is_used(const char *path)
{
	size_t len = strlen(path);
	struct dirent *e;
	bool used = false;
	DIR *proc = opendir("/proc");

	while (proc && !used && (e = readdir(proc))) {
		char link[300], to[PATH_MAX];
		ssize_t n;

		if (e->d_name[0] < '1' || e->d_name[0] > '9')
			continue;
		snprintf(link, sizeof(link), "/proc/%s/cwd", e->d_name);
		n = readlink(link, to, sizeof(to) - 1);
		if (n < 0)
			continue;
		to[n] = '\0';
		used = strncmp(to, path, len) == 0 && (to[len] == '/' || to[len] == '\0');
	}
	if (proc)
		closedir(proc);
	return used;
}

void slot_inquire(struct slot *slot, const char *why)
{
	char in_use[REASON_SIZE];
	_cleanup_(freep) char *path = slot_path(slot);
	enum slot_state s = slot->rec.state;

	slot_edit(slot);
	slot->rec.discard = false;
	slot_forget_holder(slot); /* somebody else may have had it since that was recorded */
	slot->rec.unsure = true;
	if (s == SLOT_STATE_CREATING || s == SLOT_STATE_REMOVING || s == SLOT_STATE_ISOLATED)
		return; /* nobody had it, or nobody may have it */
	if (!path || place_is_used(path)) {
		snprintf(in_use, sizeof(in_use), "%s, and a process works in it", why);
		slot_move(slot, SLOT_STATE_ISOLATED, in_use);
		return;
	}
	if (s == SLOT_STATE_READY)
		slot_recover(slot, false, why);
	else if (s == SLOT_STATE_LEASED || s == SLOT_STATE_PREPARING)
		slot_clean(slot, false, why);
	memset(&slot->rec.lease, 0, sizeof(slot->rec.lease));
	slot_put(slot);
}

static void adopt_directory(struct pool *pool, int dirfd, const char *name, const char *reason)
{
	struct slot_record rec = { .state = SLOT_STATE_RECOVERING };
	struct slot *slot;
	size_t pool_len;
	struct stat st;
	uint64_t n;

	if (parse_slot_name(name, &pool_len, &n) < 0 || strlen(pool->rec.name) != pool_len ||
	    strncmp(name, pool->rec.name, pool_len) != 0 || pools_find_slot(pool->pools, name))
		return;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return;
	snprintf(rec.name, sizeof(rec.name), "%.79s", name);
	memcpy(rec.pool, pool->rec.name, sizeof(rec.pool));
	snprintf(rec.reason, sizeof(rec.reason), "%s", reason);
	rec.dev = st.st_dev;
	rec.ino = st.st_ino;
	rec.since_usec = rec.created_usec = clock_wall_usec();
	memcpy(rec.target, pool->rec.head, sizeof(rec.target));
	if (n >= pool->next_n)
		pool->next_n = n + 1;
	slot = slot_new(pool, &rec);
	if (!slot)
		return;
	slot_put(slot);
	slot_inquire(slot, reason);
	pools_event(pool->pools, "slot_found", pool, slot, NULL, UID_SLOTD, "%s", rec.reason);
}

void pool_adopt_directories(struct pool *pool, const char *reason)
{
	struct token_record t = { 0 };
	uint64_t next_n = pool->next_n;
	struct dirent *e;
	DIR *dir = opendir(pool->slots_dir);

	while (dir && (e = readdir(dir)))
		adopt_directory(pool, dirfd(dir), e->d_name, reason);
	if (dir)
		closedir(dir);
	if (pool->next_n == next_n)
		return;
	t.next_n = pool->next_n;
	batch_put_token(pool->pools->batch, pool->rec.name, &t);
	pools_changed(pool->pools);
}
