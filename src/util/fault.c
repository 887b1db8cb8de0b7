/* One sentence, where it happened. */
#include "util/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* a cut must not leave half a UTF-8 sequence behind */
static void trim_partial_character(char *text, size_t len)
{
	size_t at = len;

	while (at > 0 && ((unsigned char)text[at - 1] & 0xC0) == 0x80)
		at--;
	if (at > 0 && (unsigned char)text[at - 1] >= 0xC0)
		text[at - 1] = '\0';
}

__attribute__((format(printf, 2, 0))) static void fault_format(struct fault *f, const char *fmt,
							       va_list ap)
{
	int n = vsnprintf(f->text, sizeof(f->text), fmt, ap);

	if (n < 0)
		f->text[0] = '\0';
	else if ((size_t)n >= sizeof(f->text))
		trim_partial_character(f->text, sizeof(f->text) - 1);
}

int fault(struct fault *f, int code, const char *fmt, ...)
{
	va_list ap;

	if (!f)
		return code;
	va_start(ap, fmt);
	fault_format(f, fmt, ap);
	va_end(ap);
	return code;
}

int fault_errno(struct fault *f, int code, const char *fmt, ...)
{
	char why[80];
	size_t len;
	va_list ap;

	if (!f)
		return code;
	va_start(ap, fmt);
	fault_format(f, fmt, ap);
	va_end(ap);
	snprintf(why, sizeof(why), ": %s", strerror(-code));
	/* the reason matters more than the end of a long path */
	len = strlen(f->text);
	if (len > sizeof(f->text) - 1 - strlen(why))
		len = sizeof(f->text) - 1 - strlen(why);
	memcpy(f->text + len, why, strlen(why) + 1);
	return code;
}

int fault_oom(struct fault *f)
{
	return fault(f, -ENOMEM, "out of memory");
}
