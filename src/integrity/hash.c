/* What is it called, and did somebody arrange for that? */
#include "integrity/hash.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <git2/sys/odb_backend.h>

#include "util/cleanup.h"

static int sink_write(git_odb_stream *stream, const char *data, size_t len)
{
	return 0;
}

static int sink_finalize(git_odb_stream *stream, const git_oid *oid)
{
	return 0;
}

static void sink_free(git_odb_stream *stream)
{
	free(stream);
}

/* libgit2 hashes what passes through a stream to a database; this one is for that alone */
static int sink_open(git_odb_stream **ret, git_odb_backend *backend, git_object_size_t len,
		     git_object_t type)
{
	git_odb_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return GIT_ERROR;
	stream->backend = backend;
	stream->mode = GIT_STREAM_WRONLY;
	stream->write = sink_write;
	stream->finalize_write = sink_finalize;
	stream->free = sink_free;
	*ret = stream;
	return 0;
}

static void sink_close(git_odb_backend *backend)
{
	free(backend);
}

static int odb_new(git_odb **ret)
{
	git_odb_backend *backend = malloc(sizeof(*backend));
	git_odb *odb = NULL;

	if (!backend || git_odb_init_backend(backend, GIT_ODB_BACKEND_VERSION) < 0 ||
	    git_odb_new(&odb) < 0) {
		free(backend);
		return -ENOMEM;
	}
	backend->writestream = sink_open;
	backend->free = sink_close;
	if (git_odb_add_backend(odb, backend, 1) < 0) {
		free(backend);
		git_odb_free(odb);
		return -ENOMEM;
	}
	*ret = odb;
	return 0;
}

int hash_init(struct hash *h, bool detect_collisions)
{
	*h = (struct hash){ .detect_collisions = detect_collisions };
	if (detect_collisions)
		return odb_new(&h->odb);
	/* looked up by name once: that takes longer than hashing a small object */
	h->md = EVP_MD_fetch(NULL, "SHA1", NULL);
	h->ctx = h->md ? EVP_MD_CTX_new() : NULL;
	return h->ctx ? 0 : -ENOMEM;
}

void hash_deinit(struct hash *h)
{
	git_odb_stream_free(h->stream);
	git_odb_free(h->odb);
	EVP_MD_CTX_free(h->ctx);
	EVP_MD_free(h->md);
	*h = (struct hash){ 0 };
}

int hash_begin_plain(struct hash *h)
{
	h->failed = EVP_DigestInit_ex2(h->ctx, h->md, NULL) != 1;
	return h->failed ? -ENOMEM : 0;
}

int hash_begin(struct hash *h, git_object_t type, uint64_t len)
{
	char header[64];
	int n;

	if (h->detect_collisions) {
		git_odb_stream_free(h->stream);
		h->stream = NULL;
		h->failed = git_odb_open_wstream(&h->stream, h->odb, len, type) < 0;
		return h->failed ? -ENOMEM : 0;
	}
	if (hash_begin_plain(h) < 0)
		return -ENOMEM;
	n = snprintf(header, sizeof(header), "%s %llu", git_object_type2string(type),
		     (unsigned long long)len);
	hash_update(h, header, (size_t)n + 1);
	return h->failed ? -ENOMEM : 0;
}

void hash_update(struct hash *h, const void *data, size_t len)
{
	if (h->failed)
		return;
	h->failed = h->detect_collisions ? git_odb_stream_write(h->stream, data, len) < 0 :
					   EVP_DigestUpdate(h->ctx, data, len) != 1;
}

int hash_final(struct hash *h, git_oid *ret)
{
	if (!h->failed)
		h->failed = h->detect_collisions ? git_odb_stream_finalize_write(ret, h->stream) < 0 :
						   EVP_DigestFinal_ex(h->ctx, ret->id, NULL) != 1;
	return h->failed ? -ENOMEM : 0;
}

int hash_object(struct hash *h, git_object_t type, const void *data, size_t len, git_oid *ret)
{
	if (hash_begin(h, type, len) < 0)
		return -ENOMEM;
	hash_update(h, data, len);
	return hash_final(h, ret);
}
