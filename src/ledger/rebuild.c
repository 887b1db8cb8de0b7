/* What is left is read in a child, and written anew in one that can be trusted. */
#include "ledger/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ledger/events.h"
#include "ledger/marker.h"
#include "ledger/scan.h"
#include "util/clock.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/text.h"

/* --- in the child: every record that decodes, into a file in memory --- */

struct frame {
	uint32_t key_len;
	uint32_t val_len;
	/* and their bytes */
};

struct extract {
	const char *dir;
	enum ledger_db db;
	int fd; /* -1: only look */
};

static int frame_write(int fd, const MDB_val *k, const MDB_val *v)
{
	uint8_t buf[sizeof(struct frame) + RECORD_KEY_MAX + RECORD_MAX];
	struct frame frame = { .key_len = (uint32_t)k->mv_size, .val_len = (uint32_t)v->mv_size };

	if (fd < 0)
		return 0;
	memcpy(buf, &frame, sizeof(frame));
	memcpy(buf + sizeof(frame), k->mv_data, k->mv_size);
	memcpy(buf + sizeof(frame) + k->mv_size, v->mv_data, v->mv_size);
	return fs_write_all(fd, buf, sizeof(frame) + k->mv_size + v->mv_size);
}

/* a ring of pages has no end, but a file holds only so many records */
static int extract_records(const struct extract *x, MDB_cursor *cursor, size_t most,
			   struct seen *seen)
{
	MDB_val k, v;

	while (most-- > 0 && mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0) {
		int r;

		if (scan_record(x->db, &k, &v, seen, NULL) < 0)
			continue;
		r = frame_write(x->fd, &k, &v);
		if (r < 0)
			return r;
	}
	return 0;
}

/* whatever LMDB refuses to read is lost: only our own troubles are faults */
static int extract_in_child(void *arg, void *result, struct fault *f)
{
	const struct extract *x = arg;
	off_t bytes = scan_data_bytes(x->dir, NULL);
	MDB_env *env;
	MDB_txn *txn;
	MDB_cursor *cursor;
	MDB_dbi dbi;
	int r;

	if (bytes <= 0 || scan_open(x->dir, &env, NULL) < 0)
		return 0;
	if (mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) ||
	    mdb_dbi_open(txn, ledger_dbs[x->db].name, 0, &dbi) ||
	    mdb_cursor_open(txn, dbi, &cursor))
		return 0;
	r = extract_records(x, cursor, (size_t)bytes / RECORD_HEADER, result);
	return r < 0 ? fault_errno(f, r, "cannot keep what was read of %s", x->dir) : 0;
}

/* --- in slotd: from there into the new ledger --- */

struct frames {
	enum ledger_db db;
	const uint8_t *data;
	size_t len;
	unsigned n;
	struct seen seen;
};

/* the child may have died in the middle of a frame, and its word is checked again */
static bool frame_read(const struct frames *frames, size_t *at, MDB_val *k, MDB_val *v)
{
	struct frame frame;

	if (frames->len - *at < sizeof(frame))
		return false;
	memcpy(&frame, frames->data + *at, sizeof(frame));
	if (frame.key_len > RECORD_KEY_MAX || frame.val_len > RECORD_MAX ||
	    frames->len - *at - sizeof(frame) < frame.key_len + frame.val_len)
		return false;
	*at += sizeof(frame);
	*k = (MDB_val){ .mv_size = frame.key_len, .mv_data = (void *)(frames->data + *at) };
	*at += frame.key_len;
	*v = (MDB_val){ .mv_size = frame.val_len, .mv_data = (void *)(frames->data + *at) };
	*at += frame.val_len;
	return true;
}

static int put_frames(struct ledger *l, MDB_txn *txn, void *arg)
{
	struct frames *frames = arg;
	MDB_val k, v;
	size_t at = 0;
	int rc = 0;

	frames->n = 0;
	frames->seen = (struct seen){ 0 };
	while (rc == 0 && frame_read(frames, &at, &k, &v)) {
		if (scan_record(frames->db, &k, &v, &frames->seen, NULL) < 0)
			continue;
		rc = mdb_put(txn, l->dbi[frames->db], &k, &v, 0);
		frames->n++;
	}
	if (rc == 0 && frames->db == LEDGER_EVENTS)
		rc = events_trim(l, txn, frames->n);
	return rc;
}

