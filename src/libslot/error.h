/**
 * DOC: error - the daemon's named errors as negative errno
 *
 * The one place where names become numbers; slot.h lists the pairs for callers.
 */
#ifndef LIBSLOT_ERROR_H
#define LIBSLOT_ERROR_H

#define ERROR_PREFIX "io.slotd.pool."

/* @name: the full name; one that is not known is -ENOTRECOVERABLE */
int error_to_errno(const char *name);

#endif
