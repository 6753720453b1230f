/* SPDX-License-Identifier: MIT */
/*
 * Copies that nobody needs for now: what is in one is saved as a commit on the
 * ref refs/hearth/saved/<session> of the project, then its folder goes; when it
 * is made again, make_copy() brings all that back and forgets the commit.
 *
 * The commit's tree is the copy's as it was, its first parent what was checked
 * out. A project without git, or without a commit, has the ref in its private
 * repository. Ignored files are not kept.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_AWAY_H
#define HEARTH_AWAY_H

#include "base/err.h"
#include "workspace/make.h"
#include "workspace/project.h"

/*
 * Puts it away; *commit, which the caller frees, says what was saved, NULL:
 * there was nothing that the base or a branch does not have. The same for one
 * that is away. Nothing is removed when anything in it cannot be saved.
 */
int away_put(const struct make *m, char **commit, struct err *e);

/* The commit that is saved of the session, NULL: none. */
char *away_find(const struct make *m, const struct project *p);
/* Its files are there again; it goes, unless tip lacks what it stood on. */
void away_forget(const struct make *m, const struct project *p,
    const char *commit, const char *tip);

/* The commit that is checked out, on whatever branch; NULL: none is. */
char *away_head(const struct place *p, const char *project);
/* Takes the worktree's folder away at once, then removes what was in it. */
int away_clear(const struct make *m, struct err *e);

/* Removes the copy with its branch and what was saved: nothing is kept. */
int away_erase(const struct make *m, struct err *e);

#endif
