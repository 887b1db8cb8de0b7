/* What a commit-graph says of commits, held against the commits. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "integrity/graph-private.h"
#include "integrity/pack-private.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

#define CHAIN_BYTES (1 << 20)
#define TELL_EVERY  1024 /* commits between two words about progress */

static void layer_free(struct graph_layer *layer)
{
	chunk_file_deinit(&layer->file);
	free(layer);
}

static void graph_deinit(struct graph *g)
{
	for (size_t i = 0; i < g->n; i++)
		layer_free(g->layers[i]);
	free(g->layers);
}

/* chunks that only some graphs have */
static int find_optional(struct graph_layer *layer)
{
	struct chunk_file *f = &layer->file;
	const struct chunk *dates = chunk_find(f, CHUNK_ID('G', 'D', 'A', '2'));

	layer->edges = chunk_find(f, CHUNK_ID('E', 'D', 'G', 'E'));
	layer->large_dates = chunk_find(f, CHUNK_ID('G', 'D', 'O', '2'));
	if (layer->edges && layer->edges->len % 4 != 0)
		return chunk_file_tell(f, NULL, "the chunk EDGE is cut in the middle of a number");
	if (layer->large_dates && layer->large_dates->len % 8 != 0)
		return chunk_file_tell(f, NULL, "the chunk GDO2 is cut in the middle of a number");
	return dates ? chunk_need(f, CHUNK_ID('G', 'D', 'A', '2'), (uint64_t)f->n * 4, &layer->dates) : 1;
}

/* the names of the files below this one in the chain */
static int check_bases(struct graph *g, struct graph_layer *layer, unsigned n_bases)
{
	const struct chunk *chunk = NULL;
	int r;

	if (n_bases != g->n)
		return chunk_file_tell(&layer->file, NULL, "it is made for %u files below it, not for %zu", n_bases,
				       g->n);
	if (n_bases == 0)
		return 1;
	r = chunk_need(&layer->file, CHUNK_ID('B', 'A', 'S', 'E'), (uint64_t)n_bases * GIT_OID_RAWSZ, &chunk);
	for (size_t i = 0; i < g->n && r > 0; i++)
		if (memcmp(chunk->data + i * GIT_OID_RAWSZ, chunk_file_sum(&g->layers[i]->file),
			   GIT_OID_RAWSZ) != 0)
			r = chunk_file_tell(&layer->file, NULL, "it is made for other files below it");
	return r;
}

static int layer_parse(struct graph *g, struct graph_layer *layer)
{
	struct chunk_file *f = &layer->file;
	int r;

	if (f->len < GRAPH_HEADER_BYTES + GIT_OID_RAWSZ)
		return chunk_file_tell(f, NULL, "it is too short to be one");
	if (memcmp(f->data, "CGPH", 4) != 0)
		return chunk_file_tell(f, NULL, "it does not begin like one");
	if (f->data[4] != 1 || f->data[5] != 1)
		return chunk_file_tell(f, NULL, "its version, or its kind of hash, is unknown");
	r = chunk_file_parse(f, GRAPH_HEADER_BYTES, f->data[6]);
	if (r > 0)
		r = check_bases(g, layer, f->data[7]);
	if (r > 0)
		r = chunk_file_names(f);
	if (r > 0)
		r = chunk_need(f, CHUNK_ID('C', 'D', 'A', 'T'), (uint64_t)f->n * GRAPH_COMMIT_BYTES,
			       &layer->commits);
	return r > 0 ? find_optional(layer) : r;
}

/* a file onto those that are below it */
static int layer_add(struct graph *g, int dir_fd, const char *dir, const char *path)
{
	struct graph_layer **layers = reallocarray(g->layers, g->n + 1, sizeof(*layers));
	struct graph_layer *layer;
	int r;

	if (!layers)
		return -ENOMEM;
	g->layers = layers;
	layer = calloc(1, sizeof(*layer));
	if (!layer)
		return -ENOMEM;
	layer->first = g->n_commits;
	r = chunk_file_load(g->check, dir_fd, dir, path, "corrupt-commit-graph", &layer->file);
	if (r > 0)
		r = layer_parse(g, layer);
	if (r <= 0) {
		layer_free(layer);
		return r;
	}
	g->layers[g->n++] = layer;
	g->n_commits += layer->file.n;
	return 1;
}

