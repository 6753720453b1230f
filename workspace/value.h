/* SPDX-License-Identifier: MIT */
/*
 * What a path is in a tree: nothing, a file, or a symbolic link.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_VALUE_H
#define HEARTH_VALUE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

struct git;

struct value {
	char mode[8];  /* "100644" …; "" there is nothing */
	char oid[72];  /* of the blob, in the private repository */
};

/* -1: these are no mode and blob. Both empty is nothing. */
int value_set(struct value *v, const char *mode, const char *oid);
bool value_is_none(const struct value *v);
bool value_is_file(const struct value *v);
bool value_is_same(const struct value *a, const struct value *b);
/* The bytes of a file, or where a link points to, appended to out. */
int value_load(const struct git *g, const struct value *v, struct buf *out,
    struct err *e);
/* Stores them; v gets this mode. */
int value_store(const struct git *g, const char *mode,
    const struct buf *bytes, struct value *v, struct err *e);
/* A folder counts as nothing. */
int value_in_tree(const struct git *g, const char *tree, const char *path,
    struct value *v, struct err *e);

#endif
