/* SPDX-License-Identifier: MIT */
/*
 * Writes decided files and the session's trees together: a process that is
 * killed on the way leaves a journal, by which the next one finds out which
 * files were written and sets the trees right.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_WRITE_H
#define HEARTH_WRITE_H

#include <stdbool.h>
#include <stddef.h>

#include "workspace/files.h"
#include "workspace/review.h"

enum write_root { IN_PROJECT, IN_WORKTREE, WRITE_ROOTS };

/* A file that is about to be written, and what follows from it. */
struct write {
	long long id;            /* names it; part of a file name */
	enum write_root root;
	const char *path;
	bool is_needed;          /* else the file is as it is to be already */
	struct found was;
	struct value before, after;
	/* once it is written */
	bool reviews, tells;     /* the trees get these for the path … */
	struct value reviewed, told;
	bool is_last;            /* … and review.last the id */
	bool prunes;             /* folders that it leaves empty go */
	/* NULL: done; else why not, by a word and in words */
	const char *code;
	struct err why;
};

/* Real paths; NULL: there is none. */
struct write_roots {
	const char *path[WRITE_ROOTS];
};

/*
 * Those without a code are written, in order; r follows. -1: nothing can be
 * said of any of them, and the journal may be there.
 */
int write_all_files(const struct place *p, const struct write_roots *roots,
    struct review *r, struct write *all, size_t n, struct err *e);
/* Before anything else is done in the session: settles what one that was killed
 * has left. base: for review_read(). */
int write_settle(const struct place *p, const struct write_roots *roots,
    const char *base, struct err *e);

#endif
