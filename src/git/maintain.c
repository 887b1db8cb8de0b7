/* When, whether, and in which order. */
#include "git/maintain.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git/admin.h"
#include "git/maintain-private.h"
#include "git/mention.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/text.h"

#define DONE_FILE   "maintained" /* in slotd/; its time is that of the last one */
#define GARBAGE_DIR "garbage"

#define GRACE_SEC  (14 * 24 * 3600)
#define KEEP_SEC   (24 * 3600)
#define GC_SEC	   (12 * 3600) /* git itself believes no older gc.pid */

#define LOOSE_MANY 5000
#define PACKS_MANY 50
#define MANY_USEC  USEC_PER_HOUR /* not more often, though they are many */

/* --- where --- */

static int open_database(struct maintenance *m)
{
	m->common_fd = open(repo_common_dir(m->repo), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->common_fd < 0)
		return fault_errno(m->f, -errno, "cannot open %s", repo_common_dir(m->repo));
	m->objects_fd = admin_open_dir_at(m->common_fd, "objects", m->f);
	if (m->objects_fd < 0)
		return m->objects_fd;
	m->pack_fd = admin_open_dir_at(m->objects_fd, "pack", m->f);
	if (m->pack_fd < 0)
		return m->pack_fd;
	m->slotd_fd = admin_open_dir_at(m->common_fd, "slotd", m->f);
	return m->slotd_fd < 0 ? m->slotd_fd : 0;
}

static int open_own_dirs(struct maintenance *m)
{
	m->dir_fd = admin_open_dir_at(m->slotd_fd, MAINTAIN_DIR, m->f);
	if (m->dir_fd < 0)
		return m->dir_fd;
	m->garbage_fd = admin_open_dir_at(m->slotd_fd, GARBAGE_DIR, m->f);
	return m->garbage_fd < 0 ? m->garbage_fd : 0;
}

/* what is empty need not be there */
static void remove_own_dirs(struct maintenance *m)
{
	unlinkat(m->slotd_fd, MAINTAIN_DIR, AT_REMOVEDIR);
	unlinkat(m->slotd_fd, GARBAGE_DIR, AT_REMOVEDIR);
}

static void init(struct maintenance *m, struct repo *repo, struct fault *f)
{
	*m = (struct maintenance){ .repo = repo,
				   .f = f,
				   .common_fd = -1,
				   .objects_fd = -1,
				   .pack_fd = -1,
				   .slotd_fd = -1,
				   .dir_fd = -1,
				   .garbage_fd = -1 };
}

static void deinit(struct maintenance *m)
{
	if (m->dir_fd >= 0)
		remove_own_dirs(m);
	object_walk_deinit(&m->walk);
	store_listing_deinit(&m->listing);
	closep(&m->garbage_fd);
	closep(&m->dir_fd);
	closep(&m->slotd_fd);
	closep(&m->pack_fd);
	closep(&m->objects_fd);
	closep(&m->common_fd);
}

