/* What is led to and cannot be had, each once. */
#include <errno.h>
#include <stdlib.h>

#include "integrity/check-private.h"

int gaps_add(struct check_run *run, const unsigned char *oid, git_object_t type, uint32_t from, bool is_promised)
{
	struct gaps *gaps = &run->gaps;
	uint64_t place = 0;
	git_oid copy;
	int r;

	git_oid_fromraw(&copy, oid);
	pthread_mutex_lock(&gaps->lock);
	r = oid_set_find(&gaps->by_oid, &copy, &place) ? 0 : 1;
	if (r == 1 && gaps->n == gaps->size) {
		size_t size = gaps->size ? gaps->size * 2 : 64;
		struct gap *v = reallocarray(gaps->v, size, sizeof(*v));

		r = v ? r : -ENOMEM;
		gaps->v = v ? v : gaps->v;
		gaps->size = v ? size : gaps->size;
	}
	if (r == 1) {
		place = gaps->n;
		r = oid_set_add(&gaps->by_oid, &copy, place);
	}
	if (r == 1)
		gaps->v[gaps->n++] = (struct gap){ .oid = copy, .type = type, .from = from };
	if (r >= 0)
		gaps->v[place].is_promised |= is_promised;
	pthread_mutex_unlock(&gaps->lock);
	return r < 0 ? r : 0;
}

struct gap *gaps_find(struct check_run *run, const unsigned char *oid)
{
	uint64_t place;
	git_oid copy;

	git_oid_fromraw(&copy, oid);
	return oid_set_find(&run->gaps.by_oid, &copy, &place) ? &run->gaps.v[place] : NULL;
}