static int check_commits(struct graph *g)
{
	int r = 0;

	for (size_t i = 0; i < g->n && r == 0; i++)
		for (uint32_t pos = 0; pos < g->layers[i]->file.n && r == 0; pos++) {
			r = graph_check_commit(g, g->layers[i], pos);
			if (r == 0 && pos % TELL_EVERY == 0)
				r = check_tell(g->check);
		}
	return r;
}

static int check_single(struct graph *g, int objects_fd, const char *dir)
{
	int r = layer_add(g, objects_fd, dir, "info/commit-graph");

	return r > 0 ? check_commits(g) : r;
}

/* --- chains --- */

static int tell_chain(struct graph *g, const char *dir, const char *what)
{
	_cleanup_(freep) char *where = text_printf("%s/info/commit-graphs/commit-graph-chain", dir);
	struct finding_place place = { .where = where };

	return where ? finding_add(g->check->findings, "corrupt-commit-graph", &place, "%s", what) : -ENOMEM;
}

static bool is_name(const char *s)
{
	return strlen(s) == GIT_OID_HEXSZ && strspn(s, "0123456789abcdef") == GIT_OID_HEXSZ;
}

static bool has_file(int fd, const char *path)
{
	struct stat st;

	return fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* 1: it is there and sound; else the chain ends here */
static int add_link(struct graph *g, int objects_fd, const char *dir, const char *name)
{
	char path[sizeof("info/commit-graphs/graph-.graph") + GIT_OID_HEXSZ];
	git_oid oid;
	int r;

	if (!is_name(name))
		return tell_chain(g, dir, "a line is no name of a file of the chain");
	snprintf(path, sizeof(path), "info/commit-graphs/graph-%s.graph", name);
	if (!has_file(objects_fd, path)) {
		/* the lower ones may lie in a store from which this one borrows */
		if (has_file(objects_fd, "info/alternates"))
			return 0;
		return tell_chain(g, dir, "a file of the chain is not there");
	}
	r = layer_add(g, objects_fd, dir, path);
	if (r <= 0)
		return r;
	git_oid_fromstr(&oid, name);
	if (memcmp(chunk_file_sum(&g->layers[g->n - 1]->file), oid.id, GIT_OID_RAWSZ) != 0)
		r = chunk_file_tell(&g->layers[g->n - 1]->file, NULL, "its name is not its checksum");
	return r < 0 ? r : 1;
}

static int check_chain(struct graph *g, int objects_fd, const char *dir)
{
	_cleanup_(freep) char *text = NULL;
	char *rest, *name;
	int r = fs_read_file_at(objects_fd, "info/commit-graphs/commit-graph-chain", CHAIN_BYTES, &text, NULL);

	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r == -ENOMEM || r == -EMFILE || r == -ENFILE)
		return r;
	if (r < 0)
		return tell_chain(g, dir, "it cannot be read");
	rest = text;
	r = 1;
	while (r > 0 && (name = strsep(&rest, "\n")))
		if (name[0] != '\0')
			r = add_link(g, objects_fd, dir, name);
	/* what is below a bad one can be checked all the same */
	return r < 0 ? r : check_commits(g);
}

int commit_graph_check(struct check *c, int objects_fd, const char *dir, const struct graph_reader *r)
{
	struct graph single = { .check = c, .reader = r }, chain = { .check = c, .reader = r };
	int rc = check_single(&single, objects_fd, dir);

	graph_deinit(&single);
	if (rc == 0)
		rc = check_chain(&chain, objects_fd, dir);
	graph_deinit(&chain);
	return rc;
}
