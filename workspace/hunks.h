/* SPDX-License-Identifier: MIT */
/*
 * Some hunks of a unified diff. Pure functions; bytes, not lines of text: the
 * file may hold anything.
 */
#ifndef HEARTH_HUNKS_H
#define HEARTH_HUNKS_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* How many there are. */
size_t hunks_count(const char *diff, size_t n);
/*
 * The old file with the hunks whose numbers (from 1) stand in the
 * comma-separated list; the others are left out. -1: the diff is not one of
 * this file, or has no such hunk.
 */
int hunks_apply(const struct buf *old, const struct buf *diff,
    const char *numbers, struct buf *out, struct err *e);

#endif
