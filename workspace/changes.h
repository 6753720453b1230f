/* SPDX-License-Identifier: MIT */
/*
 * What changed between two trees, told against a third: for every file that
 * differs between before and now, its state compared to base, with a unified
 * diff. Said as F records.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_CHANGES_H
#define HEARTH_CHANGES_H

#include "base/err.h"

/* Instead of a longer diff the sizes are told; of one with all diffs longer,
 * too. */
#define CHANGES_DIFF_MAX (1u << 20)
#define CHANGES_TOTAL_MAX (64u << 20)

/* before that cannot be read any more counts as base. */
int changes_say(const char *repository, const char *base, const char *before,
    const char *now, struct err *e);
/*
 * For those of the paths that differ between base and now, the same, as records
 * of this type.
 */
int changes_say_paths(const char *repository, char type, const char *base,
    const char *now, char *const *paths, struct err *e);

#endif
