/* A service over real sockets: what each kind of peer gets to see. */
#include "rpc/service.h"

#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>

#include "support.h"

#include "util/cleanup.h"
#include "util/clock.h"
#include "util/text.h"

static const char test_idl[] = "interface io.slotd.test\n"
			       "method Echo(text: string, labels: ?[]string) -> (text: string)\n"
			       "method Keep() -> (n: ?int)\n"
			       "method Stream(n: int, text: ?string) -> (i: int, text: ?string)\n"
			       "method Fail() -> ()\n"
			       "method Forget() -> ()\n"
			       "method Who() -> (uid: int, pid: int, alive: bool)\n"
			       "method Flow(n: int, text: string) -> (i: int, text: ?string)\n"
			       "method Close() -> ()\n";

#define TURN_USEC 20000 /* after so long without an event nothing more is expected */
#define MAX_KEPT  16

static struct {
	sd_event *event;
	struct rpc_service *service;
	struct rpc_call *kept[MAX_KEPT];
	unsigned n_kept;
	unsigned n_gone;
	unsigned n_echoed;
	unsigned n_conns_gone;
	int stream_result;
	struct rpc_call *flow; /* a stream that goes as fast as it is read */
	char *flow_text;
	int64_t flow_i, flow_n;
	bool more;
	char order[64]; /* first letters of echoed texts */
} t;

static int echo(struct rpc_call *call, json_object *params, void *userdata, struct fault *f)
{
	const char *text = json_get_string(params, "text");

	if (t.n_echoed < sizeof(t.order) - 1)
		t.order[t.n_echoed] = text[0];
	t.n_echoed++;
	rpc_reply(call, json_set_string(json_object_new_object(), "text", text));
	return 0;
}

static void on_gone(struct rpc_call *call, void *userdata)
{
	cr_assert(rpc_call_is_gone(call));
	t.n_gone++;
	/* the caller's peer is still known */
	cr_assert(eq(u32, rpc_call_peer(call)->uid, getuid()));
}

static int keep(struct rpc_call *call, json_object *params, void *userdata, struct fault *f)
{
	cr_assert(lt(uint, t.n_kept, MAX_KEPT));
	t.kept[t.n_kept++] = rpc_call_ref(call);
	rpc_call_on_gone(call, on_gone, NULL);
	t.more = rpc_call_wants_more(call);
	return 0;
}

static int stream(struct rpc_call *call, json_object *params, void *userdata, struct fault *f)
{
	int64_t n = json_get_int(params, "n", 0);

	if (!rpc_call_wants_more(call)) {
		rpc_error(call, "org.varlink.service.ExpectedMore", NULL, "it streams");
		return 0;
	}
	for (int64_t i = 0; i < n; i++) {
		json_object *o = json_set_int(json_object_new_object(), "i", i);

		json_set_string(o, "text", json_get_string(params, "text"));
		t.stream_result = rpc_reply_more(call, o);
	}
	rpc_reply(call, json_set_int(json_object_new_object(), "i", n));
	return 0;
}

static json_object *flow_reply(void)
{
	json_object *o = json_set_int(json_object_new_object(), "i", t.flow_i++);

	return json_set_string(o, "text", t.flow_text);
}

static void flow_on(void *userdata)
{
	while (t.flow_i < t.flow_n && rpc_call_has_room(t.flow))
		t.stream_result = rpc_reply_more(t.flow, flow_reply());
	if (t.flow_i < t.flow_n) {
		rpc_call_on_room(t.flow, flow_on, NULL);
		return;
	}
	rpc_reply(t.flow, flow_reply());
	rpc_call_unref(TAKE(t.flow));
}

static int flow(struct rpc_call *call, json_object *params, void *userdata, struct fault *f)
{
	free(t.flow_text);
	t.flow_text = strdup(json_get_string(params, "text"));
	t.flow_n = json_get_int(params, "n", 0);
	t.flow_i = 0;
	t.flow = rpc_call_ref(call);
	flow_on(NULL);
	return 0;
}

static int fail(struct rpc_call *call, json_object *params, void *userdata, struct fault *f)
{
	return fault(f, -EIO, "the disk is on fire");
}

static int forget(struct rpc_call *call, json_object *params, void *userdata, struct fault *f)
{
	return 0;
}

static int who(struct rpc_call *call, json_object *params, void *userdata, struct fault *f)
{
	const struct rpc_peer *peer = rpc_call_peer(call);
	struct pollfd p = { .fd = peer->pidfd, .events = POLLIN };
	json_object *o = json_set_int(json_object_new_object(), "uid", peer->uid);

	json_set_int(o, "pid", peer->pid);
	json_set_bool(o, "alive", peer->pidfd >= 0 && poll(&p, 1, 0) == 0);
	rpc_reply(call, o);
	return 0;
}

/* the service goes away under the feet of its own handler */
static int close_all(struct rpc_call *call, json_object *params, void *userdata, struct fault *f)
{
	rpc_service_free(TAKE(t.service));
	cr_assert(rpc_call_is_gone(call));
	rpc_reply(call, NULL);
	return 0;
}

static const struct rpc_method methods[] = {
	{ "Echo", echo },	{ "Keep", keep }, { "Stream", stream },
	{ "Fail", fail },	{ "Who", who },	  { "Forget", forget },
	{ "Close", close_all }, { "Flow", flow }, { 0 },
};

