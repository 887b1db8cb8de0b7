/*
 * The same question gets the same answer.
 *
 * A key belongs to a uid and names one request: while its lease lives, asking again gives that
 * lease; afterwards, until 24 hours after it was first used, and for an hour at least, it says that the
 * lease is gone. Never does it give somebody else's slot.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/private.h"

#define KEY_KEEP_USEC	    USEC_PER_DAY  /* since it was first used */
#define KEY_KEEP_ENDED_USEC USEC_PER_HOUR /* and since its lease has ended */
#define KEY_KEEP_MOST 20000 /* bounds memory when acquires are many and short */

static void name_of(uint32_t uid, const char *key, char *ret, size_t size)
{
	snprintf(ret, size, "%u:%s", uid, key);
}

/* from now on by the clock that nobody sets; how long ago it was first used, only the other one tells */
static void remember(struct key *key)
{
	uint64_t now = clock_wall_usec(), first = key->rec.created_usec;
	uint64_t age = now > first ? now - first : 0;
	uint64_t left = age < KEY_KEEP_USEC ? KEY_KEEP_USEC - age : 0;

	if (left < KEY_KEEP_ENDED_USEC)
		left = KEY_KEEP_ENDED_USEC;
	key->keep_until_usec = clock_boot_usec() + left;
	list_append(&key->pools->ended_keys, &key->link);
	key->pools->n_ended_keys++;
}

struct key *key_load(struct pools *p, const struct key_record *rec)
{
	struct key *key = calloc(1, sizeof(*key));

	if (!key)
		return NULL;
	key->rec = *rec;
	key->pools = p;
	list_init(&key->link);
	name_of(rec->uid, rec->key, key->name, sizeof(key->name));
	if (map_put(p->keys, key->name, key) < 0) {
		free(key);
		return NULL;
	}
	if (rec->end != LEASE_END_NONE)
		remember(key);
	return key;
}

void key_free(struct key *key)
{
	list_del(&key->link);
	free(key);
}

struct key *key_find(struct pools *p, uint32_t uid, const char *key)
{
	char name[LABEL_SIZE + 16];

	name_of(uid, key, name, sizeof(name));
	return map_find(p->keys, name);
}

/* FNV-1a with two starting values; it tells mistakes apart, it defends nothing: a uid's keys are its
 * own */
void key_hash_request(const struct acquire_spec *spec, uint8_t *ret)
{
	char text[4 * REF_SIZE + 3 * LABEL_SIZE + 64];
	uint64_t h[4] = { 0xcbf29ce484222325ULL, 0x9ae16a3b2f90404fULL, 0, 0 };
	int n;

	/* what was asked, whatever the pool makes of it today */
	n = snprintf(text, sizeof(text), "%s\n%s\n%s\n%s\n%s\n%u\n%llu\n%s", spec->pool->rec.name,
		     spec->ref, spec->branch_by_pool ? "" : spec->branch, spec->agent, spec->task,
		     spec->bind_by_pool ? 0 : spec->bind, (unsigned long long)spec->ttl_usec,
		     spec->resume);
	for (int i = 0; i < n; i++) {
		h[0] = (h[0] ^ (uint8_t)text[i]) * 0x100000001b3ULL;
		h[1] = (h[1] + (uint8_t)text[i]) * 0x9fb21c651e98df25ULL;
		h[1] ^= h[1] >> 29;
	}
	memcpy(ret, h, sizeof(h));
}

static void undo_grant(void *arg)
{
	struct key *key = arg;

	map_remove(key->pools->keys, key->name);
	key_free(key);
}

struct key *key_grant(struct pools *p, const struct waiter *w, const struct lease_record *lease)
{
	struct key_record rec = { .uid = w->spec.uid, .created_usec = clock_wall_usec() };
	struct key *key;

	memcpy(rec.key, w->spec.key, sizeof(rec.key));
	memcpy(rec.request, w->request, sizeof(rec.request));
	memcpy(rec.slot, lease->slot, sizeof(rec.slot));
	rec.lease = lease->id;
	key = key_load(p, &rec);
	if (!key)
		return NULL;
	batch_undo(p->batch, undo_grant, key);
	batch_put_key(p->batch, &rec);
	return key;
}

static void after_end(void *arg, int error, const struct fault *why)
{
	struct key *key = arg;

	if (!error)
		remember(key);
}

void key_end(struct pools *p, struct key *key, enum lease_end how)
{
	batch_save(p->batch, &key->rec, sizeof(key->rec));
	key->rec.end = (uint8_t)how;
	key->rec.ended_usec = clock_wall_usec();
	batch_put_key(p->batch, &key->rec);
	batch_after(p->batch, after_end, key);
}

static void undo_drop(void *arg)
{
	((struct key *)arg)->dropping = false;
}

static void after_drop(void *arg, int error, const struct fault *why)
{
	struct key *key = arg;

	if (error)
		return;
	map_remove(key->pools->keys, key->name);
	key->pools->n_ended_keys--;
	key_free(key);
}

/* it is known until that is on disk */
static void drop(struct key *key)
{
	struct batch *b = key->pools->batch;

	key->dropping = true;
	batch_undo(b, undo_drop, key);
	batch_delete_key(b, key->rec.uid, key->rec.key);
	batch_after(b, after_drop, key);
	pools_changed(key->pools);
}

void keys_expire(struct pools *p)
{
	unsigned above = p->n_ended_keys > KEY_KEEP_MOST ? p->n_ended_keys - KEY_KEEP_MOST : 0;
	uint64_t now = clock_boot_usec();
	struct key *key;

	list_for_each(key, &p->ended_keys, link) {
		if (key->dropping)
			continue;
		if (above)
			above--;
		else if (now < key->keep_until_usec)
			continue;
		drop(key);
	}
}
