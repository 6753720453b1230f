/* SPDX-License-Identifier: MIT */
/*
 * A plain, blocking libpq connection, as an application has one. Whatever
 * fails ends the program and says so.
 */
#ifndef BENCH_TALK_H
#define BENCH_TALK_H

#include <libpq-fe.h>

PGconn *talk_open(const char *conninfo);
/* A statement without a result that matters. */
void talk_do(PGconn *pg, const char *sql);
/* A statement with n text parameters; the caller clears the result. */
PGresult *talk_ask(PGconn *pg, const char *sql, int n,
	const char *const *values);
/* The number in the first column of the first row. */
double talk_number(PGconn *pg, const char *sql);
void talk_prepare(PGconn *pg, const char *name, const char *sql);
/* Runs a prepared statement; the caller clears the result. */
PGresult *talk_run(PGconn *pg, const char *name, int n,
	const char *const *values);
/* The next notification, waited for until `deadline`; see now(). */
PGnotify *talk_wait(PGconn *pg, double deadline, const char *what);
/* The same; NULL when there was none until then. */
PGnotify *talk_try(PGconn *pg, double deadline);

#endif
