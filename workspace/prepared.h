/* SPDX-License-Identifier: MIT */
/*
 * Prepared worktrees (snapshots, for users): of each project that wants them
 * some are kept ready (checked out on no branch, ignored files copied, setup
 * command done) and the next new session takes one. Says K records.
 *
 * Only git projects with a commit have them. A worktree that a session has
 * taken stays where it lies: a setup command may have written its path into
 * files.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_PREPARED_H
#define HEARTH_PREPARED_H

#include <stdbool.h>

#include "base/err.h"
#include "workspace/make.h"
#include "workspace/prepared_file.h"

struct prepared_order {
	const char *state_dir;
	long long project_id;
	const char *project;       /* its folder, as configured */
	const char *branch;        /* default branch; NULL: HEAD */
	char *const *include;      /* NULL: none */
	char *const *setup;        /* argv; empty: none */
	long long setup_limit;
	int count;                 /* how many are wanted */
};

/* Says what there is, of all projects. */
int prepared_say_all(const char *state_dir, struct err *e);
/*
 * Settles what was cut off, removes what is too old or not wanted any more,
 * and makes one if fewer than count are there of the branch's present commit.
 * Those of an older commit stay until then.
 */
int prepared_keep(const struct prepared_order *o, struct err *e);

/*
 * Makes one of them m's copy, if m has none yet and count is not 0; else, or if
 * there is none, nothing, and the copy is made as any other. Never fails: what
 * cannot be used is left to prepared_keep().
 */
void prepared_claim(const struct prepared_order *o, struct make *m);
/* The session that has taken it has a copy which names it. */
bool prepared_is_claimed(const char *state_dir, const struct prepared *p);
/* The end of a claim, again if it was cut off: HEAD, and its own files. */
void prepared_settle(const char *state_dir, const struct place *own,
    const struct prepared *p, const char *branch);
/* The branch of the session that has taken it; the caller frees it. */
char *prepared_branch(const char *state_dir, const struct prepared *p);

/* Of the order's settings; freed by the caller. */
char *prepared_key(const struct prepared_order *o);
/* status as hearth.snapshots has it; error may be NULL. */
void prepared_say(const struct prepared *p, const char *status,
    const char *error);

#endif
