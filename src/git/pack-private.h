/* What the files of pack-write.h share. */
#ifndef GIT_PACK_PRIVATE_H
#define GIT_PACK_PRIVATE_H

#include <zlib.h>

#include "git/pack-file.h"
#include "git/pack-index.h"
#include "git/pack-write.h"

#define PACK_PIECE_BYTES  (128 << 10)
#define PACK_HEADER_BYTES 12

enum pack_part {
	PACK_PART_KEEP,
	PACK_PART_PACK,
	PACK_PART_INDEX,
	PACK_PARTS, /* in the order in which they are placed */
};

struct pack_writer {
	int dir_fd;			    /* objects/pack */
	struct pack_file parts[PACK_PARTS]; /* all but the pack only while it is finished */
	struct pack_table table;
	z_stream z;
	uint64_t flushed; /* bytes of the pack that are in the file */
	size_t used;	  /* bytes after those, in out */
	uint32_t crc;	  /* of the object that is being written */
	int broken;	  /* a negative errno: it could not be cut back */
	bool is_finished; /* well or not */
	uint8_t out[PACK_PIECE_BYTES];
	uint8_t in[PACK_PIECE_BYTES];
};

/* writes what is in out */
int pack_flush(struct pack_writer *w);

/* opens objects/pack, through no link */
int pack_dir_open(int objects_fd);

/* the sentence about what the file system said; @below: what to add to the directory's path */
int pack_fault(int dir_fd, const char *below, int r, struct fault *f);

#endif