static int put_file(struct ledger *l, enum ledger_db db, int fd, unsigned *count, struct fault *f)
{
	struct frames frames = { .db = db };
	struct stat st;
	void *map;
	int r;

	if (fstat(fd, &st) < 0)
		return fault_errno(f, -errno, "cannot look at what was read");
	if (st.st_size == 0)
		return 0;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return fault_errno(f, -errno, "cannot read what was read");
	frames.data = map;
	frames.len = (size_t)st.st_size;
	r = ledger_write(l, put_frames, &frames, f);
	munmap(map, frames.len);
	if (r == 0)
		*count += frames.n;
	return r;
}

/* one child for each database: a crash in one costs no other */
static int extract_database(const char *dir, enum ledger_db db, int fd, struct seen *seen,
			    struct fault *f)
{
	struct extract x = { .dir = dir, .db = db, .fd = fd };
	struct child_limits limits = scan_limits(dir);
	int r;

	r = child_run(extract_in_child, &x, seen, sizeof(*seen), &limits, f);
	return r == CHILD_DIED ? 0 : r;
}

static int take_over(struct ledger *l, const char *copy, struct seen *seen, unsigned *count,
		     struct fault *f)
{
	int r = extract_database(copy, LEDGER_META, -1, seen, f);

	if (r == 0 && seen->has_generation && seen->generation.schema > LEDGER_SCHEMA)
		r = fault(f, -EPROTONOSUPPORT,
			  "%s has schema %u, and this slotd knows %u: it was made by a newer one",
			  copy, seen->generation.schema, LEDGER_SCHEMA);
	for (int db = LEDGER_META + 1; r == 0 && db < LEDGER_DBS; db++) {
		_cleanup_(closep) int fd = memfd_create("slotd-rebuild", MFD_CLOEXEC);

		if (fd < 0)
			return fault_errno(f, -errno, "cannot make a file in memory");
		r = extract_database(copy, (enum ledger_db)db, fd, seen, f);
		if (r == 0)
			r = put_file(l, (enum ledger_db)db, fd, count, f);
		CRASH_POINT("ledger.rebuild.database");
	}
	return r;
}

/* what is damaged gives no records, but what its intact ones say of tokens still holds */
static int look_at_damaged(const char *dir, struct seen *seen, struct fault *f)
{
	int r = 0;

	for (int db = LEDGER_META; r == 0 && db < LEDGER_DBS; db++)
		r = extract_database(dir, (enum ledger_db)db, -1, seen, f);
	return r;
}

/* --- the new one's own record --- */

static uint64_t above(uint64_t seen)
{
	uint64_t by_time = clock_wall_usec() / USEC_PER_SEC << 20;

	return seen > by_time ? seen : by_time;
}

static int put_generation(struct ledger *l, MDB_txn *txn, void *arg)
{
	return ledger_put_generation(l, txn, arg);
}

static int fill(struct ledger *l, const char *state_dir, unsigned *count, struct fault *f)
{
	_cleanup_(freep) char *copy = text_printf("%s/" LEDGER_COPY_DIR, state_dir);
	_cleanup_(freep) char *damaged = text_printf("%s/" LEDGER_DIR, state_dir);
	struct generation_record generation = l->generation;
	struct seen seen = { 0 };
	int r;

	if (!copy || !damaged)
		return fault_oom(f);
	r = take_over(l, copy, &seen, count, f);
	if (r == 0)
		r = look_at_damaged(damaged, &seen, f);
	if (r < 0)
		return r;
	generation.token_floor = above(seen.token);
	generation.next_sequence = above(seen.sequence) + 1;
	r = ledger_write(l, put_generation, &generation, f);
	if (r == 0)
		l->generation = generation;
	return r;
}

/* --- and its place --- */

