/* SPDX-License-Identifier: MIT */
/*
 * The helper program hearth-memory, on the loop: what trees of processes take
 * is asked for in rounds, one round at a time; and whether one may be
 * hibernated, and that its memory be paged out.
 *
 * The helper is started by the first round and kept for the next. When it
 * ends by itself, or says nothing for long, or nonsense, the round has failed;
 * the next starts a new one.
 *
 * No callback runs inside a memory_*() call. Must never know: whose trees they
 * are, and what for. Read next: pool/limits.h.
 */
#ifndef HEARTH_MEMORY_H
#define HEARTH_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "pool/footprint.h"

struct ev_loop;
struct memory;

struct memory_callbacks {
	/* One of the trees that were asked for. refusal: why what was wished
	 * cannot be, or was not done; else NULL. */
	void (*tree)(void *ctx, int64_t serial, const struct footprint *f,
	    const char *refusal);
	/* The end of a round; e is NULL when every tree was told. */
	void (*end)(void *ctx, const struct err *e);
};

enum memory_wish {
	MEMORY_SIZE,
	MEMORY_MAY_SLEEP,        /* and whether it may be hibernated */
	MEMORY_PAGE_OUT,         /* it is stopped: page it out, then its size */
};

struct memory *memory_new(struct ev_loop *loop,
    const struct memory_callbacks *cb, void *ctx);
/* A round is under way. */
bool memory_is_busy(const struct memory *m);
/* Adds the processes below roots as a tree to the round that comes next. */
void memory_add(struct memory *m, int64_t serial, enum memory_wish wish,
    const pid_t *roots, size_t n);
/* Asks for what was added. There must be no round under way; end() follows. */
void memory_ask(struct memory *m);
/* Ends the helper, and a round without a word; there may be further rounds. */
void memory_rest(struct memory *m);
void memory_free(struct memory **m);   /* NULL is fine */

#endif
