/*
 * What nothing reaches, and nobody has touched for long.
 *
 * Looked for a second time, after the repack: what is there now, what is young now, what the files of
 * the repository name now. What was reachable when the walk began stays in any case. What is young
 * and unreachable, or in a pack that stays, holds what it leads to.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git/admin.h"
#include "git/maintain-private.h"
#include "git/mention.h"
#include "util/cleanup.h"
#include "util/crash.h"

struct prune {
	struct maintenance *m;
	struct store_listing now;
	struct oid_set old;	       /* that may go */
	struct oid_set mentioned;      /* of those */
	struct object_walk held;       /* that may not */
	const struct store_pack *pack; /* that is being looked at */
	bool spare;		       /* something in it is held */
};

/* --- since when? --- */

/* the first time it is seen so begins its time */
static int is_old_garbage(struct prune *p, struct store_pack *pack)
{
	struct maintenance *m = p->m;
	struct stat st;

	if (fstatat(m->garbage_fd, pack->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return admin_write_at(m->garbage_fd, pack->name, "", m->f);
	return st.st_mtime < m->cutoff && pack->mtime < m->cutoff;
}

static int count_reached(const git_oid *oid, void *userdata)
{
	struct prune *p = userdata;
	struct store_pack *pack = (struct store_pack *)p->pack;

	pack->reached += oid_set_has(&p->m->walk.reached, oid);
	return 0;
}

static int note_old(const git_oid *oid, void *userdata)
{
	struct prune *p = userdata;

	return oid_set_add(&p->old, oid, 0) < 0 ? fault_oom(p->m->f) : 0;
}

/* doomed: all of it may go */
static int look_at_pack(struct prune *p, struct store_pack *pack)
{
	int r;

	p->pack = pack;
	r = store_pack_each(pack, count_reached, p);
	if (r < 0)
		return git_fault(p->m->f, r, "cannot read %s", pack->name);
	r = pack->kept || pack->reached ? 0 : is_old_garbage(p, pack);
	if (r <= 0)
		return r;
	pack->doomed = true;
	return store_pack_each(pack, note_old, p);
}

static bool is_old_loose(const struct prune *p, const struct store_loose *loose)
{
	return loose->mtime < p->m->cutoff && !oid_set_has(&p->m->walk.reached, &loose->oid);
}

static int find_old(struct prune *p)
{
	int r = store_list(p->m, &p->now);

	for (size_t i = 0; r == 0 && i < p->now.n_packs; i++)
		r = look_at_pack(p, &p->now.packs[i]);
	for (size_t i = 0; r == 0 && i < p->now.n_loose; i++)
		if (is_old_loose(p, &p->now.loose[i]))
			r = note_old(&p->now.loose[i].oid, p);
	return r;
}

/* a pack that is gone, or reachable again, begins anew when it is garbage again */
static int forget_garbage(int dirfd, const char *name, void *userdata)
{
	struct prune *p = userdata;

	for (size_t i = 0; i < p->now.n_packs; i++)
		if (strcmp(p->now.packs[i].name, name) == 0 && p->now.packs[i].reached == 0)
			return 0;
	return admin_remove_at(dirfd, name, p->m->f);
}

/* --- what holds it all the same --- */

static int hold(const git_oid *oid, void *userdata)
{
	struct prune *p = userdata;

	return oid_set_has(&p->m->walk.reached, oid) ? 0 : object_walk_add(&p->held, oid, p->m->f);
}

static int find_holders(struct prune *p)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->now.n_loose; i++)
		if (!is_old_loose(p, &p->now.loose[i]))
			r = hold(&p->now.loose[i].oid, p);
	for (size_t i = 0; r == 0 && i < p->now.n_packs; i++)
		if (!p->now.packs[i].doomed)
			r = store_pack_each(&p->now.packs[i], hold, p);
	if (r == 0)
		r = mention_find(p->m->common_fd, &p->old, &p->mentioned, p->m->f);
	for (size_t i = 0; r == 0 && i < oid_set_count(&p->mentioned); i++)
		r = hold(oid_set_at(&p->mentioned, i, NULL), p);
	return r;
}