static bool is_there(int dirfd, const char *name)
{
	return faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int store_maintain_undo(struct repo *repo, struct fault *f)
{
	struct maintenance m;
	int r;

	init(&m, repo, f);
	r = open_database(&m);
	if (r == 0 && is_there(m.slotd_fd, MAINTAIN_DIR)) {
		r = open_own_dirs(&m);
		if (r == 0)
			r = maintain_undo(m.common_fd, m.objects_fd, m.dir_fd, f);
	}
	deinit(&m);
	return r;
}

/* --- whether --- */

static int find_promisor(int dirfd, const char *name, void *userdata)
{
	if (text_has_suffix(name, ".promisor"))
		*(bool *)userdata = true;
	return 0;
}

/* somebody's git gc, that is alive */
static bool gc_runs(const struct maintenance *m)
{
	_cleanup_(freep) char *text = NULL;
	struct fault f = FAULT_NONE;
	struct stat st;
	int pid;

	if (fstatat(m->common_fd, "gc.pid", &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (uint64_t)st.st_mtime + GC_SEC < clock_wall_usec() / USEC_PER_SEC ||
	    admin_read_at(m->common_fd, "gc.pid", &text, &f) < 0 || sscanf(text, "%d", &pid) != 1 ||
	    pid <= 0)
		return false;
	return kill(pid, 0) == 0 || errno != ESRCH;
}

/* what is not understood is left alone; NULL: all is */
static const char *find_objection(struct maintenance *m)
{
	bool promisor = false;
	struct fault f = FAULT_NONE;

	(void)admin_foreach_at(m->objects_fd, "pack", find_promisor, &promisor, &f);
	if (promisor)
		return "it is a partial clone";
	if (is_there(m->common_fd, "shallow"))
		return "it is a shallow clone";
	if (is_there(m->objects_fd, "info/alternates"))
		return "it has objects of another repository";
	if (is_there(m->pack_fd, "multi-pack-index"))
		return "it has a multi-pack-index";
	return gc_runs(m) ? "somebody's git gc runs" : NULL;
}

/* --- when --- */

struct counter {
	size_t packs, loose;
	const char *suffix;
};

static int count_packs(int dirfd, const char *name, void *userdata)
{
	((struct counter *)userdata)->packs += text_has_suffix(name, ".idx");
	return 0;
}

static int count_loose(int dirfd, const char *name, void *userdata)
{
	((struct counter *)userdata)->loose += strlen(name) == GIT_OID_HEXSZ - 2;
	return 0;
}

/* names are spread evenly: one directory of the 256 tells of all, as git has it */
static bool are_many(struct maintenance *m)
{
	struct counter c = { 0 };
	struct fault f = FAULT_NONE;

	(void)admin_foreach_at(m->objects_fd, "pack", count_packs, &c, &f);
	(void)admin_foreach_at(m->objects_fd, "17", count_loose, &c, &f);
	return c.packs > PACKS_MANY || c.loose > LOOSE_MANY / 256;
}

static int note_done(struct maintenance *m)
{
	return admin_write_at(m->slotd_fd, DONE_FILE, "", m->f);
}

/* 1: it is. A store that never was maintained has just been cloned */
static int is_due(struct maintenance *m)
{
	uint64_t now = clock_wall_usec(), every = m->options->every_usec, last;
	struct stat st;

	m->out->next_usec = every;
	if (fstatat(m->slotd_fd, DONE_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return note_done(m);
	last = (uint64_t)st.st_mtim.tv_sec * USEC_PER_SEC + (uint64_t)st.st_mtim.tv_nsec / 1000;
	if (last > now || now - last >= every)
		return 1;
	if (every > MANY_USEC && are_many(m) && now - last >= MANY_USEC)
		return 1;
	m->out->next_usec = every - (now - last);
	return 0;
}

/* --- what is reachable --- */

static time_t find_cutoff(const struct maintain_options *o)
{
	time_t now = (time_t)(clock_wall_usec() / USEC_PER_SEC);
	time_t lease = o->lease_usec ? (time_t)(o->lease_usec / USEC_PER_SEC) - MAINTAIN_MARGIN_SEC : now;

	return lease < now - GRACE_SEC ? lease : now - GRACE_SEC;
}

static int find_reachable(struct maintenance *m)
{
	struct oid_set mentioned = { 0 };
	int r = mention_find(m->common_fd, &m->listing.all, &mentioned, m->f);

	object_walk_init(&m->walk, m->repo, &m->listing.all);
	m->walk.progress = m->options->progress;
	m->walk.userdata = m->options->userdata;
	for (size_t i = 0; r == 0 && i < oid_set_count(&mentioned); i++)
		r = object_walk_add(&m->walk, oid_set_at(&mentioned, i, NULL), m->f);
	oid_set_deinit(&mentioned);
	return r == 0 ? object_walk_run(&m->walk, m->f) : r;
}

struct counting {
	struct maintenance *m;
	struct store_pack *pack;
};

static int count_reached(const git_oid *oid, void *userdata)
{
	struct counting *c = userdata;

	c->pack->reached += oid_set_has(&c->m->walk.reached, oid);
	return 0;
}

static int count_in_packs(struct maintenance *m)
{
	int r;

	for (size_t i = 0; i < m->listing.n_packs; i++) {
		struct counting c = { .m = m, .pack = &m->listing.packs[i] };

		r = store_pack_each(c.pack, count_reached, &c);
		if (r < 0)
			return git_fault(m->f, r, "cannot read %s", c.pack->name);
	}
	return 0;
}

/* --- salvage that a crash came into --- */

/*
 * Its ref stands when all in the pack is reachable. When it was never made, the slot was saved anew by
 * now, or is isolated with all that is in it; then the pack is as any other that nothing reaches.
 */
static int look_at_keep(struct maintenance *m, const struct store_pack *pack)
{
	_cleanup_(freep) char *text = NULL;
	char name[PACK_NAME_SIZE + 8];
	struct fault f = FAULT_NONE;
	struct stat st;

	snprintf(name, sizeof(name), "%s.keep", pack->name);
	if (fstatat(m->pack_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    admin_read_at(m->pack_fd, name, &text, &f) < 0 ||
	    !text_has_prefix(text, "slotd salvage "))
		return 0;
	if (pack->reached < pack->count &&
	    (uint64_t)st.st_mtime + KEEP_SEC > clock_wall_usec() / USEC_PER_SEC)
		return 0;
	return pack_drop_keep(m->objects_fd, pack->name, m->f);
}

static int look_at_keeps(struct maintenance *m)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->listing.n_packs; i++)
		if (m->listing.packs[i].kept)
			r = look_at_keep(m, &m->listing.packs[i]);
	return r;
}

/* --- all of it --- */

static uint64_t bytes_of(const struct store_listing *l)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < l->n_packs; i++)
		bytes += l->packs[i].bytes;
	for (size_t i = 0; i < l->n_loose; i++)
		bytes += l->loose[i].bytes;
	return bytes;
}

static int take_stock(struct maintenance *m)
{
	struct store_listing l;
	int r = store_list(m, &l);

	m->out->packs_after = l.n_packs;
	m->out->loose_after = l.n_loose;
	m->out->bytes_after = bytes_of(&l);
	store_listing_deinit(&l);
	return r;
}

static int maintain(struct maintenance *m)
{
	int r = store_list(m, &m->listing);

	if (r < 0)
		return r;
	m->out->packs_before = m->listing.n_packs;
	m->out->loose_before = m->listing.n_loose;
	m->out->bytes_before = bytes_of(&m->listing);
	m->cutoff = find_cutoff(m->options);
	r = find_reachable(m);
	if (r > 0) {
		snprintf(m->out->reason, sizeof(m->out->reason), "%.150s",
			 r == MENTION_E_BUSY ? "its files come and go" : m->f->text);
		return note_done(m);
	}
	CRASH_POINT("maintain.walked");
	if (r == 0)
		r = maintain_litter(m);
	if (r == 0)
		r = count_in_packs(m);
	if (r == 0)
		r = look_at_keeps(m);
	if (r == 0)
		r = maintain_repack(m);
	if (r == 0)
		r = maintain_prune(m);
	if (r == 0)
		r = take_stock(m);
	CRASH_POINT("maintain.pruned");
	m->out->done = r == 0;
	return r < 0 ? r : note_done(m);
}

static int maintain_if_due(struct maintenance *m)
{
	const char *objection;
	int r = maintain_undo(m->common_fd, m->objects_fd, m->dir_fd, m->f);

	if (r == 0)
		r = is_due(m);
	if (r <= 0)
		return r;
	m->out->next_usec = m->options->every_usec;
	objection = find_objection(m);
	if (!objection)
		return maintain(m);
	snprintf(m->out->reason, sizeof(m->out->reason), "%s", objection);
	return 0;
}

int store_maintain(struct repo *repo, const struct maintain_options *options,
		   struct maintain_outcome *ret, struct fault *f)
{
	struct maintain_outcome out = { 0 };
	struct maintenance m;
	int r;

	init(&m, repo, f);
	m.options = options;
	m.out = &out;
	r = open_database(&m);
	if (r == 0)
		r = open_own_dirs(&m);
	if (r == 0)
		r = maintain_if_due(&m);
	deinit(&m);
	if (r == 0)
		*ret = out;
	return r < 0 ? r : 0;
}
