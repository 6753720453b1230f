/* SPDX-License-Identifier: MIT */
/*
 * Files that git ignores and agents need (.env, say), copied from the project's
 * folder into a new copy. Which ones is said by patterns in the syntax of
 * .gitignore: those of the file .worktreeinclude at the top of the project's
 * folder, then those that are given. A file is copied only when the copy's own
 * .gitignore files ignore it, so it never shows up as a change.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_INCLUDE_H
#define HEARTH_INCLUDE_H

#include <stdint.h>

#include "base/err.h"
#include "workspace/place.h"

#define INCLUDE_FILES_MAX 20000
#define INCLUDE_BYTES_MAX ((long long)1 << 30)

/*
 * project is its folder's real path; patterns end with NULL, NULL: none. What
 * is neither a file nor a link is left out; links are copied as links. A file
 * that is there already stays, unless the project's was changed at since
 * (seconds; 0: never) or later. Fails when there is too much, or a file cannot
 * be read.
 */
int include_copy(const struct place *p, const char *project,
    char *const *patterns, int64_t since, struct err *e);

#endif
