/* SPDX-License-Identifier: MIT */
/* What sql/migrate.c and sql/migrate_access.c share. */
#ifndef HEARTH_MIGRATE_PRIVATE_H
#define HEARTH_MIGRATE_PRIVATE_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "base/err.h"

/*
 * Runs one statement with n text parameters; the result (which the caller
 * clears) or NULL with the server's reason and hint, and the SQLSTATE in
 * state[6] unless that is NULL.
 */
PGresult *migrate_query(PGconn *conn, const char *sql, int n,
    const char *const *values, char *state, struct err *e);
/* The same without parameters and result; several statements are fine. */
int migrate_exec(PGconn *conn, const char *sql, struct err *e);
/* A yes-or-no question with one parameter: 1, 0, or -1 with the reason. */
int migrate_ask(PGconn *conn, const char *sql, const char *value,
    struct err *e);

/* Connects, having made the database first if asked to and it is missing. */
PGconn *migrate_connect(const char *conninfo, bool create_database,
    struct err *e);
/* 1 when the roles are there and so is, embedded, the login role; else 0. */
int migrate_has_roles(PGconn *conn, struct err *e);
/*
 * Makes the missing roles, the embedded cluster's login role, and lets the
 * current user become hearth_owner. version: of the schema there is, 0 none,
 * for the complaint of who may not.
 */
int migrate_make_roles(PGconn *conn, int version, struct err *e);

#endif
