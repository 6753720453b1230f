/* SPDX-License-Identifier: MIT */
/*
 * What a decision means for a file and for the session's trees.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_PLAN_H
#define HEARTH_PLAN_H

#include "workspace/place.h"
#include "workspace/review.h"
#include "workspace/write.h"

enum verb { ACCEPT, REJECT, REVERT, CREATE, EDIT, DELETE, VERBS };

struct order {
	long long id;
	enum verb verb;
	const char *path;
	char *name;             /* path, if it is to be freed */
	struct value old, new;  /* of the change */
	bool is_strange;        /* they are no values: of a submodule */
	const char *hunks;      /* accept: which; "" all */
	const char *text;       /* create: the file; edit: what is there … */
	const char *other_text; /* … and what it becomes */
};

struct planner {
	const struct place *place;
	struct review *review;
	struct write_roots roots;
	struct err no_project;  /* why it has no files */
};

/* w->code says why it cannot be done. */
void plan(const struct planner *k, const struct order *o, struct write *w);

#endif
