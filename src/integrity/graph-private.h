/* What the files of graph-check.h share about commit-graphs. */
#ifndef INTEGRITY_GRAPH_PRIVATE_H
#define INTEGRITY_GRAPH_PRIVATE_H

#include "integrity/chunk-file.h"
#include "integrity/graph-check.h"

#define GRAPH_HEADER_BYTES 8
#define GRAPH_COMMIT_BYTES 36

/* one file */
struct graph_layer {
	struct chunk_file file;
	uint64_t first; /* the number of its first commit in the whole chain */
	const struct chunk *commits;
	const struct chunk *edges, *dates, *large_dates; /* NULL: it has none */
};

struct graph {
	struct check *check;
	const struct graph_reader *reader;
	struct graph_layer **layers; /* the lowest first */
	size_t n;
	uint64_t n_commits;
};

/* one commit of a layer; damage is told. 0, -ENOMEM, what the reader returns */
int graph_check_commit(struct graph *g, struct graph_layer *layer, uint32_t pos);

#endif
