/* SPDX-License-Identifier: MIT */
/* Rows as aligned columns, for people. */
#ifndef HEARTH_TABLE_H
#define HEARTH_TABLE_H

#include <stdio.h>

struct table;

/* headers[0..columns) are copied; a header that begins with '>' is that of a
 * column aligned to the right (without the mark). */
struct table *table_new(int columns, const char *const *headers);
/* Adds one cell, row by row from left to right; NULL is an empty one. */
void table_add(struct table *t, const char *cell);
/*
 * Prints it; the last column is cut where it would pass width characters (0:
 * never). Control characters in cells come out as spaces.
 */
void table_print(const struct table *t, FILE *f, int width);
void table_free(struct table **t);

/* How wide stdout's terminal is; 0 when it is none. */
int table_terminal_width(void);

#endif
