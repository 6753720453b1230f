/* SPDX-License-Identifier: MIT */
/*
 * What is driven: Hearth through its SQL contract, or the peer through its
 * table of turns. Chats are numbered from 1. The same connection submits and
 * listens, here as in the floor (bench/limits.c).
 */
#ifndef BENCH_TARGET_H
#define BENCH_TARGET_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/script.h"

enum happening { HAPPENED_OTHER, HAPPENED_RUNNING, HAPPENED_END };

struct target {
	const char *name;
	/* Listens; afterwards the chats 1..n exist. */
	void (*open)(PGconn *pg, long n);
	/* Returns the turn's id once that is committed. */
	int64_t (*submit)(PGconn *pg, long chat, const char *words);
	/* Sets *turn unless it is HAPPENED_OTHER; dies of a failed turn. */
	enum happening (*read)(const PGnotify *n, int64_t *turn);
	/*
	 * Dies unless the turns with ids from first to last ended well and all
	 * that the script streams is in the database, in order and whole.
	 */
	void (*check)(PGconn *pg, int64_t first, int64_t last, long turns,
	    const struct script *s);
	/* Rows of events that these turns left. */
	double (*rows)(PGconn *pg, int64_t first, int64_t last);
};

extern const struct target target_hearth, target_peer;

/* hearth: the chat's uuid, once open() has run */
const char *target_hearth_chat(long chat);

#endif
