/* In the caller's loop, or in one of our own for as long as a call blocks. */
#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "libslot/client.h"
#include "util/cleanup.h"
#include "util/clock.h"

SLOT_API bool slot_client_is_busy(const struct slot_client *client)
{
	return client->call != NULL;
}

SLOT_API int slot_client_fd(const struct slot_client *client)
{
	return client->pid == getpid() ? client->conn.epoll_fd : -ECHILD;
}

SLOT_API int slot_client_events(const struct slot_client *client)
{
	/* an idle connection is watched for its end */
	return client->call || client->conn.fd >= 0 ? POLLIN : 0;
}

SLOT_API uint64_t slot_client_timeout_usec(const struct slot_client *client)
{
	const struct call *call = client->call;
	uint64_t now, at;

	if (!call)
		return UINT64_MAX;
	at = call->deadline_usec;
	if (call->state == CALL_STATE_WAITING && call->next_usec < at)
		at = call->next_usec;
	if (at == UINT64_MAX)
		return UINT64_MAX;
	now = clock_boot_usec();
	return at > now ? at - now : 0;
}

static void drain_wake(struct slot_client *client)
{
	uint64_t count;

	/* -EAGAIN: nobody woke us */
	if (read(client->wake_fd, &count, sizeof(count)) < 0)
		return;
}

SLOT_API int slot_client_process(struct slot_client *client)
{
	_cleanup_(slot_client_unrefp) struct slot_client *alive = NULL;
	int r;

	r = client_check(client);
	if (r < 0)
		return r;
	if (client->is_streaming)
		return 0;
	alive = slot_client_ref(client);
	drain_wake(client);
	if (client->call)
		call_drive(client);
	else if (conn_is_stale(&client->conn))
		conn_close(&client->conn);
	return 0;
}

/* waits for the descriptor, then processes */
static int turn(struct slot_client *client, uint64_t timeout_usec)
{
	struct pollfd p = { .fd = client->conn.epoll_fd, .events = POLLIN };
	uint64_t own = slot_client_timeout_usec(client);
	uint64_t usec = own < timeout_usec ? own : timeout_usec;
	struct timespec ts = {
		.tv_sec = (time_t)(usec / USEC_PER_SEC),
		.tv_nsec = (long)(usec % USEC_PER_SEC * 1000),
	};

	if (ppoll(&p, 1, usec == UINT64_MAX ? NULL : &ts, NULL) < 0 && errno != EINTR)
		return -errno;
	return slot_client_process(client);
}

SLOT_API int slot_wait(struct slot_client *client, uint64_t timeout_usec)
{
	_cleanup_(slot_client_unrefp) struct slot_client *alive = NULL;
	uint64_t until;
	int r;

	r = client_check(client);
	if (r < 0)
		return r;
	if (client->is_streaming)
		return -EINVAL;
	alive = slot_client_ref(client);
	until = usec_add(clock_boot_usec(), timeout_usec);
	while (client->call) {
		uint64_t now = clock_boot_usec();

		if (now >= until)
			return -ETIMEDOUT;
		r = turn(client, until == UINT64_MAX ? UINT64_MAX : until - now);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- blocking calls ---- */

int client_run_until(struct slot_client *client, const bool *is_done)
{
	_cleanup_(slot_client_unrefp) struct slot_client *alive = NULL;

	alive = slot_client_ref(client);
	while (!*is_done) {
		int r = turn(client, UINT64_MAX);

		if (r < 0) {
			call_free(TAKE(client->call));
			conn_close(&client->conn);
			return r;
		}
	}
	return 0;
}

struct result {
	bool is_done;
	int r;
	json_object *reply;
};

static int keep_result(struct slot_client *client, struct call *call, int r, json_object *reply,
		       bool continues)
{
	struct result *result = call->userdata;

	result->is_done = true;
	result->r = r;
	result->reply = json_object_get(reply);
	return 0;
}

int call_run(struct slot_client *client, struct call *call, json_object **ret)
{
	struct result result = { 0 };
	int r;

	call->on_reply = keep_result;
	call->userdata = &result;
	r = call_start(client, call);
	if (r < 0)
		return r;
	r = client_run_until(client, &result.is_done);
	if (r < 0)
		return r;
	if (ret && result.r == 0)
		*ret = result.reply;
	else
		json_object_put(result.reply);
	return result.r;
}

SLOT_API int slot_client_connect(struct slot_client *client)
{
	struct call *call;
	int r;

	r = call_new(NULL, NULL, NULL, &call);
	return r < 0 ? r : call_run(client, call, NULL);
}
