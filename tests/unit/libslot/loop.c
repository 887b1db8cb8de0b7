/* The same calls without blocking, in a loop of the caller's. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "fixture.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/json.h"

TestSuite(loop, .fini = fixture_stop, .timeout = 60);

struct seen {
	int replies;
	int ends;
	int r;
	char last[256];
	int stop_after;
	struct slot_lease *lease;
};

static int on_reply(struct slot_client *c, int r, const char *reply_json, bool continues,
		    void *userdata)
{
	struct seen *seen = userdata;

	if (reply_json) {
		seen->replies++;
		snprintf(seen->last, sizeof(seen->last), "%s", reply_json);
	}
	if (!continues) {
		seen->ends++;
		seen->r = r;
	}
	return seen->stop_after && seen->replies >= seen->stop_after ? -EXFULL : 0;
}

static void on_done(struct slot_client *c, int r, void *userdata)
{
	struct seen *seen = userdata;

	seen->ends++;
	seen->r = r;
}

static void on_lease(struct slot_client *c, int r, struct slot_lease *lease, void *userdata)
{
	struct seen *seen = userdata;

	seen->ends++;
	seen->r = r;
	seen->lease = lease;
}

/* a loop as anybody would write it; returns how often it turned */
static int run_loop(void)
{
	int turns = 0;

	while (slot_client_is_busy(client)) {
		struct pollfd p = { .fd = slot_client_fd(client),
				    .events = (short)slot_client_events(client) };
		uint64_t usec = slot_client_timeout_usec(client);

		poll(&p, 1, usec == UINT64_MAX ? -1 : (int)((usec + 999) / 1000));
		cr_assert(eq(int, slot_client_process(client), 0));
		turns++;
	}
	return turns;
}

Test(loop, a_call_in_a_callers_loop_turns_it_only_when_something_happens)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },     { PEER_READ }, { PEER_PAUSE, NULL, 100 },
		{ PEER_SEND, "{}" }, { PEER_END },
	};
	struct seen seen = { 0 };
	int turns;

	fixture_start(steps);
	cr_assert(eq(int, slot_call_async(client, "Ping", NULL, false, on_reply, &seen), 0));
	cr_expect(eq(int, seen.ends, 0));
	turns = run_loop();
	cr_expect(eq(int, seen.ends, 1));
	cr_expect(eq(int, seen.r, 0));
	cr_expect(le(int, turns, 4));
	cr_assert(peer_finish(&peer));
}

Test(loop, the_descriptor_is_the_same_across_a_restart)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_UNLISTEN },
		{ PEER_CLOSE },
		{ PEER_PAUSE, NULL, 50 },
		{ PEER_LISTEN },
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, LEASE_REPLY },
		{ PEER_END },
	};
	_cleanup_(slot_request_freep) struct slot_request *request = NULL;
	struct seen seen = { 0 };
	int fd;

	fixture_start(steps);
	fd = slot_client_fd(client);
	cr_assert(eq(int, slot_request_new(&request), 0));
	cr_assert(eq(int, slot_acquire_async(client, request, on_lease, &seen), 0));
	run_loop();
	cr_expect(eq(int, seen.ends, 1));
	cr_assert(eq(int, seen.r, 0));
	cr_expect(eq(u64, slot_lease_token(seen.lease), 7));
	cr_expect(eq(int, slot_client_fd(client), fd));
	slot_lease_free(seen.lease);
	cr_assert(peer_finish(&peer));
}

Test(loop, a_call_of_many_bytes_is_written_as_the_peer_reads)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_PAUSE, NULL, 30 }, { PEER_READ }, { PEER_SEND, "{}" },
		{ PEER_END },
	};
	static char params[60 * 1024];
	struct seen seen = { 0 };

	fixture_start(steps);
	memset(params, 'x', sizeof(params) - 1);
	memcpy(params, "{\"a\":\"", 6);
	memcpy(params + sizeof(params) - 3, "\"}", 2);
	cr_assert(eq(int, slot_call_async(client, "Ping", params, false, on_reply, &seen), 0));
	run_loop();
	cr_expect(eq(int, seen.r, 0));
	cr_assert(peer_finish(&peer));
}

Test(loop, failures_come_by_the_callback_and_not_before_process)
{
	struct seen seen = { 0 };

	peer_prepare(&peer);
	cr_assert(eq(int, slot_client_new(peer.path, &client), 0));
	cr_assert(eq(int, slot_call_async(client, "Ping", NULL, false, on_reply, &seen), 0));
	cr_expect(eq(int, seen.ends, 0));
	run_loop();
	cr_expect(eq(int, seen.ends, 1));
	cr_expect(eq(int, seen.r, -ENOENT));
}

