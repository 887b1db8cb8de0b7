/**
 * DOC: pulse - does anything come over the network?
 *
 * libgit2 tells of a transfer packet by packet, and a packet has up to 64 KiB: over a thin line that
 * is half a minute of silence, and the list of refs in front of the first is longer still. What it
 * reads itself is out of sight, in TLS and in ssh altogether. The kernel counts: a thread asks it,
 * a few times a second, how many bytes the TCP connections of this process have received.
 *
 * Calling sequence
 * ----------------
 * 1. pulse_start()
 * 2. what may take long
 * 3. pulse_stop()
 *
 * Threads
 * -------
 * The function is called from the thread of the pulse, between start and stop.
 */
#ifndef GIT_PULSE_H
#define GIT_PULSE_H

#include <pthread.h>
#include <stdbool.h>

struct pulse {
	void (*fn)(void *userdata);
	void *userdata;
	bool runs;
	bool ends;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t cond;
};

/**
 * pulse_start
 * @fn: something has come since the last time; told at most every 250 ms
 *
 * Without a thread to be had nobody is told: a line that is not thin does without.
 */
void pulse_start(struct pulse *p, void (*fn)(void *userdata), void *userdata);

/* @fn is not called any more when this returns */
void pulse_stop(struct pulse *p);

#endif
