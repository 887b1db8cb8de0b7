#include "fixture.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scratch.h"
#include "util/cleanup.h"
#include "util/clock.h"

void fixture_open(struct fixture *x)
{
	memset(x, 0, sizeof(*x));
	x->dir = scratch_make();
	cr_assert(sd_event_new(&x->event) >= 0);
	setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
	setenv("GIT_CONFIG_SYSTEM", "/dev/null", 1);
	setenv("GIT_AUTHOR_NAME", "A", 1);
	setenv("GIT_AUTHOR_EMAIL", "a@example.org", 1);
	setenv("GIT_COMMITTER_NAME", "A", 1);
	setenv("GIT_COMMITTER_EMAIL", "a@example.org", 1);
}

void fixture_close(struct fixture *x)
{
	watch_free(x->watch);
	sd_event_unref(x->event);
}

void fixture_called(struct watch *w, void *userdata)
{
	struct fixture *x = userdata;

	x->calls++;
}

void fixture_shell(struct fixture *x, const char *fmt, ...)
{
	_cleanup_(freep) char *command = NULL;
	_cleanup_(freep) char *line = NULL;
	va_list ap;

	va_start(ap, fmt);
	cr_assert(vasprintf(&command, fmt, ap) >= 0);
	va_end(ap);
	cr_assert(asprintf(&line, "cd %s && { %s; } >/dev/null", x->dir, command) >= 0);
	cr_assert(system(line) == 0, "%s", command);
}

static unsigned take_calls(struct fixture *x)
{
	unsigned calls = x->calls;

	x->calls = 0;
	return calls;
}

unsigned fixture_drain(struct fixture *x)
{
	while (sd_event_run(x->event, 0) > 0)
		;
	return take_calls(x);
}

unsigned fixture_wait(struct fixture *x)
{
	uint64_t until = clock_boot_usec() + 10 * USEC_PER_SEC;

	while (x->calls == 0 && clock_boot_usec() < until)
		cr_assert(sd_event_run(x->event, 100 * USEC_PER_MSEC) >= 0);
	return take_calls(x);
}
