/* One pack: its files, then every object in it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/check-private.h"

struct pack_work {
	struct check_run *run;
	struct object_pack *pack;
	struct verify_thread *threads;
	const unsigned char *names;
	size_t stride;
	bool is_complete; /* of what is told again, nothing was left out */
};

static bool is_noted(const struct pack_note *note, const unsigned char *oid)
{
	for (uint32_t i = 0; i < note->n; i++)
		if (memcmp(note->again[i].id, oid, GIT_OID_RAWSZ) == 0)
			return true;
	return false;
}

static void note_again(struct pack_work *w, const unsigned char *oid)
{
	struct pack_note *note = &w->pack->note;

	pthread_mutex_lock(&w->run->lock);
	if (is_noted(note, oid))
		; /* by a scrub, of a pack that was read before */
	else if (note->n < NOTE_OBJECTS)
		git_oid_fromraw(&note->again[note->n++], oid);
	else
		w->is_complete = false;
	pthread_mutex_unlock(&w->run->lock);
}

static int on_object(unsigned thread, const struct pack_object *object, void *userdata)
{
	struct pack_work *w = userdata;
	struct verify_thread *t = &w->threads[thread];
	const unsigned char *oid = w->names + object->pos * w->stride;
	int r;

	__atomic_add_fetch(&w->run->n_read, 1, __ATOMIC_RELAXED);
	t->number = objects_find(w->run->objects, oid);
	if (t->number == OBJECTS_NONE)
		return 0; /* its index is not in order, which was told */
	r = verify_content(t, object->type, object->data, (size_t)object->len);
	if (t->has_told)
		note_again(w, oid);
	return r;
}

static int on_bad(unsigned thread, uint32_t pos, void *userdata)
{
	struct pack_work *w = userdata;
	git_oid oid;
	int r;

	git_oid_fromraw(&oid, w->names + pos * w->stride);
	pthread_mutex_lock(&w->run->lock);
	w->pack->is_damaged = true;
	r = oid_set_add(&w->run->bad, &oid, 0);
	pthread_mutex_unlock(&w->run->lock);
	return r < 0 ? r : 0;
}

static int read_base(const git_oid *oid, git_object_t *ret_type, void **ret, size_t *ret_len, void *userdata)
{
	const struct pack_work *w = userdata;
	struct base_search search = { w->run, w->pack->pack };

	return object_read_base(oid, ret_type, ret, ret_len, &search);
}

static size_t count_damage(const struct check_run *run)
{
	return findings_count(run->c.findings, FINDING_ERROR) + findings_count(run->c.findings, FINDING_WARNING);
}

static int walk(struct pack_work *w, uint64_t from, uint64_t until)
{
	struct check_run *run = w->run;
	struct pack_walker walker = { on_object, on_bad, read_base, w, run->is_known, from, until };
	unsigned n = run->c.spec->threads;
	int r = 0;

	w->threads = calloc(n, sizeof(*w->threads));
	if (!w->threads)
		return -ENOMEM;
	for (unsigned i = 0; r == 0 && i < n; i++) {
		r = verify_thread_init(&w->threads[i], run);
		w->threads[i].where = pack_where(w->pack->pack);
		w->threads[i].is_promisor = w->pack->is_promisor;
	}
	if (r == 0)
		r = pack_walk(&run->c, w->pack->pack, &walker);
	for (unsigned i = 0; i < n; i++)
		verify_thread_deinit(&w->threads[i]);
	free(w->threads);
	return r;
}

int verify_pack(struct check_run *run, struct object_pack *p, uint64_t from, uint64_t until)
{
	struct pack_work w = { .run = run, .pack = p, .is_complete = true };
	size_t before = count_damage(run);
	int r = 0;

	w.names = pack_names(p->pack, &w.stride);
	if (until == 0) {
		p->note.n = 0;
		r = pack_check_files(&run->c, p->pack);
		p->is_damaged = count_damage(run) != before;
	}
	if (r == 0)
		r = walk(&w, from, until);
	/* what could not be remembered, or be told of without the remote's help, is read the next time as well */
	p->is_damaged |= !w.is_complete || p->is_promisor;
	return r;
}
