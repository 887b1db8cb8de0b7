/**
 * DOC: crash - numbered points where a test may kill the process
 *
 * CRASH_POINT("ledger.commit.before-sync") compiles to nothing unless the build
 * option "crashpoints" is on. Then, when SLOTD_CRASH_FILE names a file, all
 * processes count their hits in it, and the one whose hit is the wanted one dies by
 * SIGKILL on the spot. A test lists the points from the file of a run that kills
 * nothing.
 *
 * The file is an array of struct crash_cell, found by name; a new point takes the
 * first free cell. A wanted hit happens once: the cell's @kill_at is cleared first.
 *
 * With CRASH_STOP in @kill_at the process stops instead, so that a test can end all the others before any
 * of them has noticed, and see what is on disk then.
 */
#ifndef UTIL_CRASH_H
#define UTIL_CRASH_H

#include <stdint.h>

#define CRASH_CELLS 1024
#define CRASH_STOP  (UINT32_C(1) << 31)

struct crash_cell {
	char name[56];	  /* NUL-padded; empty: free */
	uint32_t hits;	  /* how often the point was passed, by any process */
	uint32_t kill_at; /* the hit that kills, and CRASH_STOP; 0: none */
};

#ifdef SLOTD_CRASHPOINTS
void crash_point(const char *name);
#define CRASH_POINT(name) crash_point(name)
#else
#define CRASH_POINT(name) ((void)0)
#endif

#endif
