/* Times, and what is said of them. */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline double now_usec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static inline int samples_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* one line of JSON: number, median and 99th percentile in microseconds */
static inline void samples_print(const char *what, double *samples, size_t n)
{
	qsort(samples, n, sizeof(*samples), samples_compare);
	printf("{\"what\":\"%s\",\"n\":%zu,\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f}\n", what, n,
	       samples[n / 2], samples[n * 99 / 100], samples[n - 1]);
}

#endif
