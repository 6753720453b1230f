/* SPDX-License-Identifier: MIT */
/*
 * max_memory: what the children's trees of processes take together, and which
 * one must go when that is too much.
 *
 * Every few seconds all trees are sampled (pool/memory.h). If their sum is
 * above max_memory, the least recently used one that may leave is sampled once
 * more, alone, and ended if it still may; then all are sampled again, until the
 * sum fits. Before any is ended, those that can be are hibernated in the same
 * way: frozen by the pool, paged out by the helper (pool/hibernate.h). One that
 * works is left alone, unless it is one that goes first: the pool says so (a
 * prompt, a turn that is meant for it, terminals, output a moment ago), or its
 * processes have used the processor between the last two samples. If none may
 * leave, that is logged once, until the sum has fit again.
 *
 * A tree is part of a seat; the pool enters it, says when it is used, and
 * takes it out.
 *
 * Must never know: what a seat or a worker is.
 */
#ifndef HEARTH_LIMITS_H
#define HEARTH_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"

struct ev_loop;
struct limits;

/* Keepers that one tree may have: the agent's, and its terminals'. */
#define LIMITS_ROOTS 40

/* One child with all its processes. Owned by the seat that it is part of. */
struct limits_tree {
	struct list in_use_order; /* limits.trees: least recently used first */
	int64_t serial;
	int64_t pss_kb;           /* as last sampled; -1: not yet */
	int64_t cpu_ms;
	int64_t sampled_at;       /* clock_ms() */
	bool goes_first;          /* whatever it does */
	bool is_asked;            /* to be hibernated, by a user */
	bool cannot_sleep;        /* was refused, until it is used again */
	bool is_quiet;            /* hardly any processor time between the
	                           * last two samples */
	int64_t worked_at;        /* when it was seen not to be; 0: never … */
	int64_t worked_since;     /* … and the sample before that: it has worked
	                           * between the two */
	int64_t told_kb;          /* as told() last */
	int64_t told_at;
};

struct limits_callbacks {
	/* The processes below which the tree is; at most max. */
	size_t (*roots)(void *ctx, const struct limits_tree *t, pid_t *out,
	    size_t max);
	/* Whether it may be stopped now, as far as the pool knows. */
	bool (*may_leave)(void *ctx, const struct limits_tree *t);
	/* Whether it may be hibernated now, as far as the pool knows; is_asked:
	 * by a user, so it need not have been at rest for long. */
	bool (*may_sleep)(void *ctx, const struct limits_tree *t,
	    bool is_asked);
	/* Stops its processes; lets them go on; whether they are stopped. */
	void (*freeze)(void *ctx, struct limits_tree *t);
	void (*thaw)(void *ctx, struct limits_tree *t);
	bool (*is_frozen)(void *ctx, const struct limits_tree *t);
	/* It has been paged out. */
	void (*slept)(void *ctx, struct limits_tree *t);
	/* It cannot be hibernated. */
	void (*refused)(void *ctx, struct limits_tree *t, const char *why,
	    bool is_asked);
	/* Ends it; it leaves by that. */
	void (*evict)(void *ctx, struct limits_tree *t);
	/* It takes clearly more or less than was told before; pss_kb. */
	void (*told)(void *ctx, struct limits_tree *t);
};

struct limits *limits_new(struct ev_loop *loop,
    const struct limits_callbacks *cb, void *ctx);
/* Bytes; 0: no limit, but what they take is told nevertheless. */
void limits_configure(struct limits *l, int64_t max_memory);
/* goes_first: before all that are there, even while it works. */
void limits_enter(struct limits *l, struct limits_tree *t, bool goes_first);
/* Hibernates it as soon as it can be: slept() or refused() follows, unless it
 * is used or leaves before. */
void limits_ask_sleep(struct limits *l, struct limits_tree *t);
/* Whether the trees, as far as they have been sampled, and so many kB more fit
 * into max_memory. */
bool limits_have_room(const struct limits *l, int64_t kb);
/* It was used: it goes last. */
void limits_used(struct limits *l, struct limits_tree *t);
/* Nothing when it has left. */
void limits_leave(struct limits *l, struct limits_tree *t);
void limits_free(struct limits **l);   /* NULL is fine; all have left */

#endif
