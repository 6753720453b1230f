/* SPDX-License-Identifier: MIT */
/*
 * From a copy that is made to one that an agent may begin in: its setup
 * command, where that is due, and the first tree. Says S, W, D and T records.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_READY_H
#define HEARTH_READY_H

#include "base/err.h"
#include "workspace/place.h"
#include "workspace/take.h"

struct ready {
	const struct place *place;
	const char *base;          /* commit */
	char *const *setup;        /* argv; empty: none */
	long long setup_limit;     /* milliseconds */
	int inotify;               /* to watch the folders with; -1: not */
};

int ready_copy(const struct ready *r, struct err *e);
/* What a tree of the copy is taken with. */
struct take ready_take(const struct place *p);

#endif
