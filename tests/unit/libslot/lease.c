/* What a lease says, and until when it may be believed. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

#include "libslot/lease.h"
#include "libslot/quote.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/text.h"

#define WALL (1000000 * USEC_PER_SEC)
#define BOOT (500 * USEC_PER_SEC)

static json_object *make_reply(int64_t acquired_at, int64_t expires_at)
{
	json_object *o = json_object_new_object();

	json_set_string(o, "lease", "00112233445566778899aabbccddeeff");
	json_set_int(o, "token", 42);
	json_set_string(o, "slot", "api-3");
	json_set_string(o, "pool", "api");
	json_set_string(o, "path", "/srv/api/api-3");
	json_set_string(o, "commonDir", "/srv/api.git");
	json_set_string(o, "gitDir", "/srv/api.git/worktrees/api-3");
	json_set_string(o, "head", "0123456789012345678901234567890123456789");
	json_set_string(o, "branch", NULL);
	json_set_int(o, "acquiredAtUsec", acquired_at);
	if (expires_at >= 0)
		json_set_int(o, "expiresAtUsec", expires_at);
	return o;
}

static struct slot_lease *make_lease(int64_t acquired_at, int64_t expires_at)
{
	_cleanup_json_ json_object *reply = make_reply(acquired_at, expires_at);
	struct slot_lease *lease = NULL;

	cr_assert(eq(int, lease_new(NULL, reply, &lease, NULL), 0));
	return lease;
}

Test(lease, is_trusted_for_two_thirds_of_what_is_left)
{
	_cleanup_(slot_lease_freep) struct slot_lease *lease = NULL;

	clock_fake(WALL, BOOT, NULL);
	lease = make_lease(WALL, WALL + 300 * USEC_PER_SEC);
	cr_expect(eq(u64, slot_lease_valid_until_usec(lease), BOOT + 200 * USEC_PER_SEC));
}

Test(lease, is_trusted_for_less_when_its_answer_came_late)
{
	_cleanup_(slot_lease_freep) struct slot_lease *lease = NULL;

	clock_fake(WALL + 240 * USEC_PER_SEC, BOOT, NULL);
	lease = make_lease(WALL, WALL + 300 * USEC_PER_SEC);
	cr_expect(eq(u64, slot_lease_valid_until_usec(lease), BOOT + 40 * USEC_PER_SEC));
}

Test(lease, is_not_trusted_when_its_answer_came_too_late)
{
	_cleanup_(slot_lease_freep) struct slot_lease *lease = NULL;

	clock_fake(WALL + 301 * USEC_PER_SEC, BOOT, NULL);
	lease = make_lease(WALL, WALL + 300 * USEC_PER_SEC);
	cr_expect(eq(u64, slot_lease_valid_until_usec(lease), BOOT));
}

Test(lease, a_wall_clock_set_back_does_not_make_it_longer)
{
	_cleanup_(slot_lease_freep) struct slot_lease *lease = NULL;

	clock_fake(WALL - USEC_PER_DAY, BOOT, NULL);
	lease = make_lease(WALL, WALL + 300 * USEC_PER_SEC);
	cr_expect(eq(u64, slot_lease_valid_until_usec(lease), BOOT + 200 * USEC_PER_SEC));
}

Test(lease, without_an_expiry_it_has_no_limit)
{
	_cleanup_(slot_lease_freep) struct slot_lease *lease = make_lease(WALL, -1);

	cr_expect(eq(u64, slot_lease_valid_until_usec(lease), UINT64_MAX));
	cr_expect(eq(u64, slot_lease_expires_at_usec(lease), UINT64_MAX));
}

Test(lease, a_renewal_moves_both_ends)
{
	_cleanup_(slot_lease_freep) struct slot_lease *lease = NULL;
	_cleanup_json_ json_object *reply = json_object_new_object();
	uint64_t later = 100 * USEC_PER_SEC;

	clock_fake(WALL, BOOT, NULL);
	lease = make_lease(WALL, WALL + 300 * USEC_PER_SEC);
	clock_fake(WALL + later, BOOT + later, NULL);
	json_set_int(reply, "expiresAtUsec", (int64_t)(WALL + later + 300 * USEC_PER_SEC));
	lease_note_outcome(lease, 0, reply);
	cr_expect(eq(u64, slot_lease_valid_until_usec(lease), BOOT + later + 200 * USEC_PER_SEC));
	cr_expect(eq(u64, slot_lease_expires_at_usec(lease), WALL + later + 300 * USEC_PER_SEC));
	cr_expect(strstr(slot_lease_to_json(lease), "\"expiresAtUsec\":1000400000000") != NULL);
}

Test(lease, one_that_is_gone_is_not_valid_any_more)
{
	_cleanup_(slot_lease_freep) struct slot_lease *lease = make_lease(WALL, -1);

	lease_note_outcome(lease, -ETIMEDOUT, NULL);
	cr_expect(slot_lease_is_held(lease));
	lease_note_outcome(lease, -ESTALE, NULL);
	cr_expect(not(slot_lease_is_held(lease)));
	cr_expect(eq(u64, slot_lease_valid_until_usec(lease), 0));
}

Test(lease, says_what_was_granted)
{
	_cleanup_(slot_lease_freep) struct slot_lease *lease = make_lease(17, -1);

	cr_expect(eq(str, (char *)slot_lease_slot(lease), (char *)"api-3"));
	cr_expect(eq(str, (char *)slot_lease_pool(lease), (char *)"api"));
	cr_expect(eq(str, (char *)slot_lease_path(lease), (char *)"/srv/api/api-3"));
	cr_expect(eq(u64, slot_lease_token(lease), 42));
	cr_expect(eq(u64, slot_lease_acquired_at_usec(lease), 17));
	cr_expect(eq(ptr, (void *)slot_lease_branch(lease), NULL));
	cr_expect(eq(ptr, (void *)slot_lease_task(lease), NULL));
}

Test(lease, a_reply_that_lacks_something_is_no_lease)
{
	static const char *const needed[] = { "lease",	"token", "slot",
					      "pool",	"path",	 "commonDir",
					      "gitDir", "head",	 "acquiredAtUsec" };

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		_cleanup_json_ json_object *reply = make_reply(1, 2);
		struct slot_lease *lease = NULL;
		struct fault f = FAULT_NONE;

		json_object_object_del(reply, needed[i]);
		cr_expect(eq(int, lease_new(NULL, reply, &lease, &f), -EPROTO));
		cr_expect(eq(ptr, lease, NULL));
		cr_expect(strstr(f.text, needed[i]) != NULL, "%s", f.text);
	}
}

Test(quote, is_undone_for_names_of_any_bytes)
{
	static const char *const names[] = {
		"/plain/name", "/with \"quotes\"", "/back\\slash", "/tab\tnewline\n",
		"/latin-\xe9", "/\x01\x7f\xff",	   "/grün",	   "\"",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_(freep) char *quoted = text_quote_path(names[i]);
		_cleanup_(freep) char *back = unquote_path(quoted);

		cr_expect(eq(str, back, (char *)names[i]));
	}
}

Test(quote, what_is_no_quotation_is_taken_as_it_is)
{
	static const char *const names[] = { "\"open",	  "\"a\"b", "\"\\9\"", "\"\\0\"",  "\"\\",
					     "\"\\777\"", "\"\\1",  "",	       "\"\\000\"" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_(freep) char *back = unquote_path(names[i]);

		cr_expect(eq(str, back, (char *)names[i]));
	}
}
