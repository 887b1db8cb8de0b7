/*
 * Reads what no note vouches for.
 *
 * A note says that a pack, or loose objects, were read whole, that nothing was wrong with them, and that all
 * to which they lead was there. That last part is true as long as nothing goes away: when a pack or a loose
 * object that a note knows is gone, and not to be found elsewhere, no note counts any more, and all is read. So it
 * is when the store's settings or the end of its history have changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/check-private.h"

#include "util/map.h"

/* those that are looked at together with the pack */
static uint64_t stamp_side_files(const struct object_pack *p, uint64_t stamp)
{
	static const char *const ends[] = { "rev", "bitmap", "mtimes" };
	char name[sizeof(p->stem) + sizeof("pack/.bitmap")];
	struct stat st;

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		snprintf(name, sizeof(name), "pack/%s.%s", p->stem, ends[i]);
		if (fstatat(p->dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			stamp = pack_note_stamp_also(stamp, &st);
	}
	return stamp;
}

static uint64_t stamp_of(const struct object_pack *p)
{
	struct stat idx;
	git_oid trailer;
	const struct stat *pack = pack_stat(p->pack, &idx);

	pack_trailer(p->pack, &trailer);
	return stamp_side_files(p, pack_note_stamp(pack, &idx, &trailer));
}

static uint64_t times_of(const struct object_pack *p)
{
	struct stat idx;
	const struct stat *pack = pack_stat(p->pack, &idx);

	return pack_note_times(pack, &idx);
}

/* --- what went away --- */

/* notes by name: of packs, of which there may be thousands */
struct vanished {
	struct check_run *run;
	struct map *packs;
};

static int name_packs(struct check_run *run, struct map *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < run->dirs.n_packs; i++) {
		struct object_pack *p = run->dirs.packs[i];

		r = map_put(ret, p->note_name, p);
		r = r == -EEXIST ? 0 : r;
	}
	return r;
}

static bool has_dir(const struct check_run *run, const char *name)
{
	for (size_t i = 0; i < run->dirs.n; i++)
		if (strncmp(name, run->dirs.v[i]->tag, strlen(run->dirs.v[i]->tag)) == 0)
			return true;
	return false;
}

/* "<tag>-pack-<hex>" or "<tag>-loose-<xx>.<n>" */
static int on_note(const char *name, const void *data, size_t len, void *userdata)
{
	struct vanished *v = userdata;
	const struct object_pack *p = map_find(v->packs, name);
	struct pack_note note;

	if (strlen(name) > 8 && strncmp(name + 8, "-pack-", 6) == 0 &&
	    (!p || !pack_note_find(v->run->c.spec->memo, name, &note) || note.stamp != stamp_of(p)))
		v->run->has_vanished = true;
	if (strlen(name) > 8 && strncmp(name + 8, "-loose-", 7) == 0 && !has_dir(v->run, name))
		v->run->has_vanished = true;
	return 0;
}

static int look_for_packs(struct check_run *run)
{
	struct vanished v = { run, map_new() };
	int r = v.packs ? name_packs(run, v.packs) : -ENOMEM;

	if (r == 0)
		r = memo_foreach(run->c.spec->memo, on_note, &v);
	map_free(v.packs);
	return r;
}

static int look_for_loose(struct check_run *run, const struct object_dir *dir, unsigned fan)
{
	struct loose_note note = { 0 };
	char name[MEMO_NAME_BYTES];
	int r;

	snprintf(name, sizeof(name), "%s-loose-%02x", dir->tag, fan);
	r = loose_note_find(run->c.spec->memo, name, &note);
	for (size_t i = 0; r > 0 && i < note.n; i++)
		if (!objects_has_prefix(run->objects, note.marks[i].prefix))
			run->has_vanished = true;
	loose_note_deinit(&note);
	return r < 0 ? r : 0;
}

/* by what objects are judged: the severities of the store, and where its history is cut off */
static void measure_of(const struct check_run *run, uint64_t ret[2])
{
	ret[0] = fsck_rules_digest(run->c.rules);
	ret[1] = roots_shallow_digest(run->c.roots);
}

static bool is_judged_anew(const struct check_run *run)
{
	uint64_t now[2];
	size_t len;
	const void *before = memo_find(run->c.spec->memo, "store", &len);

	measure_of(run, now);
	return before && (len != sizeof(now) || memcmp(before, now, len) != 0);
}

static int put_measure(struct check_run *run)
{
	uint64_t now[2];

	measure_of(run, now);
	return memo_put(run->c.spec->memo, "store", now, sizeof(now));
}

static int look_for_vanished(struct check_run *run)
{
	struct memo *memo = run->c.spec->memo;
	int r;

	if (!memo)
		return 0;
	r = look_for_packs(run);
	for (size_t i = 0; r == 0 && i < run->dirs.n; i++)
		for (unsigned fan = 0; r == 0 && fan < 256; fan++)
			r = look_for_loose(run, run->dirs.v[i], fan);
	run->has_vanished |= is_judged_anew(run);
	/* at once: who ends this run in the middle must not leave notes that are not true any more */
	if (r == 0 && run->has_vanished)
		memo_clear(memo);
	return r == 0 ? put_measure(run) : r;
}

/* --- packs --- */

static void trust_pack(struct check_run *run, struct object_pack *p)
{
	p->is_trusted = run->c.spec->memo && run->c.spec->depth != CHECK_FULL && !run->has_vanished &&
			pack_note_find(run->c.spec->memo, p->note_name, &p->note) && p->note.is_whole &&
			p->note.stamp == stamp_of(p);
	if (p->is_trusted)
		run->has_trusted = true;
	else
		run->c.total += pack_count(p->pack);
}

