/* A client against bytes written by hand, and against a service. */
#include "rpc/client.h"

#include <stdlib.h>

#include "support.h"

#include "rpc/frame.h"
#include "rpc/service.h"
#include "util/cleanup.h"
#include "util/text.h"

#define TURN_USEC 20000

static struct {
	sd_event *event;
	struct rpc_client *client;
	int fd; /* the other end */
	unsigned n_replies;
	unsigned n_gone;
	bool continues;
	char error[128];
	char params[256];
	bool free_in_reply;
	bool call_in_reply;
} t;

static void on_gone(struct rpc_client *c, void *userdata)
{
	cr_assert(eq(ptr, userdata, &t));
	t.n_gone++;
}

static void dial(void)
{
	struct fault f = FAULT_NONE;
	int fds[2];

	cr_assert(zero(int, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)));
	cr_assert(zero(int, rpc_client_new(t.event, fds[0], on_gone, &t, &t.client, &f)));
	t.fd = fds[1];
}

static void setup(void)
{
	cr_assert(ge(int, sd_event_default(&t.event), 0));
	dial();
}

static void teardown(void)
{
	rpc_client_free(t.client);
	closep(&t.fd);
	sd_event_unref(t.event);
}

TestSuite(client, .init = setup, .fini = teardown);

static int call(bool more, int fd);

static void on_reply(struct rpc_client *c, const char *error, json_object *params, bool continues,
		     void *userdata)
{
	cr_assert(eq(ptr, userdata, &t.n_replies));
	cr_assert(params != NULL);
	t.n_replies++;
	t.continues = continues;
	cr_assert(eq(int, rpc_client_is_busy(c), continues));
	snprintf(t.error, sizeof(t.error), "%s", error ? error : "");
	snprintf(t.params, sizeof(t.params), "%s",
		 json_object_to_json_string_ext(params, JSON_C_TO_STRING_PLAIN));
	if (t.free_in_reply)
		rpc_client_free(TAKE(t.client));
	if (t.call_in_reply) {
		t.call_in_reply = false;
		cr_assert(zero(int, call(false, -1)));
	}
}

static int call(bool more, int fd)
{
	json_object *params = json_set_int(json_object_new_object(), "n", 1);

	return rpc_client_call(t.client, "a.b.M", params, more, fd, on_reply, &t.n_replies, NULL);
}

static void answer(const char *text)
{
	put_message(t.fd, text);
	settle(t.event, TURN_USEC);
}

Test(client, a_call_goes_out_and_its_reply_comes_back)
{
	cr_assert(not(rpc_client_is_busy(t.client)));
	cr_assert(zero(int, call(false, -1)));
	cr_assert(rpc_client_is_busy(t.client));
	cr_assert(eq(str, (char *)get_message(t.fd),
		     (char *)"{\"method\":\"a.b.M\",\"parameters\":{\"n\":1}}"));
	cr_assert(eq(int, call(false, -1), -EBUSY));
	answer("{\"parameters\":{\"x\":2}}");
	cr_assert(eq(uint, t.n_replies, 1));
	cr_assert(eq(str, t.params, (char *)"{\"x\":2}"));
	cr_assert(eq(str, t.error, (char *)""));
	cr_assert(zero(int, call(false, -1)));
	answer("{}");
	cr_assert(eq(str, t.params, (char *)"{}"));
}

Test(client, an_error_has_a_name_and_parameters)
{
	cr_assert(zero(int, call(false, -1)));
	answer("{\"error\":\"a.b.Bad\",\"parameters\":{\"message\":\"no\"}}");
	cr_assert(eq(str, t.error, (char *)"a.b.Bad"));
	cr_assert(eq(str, t.params, (char *)"{\"message\":\"no\"}"));
}

Test(client, more_replies_come_until_the_last)
{
	cr_assert(zero(int, call(true, -1)));
	cr_assert(eq(str, (char *)get_message(t.fd),
		     (char *)"{\"method\":\"a.b.M\",\"parameters\":{\"n\":1},\"more\":true}"));
	put_message(t.fd, "{\"parameters\":{},\"continues\":true}");
	answer("{\"parameters\":{},\"continues\":true}");
	cr_assert(eq(uint, t.n_replies, 2));
	cr_assert(t.continues);
	cr_assert(eq(int, call(false, -1), -EBUSY));
	answer("{\"parameters\":{\"end\":true}}");
	cr_assert(eq(uint, t.n_replies, 3));
	cr_assert(not(t.continues));
}

Test(client, the_end_of_the_stream_is_the_last_reply_of_a_call_under_way)
{
	cr_assert(zero(int, call(true, -1)));
	put_message(t.fd, "{\"parameters\":{},\"continues\":true}");
	close(TAKE_FD(t.fd));
	settle(t.event, TURN_USEC);
	cr_assert(eq(uint, t.n_replies, 2));
	cr_assert(eq(str, t.error, (char *)"io.slotd.worker.Gone"));
	cr_assert(zero(uint, t.n_gone));
	cr_assert(eq(int, call(false, -1), -EPIPE));
}

Test(client, the_end_of_an_idle_stream_is_told_once)
{
	close(TAKE_FD(t.fd));
	settle(t.event, TURN_USEC);
	cr_assert(eq(uint, t.n_gone, 1));
	cr_assert(zero(uint, t.n_replies));
	cr_assert(eq(int, call(false, -1), -EPIPE));
}