static void on_conn_gone(uint64_t id, void *userdata)
{
	cr_assert(gt(u64, id, 0));
	t.n_conns_gone++;
}

static void setup(void)
{
	struct fault f = FAULT_NONE;

	cr_assert(ge(int, sd_event_default(&t.event), 0));
	cr_assert(zero(int, rpc_service_new(t.event, "slotd", "slotd", "1.2.3",
					    "https://x.invalid/", NULL, &t.service, &f)));
	cr_assert(zero(int, rpc_service_add_interface(t.service, test_idl, methods, &f)));
	rpc_service_on_conn_gone(t.service, on_conn_gone);
}

static void teardown(void)
{
	while (t.n_kept > 0)
		rpc_call_unref(t.kept[--t.n_kept]);
	rpc_call_unref(t.flow);
	free(t.flow_text);
	rpc_service_free(t.service);
	sd_event_unref(t.event);
}

TestSuite(service, .init = setup, .fini = teardown);

static void limit(struct rpc_limits limits)
{
	if (limits.read_usec == 0)
		limits.read_usec = 10 * USEC_PER_SEC;
	rpc_service_set_limits(t.service, &limits);
}

static int dial(void)
{
	struct fault f = FAULT_NONE;
	int fds[2];

	cr_assert(zero(int, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)));
	cr_assert(zero(int, rpc_conn_new(t.service, fds[0], &f)), "%s", f.text);
	return fds[1];
}

static const char *ask(int fd, const char *call)
{
	put_message(fd, call);
	settle(t.event, TURN_USEC);
	return get_message(fd);
}

#define ASSERT_ANSWER(fd, call, expected)                                                          \
	do {                                                                                       \
		const char *answer_ = ask(fd, call);                                               \
		cr_assert(eq(str, (char *)(answer_ ? answer_ : "(nothing)"), (char *)(expected))); \
	} while (0)

#define ASSERT_CONTAINS(text, part)                                        \
	do {                                                               \
		const char *text_ = (text);                                \
		cr_assert(text_ &&strstr(text_, part), "'%s' has no '%s'", \
			  text_ ? text_ : "(nothing)", part);              \
	} while (0)

#define ECHO(text)   "{\"method\":\"io.slotd.test.Echo\",\"parameters\":{\"text\":\"" text "\"}}"
#define ECHOED(text) "{\"parameters\":{\"text\":\"" text "\"}}"
#define INVALID	     "{\"error\":\"io.slotd.pool.InvalidMessage\",\"parameters\":{\"message\":"

/* --- what every service answers --- */

Test(service, get_info_names_the_service_and_its_interfaces)
{
	_cleanup_(closep) int fd = dial();

	ASSERT_ANSWER(fd, "{\"method\":\"org.varlink.service.GetInfo\"}",
		      "{\"parameters\":{\"vendor\":\"slotd\",\"product\":\"slotd\","
		      "\"version\":\"1.2.3\",\"url\":\"https://x.invalid/\","
		      "\"interfaces\":[\"org.varlink.service\",\"io.slotd.test\"]}}");
}

static void assert_described(int fd, const char *name, const char *text)
{
	_cleanup_(freep) char *call =
		text_printf("{\"method\":\"org.varlink.service.GetInterfaceDescription\","
			    "\"parameters\":{\"interface\":\"%s\"}}",
			    name);
	_cleanup_json_ json_object *reply = json_tokener_parse(ask(fd, call));

	cr_assert(eq(str,
		     (char *)json_get_string(json_get_object(reply, "parameters"), "description"),
		     (char *)text));
}

Test(service, introspection_is_the_definition_itself)
{
	_cleanup_(closep) int fd = dial();

	assert_described(fd, "io.slotd.test", test_idl);
	assert_described(fd, "org.varlink.service", org_varlink_service_varlink);
	ASSERT_ANSWER(fd,
		      "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
		      "\"parameters\":{\"interface\":\"io.nobody\"}}",
		      "{\"error\":\"org.varlink.service.InterfaceNotFound\","
		      "\"parameters\":{\"interface\":\"io.nobody\"}}");
}

Test(service, unknown_names_have_errors_of_their_own)
{
	_cleanup_(closep) int fd = dial();

	ASSERT_ANSWER(fd, "{\"method\":\"io.slotd.test.Dance\"}",
		      "{\"error\":\"org.varlink.service.MethodNotFound\","
		      "\"parameters\":{\"method\":\"io.slotd.test.Dance\"}}");
	ASSERT_ANSWER(fd, "{\"method\":\"io.nobody.Echo\"}",
		      "{\"error\":\"org.varlink.service.InterfaceNotFound\","
		      "\"parameters\":{\"interface\":\"io.nobody\"}}");
	ASSERT_ANSWER(fd, "{\"method\":\"Echo\"}",
		      "{\"error\":\"org.varlink.service.InterfaceNotFound\","
		      "\"parameters\":{\"interface\":\"Echo\"}}");
	ASSERT_ANSWER(fd, "{\"method\":\"\"}",
		      "{\"error\":\"org.varlink.service.InterfaceNotFound\","
		      "\"parameters\":{\"interface\":\"\"}}");
	ASSERT_ANSWER(fd, "{\"method\":\"io.slotd.test.\"}",
		      "{\"error\":\"org.varlink.service.MethodNotFound\","
		      "\"parameters\":{\"method\":\"io.slotd.test.\"}}");
}

