/* SPDX-License-Identifier: MIT */
/*
 * The two trees of a session that say what waits for a decision:
 *
 *   told      the worktree, as far as its changes have been told
 *   reviewed  what they are told against: the base commit, and each file that
 *             was accepted since as it was accepted
 *
 * A file has a pending change exactly when the two differ in it.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_REVIEW_H
#define HEARTH_REVIEW_H

#include <stddef.h>

#include "base/err.h"
#include "workspace/place.h"
#include "workspace/value.h"

struct git;

struct review {
	char *told;      /* NULL: there is no copy (any more) */
	char *reviewed;  /* NULL: no base is known */
	char *last;      /* the command that changed a file last; "0" none */
	char *head;      /* the commit that was checked out when it was told,
	                  * or one before it; NULL: not known */
};

/* base: what is reviewed when nothing else is known. review_free() in any
 * case. */
void review_read(const struct place *p, const char *base, struct review *r);
/* The worktree is told as it is now; tree and head (or NULL) become r's. */
void review_tell(struct review *r, char *tree, char *head);
/* All at once, or none. */
int review_write(const struct place *p, const struct review *r,
    struct err *e);
void review_free(struct review *r);

/* One path of a tree is to be this. */
struct edit {
	const char *path;
	struct value value;
};
/* A tree with n edits, which the caller frees; NULL with the reason. */
char *review_edit(const struct place *p, const char *tree,
    const struct edit *edits, size_t n, struct err *e);

#endif
