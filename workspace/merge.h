/* SPDX-License-Identifier: MIT */
/*
 * Three-way merges of one path.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_MERGE_H
#define HEARTH_MERGE_H

#include "base/err.h"
#include "workspace/place.h"
#include "workspace/value.h"

/*
 * ours with what makes theirs of base. 0: it is in out; 1: both changed the
 * same, and e says what; -1: it could not be tried.
 */
int merge_values(const struct place *p, const struct value *base,
    const struct value *ours, const struct value *theirs, struct value *out,
    struct err *e);

#endif
