/* Blocking calls, and what happens to them when the daemon does not behave. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer.h"
#include "replies.h"
#include "slotd/slot.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/json.h"

static struct peer peer;
static struct slot_client *client;

/* quick retries, so that a test that fails does so soon */
static void open_client(void)
{
	cr_assert(eq(int, slot_client_new(peer.path, &client), 0));
	cr_assert(eq(int, slot_client_set_retry(client, 10000 * MS, 0, 5 * MS, 50 * MS), 0));
}

static void start(const struct peer_step *steps)
{
	peer_start(&peer, steps);
	open_client();
}

static void stop(void)
{
	slot_client_unref(TAKE(client));
	if (peer.directory[0])
		peer_remove(&peer);
}

TestSuite(client, .fini = stop, .timeout = 60);

static int acquire(struct slot_lease **ret)
{
	_cleanup_(slot_request_freep) struct slot_request *request = NULL;

	cr_assert(eq(int, slot_request_new(&request), 0));
	slot_request_set_pool(request, "api");
	return slot_acquire(client, request, ret);
}

static void expect_called(size_t i, const char *method, const char *key, const char *value)
{
	_cleanup_json_ json_object *message = peer_call(&peer, i);
	json_object *params = json_get_object(message, "parameters");

	cr_assert(ne(ptr, message, NULL));
	cr_expect(eq(str, (char *)json_get_string(message, "method"), (char *)method));
	if (key)
		cr_expect(eq(str, (char *)json_get_string(params, key), (char *)value));
}

static char *sent_key(size_t i)
{
	_cleanup_json_ json_object *message = peer_call(&peer, i);
	const char *key = json_get_string(json_get_object(message, "parameters"), "key");

	return key ? strdup(key) : NULL;
}

/* ---- a day like any other ---- */

Test(client, acquires_renews_and_releases)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, LEASE_REPLY },
		{ PEER_READ },
		{ PEER_SEND, "{\"parameters\":{\"lease\":\"" LEASE_ID "\",\"token\":7,"
			     "\"expiresAtUsec\":null,\"renewals\":1,\"sequence\":2}}" },
		{ PEER_READ },
		{ PEER_SEND, RELEASE_REPLY },
		{ PEER_AWAIT_END },
		{ PEER_END },
	};
	_cleanup_(slot_lease_freep) struct slot_lease *lease = NULL;

	start(steps);
	cr_assert(eq(int, acquire(&lease), 0));
	cr_expect(eq(u64, slot_lease_token(lease), 7));
	cr_assert(eq(int, slot_renew(client, lease, 40, "half way"), 0));
	cr_assert(eq(int, slot_release(client, lease, SLOT_RELEASE_DISCARD), 0));
	cr_expect(strstr(slot_client_reply_json(client), "\"state\":\"ready\"") != NULL);
	cr_expect(not(slot_lease_is_held(lease)));
	slot_lease_free(TAKE(lease));
	slot_client_unref(TAKE(client));

	cr_assert(peer_finish(&peer));
	expect_called(0, "io.slotd.pool.Acquire", "pool", "api");
	expect_called(1, "io.slotd.pool.Renew", "message", "half way");
	expect_called(2, "io.slotd.pool.Release", "lease", LEASE_ID);
}

Test(client, a_lease_in_a_scope_is_released_at_its_end_and_hides_no_error)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, LEASE_REPLY },
		{ PEER_READ },
		{ PEER_SEND, ERROR_REPLY("NotPermitted", "not you") },
		{ PEER_READ },
		{ PEER_SEND, RELEASE_REPLY },
		{ PEER_AWAIT_END },
		{ PEER_END },
	};

	start(steps);
	{
		_cleanup_(slot_lease_releasep) struct slot_lease *lease = NULL;

		cr_assert(eq(int, acquire(&lease), 0));
		cr_expect(eq(int, slot_call(client, "PoolPause", "{\"pool\":\"api\"}", NULL),
			     -EACCES));
	}
	cr_expect(eq(str, (char *)slot_client_error_message(client), (char *)"not you"));
	slot_client_unref(TAKE(client));
	cr_assert(peer_finish(&peer));
	expect_called(2, "io.slotd.pool.Release", "lease", LEASE_ID);
}

