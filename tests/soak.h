/* SPDX-License-Identifier: MIT */
/*
 * What the two halves of the soak test share: what is done to a daemon
 * (soak.c) and what must be true of it while and after that (soak_checks.c).
 */
#ifndef HEARTH_SOAK_H
#define HEARTH_SOAK_H

#include <stdbool.h>
#include <sys/types.h>

#define MAX_AGENTS 6

/* Every violation ends the test with this in its words. */
extern unsigned long long soak_seed;
#define violated(...) soak_violated(__FILE__, __LINE__, __VA_ARGS__)
void soak_violated(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4), noreturn));

/* The file to which an agent appends the number of each prompt that it gets. */
extern const char *delivered;

/* Process ids of this name (as in /proc/PID/comm) that are the test's. */
int soak_pids(const char *comm, pid_t *pids, int most);

/* What must hold at any time. */
void check_while_running(void);
/* What must hold when every turn has ended and the daemon has stopped; the
 * rest of it is checked after every test (tests/e2e.c). */
void check_at_the_end(void);

/* One measurement of the daemon. The growth of one life of it is what counts:
 * forget_samples() is for its begin. */
void take_sample(void);
void forget_samples(void);
void check_growth(void);

#endif
