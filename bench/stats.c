/* SPDX-License-Identifier: MIT */
/* The clock, samples, figures; see the header. */
#include "bench/stats.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void
sample(struct samples *s, double value)
{
	if (s->n == s->room) {
		s->room = s->room ? 2 * s->room : 1024;
		s->at = realloc(s->at, s->room * sizeof *s->at);
		if (!s->at)
			abort();
	}
	s->at[s->n++] = value;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
quantile(struct samples *s, double q)
{
	size_t i = (size_t)((double)s->n * q);

	if (s->n == 0)
		return 0;
	qsort(s->at, s->n, sizeof *s->at, compare);
	return s->at[i < s->n ? i : s->n - 1];
}

void
figure(const char *name, const char *unit, double value)
{
	printf("%s %s %.6g\n", name, unit, value);
	fflush(stdout);
}

void
figure_latency(const char *name, struct samples *s)
{
	static const struct {
		const char *suffix;
		double q;
	} points[] = { { "p50", .5 }, { "p99", .99 } };
	char full[128];

	for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
		snprintf(full, sizeof full, "%s.%s", name, points[i].suffix);
		figure(full, "us", quantile(s, points[i].q) * 1e6);
	}
	s->n = 0;
}

void
die(const char *fmt, ...)
{
	va_list ap;

	fputs("bench: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}