Test(service, wrong_parameters_are_named)
{
	_cleanup_(closep) int fd = dial();

#define REFUSED(field)                                         \
	"{\"error\":\"org.varlink.service.InvalidParameter\"," \
	"\"parameters\":{\"parameter\":\"" field "\"}}"
#define ECHO_WITH(params) "{\"method\":\"io.slotd.test.Echo\",\"parameters\":" params "}"

	ASSERT_ANSWER(fd, ECHO_WITH("{}"), REFUSED("text"));
	ASSERT_ANSWER(fd, ECHO_WITH("null"), REFUSED("text"));
	ASSERT_ANSWER(fd, "{\"method\":\"io.slotd.test.Echo\"}", REFUSED("text"));
	ASSERT_ANSWER(fd, ECHO_WITH("{\"text\":1}"), REFUSED("text"));
	ASSERT_ANSWER(fd, ECHO_WITH("{\"text\":null}"), REFUSED("text"));
	ASSERT_ANSWER(fd, ECHO_WITH("{\"text\":\"a\\u0000b\"}"), REFUSED("text"));
	ASSERT_ANSWER(fd, ECHO_WITH("{\"text\":\"a\",\"labels\":[\"a\",2]}"), REFUSED("labels[1]"));
	ASSERT_ANSWER(fd, ECHO_WITH("{\"text\":\"a\",\"colour\":2}"), REFUSED("colour"));
	ASSERT_ANSWER(fd, ECHO("a"), ECHOED("a"));
}

Test(service, every_method_has_a_handler_and_every_handler_a_method)
{
	static const struct rpc_method too_few[] = { { "A", forget }, { 0 } };
	static const struct rpc_method too_many[] = { { "A", forget }, { "B", forget }, { 0 } };
	struct fault f = FAULT_NONE;

	cr_assert(zero(int, rpc_service_check(t.service, &f)));
	cr_assert(zero(int, rpc_service_add_interface(t.service,
						      "interface io.slotd.few\n"
						      "method A() -> ()\nmethod B() -> ()\n",
						      too_few, &f)));
	cr_assert(eq(int, rpc_service_check(t.service, &f), -EINVAL));
	cr_assert(eq(str, f.text, (char *)"nothing serves io.slotd.few.B"));

	_cleanup_(closep) int fd = dial();
	ASSERT_ANSWER(fd, "{\"method\":\"io.slotd.few.B\"}",
		      "{\"error\":\"org.varlink.service.MethodNotImplemented\","
		      "\"parameters\":{\"method\":\"io.slotd.few.B\"}}");

	rpc_service_free(TAKE(t.service));
	cr_assert(zero(int, rpc_service_new(t.event, "", "", "", "", NULL, &t.service, &f)));
	cr_assert(zero(int, rpc_service_add_interface(t.service,
						      "interface io.slotd.many\nmethod A() -> ()\n",
						      too_many, &f)));
	cr_assert(eq(int, rpc_service_check(t.service, &f), -EINVAL));
	cr_assert(eq(str, f.text, (char *)"io.slotd.many has no method B to serve"));
	cr_assert(eq(int,
		     rpc_service_add_interface(t.service,
					       "interface io.slotd.many\nmethod A() -> ()\n",
					       too_many, &f),
		     -EEXIST));
}

/* --- what is not a call --- */

Test(service, what_is_no_call_is_refused_and_the_connection_goes_on)
{
	_cleanup_(closep) int fd = dial();
	static const char *const bad[] = {
		"",
		"hello",
		"[]",
		"null",
		"{",
		"{} {}",
		"{\"method\":\"a.b\"",
		"{\"method\":\"\xff\"}",
		"{\"method\":\"\xed\xa0\x80\"}",
		"{}",
		"{\"method\":1}",
		"{\"method\":null}",
		"{\"method\":\"io.slotd.test.Keep\",\"parameters\":[]}",
		"{\"method\":\"io.slotd.test.Keep\",\"more\":1}",
		"{\"method\":\"io.slotd.test.Keep\",\"oneway\":\"no\"}",
		"{\"method\":\"io.slotd.test.Keep\",\"upgrade\":true}",
		"{\"method\":\"io.slotd.test.Keep\",\"paramters\":{}}",
		"[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *answer = ask(fd, bad[i]);

		cr_assert(answer && text_has_prefix(answer, INVALID), "%zu: '%s' gave '%s'", i,
			  bad[i], answer ? answer : "(nothing)");
		cr_assert(zero(ptr, (void *)get_message(fd)));
		ASSERT_ANSWER(fd, ECHO("on"), ECHOED("on"));
	}
	cr_assert(zero(uint, t.n_kept));
}

Test(service, too_long_a_message_is_skipped_and_names_the_limit)
{
	_cleanup_(closep) int fd = dial();
	_cleanup_(freep) char *big = malloc(200001);

	memset(big, 'x', 200000);
	big[200000] = '\0';
	for (size_t at = 0; at < 200001; at += 20000) {
		size_t n = 200001 - at < 20000 ? 200001 - at : 20000;

		put_bytes(fd, big + at, n);
		settle(t.event, 0);
	}
	settle(t.event, TURN_USEC);
	ASSERT_CONTAINS(get_message(fd), "longer than the limit of 65536 bytes (64 KiB)");
	cr_assert(zero(ptr, (void *)get_message(fd)), "it is said once");
	ASSERT_ANSWER(fd, ECHO("on"), ECHOED("on"));
}

