/**
 * DOC: pack-visit - one object of a walk: made, hashed, told
 *
 * And what its deltas need of it kept, within the memory that the walk may use: when that is used up, the bases
 * that were not used for longest are dropped, and made again when their turn comes.
 */
#ifndef INTEGRITY_PACK_VISIT_H
#define INTEGRITY_PACK_VISIT_H

#include <pthread.h>

#include "integrity/pack-private.h"

/* what deltas are applied to; never changed, counted, since threads share it */
struct content {
	unsigned refs;
	git_object_t type;
	uint64_t len;
	unsigned char *data;
};

/* an object of which things are made: on the stack until they are */
struct frame {
	uint32_t i;	   /* in the order of the pack */
	uint32_t next, end; /* in the tree's kids: those that are left to do */
	struct content *content; /* NULL: dropped, or it cannot be made */
	bool is_bad;		 /* it cannot be made */
};

struct walk {
	struct check *check;
	struct pack *pack;
	const struct pack_walker *to; /* who is told */
	struct pack_tree tree;
	uint64_t memory_bytes, piece_bytes; /* a blob that is larger is hashed in pieces */
	uint64_t large_bytes; /* what is larger is made by one thread at a time */
	uint64_t used;	    /* bytes in contents; atomically */
	uint32_t next_root; /* where to look for the next one; atomically */
	int result;	    /* what ended it; atomically */

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t changed;
	struct frame *gifts; /* what one thread has left over for others */
	unsigned n_gifts, n_idle, n_threads; /* n_idle is also read without the lock */
	bool is_done;
	bool is_large_taken; /* some thread has leave to make large objects */
};

struct walk_thread {
	struct walk *walk;
	unsigned number;
	struct unpacker unpacker;
	struct hash hash;
	struct frame *frames; /* the stack */
	size_t n, size;
	unsigned char *scratch; /* for small objects of which nothing is made */
	uint64_t untold;	/* bytes since the last word about progress */
	bool may_large;		/* it has leave to make large objects, until its stack is empty */
};

int walk_thread_init(struct walk_thread *t, struct walk *walk, unsigned number);
void walk_thread_deinit(struct walk_thread *t);

void content_unref(struct walk *walk, struct content *content); /* accepts NULL */

/* what ended the walk, if somebody did */
int walk_result(const struct walk *walk);

/* waits until no other thread makes large objects; what ended the walk, if that came first */
int walk_take_large(struct walk_thread *t);

/* an object that is made of nothing in this pack; pushes it if others are made of it */
int visit_root(struct walk_thread *t, uint32_t i);

/* the next one that is made of the topmost frame; that is popped if it was the last */
int visit_next(struct walk_thread *t);

#endif