Test(client, an_error_of_the_daemon_has_errno_name_message_and_parameters)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, "{\"error\":\"io.slotd.pool.Busy\",\"parameters\":"
			     "{\"message\":\"all are leased\",\"retryAfterUsec\":5}}" },
		{ PEER_READ },
		{ PEER_SEND, "{\"error\":\"io.slotd.pool.Busy\"}" },
		{ PEER_READ },
		{ PEER_SEND, "{}" },
		{ PEER_END },
	};
	struct slot_lease *lease = NULL;

	start(steps);
	cr_assert(eq(int, acquire(&lease), -EBUSY));
	cr_expect(eq(ptr, lease, NULL));
	cr_expect(eq(str, (char *)slot_client_error_name(client), (char *)"io.slotd.pool.Busy"));
	cr_expect(eq(str, (char *)slot_client_error_message(client), (char *)"all are leased"));
	cr_expect(strstr(slot_client_error_parameters_json(client), "\"retryAfterUsec\":5") !=
		  NULL);
	cr_expect(eq(ptr, (void *)slot_client_reply_json(client), NULL));

	cr_assert(eq(int, acquire(&lease), -EBUSY));
	cr_expect(eq(str, (char *)slot_client_error_message(client), (char *)"io.slotd.pool.Busy"));

	cr_assert(eq(int, slot_call(client, "Ping", NULL, NULL), 0));
	cr_expect(eq(ptr, (void *)slot_client_error_name(client), NULL));
	cr_expect(eq(str, (char *)slot_client_error_message(client), (char *)""));
	cr_expect(eq(str, (char *)slot_client_reply_json(client), (char *)"{}"));
}

Test(client, a_renewal_that_meets_a_gone_lease_says_so)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, LEASE_REPLY },
		{ PEER_READ },
		{ PEER_SEND, ERROR_REPLY("LeaseGone", "expired") },
		{ PEER_END },
	};
	_cleanup_(slot_lease_freep) struct slot_lease *lease = NULL;

	start(steps);
	cr_assert(eq(int, acquire(&lease), 0));
	cr_expect(eq(int, slot_touch(client, lease), -ESTALE));
	cr_expect(not(slot_lease_is_held(lease)));
	cr_expect(eq(u64, slot_lease_valid_until_usec(lease), 0));
}

Test(client, a_first_release_of_a_gone_lease_is_no_success)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, LEASE_REPLY },
		{ PEER_READ },
		{ PEER_SEND, ERROR_REPLY("LeaseGone", "expired") },
		{ PEER_END },
	};
	_cleanup_(slot_lease_freep) struct slot_lease *lease = NULL;

	start(steps);
	cr_assert(eq(int, acquire(&lease), 0));
	cr_expect(eq(int, slot_release(client, lease, 0), -ESTALE));
	cr_expect(not(slot_lease_is_held(lease)));
}

/* ---- no daemon ---- */

Test(client, a_missing_socket_is_an_error_at_once)
{
	uint64_t begin;

	peer_prepare(&peer);
	open_client();
	begin = clock_boot_usec();
	cr_expect(eq(int, slot_client_connect(client), -ENOENT));
	cr_expect(lt(u64, clock_boot_usec() - begin, 5000 * MS));
	cr_expect(eq(ptr, (void *)slot_client_error_name(client), NULL));
	cr_expect(strstr(slot_client_error_message(client), peer.path) != NULL);
}

Test(client, a_socket_without_listener_is_refused_at_once)
{
	static const struct peer_step steps[] = { { PEER_REFUSE }, { PEER_END } };

	start(steps);
	cr_assert(peer_finish(&peer));
	cr_expect(eq(int, slot_client_connect(client), -ECONNREFUSED));
}

Test(client, connect_without_a_daemon_leaves_ret_alone)
{
	struct slot_client *none = NULL;

	peer_prepare(&peer);
	cr_expect(eq(int, slot_connect(peer.path, &none), -ENOENT));
	cr_expect(eq(ptr, none, NULL));
}

