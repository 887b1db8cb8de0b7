/**
 * DOC: fault - one sentence about why something failed
 *
 * A fault is recorded where it is born and travels up unchanged beside its
 * negative errno; whoever owns the request or the loop logs it, once.
 *
 * Calling sequence
 * ----------------
 *	struct fault f = FAULT_NONE;
 *	r = thing_open(&thing, path, &f);
 *	if (r < 0)
 *		log_error("%s", f.text);
 */
#ifndef UTIL_FAULT_H
#define UTIL_FAULT_H

struct fault {
	char text[256]; /* NUL-terminated UTF-8 or bytes as given; empty: nothing more to say */
};

#define FAULT_NONE { .text = "" }

/**
 * fault - record a sentence and hand the code through
 * @f: where the sentence goes; NULL: nowhere
 * @code: a negative errno
 * @fmt: printf format of one sentence without a full stop
 *
 * Returns @code, so that a caller can write "return fault(f, -EINVAL, ...)".
 * What was recorded before is replaced. Long texts are cut at a character.
 */
__attribute__((format(printf, 3, 4))) int fault(struct fault *f, int code, const char *fmt, ...);

/**
 * fault_errno - the same, with the name of the errno's meaning appended
 *
 * As fault(), with ": <strerror(-code)>" behind the sentence.
 */
__attribute__((format(printf, 3, 4))) int fault_errno(struct fault *f, int code, const char *fmt,
						      ...);

/**
 * fault_oom - record that memory ran out
 *
 * Returns -ENOMEM.
 */
int fault_oom(struct fault *f);

#endif