Test(client, a_call_into_a_closed_socket_fails_without_a_signal_and_is_not_pending)
{
	close(TAKE_FD(t.fd));
	cr_assert(eq(int, call(false, -1), -EPIPE));
	cr_assert(not(rpc_client_is_busy(t.client)));
	settle(t.event, TURN_USEC);
	cr_assert(eq(uint, t.n_gone, 1));
	cr_assert(zero(uint, t.n_replies));
}

Test(client, what_is_no_reply_ends_the_connection)
{
	static const char *const bad[] = { "", "x", "[]", "{\"error\":1}", "{\"parameters\":1}" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		cr_assert(zero(int, call(false, -1)));
		answer(bad[i]);
		cr_assert(eq(uint, t.n_replies, (unsigned)i + 1));
		cr_assert(eq(str, t.error, (char *)"io.slotd.worker.Gone"), "%s", bad[i]);
		rpc_client_free(TAKE(t.client));
		close(TAKE_FD(t.fd));
		dial();
	}
	answer("{\"parameters\":{}}");
	cr_assert(eq(uint, t.n_gone, 1), "a reply that nobody asked for");
}

Test(client, the_client_may_be_freed_in_its_own_callback)
{
	t.free_in_reply = true;
	cr_assert(zero(int, call(true, -1)));
	put_message(t.fd, "{\"continues\":true}");
	answer("{\"continues\":true}");
	cr_assert(eq(uint, t.n_replies, 1));
	cr_assert(eq(str, (char *)get_message(t.fd),
		     (char *)"{\"method\":\"a.b.M\",\"parameters\":{\"n\":1},\"more\":true}"));
	cr_assert(eq(str, (char *)get_message(t.fd), (char *)""));
}

Test(client, a_callback_may_call_again)
{
	t.call_in_reply = true;
	cr_assert(zero(int, call(false, -1)));
	answer("{}");
	cr_assert(rpc_client_is_busy(t.client));
	answer("{}");
	cr_assert(eq(uint, t.n_replies, 2));
	cr_assert(not(rpc_client_is_busy(t.client)));
}

Test(client, a_descriptor_goes_along)
{
	struct frame_buf in;
	json_object *o;
	char byte;
	int p[2], got;

	cr_assert(zero(int, pipe2(p, O_CLOEXEC)));
	cr_assert(zero(int, call(false, p[0])));
	close(p[0]);
	cr_assert(zero(int, frame_buf_init(&in, 0, 0, 0)));
	cr_assert(zero(int, frame_read(&in, t.fd, NULL)));
	cr_assert(zero(int, frame_next(&in, &o)));
	json_object_put(o);
	got = frame_take_fd(&in);
	cr_assert(ge(int, got, 0));
	cr_assert(eq(long, write(p[1], "x", 1), 1L));
	cr_assert(eq(long, read(got, &byte, 1), 1L));
	close(got);
	close(p[1]);
	frame_buf_deinit(&in);
}

Test(client, a_call_larger_than_the_socket_takes_goes_out_in_pieces)
{
	_cleanup_(freep) char *text = calloc(1, 1000001);
	json_object *params = json_object_new_object();
	size_t n = 0;
	char byte = 'x';

	memset(text, 'x', 1000000);
	json_set_string(params, "text", text);
	cr_assert(zero(int, rpc_client_call(t.client, "a.b.M", params, false, -1, on_reply,
					    &t.n_replies, NULL)));
	while (byte) {
		char bytes[65536];
		ssize_t r = recv(t.fd, bytes, sizeof(bytes), MSG_DONTWAIT);

		if (r > 0) {
			n += (size_t)r;
			byte = bytes[r - 1];
		}
		sd_event_run(t.event, 0);
	}
	cr_assert(gt(sz, n, 1000000));
	answer("{}");
	cr_assert(eq(uint, t.n_replies, 1));
}

/* --- with the real other end --- */

static int echo(struct rpc_call *c, json_object *params, void *userdata, struct fault *f)
{
	json_object *o = json_set_int(json_object_new_object(), "n", json_get_int(params, "n", 0));

	if (rpc_call_wants_more(c))
		rpc_reply_more(c, json_object_get(o));
	rpc_reply(c, o);
	return 0;
}

Test(client, client_and_service_understand_each_other)
{
	static const struct rpc_method methods[] = { { "M", echo }, { 0 } };
	struct rpc_service *s;
	int fds[2];

	cr_assert(zero(int, rpc_service_new(t.event, "", "", "", "", NULL, &s, NULL)));
	cr_assert(zero(int,
		       rpc_service_add_interface(s, "interface a.b\nmethod M(n: int) -> (n: int)\n",
						 methods, NULL)));
	cr_assert(zero(int, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)));
	rpc_client_free(TAKE(t.client));
	cr_assert(zero(int, rpc_conn_new(s, fds[0], NULL)));
	cr_assert(zero(int, rpc_client_new(t.event, fds[1], on_gone, &t, &t.client, NULL)));

	cr_assert(zero(int, call(true, -1)));
	settle(t.event, TURN_USEC);
	cr_assert(eq(uint, t.n_replies, 2));
	cr_assert(eq(str, t.params, (char *)"{\"n\":1}"));
	rpc_service_free(s);
	settle(t.event, TURN_USEC);
	cr_assert(eq(uint, t.n_gone, 1));
}
