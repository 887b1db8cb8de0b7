/*
 * What was saved of slots, as far as slotd knows.
 *
 * A salvage is a ref in the store of its pool, which only workers touch; here is a record of each, for
 * finding them and for deciding which may go (salvage-keep.c). The record comes in the commit that says
 * what became of the slot. One that a crash has kept from being recorded is found when the store is opened
 * next, since the store says what there is.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/parse.h"
#include "util/text.h"

#define COMMIT_PREFIX 7 /* hex digits of a commit that are enough */

const struct salvage_record *salvage_record(const struct salvage *s)
{
	return &s->rec;
}

const char *salvage_id(const struct salvage *s)
{
	return s->id;
}

char *salvage_ref(const struct salvage *s)
{
	return text_printf(SALVAGE_REFS "%s", s->name);
}

/* --- the list: oldest first --- */

static int compare(const struct salvage *a, const struct salvage *b)
{
	if (a->rec.taken_usec != b->rec.taken_usec)
		return a->rec.taken_usec > b->rec.taken_usec ? 1 : -1;
	return (a->rec.n > b->rec.n) - (a->rec.n < b->rec.n);
}

static int compare_places(const void *a, const void *b)
{
	return compare(*(struct salvage *const *)a, *(struct salvage *const *)b);
}

/* the ledger gives them in the order of their names */
int salvages_sort(struct pools *p)
{
	_cleanup_(freep) struct salvage **all = calloc(map_count(p->salvages_by_name) + 1,
						       sizeof(struct salvage *));
	struct salvage *s, *tmp;
	size_t n = 0;

	if (!all)
		return -ENOMEM;
	list_for_each_safe(s, tmp, &p->salvages, link) {
		list_del(&s->link);
		all[n++] = s;
	}
	qsort(all, n, sizeof(*all), compare_places);
	for (size_t i = 0; i < n; i++)
		list_append(&p->salvages, &all[i]->link);
	return 0;
}

/* mostly it is the newest */
static void enlist(struct pools *p, struct salvage *s)
{
	struct list *before = p->salvages.prev;

	while (before != &p->salvages && compare(list_entry(before, struct salvage, link), s) > 0)
		before = before->prev;
	list_append(before->next, &s->link);
}

static void forget(struct salvage *s)
{
	map_remove(s->pools->salvages_by_name, s->name);
	list_del(&s->link);
	free(s);
}

static struct salvage *salvage_new(struct pools *p, const struct salvage_record *rec)
{
	struct salvage *s = calloc(1, sizeof(*s));
	char lease[ID_TEXT_SIZE];

	if (!s)
		return NULL;
	s->rec = *rec;
	s->pools = p;
	id_to_string(&rec->lease, lease);
	snprintf(s->name, sizeof(s->name), "%s/%s/%llu", rec->slot, lease, (unsigned long long)rec->n);
	snprintf(s->id, sizeof(s->id), "%s/%.8s/%llu", rec->slot, lease, (unsigned long long)rec->n);
	if (map_put(p->salvages_by_name, s->name, s) < 0) {
		free(s);
		return NULL;
	}
	return s;
}

int salvage_load(struct pools *p, const struct salvage_record *rec)
{
	struct salvage *s = salvage_new(p, rec);

	if (s)
		list_append(&p->salvages, &s->link);
	return s ? 0 : -ENOMEM;
}

void salvages_free(struct pools *p)
{
	struct salvage *s, *tmp;

	list_for_each_safe(s, tmp, &p->salvages, link)
		forget(s);
}

/* --- recording one --- */

void salvage_event(const struct salvage *s, const char *kind, uint32_t uid, const char *fmt, ...)
{
	struct event_record e = { .uid = uid };
	va_list ap;

	snprintf(e.kind, sizeof(e.kind), "%s", kind);
	memcpy(e.pool, s->rec.pool, sizeof(e.pool));
	memcpy(e.slot, s->rec.slot, sizeof(e.slot));
	if (!id_is_null(&s->rec.lease))
		id_to_string(&s->rec.lease, e.lease);
	va_start(ap, fmt);
	vsnprintf(e.detail, sizeof(e.detail), fmt, ap);
	va_end(ap);
	text_mend_utf8(e.detail);
	pools_changed(s->pools);
	batch_event(s->pools->batch, &e);
}

static void undo_new(void *arg)
{
	forget(arg);
}

static struct salvage *add(struct pools *p, const struct salvage_record *rec)
{
	struct salvage *s = salvage_new(p, rec);

	if (!s) {
		log_error("what was saved could not be recorded; the store is asked again what it has "
			  "slot=%s", rec->slot);
		salvages_look_again(pools_find(p, rec->pool));
		return NULL;
	}
	s->since_look = p->salvage_looks;
	enlist(p, s);
	batch_undo(p->batch, undo_new, s);
	batch_put_salvage(p->batch, &s->rec);
	pools_changed(p);
	return s;
}

