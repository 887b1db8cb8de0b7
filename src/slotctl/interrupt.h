/**
 * DOC: interrupt - a signal ends a call, not the care for what it may have brought
 *
 * Calling sequence
 * ----------------
 * 1. interrupt_catch()
 * 2. blocking calls on the client: a signal makes them fail with -ECANCELED
 * 3. interrupt_signal() tells whether and which; interrupt_die() once all is tidy,
 *    else interrupt_restore()
 */
#ifndef SLOTCTL_INTERRUPT_H
#define SLOTCTL_INTERRUPT_H

struct slot_client;

/* the signals that end a wait; 0 behind the last */
extern const int interrupt_signals[];

/* from now on SIGINT, SIGTERM, SIGHUP and SIGQUIT cancel the client's calls (those that
 * slotctl was told to ignore stay ignored) */
void interrupt_catch(struct slot_client *client);

/* back to what the signals did before */
void interrupt_restore(void);

/* the signal that came; 0: none */
int interrupt_signal(void);

/* ends this process by the signal that came, so that a shell sees what happened */
void interrupt_die(void) __attribute__((noreturn));

#endif
