/* What a builder collects. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "libslot/request.h"
#include "util/cleanup.h"
#include "util/json.h"

static struct slot_request *make(void)
{
	struct slot_request *request = NULL;

	cr_assert(eq(int, slot_request_new(&request), 0));
	return request;
}

static void expect_params(const struct slot_request *request, const char *expected)
{
	const char *text = json_object_to_json_string_ext(
		request->params, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

	cr_expect(eq(str, (char *)text, (char *)expected));
}

Test(request, an_empty_one_asks_for_nothing_in_particular)
{
	_cleanup_(slot_request_freep) struct slot_request *request = make();

	expect_params(request, "{}");
}

Test(request, every_setter_has_its_parameter)
{
	_cleanup_(slot_request_freep) struct slot_request *request = make();

	slot_request_set_pool(request, "p");
	slot_request_set_directory(request, "/d");
	slot_request_set_common_dir(request, "/c");
	slot_request_set_ref(request, "r");
	slot_request_set_branch(request, "b");
	slot_request_set_agent(request, "a");
	slot_request_set_task(request, "t");
	slot_request_set_wait_usec(request, 1);
	slot_request_set_ttl_usec(request, 2);
	slot_request_set_key(request, "k");
	slot_request_set_priority(request, -3);
	slot_request_add_label(request, "l1");
	slot_request_add_label(request, "l2");
	slot_request_set_estimate_usec(request, 4);
	slot_request_add_meta(request, "m", "1");
	slot_request_add_meta(request, "m", "2");
	slot_request_set_bind(request, "process");
	expect_params(request,
		      "{\"pool\":\"p\",\"directory\":\"/d\",\"commonDir\":\"/c\",\"ref\":\"r\","
		      "\"branch\":\"b\",\"agent\":\"a\",\"task\":\"t\",\"waitUsec\":1,"
		      "\"ttlUsec\":2,\"key\":\"k\",\"priority\":-3,\"labels\":[\"l1\",\"l2\"],"
		      "\"estimateUsec\":4,\"meta\":{\"m\":\"2\"},\"bind\":\"process\"}");
}

Test(request, null_takes_a_value_back)
{
	_cleanup_(slot_request_freep) struct slot_request *request = make();

	slot_request_set_pool(request, "p");
	slot_request_set_pool(request, NULL);
	slot_request_set_task(request, NULL);
	slot_request_add_meta(request, "m", "1");
	slot_request_add_meta(request, "m", NULL);
	expect_params(request, "{\"meta\":{}}");
	cr_expect(eq(ptr, (void *)request->bad, NULL));
}

Test(request, what_no_slotd_could_read_is_refused_and_remembered)
{
	_cleanup_(slot_request_freep) struct slot_request *request = make();

	cr_expect(eq(int, slot_request_set_ref(request, "\xc3"), -EINVAL));
	cr_expect(eq(int, slot_request_add_label(request, NULL), -EINVAL));
	cr_expect(eq(int, slot_request_add_label(request, "\x80"), -EINVAL));
	cr_expect(eq(int, slot_request_add_meta(request, NULL, "v"), -EINVAL));
	cr_expect(eq(int, slot_request_add_meta(request, "n", "\xff"), -EINVAL));
	cr_expect(eq(int, slot_request_set_wait_usec(request, UINT64_C(1) << 53), -EINVAL));
	cr_expect(eq(int, slot_request_set_ttl_usec(request, UINT64_MAX), -EINVAL));
	cr_expect(eq(int, slot_request_set_priority(request, INT64_MIN), -EINVAL));
	cr_expect(ne(ptr, (void *)request->bad, NULL));
	expect_params(request, "{}");
}
