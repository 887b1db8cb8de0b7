/* What is it called? */
#include "git/sha1.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>

static EVP_MD *sha1_md;

/* looked up once: a look-up by name takes a lock and longer than hashing a small blob */
static void md_fetch(void)
{
	sha1_md = EVP_MD_fetch(NULL, "SHA1", NULL);
}

void sha1_init(struct sha1 *s)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, md_fetch);
	s->ctx = sha1_md ? EVP_MD_CTX_new() : NULL;
	if (s->ctx && EVP_DigestInit_ex(s->ctx, sha1_md, NULL) != 1)
		sha1_deinit(s);
}

void sha1_update(struct sha1 *s, const void *data, size_t len)
{
	if (s->ctx && EVP_DigestUpdate(s->ctx, data, len) != 1)
		sha1_deinit(s);
}

int sha1_final(struct sha1 *s, git_oid *ret)
{
	int ok = s->ctx && EVP_DigestFinal_ex(s->ctx, ret->id, NULL) == 1;

	sha1_deinit(s);
	return ok ? 0 : -ENOMEM;
}

void sha1_deinit(struct sha1 *s)
{
	EVP_MD_CTX_free(s->ctx);
	s->ctx = NULL;
}

int sha1_object(git_object_t type, const void *data, size_t len, git_oid *ret)
{
	char header[64];
	int n = snprintf(header, sizeof(header), "%s %zu", git_object_type2string(type), len);
	struct sha1 s;

	sha1_init(&s);
	sha1_update(&s, header, (size_t)n + 1);
	sha1_update(&s, data, len);
	return sha1_final(&s, ret);
}
