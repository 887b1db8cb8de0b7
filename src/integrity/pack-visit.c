/* Make it, hash it, tell of it. */
#include "integrity/pack-visit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

#define SCRATCH_BYTES (256 << 10)
#define TELL_BYTES    (4 << 20) /* so much is done between two words about it */
#define TELL_OBJECT   4096	/* as many bytes an object counts at least */

/* an object that was made, before it is known to be what it is called */
struct made {
	git_object_t type;
	uint64_t len;
	const void *data;	 /* NULL: it was hashed in pieces */
	struct content *content; /* or data is the scratch buffer */
	git_oid oid;
};

int walk_thread_init(struct walk_thread *t, struct walk *walk, unsigned number)
{
	int r = hash_init(&t->hash, walk->to->detect_collisions);

	t->walk = walk;
	t->number = number;
	if (r == 0)
		r = unpacker_init(&t->unpacker, walk->pack);
	t->scratch = malloc(SCRATCH_BYTES);
	return t->scratch ? r : -ENOMEM;
}

void walk_thread_deinit(struct walk_thread *t)
{
	while (t->n > 0)
		content_unref(t->walk, t->frames[--t->n].content);
	free(t->frames);
	free(t->scratch);
	hash_deinit(&t->hash);
	unpacker_deinit(&t->unpacker);
}

int walk_result(const struct walk *walk)
{
	int r = __atomic_load_n(&walk->result, __ATOMIC_RELAXED);

	return r ? r : __atomic_load_n(&walk->check->stop, __ATOMIC_RELAXED);
}

/* progress, from the thread that may; and the way in which all threads hear that it is over */
static int tell_progress(struct walk_thread *t, uint64_t bytes)
{
	int r = walk_result(t->walk);

	t->untold += bytes < TELL_OBJECT ? TELL_OBJECT : bytes;
	if (r == 0 && t->untold >= TELL_BYTES) {
		t->untold = 0;
		if (t->number == 0)
			r = check_tell(t->walk->check);
	}
	return r;
}

/* --- what is kept in memory --- */