static void undo_delete(void *arg)
{
	((struct salvage *)arg)->gone = false;
}

static void after_delete(void *arg, int error, const struct fault *why)
{
	if (!error)
		forget(arg);
}

void salvage_delete(struct salvage *s)
{
	struct batch *b = s->pools->batch;

	s->gone = true;
	batch_undo(b, undo_delete, s);
	batch_delete_salvage(b, s->rec.slot, &s->rec.lease, s->rec.n);
	batch_after(b, after_delete, s);
	pools_changed(s->pools);
}

/* "refs/slotd/salvage/<slot>/<32 hex>/<n>": fills in what that says; -EINVAL: it is none */
static int parse_ref(const char *ref, struct salvage_record *ret)
{
	const char *slot = ref + strlen(SALVAGE_REFS), *slash, *number;
	char lease[ID_TEXT_SIZE] = "";
	size_t pool_len;
	int64_t n;

	if (!text_has_prefix(ref, SALVAGE_REFS))
		return -EINVAL;
	slash = strchr(slot, '/');
	if (!slash || (size_t)(slash - slot) >= sizeof(ret->slot) || strlen(slash) < ID_TEXT_SIZE + 1)
		return -EINVAL;
	memcpy(lease, slash + 1, sizeof(lease) - 1);
	number = slash + ID_TEXT_SIZE;
	if (*number++ != '/' || !isdigit((unsigned char)*number) || parse_int(number, &n) < 0 || n < 1)
		return -EINVAL;
	snprintf(ret->slot, sizeof(ret->slot), "%.*s", (int)(slash - slot), slot);
	ret->n = (uint64_t)n;
	if (parse_slot_name(ret->slot, &pool_len, &(uint64_t){ 0 }) < 0)
		return -EINVAL;
	return id_from_string(lease, &ret->lease);
}

static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from ? from : "");
	text_mend_utf8(to);
}

/* what a worker says of one; -EINVAL: its ref is none of a salvage */
int salvage_read(json_object *from, struct salvage_record *ret)
{
	const char *ref = json_get_string(from, "ref");

	memset(ret, 0, sizeof(*ret));
	if (!ref || parse_ref(ref, ret) < 0)
		return -EINVAL;
	copy(ret->commit, sizeof(ret->commit), json_get_string(from, "commit"));
	copy(ret->summary, sizeof(ret->summary), json_get_string(from, "summary"));
	ret->taken_usec = (uint64_t)json_get_int(from, "takenAtUsec", 0);
	ret->bytes = (uint64_t)json_get_int(from, "bytes", 0);
	ret->uid = ret->drop_uid = UINT32_MAX;
	return 0;
}

static void tell_special(const struct salvage *s, json_object *names)
{
	size_t n = names ? json_object_array_length(names) : 0;
	_cleanup_(text_deinit) struct text t = { 0 };

	for (size_t i = 0; i < n; i++)
		text_addf(&t, "%s%s", i ? ", " : "",
			  json_object_get_string(json_object_array_get_idx(names, i)));
	if (n == 0 || t.failed)
		return;
	salvage_event(s, "salvage_special", UID_SLOTD, "%s: not saved, as there is nothing in it: %s", s->id,
		      t.data);
	log_info("pipes, sockets and devices were not saved: %s slot=%s", t.data, s->rec.slot);
}

/* the store's word counts: what is known already may have another commit by now */
static void refresh(struct salvage *s, const struct salvage_record *rec)
{
	bool knows_size = rec->bytes && s->rec.bytes != rec->bytes;

	if (strcmp(s->rec.commit, rec->commit) == 0 && strcmp(s->rec.pool, rec->pool) == 0 && !knows_size)
		return;
	batch_save(s->pools->batch, &s->rec, sizeof(s->rec));
	memcpy(s->rec.pool, rec->pool, sizeof(s->rec.pool));
	memcpy(s->rec.commit, rec->commit, sizeof(s->rec.commit));
	memcpy(s->rec.summary, rec->summary, sizeof(s->rec.summary));
	if (knows_size)
		s->rec.bytes = rec->bytes;
	batch_put_salvage(s->pools->batch, &s->rec);
	pools_changed(s->pools);
}

struct salvage *salvage_enter(struct pools *p, const struct salvage_record *rec, bool *ret_new)
{
	struct salvage *s = salvage_find_by_name(p, rec->slot, &rec->lease, rec->n);

	*ret_new = !s;
	if (!s)
		return add(p, rec);
	refresh(s, rec);
	return s;
}

/* whose it is: the lease that the slot was left by */
static void sign(struct salvage_record *rec, const struct slot_record *slot)
{
	memcpy(rec->pool, slot->pool, sizeof(rec->pool));
	rec->known = moment_now();
	if (id_is_null(&rec->lease) || !id_is_equal(&rec->lease, &slot->left_lease))
		return;
	rec->uid = slot->left_uid;
	memcpy(rec->agent, slot->last_agent, sizeof(rec->agent));
	memcpy(rec->task, slot->left_task, sizeof(rec->task));
}

