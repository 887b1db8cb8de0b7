/* The content of objects, and where it leads; in as many threads as wanted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/check-private.h"

#include "integrity/roots.h"
#include "util/cleanup.h"

#define CACHE_BITS    15
#define SPECIAL_BYTES (100 << 20) /* git refuses such files from 100 MB on */

/* links that this thread has followed lately: a tree leads mostly where the one before did */
struct link_cache {
	struct {
		unsigned char oid[GIT_OID_RAWSZ];
		uint16_t want;
	} v[1 << CACHE_BITS];
};

int verify_thread_init(struct verify_thread *t, struct check_run *run)
{
	*t = (struct verify_thread){ .run = run };
	t->cache = calloc(1, sizeof(*t->cache));
	return t->cache ? 0 : -ENOMEM;
}

void verify_thread_deinit(struct verify_thread *t)
{
	free(t->cache);
	t->cache = NULL;
}

static int on_problem(const char *id, enum finding_severity severity, const char *detail, void *userdata)
{
	struct verify_thread *t = userdata;
	const unsigned char *oid = t->special ? t->special->id : objects_name(t->run->objects, t->number);
	char hex[GIT_OID_HEXSZ + 1];
	struct finding_place place = { .where = t->where, .object = oid_hex(oid, hex) };

	t->has_told = true;
	return finding_add_as(t->run->c.findings, id, severity, &place, "%s", detail);
}

static unsigned slot_of(const unsigned char *oid)
{
	return ((unsigned)oid[2] << 8 | oid[3]) & ((1U << CACHE_BITS) - 1);
}

static int on_link(const struct content_link *link, void *userdata)
{
	struct verify_thread *t = userdata;
	unsigned want = objects_want(link->type), slot = slot_of(link->oid);
	uint32_t to;

	if (t->cache->v[slot].want == want && memcmp(t->cache->v[slot].oid, link->oid, GIT_OID_RAWSZ) == 0)
		return 0;
	if (t->is_shallow && link->type == GIT_OBJECT_COMMIT)
		return 0;
	to = objects_find(t->run->objects, link->oid);
	if (to == OBJECTS_NONE) {
		t->has_told = true;
		return gaps_add(t->run, link->oid, link->type, t->number, t->is_promisor);
	}
	objects_mark(t->run->objects, to, want);
	memcpy(t->cache->v[slot].oid, link->oid, GIT_OID_RAWSZ);
	t->cache->v[slot].want = (uint16_t)want;
	return 0;
}

static int on_special(enum content_special what, const unsigned char *oid, void *userdata)
{
	struct verify_thread *t = userdata;
	git_oid copy;
	int r;

	git_oid_fromraw(&copy, oid);
	pthread_mutex_lock(&t->run->lock);
	r = oid_set_add(&t->run->specials[what], &copy, 0);
	pthread_mutex_unlock(&t->run->lock);
	return r < 0 ? r : 0;
}

int verify_content(struct verify_thread *t, git_object_t type, const void *data, size_t len)
{
	struct content_sink sink = { on_problem, on_link, on_special, t };
	git_oid oid;

	t->has_told = false;
	objects_mark(t->run->objects, t->number, (unsigned)type);
	if (type == GIT_OBJECT_BLOB)
		return 0;
	git_oid_fromraw(&oid, objects_name(t->run->objects, t->number));
	t->is_shallow = type == GIT_OBJECT_COMMIT && roots_is_shallow(t->run->c.roots, &oid);
	return content_check(t->run->c.rules, type, &oid, data, len, &sink);
}

/* --- .gitmodules and .gitattributes --- */

static const char *const special_notes[] = { [CONTENT_GITMODULES] = "gitmodules",
					     [CONTENT_GITATTRIBUTES] = "gitattributes" };

/* those that something was told of last time: the trees that lead there may not be read any more */
static int recall_specials_of(struct check_run *run, enum content_special what)
{
	const struct memo *memo = run->c.spec->memo;
	size_t len;
	const unsigned char *data = memo ? memo_find(memo, special_notes[what], &len) : NULL;
	git_oid oid;

	for (size_t i = 0; data && i + GIT_OID_RAWSZ <= len; i += GIT_OID_RAWSZ) {
		git_oid_fromraw(&oid, data + i);
		if (objects_find(run->objects, oid.id) != OBJECTS_NONE && oid_set_add(&run->specials[what], &oid, 0) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* what the remote has by the word of its own objects is not missing */
static bool is_promised(struct check_run *run, const git_oid *oid)
{
	const struct gap *gap = gaps_find(run, oid->id);

	return gap && gap->is_promised;
}

static int verify_special(struct verify_thread *t, enum content_special what, const git_oid *oid)
{
	struct content_sink sink = { .on_problem = on_problem, .userdata = t };
	const struct fsck_rules *rules = t->run->c.rules;
	_cleanup_(freep) void *data = NULL;
	git_object_t type = GIT_OBJECT_BLOB;
	size_t len = 0;
	int r;

	t->has_told = false;
	t->special = oid;
	t->where = special_notes[what];
	if (objects_find(t->run->objects, oid->id) == OBJECTS_NONE)
		return is_promised(t->run, oid) ? 0 : content_tell_special(rules, what, oid, true, &sink);
	r = object_read(t->run, oid, SPECIAL_BYTES, &type, &data, &len);
	if (r < 0 && r != -EFBIG) {
		t->has_told = true; /* that it cannot be read; it is looked at again when it can */
		return r == -ENOMEM ? r : 0;
	}
	if (type != GIT_OBJECT_BLOB)
		return content_tell_special(rules, what, oid, false, &sink);
	return content_check_special(rules, what, oid, data, r == 0 ? len : SPECIAL_BYTES + 1, &sink);
}

static int remember_special(struct check_run *run, enum content_special what, const git_oid *oid)
{
	struct special_told *told = &run->told[what];

	if (told->n < SPECIALS_TOLD)
		memcpy(told->oid[told->n++], oid->id, GIT_OID_RAWSZ);
	else
		run->trusts_nothing = true; /* what is told of the rest has to be found each time */
	return run->c.spec->memo ? memo_put(run->c.spec->memo, special_notes[what], told->oid, told->n * GIT_OID_RAWSZ) : 0;
}

/* those that came since the last call */
static int verify_specials_of(struct verify_thread *t, enum content_special what)
{
	struct oid_set *set = &t->run->specials[what];
	int r = 0;

	for (; r == 0 && t->run->n_specials[what] < oid_set_count(set); t->run->n_specials[what]++) {
		const git_oid *oid = oid_set_at(set, t->run->n_specials[what], NULL);

		r = verify_special(t, what, oid);
		if (r == 0 && t->has_told)
			r = remember_special(t->run, what, oid);
	}
	return r;
}

int recall_specials(struct check_run *run)
{
	int r = recall_specials_of(run, CONTENT_GITMODULES);

	return r == 0 ? recall_specials_of(run, CONTENT_GITATTRIBUTES) : r;
}

int verify_specials(struct check_run *run)
{
	struct verify_thread t;
	int r = verify_thread_init(&t, run);

	if (r == 0)
		r = verify_specials_of(&t, CONTENT_GITMODULES);
	if (r == 0)
		r = verify_specials_of(&t, CONTENT_GITATTRIBUTES);
	verify_thread_deinit(&t);
	return r;
}