/* that there is one, before it is read: what goes away before it was must be missed as well */
static int note_pack(struct check_run *run, struct object_pack *p)
{
	p->note = (struct pack_note){ .stamp = stamp_of(p) };
	return run->c.spec->memo ? pack_note_put(run->c.spec->memo, p->note_name, &p->note) : 0;
}

static int note_packs(struct check_run *run)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < run->dirs.n_packs; i++)
		if (!run->dirs.packs[i]->is_trusted)
			r = note_pack(run, run->dirs.packs[i]);
	return r;
}

/* what a trusted pack has to tell each time */
static int look_again(struct check_run *run, struct object_pack *p)
{
	struct verify_thread t;
	int r = p->note.n ? verify_thread_init(&t, run) : 0;

	if (p->note.n == 0)
		return 0;
	t.where = pack_where(p->pack);
	for (uint32_t i = 0; r == 0 && i < p->note.n; i++) {
		git_object_t type;
		size_t len = 0;
		void *data = NULL;

		t.number = objects_find(run->objects, p->note.again[i].id);
		if (t.number == OBJECTS_NONE)
			continue;
		r = object_read(run, &p->note.again[i], memory_of(run->c.spec), &type, &data, &len);
		if (r == 0)
			r = verify_content(&t, type, data, len);
		else if (r != -ENOMEM)
			r = oid_set_add(&run->bad, &p->note.again[i], 0) < 0 ? -ENOMEM : 0;
		free(data);
	}
	verify_thread_deinit(&t);
	return r;
}

int pack_note_forget(struct check_run *run, struct object_pack *p)
{
	p->is_trusted = false;
	return note_pack(run, p);
}

static int remember_pack(struct check_run *run, struct object_pack *p)
{
	int r = verify_specials(run);

	if (r < 0 || p->is_damaged || !run->c.spec->memo)
		return r;
	p->note.is_whole = true;
	p->note.stamp = stamp_of(p);
	p->note.times = times_of(p);
	p->note.read_usec = run->c.spec->now_usec;
	p->note.scrub_usec = p->note.scrub_from = 0;
	return pack_note_put(run->c.spec->memo, p->note_name, &p->note);
}

/* only its times are new: its checksums tell whether its content is */
static int look_at_touched(struct check_run *run, struct object_pack *p)
{
	size_t before = findings_count(run->c.findings, FINDING_ERROR);
	int r = pack_check_files(&run->c, p->pack);

	if (r < 0)
		return r;
	if (findings_count(run->c.findings, FINDING_ERROR) != before)
		return pack_note_forget(run, p);
	p->note.times = times_of(p);
	return pack_note_put(run->c.spec->memo, p->note_name, &p->note);
}

static int verify_packs(struct check_run *run)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < run->dirs.n_packs; i++) {
		struct object_pack *p = run->dirs.packs[i];

		if (p->is_trusted && p->note.times != times_of(p))
			r = look_at_touched(run, p);
		if (r < 0)
			return r;
		if (p->is_trusted) {
			r = look_again(run, p);
			continue;
		}
		r = verify_pack(run, p, 0, 0);
		if (r == 0)
			r = remember_pack(run, p);
	}
	return r;
}

/* --- what has no copy that is whole --- */

static bool is_in_trusted_pack(struct check_run *run, const git_oid *oid)
{
	for (size_t i = 0; i < run->dirs.n_packs; i++)
		if (run->dirs.packs[i]->is_trusted && pack_find(run->dirs.packs[i]->pack, oid->id) >= 0)
			return true;
	return false;
}

static int judge_bad(struct check_run *run)
{
	for (size_t i = 0; i < oid_set_count(&run->bad); i++) {
		const git_oid *oid = oid_set_at(&run->bad, i, NULL);
		uint32_t number = objects_find(run->objects, oid->id);
		void *data = NULL;
		git_object_t type;
		size_t len;
		int r;

		if (number == OBJECTS_NONE || (objects_marks(run->objects, number) & OBJECTS_TYPE) != 0 ||
		    is_in_trusted_pack(run, oid))
			continue;
		r = object_read(run, oid, memory_of(run->c.spec), &type, &data, &len);
		free(data);
		if (r == -ENOMEM)
			return r;
		if (r < 0 && r != -EFBIG)
			objects_mark(run->objects, number, OBJECTS_BAD);
	}
	return 0;
}

int verify_objects(struct check_run *run, struct fault *f)
{
	size_t len;
	int r;

	run->c.phase = "objects";
	run->c.done = run->c.total = 0;
	run->is_known = run->c.spec->memo && memo_find(run->c.spec->memo, "store", &len);
	r = look_for_vanished(run);
	for (size_t i = 0; r == 0 && i < run->dirs.n_packs; i++)
		trust_pack(run, run->dirs.packs[i]);
	if (r == 0)
		r = note_packs(run);
	if (r == 0 && run->c.spec->memo)
		r = note_loose(run);
	if (r == 0)
		r = recall_specials(run);
	if (r == 0)
		r = verify_packs(run);
	if (r == 0)
		r = verify_loose(run);
	if (r == 0)
		r = verify_specials(run);
	if (r == 0 && run->c.spec->memo && run->c.spec->scrub_usec)
		r = scrub(run);
	if (r == 0)
		r = judge_bad(run);
	return r < 0 ? fault_errno(f, r, "cannot check the objects of \"%s\"", run->c.spec->common_dir) : 0;
}
