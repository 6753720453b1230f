/* SPDX-License-Identifier: MIT */
/* Results of statements as tables. */
#ifndef HEARTH_SHOW_H
#define HEARTH_SHOW_H

#include <libpq-fe.h>
#include <stdio.h>

/* Where tables go. */
struct show {
	FILE *f;
	int width;   /* lines are cut there; 0: never */
	int rows;    /* of each at most, the rest is counted; 0: all */
};

/* On stdout, with the columns' names as headers; numbers are aligned to the
 * right. */
void show_result(const PGresult *res);
/*
 * Runs the statement and shows its rows under "TITLE" (NULL: no title), or
 * none (NULL: nothing at all) when there are none. 0, or CLI_FAILED after a
 * complaint.
 */
int show_query(PGconn *conn, const char *title, const char *none,
    const char *sql, int n, const char *const *values);
/* The same, elsewhere and without parameters. */
int show_query_to(const struct show *to, PGconn *conn, const char *title,
    const char *none, const char *sql);

#endif
