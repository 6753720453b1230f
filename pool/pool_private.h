/* SPDX-License-Identifier: MIT */
/*
 * What the files of the pool share: pool.c (which seats there are, their
 * beginning and end), seat.c (one of them), room.c (who leaves, or is
 * hibernated, where there is too little room). Nobody else includes this.
 */
#ifndef HEARTH_POOL_PRIVATE_H
#define HEARTH_POOL_PRIVATE_H

#include <ev.h>

#include "base/list.h"
#include "base/map.h"
#include "pool/limits.h"
#include "pool/pool.h"
#include "worker/worker.h"

struct seat {
	struct list in_session;   /* bucket.seats, or ending */
	struct list in_use_order; /* pool.by_use: spares, then least recently
	                            * used first */
	struct pool *pool;
	struct bucket *bucket;    /* NULL once the child has ended */
	struct worker *worker;    /* owned */
	char *session, *chat, *agent, *config_hash;
	int64_t execution;
	int64_t idle_timeout;
	int64_t last_used;        /* on base/clock */
	char *lost_reason;        /* until the first prompt */
	int64_t first_prompt;     /* CLOCK_BOOTTIME, ms; 0: it had none */
	int64_t last_turn;        /* that it was prompted with; 0: none */
	bool is_for_turn;         /* it was started, or claimed, for a turn */
	bool is_held;             /* a turn is meant for it */
	bool has_failed;
	bool is_paused;           /* its chat is */
	bool is_hibernated;       /* paged out, and told so */
	bool is_leaving;          /* asked to stop: not to be found any more */
	struct limits_tree tree;  /* its processes */
	const char *origin;
};

/* The live seats of one session; there while it has any. */
struct bucket {
	struct list seats;
	char *session;
};

/* Forgotten when a window has passed without another one. */
struct crashes {
	struct crash_history history;
	char *key;
};

struct pool {
	struct ev_loop *loop;
	struct pool_config cfg;
	pool_event_fn *on_event;
	void *ctx;
	struct map sessions;      /* uuid -> struct bucket */
	struct map crashes;       /* chat/agent -> struct crashes */
	struct list by_use;       /* in the order in which they are evicted */
	struct list ending;
	struct ev_timer idle_timer;
	int64_t next_serial;
	int live;
	bool paused;
	struct permission_rules *rules; /* borrowed by every worker */
	struct limits *limits;
	pool_memory_fn *on_memory;
	pool_sleep_fn *on_sleep;
};

/* seat.c */
/* To be found still. */
bool seat_is_live(const struct seat *s);
/* It waits for a turn, and nothing that it has begun still runs. */
bool seat_is_idle(const struct seat *s);
/* Before anything is said to it. */
void seat_wake(struct seat *s);

/* room.c */
/* Room for one more child; -1 when all are at work. */
int room_make(struct pool *p, struct err *e);
struct limits *room_new_limits(struct pool *p);

#endif
