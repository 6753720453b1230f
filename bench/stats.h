/* SPDX-License-Identifier: MIT */
/*
 * Figures of the measuring programs: the clock, samples and how they are
 * written. Every figure is one line on stdout, "name unit value", and bench/run
 * collects those lines; smaller is better unless the unit ends in "/s".
 */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stddef.h>

struct samples {
	double *at;
	size_t n, room;
};

/* Seconds, from a clock that never jumps. */
double now(void);
void sample(struct samples *s, double value);
/* Sorts them; q from 0 to 1. */
double quantile(struct samples *s, double q);
void figure(const char *name, const char *unit, double value);
/* name.p50 and name.p99 of samples in seconds, as microseconds; empties them */
void figure_latency(const char *name, struct samples *s);
/* Says why on stderr and ends with 1. */
void die(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), noreturn));

#endif
