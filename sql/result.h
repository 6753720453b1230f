/* SPDX-License-Identifier: MIT */
/*
 * Values of an answer of PostgreSQL, by row and column name. A column that the
 * statement does not have is a bug. A row that is not there is like one of
 * NULLs: "" is never made up, texts are NULL, numbers 0, booleans false.
 */
#ifndef HEARTH_RESULT_H
#define HEARTH_RESULT_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed from res. */
const char *result_text(const PGresult *res, int row, const char *column);
int64_t result_int8(const PGresult *res, int row, const char *column);
bool result_bool(const PGresult *res, int row, const char *column);
/* Of a column that is an array of texts (none of them NULL): never NULL, ended
 * by NULL; strv_free() it. */
char **result_array(const PGresult *res, int row, const char *column);

/* Writes the row to *to, an element of result_rows(). */
typedef void result_row_fn(const PGresult *res, int row, void *to);
/*
 * All rows as an array of elements of that size, and how many; the caller
 * frees it. res NULL, there is no answer: NULL and 0.
 */
void *result_rows(const PGresult *res, size_t size, result_row_fn *fill,
    size_t *n);

#endif
