/* What the files of maintain.h share. */
#ifndef GIT_MAINTAIN_PRIVATE_H
#define GIT_MAINTAIN_PRIVATE_H

#include <time.h>

#include <git2/sys/odb_backend.h>

#include "git/maintain.h"
#include "git/object-walk.h"
#include "git/pack-write.h"

#define MAINTAIN_MARGIN_SEC 3600 /* between the clock of the machine and that of a file system */

struct store_pack {
	char name[PACK_NAME_SIZE];
	git_odb_backend *backend; /* of this pack alone */
	uint64_t bytes;		  /* of the .pack */
	time_t mtime;		  /* likewise */
	bool kept;		  /* by a .keep, or by something that is not understood */
	bool doomed;		  /* to be replaced by the new one */
	size_t count, reached;	  /* objects in it */
};

struct store_loose {
	git_oid oid;
	time_t mtime;
	uint64_t bytes;
};

/* what the object database consists of */
struct store_listing {
	struct store_pack *packs;
	size_t n_packs, size_packs;
	struct store_loose *loose;
	size_t n_loose, size_loose;
	struct oid_set all;
};

struct maintenance {
	struct repo *repo;
	const struct maintain_options *options;
	struct maintain_outcome *out;
	struct fault *f;
	int common_fd, objects_fd, pack_fd, slotd_fd;
	int dir_fd;	/* slotd/maintain */
	int garbage_fd; /* slotd/garbage: since when is a pack known to be unreachable? */
	struct store_listing listing;
	struct object_walk walk; /* what is reachable */
	time_t cutoff;		 /* what is older may go */
};

/* --- maintain-list.c --- */

int store_list(struct maintenance *m, struct store_listing *ret);
void store_listing_deinit(struct store_listing *l);
bool store_pack_has(const struct store_pack *pack, const git_oid *oid);
int store_pack_each(const struct store_pack *pack, git_odb_foreach_cb fn, void *userdata);

/* --- maintain-move.c --- */

int maintain_undo(int common_fd, int objects_fd, int dir_fd, struct fault *f);
/* a pack goes; @cutoff: unless it is as young as that, by now: 1: it is. 0: a copy of all in it is elsewhere */
int maintain_drop_pack(struct maintenance *m, const char *name, time_t cutoff);
int maintain_drop_loose(struct maintenance *m, const git_oid *oid, time_t cutoff);
/* the one pack that was made in @new_fd gets its place; its name, which it may have had already */
int maintain_place(struct maintenance *m, int new_fd, char ret_name[PACK_NAME_SIZE]);

/* --- maintain-litter.c, maintain-repack.c, maintain-prune.c --- */

int maintain_litter(struct maintenance *m);
int maintain_repack(struct maintenance *m);
int maintain_prune(struct maintenance *m);

#endif