static int build(const char *state_dir, int dirfd, uint64_t events_keep, struct id *ret,
		 unsigned *count, struct fault *f)
{
	_cleanup_(ledger_closep) struct ledger *l = NULL;
	struct generation_record generation = {
		.schema = LEDGER_SCHEMA,
		.created_usec = clock_wall_usec(),
		.boot = *clock_boot_id(),
	};
	int r;

	id_random(&generation.generation);
	r = fs_remove_tree_at(dirfd, LEDGER_REBUILD_DIR, f);
	if (r < 0)
		return r;
	CRASH_POINT("ledger.rebuild.begin");
	r = ledger_open_dir(state_dir, LEDGER_REBUILD_DIR, 0, &generation, &l, f);
	if (r < 0)
		return r;
	ledger_set_events_keep(l, events_keep);
	r = fill(l, state_dir, count, f);
	if (r == 0)
		*ret = generation.generation;
	return r;
}

static int put_aside(const char *state_dir, int dirfd, struct fault *f)
{
	uint64_t when = clock_wall_usec() / USEC_PER_SEC;
	char name[64];
	int r;

	do {
		snprintf(name, sizeof(name), LEDGER_DAMAGED "%llu", (unsigned long long)when++);
		r = renameat2(dirfd, LEDGER_DIR, dirfd, name, RENAME_NOREPLACE) < 0 ? -errno : 0;
	} while (r == -EEXIST);
	if (r == -ENOENT)
		return 0; /* lost altogether */
	return r < 0 ? fault_errno(f, r, "cannot move %s/" LEDGER_DIR " to %s", state_dir, name)
		     : 0;
}

/*
 * The marker names the new one before that has its place: killed in between, there is a
 * marker without a ledger, and the next start does all this again.
 */
static int put_in_place(const char *state_dir, int dirfd, const struct id *generation,
			struct fault *f)
{
	int r;

	CRASH_POINT("ledger.rebuild.built");
	r = put_aside(state_dir, dirfd, f);
	if (r < 0)
		return r;
	CRASH_POINT("ledger.rebuild.aside");
	r = fs_write_file_at(dirfd, LEDGER_UNPROVED, "", 0, 0600);
	if (r < 0)
		return fault_errno(f, r, "cannot write %s/" LEDGER_UNPROVED, state_dir);
	r = marker_write(state_dir, generation, f);
	if (r < 0)
		return r;
	CRASH_POINT("ledger.rebuild.marker");
	if (renameat(dirfd, LEDGER_REBUILD_DIR, dirfd, LEDGER_DIR) < 0)
		return fault_errno(f, -errno, "cannot put the new ledger of %s in place",
				   state_dir);
	CRASH_POINT("ledger.rebuild.in-place");
	r = fs_sync_dir_at(dirfd, ".");
	return r < 0 ? fault_errno(f, r, "cannot sync %s", state_dir) : 0;
}

int ledger_rebuild(const char *state_dir, uint64_t events_keep, unsigned *ret_from_copy,
		   struct fault *f)
{
	_cleanup_(closep) int dirfd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned count = 0;
	struct id generation;
	int r;

	if (dirfd < 0)
		return fault_errno(f, -errno, "cannot open %s", state_dir);
	r = build(state_dir, dirfd, events_keep, &generation, &count, f);
	if (r == 0)
		r = put_in_place(state_dir, dirfd, &generation, f);
	if (r == 0)
		*ret_from_copy = count;
	return r;
}

/* --- what it lacks --- */

int ledger_is_unproved(const char *state_dir, struct fault *f)
{
	_cleanup_(closep) int dirfd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dirfd < 0)
		return fault_errno(f, -errno, "cannot open %s", state_dir);
	if (faccessat(dirfd, LEDGER_UNPROVED, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : fault_errno(f, -errno, "cannot look at %s/" LEDGER_UNPROVED, state_dir);
}

int ledger_set_proved(const char *state_dir, struct fault *f)
{
	_cleanup_(closep) int dirfd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dirfd < 0)
		return fault_errno(f, -errno, "cannot open %s", state_dir);
	if (unlinkat(dirfd, LEDGER_UNPROVED, 0) < 0 && errno != ENOENT)
		return fault_errno(f, -errno, "cannot remove %s/" LEDGER_UNPROVED, state_dir);
	return 0;
}
