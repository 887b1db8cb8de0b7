/* Ctrl-C while waiting for a slot. */
#include "slotctl/interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "slotctl/exit.h"
#include "slotd/slot.h"
#include "util/cleanup.h"

const int interrupt_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, 0 };

static struct sigaction before[ARRAY_SIZE(interrupt_signals)];
static struct slot_client *volatile waiting;
static volatile sig_atomic_t came;

static void on_signal(int sig)
{
	struct slot_client *client = waiting;

	came = sig;
	if (client)
		slot_client_cancel(client);
}

void interrupt_catch(struct slot_client *client)
{
	struct sigaction catching = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	sigemptyset(&catching.sa_mask);
	waiting = client;
	for (size_t i = 0; interrupt_signals[i]; i++) {
		sigaction(interrupt_signals[i], NULL, &before[i]);
		if (before[i].sa_handler != SIG_IGN)
			sigaction(interrupt_signals[i], &catching, NULL);
	}
}

void interrupt_restore(void)
{
	for (size_t i = 0; interrupt_signals[i]; i++)
		sigaction(interrupt_signals[i], &before[i], NULL);
	waiting = NULL;
}

int interrupt_signal(void)
{
	return came;
}

void interrupt_die(void)
{
	sigset_t set;

	signal(came, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, came);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(came);
	_exit(EXIT_STATUS_SIGNAL + came);
}
