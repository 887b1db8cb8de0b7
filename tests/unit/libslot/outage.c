/* Daemons that are not there, go away, and come back. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

#include "fixture.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/json.h"

TestSuite(outage, .fini = fixture_stop, .timeout = 60);

/* ---- no daemon ---- */

Test(outage, a_missing_socket_is_an_error_at_once)
{
	uint64_t begin;

	peer_prepare(&peer);
	fixture_open();
	begin = clock_boot_usec();
	cr_expect(eq(int, slot_client_connect(client), -ENOENT));
	cr_expect(lt(u64, clock_boot_usec() - begin, 5000 * MS));
	cr_expect(eq(ptr, (void *)slot_client_error_name(client), NULL));
	cr_expect(strstr(slot_client_error_message(client), peer.path) != NULL);
}

Test(outage, a_socket_without_listener_is_refused_at_once)
{
	static const struct peer_step steps[] = { { PEER_REFUSE }, { PEER_END } };

	fixture_start(steps);
	cr_assert(peer_finish(&peer));
	cr_expect(eq(int, slot_client_connect(client), -ECONNREFUSED));
}

Test(outage, connect_without_a_daemon_leaves_ret_alone)
{
	struct slot_client *none = NULL;

	peer_prepare(&peer);
	cr_expect(eq(int, slot_connect(peer.path, &none), -ENOENT));
	cr_expect(eq(ptr, none, NULL));
}

Test(outage, waits_for_a_daemon_that_is_being_started_when_asked)
{
	static const struct peer_step steps[] = {
		{ PEER_UNLISTEN }, { PEER_PAUSE, NULL, 100 }, { PEER_LISTEN }, { PEER_ACCEPT },
		{ PEER_READ },	   { PEER_SEND, "{}" },	      { PEER_END },
	};

	fixture_start(steps);
	slot_client_set_await_daemon(client, true);
	cr_assert(eq(int, slot_client_connect(client), 0));
	cr_assert(eq(int, slot_call(client, "Ping", NULL, NULL), 0));
	cr_assert(peer_finish(&peer));
}

Test(outage, an_outage_ends_at_its_deadline)
{
	uint64_t begin, took;

	peer_prepare(&peer);
	fixture_open();
	slot_client_set_await_daemon(client, true);
	cr_assert(eq(int, slot_client_set_retry(client, 200 * MS, 0, 5 * MS, 1000 * MS), 0));
	begin = clock_boot_usec();
	cr_expect(eq(int, slot_client_connect(client), -ENOENT));
	took = clock_boot_usec() - begin;
	cr_expect(ge(u64, took, 200 * MS));
	cr_expect(lt(u64, took, 5000 * MS));
}

Test(outage, retry_settings_that_make_no_sense_are_refused)
{
	peer_prepare(&peer);
	fixture_open();
	cr_expect(eq(int, slot_client_set_retry(client, 1, 0, 0, 5), -EINVAL));
	cr_expect(eq(int, slot_client_set_retry(client, 1, 0, 6, 5), -EINVAL));
}

/* ---- restarts ---- */

Test(outage, an_acquire_across_two_restarts_keeps_its_key)
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

	fixture_start(steps);
	cr_assert(eq(int, fixture_acquire(&lease), 0));
	cr_assert(peer_finish(&peer));
	first = fixture_sent(0, "key");
	second = fixture_sent(1, "key");
	third = fixture_sent(2, "key");
	cr_assert(ne(ptr, first, NULL));
	cr_expect(eq(sz, strlen(first), 32));
	cr_expect(eq(str, second, first));
	cr_expect(eq(str, third, first));
}

Test(outage, two_acquires_of_one_request_have_two_keys)
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

	fixture_start(steps);
	cr_assert(eq(int, slot_request_new(&request), 0));
	cr_assert(eq(int, slot_acquire(client, request, &lease), -EBUSY));
	cr_assert(eq(int, slot_acquire(client, request, &lease), -EBUSY));
	cr_assert(peer_finish(&peer));
	first = fixture_sent(0, "key");
	second = fixture_sent(1, "key");
	cr_expect(ne(str, first, second));
}

Test(outage, a_repeated_acquire_waits_only_for_what_is_left)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ }, { PEER_PAUSE, NULL, 50 },   { PEER_CLOSE },
		{ PEER_ACCEPT }, { PEER_READ }, { PEER_SEND, LEASE_REPLY }, { PEER_END },
	};
	_cleanup_(slot_request_freep) struct slot_request *request = NULL;
	_cleanup_(slot_lease_freep) struct slot_lease *lease = NULL;
	int64_t waits[2];

	fixture_start(steps);
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

Test(outage, a_daemon_that_says_it_is_stopping_is_asked_again)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ }, { PEER_SEND, ERROR_REPLY("ShuttingDown", "bye") },
		{ PEER_ACCEPT }, { PEER_READ }, { PEER_SEND, "{\"parameters\":{\"pool\":{}}}" },
		{ PEER_END },
	};

	fixture_start(steps);
	cr_assert(eq(int, slot_call(client, "PoolFetch", "{\"pool\":\"api\"}", NULL), 0));
	cr_assert(peer_finish(&peer));
}

