/* Every way in once, in the order of the configuration. */
#include "git/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "git/known-hosts.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

enum {
	TRIED_KEY = 1 << 0,
	TRIED_AGENT = 1 << 1,
	TRIED_TOKEN = 1 << 2,
	TRIED_HELPER = 1 << 3,
	TRIED_USER = 1 << 4,
};

static bool is_set(const char *s)
{
	return s && *s;
}

/* true once */
static bool try_once(struct credentials_session *session, unsigned way)
{
	bool first = !(session->tried & way);

	session->tried |= way;
	return first;
}

static int from_key(git_credential **ret, struct credentials_session *session, const char *user)
{
	const char *key = session->credentials->ssh_key;
	_cleanup_(freep) char *public = text_printf("%s.pub", key);

	if (!public)
		return -1;
	if (access(key, R_OK) < 0) {
		fault_errno(session->fault, -errno, "cannot read credentials.ssh_key %s", key);
		return -1;
	}
	return git_credential_ssh_key_new(ret, user, access(public, R_OK) == 0 ? public : NULL,
					  key, NULL);
}

static int from_token(git_credential **ret, struct credentials_session *session)
{
	const char *path = session->credentials->token_file;
	_cleanup_(freep) char *text = NULL;
	int r = fs_read_file_at(AT_FDCWD, path, 64 * 1024, &text, NULL);

	if (r < 0) {
		fault_errno(session->fault, r, "cannot read credentials.token_file %s", path);
		return -1;
	}
	text[strcspn(text, "\r\n")] = '\0';
	return git_credential_userpass_plaintext_new(ret, "x-access-token", text);
}

static int from_helper(git_credential **ret, struct credentials_session *session)
{
	_cleanup_(freep) char *user = NULL;
	_cleanup_(freep) char *password = NULL;

	if (credentials_ask_helper(session->credentials->helper, session->url, &user, &password,
				   session->fault) < 0)
		return -1;
	return git_credential_userpass_plaintext_new(ret, user, password);
}

/* GIT_PASSTHROUGH: no way of this kind is left */
static int by_ssh(git_credential **ret, struct credentials_session *session, const char *user)
{
	if (is_set(session->credentials->ssh_key) && try_once(session, TRIED_KEY))
		return from_key(ret, session, user);
	if (!is_set(session->credentials->ssh_key) && getenv("SSH_AUTH_SOCK") &&
	    try_once(session, TRIED_AGENT))
		return git_credential_ssh_key_from_agent(ret, user);
	return GIT_PASSTHROUGH;
}

static int by_password(git_credential **ret, struct credentials_session *session)
{
	const struct credentials *c = session->credentials;

	if (is_set(c->token_file) && try_once(session, TRIED_TOKEN))
		return from_token(ret, session);
	if (c->helper && c->helper[0] && try_once(session, TRIED_HELPER))
		return from_helper(ret, session);
	return GIT_PASSTHROUGH;
}

int credentials_acquire(git_credential **ret, const char *url, const char *user, unsigned allowed,
			void *payload)
{
	struct credentials_session *session = payload;
	int rc = GIT_PASSTHROUGH;

	if (!is_set(user))
		user = "git";
	if ((allowed & GIT_CREDENTIAL_USERNAME) && try_once(session, TRIED_USER))
		return git_credential_username_new(ret, user);
	if (allowed & GIT_CREDENTIAL_SSH_KEY)
		rc = by_ssh(ret, session, user);
	if (rc == GIT_PASSTHROUGH && (allowed & GIT_CREDENTIAL_USERPASS_PLAINTEXT))
		rc = by_password(ret, session);
	if (rc != GIT_PASSTHROUGH)
		return rc;
	fault(session->fault, -EACCES, "%s does not let us in%s", session->url,
	      session->tried & ~(unsigned)TRIED_USER ?
		      " with the pool's credentials" :
		      ": set credentials.ssh_key, .token_file or .helper of the pool");
	return GIT_EAUTH;
}

/* the port in ssh://user@host:2222/path; 22 in every other form */
static unsigned port_of(const char *url)
{
	const char *at, *slash;

	if (!text_has_prefix(url, "ssh://"))
		return 22;
	url += strlen("ssh://");
	slash = url + strcspn(url, "/");
	at = memchr(url, '@', (size_t)(slash - url));
	if (at)
		url = at + 1;
	if (*url == '[')
		url += strcspn(url, "]");
	url += strcspn(url, ":/");
	return *url == ':' ? (unsigned)strtoul(url + 1, NULL, 10) : 22;
}

static int refuse_host(struct credentials_session *session, const char *host, int why,
		       const char *where)
{
	const char *said = why == KNOWN_HOSTS_E_CHANGED ? "has another key than" :
			   why == KNOWN_HOSTS_E_REVOKED ? "shows a key that is revoked in" :
							  "is not in";

	fault(session->fault, -EACCES,
	      "the ssh host %s %s %s; add its key there (ssh-keyscan) after checking it", host, said,
	      where);
	return GIT_ECERTIFICATE;
}

static int check_ssh_host(const git_cert_hostkey *cert, int valid, const char *host,
			  struct credentials_session *session)
{
	const char *path = session->credentials->known_hosts;
	struct fault f = FAULT_NONE;
	int r;

	if (!is_set(path))
		return valid ? 0 :
			       refuse_host(session, host, KNOWN_HOSTS_E_ABSENT,
					   "~/.ssh/known_hosts, and credentials.known_hosts is not "
					   "set");
	if (!(cert->type & GIT_CERT_SSH_RAW))
		return refuse_host(session, host, KNOWN_HOSTS_E_ABSENT, path);
	r = known_hosts_check(path, host, port_of(session->url), (const uint8_t *)cert->hostkey,
			      cert->hostkey_len, &f);
	if (r < 0)
		fault(session->fault, -EACCES, "%s", f.text);
	return r <= 0 ? r : refuse_host(session, host, r, path);
}

int credentials_check_host(git_cert *cert, int valid, const char *host, void *payload)
{
	struct credentials_session *session = payload;

	if (cert->cert_type == GIT_CERT_HOSTKEY_LIBSSH2)
		return check_ssh_host((const git_cert_hostkey *)cert, valid, host, session);
	if (valid)
		return 0;
	fault(session->fault, -EACCES, "the certificate of %s is not trusted on this machine", host);
	return GIT_ECERTIFICATE;
}
