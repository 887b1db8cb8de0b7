/* The kernel counts what libgit2 does not tell. */
#include "git/pulse.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

#include "util/clock.h"
#include "util/log.h"

#define BEAT_USEC (250 * USEC_PER_MSEC)
#define MAX_FD	  1024 /* RLIMIT_NOFILE of a worker */

/* a descriptor may be closed and be another one between two calls: then it is counted or not */
static uint64_t count_received(void)
{
	uint64_t bytes = 0;

	for (int fd = 0; fd < MAX_FD; fd++) {
		struct tcp_info info = { 0 };
		socklen_t len = sizeof(info);

		if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0)
			bytes += info.tcpi_bytes_received;
	}
	return bytes;
}

static struct timespec next_beat(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_nsec += BEAT_USEC * 1000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_nsec -= 1000000000;
		at.tv_sec++;
	}
	return at;
}

static void *run(void *userdata)
{
	struct pulse *p = userdata;
	uint64_t before = count_received();

	pthread_mutex_lock(&p->mutex);
	while (!p->ends) {
		struct timespec at = next_beat();
		uint64_t now;

		pthread_cond_timedwait(&p->cond, &p->mutex, &at);
		now = p->ends ? before : count_received();
		/* less: a connection was closed, and another one begins */
		if (now != before)
			p->fn(p->userdata);
		before = now;
	}
	pthread_mutex_unlock(&p->mutex);
	return NULL;
}

/* signals are for the thread that was there before */
static int start_thread(struct pulse *p)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&p->thread, NULL, run, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

void pulse_start(struct pulse *p, void (*fn)(void *userdata), void *userdata)
{
	pthread_condattr_t attr;

	*p = (struct pulse){ .fn = fn, .userdata = userdata };
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->cond, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&p->mutex, NULL);
	p->runs = start_thread(p) == 0;
	if (!p->runs)
		log_debug("worker", "no thread to watch what comes");
}

void pulse_stop(struct pulse *p)
{
	pthread_mutex_lock(&p->mutex);
	p->ends = true;
	pthread_cond_signal(&p->cond);
	pthread_mutex_unlock(&p->mutex);
	if (p->runs)
		pthread_join(p->thread, NULL);
	pthread_cond_destroy(&p->cond);
	pthread_mutex_destroy(&p->mutex);
}
