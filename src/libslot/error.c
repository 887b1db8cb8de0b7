/* Every "no" has a number. */
#include "libslot/error.h"

#include <errno.h>
#include <string.h>

#include "util/cleanup.h"

static const struct {
	const char *name;
	int code;
} errors[] = {
	{ ERROR_PREFIX "Busy", -EBUSY },
	{ ERROR_PREFIX "Unavailable", -ENODEV },
	{ ERROR_PREFIX "QuotaReached", -EDQUOT },
	{ ERROR_PREFIX "NotFound", -ENOENT },
	{ ERROR_PREFIX "LeaseGone", -ESTALE },
	{ ERROR_PREFIX "NotPermitted", -EACCES },
	{ ERROR_PREFIX "Isolated", -EUCLEAN },
	{ ERROR_PREFIX "KeyReused", -EEXIST },
	{ ERROR_PREFIX "Unsupported", -EOPNOTSUPP },
	{ ERROR_PREFIX "Exists", -EEXIST },
	{ ERROR_PREFIX "Conflict", -ENOTEMPTY },
	{ ERROR_PREFIX "BranchInUse", -EADDRINUSE },
	{ ERROR_PREFIX "GitFailed", -EREMOTEIO },
	{ ERROR_PREFIX "HookFailed", -EREMOTEIO },
	{ ERROR_PREFIX "LedgerFailed", -EIO },
	{ ERROR_PREFIX "LimitReached", -EUSERS },
	{ ERROR_PREFIX "ShuttingDown", -ESHUTDOWN },
	{ ERROR_PREFIX "InvalidMessage", -EBADMSG },
	{ ERROR_PREFIX "Internal", -ENOTRECOVERABLE },
	{ "org.varlink.service.InvalidParameter", -EINVAL },
	{ "org.varlink.service.ExpectedMore", -EINVAL },
	{ "org.varlink.service.MethodNotFound", -EOPNOTSUPP },
	{ "org.varlink.service.MethodNotImplemented", -EOPNOTSUPP },
	{ "org.varlink.service.InterfaceNotFound", -EOPNOTSUPP },
	{ "org.varlink.service.PermissionDenied", -EACCES },
};

int error_to_errno(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		if (strcmp(errors[i].name, name) == 0)
			return errors[i].code;
	}
	return -ENOTRECOVERABLE;
}
