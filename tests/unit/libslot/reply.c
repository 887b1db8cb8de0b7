/* Replies that are none. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

#include "fixture.h"
#include "util/cleanup.h"

TestSuite(reply, .fini = fixture_stop, .timeout = 60);

static void expect_broken_reply(const struct peer_step *steps, int r)
{
	fixture_start(steps);
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), r));
	cr_expect(eq(ptr, (void *)slot_client_error_name(client), NULL));
	cr_expect(ne(chr, slot_client_error_message(client)[0], '\0'));
	cr_assert(peer_finish(&peer));
}

Test(reply, a_reply_that_is_not_json_is_an_error)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },    { PEER_READ }, { PEER_SEND, "{nonsense" },
		{ PEER_AWAIT_END }, { PEER_END },
	};

	expect_broken_reply(steps, -EPROTO);
}

Test(reply, a_reply_with_odd_types_is_an_error)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },    { PEER_READ }, { PEER_SEND, "{\"parameters\":[1]}" },
		{ PEER_AWAIT_END }, { PEER_END },
	};

	expect_broken_reply(steps, -EPROTO);
}

Test(reply, an_error_without_a_name_is_an_error_on_this_side)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },    { PEER_READ }, { PEER_SEND, "{\"error\":5}" },
		{ PEER_AWAIT_END }, { PEER_END },
	};

	expect_broken_reply(steps, -EPROTO);
}

Test(reply, a_stream_that_nobody_asked_for_is_an_error)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },    { PEER_READ }, { PEER_SEND, "{\"continues\":true}" },
		{ PEER_AWAIT_END }, { PEER_END },
	};

	expect_broken_reply(steps, -EPROTO);
}

Test(reply, a_reply_without_end_is_an_error)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_FLOOD, NULL, 40 },
		{ PEER_END },
	};

	expect_broken_reply(steps, -EMSGSIZE);
}

Test(reply, a_lease_without_a_path_is_an_error)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, "{\"parameters\":{\"lease\":\"" LEASE_ID "\"}}" },
		{ PEER_END },
	};
	struct slot_lease *lease = NULL;

	fixture_start(steps);
	cr_expect(eq(int, fixture_acquire(&lease), -EPROTO));
	cr_expect(eq(ptr, lease, NULL));
	cr_expect(strstr(slot_client_error_message(client), "\"slot\"") != NULL);
}

Test(reply, a_reply_in_pieces_is_put_together)
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

	fixture_start(steps);
	cr_assert(eq(int, slot_call(client, "Ping", NULL, &reply), 0));
	cr_expect(eq(str, reply, (char *)"{\"a\":\"\xc3\xa9\"}"));
}
