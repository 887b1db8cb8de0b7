/*
 * Is everything there to which something leads?
 *
 * Each object that was read has marked what it leads to (verify-content.c): if nothing that it leads to is
 * missing, then nothing is missing anywhere, whatever is reachable from where. Only when there are gaps, it is found out
 * which roots lead to them (trace.c).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/check-private.h"

#include "util/cleanup.h"

#define DANGLING_MAX 20 /* that are named one by one */

static const char *type_name(git_object_t type)
{
	return type == GIT_OBJECT_ANY ? "object" : git_object_type2string(type);
}

/* --- roots --- */

static bool is_type_wrong(git_object_t want, git_object_t is)
{
	return want != GIT_OBJECT_ANY && is != want;
}

/* its type, of which only what was read is known */
static int known_type(struct check_run *run, uint32_t number, git_object_t *ret)
{
	unsigned marks = objects_marks(run->objects, number);
	git_oid oid;
	int r;

	*ret = (git_object_t)(marks & OBJECTS_TYPE);
	if (*ret)
		return 0;
	if (marks & OBJECTS_BAD)
		return -EBADMSG;
	git_oid_fromraw(&oid, objects_name(run->objects, number));
	r = object_type(run, &oid, ret);
	if (r == 0)
		objects_mark(run->objects, number, (unsigned)*ret);
	return r;
}

static int add_wrong(struct check_run *run, const git_oid *oid, git_object_t type, uint32_t from)
{
	int r = gaps_add(run, oid->id, type, from, false);

	if (r == 0)
		gaps_find(run, oid->id)->is_wrong_type = true;
	run->trusts_nothing = true; /* who leads to it, no note says */
	return r;
}

static int check_root(struct check_run *run, const struct root *root)
{
	uint32_t number = objects_find(run->objects, root->oid.id);
	git_object_t type = GIT_OBJECT_ANY;
	int r;

	if (number == OBJECTS_NONE)
		return gaps_add(run, root->oid.id, root->type, OBJECTS_NONE, false);
	if (root->kind != ROOT_FETCH_HEAD)
		objects_mark(run->objects, number, OBJECTS_WANT_ANY);
	/* thousands of entries in each index, of which hardly one is a tree: what was read tells */
	if (root->kind == ROOT_INDEX && !(objects_marks(run->objects, number) & OBJECTS_TYPE))
		return 0;
	r = known_type(run, number, &type);
	if (r == -ENOMEM)
		return r;
	if (r == 0 && is_type_wrong(root->type, type))
		return add_wrong(run, &root->oid, root->type, OBJECTS_NONE);
	return 0;
}

/* --- objects --- */

static int check_marks(struct check_run *run, uint32_t number)
{
	static const git_object_t types[] = { GIT_OBJECT_COMMIT, GIT_OBJECT_TREE, GIT_OBJECT_BLOB,
					     GIT_OBJECT_TAG };
	unsigned marks = objects_marks(run->objects, number);
	git_object_t type;
	git_oid oid;
	int r;

	if (!(marks & (OBJECTS_WANT_TYPES | OBJECTS_WANT_ANY)))
		return 0;
	git_oid_fromraw(&oid, objects_name(run->objects, number));
	if (marks & OBJECTS_BAD) {
		r = gaps_add(run, oid.id, GIT_OBJECT_ANY, OBJECTS_NONE, false);
		if (r == 0)
			gaps_find(run, oid.id)->is_bad = true;
		return r;
	}
	if (!(marks & OBJECTS_WANT_TYPES))
		return 0;
	r = known_type(run, number, &type);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	for (size_t i = 0; r == 0 && i < sizeof(types) / sizeof(*types); i++)
		if (marks & objects_want(types[i]) && types[i] != type)
			r = add_wrong(run, &oid, types[i], OBJECTS_NONE);
	return r;
}

/* --- what came meanwhile --- */

/* what was loose, was gone when it was to be read, and is in no pack that was listed */
static int judge_gone(struct check_run *run)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < oid_set_count(&run->gone); i++) {
		const git_oid *oid = oid_set_at(&run->gone, i, NULL);
		uint32_t number = objects_find(run->objects, oid->id);
		unsigned marks = number == OBJECTS_NONE ? 0 : objects_marks(run->objects, number);

		if (marks & (OBJECTS_WANT_TYPES | OBJECTS_WANT_ANY) && !(marks & OBJECTS_TYPE))
			r = gaps_add(run, oid->id, GIT_OBJECT_ANY, OBJECTS_NONE, false);
	}
	return r;
}

/* is it there now, and if it could not be read, can it? */
static bool is_there(struct check_run *now, const struct gap *gap)
{
	git_object_t type;
	void *data = NULL;
	size_t len;
	int r = 0;

	if (objects_find(now->objects, gap->oid.id) == OBJECTS_NONE)
		return false;
	if (gap->is_bad)
		r = object_read(now, &gap->oid, memory_of(now->c.spec), &type, &data, &len);
	free(data);
	return r == 0 || r == -EFBIG;
}

static int close_gaps(struct check_run *run, struct check_run *now)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < run->gaps.n; i++) {
		struct gap *gap = &run->gaps.v[i];

		gap->is_closed = gap->is_promised && run->has_promisor;
		if (gap->is_closed || gap->is_wrong_type)
			continue;
		if (!now->objects)
			r = object_dirs_open(now, NULL);
		if (r == 0)
			gap->is_closed = is_there(now, gap);
	}
	return r;
}

/*
 * Somebody works in the repository: objects may have come, and packs have taken the place of others. They are listed
 * anew, by ourselves: libgit2 does not survive every damaged pack.
 */