Test(client, waits_for_a_daemon_that_is_being_started_when_asked)
{
	static const struct peer_step steps[] = {
		{ PEER_UNLISTEN }, { PEER_PAUSE, NULL, 100 }, { PEER_LISTEN }, { PEER_ACCEPT },
		{ PEER_READ },	   { PEER_SEND, "{}" },	      { PEER_END },
	};

	start(steps);
	slot_client_set_await_daemon(client, true);
	cr_assert(eq(int, slot_client_connect(client), 0));
	cr_assert(eq(int, slot_call(client, "Ping", NULL, NULL), 0));
	cr_assert(peer_finish(&peer));
}

Test(client, an_outage_ends_at_its_deadline)
{
	uint64_t begin, took;

	peer_prepare(&peer);
	open_client();
	slot_client_set_await_daemon(client, true);
	cr_assert(eq(int, slot_client_set_retry(client, 200 * MS, 0, 5 * MS, 1000 * MS), 0));
	begin = clock_boot_usec();
	cr_expect(eq(int, slot_client_connect(client), -ENOENT));
	took = clock_boot_usec() - begin;
	cr_expect(ge(u64, took, 200 * MS));
	cr_expect(lt(u64, took, 5000 * MS));
}

Test(client, retry_settings_that_make_no_sense_are_refused)
{
	peer_prepare(&peer);
	open_client();
	cr_expect(eq(int, slot_client_set_retry(client, 1, 0, 0, 5), -EINVAL));
	cr_expect(eq(int, slot_client_set_retry(client, 1, 0, 6, 5), -EINVAL));
}

/* ---- restarts ---- */

Test(client, an_acquire_across_two_restarts_keeps_its_key)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_UNLISTEN },
		{ PEER_CLOSE },
		{ PEER_PAUSE, NULL, 60 },
		{ PEER_LISTEN },
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND_PART, "{\"parameters\":{\"lea" },
		{ PEER_REFUSE },
		{ PEER_CLOSE },
		{ PEER_PAUSE, NULL, 60 },
		{ PEER_LISTEN },
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, LEASE_REPLY },
		{ PEER_END },
	};
	_cleanup_(slot_lease_freep) struct slot_lease *lease = NULL;
	_cleanup_(freep) char *first = NULL, *second = NULL, *third = NULL;

	start(steps);
	cr_assert(eq(int, acquire(&lease), 0));
	cr_assert(peer_finish(&peer));
	first = sent_key(0);
	second = sent_key(1);
	third = sent_key(2);
	cr_assert(ne(ptr, first, NULL));
	cr_expect(eq(sz, strlen(first), 32));
	cr_expect(eq(str, second, first));
	cr_expect(eq(str, third, first));
}

Test(client, two_acquires_of_one_request_have_two_keys)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, ERROR_REPLY("Busy", "b") },
		{ PEER_READ },
		{ PEER_SEND, ERROR_REPLY("Busy", "b") },
		{ PEER_END },
	};
	_cleanup_(slot_request_freep) struct slot_request *request = NULL;
	_cleanup_(freep) char *first = NULL, *second = NULL;
	struct slot_lease *lease = NULL;

	start(steps);
	cr_assert(eq(int, slot_request_new(&request), 0));
	cr_assert(eq(int, slot_acquire(client, request, &lease), -EBUSY));
	cr_assert(eq(int, slot_acquire(client, request, &lease), -EBUSY));
	cr_assert(peer_finish(&peer));
	first = sent_key(0);
	second = sent_key(1);
	cr_expect(ne(str, first, second));
}

Test(client, a_repeated_acquire_waits_only_for_what_is_left)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ }, { PEER_PAUSE, NULL, 50 },   { PEER_CLOSE },
		{ PEER_ACCEPT }, { PEER_READ }, { PEER_SEND, LEASE_REPLY }, { PEER_END },
	};
	_cleanup_(slot_request_freep) struct slot_request *request = NULL;
	_cleanup_(slot_lease_freep) struct slot_lease *lease = NULL;
	int64_t waits[2];

	start(steps);
	cr_assert(eq(int, slot_request_new(&request), 0));
	slot_request_set_wait_usec(request, 20000 * MS);
	cr_assert(eq(int, slot_acquire(client, request, &lease), 0));
	cr_assert(peer_finish(&peer));
	for (size_t i = 0; i < 2; i++) {
		_cleanup_json_ json_object *message = peer_call(&peer, i);

		waits[i] = json_get_int(json_get_object(message, "parameters"), "waitUsec", -1);
	}
	cr_expect(le(i64, waits[0], (int64_t)(20000 * MS)));
	cr_expect(le(i64, waits[1], waits[0] - (int64_t)(50 * MS)));
	cr_expect(gt(i64, waits[1], 0));
}

