/* SPDX-License-Identifier: MIT */
/*
 * The project's setup command, run once in a new copy before anybody works in
 * it, and what became of it. A small file says whether it is due: it is written
 * before the copy counts as complete, and says "done" only when the tree that
 * the command left is known, so that whatever ends this program in between, the
 * command is run again.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_SETUP_H
#define HEARTH_SETUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "workspace/place.h"

/* The end of its output is kept. */
#define SETUP_OUTPUT_MAX 32768

enum setup_state {
	SETUP_NONE,     /* the copy was made without one */
	SETUP_DUE,      /* in a new copy */
	SETUP_RESTORED, /* one that was worked in lost its folder: what is
	                 * copied is due again, but not the command, which would
	                 * run what agents have left, and not as they do */
	SETUP_DONE,
};

struct setup {
	bool is_late;   /* it was ended by its limit */
	int exit_code;  /* 128 + n: ended by signal n */
	int64_t ms;
	char *output;   /* valid UTF-8 without NUL; freed by the caller */
};

/* A copy is about to be made: what is copied is due in it, and the command
 * unless it is restored. */
int setup_expect(const struct place *p, bool is_restored, struct err *e);
/* outcome is filled when it is done. */
enum setup_state setup_state(const struct place *p, struct setup *outcome);
bool setup_is_due(const struct place *p);
/*
 * Runs argv in the copy, with this program's environment, nothing on stdin,
 * and ends all that it started. -1 only when it could not be run at all.
 */
int setup_run(const struct place *p, char *const *argv, int64_t limit_ms,
    struct setup *outcome, struct err *e);
/* It is done, and nothing of it has to be done again. NULL: there was none. */
int setup_settle(const struct place *p, const struct setup *outcome,
    struct err *e);

#endif
