/* The notes of seed.h, while they are made: inside git/ only. */
#ifndef GIT_SEED_NOTES_H
#define GIT_SEED_NOTES_H

#include <sys/stat.h>

#include "git/seed.h"

struct seed_notes *seed_notes_new(void); /* NULL: no memory */

/* @st: of the file as it stands in the slot now; 0 or -ENOMEM */
int seed_notes_add(struct seed_notes *notes, const char *path, const struct stat *st);

/* writes them, if they are not what is there */
int seed_notes_save(const struct seed_notes *notes, int admin_fd, struct fault *f);

#endif
