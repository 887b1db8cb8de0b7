/**
 * DOC: methods - parse, ask the pools, answer
 *
 * Handlers of io.slotd.pool. No state lives here but calls that wait for their answer, and no
 * decision but who may ask.
 */
#ifndef SLOTD_METHODS_H
#define SLOTD_METHODS_H

#include "slotd/slotd.h"
#include "util/json.h"

#define METHOD(name)                                                                    \
	int method_##name(struct rpc_call *call, json_object *params, void *userdata, \
			  struct fault *f)

/* a method that only looks: at what is on disk, so after the commit of what this turn has changed */
#define READ(name)                                                                            \
	static int read_##name(struct rpc_call *call, json_object *params, void *userdata,    \
			       struct fault *f);                                              \
	METHOD(name)                                                                          \
	{                                                                                     \
		return read_committed(userdata, call, params, read_##name, f);                \
	}                                                                                     \
	static int read_##name(struct rpc_call *call, json_object *params, void *userdata,    \
			       struct fault *f)

int read_committed(struct slotd *d, struct rpc_call *call, json_object *params, rpc_method_fn read,
		   struct fault *f);

METHOD(acquire);
METHOD(release);
METHOD(renew);
METHOD(touch);
METHOD(finish);
METHOD(status);
METHOD(slots);
METHOD(leases);
METHOD(explain);
METHOD(handoff);
METHOD(queue);
METHOD(pool_list);
METHOD(pool_show);
METHOD(pool_add);
METHOD(pool_remove);
METHOD(pool_resize);
METHOD(pool_pause);
METHOD(pool_resume);
METHOD(pool_drain);
METHOD(pool_fetch);
METHOD(slot_add);
METHOD(slot_remove);
METHOD(salvage_list);
METHOD(salvage_show);
METHOD(salvage_drop);
METHOD(salvage_branch);
METHOD(slot_warm);
METHOD(check);
METHOD(ping);
METHOD(ping_health);
METHOD(ping_cleanup);
METHOD(ping_reset);
METHOD(stats);
METHOD(events);
METHOD(config_show);

/* --- methods.c: what handlers share --- */

bool caller_is_self(const struct rpc_call *call);
bool caller_may(const struct slotd *d, const struct rpc_call *call, const struct pool *pool,
		enum conf_access_right right);

/* answers NotPermitted with a sentence */
void answer_not_permitted(struct rpc_call *call, const struct pool *pool, const char *what);

/* answers with the refusal's error */
void answer_refusal(struct rpc_call *call, const struct refusal *refusal);

/* the same with more parameters, which are taken over */
void answer_refusal_with(struct rpc_call *call, const struct refusal *refusal, json_object *params);

/* an acquire is refused: with the slots of the pool and their reasons, where that is why */
void answer_no_slot(struct slotd *d, struct rpc_call *call, struct pool *pool, const struct refusal *refusal);

/* the pool that "pool" names; answers NotFound, or NotPermitted, and returns NULL */
struct pool *find_pool(struct slotd *d, struct rpc_call *call, json_object *params,
		       enum conf_access_right right);

/* copies a string parameter; -EINVAL: answered, it is too long. Absent: empty. */
int copy_param(struct rpc_call *call, json_object *params, const char *key, char *ret, size_t size);

/* a string or null when empty */
json_object *string_or_null(const char *s);
json_object *usec_or_null(uint64_t usec);

/* one sentence more in an array of them; without memory it is left out */
__attribute__((format(printf, 2, 3))) void say(json_object *sentences, const char *fmt, ...);

/*
 * An answer that must wait for the commit of this turn: the call is kept, the reply sent when
 * the batch is on disk, LedgerFailed when it is not. @reply is taken over.
 */
void answer_after_commit(struct slotd *d, struct rpc_call *call, json_object *reply);

/* answers with an error, when it has told the truth about what was kept: after the commit of this turn */
__attribute__((format(printf, 4, 5))) void answer_error_after_commit(struct slotd *d, struct rpc_call *call,
								      const char *error, const char *fmt, ...);

/* what that lease left, told to who is on @branch (may be NULL); null when it is not known any more */
json_object *handoff_to_json(struct slotd *d, const struct id *lease, const char *branch);

/* the newest of what was saved of a lease's slot, and "all" when there are several; null: nothing was */
json_object *salvage_to_json(struct slotd *d, const struct id *lease);

/* a list that may be long: with "more" it leaves in pieces, the last by the caller, with what is left in @list */
struct stream {
	struct rpc_call *call;
	const char *key;
	json_object *list;
	bool more;
	int r;
};

struct stream stream_start(struct rpc_call *call, const char *key, bool more);
void stream_add(struct stream *s, json_object *entry);

/* slots of a pool, so many at most, in the order of their numbers; the caller frees the array; NULL: no
 * memory, 0 of them */
struct slot **slots_in_order(struct slotd *d, struct pool *pool, size_t most, size_t *ret_n);

char *salvage_problem(struct slotd *d); /* a sentence, allocated; NULL: there is none */

/* the representation of a pool and a slot; methods-list.c */
json_object *pool_info(struct slotd *d, struct pool *pool);
json_object *slot_info(struct slotd *d, const struct rpc_call *call, struct slot *slot);

#endif