/*
 * The store was asked what it has before the job that saved it was over, or repeated: then it is known
 * already, and whose it is was not.
 */
static void sign_found(struct salvage *s, const struct salvage_record *rec)
{
	if (rec->uid == s->rec.uid)
		return;
	batch_save(s->pools->batch, &s->rec, sizeof(s->rec));
	s->rec.uid = rec->uid;
	memcpy(s->rec.agent, rec->agent, sizeof(s->rec.agent));
	memcpy(s->rec.task, rec->task, sizeof(s->rec.task));
	s->rec.known = rec->known;
	batch_put_salvage(s->pools->batch, &s->rec);
	pools_changed(s->pools);
}

static void take_one(struct slot *slot, json_object *from)
{
	struct salvage_record rec;
	struct salvage *s;
	bool is_new;

	if (salvage_read(from, &rec) < 0 || strcmp(rec.slot, slot->rec.name) != 0) {
		log_error("a worker names a salvage that is none of this slot slot=%s ref=%s", slot->rec.name,
			  json_get_string(from, "ref"));
		return;
	}
	sign(&rec, &slot->rec);
	s = salvage_enter(slot->pool->pools, &rec, &is_new);
	if (!s)
		return;
	if (!is_new) {
		sign_found(s, &rec);
		return;
	}
	salvage_event(s, "salvaged", UID_SLOTD, "%s: %s", s->id, s->rec.summary);
	log_info("unsaved work was saved: %s salvage=%s slot=%s agent=%s", s->rec.summary, s->id,
		 s->rec.slot, s->rec.agent);
	tell_special(s, json_get_array(from, "special"));
	salvages_expire_soon(s->pools);
}

void salvages_take(struct slot *slot, json_object *list)
{
	size_t n = list ? json_object_array_length(list) : 0;

	for (size_t i = 0; i < n; i++)
		take_one(slot, json_object_array_get_idx(list, i));
}

/* --- finding --- */

struct salvage *salvage_next(struct pools *p, struct salvage *s)
{
	struct list *l = s ? s->link.next : p->salvages.next;

	while (l != &p->salvages && list_entry(l, struct salvage, link)->gone)
		l = l->next;
	return l == &p->salvages ? NULL : list_entry(l, struct salvage, link);
}

struct salvage *salvage_find_by_name(struct pools *p, const char *slot, const struct id *lease, uint64_t n)
{
	char name[SALVAGE_NAME_SIZE], text[ID_TEXT_SIZE];
	struct salvage *s;

	snprintf(name, sizeof(name), "%s/%s/%llu", slot, id_to_string(lease, text), (unsigned long long)n);
	s = map_find(p->salvages_by_name, name);
	return s && !s->gone ? s : NULL;
}

struct salvage *salvage_find_by_lease(struct pools *p, const struct id *lease, unsigned *ret_n)
{
	struct salvage *newest = NULL;
	unsigned n = 0;

	for (struct salvage *s = salvage_next(p, NULL); s; s = salvage_next(p, s)) {
		if (id_is_null(lease) || !id_is_equal(&s->rec.lease, lease))
			continue;
		newest = s;
		n++;
	}
	if (ret_n)
		*ret_n = n;
	return newest;
}

static bool is_commit_prefix(const char *what)
{
	size_t len = strlen(what);

	return len >= COMMIT_PREFIX && len < OID_SIZE && strspn(what, "0123456789abcdef") == len;
}

static bool is_called(const struct salvage *s, const char *what)
{
	if (strcmp(what, s->id) == 0 || strcmp(what, s->name) == 0)
		return true;
	if (text_has_prefix(what, SALVAGE_REFS))
		return strcmp(what + strlen(SALVAGE_REFS), s->name) == 0;
	return is_commit_prefix(what) && text_has_prefix(s->rec.commit, what);
}

int salvage_find(struct pools *p, const char *what, bool (*may)(const char *pool, void *userdata),
		 void *userdata, struct salvage **ret)
{
	struct salvage *found = NULL;

	for (struct salvage *s = salvage_next(p, NULL); s; s = salvage_next(p, s)) {
		if (!is_called(s, what) || !may(s->rec.pool, userdata))
			continue;
		if (found)
			return SALVAGE_E_AMBIGUOUS;
		found = s;
	}
	if (!found)
		return SALVAGE_E_ABSENT;
	*ret = found;
	return 0;
}

uint64_t salvages_bytes(struct pools *p)
{
	uint64_t bytes = 0;

	for (struct salvage *s = salvage_next(p, NULL); s; s = salvage_next(p, s))
		bytes += s->rec.bytes;
	return bytes;
}