Test(service, a_message_of_exactly_the_limit_is_served)
{
	_cleanup_(closep) int fd = dial();
	static char call[64 * 1024 + 2];
	static const char head[] = "{\"method\":\"io.slotd.test.Echo\",\"parameters\":{\"text\":\"";

	memset(call, 'x', sizeof(call));
	memcpy(call, head, strlen(head));
	memcpy(call + 64 * 1024 - 3, "\"}}", 4);
	ASSERT_CONTAINS(ask(fd, call), "{\"parameters\":{\"text\":\"xxx");
	memset(call + 64 * 1024 - 3, 'x', 4);
	memcpy(call + 64 * 1024 - 2, "\"}}", 4);
	ASSERT_CONTAINS(ask(fd, call), "64 KiB");
}

Test(service, too_deep_a_message_names_the_limit)
{
	_cleanup_(closep) int fd = dial();

	ASSERT_CONTAINS(ask(fd, "{\"method\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}"),
			"nested deeper than the limit of 16");
	ASSERT_ANSWER(fd, ECHO("on"), ECHOED("on"));
}

Test(service, half_a_message_and_a_close_end_quietly)
{
	int fd = dial();

	put_bytes(fd, "{\"meth", 6);
	settle(t.event, TURN_USEC);
	cr_assert(eq(uint, rpc_service_count_conns(t.service), 1));
	close(fd);
	settle(t.event, TURN_USEC);
	cr_assert(zero(uint, rpc_service_count_conns(t.service)));
	cr_assert(eq(uint, t.n_conns_gone, 1));
}

Test(service, half_a_message_has_a_deadline_that_more_bytes_do_not_move)
{
	_cleanup_(closep) int fd = dial();
	uint64_t begin = clock_boot_usec();

	limit((struct rpc_limits){ .read_usec = 60 * USEC_PER_MSEC });
	while (rpc_service_count_conns(t.service) > 0) {
		send(fd, "x", 1, MSG_NOSIGNAL);
		sd_event_run(t.event, 5000);
		cr_assert(lt(u64, clock_boot_usec() - begin, 5 * USEC_PER_SEC));
	}
	cr_assert(ge(u64, clock_boot_usec() - begin, 60 * USEC_PER_MSEC));
	ASSERT_CONTAINS(get_message(fd), "did not come in time");
	cr_assert(eq(str, (char *)get_message(fd), (char *)""));
}

Test(service, an_idle_connection_has_no_deadline)
{
	_cleanup_(closep) int fd = dial();

	limit((struct rpc_limits){ .read_usec = 10 * USEC_PER_MSEC });
	settle(t.event, 30000);
	ASSERT_ANSWER(fd, ECHO("a"), ECHOED("a"));
	settle(t.event, 30000);
	ASSERT_ANSWER(fd, ECHO("b"), ECHOED("b"));
}

/* --- answers --- */

Test(service, oneway_gets_no_answer_not_even_an_error)
{
	_cleanup_(closep) int fd = dial();

	put_message(fd, "{\"method\":\"io.slotd.test.Echo\",\"oneway\":true,"
			"\"parameters\":{\"text\":\"a\"}}");
	put_message(fd, "{\"method\":\"io.slotd.test.Dance\",\"oneway\":true}");
	put_message(fd, "{\"method\":\"io.slotd.test.Fail\",\"oneway\":true}");
	ASSERT_ANSWER(fd, ECHO("b"), ECHOED("b"));
	cr_assert(eq(uint, t.n_echoed, 2));
	cr_assert(zero(ptr, (void *)get_message(fd)));
}

Test(service, oneway_calls_of_a_peer_that_left_are_still_served)
{
	int fd = dial();

	for (int i = 0; i < 3; i++)
		put_message(fd, "{\"method\":\"io.slotd.test.Echo\",\"oneway\":true,"
				"\"parameters\":{\"text\":\"a\"}}");
	close(fd);
	settle(t.event, TURN_USEC);
	cr_assert(eq(uint, t.n_echoed, 3));
	cr_assert(zero(uint, rpc_service_count_conns(t.service)));
}

Test(service, a_peer_that_shut_its_sending_half_still_gets_its_answer)
{
	_cleanup_(closep) int fd = dial();

	put_message(fd, "{\"method\":\"io.slotd.test.Keep\"}");
	shutdown(fd, SHUT_WR);
	settle(t.event, TURN_USEC);
	cr_assert(zero(uint, t.n_gone));
	rpc_reply(t.kept[0], NULL);
	settle(t.event, TURN_USEC);
	cr_assert(eq(str, (char *)get_message(fd), (char *)"{\"parameters\":{}}"));
	cr_assert(eq(str, (char *)get_message(fd), (char *)""));
	cr_assert(zero(uint, rpc_service_count_conns(t.service)));
}