Test(client, a_daemon_that_says_it_is_stopping_is_asked_again)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ }, { PEER_SEND, ERROR_REPLY("ShuttingDown", "bye") },
		{ PEER_ACCEPT }, { PEER_READ }, { PEER_SEND, "{\"parameters\":{\"slot\":{}}}" },
		{ PEER_END },
	};

	start(steps);
	/* not one that may be done twice: but nothing was changed */
	cr_assert(eq(int, slot_call(client, "SlotAdd", "{\"pool\":\"api\"}", NULL), 0));
	cr_assert(peer_finish(&peer));
}

Test(client, a_daemon_that_stays_in_its_shutdown_is_an_error_with_its_name)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, ERROR_REPLY("ShuttingDown", "bye") },
		{ PEER_AWAIT_END },
		{ PEER_END },
	};

	start(steps);
	cr_assert(eq(int, slot_client_set_retry(client, 0, 0, 5 * MS, 50 * MS), 0));
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), -ESHUTDOWN));
	cr_expect(eq(str, (char *)slot_client_error_message(client), (char *)"bye"));
	cr_assert(peer_finish(&peer));
}

Test(client, an_idle_connection_that_was_closed_goes_unnoticed)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ },	      { PEER_SEND, "{}" }, { PEER_ACCEPT },
		{ PEER_READ },	 { PEER_SEND, "{}" }, { PEER_END },
	};

	start(steps);
	cr_assert(eq(int, slot_call(client, "SlotAdd", "{\"pool\":\"api\"}", NULL), 0));
	/* PEER_ACCEPT has closed, or closes while the call is on its way: only a call that
	 * may be repeated is sure to come through */
	cr_assert(eq(int, slot_call(client, "Ping", NULL, NULL), 0));
	cr_assert(peer_finish(&peer));
}

Test(client, a_call_that_changes_something_is_not_sent_twice)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_CLOSE },
		{ PEER_END },
	};

	start(steps);
	cr_expect(eq(int, slot_call(client, "PoolAdd", "{\"pool\":\"api\"}", NULL), -ECONNRESET));
	cr_expect(eq(ptr, (void *)slot_client_error_name(client), NULL));
	cr_assert(peer_finish(&peer));
}

Test(client, a_repeated_release_that_finds_the_lease_gone_has_succeeded)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, LEASE_REPLY },
		{ PEER_READ },
		{ PEER_CLOSE },
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, ERROR_REPLY("LeaseGone", "released") },
		{ PEER_END },
	};
	_cleanup_(slot_lease_freep) struct slot_lease *lease = NULL;

	start(steps);
	cr_assert(eq(int, acquire(&lease), 0));
	cr_expect(eq(int, slot_release(client, lease, 0), 0));
	cr_expect(not(slot_lease_is_held(lease)));
	cr_expect(eq(str, (char *)slot_client_reply_json(client),
		     (char *)"{\"lease\":\"" LEASE_ID "\"}"));
	cr_expect(eq(ptr, (void *)slot_client_error_name(client), NULL));
	cr_assert(peer_finish(&peer));
}

Test(client, a_repeated_renewal_that_finds_the_lease_gone_has_not)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, LEASE_REPLY },
		{ PEER_READ },
		{ PEER_CLOSE },
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, ERROR_REPLY("LeaseGone", "expired") },
		{ PEER_END },
	};
	_cleanup_(slot_lease_freep) struct slot_lease *lease = NULL;

	start(steps);
	cr_assert(eq(int, acquire(&lease), 0));
	cr_expect(eq(int, slot_renew(client, lease, -1, NULL), -ESTALE));
	cr_assert(peer_finish(&peer));
}

