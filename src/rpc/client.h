/**
 * DOC: client - call a Varlink service from an sd-event loop, one call at a time
 *
 * slotd's side of the socketpair to a worker. (libslot, which needs no loop, has its own.)
 */
#ifndef RPC_CLIENT_H
#define RPC_CLIENT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#include "util/fault.h"

struct rpc_client;

/**
 * rpc_client_reply_fn
 * @error: NULL, or the error's full name; "io.slotd.worker.Gone" when the stream ended
 *	first (then @params has "message" and no further reply comes)
 * @params: borrowed; never NULL
 * @continues: more replies come
 */
typedef void (*rpc_client_reply_fn)(struct rpc_client *c, const char *error, json_object *params,
				    bool continues, void *userdata);

/* told when the stream ended while no call was under way */
typedef void (*rpc_client_gone_fn)(struct rpc_client *c, void *userdata);

/* @fd: taken over in every case */
int rpc_client_new(sd_event *event, int fd, rpc_client_gone_fn gone, void *userdata,
		   struct rpc_client **ret, struct fault *f);

/* no callback comes after it; may be called from a callback; accepts NULL */
void rpc_client_free(struct rpc_client *c);

bool rpc_client_is_busy(const struct rpc_client *c);

/**
 * rpc_client_call - send a call
 * @method: full name
 * @params: taken over in every case; NULL: none
 * @more: allow several replies
 * @fd: goes along, duplicated; -1: none
 *
 * 0, -EBUSY while a call is under way, -EPIPE, -ENOMEM.
 */
int rpc_client_call(struct rpc_client *c, const char *method, json_object *params, bool more,
		    int fd, rpc_client_reply_fn fn, void *userdata, struct fault *f);

#endif
