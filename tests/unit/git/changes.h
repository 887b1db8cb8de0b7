/**
 * DOC: changes - what an agent may do to a slot, as shell commands
 */
#ifndef TESTS_CHANGES_H
#define TESTS_CHANGES_H

/* run in "s", a slot at HEAD of "r"; the last is NULL */
extern const char *const changes[];

/* makes "r", and "victim", which has to stay as it is */
void changes_init(void);
void assert_victim_is_safe(const char *change);

/* of those that git itself would be hindered by when it is asked for its opinion */
void changes_forget_settings(void);

#endif