Test(service, a_failed_handler_is_an_internal_error_with_its_sentence)
{
	_cleanup_(closep) int fd = dial();

	ASSERT_ANSWER(fd, "{\"method\":\"io.slotd.test.Fail\"}",
		      "{\"error\":\"io.slotd.pool.Internal\","
		      "\"parameters\":{\"message\":\"the disk is on fire\"}}");
	ASSERT_CONTAINS(ask(fd, "{\"method\":\"io.slotd.test.Forget\"}"), "without an answer");
	ASSERT_ANSWER(fd, ECHO("on"), ECHOED("on"));
}

Test(service, a_kept_call_is_answered_later_and_the_next_waits_for_it)
{
	_cleanup_(closep) int fd = dial();

	put_message(fd, "{\"method\":\"io.slotd.test.Keep\"}");
	put_message(fd, ECHO("next"));
	settle(t.event, TURN_USEC);
	cr_assert(zero(ptr, (void *)get_message(fd)));
	cr_assert(eq(uint, rpc_service_count_calls(t.service), 1));
	cr_assert(zero(uint, t.n_echoed));

	rpc_reply(t.kept[0], json_set_int(json_object_new_object(), "n", 7));
	cr_assert(eq(str, (char *)get_message(fd), (char *)"{\"parameters\":{\"n\":7}}"));
	cr_assert(zero(uint, rpc_service_count_calls(t.service)));
	settle(t.event, TURN_USEC);
	cr_assert(eq(str, (char *)get_message(fd), (char *)ECHOED("next")));
}

Test(service, who_pipelines_while_a_call_waits_does_not_spin_the_loop)
{
	_cleanup_(closep) int fd = dial();
	unsigned turns = 0;

	put_message(fd, "{\"method\":\"io.slotd.test.Keep\"}");
	settle(t.event, TURN_USEC);
	for (int i = 0; i < 20; i++)
		put_message(fd, ECHO("x"));
	shutdown(fd, SHUT_WR);
	while (turns < 1000 && sd_event_run(t.event, TURN_USEC) > 0)
		turns++;
	cr_assert(lt(uint, turns, 3));
	rpc_reply(t.kept[0], NULL);
	settle(t.event, TURN_USEC);
	cr_assert(eq(uint, t.n_echoed, 20));
}

Test(service, more_gives_several_replies_and_without_it_there_is_an_error)
{
	_cleanup_(closep) int fd = dial();

	ASSERT_ANSWER(
		fd, "{\"method\":\"io.slotd.test.Stream\",\"more\":true,\"parameters\":{\"n\":2}}",
		"{\"parameters\":{\"i\":0,\"text\":null},\"continues\":true}");
	cr_assert(eq(str, (char *)get_message(fd),
		     (char *)"{\"parameters\":{\"i\":1,\"text\":null},\"continues\":true}"));
	cr_assert(eq(str, (char *)get_message(fd), (char *)"{\"parameters\":{\"i\":2}}"));
	ASSERT_ANSWER(fd, "{\"method\":\"io.slotd.test.Stream\",\"parameters\":{\"n\":2}}",
		      "{\"error\":\"org.varlink.service.ExpectedMore\",\"parameters\":{}}");
}

Test(service, a_caller_that_goes_is_told_once_and_the_answer_goes_nowhere)
{
	int fd = dial();

	put_message(fd, "{\"method\":\"io.slotd.test.Keep\",\"more\":true}");
	settle(t.event, TURN_USEC);
	cr_assert(t.more);
	cr_assert(not(rpc_call_is_gone(t.kept[0])));
	close(fd);
	settle(t.event, TURN_USEC);
	cr_assert(eq(uint, t.n_gone, 1));
	cr_assert(zero(uint, rpc_service_count_conns(t.service)));
	cr_assert(eq(uint, rpc_service_count_calls(t.service), 1));
	cr_assert(zero(int, rpc_reply_more(t.kept[0], NULL)));
	rpc_reply(t.kept[0], NULL);
	cr_assert(zero(uint, rpc_service_count_calls(t.service)));
	settle(t.event, TURN_USEC);
	cr_assert(eq(uint, t.n_gone, 1));
}

Test(service, nobody_is_told_after_the_answer)
{
	int fd = dial();

	put_message(fd, "{\"method\":\"io.slotd.test.Keep\"}");
	settle(t.event, TURN_USEC);
	rpc_reply(t.kept[0], NULL);
	close(fd);
	settle(t.event, TURN_USEC);
	cr_assert(zero(uint, t.n_gone));
}

Test(service, who_pipelines_does_not_starve_the_others)
{
	_cleanup_(closep) int greedy = dial();
	_cleanup_(closep) int modest = dial();

	for (int i = 0; i < 20; i++)
		put_message(greedy, ECHO("g"));
	put_message(modest, ECHO("m"));
	settle(t.event, TURN_USEC);
	cr_assert(eq(uint, t.n_echoed, 21));
	cr_assert(memchr(t.order, 'm', 4) != NULL, "%s", t.order);
	for (int i = 0; i < 20; i++)
		cr_assert(eq(str, (char *)get_message(greedy), (char *)ECHOED("g")));
}

Test(service, the_peer_is_who_the_kernel_says)
{
	_cleanup_(closep) int fd = dial();
	_cleanup_(freep) char *expected = text_printf(
		"{\"parameters\":{\"uid\":%u,\"pid\":%d,\"alive\":true}}", getuid(), getpid());

	ASSERT_ANSWER(fd, "{\"method\":\"io.slotd.test.Who\"}", expected);
}

