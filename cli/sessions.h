/* SPDX-License-Identifier: MIT */
/* What `hearth projects` asks of sessions. */
#ifndef HEARTH_SESSIONS_H
#define HEARTH_SESSIONS_H

#include <libpq-fe.h>

#include "cli/cli.h"

/*
 * Asks for all of them (ids in the first column) to be deleted, then waits until
 * they are gone, each whatever becomes of the others. 0, or CLI_FAILED after
 * complaints. follow_listen() was called before.
 */
int sessions_delete(PGconn *conn, const PGresult *sessions);

#endif
