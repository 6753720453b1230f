/* SPDX-License-Identifier: MIT */
/*
 * A private PostgreSQL for one test program: a fresh cluster in a temporary
 * folder, reachable over a unix socket only, as the user postgres when the
 * tests run as root. Each test takes a database of its own, copied from a
 * template that has the schema.
 *
 * A guardian process stops the server and removes the folder when the program
 * ends, however it ends. Everything here exits the program with a message when
 * it fails: a test can't go on without.
 *
 * main() calls pg_start() before srunner_run_all(), tests call the rest; the
 * processes that `check` forks share the one server.
 */
#ifndef HEARTH_PG_HARNESS_H
#define HEARTH_PG_HARNESS_H

#include <stdbool.h>
#include <libpq-fe.h>

/* False: there is no PostgreSQL on this machine (the reason is on stdout as
 * a TAP skip); the program should exit with 0. */
bool pg_start(void);

/* Creates a database and returns its connection string (superuser postgres),
 * which lives as long as the program. */
const char *pg_database(void);
/* The same without the schema: an empty database. */
const char *pg_empty_database(void);

/* Runs SQL; must not fail. Connections are kept per process and database. */
void pg_exec(const char *conninfo, const char *sql)
	__attribute__((nonnull));
void pg_execf(const char *conninfo, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The first value of the first row as text, "" for null or no row. Good until
 * the eighth call after it. */
const char *pg_value(const char *conninfo, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* A connection to talk to at will; the caller PQfinish()es it. */
PGconn *pg_connect(const char *conninfo);
/* Waits until the query gives the value, at most limit_ms; false: it did not.
 * While it waits, idle (may be NULL) is called every few milliseconds. */
bool pg_wait(const char *conninfo, const char *sql, const char *value,
    int limit_ms, void (*idle)(void *ctx), void *ctx);

/* The server as a whole; mode as pg_ctl has it: "fast", "immediate". */
void pg_server_stop(const char *mode);
void pg_server_start(void);
/* The cluster's socket folder. */
const char *pg_socket_dir(void);

#endif
