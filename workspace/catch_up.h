/* SPDX-License-Identifier: MIT */
/*
 * The files of a copy that is not there any more, when its branch has gone on
 * since they were seen.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_CATCH_UP_H
#define HEARTH_CATCH_UP_H

#include "base/err.h"
#include "workspace/place.h"

/*
 * The tree files, seen while the commit head was checked out, with what the
 * branch has got between head and its tip. What both have changed in ways that
 * cannot be merged, or one has where the other has a folder, is as files has
 * it, with a note: what tip has is safe in its commit. Of a tip that does not
 * go on from head nothing is taken. The caller frees the tree's id; NULL with
 * the reason: git or the disk failed.
 */
char *catch_up(const struct place *p, const char *files, const char *head,
    const char *tip, struct err *e);

#endif
