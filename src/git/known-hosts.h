/**
 * DOC: known-hosts - is this the key that the host had before?
 *
 * The file of ssh(1): plain and hashed names, lists, [host]:port, @revoked. Names with
 * wildcards and certificate authorities are not used.
 */
#ifndef GIT_KNOWN_HOSTS_H
#define GIT_KNOWN_HOSTS_H

#include <stddef.h>
#include <stdint.h>

#include "util/fault.h"

enum known_hosts_outcome {
	KNOWN_HOSTS_E_ABSENT = 1, /* nothing is known of this host */
	KNOWN_HOSTS_E_CHANGED,	  /* it is known by other keys of this type */
	KNOWN_HOSTS_E_REVOKED,
};

/**
 * known_hosts_check - look a key up
 * @path: of the file
 * @host: name; @port: 22 or as in the url
 * @key, @len: as the protocol has it (begins with the type's name)
 *
 * 0: known. An outcome, or -ENOENT, -EACCES, ... of the file.
 */
int known_hosts_check(const char *path, const char *host, unsigned port, const uint8_t *key,
		      size_t len, struct fault *f);

#endif
