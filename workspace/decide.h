/* SPDX-License-Identifier: MIT */
/*
 * Decisions on changes, and changes that are asked for, in one session. They
 * are read from stdin as X records; verbs:
 *
 *   accept  puts the change into the project's own checkout, three-way
 *   reject  takes it back in the worktree, if it still is what was changed
 *   revert  takes an accepted one out of the project again, three-way
 *   create, edit, delete   change a file of the worktree; id is the command's
 *
 * Says, in this order: F records of what somebody else had changed in the
 * worktree meanwhile (not with accept and revert); an O record for each; P and F
 * records of what was accepted in part, and of what waits now in these files; T
 * when the told tree is another.
 *
 * Each is done or not, whatever becomes of the others, and can be asked for
 * again: what is done already is said to be done.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_DECIDE_H
#define HEARTH_DECIDE_H

#include "base/err.h"
#include "workspace/place.h"
#include "workspace/take.h"

struct decide {
	const struct place *place;
	const char *project;  /* as configured */
	const char *branch;   /* its default branch, or NULL */
	const char *base;     /* commit; NULL: there is no copy */
	struct take take;     /* of the worktree */
};

int decide(const struct decide *d, struct err *e);

#endif