Test(client, attempts_are_limited_when_told)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ },	  { PEER_CLOSE }, { PEER_ACCEPT }, { PEER_READ },
		{ PEER_CLOSE },	 { PEER_ACCEPT }, { PEER_READ },  { PEER_CLOSE },  { PEER_END },
	};

	start(steps);
	cr_assert(eq(int, slot_client_set_retry(client, 20000 * MS, 2, 1 * MS, 1000 * MS), 0));
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), -ECONNRESET));
	cr_assert(peer_finish(&peer));
}

Test(client, a_refusal_that_comes_before_the_call_is_heard)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_SEND, ERROR_REPLY("LimitReached", "too many connections") },
		{ PEER_CLOSE },
		{ PEER_END },
	};

	start(steps);
	cr_assert(eq(int, slot_client_connect(client), 0));
	cr_assert(eq(int, slot_client_set_retry(client, 0, 0, 5 * MS, 50 * MS), 0));
	cr_assert(peer_finish(&peer));
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), -ECONNREFUSED));
}

/* ---- replies that are none ---- */

static void expect_broken_reply(const struct peer_step *steps, int r)
{
	start(steps);
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), r));
	cr_expect(eq(ptr, (void *)slot_client_error_name(client), NULL));
	cr_expect(ne(chr, slot_client_error_message(client)[0], '\0'));
	cr_assert(peer_finish(&peer));
}

Test(client, a_reply_that_is_not_json_is_an_error)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },    { PEER_READ }, { PEER_SEND, "{nonsense" },
		{ PEER_AWAIT_END }, { PEER_END },
	};

	expect_broken_reply(steps, -EPROTO);
}

Test(client, a_reply_with_odd_types_is_an_error)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },    { PEER_READ }, { PEER_SEND, "{\"parameters\":[1]}" },
		{ PEER_AWAIT_END }, { PEER_END },
	};

	expect_broken_reply(steps, -EPROTO);
}

Test(client, an_error_without_a_name_is_an_error_on_this_side)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },    { PEER_READ }, { PEER_SEND, "{\"error\":5}" },
		{ PEER_AWAIT_END }, { PEER_END },
	};

	expect_broken_reply(steps, -EPROTO);
}

Test(client, a_stream_that_nobody_asked_for_is_an_error)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },    { PEER_READ }, { PEER_SEND, "{\"continues\":true}" },
		{ PEER_AWAIT_END }, { PEER_END },
	};

	expect_broken_reply(steps, -EPROTO);
}

Test(client, a_reply_without_end_is_an_error)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_FLOOD, NULL, 40 },
		{ PEER_END },
	};

	expect_broken_reply(steps, -EMSGSIZE);
}

Test(client, a_lease_without_a_path_is_an_error)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, "{\"parameters\":{\"lease\":\"" LEASE_ID "\"}}" },
		{ PEER_END },
	};
	struct slot_lease *lease = NULL;

	start(steps);
	cr_expect(eq(int, acquire(&lease), -EPROTO));
	cr_expect(eq(ptr, lease, NULL));
	cr_expect(strstr(slot_client_error_message(client), "\"slot\"") != NULL);
}

Test(client, a_reply_in_pieces_is_put_together)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND_PART, "{\"parameters\":{\"a" },
		{ PEER_PAUSE, NULL, 20 },
		{ PEER_SEND_PART, "\":\"\xc3" },
		{ PEER_PAUSE, NULL, 20 },
		{ PEER_SEND, "\xa9\"}}" },
		{ PEER_END },
	};
	_cleanup_(freep) char *reply = NULL;

	start(steps);
	cr_assert(eq(int, slot_call(client, "Ping", NULL, &reply), 0));
	cr_expect(eq(str, reply, (char *)"{\"a\":\"\xc3\xa9\"}"));
}

/* ---- requests that are none ---- */

Test(client, parameters_that_are_no_object_are_refused)
{
	static const char *const bad[] = { "", "[]", "{", "{}x", "5", "{\"a\":\"\xff\"}", "null" };
	char *reply = NULL;

	peer_prepare(&peer);
	open_client();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect(eq(int, slot_call(client, "Ping", bad[i], &reply), -EINVAL), "%s",
			  bad[i]);
	cr_expect(eq(int, slot_call(client, "P\xff", NULL, &reply), -EINVAL));
	cr_expect(eq(ptr, reply, NULL));
}

