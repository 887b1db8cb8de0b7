/* Messages out of bytes that come in any pieces, and bytes out of messages. */
#include "rpc/frame.h"

#include <stdlib.h>

#include "support.h"

#include "util/cleanup.h"

static struct frame_buf b;
static int fds[2]; /* [0] is the buffer's socket */

static void setup(void)
{
	cr_assert(zero(int, frame_buf_init(&b, 0, 0, 0)));
	cr_assert(
		zero(int, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds)));
}

static void teardown(void)
{
	frame_buf_deinit(&b);
	close(fds[0]);
	close(fds[1]);
}

TestSuite(frame, .init = setup, .fini = teardown);

static void use_limits(size_t max_message, int max_depth, size_t max_out)
{
	frame_buf_deinit(&b);
	cr_assert(zero(int, frame_buf_init(&b, max_message, max_depth, max_out)));
}

static void read_once(void)
{
	struct fault f = FAULT_NONE;

	cr_assert(zero(int, frame_read(&b, fds[0], &f)), "%s", f.text);
}

static int next(void)
{
	json_object *o = (json_object *)&b; /* must stay so when there is no message */
	int r = frame_next(&b, &o);

	if (r == 0)
		json_object_put(o);
	else
		cr_assert(eq(ptr, (void *)o, (void *)&b));
	return r;
}

static void assert_next_is(const char *expected)
{
	_cleanup_json_ json_object *o = NULL;

	cr_assert(zero(int, frame_next(&b, &o)));
	cr_assert(eq(str, (char *)json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN),
		     (char *)expected));
}

static int outcome_of(const char *message)
{
	put_message(fds[1], message);
	read_once();
	return next();
}

Test(frame, nothing_there_is_no_error)
{
	read_once();
	cr_assert(eq(int, next(), FRAME_E_PARTIAL));
	cr_assert(not(frame_is_partial(&b)));
}

Test(frame, messages_come_out_byte_by_byte)
{
	static const char bytes[] = "{\"a\":1}\0{\"b\":\"x\"}";

	for (size_t i = 0; i < sizeof(bytes); i++) {
		put_bytes(fds[1], bytes + i, 1);
		read_once();
		if (i == 7) {
			cr_assert(frame_is_partial(&b));
			assert_next_is("{\"a\":1}");
			cr_assert(not(frame_is_partial(&b)));
		} else if (i < sizeof(bytes) - 1) {
			cr_assert(eq(int, next(), FRAME_E_PARTIAL));
			cr_assert(frame_is_partial(&b));
		}
	}
	assert_next_is("{\"b\":\"x\"}");
	cr_assert(eq(int, next(), FRAME_E_PARTIAL));
}

Test(frame, several_messages_may_come_at_once)
{
	static const char bytes[] = "{\"a\":1}\0{\"b\":2}\0{\"c\"";

	put_bytes(fds[1], bytes, sizeof(bytes) - 1);
	read_once();
	assert_next_is("{\"a\":1}");
	assert_next_is("{\"b\":2}");
	cr_assert(eq(int, next(), FRAME_E_PARTIAL));
	cr_assert(frame_is_partial(&b));
}

Test(frame, the_end_of_the_stream_comes_after_all_messages)
{
	put_message(fds[1], "{}");
	put_message(fds[1], "{}");
	put_bytes(fds[1], "{\"half", 6);
	close(fds[1]);
	fds[1] = -1;
	read_once();
	read_once();
	cr_assert(zero(int, next()));
	cr_assert(zero(int, next()));
	cr_assert(eq(int, next(), FRAME_E_CLOSED));
	read_once();
	cr_assert(eq(int, next(), FRAME_E_CLOSED));
}