void content_unref(struct walk *walk, struct content *content)
{
	if (!content || __atomic_sub_fetch(&content->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	__atomic_sub_fetch(&walk->used, content->len, __ATOMIC_RELAXED);
	free(content->data);
	free(content);
}

/* drops what lies lowest: that is needed again last. Not the topmost: something is being made of it */
static void make_room(struct walk_thread *t)
{
	for (size_t i = 0; i + 1 < t->n; i++) {
		if (__atomic_load_n(&t->walk->used, __ATOMIC_RELAXED) <= t->walk->memory_bytes)
			return;
		content_unref(t->walk, t->frames[i].content);
		t->frames[i].content = NULL;
	}
}

/* takes @data over, in any case */
static struct content *content_wrap(struct walk_thread *t, git_object_t type, void *data, uint64_t len)
{
	struct content *content = malloc(sizeof(*content));

	if (!content) {
		free(data);
		return NULL;
	}
	*content = (struct content){ .refs = 1, .type = type, .len = len, .data = data };
	if (__atomic_add_fetch(&t->walk->used, len, __ATOMIC_RELAXED) > t->walk->memory_bytes)
		make_room(t);
	return content;
}

static bool has_kids(const struct walk_thread *t, uint32_t i)
{
	return t->walk->tree.first[i] < t->walk->tree.first[i + 1];
}

/* where an object of that length may be made, with room for a NUL: in ret->data */
static int make_place(struct walk_thread *t, uint32_t i, struct made *ret, unsigned char **ret_place)
{
	unsigned char *data = t->scratch;

	if (has_kids(t, i) || ret->len >= SCRATCH_BYTES) {
		int r = ret->len > t->walk->large_bytes ? walk_take_large(t) : 0;

		if (r < 0)
			return r;
		if (ret->len > PACK_BASE_MAX) {
			t->unpacker.why = "it is too large for deltas to be made of it";
			return -EBADMSG;
		}
		data = malloc((size_t)ret->len + 1);
		if (!data)
			return -ENOMEM;
		ret->content = content_wrap(t, ret->type, data, ret->len);
		if (!ret->content)
			return -ENOMEM;
	}
	ret->data = data;
	*ret_place = data;
	return 0;
}

/* --- from an entry to an object --- */

static int hash_piece(const void *data, size_t len, void *userdata)
{
	struct walk_thread *t = userdata;

	hash_update(&t->hash, data, len);
	return tell_progress(t, len);
}

static bool is_in_pieces(const struct walk_thread *t, uint32_t i, const struct made *made)
{
	return made->type == GIT_OBJECT_BLOB && made->len > t->walk->piece_bytes && !has_kids(t, i);
}

static int make_whole(struct walk_thread *t, uint32_t i, const struct entry *e, struct made *ret)
{
	unsigned char *place;
	int r;

	ret->type = (git_object_t)e->kind;
	ret->len = e->len;
	if (is_in_pieces(t, i, ret)) {
		r = hash_begin(&t->hash, ret->type, ret->len);
		return r < 0 ? r : unpack_pieces(&t->unpacker, e, hash_piece, t);
	}
	if (e->len / DEFLATE_RATIO > e->bytes) {
		t->unpacker.why = "it claims more bytes than its data can have";
		return -EBADMSG;
	}
	r = make_place(t, i, ret, &place);
	return r < 0 ? r : unpack_data(&t->unpacker, e, place);
}

static int make_delta(struct walk_thread *t, uint32_t i, const struct entry *e,
		      const struct content *base, struct made *ret)
{
	unsigned char *place;
	struct delta delta;
	int r = unpack_delta(&t->unpacker, e, base->len, &delta);

	if (r < 0)
		return r;
	ret->type = base->type;
	ret->len = delta.len;
	if (is_in_pieces(t, i, ret)) {
		r = hash_begin(&t->hash, ret->type, ret->len);
		return r < 0 ? r : delta_apply_pieces(&delta, base->data, hash_piece, t);
	}
	r = make_place(t, i, ret, &place);
	if (r < 0)
		return r;
	delta_apply(&delta, base->data, place);
	place[delta.len] = '\0';
	return 0;
}

static int make_hash(struct walk_thread *t, struct made *made)
{
	return made->data ? hash_object(&t->hash, made->type, made->data, (size_t)made->len, &made->oid) :
			    hash_final(&t->hash, &made->oid);
}

/* the object of the store with that name, wherever else it is; NULL: there is none */
static int read_elsewhere(struct walk_thread *t, const git_oid *oid, struct content **ret)
{
	const struct pack_walker *to = t->walk->to;
	git_object_t type = GIT_OBJECT_INVALID;
	void *data = NULL;
	size_t len = 0;
	int r = to->read_base ? to->read_base(oid, &type, &data, &len, to->userdata) : 0;

	*ret = NULL;
	if (r < 0)
		return r == -ENOENT || r == -EBADMSG ? 0 : r;
	if (!data)
		return 0;
	*ret = content_wrap(t, type, data, len);
	return *ret ? 0 : -ENOMEM;
}

/* --- what is told --- */

static int tell_bad(struct walk_thread *t, uint32_t i, const char *why)
{
	struct walk *w = t->walk;
	uint32_t pos = w->pack->order->pos[i];
	int r = pack_tell(w->check, w->pack, pos, "corrupt-object", "%s", why);

	__atomic_add_fetch(&w->check->done, 1, __ATOMIC_RELAXED);
	if (r == 0)
		r = w->to->on_bad(t->number, pos, w->to->userdata);
	return r < 0 ? r : tell_progress(t, 0);
}

static int tell_made(struct walk_thread *t, uint32_t i, const struct made *made)
{
	struct walk *w = t->walk;
	struct pack_object object = { .pos = w->pack->order->pos[i],
				      .type = made->type,
				      .data = made->data,
				      .len = made->len };
	int r;

	if (memcmp(made->oid.id, pack_name(w->pack, object.pos), GIT_OID_RAWSZ) != 0)
		return tell_bad(t, i, "its content has another name");
	__atomic_add_fetch(&w->check->done, 1, __ATOMIC_RELAXED);
	r = w->to->on_object(t->number, &object, w->to->userdata);
	return r < 0 ? r : tell_progress(t, made->len);
}

static int push(struct walk_thread *t, uint32_t i, struct content *content)
{
	if (t->n == t->size) {
		size_t size = t->size ? t->size * 2 : 64;
		struct frame *frames = reallocarray(t->frames, size, sizeof(*frames));

		if (!frames) {
			content_unref(t->walk, content);
			return -ENOMEM;
		}
		t->frames = frames;
		t->size = size;
	}
	t->frames[t->n++] = (struct frame){ .i = i,
					    .next = t->walk->tree.first[i],
					    .end = t->walk->tree.first[i + 1],
					    .content = content,
					    .is_bad = !content };
	return 0;
}

/* what can be made of it is still to come: from another copy of it, if there is one */
static int leave_bad(struct walk_thread *t, uint32_t i, const char *why, struct content **ret)
{
	int r = tell_bad(t, i, why);
	git_oid oid;

	if (r < 0 || !has_kids(t, i))
		return r;
	git_oid_fromraw(&oid, pack_name(t->walk->pack, t->walk->pack->order->pos[i]));
	return read_elsewhere(t, &oid, ret);
}

/* @why: it is bad before it is looked at; @base: NULL for what is no delta. *ret: what its kids are made of */
static int visit(struct walk_thread *t, uint32_t i, const struct entry *e, const struct content *base,
		 const char *why, struct content **ret)
{
	struct made made = { 0 };
	int r = 0;

	*ret = NULL;
	if (!why) {
		r = base ? make_delta(t, i, e, base, &made) : make_whole(t, i, e, &made);
		why = r == -EBADMSG ? t->unpacker.why : NULL;
	}
	if (why) {
		content_unref(t->walk, made.content);
		return leave_bad(t, i, why, ret);
	}
	if (r == 0)
		r = make_hash(t, &made);
	if (r == 0)
		r = tell_made(t, i, &made);
	if (r == 0 && has_kids(t, i))
		*ret = TAKE(made.content);
	content_unref(t->walk, made.content);
	return r;
}

int visit_root(struct walk_thread *t, uint32_t i)
{
	const struct pack_order *o = t->walk->pack->order;
	struct content *base = NULL, *content = NULL;
	const char *why = NULL;
	struct entry e;
	int r = 0;

	if (entry_read(&t->unpacker.reader, o->starts[i], pack_order_end(o, i), &e, &why) == 0) {
		if (t->walk->tree.base[i] == TREE_CYCLE) {
			why = "its deltas lead round in a circle";
		} else if (e.kind == ENTRY_OFS_DELTA) {
			why = "where the base of its delta should begin, no object does";
		} else if (e.kind == ENTRY_REF_DELTA) {
			r = read_elsewhere(t, &e.base, &base);
			why = base ? NULL : "the base of its delta is not there";
		}
	}
	if (r == 0)
		r = visit(t, i, &e, base, why, &content);
	content_unref(t->walk, base);
	if (r < 0 || !has_kids(t, i)) {
		content_unref(t->walk, content);
		return r;
	}
	return push(t, i, content);
}

/* a base that was dropped for want of memory */
static int make_again(struct walk_thread *t, struct frame *f)
{
	const struct pack *p = t->walk->pack;
	git_object_t type;
	void *data;
	size_t len;
	int r = walk_take_large(t); /* it may be, and its own bases too */

	if (r < 0)
		return r;
	r = pack_make(&t->unpacker, p->order->starts[f->i], t->walk->to, PACK_BASE_MAX, &type, &data, &len);
	if (r == -EBADMSG || r == -EFBIG) {
		f->is_bad = true; /* it could be made before: the file changes under us */
		return 0;
	}
	if (r < 0)
		return r;
	f->content = content_wrap(t, type, data, len);
	return f->content ? 0 : -ENOMEM;
}

int visit_next(struct walk_thread *t)
{
	struct frame *f = &t->frames[t->n - 1];
	const struct pack_order *o = t->walk->pack->order;
	uint32_t i = t->walk->tree.kids[f->next++];
	struct content *content = NULL;
	const char *why = NULL;
	struct entry e = { 0 };
	int r = 0;

	if (!f->content && !f->is_bad)
		r = make_again(t, f);
	if (r == 0) {
		if (f->is_bad)
			why = "the base of its delta cannot be made";
		else
			entry_read(&t->unpacker.reader, o->starts[i], pack_order_end(o, i), &e, &why);
		r = visit(t, i, &e, f->content, why, &content);
	}
	if (f->next == f->end) { /* gone before its last kid's kids come */
		content_unref(t->walk, f->content);
		t->n--;
	}
	if (r < 0 || !has_kids(t, i)) {
		content_unref(t->walk, content);
		return r;
	}
	return push(t, i, content);
}