Test(client, a_call_that_is_too_long_is_refused_and_the_connection_stays)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, "{}" },
		{ PEER_END },
	};
	static char longest[80 * 1024];

	start(steps);
	memset(longest, 'x', sizeof(longest) - 1);
	memcpy(longest, "{\"a\":\"", 6);
	memcpy(longest + sizeof(longest) - 3, "\"}", 2);
	cr_expect(eq(int, slot_call(client, "Ping", longest, NULL), -EMSGSIZE));
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), 0));
	cr_assert(peer_finish(&peer));
}

Test(client, arguments_out_of_range_are_refused_before_anything_is_sent)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },    { PEER_READ }, { PEER_SEND, LEASE_REPLY },
		{ PEER_AWAIT_END }, { PEER_END },
	};
	_cleanup_(slot_request_freep) struct slot_request *request = NULL;
	_cleanup_(slot_lease_freep) struct slot_lease *lease = NULL;
	struct slot_lease *none = NULL;

	start(steps);
	cr_assert(eq(int, acquire(&lease), 0));
	cr_expect(eq(int, slot_renew(client, lease, 101, NULL), -EINVAL));
	cr_expect(eq(int, slot_renew(client, lease, -2, NULL), -EINVAL));
	cr_expect(eq(int, slot_renew(client, lease, 5, "\xff"), -EINVAL));
	cr_expect(eq(int, slot_renew(client, NULL, 5, NULL), -EINVAL));
	cr_expect(eq(int, slot_release(client, lease, 1 << 9), -EINVAL));
	cr_expect(eq(int, slot_finish(client, lease, "done", NULL, SLOT_RELEASE_FORCE), -EINVAL));
	cr_expect(eq(int, slot_call(NULL, "Ping", NULL, NULL), -EINVAL));
	cr_assert(eq(int, slot_request_new(&request), 0));
	cr_expect(eq(int, slot_request_set_agent(request, "\xff"), -EINVAL));
	cr_expect(eq(int, slot_acquire(client, request, &none), -EINVAL));
	cr_expect(strstr(slot_client_error_message(client), "agent") != NULL);
	slot_lease_free(TAKE(lease));
	slot_client_unref(TAKE(client));
	cr_assert(peer_finish(&peer));
}

/* ---- time ---- */

Test(client, an_answer_that_does_not_come_is_a_timeout_and_ends_the_connection)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ }, { PEER_AWAIT_END },
		{ PEER_ACCEPT }, { PEER_READ }, { PEER_SEND, "{\"parameters\":{\"second\":true}}" },
		{ PEER_END },
	};
	_cleanup_(freep) char *reply = NULL;

	start(steps);
	slot_client_set_timeout(client, 50 * MS);
	cr_expect(eq(int, slot_call(client, "Ping", NULL, &reply), -ETIMEDOUT));
	slot_client_set_timeout(client, 10000 * MS);
	cr_expect(eq(int, slot_call(client, "Ping", NULL, &reply), 0));
	cr_expect(eq(str, reply, (char *)"{\"second\":true}"));
	cr_assert(peer_finish(&peer));
}

Test(client, an_acquire_waits_longer_than_other_calls)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_PAUSE, NULL, 200 },
		{ PEER_SEND, LEASE_REPLY },
		{ PEER_END },
	};
	_cleanup_(slot_request_freep) struct slot_request *request = NULL;
	_cleanup_(slot_lease_freep) struct slot_lease *lease = NULL;

	start(steps);
	slot_client_set_timeout(client, 10 * MS);
	cr_assert(eq(int, slot_request_new(&request), 0));
	slot_request_set_wait_usec(request, 20000 * MS);
	cr_assert(eq(int, slot_acquire(client, request, &lease), 0));
}

/* ---- signals, threads, processes ---- */

static void cancel_on_signal(int signal)
{
	slot_client_cancel(client);
}

static void do_nothing(int signal)
{
}

static void on_usr1(void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler };

	sigaction(SIGUSR1, &action, NULL);
}

Test(client, a_signal_handler_can_end_a_waiting_acquire)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ },	     { PEER_PAUSE, NULL, 30 },
		{ PEER_KICK },	 { PEER_AWAIT_END }, { PEER_END },
	};
	struct slot_lease *lease = NULL;

	on_usr1(cancel_on_signal);
	start(steps);
	cr_expect(eq(int, acquire(&lease), -ECANCELED));
	cr_assert(peer_finish(&peer));
}

