/* One peer, one client. */
#include "fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"

struct peer peer;
struct slot_client *client;

void fixture_open(void)
{
	if (slot_client_new(peer.path, &client) < 0 ||
	    slot_client_set_retry(client, 10000 * MS, 0, 5 * MS, 50 * MS) < 0)
		abort();
}

void fixture_start(const struct peer_step *steps)
{
	peer_start(&peer, steps);
	fixture_open();
}

void fixture_stop(void)
{
	slot_client_unref(TAKE(client));
	if (peer.directory[0])
		peer_remove(&peer);
}

int fixture_acquire(struct slot_lease **ret)
{
	_cleanup_(slot_request_freep) struct slot_request *request = NULL;

	if (slot_request_new(&request) < 0)
		abort();
	slot_request_set_pool(request, "api");
	return slot_acquire(client, request, ret);
}

char *fixture_sent(size_t i, const char *key)
{
	_cleanup_json_ json_object *message = peer_call(&peer, i);

	return text_dup(json_get_string(json_get_object(message, "parameters"), key));
}

char *fixture_method(size_t i)
{
	_cleanup_json_ json_object *message = peer_call(&peer, i);

	return text_dup(json_get_string(message, "method"));
}

void fixture_expect_called(size_t i, const char *method, const char *key, const char *value)
{
	_cleanup_(freep) char *called = fixture_method(i);
	_cleanup_(freep) char *sent = fixture_sent(i, key);

	cr_assert(ne(ptr, called, NULL));
	cr_assert(ne(ptr, sent, NULL));
	cr_expect(eq(str, called, (char *)method));
	cr_expect(eq(str, sent, (char *)value));
}
