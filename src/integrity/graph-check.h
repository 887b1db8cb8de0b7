/**
 * DOC: graph-check - commit-graph and multi-pack-index files
 *
 * Header, table of chunks, order, fan-out, bounds, checksum; and agreement with the objects: each commit of the
 * graph with its tree, parents, generation and date, each object of the multi-pack-index with the index of its pack.
 */
#ifndef INTEGRITY_GRAPH_CHECK_H
#define INTEGRITY_GRAPH_CHECK_H

#include "integrity/check.h"
#include "integrity/pack.h"

/* how the checks ask for objects and packs */
struct graph_reader {
	/* a commit's content: 0, -ENOENT, -EBADMSG; the caller frees *ret */
	int (*read_commit)(const git_oid *oid, void **ret, size_t *ret_len, void *userdata);
	/* the opened pack of a directory by the name that the index has for it ("pack-1.idx"), or NULL */
	struct pack *(*find_pack)(const char *idx_name, void *userdata);
	void *userdata;
};

/* objects/info/commit-graph and commit-graphs/; @objects_fd, @dir as in loose-check.h. Findings: corrupt-commit-graph */
int commit_graph_check(struct check *c, int objects_fd, const char *dir, const struct graph_reader *r);

/* objects/pack/multi-pack-index; findings: corrupt-multi-pack-index */
int multi_pack_index_check(struct check *c, int objects_fd, const char *dir, const struct graph_reader *r);

#endif
