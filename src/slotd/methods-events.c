/*
 * The history, read and followed.
 *
 * A stream goes only as far as its reader: what is not read yet stays in the ledger, and not in
 * memory, so a follower that stands still costs nothing and misses nothing but what events.keep
 * lets go meanwhile.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slotd/methods.h"
#include "util/cleanup.h"

#define DEFAULT_LIMIT 1000
#define MOST_LIMIT    100000
#define BURST	      1000 /* events sent to one follower in a row */

/* a call that wants to hear of what has happened, or of what happens */
struct follower {
	struct list link; /* slotd.followers; of a stream */
	struct slotd *d;
	struct rpc_call *call;
	uint64_t since;	    /* sequence of the last event looked at */
	uint64_t since_usec; /* not older than this; wall clock */
	char slot[NAME_SIZE];
	json_object *list; /* what is collected for a single reply; NULL: streamed */
	uint64_t sent, limit;
	bool follows; /* goes on when all has been sent */
	bool paused;  /* until its reader has read */
};

static json_object *event_to_json(struct follower *fo, const struct event_record *e)
{
	bool whole = caller_may(fo->d, fo->call, NULL, CONF_ACCESS_OPERATE) ||
		     rpc_call_peer(fo->call)->uid == e->uid;
	char lease[ID_TEXT_SIZE + 4] = "";
	json_object *o = json_object_new_object();

	if (whole)
		memcpy(lease, e->lease, sizeof(e->lease));
	else if (e->lease[0])
		snprintf(lease, sizeof(lease), "%.8s...", e->lease);
	json_set_int(o, "sequence", (int64_t)e->sequence);
	json_set_int(o, "atUsec", (int64_t)e->at_usec);
	json_set_string(o, "kind", e->kind);
	json_set(o, "pool", string_or_null(e->pool));
	json_set(o, "slot", string_or_null(e->slot));
	json_set(o, "lease", string_or_null(lease));
	json_set(o, "uid", e->uid == UINT32_MAX ? NULL : json_object_new_int64(e->uid));
	json_set(o, "token", usec_or_null(e->token));
	json_set(o, "detail", string_or_null(e->detail));
	return o;
}

static bool may_see(const struct follower *fo, const struct event_record *e)
{
	struct pool *pool = e->pool[0] ? pools_find(fo->d->pools, e->pool) : NULL;

	return caller_may(fo->d, fo->call, pool, CONF_ACCESS_OBSERVE);
}

static int on_event(const struct event_record *e, void *userdata)
{
	struct follower *fo = userdata;
	json_object *entry, *list;

	fo->paused = !fo->list && !rpc_call_has_room(fo->call);
	if (fo->paused)
		return -ECANCELED;
	fo->since = e->sequence;
	if (e->at_usec < fo->since_usec || !may_see(fo, e) ||
	    (fo->slot[0] && strcmp(fo->slot, e->slot) != 0))
		return 0;
	if (fo->sent == fo->limit)
		return -ECANCELED;
	fo->sent++;
	entry = event_to_json(fo, e);
	if (fo->list) {
		json_object_array_add(fo->list, entry);
		return 0;
	}
	list = json_object_new_array();
	json_object_array_add(list, entry);
	return rpc_reply_more(fo->call, json_set(json_object_new_object(), "events", list));
}

static void follower_free(struct follower *fo)
{
	list_del(&fo->link);
	rpc_call_on_gone(fo->call, NULL, NULL);
	rpc_call_on_room(fo->call, NULL, NULL);
	rpc_call_unref(fo->call);
	json_object_put(fo->list);
	free(fo);
}

static void on_follower_gone(struct rpc_call *call, void *userdata)
{
	follower_free(userdata);
}

/* all that there is from since on, or up to the limit, or as much as is read */
static int send_events(struct follower *fo, struct fault *f)
{
	uint64_t before;
	int r;

	fo->paused = false;
	do {
		before = fo->since;
		r = ledger_read_events(pools_ledger(fo->d->pools), fo->since, BURST, on_event, fo, f);
	} while (r == 0 && fo->since != before && !rpc_call_is_gone(fo->call));
	return r == -ECANCELED || r == -ENOBUFS ? 0 : r;
}

static void finish(struct follower *fo)
{
	rpc_reply(fo->call, json_set(json_object_new_object(), "events",
				     fo->list ? json_object_get(fo->list) : json_object_new_array()));
	follower_free(fo);
}

static void on_room(void *userdata);

/* as far as it goes for now; who has all that he asked for is gone afterwards */
static void go_on(struct follower *fo)
{
	struct fault f = FAULT_NONE;

	if (send_events(fo, &f) < 0) {
		rpc_error(fo->call, "io.slotd.pool.LedgerFailed", NULL, "%s", f.text);
		follower_free(fo);
	} else if (fo->paused) {
		rpc_call_on_room(fo->call, on_room, fo);
	} else if (!fo->follows) {
		finish(fo);
	}
}

static void on_room(void *userdata)
{
	go_on(userdata);
}

void events_announce(void *userdata)
{
	struct slotd *d = userdata;
	struct follower *fo, *tmp;

	list_for_each_safe(fo, tmp, &d->followers, link)
		if (!fo->paused)
			go_on(fo);
}

unsigned events_close(struct slotd *d)
{
	struct follower *fo, *tmp;
	unsigned n = 0;

	list_for_each_safe(fo, tmp, &d->followers, link) {
		n++;
		if (fo->follows) {
			finish(fo);
			continue;
		}
		/* not the end of what was asked for */
		rpc_error(fo->call, "io.slotd.pool.ShuttingDown", NULL,
			  "slotd is stopping; ask again in a moment");
		follower_free(fo);
	}
	return n;
}

static uint64_t limit_of(json_object *params, bool follow)
{
	int64_t limit = json_get_int(params, "limit", follow ? INT64_MAX : DEFAULT_LIMIT);

	if (limit < 0)
		return 0;
	return follow || limit < MOST_LIMIT ? (uint64_t)limit : MOST_LIMIT;
}

METHOD(events)
{
	bool follow = json_get_bool(params, "follow", false);
	struct slotd *d = userdata;
	struct follower *fo;

	if (follow && !rpc_call_wants_more(call)) {
		rpc_error(call, "org.varlink.service.ExpectedMore", NULL,
			  "a stream that goes on needs a call with \"more\"");
		return 0;
	}
	fo = calloc(1, sizeof(*fo));
	if (!fo)
		return fault_oom(f);
	fo->d = d;
	fo->call = rpc_call_ref(call);
	list_init(&fo->link);
	if (copy_param(call, params, "slot", fo->slot, sizeof(fo->slot)) < 0) {
		follower_free(fo);
		return 0;
	}
	fo->since = (uint64_t)json_get_int(params, "since", 0);
	fo->since_usec = (uint64_t)json_get_int(params, "sinceAtUsec", 0);
	fo->limit = limit_of(params, follow);
	fo->list = rpc_call_wants_more(call) ? NULL : json_object_new_array();
	fo->follows = follow && !d->stopping;
	if (!fo->list) {
		list_append(&d->followers, &fo->link);
		rpc_call_on_gone(call, on_follower_gone, fo);
	}
	go_on(fo);
	return 0;
}
