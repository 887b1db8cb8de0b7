/*
 * Any bytes, in any pieces, through a frame buffer and the check of a call. What comes
 * out must not depend on how the bytes were cut: each input is read twice, once in pieces
 * that the input itself chooses and once whole, and both runs must tell the same story.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc/frame.h"
#include "rpc/idl.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"

#define MAX_INPUT 8192 /* so that a socket takes all of it at once */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* holds in every build, other than assert() */
static void must(bool is_true)
{
	if (!is_true)
		abort();
}

static const struct idl *pool_idl(void)
{
	static struct idl *idl;

	must(idl || idl_parse(io_slotd_pool_varlink, &idl, NULL) == 0);
	return idl;
}

static void check(json_object *message, struct text *story)
{
	const char *full = json_get_string(message, "method");
	const char *dot = full ? strrchr(full, '.') : NULL;
	_cleanup_(freep) char *field = NULL;
	struct fault f = FAULT_NONE;
	int r;

	if (!dot)
		return;
	r = idl_check_call(pool_idl(), dot + 1, json_get_object(message, "parameters"), &field, &f);
	must((r == IDL_E_INVALID) == (field != NULL));
	text_addf(story, " %d %s", r, field ? field : "");
}

static void tell(int outcome, json_object *message, struct frame_buf *b, struct text *story)
{
	text_addf(story, "%d", outcome);
	if (outcome == 0) {
		must(json_object_is_type(message, json_type_object));
		must(frame_queue(b, message) == 0);
		text_add(story, b->out, b->out_len);
		b->out_len = 0;
		check(message, story);
	}
	text_add_string(story, "\n");
}

/* until the buffer wants more; true at the end of the stream */
static bool take_all(struct frame_buf *b, struct text *story)
{
	for (;;) {
		_cleanup_json_ json_object *message = NULL;
		int r = frame_next(b, &message);

		must(b->in_len <= b->max_message + 1);
		if (r == FRAME_E_PARTIAL || r == FRAME_E_CLOSED)
			return r == FRAME_E_CLOSED;
		tell(r, message, b, story);
	}
}

static void run(const uint8_t *data, size_t len, size_t max_message, bool in_pieces,
		struct text *story)
{
	struct frame_buf b;
	int fds[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
	must(frame_buf_init(&b, max_message, 0, 0) == 0);
	for (size_t at = 0; at < len;) {
		size_t n = in_pieces ? 1 + data[at] % 64 : len;

		n = n < len - at ? n : len - at;
		must(send(fds[1], data + at, n, MSG_NOSIGNAL) == (ssize_t)n);
		at += n;
		must(frame_read(&b, fds[0], NULL) == 0);
		take_all(&b, story);
	}
	close(fds[1]);
	do
		must(frame_read(&b, fds[0], NULL) == 0);
	while (!take_all(&b, story));
	close(fds[0]);
	frame_buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct text whole = { 0 }, pieces = { 0 };
	size_t max_message;

	if (len < 1 || len > MAX_INPUT)
		return 0;
	/* short limits, so that long messages need no long input; 0 is the real one */
	max_message = data[0] % 8 ? data[0] * 8u : 0;
	run(data + 1, len - 1, max_message, false, &whole);
	run(data + 1, len - 1, max_message, true, &pieces);
	must(text_is_equal(whole.data, pieces.data));
	text_deinit(&whole);
	text_deinit(&pieces);
	return 0;
}