/* --- limits --- */

Test(service, a_uid_with_too_many_connections_is_turned_away_in_a_sentence)
{
	struct fault f = FAULT_NONE;
	int fds[2], first;

	limit((struct rpc_limits){ .connections_per_uid = 2 });
	first = dial();
	_cleanup_(closep) int second = dial();
	cr_assert(zero(int, socketpair(AF_UNIX, SOCK_STREAM, 0, fds)));
	cr_assert(eq(int, rpc_conn_new(t.service, fds[0], &f), -EDQUOT));
	ASSERT_CONTAINS(get_message(fds[1]), "{\"error\":\"io.slotd.pool.LimitReached\"");
	cr_assert(eq(str, (char *)get_message(fds[1]), (char *)""));
	close(fds[1]);

	/* a place that becomes free is given again */
	close(first);
	settle(t.event, TURN_USEC);
	_cleanup_(closep) int third = dial();
	ASSERT_ANSWER(third, ECHO("a"), ECHOED("a"));
	ASSERT_ANSWER(second, ECHO("a"), ECHOED("a"));
}

Test(service, the_service_has_a_limit_of_its_own)
{
	struct fault f = FAULT_NONE;
	int fds[2];

	limit((struct rpc_limits){ .connections = 1 });
	_cleanup_(closep) int first = dial();
	cr_assert(zero(int, socketpair(AF_UNIX, SOCK_STREAM, 0, fds)));
	cr_assert(eq(int, rpc_conn_new(t.service, fds[0], &f), -EDQUOT));
	ASSERT_CONTAINS(get_message(fds[1]), "the service has too many connections");
	close(fds[1]);
	ASSERT_ANSWER(first, ECHO("a"), ECHOED("a"));
}

Test(service, a_uid_with_too_many_unanswered_calls_is_refused_until_one_is_answered)
{
	limit((struct rpc_limits){ .pending_per_uid = 2 });
	_cleanup_(closep) int a = dial();
	_cleanup_(closep) int b = dial();
	_cleanup_(closep) int c = dial();

	put_message(a, "{\"method\":\"io.slotd.test.Keep\"}");
	put_message(b, "{\"method\":\"io.slotd.test.Keep\"}");
	settle(t.event, TURN_USEC);
	ASSERT_CONTAINS(ask(c, "{\"method\":\"io.slotd.test.Keep\"}"),
			"{\"error\":\"io.slotd.pool.LimitReached\"");
	cr_assert(eq(uint, t.n_kept, 2));
	rpc_reply(t.kept[0], NULL);
	ASSERT_ANSWER(c, ECHO("a"), ECHOED("a"));
}

Test(service, a_lower_limit_drops_nobody_and_refuses_until_there_are_fewer)
{
	struct fault f = FAULT_NONE;
	int fds[2];

	_cleanup_(closep) int a = dial();
	_cleanup_(closep) int b = dial();
	_cleanup_(closep) int c = dial();
	put_message(a, "{\"method\":\"io.slotd.test.Keep\"}");
	put_message(b, "{\"method\":\"io.slotd.test.Keep\"}");
	settle(t.event, TURN_USEC);
	limit((struct rpc_limits){ .connections_per_uid = 1, .pending_per_uid = 1 });
	cr_assert(zero(int, socketpair(AF_UNIX, SOCK_STREAM, 0, fds)));
	cr_assert(eq(int, rpc_conn_new(t.service, fds[0], &f), -EDQUOT));
	close(fds[1]);
	ASSERT_CONTAINS(ask(c, ECHO("a")),
			"this user has 2 calls that wait for their answer, and may "
			"have 1");
	rpc_reply(t.kept[0], NULL);
	rpc_reply(t.kept[1], NULL);
	settle(t.event, TURN_USEC);
	cr_assert(eq(str, (char *)get_message(a), (char *)"{\"parameters\":{}}"));
	cr_assert(eq(str, (char *)get_message(b), (char *)"{\"parameters\":{}}"));
	ASSERT_ANSWER(c, ECHO("a"), ECHOED("a"));
}

static char *call_with_text(const char *method, int n, size_t len)
{
	_cleanup_(freep) char *text = calloc(1, len + 1);

	memset(text, 'x', len);
	return text_printf("{\"method\":\"io.slotd.test.%s\",\"more\":true,"
			   "\"parameters\":{\"n\":%d,\"text\":\"%s\"}}",
			   method, n, text);
}

/* reads one message, however long it takes to come; its length */
static size_t await_message(int fd)
{
	size_t n = 0;
	char byte;

	for (;;) {
		settle(t.event, 0);
		while (recv(fd, &byte, 1, MSG_DONTWAIT) == 1) {
			if (!byte)
				return n;
			n++;
		}
	}
}