Test(loop, one_call_at_a_time)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, "{}" },
		{ PEER_END },
	};
	struct seen seen = { 0 }, other = { 0 };

	fixture_start(steps);
	cr_assert(eq(int, slot_call_async(client, "Ping", NULL, false, on_reply, &seen), 0));
	cr_expect(
		eq(int, slot_call_async(client, "Ping", NULL, false, on_reply, &other), -EALREADY));
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), -EALREADY));
	cr_assert(eq(int, slot_wait(client, UINT64_MAX), 0));
	cr_expect(eq(int, seen.ends, 1));
	cr_expect(eq(int, other.ends, 0));
}

Test(loop, waiting_stops_at_its_own_time_and_can_go_on)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },     { PEER_READ }, { PEER_PAUSE, NULL, 150 },
		{ PEER_SEND, "{}" }, { PEER_END },
	};
	struct seen seen = { 0 };

	fixture_start(steps);
	cr_assert(eq(int, slot_call_async(client, "Ping", NULL, false, on_reply, &seen), 0));
	cr_expect(eq(int, slot_wait(client, 10 * MS), -ETIMEDOUT));
	cr_expect(slot_client_is_busy(client));
	cr_expect(eq(int, slot_wait(client, UINT64_MAX), 0));
	cr_expect(eq(int, seen.ends, 1));
	cr_expect(eq(int, seen.r, 0));
	cr_expect(eq(int, slot_wait(client, 0), 0));
}

/* ---- streams ---- */

#define ITEM(n) "{\"continues\":true,\"parameters\":{\"n\":" #n "}}"

static const struct peer_step stream_steps[] = {
	{ PEER_ACCEPT },
	{ PEER_READ },
	{ PEER_SEND, ITEM(1) },
	{ PEER_SEND, ITEM(2) },
	{ PEER_PAUSE, NULL, 20 },
	{ PEER_SEND, ITEM(3) },
	{ PEER_SEND, "{\"parameters\":{\"n\":4}}" },
	{ PEER_END },
};

Test(loop, a_stream_is_told_item_by_item)
{
	struct seen seen = { 0 };
	_cleanup_json_ json_object *message = NULL;

	fixture_start(stream_steps);
	cr_assert(eq(int, slot_call_more(client, "Events", NULL, on_reply, &seen), 0));
	cr_expect(eq(int, seen.replies, 4));
	cr_expect(eq(int, seen.ends, 1));
	cr_expect(eq(str, seen.last, (char *)"{\"n\":4}"));
	cr_assert(peer_finish(&peer));
	message = peer_call(&peer, 0);
	cr_expect(json_get_bool(message, "more", false));
}

Test(loop, a_callback_can_end_a_stream_and_closes_it)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ }, { PEER_SEND, ITEM(1) }, { PEER_AWAIT_END },
		{ PEER_ACCEPT }, { PEER_READ }, { PEER_SEND, "{}" },	{ PEER_END },
	};
	struct seen seen = { .stop_after = 1 };

	fixture_start(steps);
	cr_expect(eq(int, slot_call_more(client, "Events", NULL, on_reply, &seen), -EXFULL));
	cr_expect(eq(int, seen.replies, 1));
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), 0));
	cr_assert(peer_finish(&peer));
}

Test(loop, a_stream_that_breaks_after_an_item_is_not_begun_again)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ }, { PEER_SEND, ITEM(1) },
		{ PEER_CLOSE },	 { PEER_END },
	};
	struct seen seen = { 0 };

	fixture_start(steps);
	cr_expect(eq(int, slot_call_more(client, "Events", NULL, on_reply, &seen), -ECONNRESET));
	cr_expect(eq(int, seen.replies, 1));
	cr_assert(peer_finish(&peer));
}

Test(loop, a_stream_that_breaks_before_is_begun_again)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ },		 { PEER_CLOSE },      { PEER_ACCEPT },
		{ PEER_READ },	 { PEER_SEND, ITEM(1) }, { PEER_SEND, "{}" }, { PEER_END },
	};
	struct seen seen = { 0 };

	fixture_start(steps);
	cr_expect(eq(int, slot_call_more(client, "Events", NULL, on_reply, &seen), 0));
	cr_expect(eq(int, seen.replies, 2));
	cr_assert(peer_finish(&peer));
}

static int call_inside(struct slot_client *c, int r, const char *reply_json, bool continues,
		       void *userdata)
{
	struct seen *seen = userdata;

	seen->replies++;
	if (continues) {
		cr_expect(eq(int, slot_call(c, "Ping", NULL, NULL), -EALREADY));
		cr_expect(eq(int, slot_wait(c, 0), -EINVAL));
		cr_expect(eq(int, slot_client_process(c), 0));
		return 0;
	}
	cr_expect(eq(int, slot_call_async(c, "Ping", NULL, false, on_reply, seen), 0));
	/* the reply outlives the call that was just made */
	cr_expect(eq(str, (char *)reply_json, (char *)"{\"n\":2}"));
	return 0;
}

