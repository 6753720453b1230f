/* SPDX-License-Identifier: MIT */
/*
 * Makes, takes up again and removes a session's copy of a project.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_MAKE_H
#define HEARTH_MAKE_H

#include <stdbool.h>

#include "base/err.h"
#include "workspace/place.h"
#include "workspace/project.h"

struct make {
	struct place place;
	const char *project;   /* as configured */
	const char *session;
	const char *branch;    /* the project's default branch, NULL: HEAD */
	const char *base;      /* of a copy made earlier, NULL: none */
	char *const *include;  /* patterns, workspace/include.h; NULL: none */
	bool is_detached;      /* on no branch */
};

/* What a copy is; all to be freed. */
struct copy {
	char *branch;          /* NULL: not a git worktree, or on none */
	char *base;            /* commit */
	char *folder;          /* below the worktrees, when it is not named
	                        * after the session; else NULL */
	char *git_dir;         /* the worktree's, when it was just made */
};
void copy_free(struct copy *c);

/*
 * Makes it in steps, the last of which writes place.copy_file: a copy without
 * that file is half made and is made anew, unless base says that somebody has
 * worked in it already.
 */
int make_copy(const struct make *m, struct copy *c, struct err *e);
/*
 * Removes the worktree and all that is the session's own. The branch goes
 * too, unless something was committed on it.
 */
int make_remove(const struct make *m, struct err *e);

/* What is known of it; false when it was never completed. */
bool make_recall(const struct make *m, struct copy *c);
/* The project as the copy sees it, borrowing from p: what began without a
 * commit stays a folder, whatever came later. */
struct project make_view(const struct project *p, const struct copy *c);
/* The project forgets a worktree whose folder is gone, if it knows it at all. */
void make_unregister(const struct make *m, const struct project *p);
/* Its branch goes, if there are no commits on it or these do not count; not one
 * that is checked out elsewhere. */
void make_drop_branch(const struct project *p, const struct copy *c,
    bool with_commits);

#endif