Test(service, of_one_uid_the_connection_with_most_unread_is_cut)
{
	_cleanup_(freep) char *much = call_with_text("Stream", 40, 40000);
	_cleanup_(freep) char *more = call_with_text("Stream", 30, 40000);

	limit((struct rpc_limits){ .out_bytes_per_uid = 2000000 });
	_cleanup_(closep) int greatest = dial();
	_cleanup_(closep) int other = dial();
	put_message(greatest, much);
	settle(t.event, TURN_USEC);
	cr_assert(eq(uint, rpc_service_count_conns(t.service), 2), "one alone is within the limit");
	put_message(other, more);
	settle(t.event, TURN_USEC);
	cr_assert(eq(uint, rpc_service_count_conns(t.service), 1));
	cr_assert(eq(uint, t.n_conns_gone, 1));
	for (int i = 0; i < 30; i++)
		cr_assert(gt(sz, await_message(other), 40000));
	cr_assert(lt(sz, await_message(other), 40000));
	ASSERT_ANSWER(other, ECHO("a"), ECHOED("a"));
}

Test(service, a_peer_that_reads_nothing_is_cut_when_even_its_one_stream_is_too_long)
{
	_cleanup_(freep) char *call = call_with_text("Stream", 100, 40000);

	limit((struct rpc_limits){ .out_bytes_per_uid = 100000 });
	_cleanup_(closep) int fd = dial();
	put_message(fd, call);
	settle(t.event, TURN_USEC);
	cr_assert(zero(uint, rpc_service_count_conns(t.service)));
	cr_assert(zero(uint, rpc_service_count_calls(t.service)));
	cr_assert(eq(uint, t.n_conns_gone, 1));
	/* what it had is not counted any more */
	_cleanup_(closep) int next = dial();
	ASSERT_ANSWER(next, ECHO("a"), ECHOED("a"));
}

Test(service, one_reply_may_be_longer_than_what_is_kept_unread)
{
	_cleanup_(freep) char *call = call_with_text("Flow", 0, 60000);

	limit((struct rpc_limits){ .out_bytes = 1000 });
	_cleanup_(closep) int fd = dial();
	put_message(fd, call);
	cr_assert(gt(sz, await_message(fd), 60000));
	ASSERT_ANSWER(fd, ECHO("a"), ECHOED("a"));
}

Test(service, a_slow_reader_gets_the_whole_stream)
{
	_cleanup_(freep) char *call = call_with_text("Stream", 30, 40000);
	_cleanup_(closep) int fd = dial();

	put_message(fd, call);
	for (int i = 0; i < 30; i++)
		cr_assert(gt(sz, await_message(fd), 40000));
	cr_assert(lt(sz, await_message(fd), 40000));
	cr_assert(eq(uint, rpc_service_count_conns(t.service), 1));
}

Test(service, a_stream_stands_still_until_it_is_read)
{
	_cleanup_(freep) char *call = call_with_text("Flow", 100, 40000);
	int64_t at;

	limit((struct rpc_limits){ .out_bytes = 100000 });
	_cleanup_(closep) int fd = dial();
	put_message(fd, call);
	settle(t.event, TURN_USEC);
	at = t.flow_i;
	cr_assert(lt(i64, at, 50), "the socket takes some, and little is kept");
	settle(t.event, TURN_USEC);
	cr_assert(eq(i64, t.flow_i, at));
	for (int i = 0; i <= 100; i++)
		cr_assert(gt(sz, await_message(fd), 40000));
	cr_assert(zero(ptr, t.flow));
	ASSERT_ANSWER(fd, ECHO("a"), ECHOED("a"));
}

Test(service, a_stream_that_stands_still_ends_with_its_reader)
{
	_cleanup_(freep) char *call = call_with_text("Flow", 100, 40000);
	int fd;

	limit((struct rpc_limits){ .out_bytes = 100000 });
	fd = dial();
	put_message(fd, call);
	settle(t.event, TURN_USEC);
	close(fd);
	settle(t.event, TURN_USEC);
	cr_assert(zero(uint, rpc_service_count_conns(t.service)));
	cr_assert(rpc_call_is_gone(t.flow));
	cr_assert(rpc_call_has_room(t.flow), "nobody waits for one who is gone");
}

Test(service, calls_of_a_peer_that_does_not_read_wait_and_nobody_else_notices)
{
	limit((struct rpc_limits){ .out_bytes = 4096 });
	_cleanup_(closep) int flood = dial();
	_cleanup_(closep) int other = dial();
	static const char call[] = ECHO("a");
	int sent = 0;

	for (int idle = 0; idle < 100 && sent < 100000; idle++) {
		if (send(flood, call, sizeof(call), MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
			idle = 0;
			sent++;
		}
		sd_event_run(t.event, 0);
	}
	settle(t.event, TURN_USEC);
	cr_assert(lt(int, sent, 100000), "its calls are not read any more");
	cr_assert(lt(int, (int)t.n_echoed, sent));
	cr_assert(eq(uint, rpc_service_count_conns(t.service), 2));
	ASSERT_ANSWER(other, ECHO("b"), ECHOED("b"));
	for (int i = 0; i < sent; i++)
		cr_assert(eq(sz, await_message(flood), strlen(ECHOED("a"))));
	ASSERT_ANSWER(flood, ECHO("c"), ECHOED("c"));
}

Test(service, descriptors_that_come_along_are_closed)
{
	_cleanup_(closep) int fd = dial();
	char bytes[] = ECHO("a");
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int p[2];
	char byte;

	cr_assert(zero(int, pipe2(p, O_CLOEXEC | O_NONBLOCK)));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &p[1], sizeof(int));
	cr_assert(gt(long, sendmsg(fd, &msg, 0), 0));
	close(p[1]);
	settle(t.event, TURN_USEC);
	cr_assert(eq(long, read(p[0], &byte, 1), 0), "the writing end is open still");
	close(p[0]);
}

