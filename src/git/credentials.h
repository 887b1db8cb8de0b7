/**
 * DOC: credentials - who we are to a remote, and who it is to us
 *
 * As the operator configured it; files are read when they are needed, so that a token may
 * change. Each way in is tried once.
 */
#ifndef GIT_CREDENTIALS_H
#define GIT_CREDENTIALS_H

#include <git2.h>

#include "util/fault.h"

/* all borrowed; NULL or empty: not configured */
struct credentials {
	const char *ssh_key;	 /* private key; "<it>.pub" is used when it is there */
	const char *known_hosts; /* else ~/.ssh/known_hosts */
	const char *token_file;	 /* first line is the password of "x-access-token" */
	const char *const *helper; /* argv, NULL-terminated; speaks git's credential protocol */
};

/* of one connection; { .credentials = ..., .url = ..., .fault = ... } */
struct credentials_session {
	const struct credentials *credentials;
	const char *url;
	unsigned tried;	     /* bits of our own */
	struct fault *fault; /* why a callback refused; filled when it did */
};

/* libgit2's callbacks; the payload is a struct credentials_session */
int credentials_acquire(git_credential **ret, const char *url, const char *user, unsigned allowed,
			void *session);
int credentials_check_host(git_cert *cert, int valid, const char *host, void *session);

/**
 * credentials_ask_helper - user and password from a program
 * @helper: argv; "get" is appended. Run in "/" without a shell, for at most 10 s
 * @ret_user, @ret_password: allocated
 */
int credentials_ask_helper(const char *const *helper, const char *url, char **ret_user,
			   char **ret_password, struct fault *f);

#endif
