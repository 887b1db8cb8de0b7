/*
 * Reads again what was read longest ago, piece by piece, until the time is up.
 *
 * A piece is what hangs on the bases in a stretch of a pack; where the next one begins is in the pack's note, so that
 * a large pack is read in as many nights as it takes. What is overdue is read whatever the time.
 * Loose objects are few where a store is maintained, and are read in one go (verify-loose.c).
 */
#include <errno.h>
#include <stdlib.h>

#include "integrity/check-private.h"

#include "util/clock.h"

#define PIECE_BYTES ((uint64_t)64 << 20)
#define FRESH_USEC  (20 * 3600 * USEC_PER_SEC) /* what was read since is not read again */

static bool is_overdue(const struct check_spec *spec, const struct pack_note *note)
{
	return spec->overdue_usec && note->read_usec + spec->overdue_usec < spec->now_usec;
}

static bool is_due(const struct check_spec *spec, const struct pack_note *note)
{
	return note->scrub_usec || note->read_usec + FRESH_USEC < spec->now_usec;
}

static int put_note(struct check_run *run, const struct object_pack *p)
{
	return pack_note_put(run->c.spec->memo, p->note_name, &p->note);
}

/* 1: it is read whole */
static int scrub_piece(struct check_run *run, struct object_pack *p)
{
	struct stat idx;
	uint64_t size = (uint64_t)pack_stat(p->pack, &idx)->st_size, until = p->note.scrub_from + PIECE_BYTES;
	int r = 0;

	if (p->note.scrub_usec == 0) {
		size_t errors = findings_count(run->c.findings, FINDING_ERROR);

		p->note.scrub_usec = run->c.spec->now_usec;
		p->note.scrub_from = 0;
		until = PIECE_BYTES;
		r = pack_check_files(&run->c, p->pack);
		p->is_damaged |= findings_count(run->c.findings, FINDING_ERROR) != errors;
	}
	if (r == 0)
		r = verify_pack(run, p, p->note.scrub_from, until < size ? until : size);
	if (p->is_damaged) {
		int forgotten = pack_note_forget(run, p);

		return r < 0 ? r : forgotten < 0 ? forgotten : 1;
	}
	if (r == 0)
		r = verify_specials(run);
	if (r < 0)
		return r;
	p->note.scrub_from = until;
	if (until >= size) {
		p->note.read_usec = p->note.scrub_usec;
		p->note.scrub_usec = p->note.scrub_from = 0;
	}
	r = put_note(run, p);
	return r < 0 ? r : until >= size;
}

static int compare_age(const void *a, const void *b)
{
	uint64_t x = (*(struct object_pack *const *)a)->note.read_usec,
		 y = (*(struct object_pack *const *)b)->note.read_usec;

	return x < y ? -1 : x > y;
}

int scrub(struct check_run *run)
{
	uint64_t end = clock_boot_usec() + run->c.spec->scrub_usec;
	struct object_pack **oldest = calloc(run->dirs.n_packs + 1, sizeof(struct object_pack *));
	size_t n = 0;
	int r = oldest ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < run->dirs.n_packs; i++)
		if (run->dirs.packs[i]->is_trusted && is_due(run->c.spec, &run->dirs.packs[i]->note))
			oldest[n++] = run->dirs.packs[i];
	if (n > 1)
		qsort(oldest, n, sizeof(struct object_pack *), compare_age);
	for (size_t i = 0; r >= 0 && i < n; i++) {
		do {
			if (clock_boot_usec() > end && !is_overdue(run->c.spec, &oldest[i]->note))
				break;
			r = scrub_piece(run, oldest[i]);
		} while (r == 0);
	}
	free(oldest);
	return r < 0 ? r : 0;
}
