/* One answer, one number. */
#include "slotctl/exit.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/text.h"

#define INTERFACE "io.slotd.pool."

static const struct {
	const char *error; /* without the interface */
	enum exit_status status;
} by_error[] = {
	{ "Busy", EXIT_STATUS_BUSY },
	{ "Unavailable", EXIT_STATUS_BUSY },
	{ "QuotaReached", EXIT_STATUS_BUSY },
	{ "NotFound", EXIT_STATUS_ABSENT },
	{ "LeaseGone", EXIT_STATUS_GONE },
	{ "NotPermitted", EXIT_STATUS_DENIED },
	{ "ShuttingDown", EXIT_STATUS_UNREACHABLE },
};

static const struct {
	int code;
	enum exit_status status;
} by_code[] = {
	{ -ECONNREFUSED, EXIT_STATUS_UNREACHABLE }, { -ENOENT, EXIT_STATUS_UNREACHABLE },
	{ -ENOTCONN, EXIT_STATUS_UNREACHABLE },	    { -ECONNRESET, EXIT_STATUS_UNREACHABLE },
	{ -EPIPE, EXIT_STATUS_UNREACHABLE },	    { -ETIMEDOUT, EXIT_STATUS_UNREACHABLE },
	{ -EACCES, EXIT_STATUS_UNREACHABLE },	    { -EPERM, EXIT_STATUS_UNREACHABLE },
	{ -ENOTSOCK, EXIT_STATUS_UNREACHABLE },	    { -EAGAIN, EXIT_STATUS_UNREACHABLE },
	{ -ENOTDIR, EXIT_STATUS_UNREACHABLE },	    { -ELOOP, EXIT_STATUS_UNREACHABLE },
};

enum exit_status exit_status_of(const char *error, int code)
{
	if (error && text_has_prefix(error, INTERFACE)) {
		for (size_t i = 0; i < ARRAY_SIZE(by_error); i++)
			if (strcmp(error + strlen(INTERFACE), by_error[i].error) == 0)
				return by_error[i].status;
	}
	if (error && strcmp(error, "org.varlink.service.InvalidParameter") == 0)
		return EXIT_STATUS_USAGE;
	for (size_t i = 0; !error && i < ARRAY_SIZE(by_code); i++)
		if (by_code[i].code == code)
			return by_code[i].status;
	return EXIT_STATUS_FAILED;
}