static int look_once_more(struct check_run *run)
{
	struct check_run now = { .c = run->c };
	int r;

	now.c.findings = findings_new(); /* what there is to say was said */
	r = now.c.findings ? close_gaps(run, &now) : -ENOMEM;
	object_dirs_close(&now);
	findings_free(now.c.findings);
	return r;
}

/* --- telling --- */

static int describe(const struct gap *gap, char *ret, size_t size)
{
	if (gap->is_wrong_type)
		return snprintf(ret, size, "is no %s", type_name(gap->type));
	if (gap->is_bad)
		return snprintf(ret, size, "no copy of it can be read");
	return snprintf(ret, size, "a %s that is not there", type_name(gap->type));
}

static int tell_gap(struct check_run *run, const struct gap *gap)
{
	const char *id = gap->is_wrong_type ? "wrong-type" : "missing-object";
	bool is_needed = gap->root && gap->root->kind != ROOT_FETCH_HEAD;
	char hex[GIT_OID_HEXSZ + 1], from[GIT_OID_HEXSZ + 1], what[80];
	struct finding_place place = { .where = gap->root ? gap->root->file : "objects", .slot = gap->slot,
				       .object = oid_hex(gap->oid.id, hex), .path = gap->path };

	describe(gap, what, sizeof(what));
	if (!gap->path && gap->from != OBJECTS_NONE)
		place.path = oid_hex(objects_name(run->objects, gap->from), from);
	if (gap->users.len)
		return finding_add_as(run->c.findings, id, FINDING_ERROR, &place, "%s; checked out in %s", what,
				      gap->users.data);
	return finding_add_as(run->c.findings, id, is_needed ? FINDING_ERROR : FINDING_INFO, &place, "%s%s", what,
			      is_needed ? "" : "; nothing that is in use leads to it");
}

/* to which nothing leads, as a check found that read everything: the first of them, and how many there are */
struct dangling {
	uint32_t n;
	git_oid first[DANGLING_MAX];
};

static void find_dangling(struct check_run *run, struct dangling *ret)
{
	for (uint32_t i = 0; i < objects_count(run->objects); i++) {
		unsigned marks = objects_marks(run->objects, i);

		if (marks & ~(unsigned)OBJECTS_TYPE || !marks)
			continue;
		if (ret->n < DANGLING_MAX)
			git_oid_fromraw(&ret->first[ret->n], objects_name(run->objects, i));
		ret->n++;
	}
}

static bool recall_dangling(const struct check_run *run, struct dangling *ret)
{
	size_t len;
	const void *data = run->c.spec->memo ? memo_find(run->c.spec->memo, "dangling", &len) : NULL;

	if (!data || len != sizeof(*ret))
		return false;
	memcpy(ret, data, len);
	return true;
}

/* one that is still there, and still nothing leads to it */
static int tell_one(struct check_run *run, const git_oid *oid)
{
	uint32_t number = objects_find(run->objects, oid->id);
	char hex[GIT_OID_HEXSZ + 1];
	struct finding_place place = { .where = "objects", .object = oid_hex(oid->id, hex) };
	git_object_t type;

	if (number == OBJECTS_NONE || objects_marks(run->objects, number) & ~(unsigned)OBJECTS_TYPE ||
	    known_type(run, number, &type) < 0)
		return 0;
	return finding_add(run->c.findings, "dangling-object", &place, "a %s", type_name(type));
}

/* what a trusted object leads to is not known: then it is what was found when all were read */
static int tell_dangling(struct check_run *run)
{
	struct dangling dangling = { 0 };
	int r = 0;

	if (!run->has_trusted)
		find_dangling(run, &dangling);
	else if (!recall_dangling(run, &dangling))
		return 0;
	for (uint32_t i = 0; r == 0 && i < dangling.n && i < DANGLING_MAX; i++)
		r = tell_one(run, &dangling.first[i]);
	if (r == 0 && dangling.n > DANGLING_MAX)
		r = finding_add(run->c.findings, "dangling-object", &(struct finding_place){ .where = "objects" },
				"and %u more", dangling.n - DANGLING_MAX);
	if (r == 0 && !run->has_trusted && !run->trusts_nothing && run->c.spec->memo)
		r = memo_put(run->c.spec->memo, "dangling", &dangling, sizeof(dangling));
	return r;
}

static void gaps_free_paths(struct check_run *run)
{
	for (size_t i = 0; i < run->gaps.n; i++) {
		free(run->gaps.v[i].path);
		text_deinit(&run->gaps.v[i].users);
		run->gaps.v[i].path = NULL;
	}
}

int links_check(struct check_run *run, struct fault *f)
{
	uint32_t n = objects_count(run->objects);
	bool is_open = false;
	int r = 0;

	run->c.phase = "links";
	run->c.done = 0;
	run->c.total = n;
	for (size_t i = 0; r == 0 && i < roots_count(run->c.roots); i++)
		r = check_root(run, roots_at(run->c.roots, i));
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		r = check_marks(run, i);
		if (r == 0 && ++run->c.done % 4096 == 0)
			r = check_tell(&run->c);
	}
	if (r == 0)
		r = judge_gone(run);
	if (r == 0)
		r = look_once_more(run);
	for (size_t i = 0; i < run->gaps.n; i++)
		is_open |= !run->gaps.v[i].is_closed;
	if (r == 0 && is_open)
		r = trace_gaps(run);
	for (size_t i = 0; r == 0 && i < run->gaps.n; i++)
		if (!run->gaps.v[i].is_closed)
			r = tell_gap(run, &run->gaps.v[i]);
	gaps_free_paths(run);
	if (run->trusts_nothing && run->c.spec->memo)
		memo_clear(run->c.spec->memo);
	if (r == 0)
		r = tell_dangling(run);
	return r < 0 ? fault_errno(f, r, "cannot follow the links of \"%s\"", run->c.spec->common_dir) : 0;
}