Test(frame, what_is_not_one_object_is_skipped)
{
	static const char *const bad[] = {
		"",
		" ",
		"x",
		"1",
		"\"s\"",
		"null",
		"true",
		"[]",
		"[{}]",
		"{",
		"}",
		"{}{}",
		"{} x",
		"{\"a\":}",
		"{\"a\":01}",
		"{\"a\":1,}",
		"{a:1}",
		"{\"a\":/**/1}",
		"{\"a\"}",
		"{\"a\":\"\xff\"}",
		"{\"\xc3\":1}",
		"{\"a\":\"\xed\xa0\x80\"}",
		"{\"a\":\"\xc0\x80\"}",
		"\xef\xbb\xbf{}",
		"{}\xff",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_assert(eq(int, outcome_of(bad[i]), FRAME_E_NOT_JSON), "%zu: %s", i, bad[i]);
	cr_assert(zero(int, outcome_of("{}")));
}

Test(frame, white_space_around_a_message_and_twice_the_same_key_are_let_through)
{
	cr_assert(zero(int, outcome_of(" \n{} \n")));
	put_message(fds[1], "{\"a\":1,\"a\":2}");
	read_once();
	assert_next_is("{\"a\":2}");
}

Test(frame, depth_is_bounded)
{
	use_limits(0, 3, 0);
	cr_assert(zero(int, outcome_of("{\"a\":{\"b\":[1]}}")));
	cr_assert(eq(int, outcome_of("{\"a\":{\"b\":[[1]]}}"), FRAME_E_TOO_DEEP));
	cr_assert(eq(int, outcome_of("{\"a\":[[[[[[[["), FRAME_E_TOO_DEEP));
	cr_assert(zero(int, outcome_of("{}")));
}

Test(frame, a_message_of_the_limit_passes_and_one_byte_more_does_not)
{
	use_limits(10, 0, 0);
	cr_assert(zero(int, outcome_of("{\"a\":1234}")));
	put_message(fds[1], "{\"a\":12345}");
	read_once();
	cr_assert(eq(int, next(), FRAME_E_TOO_LONG));
	cr_assert(frame_is_partial(&b));
	read_once();
	cr_assert(eq(int, next(), FRAME_E_PARTIAL));
	cr_assert(not(frame_is_partial(&b)));
	cr_assert(zero(int, outcome_of("{}")));
}

Test(frame, too_long_is_said_once_and_the_next_message_survives)
{
	char junk[5000] = "";
	int said = 0, served = 0;

	use_limits(16, 0, 0);
	memset(junk, 'x', sizeof(junk) - 1);
	put_message(fds[1], junk);
	put_message(fds[1], "{}");
	for (int i = 0; i < 1000 && served == 0; i++) {
		int r;

		read_once();
		while ((r = next()) != FRAME_E_PARTIAL) {
			said += r == FRAME_E_TOO_LONG;
			served += r == 0;
		}
		cr_assert(le(sz, b.in_size, 17));
	}
	cr_assert(eq(int, said, 1));
	cr_assert(eq(int, served, 1));
}

Test(frame, unread_messages_bound_what_is_read)
{
	static const char message[] = "{\"text\":\"01234567890123456789012345\"}";
	_cleanup_(freep) char *many = malloc(2500 * sizeof(message));

	for (size_t i = 0; i < 2500; i++)
		memcpy(many + i * sizeof(message), message, sizeof(message));
	put_bytes(fds[1], many, 2500 * sizeof(message));
	for (int i = 0; i < 100; i++)
		read_once();
	cr_assert(eq(sz, b.in_size, FRAME_MESSAGE_BYTES + 1));
	cr_assert(eq(sz, b.in_len, FRAME_MESSAGE_BYTES + 1));
	for (int n = 0; n < 2500; n++) {
		int r = next();

		if (r == FRAME_E_PARTIAL) {
			read_once();
			r = next();
		}
		cr_assert(zero(int, r));
	}
	cr_assert(eq(int, next(), FRAME_E_PARTIAL));
	cr_assert(le(sz, b.in_size, 4096), "a quiet connection keeps little");
}

/* --- out --- */

static _Bool arrives(const char *expected)
{
	const char *text = get_message(fds[1]);

	return text && strcmp(text, expected) == 0;
}

static void flush(void)
{
	struct fault f = FAULT_NONE;

	cr_assert(zero(int, frame_flush(&b, fds[0], &f)), "%s", f.text);
}

Test(frame, a_message_is_plain_json_and_a_nul)
{
	_cleanup_json_ json_object *o = json_set_string(json_object_new_object(), "path", "/a/\"b");

	cr_assert(zero(int, frame_queue(&b, o)));
	cr_assert(zero(int, frame_queue(&b, o)));
	cr_assert(eq(sz, frame_pending(&b), 2 * sizeof("{\"path\":\"/a/\\\"b\"}")));
	flush();
	cr_assert(zero(sz, frame_pending(&b)));
	cr_assert(arrives("{\"path\":\"/a/\\\"b\"}"));
	cr_assert(arrives("{\"path\":\"/a/\\\"b\"}"));
}

Test(frame, no_more_than_the_bound_is_queued)
{
	_cleanup_json_ json_object *o = json_object_new_object();

	use_limits(0, 0, 8);
	cr_assert(zero(int, frame_queue(&b, o)));
	cr_assert(zero(int, frame_queue(&b, o)));
	cr_assert(eq(int, frame_queue(&b, o), -ENOBUFS));
	cr_assert(eq(sz, frame_pending(&b), 6));
	flush();
	cr_assert(zero(int, frame_queue(&b, o)));
}

Test(frame, what_the_socket_does_not_take_stays_queued_in_order)
{
	_cleanup_(freep) char *text = calloc(1, 100001);
	int64_t seen = 0;

	memset(text, 'x', 100000);
	for (int64_t i = 0; i < 20; i++) {
		_cleanup_json_ json_object *o = json_set_int(json_object_new_object(), "i", i);

		cr_assert(zero(int, frame_queue(&b, json_set_string(o, "t", text))));
	}
	flush();
	cr_assert(gt(sz, frame_pending(&b), 0));
	while (seen < 20) {
		struct frame_buf *in = &(struct frame_buf){ 0 };

		cr_assert(zero(int, frame_buf_init(in, 4000000, 0, 0)));
		while (seen < 20) {
			json_object *o;

			flush();
			cr_assert(zero(int, frame_read(in, fds[1], NULL)));
			if (frame_next(in, &o) == FRAME_E_PARTIAL)
				continue;
			cr_assert(eq(i64, json_get_int(o, "i", -1), seen++));
			json_object_put(o);
		}
		frame_buf_deinit(in);
	}
	cr_assert(zero(sz, frame_pending(&b)));
}

Test(frame, a_peer_that_left_is_an_error_and_no_signal)
{
	_cleanup_json_ json_object *o = json_object_new_object();
	struct fault f = FAULT_NONE;

	close(fds[1]);
	fds[1] = -1;
	cr_assert(zero(int, frame_queue(&b, o)));
	cr_assert(eq(int, frame_flush(&b, fds[0], &f), -EPIPE));
	cr_assert(ne(str, f.text, (char *)""));
}

/* --- descriptors --- */

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

Test(frame, a_descriptor_goes_along_and_is_close_on_exec)
{
	_cleanup_json_ json_object *o = json_object_new_object();
	struct frame_buf in;
	int before, p[2], got;
	char byte;

	cr_assert(zero(int, frame_buf_init(&in, 0, 0, 0)));
	cr_assert(zero(int, pipe2(p, O_CLOEXEC)));
	before = open_fds();
	cr_assert(zero(int, frame_queue_fd(&b, o, p[0])));
	flush();
	cr_assert(eq(int, open_fds(), before), "the copy is closed once it was sent");
	cr_assert(zero(int, frame_read(&in, fds[1], NULL)));
	got = frame_take_fd(&in);
	cr_assert(ge(int, got, 0));
	cr_assert(eq(int, fcntl(got, F_GETFD), FD_CLOEXEC));
	cr_assert(eq(int, frame_take_fd(&in), -1));
	cr_assert(eq(long, write(p[1], "x", 1), 1L));
	cr_assert(eq(long, read(got, &byte, 1), 1L));
	close(got);
	close(p[0]);
	close(p[1]);
	frame_buf_deinit(&in);
}

static void send_fds(int n)
{
	char control[CMSG_SPACE(sizeof(int) * 16)] = { 0 };
	struct iovec iov = { (char[]){ 'x' }, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)n) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n);
	for (int i = 0; i < n; i++)
		memcpy(CMSG_DATA(c) + (size_t)i * sizeof(int), &fds[0], sizeof(int));
	cr_assert(eq(long, sendmsg(fds[1], &msg, 0), 1L));
}

Test(frame, descriptors_beyond_the_bound_are_closed_and_those_not_taken_too)
{
	int before = open_fds();

	send_fds(3);
	read_once();
	send_fds(3);
	read_once();
	send_fds(16);
	read_once();
	cr_assert(eq(int, open_fds(), before + FRAME_FDS));
	close(frame_take_fd(&b));
	frame_buf_deinit(&b);
	cr_assert(eq(int, open_fds(), before));
	frame_buf_deinit(&b);
}

Test(frame, a_zeroed_buffer_may_be_deinitialised)
{
	struct frame_buf zero = { 0 };

	frame_buf_deinit(&zero);
	cr_assert(ge(int, fcntl(0, F_GETFD), 0), "descriptor 0 is not ours to close");
}