static int find_held(struct prune *p)
{
	const struct maintain_options *o = p->m->options;
	int r;

	object_walk_init(&p->held, p->m->repo, &p->now.all);
	p->held.progress = o->progress;
	p->held.userdata = o->userdata;
	r = find_holders(p);
	return r == 0 ? object_walk_run(&p->held, p->m->f) : r;
}

/* --- it goes --- */

static int is_spared(const git_oid *oid, void *userdata)
{
	struct prune *p = userdata;

	p->spare |= oid_set_has(&p->held.reached, oid);
	return 0;
}

static int drop_pack(struct prune *p, const struct store_pack *pack)
{
	int r;

	p->spare = false;
	r = store_pack_each(pack, is_spared, p);
	if (r < 0)
		return git_fault(p->m->f, r, "cannot read %s", pack->name);
	if (p->spare)
		return 0;
	r = maintain_drop_pack(p->m, pack->name, p->m->cutoff);
	if (r != 0)
		return r < 0 ? r : 0;
	p->m->out->dropped += pack->count;
	return admin_remove_at(p->m->garbage_fd, pack->name, p->m->f);
}

static int drop_loose(struct prune *p, const struct store_loose *loose)
{
	int r;

	if (!is_old_loose(p, loose) || oid_set_has(&p->held.reached, &loose->oid))
		return 0;
	r = maintain_drop_loose(p->m, &loose->oid, p->m->cutoff);
	if (r == 0)
		p->m->out->dropped++;
	return r < 0 ? r : 0;
}

static int drop(struct prune *p)
{
	int r = 0;

	CRASH_POINT("maintain.prune.found");
	for (size_t i = 0; r == 0 && i < p->now.n_packs; i++)
		if (p->now.packs[i].doomed)
			r = drop_pack(p, &p->now.packs[i]);
	for (size_t i = 0; r == 0 && i < p->now.n_loose; i++)
		r = drop_loose(p, &p->now.loose[i]);
	return r;
}

/* --- not while a fetch runs --- */

/* the lock of a directory that every store has: no file is left */
static int lock(int common_fd, int operation, struct fault *f)
{
	_cleanup_(closep) int fd = admin_open_dir_at(common_fd, "slotd", f);

	if (fd < 0)
		return fd;
	while (flock(fd, operation) < 0) {
		if (errno == EWOULDBLOCK)
			return -EAGAIN;
		if (errno != EINTR)
			return fault_errno(f, -errno, "cannot lock the directory slotd");
	}
	return TAKE_FD(fd);
}

int store_lock_prune(int common_fd, struct fault *f)
{
	return lock(common_fd, LOCK_SH, f);
}

static void stay(struct maintenance *m, const char *why)
{
	snprintf(m->out->reason, sizeof(m->out->reason), "nothing was thrown away: %.130s", why);
}

static int prune(struct prune *p)
{
	_cleanup_(closep) int lock_fd = lock(p->m->common_fd, LOCK_EX | LOCK_NB, p->m->f);
	int r;

	if (lock_fd == -EAGAIN) {
		stay(p->m, "a fetch is under way");
		return 0;
	}
	if (lock_fd < 0)
		return lock_fd;
	r = find_old(p);
	if (r == 0)
		r = admin_foreach_at(p->m->garbage_fd, ".", forget_garbage, p, p->m->f);
	if (r == 0 && oid_set_count(&p->old) > 0)
		r = find_held(p);
	if (r > 0) {
		stay(p->m, r == MENTION_E_BUSY ? "its files come and go" : p->m->f->text);
		return 0;
	}
	return r == 0 && oid_set_count(&p->old) > 0 ? drop(p) : r;
}

int maintain_prune(struct maintenance *m)
{
	struct prune p = { .m = m };
	char hex[GIT_OID_HEXSZ + 1], why[96];
	int r;

	/* what leads to something that is lost may be what helps to find it again */
	if (m->walk.missing > 0) {
		snprintf(why, sizeof(why), "%s is missing",
			 git_oid_tostr(hex, sizeof(hex), &m->walk.first_missing));
		stay(m, why);
		return 0;
	}
	r = prune(&p);
	object_walk_deinit(&p.held);
	oid_set_deinit(&p.old);
	oid_set_deinit(&p.mentioned);
	store_listing_deinit(&p.now);
	return r;
}
