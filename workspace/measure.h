/* SPDX-License-Identifier: MIT */
/*
 * What a copy is like: how far it is from the project's default branch, how
 * many files differ from what is checked out, what it takes on disk. Said as
 * one M record.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_MEASURE_H
#define HEARTH_MEASURE_H

#include <stdbool.h>

#include "base/err.h"
#include "workspace/make.h"

/*
 * is_fresh: its tree is taken for that, by who has the session's lock; else the
 * tree that was told last counts, nothing is written and no lock is needed.
 */
int measure_say(const struct make *m, bool is_fresh, struct err *e);

#endif
