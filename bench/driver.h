/* SPDX-License-Identifier: MIT */
/* What the files of the driver share; bench/driver.c says what it does. */
#ifndef BENCH_DRIVER_H
#define BENCH_DRIVER_H

#include <sys/types.h>

#include "bench/target.h"

#define DRIVER_ONE_CHUNK "chunks=1 size=64"

struct driver {
	const struct target *target;
	PGconn *pg;
	pid_t daemon, postgres;
};

/* Seconds, see now(); 0: was not seen. */
struct moments {
	double called, submitted, running, ended;
};

void driver_wait(struct driver *d, int64_t turn, struct moments *m);
/* Submits and waits for the end; returns the turn's id. */
int64_t driver_turn(struct driver *d, long chat, const char *words,
	struct moments *m);
void driver_latency(struct driver *d, const char *name, long chat, long turns);
/* A live, idle child in each of the chats 1..n. */
void driver_warm(struct driver *d, long chats);
/* The daemon's memory now, its peak, and its memory after some seconds. */
void driver_rest(struct driver *d, const char *name, long seconds);
/* driver_lag.c: `words` ask for stamped chunks at a pace. */
void driver_lag(struct driver *d, const char *name, long chats,
	const char *words);
void driver_bigline(struct driver *d, const char *name, long others, long size,
	const char *words);
/* What only Hearth can be asked; -1: there is no such thing. */
int driver_hearth(struct driver *d, const char *what, const char *name,
	long a, long b);

#endif
