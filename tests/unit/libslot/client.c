/* Blocking calls: a day like any other, requests that are none, and time. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

#include "fixture.h"
#include "util/cleanup.h"

TestSuite(client, .fini = fixture_stop, .timeout = 60);

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

	fixture_start(steps);
	cr_assert(eq(int, fixture_acquire(&lease), 0));
	cr_expect(eq(u64, slot_lease_token(lease), 7));
	cr_assert(eq(int, slot_renew(client, lease, 40, "half way"), 0));
	cr_assert(eq(int, slot_release(client, lease, SLOT_RELEASE_DISCARD), 0));
	cr_expect(strstr(slot_client_reply_json(client), "\"state\":\"ready\"") != NULL);
	cr_expect(not(slot_lease_is_held(lease)));
	slot_lease_free(TAKE(lease));
	slot_client_unref(TAKE(client));

	cr_assert(peer_finish(&peer));
	fixture_expect_called(0, "io.slotd.pool.Acquire", "pool", "api");
	fixture_expect_called(1, "io.slotd.pool.Renew", "message", "half way");
	fixture_expect_called(2, "io.slotd.pool.Release", "lease", LEASE_ID);
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

	fixture_start(steps);
	{
		_cleanup_(slot_lease_releasep) struct slot_lease *lease = NULL;

		cr_assert(eq(int, fixture_acquire(&lease), 0));
		cr_expect(eq(int, slot_call(client, "PoolPause", "{\"pool\":\"api\"}", NULL),
			     -EACCES));
	}
	cr_expect(eq(str, (char *)slot_client_error_message(client), (char *)"not you"));
	slot_client_unref(TAKE(client));
	cr_assert(peer_finish(&peer));
	fixture_expect_called(2, "io.slotd.pool.Release", "lease", LEASE_ID);
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

	fixture_start(steps);
	cr_assert(eq(int, fixture_acquire(&lease), -EBUSY));
	cr_expect(eq(ptr, lease, NULL));
	cr_expect(eq(str, (char *)slot_client_error_name(client), (char *)"io.slotd.pool.Busy"));
	cr_expect(eq(str, (char *)slot_client_error_message(client), (char *)"all are leased"));
	cr_expect(strstr(slot_client_error_parameters_json(client), "\"retryAfterUsec\":5") !=
		  NULL);
	cr_expect(eq(ptr, (void *)slot_client_reply_json(client), NULL));

	cr_assert(eq(int, fixture_acquire(&lease), -EBUSY));
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

	fixture_start(steps);
	cr_assert(eq(int, fixture_acquire(&lease), 0));
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

	fixture_start(steps);
	cr_assert(eq(int, fixture_acquire(&lease), 0));
	cr_expect(eq(int, slot_release(client, lease, 0), -ESTALE));
	cr_expect(not(slot_lease_is_held(lease)));
}

/* ---- requests that are none ---- */

Test(client, parameters_that_are_no_object_are_refused)
{
	static const char *const bad[] = { "", "[]", "{", "{}x", "5", "{\"a\":\"\xff\"}", "null" };
	char *reply = NULL;

	peer_prepare(&peer);
	fixture_open();
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

	fixture_start(steps);
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

	fixture_start(steps);
	cr_assert(eq(int, fixture_acquire(&lease), 0));
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

	fixture_start(steps);
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

	fixture_start(steps);
	slot_client_set_timeout(client, 10 * MS);
	cr_assert(eq(int, slot_request_new(&request), 0));
	slot_request_set_wait_usec(request, 20000 * MS);
	cr_assert(eq(int, slot_acquire(client, request, &lease), 0));
}