/* --- the end --- */

Test(service, unanswered_calls_are_failed_at_shutdown_and_later_answers_are_harmless)
{
	_cleanup_(closep) int a = dial();
	_cleanup_(closep) int b = dial();

	put_message(a, "{\"method\":\"io.slotd.test.Keep\",\"more\":true}");
	put_message(b, "{\"method\":\"io.slotd.test.Keep\"}");
	settle(t.event, TURN_USEC);
	rpc_service_stop_reading(t.service);
	cr_assert(eq(uint,
		     rpc_service_fail_calls(t.service, "io.slotd.pool.ShuttingDown", "good night"),
		     2));
	cr_assert(zero(uint, rpc_service_count_calls(t.service)));
	cr_assert(zero(sz, rpc_service_flush(t.service, USEC_PER_SEC)));
	cr_assert(eq(str, (char *)get_message(a),
		     (char *)"{\"error\":\"io.slotd.pool.ShuttingDown\","
			     "\"parameters\":{\"message\":\"good night\"}}"));
	cr_assert(rpc_call_is_gone(t.kept[0]));
	cr_assert(zero(int, rpc_reply_more(t.kept[0], NULL)));
	rpc_reply(t.kept[0], NULL);
	rpc_error(t.kept[1], "io.slotd.pool.Busy", NULL, "late");
	cr_assert(zero(uint, t.n_gone));
	settle(t.event, TURN_USEC);
	cr_assert(zero(ptr, (void *)get_message(a)));
}

Test(service, no_call_is_read_after_stop_reading_but_hang_ups_are_seen)
{
	int fd = dial();

	rpc_service_stop_reading(t.service);
	put_message(fd, ECHO("a"));
	settle(t.event, TURN_USEC);
	cr_assert(zero(uint, t.n_echoed));
	close(fd);
	settle(t.event, TURN_USEC);
	cr_assert(zero(uint, rpc_service_count_conns(t.service)));
}

Test(service, flush_waits_no_longer_than_it_may_and_counts_what_is_left)
{
	_cleanup_(freep) char *text = calloc(1, 40001);
	_cleanup_(freep) char *call = NULL;
	_cleanup_(closep) int fd = dial();
	uint64_t begin = clock_boot_usec();
	size_t left;

	memset(text, 'x', 40000);
	call = text_printf("{\"method\":\"io.slotd.test.Stream\",\"more\":true,"
			   "\"parameters\":{\"n\":50,\"text\":\"%s\"}}",
			   text);
	put_message(fd, call);
	settle(t.event, TURN_USEC);
	left = rpc_service_flush(t.service, 30 * USEC_PER_MSEC);
	cr_assert(gt(sz, left, 100000));
	cr_assert(ge(u64, clock_boot_usec() - begin, 30 * USEC_PER_MSEC));
	for (int i = 0; i < 5; i++)
		get_message(fd);
	cr_assert(lt(sz, rpc_service_flush(t.service, 0), left));
}

Test(service, a_kept_call_outlives_connection_and_service)
{
	_cleanup_(closep) int fd = dial();

	put_message(fd, "{\"method\":\"io.slotd.test.Keep\"}");
	settle(t.event, TURN_USEC);
	rpc_service_free(TAKE(t.service));
	cr_assert(eq(uint, t.n_gone, 1));
	cr_assert(rpc_call_is_gone(t.kept[0]));
	cr_assert(eq(str, (char *)rpc_call_method(t.kept[0]), (char *)"Keep"));
	rpc_reply(t.kept[0], NULL);
	cr_assert(eq(str, (char *)get_message(fd), (char *)""));
}

Test(service, a_handler_may_free_the_service_that_called_it)
{
	_cleanup_(closep) int fd = dial();

	put_message(fd, "{\"method\":\"io.slotd.test.Close\"}");
	put_message(fd, ECHO("a"));
	settle(t.event, TURN_USEC);
	cr_assert(zero(ptr, t.service));
	cr_assert(zero(uint, t.n_echoed));
}

#ifndef NDEBUG
static sigjmp_buf before_abort;

static void on_abort(int signal)
{
	siglongjmp(before_abort, 1);
}

/* comes back from the abort, so that what it leaves can be freed and a leak be told from it */
Test(service, a_wrong_reply_is_our_own_bug)
{
	_cleanup_(closep) int fd = dial();
	json_object *wrong = json_set_string(json_object_new_object(), "n", "seven");

	put_message(fd, "{\"method\":\"io.slotd.test.Keep\"}");
	settle(t.event, TURN_USEC);
	signal(SIGABRT, on_abort);
	if (sigsetjmp(before_abort, 1) == 0) {
		rpc_reply(t.kept[0], wrong);
		cr_assert(0, "the reply went out");
	}
	signal(SIGABRT, SIG_DFL);
	json_object_put(wrong);
	cr_assert(zero(ptr, (void *)get_message(fd)));
	rpc_error(t.kept[0], "io.slotd.pool.Internal", NULL, "not answered otherwise");
}
#endif
