/**
 * DOC: scratch - directories of a test that go away with it
 *
 * Each test is a process of its own. A failed assertion and a skip leave it with a jump, past what it
 * would have removed at its end, and a skip past .fini too; so the directories go when the process
 * exits, and no test has to see to it. What a crash leaves stays, to be looked at.
 */
#ifndef TEST_SCRATCH_H
#define TEST_SCRATCH_H

/* a new, empty directory in /tmp; the name is good until it is removed. Aborts on failure. */
char *scratch_make(void);

/* now, with all that is in it, or mounted on it; for who makes many. Aborts on failure. */
void scratch_remove(char *dir);

static inline void scratch_removep(char **dir)
{
	scratch_remove(*dir);
}

#define _cleanup_scratch_ __attribute__((__cleanup__(scratch_removep)))

#endif