Test(outage, what_a_stopping_daemon_may_have_recorded_is_not_asked_for_twice)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ }, { PEER_SEND, ERROR_REPLY("ShuttingDown", "bye") },
		{ PEER_END },
	};

	fixture_start(steps);
	cr_assert(eq(int, slot_call(client, "SlotAdd", "{\"pool\":\"api\"}", NULL), -ESHUTDOWN));
	cr_assert(peer_finish(&peer));
}

Test(outage, a_release_that_a_stopping_daemon_had_recorded_is_done)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ }, { PEER_SEND, ERROR_REPLY("ShuttingDown", "bye") },
		{ PEER_ACCEPT }, { PEER_READ }, { PEER_SEND, ERROR_REPLY("LeaseGone", "over") },
		{ PEER_END },
	};

	fixture_start(steps);
	cr_assert(eq(int, slot_call(client, "Release",
				    "{\"lease\":\"00112233445566778899aabbccddeeff\"}", NULL), 0));
	cr_assert(peer_finish(&peer));
}

Test(outage, a_daemon_that_stays_in_its_shutdown_is_an_error_with_its_name)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, ERROR_REPLY("ShuttingDown", "bye") },
		{ PEER_AWAIT_END },
		{ PEER_END },
	};

	fixture_start(steps);
	cr_assert(eq(int, slot_client_set_retry(client, 0, 0, 5 * MS, 50 * MS), 0));
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), -ESHUTDOWN));
	cr_expect(eq(str, (char *)slot_client_error_message(client), (char *)"bye"));
	cr_assert(peer_finish(&peer));
}

Test(outage, an_idle_connection_that_was_closed_goes_unnoticed)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ },	      { PEER_SEND, "{}" }, { PEER_ACCEPT },
		{ PEER_READ },	 { PEER_SEND, "{}" }, { PEER_END },
	};

	fixture_start(steps);
	cr_assert(eq(int, slot_call(client, "SlotAdd", "{\"pool\":\"api\"}", NULL), 0));
	/* PEER_ACCEPT has closed, or closes while the call is on its way: only a call that
	 * may be repeated is sure to come through */
	cr_assert(eq(int, slot_call(client, "Ping", NULL, NULL), 0));
	cr_assert(peer_finish(&peer));
}

Test(outage, a_call_that_changes_something_is_not_sent_twice)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_CLOSE },
		{ PEER_END },
	};

	fixture_start(steps);
	cr_expect(eq(int, slot_call(client, "PoolAdd", "{\"pool\":\"api\"}", NULL), -ECONNRESET));
	cr_expect(eq(ptr, (void *)slot_client_error_name(client), NULL));
	cr_assert(peer_finish(&peer));
}

Test(outage, a_repeated_release_that_finds_the_lease_gone_has_succeeded)
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

	fixture_start(steps);
	cr_assert(eq(int, fixture_acquire(&lease), 0));
	cr_expect(eq(int, slot_release(client, lease, 0), 0));
	cr_expect(not(slot_lease_is_held(lease)));
	cr_expect(eq(str, (char *)slot_client_reply_json(client),
		     (char *)"{\"lease\":\"" LEASE_ID "\"}"));
	cr_expect(eq(ptr, (void *)slot_client_error_name(client), NULL));
	cr_assert(peer_finish(&peer));
}

Test(outage, a_repeated_renewal_that_finds_the_lease_gone_has_not)
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

	fixture_start(steps);
	cr_assert(eq(int, fixture_acquire(&lease), 0));
	cr_expect(eq(int, slot_renew(client, lease, -1, NULL), -ESTALE));
	cr_assert(peer_finish(&peer));
}

Test(outage, attempts_are_limited_when_told)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ },	  { PEER_CLOSE }, { PEER_ACCEPT }, { PEER_READ },
		{ PEER_CLOSE },	 { PEER_ACCEPT }, { PEER_READ },  { PEER_CLOSE },  { PEER_END },
	};

	fixture_start(steps);
	cr_assert(eq(int, slot_client_set_retry(client, 20000 * MS, 2, 1 * MS, 1000 * MS), 0));
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), -ECONNRESET));
	cr_assert(peer_finish(&peer));
}

Test(outage, a_refusal_that_comes_before_the_call_is_heard)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_SEND, ERROR_REPLY("LimitReached", "too many connections") },
		{ PEER_CLOSE },
		{ PEER_END },
	};

	fixture_start(steps);
	cr_expect(eq(int, slot_call(client, "SlotAdd", "{\"pool\":\"api\"}", NULL), -EUSERS));
	cr_expect(
		eq(str, (char *)slot_client_error_message(client), (char *)"too many connections"));
	cr_assert(peer_finish(&peer));
}