Test(client, any_other_signal_does_not_disturb)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_PAUSE, NULL, 30 },
		{ PEER_KICK },
		{ PEER_PAUSE, NULL, 30 },
		{ PEER_SEND, "{}" },
		{ PEER_END },
	};

	on_usr1(do_nothing);
	start(steps);
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), 0));
	cr_assert(peer_finish(&peer));
}

Test(client, a_cancel_before_the_call_ends_it_and_only_that_one)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ },	      { PEER_SEND, "{}" },
		{ PEER_READ },	 { PEER_SEND, "{}" }, { PEER_END },
	};

	start(steps);
	slot_client_cancel(client);
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), -ECANCELED));
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), 0));
	slot_client_cancel(client);
	slot_client_clear_cancel(client);
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), 0));
	cr_assert(peer_finish(&peer));
}

static void *cancel_from_thread(void *unused)
{
	usleep(20000);
	slot_client_cancel(client);
	return NULL;
}

Test(client, another_thread_can_end_a_call_between_two_attempts)
{
	pthread_t thread;

	peer_prepare(&peer);
	open_client();
	slot_client_set_await_daemon(client, true);
	cr_assert(eq(int, pthread_create(&thread, NULL, cancel_from_thread, NULL), 0));
	cr_expect(eq(int, slot_client_connect(client), -ECANCELED));
	pthread_join(thread, NULL);
}

/* 0 when everything in the child is as slot.h says, else the number of what is not */
static int use_in_child(struct slot_lease *lease)
{
	if (slot_call(client, "Ping", NULL, NULL) != -ECHILD)
		return 1;
	if (slot_renew(client, lease, 1, NULL) != -ECHILD)
		return 2;
	if (slot_client_fd(client) != -ECHILD || slot_client_process(client) != -ECHILD)
		return 3;
	slot_client_cancel(client);
	slot_lease_releasep(&lease);
	slot_client_unref(client);
	return 0;
}

Test(client, a_forked_child_can_only_free_and_the_parent_goes_on)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, LEASE_REPLY },
		{ PEER_READ },
		{ PEER_SEND, "{}" },
		{ PEER_READ },
		{ PEER_SEND, RELEASE_REPLY },
		{ PEER_AWAIT_END },
		{ PEER_END },
	};
	struct slot_lease *lease = NULL;
	int status;
	pid_t pid;

	start(steps);
	cr_assert(eq(int, acquire(&lease), 0));
	pid = fork();
	if (pid == 0)
		_exit(use_in_child(lease));
	cr_assert(eq(int, waitpid(pid, &status, 0), pid));
	cr_assert(eq(int, WEXITSTATUS(status), 0));
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), 0));
	slot_lease_releasep(&lease);
	cr_expect(eq(ptr, lease, NULL));
	slot_client_unref(TAKE(client));
	cr_assert(peer_finish(&peer));
	expect_called(2, "io.slotd.pool.Release", "lease", LEASE_ID);
}

Test(client, the_daemon_sees_the_end_though_a_child_holds_the_socket)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },    { PEER_READ }, { PEER_SEND, "{}" },
		{ PEER_AWAIT_END }, { PEER_END },
	};
	pid_t pid;

	start(steps);
	cr_assert(eq(int, slot_call(client, "Ping", NULL, NULL), 0));
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	slot_client_unref(TAKE(client));
	cr_expect(peer_finish(&peer));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

Test(client, a_peer_that_hangs_up_raises_no_sigpipe)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_CLOSE },
		{ PEER_UNLISTEN },
		{ PEER_END },
	};

	start(steps);
	cr_assert(eq(int, slot_client_set_retry(client, 30 * MS, 0, 5 * MS, 50 * MS), 0));
	cr_assert(eq(int, slot_client_connect(client), 0));
	cr_assert(peer_finish(&peer));
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), -ENOENT));
}

Test(client, its_version_is_the_projects)
{
	cr_expect(eq(str, (char *)slot_version(), (char *)SLOTD_VERSION));
}