Test(loop, the_next_call_can_be_made_from_the_last_reply_but_not_from_within_a_stream)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },	{ PEER_READ },
		{ PEER_SEND, ITEM(1) }, { PEER_SEND, "{\"parameters\":{\"n\":2}}" },
		{ PEER_READ },		{ PEER_SEND, "{\"parameters\":{\"n\":9}}" },
		{ PEER_END },
	};
	struct seen seen = { 0 };

	fixture_start(steps);
	cr_assert(eq(int, slot_call_async(client, "Events", NULL, true, call_inside, &seen), 0));
	run_loop();
	cr_expect(eq(int, seen.replies, 3));
	cr_expect(eq(str, seen.last, (char *)"{\"n\":9}"));
	cr_assert(peer_finish(&peer));
}

static int drop_client(struct slot_client *c, int r, const char *reply_json, bool continues,
		       void *userdata)
{
	int *calls = userdata;

	(*calls)++;
	slot_client_unref(TAKE(client));
	return 0;
}

Test(loop, a_callback_may_drop_the_last_reference)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },    { PEER_READ }, { PEER_SEND, ITEM(1) },
		{ PEER_AWAIT_END }, { PEER_END },
	};
	struct slot_client *borrowed;
	int calls = 0;

	fixture_start(steps);
	borrowed = client;
	cr_assert(eq(int, slot_call_async(client, "Events", NULL, true, drop_client, &calls), 0));
	cr_expect(eq(int, slot_wait(borrowed, 0), -ETIMEDOUT));
	while (client) {
		struct pollfd p = { .fd = slot_client_fd(client), .events = POLLIN };

		poll(&p, 1, -1);
		cr_assert(eq(int, slot_client_process(client), 0));
	}
	cr_expect(eq(int, calls, 1));
	cr_assert(peer_finish(&peer));
}

/* ---- leases ---- */

static struct slot_lease *get_lease(void)
{
	_cleanup_(slot_request_freep) struct slot_request *request = NULL;
	struct slot_lease *lease = NULL;

	cr_assert(eq(int, slot_request_new(&request), 0));
	cr_assert(eq(int, slot_acquire(client, request, &lease), 0));
	return lease;
}

Test(loop, a_lease_may_be_freed_while_it_is_being_renewed)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, LEASE_REPLY },
		{ PEER_READ },
		{ PEER_SEND, "{\"parameters\":{\"expiresAtUsec\":5}}" },
		{ PEER_END },
	};
	struct seen seen = { 0 };
	struct slot_lease *lease;

	fixture_start(steps);
	lease = get_lease();
	cr_assert(eq(int, slot_renew_async(client, lease, 5, NULL, on_done, &seen), 0));
	slot_lease_free(lease);
	run_loop();
	cr_expect(eq(int, seen.ends, 1));
	cr_expect(eq(int, seen.r, 0));
}

Test(loop, client_and_lease_may_go_while_a_renewal_is_under_way)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, LEASE_REPLY },
		{ PEER_END },
	};
	struct seen seen = { 0 };
	struct slot_lease *lease;

	fixture_start(steps);
	lease = get_lease();
	cr_assert(eq(int, slot_renew_async(client, lease, 5, NULL, on_done, &seen), 0));
	slot_client_unref(TAKE(client));
	slot_lease_free(lease);
	cr_expect(eq(int, seen.ends, 0));
}

Test(loop, a_scope_ends_by_a_second_connection_while_a_call_is_under_way)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ }, { PEER_SEND, LEASE_REPLY },
		{ PEER_ACCEPT }, { PEER_READ }, { PEER_SEND, RELEASE_REPLY },
		{ PEER_END },
	};
	_cleanup_json_ json_object *message = NULL;
	struct seen seen = { 0 };
	struct slot_lease *lease;

	fixture_start(steps);
	lease = get_lease();
	cr_assert(eq(int, slot_call_async(client, "PoolFetch", NULL, false, on_reply, &seen), 0));
	slot_lease_releasep(&lease);
	cr_expect(eq(int, seen.ends, 0));
	cr_expect(slot_client_is_busy(client));
	cr_assert(peer_finish(&peer));
	message = peer_call(&peer, 1);
	cr_expect(eq(str, (char *)json_get_string(message, "method"),
		     (char *)"io.slotd.pool.Release"));
}

Test(loop, an_idle_client_notices_that_the_daemon_left_and_does_not_spin)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ }, { PEER_SEND, "{}" }, { PEER_CLOSE }, { PEER_END },
	};
	struct pollfd p;

	fixture_start(steps);
	cr_assert(eq(int, slot_call(client, "Ping", NULL, NULL), 0));
	cr_assert(peer_finish(&peer));
	p = (struct pollfd){ .fd = slot_client_fd(client), .events = POLLIN };
	cr_assert(eq(int, poll(&p, 1, 5000), 1));
	cr_assert(eq(int, slot_client_process(client), 0));
	cr_expect(eq(int, poll(&p, 1, 0), 0));
	cr_expect(eq(int, slot_client_events(client), 0));
	cr_expect(eq(u64, slot_client_timeout_usec(client), UINT64_MAX));
}
