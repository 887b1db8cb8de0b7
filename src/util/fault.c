/* One sentence, where it happened. */
#include "util/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* length without the half of a UTF-8 sequence that a cut left at the end */
static size_t whole_characters(const char *text, size_t len)
{
	size_t at = len, need;
	unsigned char lead;

	while (at > 0 && len - at < 3 && ((unsigned char)text[at - 1] & 0xC0) == 0x80)
		at--;
	if (at == 0)
		return len;
	lead = (unsigned char)text[at - 1];
	need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
	return len - (at - 1) < need ? at - 1 : len;
}

/* by way of a copy: one of the arguments may be f->text itself */
__attribute__((format(printf, 2, 0)))
static void fault_format(struct fault *f, const char *fmt, va_list ap)
{
	char text[sizeof(f->text)];
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	size_t len = n < 0 ? 0 : (size_t)n;

	if (len >= sizeof(text))
		len = whole_characters(text, sizeof(text) - 1);
	memcpy(f->text, text, len);
	f->text[len] = '\0';
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
		len = whole_characters(f->text, sizeof(f->text) - 1 - strlen(why));
	memcpy(f->text + len, why, strlen(why) + 1);
	return code;
}

int fault_oom(struct fault *f)
{
	return fault(f, -ENOMEM, "out of memory");
}
