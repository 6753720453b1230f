/* SPDX-License-Identifier: MIT */
/*
 * The client's connection: which database, and statements whose errors become
 * one line on stderr.
 */
#ifndef HEARTH_CLI_DB_H
#define HEARTH_CLI_DB_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "cli/cli.h"

/* Parameters of a statement: PARAMS("a", NULL, "b"). */
#define PARAMS(...) \
	(int)(sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *)), \
	(const char *[]){ __VA_ARGS__ }
#define NO_PARAMS 0, NULL

/*
 * Which database: what was given, else what the environment says, else the
 * embedded cluster of the default state_dir, as embedded_user. An empty string
 * counts as nothing. The caller frees.
 */
char *db_conninfo(const char *given, const char *environment,
    const char *embedded_user);
/* Of this call: -d, HEARTH_DATABASE or the embedded one. */
char *db_conninfo_of(const struct cli *cli, const char *embedded_user);

/* Connects, or complains and returns NULL. */
PGconn *db_open(const struct cli *cli);
/* libpq's words about a failed connection on one line; the caller frees. */
char *db_connection_error(PGconn *conn);

/*
 * Runs one statement with text parameters. db_query() complains and returns
 * NULL when it fails; db_try() leaves the result to be looked at. The caller
 * clears the result.
 */
PGresult *db_query(PGconn *conn, const char *sql, int n,
    const char *const *values);
PGresult *db_try(PGconn *conn, const char *sql, int n,
    const char *const *values);
bool db_ok(const PGresult *res);
const char *db_state(const PGresult *res); /* SQLSTATE, "" when none */
void db_complain(PGconn *conn, const PGresult *res);
/* The first column of the only row; NULL after a complaint or when there is
 * no row. The caller frees. */
char *db_value(PGconn *conn, const char *sql, int n,
    const char *const *values);
/* A column of row 0 by name; NULL when it is null. */
const char *db_field(const PGresult *res, int row, const char *column);

#endif
